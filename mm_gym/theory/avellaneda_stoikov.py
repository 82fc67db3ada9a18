"""Avellaneda and Stoikov (2008), High-frequency trading in a limit order book.

A dealer with exponential utility quotes around a mid that is a Brownian motion; market orders reach
a quote at distance delta from the mid with intensity lambda(delta) = A exp(-k delta).
Quotes are the paper's closed form (equations 29 and 30); the moments of what they earn are exact.

Letters: q inventory, gamma `risk_aversion`, sigma `volatility`, k `fill_decay`, A `arrival_rate`,
T - t `time_left`. Units are free as long as they agree: prices in ticks, time in seconds, sizes in
lots give volatility in ticks per root second, fill_decay per tick, arrival_rate per second,
risk_aversion per tick and lot, profit in ticks x lots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from ._shared import Depths, FloatArray, check_count, check_not_negative, check_positive

FillProbability = Literal["literal", "exponential", "continuous"]
Strategy = Callable[[FloatArray, float], Depths]
"""Depths from (inventories of shape [n], time left)."""

# Intensities are cut at A exp(25): that fast already means "at once", and the solver stays stable.
_LARGEST_EXPONENT = 25.0


@dataclass(frozen=True)
class Moments:
    """Moments of the profit (cash plus inventory at the mid) and of the inventory at the end."""

    mean_profit: float  # [price x lots]
    std_profit: float  # [price x lots]
    mean_inventory: float  # [lots]
    std_inventory: float  # [lots]


def reservation_price_shift(
    inventory: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    risk_aversion: float,
    volatility: float,
) -> FloatArray:
    """Return r - s, by how much the reservation price lies above the mid (equation 29).

    r(s, t) = s - q gamma sigma^2 (T - t)

    Args:
        inventory: any shape [lots]; long is positive and gives a negative shift.
        time_left: any shape that broadcasts with inventory [time].
        risk_aversion: gamma, not negative.
        volatility: sigma, not negative.

    Returns:
        The broadcast shape [price].

    Raises:
        ValueError: an argument is negative or not finite.
    """
    check_not_negative(time_left=time_left, risk_aversion=risk_aversion, volatility=volatility)
    variance_left = volatility**2 * np.asarray(time_left, dtype=np.float64)
    return -np.asarray(inventory, dtype=np.float64) * risk_aversion * variance_left


def optimal_spread(
    time_left: npt.ArrayLike, *, risk_aversion: float, volatility: float, fill_decay: float
) -> FloatArray:
    """Return the distance between ask and bid (equation 30), the same for every inventory.

    delta^a + delta^b = gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / k)

    Args:
        time_left: any shape [time].
        risk_aversion: gamma, not negative; 0 gives the limit 2 / k.
        volatility: sigma, not negative.
        fill_decay: k, positive [1 / price].

    Returns:
        The shape of time_left [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_not_negative(time_left=time_left, risk_aversion=risk_aversion, volatility=volatility)
    check_positive(fill_decay=fill_decay)
    variance_left = volatility**2 * np.asarray(time_left, dtype=np.float64)
    return risk_aversion * variance_left + 2.0 * fill_margin(risk_aversion, fill_decay)


def fill_margin(risk_aversion: float, fill_decay: float) -> float:
    """Return (1 / gamma) ln(1 + gamma / k), the margin over the indifference price [price].

    It is 1 / k without risk aversion. Raises ValueError if an argument is out of its range.
    """
    check_not_negative(risk_aversion=risk_aversion)
    check_positive(fill_decay=fill_decay)
    if risk_aversion == 0:
        return 1.0 / fill_decay
    return float(np.log1p(risk_aversion / fill_decay) / risk_aversion)


def quote_depths(
    inventory: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    risk_aversion: float,
    volatility: float,
    fill_decay: float,
) -> Depths:
    """Return the depths of ask and bid from the mid: half the spread around the reservation price.

    delta^a = spread / 2 - q gamma sigma^2 (T - t),  delta^b = spread / 2 + q gamma sigma^2 (T - t).
    A large inventory makes one of them negative, which is a quote on the far side of the mid.

    Args:
        inventory: any shape [lots].
        time_left: any shape that broadcasts with inventory [time].
        risk_aversion: gamma, not negative.
        volatility: sigma, not negative.
        fill_decay: k, positive.

    Returns:
        Depths(ask, bid), each of the broadcast shape [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    shift = reservation_price_shift(
        inventory, time_left, risk_aversion=risk_aversion, volatility=volatility
    )
    half_spread = 0.5 * optimal_spread(
        time_left, risk_aversion=risk_aversion, volatility=volatility, fill_decay=fill_decay
    )
    return Depths(ask=half_spread + shift, bid=half_spread - shift)


def inventory_strategy(*, risk_aversion: float, volatility: float, fill_decay: float) -> Strategy:
    """Return the paper's "inventory" strategy, `quote_depths`, as a function for exact_moments."""

    def depths(inventory: FloatArray, time_left: float) -> Depths:
        return quote_depths(
            inventory,
            time_left,
            risk_aversion=risk_aversion,
            volatility=volatility,
            fill_decay=fill_decay,
        )

    return depths


def symmetric_strategy(half_spread: float) -> Strategy:
    """Return the paper's "symmetric" strategy: the same depth on both sides, always [price]."""

    def depths(inventory: FloatArray, time_left: float) -> Depths:
        constant = np.full(np.shape(inventory), float(half_spread))
        return Depths(ask=constant, bid=constant)

    return depths


def average_half_spread(
    horizon: float,
    *,
    risk_aversion: float,
    volatility: float,
    fill_decay: float,
    steps: int | None = None,
) -> float:
    """Return half of the optimal spread averaged over the session, what "symmetric" quotes [price].

    The spread is linear in the time left. Over a continuous session that averages T / 2; over the
    decisions of a session in N steps, which have T, T - dt, ... dt left, it averages (T + dt) / 2,
    and that is what the figures of the paper's Table 1 are made with (N = 200).

    Args:
        horizon: T, positive.
        risk_aversion: gamma, not negative.
        volatility: sigma, not negative.
        fill_decay: k, positive.
        steps: N; None for the average over continuous time.

    Returns:
        The half-spread [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_positive(horizon=horizon)
    interval = 0.0
    if steps is not None:
        check_count(steps=steps)
        interval = horizon / steps
    average_spread = optimal_spread(
        0.5 * (horizon + interval),
        risk_aversion=risk_aversion,
        volatility=volatility,
        fill_decay=fill_decay,
    )
    return 0.5 * float(average_spread)


def symmetric_moments(
    half_spread: float,
    *,
    volatility: float,
    fill_decay: float,
    arrival_rate: float,
    horizon: float = 1.0,
    steps: int | None = None,
) -> Moments:
    """Return the closed form for a constant half-spread d on both sides.

    With N = T / dt steps and p = A exp(-k d) dt, at most 1, a fill's chance as the paper simulates:
    E = 2 d N p,  Var q = 2 N p (1 - p),
    Var PnL = 2 d^2 N p (1 - p) + sigma^2 dt p (1 - p) N (N + 1).
    As dt goes to 0, with l = A exp(-k d): E = 2 d l T, Var q = 2 l T,
    Var PnL = 2 d^2 l T + sigma^2 l T^2.

    Args:
        half_spread: d, may be negative [price].
        volatility: sigma, not negative.
        fill_decay: k, positive.
        arrival_rate: A, positive.
        horizon: T, positive.
        steps: N; None gives the limit of continuous time.

    Returns:
        The moments from a flat start.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_positive(fill_decay=fill_decay, arrival_rate=arrival_rate, horizon=horizon)
    check_not_negative(volatility=volatility)
    rate = arrival_rate * np.exp(-fill_decay * half_spread)
    if steps is None:
        mean = 2.0 * half_spread * rate * horizon
        inventory_variance = 2.0 * rate * horizon
        profit_variance = half_spread**2 * inventory_variance + volatility**2 * rate * horizon**2
    else:
        check_count(steps=steps)
        interval = horizon / steps
        chance = min(1.0, rate * interval)
        noise = chance * (1.0 - chance)
        mean = 2.0 * half_spread * steps * chance
        inventory_variance = 2.0 * steps * noise
        profit_variance = (
            half_spread** 2 * inventory_variance
            + volatility** 2 * interval * noise * steps * (steps + 1)
        )
    return Moments(
        mean_profit=float(mean),
        std_profit=float(np.sqrt(profit_variance)),
        mean_inventory=0.0,
        std_inventory=float(np.sqrt(inventory_variance)),
    )


def exact_moments(
    strategy: Strategy,
    *,
    volatility: float,
    fill_decay: float,
    arrival_rate: float,
    horizon: float = 1.0,
    steps: int = 200,
    fill_probability: FillProbability = "literal",
    max_inventory: int | None = None,
) -> Moments:
    """Return the exact moments of a strategy that knows its inventory and the time left.

    Nothing is sampled. For every inventory q the three numbers P(q), E[x; q] and E[x^2; q] (x the
    marked profit) are carried forward; they close on themselves, because the mid is a martingale
    that does not depend on the fills and the depths depend on inventory and time alone.

    The order of events in a step is the paper's: the maker quotes with T - t left, each side is
    filled at most once and independently, then the mid moves by +-sigma sqrt(dt) against the
    inventory after the fills (of the mid's move only the variance matters here).

    * "literal": a fill has probability lambda(delta) dt, at most 1, as the paper simulates it.
    * "exponential": 1 - exp(-lambda(delta) dt), an order that waits for one interval.
    * "continuous": the limit dt -> 0. It is not a small dt but the limit's own forward equations,
      d P(q) / dt = sum of inflow - outflow and the like for E[x; q] and E[x^2; q], one linear
      system of ordinary differential equations, which `scipy.integrate.solve_ivp` solves (LSODA,
      because a quote far beyond the mid is filled almost at once, which is stiff). Intensities
      are cut at exp(25) A, an event so fast that the cut does not show in ten digits.
      `steps` is not used.

    Args:
        strategy: depths from (inventories [n], time left); see inventory_strategy.
        volatility: sigma, not negative.
        fill_decay: k, positive.
        arrival_rate: A, positive.
        horizon: T, positive.
        steps: number of decisions in the session.
        fill_probability: "literal", "exponential" or "continuous".
        max_inventory: a side at this bound is not quoted [lots]. None means no bound: the table is
            doubled until less than 1e-10 of the probability ever touches its edge.

    Returns:
        The moments from a flat start.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_positive(fill_decay=fill_decay, arrival_rate=arrival_rate, horizon=horizon)
    check_not_negative(volatility=volatility)
    check_count(steps=steps)
    if fill_probability not in ("literal", "exponential", "continuous"):
        raise ValueError(
            f"fill_probability came as {fill_probability!r}; 'literal', 'exponential' or "
            "'continuous' is wanted: write for example fill_probability='literal'."
        )
    if max_inventory is not None:
        check_count(max_inventory=max_inventory)

    def run(bound: int) -> tuple[Moments, float]:
        inventory = np.arange(-bound, bound + 1.0)

        def quotes(time_left: float) -> tuple[Depths, Depths]:
            """Return the depths, made finite, and the intensities at them, zero at the bound."""
            depths, rates = [], []
            for side, closed in zip(strategy(inventory, time_left), (0, -1), strict=True):
                exponent = np.minimum(-fill_decay * side, _LARGEST_EXPONENT)
                rate = arrival_rate * np.exp(exponent)
                rate[closed] = 0.0
                depths.append(np.where(rate > 0, side, 0.0))
                rates.append(rate)
            return Depths(*depths), Depths(*rates)

        if fill_probability == "continuous":
            return _continuous_moments(quotes, inventory, volatility, horizon)
        literal = fill_probability == "literal"
        return _discrete_moments(quotes, inventory, volatility, horizon, steps, literal)

    if max_inventory is not None:
        return run(max_inventory)[0]
    bound = 16
    while True:
        moments, edge = run(bound)
        if edge < 1e-10:
            return moments
        bound *= 2


Quotes = Callable[[float], tuple[Depths, Depths]]


def _discrete_moments(
    quotes: Quotes,
    inventory: FloatArray,
    volatility: float,
    horizon: float,
    steps: int,
    literal: bool,
) -> tuple[Moments, float]:
    """Carry P(q), E[x; q] and E[x^2; q] through the steps; also return the most there was at the
    edge."""
    interval = horizon / steps
    state = np.zeros((3, len(inventory)))
    state[0, len(inventory) // 2] = 1.0
    edge = 0.0
    for step in range(steps):
        depth, rate = quotes(horizon - step * interval)
        ask, bid = (
            np.minimum(1.0, side * interval) if literal else -np.expm1(-side * interval)
            for side in rate
        )
        after = (1 - ask) * (1 - bid) * state + ask * bid * _earn(state, depth.ask + depth.bid)
        after[:, :-1] += (ask * (1 - bid) * _earn(state, depth.ask))[:, 1:]
        after[:, 1:] += (bid * (1 - ask) * _earn(state, depth.bid))[:, :-1]
        after[2] += volatility**2 * interval * inventory**2 * after[0]
        state = after
        edge = max(edge, float(state[0, 0] + state[0, -1]))
    return _moments(state, inventory), edge


def _earn(state: FloatArray, gain: FloatArray) -> FloatArray:
    """Return P(q), E[x; q], E[x^2; q] after every path at q has earned gain(q)."""
    probability, first, second = state
    return np.stack(
        [
            probability,
            first + gain * probability,
            second + 2.0 * gain * first + gain**2 * probability,
        ]
    )


def _continuous_moments(
    quotes: Quotes, inventory: FloatArray, volatility: float, horizon: float
) -> tuple[Moments, float]:
    """Solve the forward equations; also return the most there was at the edge."""
    size = len(inventory)

    def slope(time: float, flat: FloatArray) -> FloatArray:
        state = flat.reshape(size, 3).T
        depth, rate = quotes(horizon - time)
        change = -(rate.ask + rate.bid) * state
        change[:, :-1] += (rate.ask * _earn(state, depth.ask))[:, 1:]
        change[:, 1:] += (rate.bid * _earn(state, depth.bid))[:, :-1]
        change[2] += volatility**2 * inventory**2 * state[0]
        return change.T.ravel()

    start = np.zeros((size, 3))
    start[size // 2, 0] = 1.0
    # Inventory by inventory, the three numbers side by side: then the Jacobian is a narrow band.
    solution = solve_ivp(
        slope,
        (0.0, horizon),
        start.ravel(),
        method="LSODA",
        lband=5,
        uband=5,
        rtol=1e-9,
        atol=1e-12,
    )
    if not solution.success:
        raise RuntimeError(f"The forward equations could not be solved: {solution.message}")
    state = solution.y[:, -1].reshape(size, 3).T
    edge = float(np.max(np.abs(solution.y[0]) + np.abs(solution.y[-3])))
    return _moments(state, inventory), edge


def _moments(state: FloatArray, inventory: FloatArray) -> Moments:
    probability, first, second = state
    mean_profit, mean_inventory = float(first.sum()), float(probability @ inventory)
    profit_variance = float(second.sum()) - mean_profit**2
    inventory_variance = float(probability @ inventory**2) - mean_inventory**2
    return Moments(
        mean_profit=mean_profit,
        std_profit=max(0.0, profit_variance) ** 0.5,
        mean_inventory=mean_inventory,
        std_inventory=max(0.0, inventory_variance) ** 0.5,
    )
