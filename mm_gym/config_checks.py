"""The checks of a configuration: combinations of fields that no market can have."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

from mm_gym.core.layout import BOOK_ROOMS, LARGEST_PRICE, MAKER_DISTANCES, QUOTES_IN_FLIGHT
from mm_gym.errors import ConfigurationError
from mm_gym.field_checks import RATES_BY_DISTANCE, SHORTEST_INTERVAL, convert_fields
from mm_gym.market_size import expected_event_rate, most_resting, resting_orders
from mm_gym.regimes import REPLAY

_LARGEST_SIZE = 2**31 - 1  # [size units] of an order in a market of recorded data
# A normal variable exceeds so many standard deviations once in 10^32 draws.
_MOST_DEVIATIONS = 12.0
_MOST_MEANS = 40.0  # An exponential variable with 53 random bits stays below so many means.
_MOST_EVENTS = 1_000_000  # between two decisions: a fifth of a second
_MOST_WARM_UP_EVENTS = 3_000_000
# A market's draws of exponential latencies are cut at the longest latency that it has room for.
_MEANS_WITHIN = 10.0


def check_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration, each converted to its type.

    Args:
        fields: a value for every field of `MarketConfig`.

    Raises:
        ConfigurationError: if a field is out of its range or two fields contradict each other.
    """
    checked = convert_fields(fields)
    _check_flow(checked)
    _check_recorded(checked)
    _check_clustering(checked["clustering"], checked["clustering_half_lives"])
    _check_makers(checked)
    _check_prices(checked)
    _check_latency(checked)
    _check_fees(checked)
    _check_events(checked)
    return checked


def _check_clustering(clustering: tuple[float, ...], half_lives: tuple[float, ...]) -> None:
    """Check that the self-excitation of takers is complete and does not explode."""
    if len(clustering) != len(half_lives):
        raise ConfigurationError(
            f"clustering_half_lives={half_lives!r} does not match clustering={clustering!r}: "
            f"expected {len(clustering)} half-lives, got {len(half_lives)}"
        )
    if sum(clustering) >= 1.0:
        raise ConfigurationError(
            f"clustering={clustering!r} explodes: expected a sum below 1, got {sum(clustering):g}"
        )
    if half_lives and min(half_lives) < SHORTEST_INTERVAL:
        raise ConfigurationError(
            f"clustering_half_lives={half_lives!r} is out of range: expected numbers from "
            f"{SHORTEST_INTERVAL:g} to 1e+06, got {min(half_lives)!r}"
        )


def _check_flow(fields: Mapping[str, Any]) -> None:
    regime, p_informed, imbalance = fields["regime"], fields["p_informed"], fields["imbalance"]
    if regime in ("noise", "imbalanced") and p_informed > 0.0:
        raise ConfigurationError(
            f"p_informed={p_informed:g} contradicts regime {regime!r}, which has no informed "
            f"takers: expected 0, got {p_informed:g} (write regime='informed')"
        )
    if regime == "noise" and imbalance > 0.0:
        raise ConfigurationError(
            f"imbalance={imbalance:g} contradicts regime 'noise', whose flow is symmetric: "
            f"expected 0, got {imbalance:g} (write regime='imbalanced')"
        )
    kind = fields["informed_kind"]
    wanted = {"naive_informed": "naive", "mixed": "signal"}.get(regime, kind)
    if kind != wanted:
        raise ConfigurationError(
            f"informed_kind={kind!r} contradicts regime {regime!r}: "
            f"expected {wanted!r}, got {kind!r} (write regime='informed')"
        )


def _check_recorded(fields: Mapping[str, Any]) -> None:
    """Check that recorded data and the regime `replay` come together, and nothing against them."""
    replay = fields["regime"] == REPLAY
    if replay != (fields["makers"] == "recorded"):
        raise ConfigurationError(
            f"makers={fields['makers']!r} contradicts regime {fields['regime']!r}: "
            f"expected 'recorded' in the regime 'replay' and only there, got {fields['makers']!r}"
        )
    unused = {"data": "", "data_start": 0.0, "data_end": 1.0, "lot_size": 1}
    for name, value in unused.items():
        if not replay and fields[name] != value:
            raise ConfigurationError(
                f"{name}={fields[name]!r} has no effect in regime {fields['regime']!r}: "
                f"expected {value!r}, got {fields[name]!r} (write regime='replay')"
            )
    if not replay:
        return
    if not fields["data"]:
        raise ConfigurationError(
            "regime 'replay' needs recorded data: expected data with the path of a file, got '' "
            "(write data='day.parquet')"
        )
    if fields["data_start"] >= fields["data_end"]:
        raise ConfigurationError(
            f"data_start={fields['data_start']:g} is too late: expected less than data_end, which "
            f"is {fields['data_end']:g}, got {fields['data_start']:g}"
        )
    size = fields["quote_size"] * fields["lot_size"]
    if size > _LARGEST_SIZE:
        raise ConfigurationError(
            f"quote_size={fields['quote_size']} is too large with lot_size={fields['lot_size']}: "
            f"expected a quote of at most {_LARGEST_SIZE} size units, got {size}"
        )
    for name in ("p_informed", "imbalance", "sniping"):
        if fields[name]:
            raise ConfigurationError(
                f"{name}={fields[name]!r} contradicts regime 'replay', whose takers are recorded: "
                f"expected {type(fields[name])()!r}, got {fields[name]!r}"
            )


