"""The checks of a configuration: the type and range of each field, then combinations of fields."""

import itertools
import math
import os
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import (
    BOOK_ROOMS,
    CLUSTERING_KERNELS,
    FEE_TIERS,
    LARGEST_PRICE,
    LATENCY_SAMPLES,
    MAKER_DISTANCES,
    QUOTES_IN_FLIGHT,
)
from mm_gym.errors import ConfigurationError, nearest
from mm_gym.regimes import REGIMES, REPLAY

RewardName = Literal["pnl", "inventory_penalty", "dampened", "cara"]
MakersName = Literal["anchored", "none", "zero_intelligence", "recorded"]
InformedName = Literal["signal", "naive", "decoy"]
LatencyName = Literal["constant", "exponential", "empirical"]
FeeUnitName = Literal["ticks", "currency", "notional"]

_LARGEST_NUMBER = 1e12
_LARGEST_RATE = 1e6  # [1/s]
_LARGEST_SIZE = 2**31 - 1  # [size units] of an order in a market of recorded data
_SHORTEST_INTERVAL = 1e-6  # [s]
_MOST_DEVIATIONS = (
    12.0  # A normal variable exceeds so many standard deviations once in 10^32 draws.
)
_MOST_MEANS = 40.0  # An exponential variable with 53 random bits stays below so many means.
_SMALLEST_NUMBER = 1e-12  # anything nearer to 0 means 0, and its reciprocal may overflow
_MOST_EVENTS = 1_000_000  # between two decisions: a fifth of a second
_MOST_WARM_UP_EVENTS = 3_000_000

# Field: lowest value, highest value, whether the lowest value itself is allowed.
_RANGES: dict[str, tuple[float, float, bool]] = {
    "decision_interval": (_SHORTEST_INTERVAL, 1e6, True),
    "session_steps": (1, 10**9, True),
    "warm_up": (0.0, 1e6, True),
    "latency": (0.0, 1e6, True),
    "cancel_latency": (0.0, 1e6, True),
    "initial_price": (-0.5 * LARGEST_PRICE, 0.5 * LARGEST_PRICE, True),
    "tick_size": (0.0, _LARGEST_NUMBER, False),
    "volatility": (0.0, 1e6, True),
    "signal_drift": (0.0, 1e5, True),
    "signal_half_life": (_SHORTEST_INTERVAL, _LARGEST_NUMBER, True),
    "value_interval": (_SHORTEST_INTERVAL, 1e6, True),
    "taker_rate": (0.0, _LARGEST_RATE, True),
    "p_informed": (0.0, 1.0, True),
    "signal_threshold": (0.0, 100.0, True),
    "imbalance": (0.0, 1.0, True),
    "imbalance_flip_rate": (0.0, _LARGEST_RATE, True),
    "longest_metaorder": (1, 10**5, True),
    "metaorder_exponent": (0.01, 100.0, True),
    "taker_tolerance": (0.0, math.inf, True),
    "taker_size": (1.0, 1e6, True),
    "naive_taker_size": (1.0, 1e6, True),
    "maker_rate": (0.0, _LARGEST_RATE, True),
    "maker_cancel_rate": (0.0, _LARGEST_RATE, False),
    "maker_depth": (0.0, 1e6, True),
    "maker_size": (1.0, 1e6, True),
    "data_start": (0.0, 1.0, True),
    "data_end": (0.0, 1.0, False),
    "lot_size": (1, 10**9, True),
    "quote_size": (1, 10**6, True),
    "max_inventory": (1, 10**9, True),
    "max_offset": (0.0, 1e6, False),
    "requote_threshold": (0.0, 1e6, True),
    "maker_fee": (-1e6, 1e6, True),
    "taker_fee": (-1e6, 1e6, True),
    "close_out_cost": (0.0, 1e6, True),
    "close_out_impact": (0.0, 1e6, True),
    "reward_scale": (0.0, 1e6, False),
    "inventory_penalty": (0.0, 1e6, True),
    "dampening": (0.0, 1.0, True),
    "risk_aversion": (0.0, 1e6, False),
}
_WHOLE = ("session_steps", "longest_metaorder", "lot_size", "quote_size", "max_inventory")
_CHOICES = {
    "informed_kind": get_args(InformedName),
    "latency_kind": get_args(LatencyName),
    "fee_unit": get_args(FeeUnitName),
    "makers": get_args(MakersName),
    "reward": get_args(RewardName),
}
_SWITCHES = ("informed_price_limit", "refill", "sniping")
_RATES_BY_DISTANCE = ("limit_order_rates", "cancel_rates")
# Field: largest number of elements, what they are, one of them, and the largest value of one.
_SEQUENCES = {
    **dict.fromkeys(
        _RATES_BY_DISTANCE,
        (MAKER_DISTANCES, "rates [1/s], one for each distance [ticks]", "rate", _LARGEST_RATE),
    ),
    "clustering": (
        CLUSTERING_KERNELS,
        "branching ratios, one for each element of clustering_half_lives",
        "branching ratio",
        1.0,
    ),
    "clustering_half_lives": (
        CLUSTERING_KERNELS,
        "half-lives [s], one for each element of clustering",
        "half-life",
        1e6,
    ),
    **dict.fromkeys(
        ("latency_samples", "cancel_latency_samples"),
        (LATENCY_SAMPLES, "latencies [s]", "latency", 1e6),
    ),
    "fee_tier_lots": (FEE_TIERS, "volumes [lots]", "volume", _LARGEST_NUMBER),
    "fee_tier_fees": (FEE_TIERS, "fees", "fee", 1e6),
}
_SIGNED = ("fee_tier_fees",)
# A market's draws of exponential latencies are cut at the longest latency that it has room for.
_MEANS_WITHIN = 10.0


