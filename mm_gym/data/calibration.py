"""Calibration: a market with the figures of exchange data.

Some fields are measured in the data: sizes, arrival rates of limit orders, volatility and the
sensitivity of takers to the spread. Volatility is that of the mid over the longest interval with an
estimate, because over short intervals the mid bounces.

Three fields are matched by simulation, because they have no direct counterpart in the data:

* `taker_rate`: some takers find no acceptable price and do not trade.
* `maker_depth`: it determines the spread.
* `maker_cancel_rate`: makers also cancel orders that the efficient price has crossed.

The simulation has fixed seeds, so equal data give equal markets.

Taker sizes are executed sizes, because the data do not show what takers asked for beyond them. The
data show neither the signal nor who is informed. By default no taker is informed.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from gymnasium.utils import seeding

from mm_gym.config import MarketConfig, configure
from mm_gym.core.layout import MARKET_ORDERS, Outcome
from mm_gym.data.description import VOLATILITY_INTERVALS, DataError, Description, Figure
from mm_gym.markets import Markets
from mm_gym.parameters import to_parameters

MOST_RESTING = MARKET_ORDERS // 4
"""Largest number of background orders per side, `maker_rate / maker_cancel_rate`."""

_N_MARKETS = 64
_STEPS = 400
_ROUNDS = 16
_WHOLE_STEPS = 7  # rounds without damping
_TRADES_PER_STEP = 0.05  # small, so that two trades in one step are rare
_FAR_OFFSET = 1e5  # [ticks] of the agent's quotes, so that they never trade
_STEEPEST = 4.0  # [tolerances] largest half-spread; beyond it fewer than 1 taker in 50 would trade
_SHORT = 600.0  # [s] a shorter recording gets a note
_SLOWEST = 0.05  # smallest maker_cancel_rate, as a share of the cancel rate in the data


class Matched(NamedTuple):
    """A figure that was matched by simulation, in the data and in the market."""

    name: str
    unit: str
    data: float
    market: float


@dataclass(frozen=True)
class Calibration:
    """A calibrated market."""

    config: MarketConfig
    matched: tuple[Matched, ...]
    """How close the market comes to the data."""
    notes: tuple[str, ...]
    """Assumptions and limitations, one sentence or more each."""


def calibrate(description: Description, signal_share: float = 0.0, **fields: Any) -> Calibration:
    """Calibrate a market to the figures of data.

    Args:
        description: of the data. One lot of the market is `description.lot_size` shares.
        signal_share: share of the variance of price moves that the signal explains, in [0, 1), over
            the interval of the volatility estimate. The data do not show it. With 0 the signal
            predicts nothing.
        **fields: fields of `MarketConfig` to set instead of calibrating them.

    Raises:
        DataError: if the data have no trades, limit orders, cancellations or moves, if the share is
            out of range, or if the fields ask for makers other than `anchored`.
        ConfigurationError: if a field is unknown or out of range.
    """
    half_life = configure(**fields).signal_half_life  # raises for an unknown field
    _check(description, signal_share)
    notes: list[str] = []
    if description.duration < _SHORT:
        notes.append(
            f"The recording is only {description.duration:.0f} s long. Its figures may not be "
            "those of a whole day."
        )
    measured = _measured(description, signal_share, half_life, notes)
    config = configure(**{**measured, **fields})
    if config.makers != "anchored":
        raise DataError(
            f"makers={config.makers!r} cannot be calibrated: expected makers='anchored', "
            f"got {config.makers!r}"
        )
    config, matched = _match(config, description, frozenset(fields), notes)
    return Calibration(config, matched, tuple(notes))


def _check(description: Description, signal_share: float) -> None:
    if not 0.0 <= signal_share < 1.0:
        raise DataError(
            f"signal_share={signal_share!r} is out of range: expected a number from 0 to below 1, "
            f"got {signal_share!r}"
        )
    needed = {
        "trades": _both(description, "trades_buys", "trades_sells"),
        "limit orders": _both(description, "limit_orders_bid", "limit_orders_ask"),
        "cancellations": _cancel_rate(description).value,
        "one-second moves of the mid": description["volatility_1"].value,
    }
    for events, value in needed.items():
        if not value > 0.0:
            raise DataError(
                f"the data do not allow a calibration: expected {events}, got none "
                "(take a longer recording)"
            )


def _both(description: Description, one: str, other: str) -> float:
    return description[one].value + description[other].value


def _cancel_rate(description: Description) -> Figure:
    return description["cancel_rate_in_view" if description.n_levels > 1 else "cancel_rate_best"]


def _measured(
    description: Description, signal_share: float, half_life: float, notes: list[str]
) -> dict[str, Any]:
    """Fields measured in the data, initial values of the matched fields, and the agent's scales."""
    half_spread = 0.5 * description["spread"].value
    maker_rate = 0.5 * _both(description, "limit_orders_bid", "limit_orders_ask")
    cancel_rate = max(_cancel_rate(description).value, _fewest_cancels(maker_rate))
    tolerance = _tolerance(description, notes)
    trade_rate = _both(description, "trades_buys", "trades_sells")
    found = {
        "regime": "noise",
        "tick_size": description.tick_size,
        "initial_price": round(description.first_mid),
        **_value(description, signal_share, half_life, notes),
        "taker_rate": trade_rate * math.exp(min(3.0, half_spread / tolerance)),
        "taker_tolerance": tolerance,
        "taker_size": _size(description, "trade", notes),
        "maker_rate": maker_rate,
        "maker_cancel_rate": cancel_rate,
        "maker_depth": 2.0 * half_spread,
        "maker_size": _size(description, "limit_order", notes),
        "warm_up": math.ceil(5.0 / cancel_rate),
        "max_offset": math.ceil(4.0 * half_spread),
        "close_out_cost": half_spread,
    }
    if description.n_levels == 1:
        notes.append(
            "The files show the best level only. maker_rate and maker_cancel_rate are those of "
            "orders at the best price. In the market fewer orders arrive at the best price."
        )
    else:
        notes.append(
            f"maker_rate is that of orders within {description.n_levels} levels. The market's "
            "makers also place orders further away, so fewer arrive within these levels."
        )
    notes.append(
        "taker_rate does not include hidden executions. max_offset (twice the spread), "
        "close_out_cost (half the spread) and warm_up (five mean lifetimes of an order) are "
        "scales for the agent, not measurements."
    )
    return {name: _rounded(value) for name, value in found.items()}