def _check_makers(fields: Mapping[str, Any]) -> None:
    """Check the rates of the background makers: they exist, and their orders fit into the book."""
    what = "limit_order_rates with cancel_rates"
    if fields["makers"] == "zero_intelligence":
        _check_zero_intelligence(fields)
    else:
        rate, cancel_rate = fields["maker_rate"], fields["maker_cancel_rate"]
        what = f"maker_rate={rate:g} with maker_cancel_rate={cancel_rate:g}"
    resting, most = resting_orders(fields), most_resting(BOOK_ROOMS[-1][1])
    if resting > most:
        raise ConfigurationError(
            f"{what} overfills the book: expected at most {most} resting orders a side "
            f"on average (arrival rate / cancellation rate), got {resting:.0f}"
        )


def _check_zero_intelligence(fields: Mapping[str, Any]) -> None:
    for name in RATES_BY_DISTANCE:
        if sum(fields[name]) == 0.0:
            raise ConfigurationError(
                f"makers='zero_intelligence' has no {name}: expected at least one positive rate, "
                f"got {fields[name]!r} (write regime='zero_intelligence' for the published rates)"
            )
    for name in ("p_informed", "signal_drift"):
        if fields[name] > 0.0:
            raise ConfigurationError(
                f"{name}={fields[name]:g} contradicts makers='zero_intelligence', whose market "
                f"has no efficient price: expected 0, got {fields[name]:g}"
            )


def _check_prices(fields: Mapping[str, Any]) -> None:
    """Check that no price of a session leaves the range of the book."""
    seconds = fields["warm_up"] + fields["session_steps"] * fields["decision_interval"]
    if fields["makers"] == "zero_intelligence":
        rate = fields["taker_rate"] + 4.0 * sum(fields["limit_order_rates"])
        deviation = MAKER_DISTANCES * math.sqrt(rate * seconds)  # an event moves the mid that far
    else:
        # The signal's integral over a time T has a variance below T^2 and below 2 T / kappa.
        memory = min(seconds, 2.0 * fields["signal_half_life"] / math.log(2.0))
        drift = fields["signal_drift"] * math.sqrt(seconds * memory)
        deviation = math.hypot(fields["volatility"] * math.sqrt(seconds), drift)
    furthest = (
        abs(fields["initial_price"])
        + _MOST_DEVIATIONS * deviation
        + _MOST_MEANS * fields["maker_depth"]
        + fields["max_offset"]
    )
    if furthest > LARGEST_PRICE:
        raise ConfigurationError(
            f"prices could leave the book in a session of {seconds:g} s: expected prices within "
            f"{LARGEST_PRICE:g} ticks of zero, {_MOST_DEVIATIONS:g} standard deviations included, "
            f"got {furthest:.3g} (lower volatility, signal_drift or session_steps)"
        )


def _check_latency(fields: Mapping[str, Any]) -> None:
    """Check that latencies are complete, and that messages under way fit into the record."""
    kind, interval = fields["latency_kind"], fields["decision_interval"]
    room = (QUOTES_IN_FLIGHT - 1) * interval
    samples = {name: fields[name] for name in ("latency_samples", "cancel_latency_samples")}
    if kind == "empirical":
        _check_empirical(fields, samples)
    else:
        for name, values in samples.items():
            if values:
                raise ConfigurationError(
                    f"{name} has no effect: expected latency_kind='empirical' beside it, "
                    f"got {kind!r}"
                )
    longest = room / _MEANS_WITHIN if kind == "exponential" else room
    for name in ("latency", "cancel_latency"):
        latency = max((fields[name] or 0.0, *samples[f"{name}_samples"]))
        if latency > longest:
            number = longest / interval
            raise ConfigurationError(
                f"{name}={latency:g} is too long for decision_interval={interval:g}: expected at "
                f"most {number:g} decision intervals, which are {longest:g} s, got {latency:g} s"
            )


def _check_empirical(fields: Mapping[str, Any], samples: Mapping[str, tuple[float, ...]]) -> None:
    if not samples["latency_samples"]:
        raise ConfigurationError(
            "latency_kind='empirical' has no latencies: expected at least one number in "
            "latency_samples, got ()"
        )
    for name in ("latency", "cancel_latency"):
        if fields[name]:
            raise ConfigurationError(
                f"{name}={fields[name]:g} contradicts latency_kind='empirical': "
                f"expected {name}_samples alone, got both"
            )


def _check_fees(fields: Mapping[str, Any]) -> None:
    lots, fees = fields["fee_tier_lots"], fields["fee_tier_fees"]
    if len(lots) != len(fees):
        raise ConfigurationError(
            "fee_tier_lots and fee_tier_fees do not match: expected one fee for each volume, "
            f"got {len(lots)} volumes and {len(fees)} fees"
        )
    if any(later <= earlier for earlier, later in itertools.pairwise(lots)):
        raise ConfigurationError(
            f"fee_tier_lots is not ascending: expected growing volumes, got {lots!r}"
        )


def _check_events(fields: Mapping[str, Any]) -> None:
    """Refuse a market that would compute for seconds between two decisions, or at its start."""
    rate, interval = expected_event_rate(fields), fields["decision_interval"]
    for name, of_decisions, most in (
        ("decision_interval", 0.0, _MOST_EVENTS),
        ("warm_up", 1.0 / interval, _MOST_WARM_UP_EVENTS),
    ):
        events = fields[name] * (rate + of_decisions)
        if events > most:
            raise ConfigurationError(
                f"{name}={fields[name]:g} has too many events: expected at most {most:,} (takers, "
                "background orders, steps of the efficient price, decision intervals), "
                f"got {events:,.0f}, which are {rate + of_decisions:,.0f} a second"
            )