def check_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration, each converted to its type.

    Args:
        fields: a value for every field of `MarketConfig`.

    Raises:
        ConfigurationError: if a field is out of its range or two fields contradict each other.
    """
    checked = dict(fields)
    check_regime(fields["regime"])
    for name, choices in _CHOICES.items():
        _check_choice(name, fields[name], choices)
    for name in _SWITCHES:
        checked[name] = _switch(name, fields[name])
    for name in _SEQUENCES:
        checked[name] = _sequence(name, fields[name])
    for name in _RANGES:
        if fields[name] is not None or name != "cancel_latency":
            checked[name] = _number(name, fields[name])
    checked["data"] = _path(fields["data"])
    _check_flow(checked)
    _check_recorded(checked)
    _check_clustering(checked["clustering"], checked["clustering_half_lives"])
    _check_makers(checked)
    _check_prices(checked)
    _check_latency(checked)
    _check_fees(checked)
    _check_events(checked)
    return checked


def check_regime(regime: Any) -> None:
    """Check the name of a regime.

    Raises:
        ConfigurationError: if the regime is unknown. The message names the nearest one.
    """
    if not isinstance(regime, str) or regime not in (*REGIMES, REPLAY):
        raise ConfigurationError(
            f"regime {regime!r} is unknown: expected a key of mm_gym.REGIMES, got {regime!r}; "
            f"{nearest(str(regime), (*REGIMES, REPLAY))}"
        )


def by_distance(rates: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Rates at the distances 1, 2, ... `MAKER_DISTANCES` [ticks]; the last one applies beyond."""
    return np.array(rates)[np.minimum(np.arange(MAKER_DISTANCES), len(rates) - 1)]


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ConfigurationError(
            f"{name}={value!r} is not offered: expected one of {', '.join(map(repr, choices))}, "
            f"got {value!r}"
        )


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigurationError(
            f"{name}={value!r} is not a switch: expected True or False, got {value!r}"
        )
    return bool(value)