def _value(
    description: Description, signal_share: float, half_life: float, notes: list[str]
) -> dict[str, float]:
    """Volatility and signal drift that reproduce the mid's variance over the longest interval."""
    intervals = [
        interval
        for interval in VOLATILITY_INTERVALS
        if description[f"volatility_{interval:g}"].value > 0.0
    ]
    interval = intervals[-1]
    variance = description[f"volatility_{interval:g}"].value ** 2
    kappa = math.log(2.0) / half_life
    x = kappa * interval
    # A signal with unit variance and drift beta moves the price by a variance of
    # 2 beta^2 / kappa (t - (1 - exp(-kappa t)) / kappa).
    persistence = 1.0 + math.expm1(-x) / x if x > 1e-4 else 0.5 * x
    drift = math.sqrt(signal_share * variance * kappa / (2.0 * persistence))
    notes.append(
        f"volatility is that of the mid over {interval:g} s, the longest interval with an estimate."
    )
    if signal_share == 0.0:
        notes.append(
            "The data do not show the signal. signal_drift is 0, so the signal predicts nothing. "
            "Set signal_share to let it explain a share of the variance."
        )
    return {"volatility": math.sqrt((1.0 - signal_share) * variance), "signal_drift": drift}


def _tolerance(description: Description, notes: list[str]) -> float:
    decay, half_spread = description["price_sensitivity"], 0.5 * description["spread"].value
    if decay.value * half_spread > _STEEPEST:
        notes.append(
            f"The trade rate falls by a factor e per {1.0 / decay.value:.2g} ticks of half-spread. "
            "With such a tolerance hardly any taker would trade, so taker_tolerance is limited to "
            f"{1.0 / _STEEPEST:g} half-spreads."
        )
        return half_spread / _STEEPEST
    if decay.value > 2.0 * decay.standard_error:
        return 1.0 / decay.value
    notes.append(
        "The trade rate does not fall significantly with the spread, so taker_tolerance is "
        "infinite: takers send market orders."
    )
    return math.inf


def _size(description: Description, name: str, notes: list[str]) -> float:
    mean = description[f"{name}_size"].value
    if mean < 1.0:
        field = "taker_size" if name == "trade" else "maker_size"
        notes.append(
            f"{field} is 1 lot, the smallest size, because the mean is {mean:.2f} lots of "
            f"{description.lot_size} shares. Set a smaller lot_size to keep the mean."
        )
    return max(1.0, mean)


