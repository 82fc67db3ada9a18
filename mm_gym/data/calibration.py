"""A market whose figures are those of exchange data.

What can be read off the data is: sizes, arrival rates of limit orders, the volatility of the mid
over the longest interval that they allow (over short ones it bounces), and how takers shun a wide
spread. What can not, since the market's own rules come between, is matched by simulation: the
takers' rate (some find no price that they accept), the depth at which makers place their orders (it
makes the spread), and the rate at which they cancel (orders that the price has crossed are pulled
as well). Equal data give equal markets: the simulation has fixed seeds.

Sizes of takers are what was executed; what they asked for beyond it, nobody sees.

The signal cannot be read off the data, nor who is informed: without a choice by the user, nobody
is.
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
"""Orders a side that `MarketConfig` lets the background makers keep: `maker_rate /
maker_cancel_rate`."""

_N_MARKETS = 64
_STEPS = 400
_ROUNDS = 16
_WHOLE_STEPS = 7
_TRADES_A_STEP = 0.05  # so few that two in one step hardly ever happen
_OUT_OF_THE_WAY = 1e5  # [ticks] where the agent's quotes stand while the market is measured
_STEEPEST = (
    4.0  # mean half-spread in tolerances: beyond it, fewer than one taker in fifty would trade
)
_SHORT = 600.0  # [s] a recording that is shorter says little
_SLOWEST = 0.05  # share of the cancel rate in the data below which the makers' own is not pushed


class Matched(NamedTuple):
    """A figure that was matched by simulation."""

    name: str
    unit: str
    data: float
    market: float


@dataclass(frozen=True)
class Calibration:
    """A market, how close it comes, and what has to be said about it."""

    config: MarketConfig
    matched: tuple[Matched, ...]
    notes: tuple[str, ...]


def calibrate(description: Description, signal_share: float = 0.0, **fields: Any) -> Calibration:
    """The market of `description`.

    Args:
        description: what the data say, in lots of `description.lot_size` shares.
        signal_share: share of the variance of the price's moves that is the signal's, in [0, 1),
            over the interval over which volatility is taken; the data do not show it. Zero, the
            default, leaves the informed nothing to know.
        **fields: any field of `MarketConfig`, to be taken as it is.

    Raises:
        DataError: if the data have no trades, limit orders, cancellations or moves, the share is
            out of range, or the fields ask for other makers than anchored ones.
        ConfigurationError: if a field is unknown or out of range.
    """
    half_life = configure(**fields).signal_half_life  # refuses what is no field, naming the nearest
    _check(description, signal_share)
    notes: list[str] = []
    if description.duration < _SHORT:
        notes.append(
            f"The recording is {description.duration:.0f} s long: its figures are those of these seconds."
        )
    read_off = _read_off(description, signal_share, half_life, notes)
    config = configure(**{**read_off, **fields})
    if config.makers != "anchored":
        raise DataError(
            f"makers={config.makers!r} came; only a market with makers='anchored' is calibrated to data"
        )
    config, matched = _match(config, description, frozenset(fields), notes)
    return Calibration(config, matched, tuple(notes))


def _check(description: Description, signal_share: float) -> None:
    if not 0.0 <= signal_share < 1.0:
        raise DataError(f"signal_share={signal_share!r} came; write a share from 0 to below 1")
    wanted = {
        "trades": _both(description, "trades_buys", "trades_sells"),
        "limit orders": _both(description, "limit_orders_bid", "limit_orders_ask"),
        "cancellations": _cancel_rate(description).value,
        "one-second moves of the mid": description["volatility_1"].value,
    }
    for what, value in wanted.items():
        if not value > 0.0:
            raise DataError(
                f"the data show no {what}, and a market cannot be calibrated without; take a longer recording"
            )


def _both(description: Description, one: str, other: str) -> float:
    return description[one].value + description[other].value


def _cancel_rate(description: Description) -> Figure:
    return description["cancel_rate_in_view" if description.n_levels > 1 else "cancel_rate_best"]


def _read_off(
    description: Description, signal_share: float, half_life: float, notes: list[str]
) -> dict[str, Any]:
    """Fields that the data show, first guesses of those that are matched, and scales of the agent's
    own."""
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
            "The files show the best level only: maker_rate and maker_cancel_rate are those of orders at the best "
            "price, and are taken for those of all. In the market fewer of the orders come to the best price."
        )
    else:
        notes.append(
            f"maker_rate is that of orders within {description.n_levels} levels; where the market's makers place some "
            "further away, fewer come within them."
        )
    notes.append(
        "Hidden executions are left out of taker_rate. max_offset (twice the spread), close_out_cost (half of it) and "
        "warm_up (five lives of an order) are scales for the agent, not measurements."
    )
    return {name: _rounded(value) for name, value in found.items()}


def _value(
    description: Description, signal_share: float, half_life: float, notes: list[str]
) -> dict[str, float]:
    """Volatility and drift that together give the mid's variance over the longest interval that was
    measured."""
    measured = [
        interval
        for interval in VOLATILITY_INTERVALS
        if description[f"volatility_{interval:g}"].value > 0.0
    ]
    interval = measured[-1]
    variance = description[f"volatility_{interval:g}"].value ** 2
    kappa = math.log(2.0) / half_life
    x = kappa * interval
    # A signal with unit variance and drift beta moves the price by a variance of
    # 2 beta^2 / kappa (t - (1 - exp(-kappa t)) / kappa).
    persistence = 1.0 + math.expm1(-x) / x if x > 1e-4 else 0.5 * x
    drift = math.sqrt(signal_share * variance * kappa / (2.0 * persistence))
    notes.append(
        f"volatility is that of the mid over {interval:g} s, the longest interval that the data allow."
    )
    if signal_share == 0.0:
        notes.append(
            "The signal cannot be read off the data: signal_drift is 0, so informed takers would know nothing. Choose "
            "signal_share to let a signal predict that share of the variance."
        )
    return {"volatility": math.sqrt((1.0 - signal_share) * variance), "signal_drift": drift}


def _tolerance(description: Description, notes: list[str]) -> float:
    decay, half_spread = description["price_sensitivity"], 0.5 * description["spread"].value
    if decay.value * half_spread > _STEEPEST:
        notes.append(
            f"Trades fall off by a factor e in {1.0 / decay.value:.2g} ticks of half-spread, so fast that nearly every "
            f"taker would find no price: taker_tolerance is held at {1.0 / _STEEPEST:g} half-spreads."
        )
        return half_spread / _STEEPEST
    if decay.value > 2.0 * decay.standard_error:
        return 1.0 / decay.value
    notes.append(
        "Trades do not become measurably rarer when the spread is wide, so taker_tolerance is infinite: takers send "
        "market orders."
    )
    return math.inf


def _size(description: Description, name: str, notes: list[str]) -> float:
    mean = description[f"{name}_size"].value
    if mean < 1.0:
        field = "taker_size" if name == "trade" else "maker_size"
        notes.append(
            f"{field} is 1 lot, the least there is: the mean is {mean:.2f} lots of {description.lot_size} shares. A "
            "smaller lot_size would keep it."
        )
    return max(1.0, mean)


def _rounded(value: Any) -> Any:
    """Four significant digits: more are not known, and what is printed is then what is used."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