def _is_number(value: Any) -> bool:
    # A bool is an int for Python, but `latency=True` is a mistake.
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _number(name: str, value: Any) -> float | int:
    low, high, closed = _RANGES[name]
    whole = name in _WHOLE
    kind = "a whole number" if whole else "a number"
    span = f"from {low:g} to {high:g}" if closed else f"above {low:g} and up to {high:g}"
    expected = f"expected {kind} {span}, got {value!r}"
    if not _is_number(value):
        raise ConfigurationError(f"{name}={value!r} is not {kind}: {expected}")
    try:
        number = float(value)
    except OverflowError:
        number = math.nan  # an integer too large for a float is outside every range
    inside = low <= number <= high if closed else low < number <= high
    if not inside or (whole and number != int(number)):
        raise ConfigurationError(f"{name}={value!r} is out of range: {expected}")
    if 0.0 < abs(number) < _SMALLEST_NUMBER:
        raise ConfigurationError(
            f"{name}={value!r} is too near to 0: expected 0 or at least {_SMALLEST_NUMBER:g}, "
            f"got {value!r}"
        )
    return int(number) if whole else number


def _sequence(name: str, value: Any) -> tuple[float, ...]:
    """A sequence of numbers as a tuple. JSON stores it as a list."""
    most, what, one, largest = _SEQUENCES[name]
    wanted = f"expected at most {most} {what}"
    not_numbers = f"{name} is not a sequence of {what.split()[0]}: {wanted}, got {value!r}"
    is_array = isinstance(value, np.ndarray) and value.ndim == 1
    if not isinstance(value, (tuple, list)) and not is_array:
        raise ConfigurationError(not_numbers)
    if len(value) > most:
        raise ConfigurationError(f"{name} is too long: {wanted}, got {len(value)}")
    if not all(map(_is_number, value)):
        raise ConfigurationError(not_numbers)
    try:
        numbers = tuple(map(float, value))
    except OverflowError:
        raise ConfigurationError(not_numbers) from None
    for number in numbers:
        size = abs(number) if name in _SIGNED else number
        if not (number == 0.0 or _SMALLEST_NUMBER <= size <= largest):
            raise ConfigurationError(
                f"{name} has a {one} that is out of range: "
                f"expected 0 or numbers from {_SMALLEST_NUMBER:g} to {largest:g}, got {number!r}"
            )
    return numbers


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
    if half_lives and min(half_lives) < _SHORTEST_INTERVAL:
        raise ConfigurationError(
            f"clustering_half_lives={half_lives!r} is out of range: expected numbers from "
            f"{_SHORTEST_INTERVAL:g} to 1e+06, got {min(half_lives)!r}"
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


def _path(data: Any) -> str:
    """The path of a file as text."""
    if not isinstance(data, (str, os.PathLike)):
        raise ConfigurationError(
            f"data={data!r} is not a path: expected the path of a file of exchange data, "
            f"got {data!r}"
        )
    return os.fspath(data)


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


def resting_orders(fields: Mapping[str, Any]) -> float:
    """Mean number of background orders on each side of the book, without takers."""
    if fields["makers"] == "zero_intelligence":
        arrivals = np.array(fields["limit_order_rates"])
        cancels = by_distance(fields["cancel_rates"])[: len(arrivals)]
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.nansum(arrivals / cancels))
    if fields["makers"] == "anchored":
        return float(fields["maker_rate"] / fields["maker_cancel_rate"])
    return 0.0


def most_resting(orders: int) -> int:
    """Largest mean number of background orders on each side for a book with room for `orders`.

    It leaves as much room again for the fluctuations.
    """
    return orders // 4


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
    for name in _RATES_BY_DISTANCE:
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


def expected_event_rate(fields: Mapping[str, Any]) -> float:
    """[1/s] Expected number of simulated events, apart from those of the agent.

    Background orders count twice, since each leaves the book again. With `refill` each lot of a
    taker may be a trade of its own, because the lots of a short queue return and trade again.

    Args:
        fields: of `MarketConfig`, checked.
    """
    makers = {
        "anchored": 2.0 * fields["maker_rate"],
        "zero_intelligence": 2.0 * sum(fields["limit_order_rates"]),
    }.get(fields["makers"], 0.0)
    flips = fields["imbalance_flip_rate"] if fields["imbalance"] > 0.0 else 0.0
    takers = fields["taker_rate"]
    if fields["refill"]:
        naive = fields["informed_kind"] == "naive"
        takers *= max(fields["taker_size"], fields["naive_taker_size"] if naive else 1.0)
    return float(takers + flips + 2.0 * makers + 1.0 / fields["value_interval"])


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