def _rounded(value: Any) -> Any:
    """Four significant digits, so that the printed value is the value in use."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


# ---------------------------------------------------------------------------- matched by simulation


class _MarketFigures(NamedTuple):
    trade_rate: float
    spread: float
    cancel_rate: float


def _match(
    config: MarketConfig, description: Description, fixed: frozenset[str], notes: list[str]
) -> tuple[MarketConfig, tuple[Matched, ...]]:
    """Adjust taker_rate, maker_depth and maker_cancel_rate to match the data's figures."""
    target = _MarketFigures(
        _both(description, "trades_buys", "trades_sells"),
        description["spread"].value,
        _cancel_rate(description).value,
    )
    fewest_cancels = max(_SLOWEST * target.cancel_rate, _fewest_cancels(config.maker_rate))
    for attempt in range(_ROUNDS):
        found = _simulate(config, target.trade_rate)
        # The first steps are whole. Later ones shrink, so that simulation noise averages out.
        gain = 1.0 / max(1, attempt - _WHOLE_STEPS + 1)
        cancel_rate = config.maker_cancel_rate + gain * (target.cancel_rate - found.cancel_rate)
        adjusted = {
            "taker_rate": config.taker_rate * _factor(target.trade_rate, found.trade_rate) ** gain,
            "maker_depth": config.maker_depth * _factor(target.spread, found.spread) ** gain,
            "maker_cancel_rate": max(fewest_cancels, cancel_rate),
        }
        config = replace(
            config,
            **{name: _rounded(value) for name, value in adjusted.items() if name not in fixed},
        )
    found = _simulate(config, target.trade_rate)
    if (
        config.maker_cancel_rate == _rounded(fewest_cancels)
        and found.cancel_rate > 1.1 * target.cancel_rate
    ):
        notes.append(
            f"The data have more resting orders than a market holds ({MOST_RESTING} per side). "
            "maker_cancel_rate is the smallest value allowed, and the market's book is thinner "
            "than the exchange's."
        )
    names = (("trades", "1/s"), ("spread", "ticks"), ("cancel rate", "1/s"))
    matched = tuple(
        Matched(name, unit, data, market)
        for (name, unit), data, market in zip(names, target, found, strict=True)
    )
    return config, matched


def _fewest_cancels(maker_rate: float) -> float:
    """The smallest `maker_cancel_rate` [1/s] allowed, with a margin for rounding."""
    return 1.001 * maker_rate / MOST_RESTING


def _factor(target: float, found: float) -> float:
    """The factor for the next step, between 1/2 and 2."""
    return min(2.0, max(0.5, target / found)) if found > 0.0 else 2.0


def _simulate(config: MarketConfig, trade_rate: float) -> _MarketFigures:
    """Measure a market without an agent: its quotes are too far away to trade."""
    interval = min(5.0, max(1e-3, _TRADES_PER_STEP / trade_rate))
    probe = replace(
        config,
        decision_interval=interval,
        latency=0.0,
        max_offset=_FAR_OFFSET,
        max_inventory=1,
        quote_size=1,
    )
    markets = Markets(probe, _N_MARKETS)
    markets.start(seeding.np_random(seed)[0] for seed in range(_N_MARKETS))
    far = np.ones((_N_MARKETS, 2), dtype=np.float32)
    features, orders = markets.records["features"], markets.records["book"]["orders"]
    decay = float(to_parameters(probe)["feature_decay"][1])
    trades, lots, resting, spreads = 0, 0.0, 0.0, []
    for _ in range(_STEPS):
        before = features["activity"].copy()
        _, outcomes = markets.step(far)
        # activity is an exponentially weighted sum of the lots taken in each step.
        taken = features["activity"] - decay * before
        trades += int((taken > 0.5).sum())
        lots += float(taken.sum())
        resting += float(orders["lots"].sum()) - 2.0 * _N_MARKETS  # without the agent's two lots
        spreads.append(outcomes[:, Outcome.SPREAD])
    n_steps = _N_MARKETS * _STEPS
    spread = np.concatenate(spreads)
    quoted = spread[spread < 2.0 * _FAR_OFFSET]  # a book with an empty side has no spread
    # In equilibrium arrivals equal departures, so lots that were not taken were cancelled.
    cancelled = 2.0 * config.maker_rate * config.maker_size * n_steps * interval - lots
    return _MarketFigures(
        -math.log1p(-trades / n_steps) / interval if trades < n_steps else 1.0 / interval,
        float(quoted.mean()) if len(quoted) else 2.0 * config.maker_depth,
        max(0.0, cancelled) / (max(resting, 1.0) * interval),
    )