# ---------------------------------------------------------------------------- matched by simulation


class _Measured(NamedTuple):
    trade_rate: float
    spread: float
    cancel_rate: float


def _match(
    config: MarketConfig, description: Description, fixed: frozenset[str], notes: list[str]
) -> tuple[MarketConfig, tuple[Matched, ...]]:
    """Adjust taker_rate, maker_depth and maker_cancel_rate until the simulated market has the
    data's figures."""
    target = _Measured(
        _both(description, "trades_buys", "trades_sells"),
        description["spread"].value,
        _cancel_rate(description).value,
    )
    fewest_cancels = max(_SLOWEST * target.cancel_rate, _fewest_cancels(config.maker_rate))
    for attempt in range(_ROUNDS):
        found = _simulate(config, target.trade_rate)
        # Whole steps at first, then ever smaller ones, so that the noise of the simulation averages
        # out.
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
            f"The data's makers keep more orders than a market holds ({MOST_RESTING} a side): maker_cancel_rate is the "
            "least that the market takes, and its book is thinner than the exchange's."
        )
    names = (("trades", "1/s"), ("spread", "ticks"), ("cancel rate", "1/s"))
    matched = tuple(
        Matched(name, unit, data, market)
        for (name, unit), data, market in zip(names, target, found, strict=True)
    )
    return config, matched


def _fewest_cancels(maker_rate: float) -> float:
    """[1/s] The least `maker_cancel_rate` that the configuration allows; a little more, so that it
    may be rounded."""
    return 1.001 * maker_rate / MOST_RESTING


def _factor(target: float, found: float) -> float:
    """The factor to try next, at most two either way."""
    return min(2.0, max(0.5, target / found)) if found > 0.0 else 2.0


def _simulate(config: MarketConfig, trade_rate: float) -> _Measured:
    """What a market does by itself: the agent's quotes stand where nobody trades."""
    interval = min(5.0, max(1e-3, _TRADES_A_STEP / trade_rate))
    probe = replace(
        config,
        decision_interval=interval,
        latency=0.0,
        max_offset=_OUT_OF_THE_WAY,
        max_inventory=1,
        quote_size=1,
    )
    markets = Markets(probe, _N_MARKETS)
    generators = [seeding.np_random(seed)[0] for seed in range(_N_MARKETS)]
    markets.reset(np.arange(_N_MARKETS), generators, *markets.empty_results())
    far = np.ones((_N_MARKETS, 2), dtype=np.float32)
    features, orders = markets.records["features"], markets.records["book"]["orders"]
    decay = float(to_parameters(probe)["feature_decay"][1])
    trades, lots, resting, spreads = 0, 0.0, 0.0, []
    for _ in range(_STEPS):
        before = features["activity"].copy()
        _, outcomes = markets.step(far)
        taken = (
            features["activity"] - decay * before
        )  # activity is a running sum of the lots taken in each step
        trades += int((taken > 0.5).sum())
        lots += float(taken.sum())
        resting += float(orders["lots"].sum()) - 2.0 * _N_MARKETS  # without the agent's two lots
        spreads.append(outcomes[:, Outcome.SPREAD])
    n_steps = _N_MARKETS * _STEPS
    spread = np.concatenate(spreads)
    quoted = spread[spread < 2.0 * _OUT_OF_THE_WAY]  # an empty side has no spread
    # Arrivals balance: the lots that were not taken were cancelled, by the makers or when the price
    # crossed them.
    cancelled = 2.0 * config.maker_rate * config.maker_size * n_steps * interval - lots
    return _Measured(
        -math.log1p(-trades / n_steps) / interval if trades < n_steps else 1.0 / interval,
        float(quoted.mean()) if len(quoted) else 2.0 * config.maker_depth,
        max(0.0, cancelled) / (max(resting, 1.0) * interval),
    )
