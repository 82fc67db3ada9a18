"""Exact moments of the profit of a quoting strategy, in the model of Avellaneda and Stoikov (2008).

Paper: High-frequency trading in a limit order book. The mid is a Brownian motion. Market orders
fill a quote at distance delta from the mid with intensity lambda(delta) = A exp(-k delta). The
moments are those of the profit, cash plus inventory at the mid, and of the inventory at the end.

Letters: q inventory, sigma `volatility`, k `fill_decay`, A `arrival_rate`, T `horizon`,
dt = T / N with N `steps`. Any consistent units are valid, such as ticks, seconds and lots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.integrate import solve_ivp

from ._shared import Depths, FloatArray, check_count, check_not_negative, check_positive

FillProbability = Literal["literal", "exponential", "continuous"]
Strategy = Callable[[FloatArray, float], Depths]
"""The depths of both quotes, given inventories of shape [n] and the time left."""
_Quotes = Callable[[float], tuple[Depths, Depths]]
"""Depths and fill intensities of all inventories, given the time left."""

# The exponent of an intensity is cut at 25, which keeps the solver stable. A quote with intensity
# A exp(25) is filled almost at once.
_LARGEST_EXPONENT = 25.0


@dataclass(frozen=True)
class Moments:
    """Moments of the profit and of the inventory at the end of a session that starts flat."""

    mean_profit: float  # [price x lots]
    std_profit: float  # [price x lots]
    mean_inventory: float  # [lots]
    std_inventory: float  # [lots]


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
    """Return the exact moments of a strategy that depends on its inventory and the time left.

    The moments are computed without sampling. With x the profit, the quantities P(q), E[x; q] and
    E[x^2; q] of all inventories q are propagated forward in time. They form a closed system: the
    mid is a martingale independent of the fills, and the depths depend only on inventory and time.

    The order of events in a step is that of the paper. The maker quotes with T - t left. Each side
    is filled at most once, independently of the other. Then the mid moves by +-sigma sqrt(dt), and
    the inventory after the fills gains or loses. Only the variance of this move matters.

    * "literal": a fill has probability min(1, lambda(delta) dt), as in the paper's simulation.
    * "exponential": a fill has probability 1 - exp(-lambda(delta) dt), that of an order that rests
      for the whole interval.
    * "continuous": the limit dt -> 0. The forward equations of P(q), E[x; q] and E[x^2; q] are a
      linear system of ordinary differential equations. `scipy.integrate.solve_ivp` solves it with
      LSODA, because quotes far beyond the mid are filled almost at once, which is stiff.
      Intensities are cut at exp(25) A, which does not change the first ten digits. `steps` is not
      used.

    Args:
        strategy: such as `avellaneda_stoikov.inventory_strategy(...)`.
        volatility: sigma, not negative [price / sqrt(time)].
        fill_decay: k, positive [1 / price].
        arrival_rate: A, positive [1 / time].
        horizon: T, positive [time].
        steps: N, the number of decisions in the session.
        fill_probability: "literal", "exponential" or "continuous".
        max_inventory: a side at this bound is not quoted [lots]. None means no bound: the table
            doubles until its edge never has a probability of 1e-10 or more.

    Returns:
        The moments of a session that starts flat.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_positive(fill_decay=fill_decay, arrival_rate=arrival_rate, horizon=horizon)
    check_not_negative(volatility=volatility)
    check_count(steps=steps)
    if fill_probability not in ("literal", "exponential", "continuous"):
        raise ValueError(
            f"fill_probability={fill_probability!r} is not offered: expected one of 'literal', "
            f"'exponential', 'continuous', got {fill_probability!r}"
        )
    if max_inventory is not None:
        check_count(max_inventory=max_inventory)

    def run(bound: int) -> tuple[Moments, float]:
        inventory = np.arange(-bound, bound + 1.0)

        def quotes(time_left: float) -> tuple[Depths, Depths]:
            """Return finite depths and their intensities, which are zero at the bound."""
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


def _discrete_moments(
    quotes: _Quotes,
    inventory: FloatArray,
    volatility: float,
    horizon: float,
    steps: int,
    literal: bool,
) -> tuple[Moments, float]:
    """Propagate P(q), E[x; q] and E[x^2; q] through the steps.

    Returns the moments and the largest probability at the edge of the table.
    """
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
    """Return P(q), E[x; q] and E[x^2; q] after each path at q has gained gain(q)."""
    probability, first, second = state
    return np.stack(
        [
            probability,
            first + gain * probability,
            second + 2.0 * gain * first + gain**2 * probability,
        ]
    )


def _continuous_moments(
    quotes: _Quotes, inventory: FloatArray, volatility: float, horizon: float
) -> tuple[Moments, float]:
    """Solve the forward equations in continuous time.

    Returns the moments and the largest probability at the edge of the table.
    """
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
    # The three quantities of an inventory are neighbours, so the Jacobian is a narrow band.
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
        raise RuntimeError(
            f"the forward equations have no solution: expected success, got {solution.message!r}"
        )
    state = solution.y[:, -1].reshape(size, 3).T
    edge = float(np.max(np.abs(solution.y[0]) + np.abs(solution.y[-3])))
    return _moments(state, inventory), edge


def _moments(state: FloatArray, inventory: FloatArray) -> Moments:
    """Return the moments that belong to P(q), E[x; q] and E[x^2; q]."""
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
