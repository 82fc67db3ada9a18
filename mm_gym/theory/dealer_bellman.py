"""The discrete dealer environment, solved exactly by dynamic programming.

The objective is that of Cartea, Jaimungal and Penalva (2015), section 10.2. Here the maker decides
only every dt and quotes one lot on each side. A learner in such an environment must be scored
against this value, not against the value in continuous time.

In an interval each side is filled at most once, independently of the other side. Then the mid
moves. The move has mean zero, so the objective does not depend on it. A fill at depth delta earns
delta. There are two fill models:

* "event_driven": takers of one side arrive at rate lambda and accept delta with probability
  exp(-kappa delta). The order rests for the whole interval or until it is filled. The fill
  probability is 1 - exp(-lambda exp(-kappa delta) dt). This is the model of an event-driven market.
* "single_arrival": at most one taker arrives in an interval, with probability 1 - exp(-lambda dt),
  and accepts with probability exp(-kappa delta). This is the model of a simulator in fixed steps.

A depth is never negative: at depth 0 every taker accepts, so a negative depth only costs money.

Letters: lambda+ `buy_rate` (takers that buy from the ask), lambda- `sell_rate`, kappa `fill_decay`,
phi `running_penalty`, alpha `terminal_penalty`, dt `decision_interval`, q inventory. Any consistent
units are valid, such as ticks, seconds and lots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from ._shared import Depths, FloatArray, check_count, check_not_negative, check_positive


@dataclass(frozen=True)
class DealerProblem:
    """One session of the discrete dealer environment.

    Raises:
        ValueError: a field is out of its range.
    """

    buy_rate: float  # [1 / time] lambda+, takers that buy
    sell_rate: float  # [1 / time] lambda-, takers that sell
    fill_decay: float  # [1 / price] kappa
    running_penalty: float  # [price / lot / time] phi, charged as phi q^2 dt after the fills
    terminal_penalty: float  # [price / lot] alpha, charged as alpha q^2 at the end
    decision_interval: float  # [time] dt
    steps: int  # decisions in a session
    max_inventory: int = 20  # [lots] a side at the bound is not quoted
    close_out_cost: float = 0.0  # [price] charged as close_out_cost |q| at the end
    max_depth: float = np.inf  # [price] largest depth of a quote
    fill_model: Literal["event_driven", "single_arrival"] = "event_driven"

    def __post_init__(self) -> None:
        """Check the fields."""
        check_positive(
            buy_rate=self.buy_rate,
            sell_rate=self.sell_rate,
            fill_decay=self.fill_decay,
            decision_interval=self.decision_interval,
        )
        check_not_negative(
            running_penalty=self.running_penalty,
            terminal_penalty=self.terminal_penalty,
            close_out_cost=self.close_out_cost,
        )
        check_count(steps=self.steps, max_inventory=self.max_inventory)
        if not self.max_depth >= 0.0:
            raise ValueError(
                f"max_depth={self.max_depth!r} is out of range: expected a number of at least 0, "
                f"got {self.max_depth!r}"
            )
        if self.fill_model not in ("event_driven", "single_arrival"):
            raise ValueError(
                f"fill_model={self.fill_model!r} is not offered: expected 'event_driven' or "
                f"'single_arrival', got {self.fill_model!r}"
            )

    @property
    def inventories(self) -> FloatArray:
        """All inventories, -max_inventory to max_inventory, shape [2 max_inventory + 1] [lots]."""
        return np.arange(-self.max_inventory, self.max_inventory + 1.0)

    def fill_probability(self, depth: npt.ArrayLike, rate: float) -> FloatArray:
        """Return the probability of a fill in one interval, in the shape of `depth`."""
        accepted = np.exp(-self.fill_decay * np.maximum(np.asarray(depth, dtype=np.float64), 0.0))
        if self.fill_model == "single_arrival":
            return np.asarray(-np.expm1(-rate * self.decision_interval) * accepted)
        return np.asarray(-np.expm1(-rate * self.decision_interval * accepted))


@dataclass(frozen=True)
class BellmanSolution:
    """The exact optimum. Row n of a table belongs to the time after n decisions."""

    inventories: FloatArray  # [lots], shape [inventories]
    values: FloatArray  # [price x lots], shape [steps + 1, inventories]
    ask_depths: FloatArray  # [price], shape [steps, inventories]; inf without a quote
    bid_depths: FloatArray  # [price], shape [steps, inventories]; inf without a quote

    @property
    def start_value(self) -> float:
        """The optimal expected objective from zero inventory [price x lots]."""
        return float(self.values[0, len(self.inventories) // 2])


class ConstantDepth(NamedTuple):
    """A constant depth of both quotes and its expected objective from zero inventory."""

    depth: float  # [price]
    value: float  # [price x lots]


def solve(problem: DealerProblem) -> BellmanSolution:
    """Return the optimal value and the optimal depths for every time and inventory.

    The two sides of an interval are optimised together. Both may be filled, so the value of one
    side depends on the fill probability of the other.
    """
    size = len(problem.inventories)
    values = np.empty((problem.steps + 1, size))
    asks, bids = np.empty((problem.steps, size)), np.empty((problem.steps, size))
    values[-1] = _final_value(problem)
    for step in reversed(range(problem.steps)):
        after = values[step + 1] - _penalty(problem)
        depths = _best_depths(problem, after)
        asks[step], bids[step] = depths
        values[step] = _before_fills(problem, after, depths)
    asks[:, 0] = np.inf
    bids[:, -1] = np.inf
    return BellmanSolution(problem.inventories, values, asks, bids)


def policy_value(
    problem: DealerProblem, ask_depths: npt.ArrayLike, bid_depths: npt.ArrayLike
) -> FloatArray:
    """Return the exact expected objective of any policy.

    Args:
        problem: the session. Its bound on inventory always applies. Its largest depth does not.
        ask_depths: any shape that broadcasts to [..., steps, inventories]; inf without a quote
            [price].
        bid_depths: any shape that broadcasts to [..., steps, inventories]; inf without a quote
            [price].

    Returns:
        Shape [..., steps + 1, inventories] [price x lots]. The middle of row 0 is the value from
        zero inventory.

    Raises:
        ValueError: the depths do not broadcast to a row per decision and a column per inventory.
    """
    needed = (problem.steps, len(problem.inventories))
    ask, bid = (np.asarray(side, dtype=np.float64) for side in (ask_depths, bid_depths))
    try:
        shape = np.broadcast_shapes(ask.shape, bid.shape, needed)
    except ValueError:
        shape = ()
    if shape[-2:] != needed:
        raise ValueError(
            "ask_depths and bid_depths do not fit the problem: expected shapes that broadcast to "
            f"[steps, inventories] = {needed}, got {ask.shape} and {bid.shape}"
        )
    ask, bid = np.broadcast_to(ask, shape), np.broadcast_to(bid, shape)
    values = np.empty((*shape[:-2], problem.steps + 1, shape[-1]))
    values[..., -1, :] = _final_value(problem)
    for step in reversed(range(problem.steps)):
        after = values[..., step + 1, :] - _penalty(problem)
        depths = Depths(ask[..., step, :], bid[..., step, :])
        values[..., step, :] = _before_fills(problem, after, depths)
    return values


def best_constant_depth(problem: DealerProblem) -> ConstantDepth:
    """Return the best constant depth of both quotes, a baseline that ignores inventory and time."""

    def value(depth: npt.ArrayLike) -> FloatArray:
        """Return the value from zero inventory for each depth."""
        both = np.asarray(depth, dtype=np.float64)[..., None, None]
        return policy_value(problem, both, both)[..., 0, problem.max_inventory]

    # This depth is twice the largest that the penalties can justify. The fill probability is
    # negligible there.
    session = problem.steps * problem.decision_interval
    dearest = problem.running_penalty * session + problem.terminal_penalty + problem.close_out_cost
    coarse = np.linspace(0.0, min(problem.max_depth, 5.0 / problem.fill_decay + 2.0 * dearest), 41)
    best = int(np.argmax(value(coarse)))
    near = coarse[[max(best - 1, 0), min(best + 1, len(coarse) - 1)]]
    found = minimize_scalar(
        lambda depth: -float(value(depth)), bounds=near, method="bounded", options={"xatol": 1e-9}
    )
    return ConstantDepth(float(found.x), -float(found.fun))


def _final_value(problem: DealerProblem) -> FloatArray:
    """Return the value of each inventory at the end of the session."""
    lots = problem.inventories
    return -problem.terminal_penalty * lots**2 - problem.close_out_cost * np.abs(lots)


def _penalty(problem: DealerProblem) -> FloatArray:
    """Return the running penalty of each inventory in one interval."""
    return problem.running_penalty * problem.decision_interval * problem.inventories**2


def _before_fills(problem: DealerProblem, after: FloatArray, depths: Depths) -> FloatArray:
    """Return the expected value of quoting these depths, shape [..., inventories]."""
    ask_chance = problem.fill_probability(depths.ask, problem.buy_rate)
    bid_chance = problem.fill_probability(depths.bid, problem.sell_rate)
    ask_chance[..., 0] = 0.0
    bid_chance[..., -1] = 0.0
    # A side that cannot be filled earns nothing. Its depth may be inf, so the product would be NaN.
    earned = ask_chance * np.where(ask_chance > 0, depths.ask, 0.0)
    earned = earned + bid_chance * np.where(bid_chance > 0, depths.bid, 0.0)
    value = earned + (1.0 - ask_chance - bid_chance + 2.0 * ask_chance * bid_chance) * after
    value[..., 1:] += (ask_chance * (1.0 - bid_chance))[..., 1:] * after[..., :-1]
    value[..., :-1] += (bid_chance * (1.0 - ask_chance))[..., :-1] * after[..., 1:]
    return np.asarray(value)


def _best_depths(problem: DealerProblem, after: FloatArray) -> Depths:
    """Return the best pair of depths for each inventory.

    Given the fill probability of the other side, each side has a unique best depth. The sides are
    optimised in turn until both converge. They interact weakly, so a few rounds are enough.
    """
    rise = np.diff(after)
    sold_gain, bought_gain = np.append(0.0, -rise), np.append(rise, 0.0)
    both = sold_gain + bought_gain  # the part of the two gains that is lost if both sides fill
    both[[0, -1]] = 0.0  # at the bound only one side is quoted
    ask = bid = np.zeros(len(after))
    bid_chance = problem.fill_probability(bid, problem.sell_rate)
    for _ in range(1000):
        previous_ask, previous_bid = ask, bid
        ask = _best_one_side(problem, sold_gain - bid_chance * both, problem.buy_rate)
        ask_chance = problem.fill_probability(ask, problem.buy_rate)
        bid = _best_one_side(problem, bought_gain - ask_chance * both, problem.sell_rate)
        bid_chance = problem.fill_probability(bid, problem.sell_rate)
        if max(np.max(np.abs(ask - previous_ask)), np.max(np.abs(bid - previous_bid))) < 1e-11:
            break
    return Depths(ask, bid)


def _best_one_side(problem: DealerProblem, gain: FloatArray, rate: float) -> FloatArray:
    """Return the depth that maximises P(delta) (delta + gain), for each gain.

    With "single_arrival" it is delta = 1 / kappa - gain. With "event_driven" and
    u = lambda exp(-kappa delta) dt, the condition is kappa (delta + gain) = (exp(u) - 1) / u. The
    left side minus the right side increases in delta and is concave. Newton's method starts where
    the difference is negative and therefore converges to the root from below.
    """
    depth = np.maximum(1.0 / problem.fill_decay - gain, 0.0)
    if problem.fill_model == "event_driven":
        for _ in range(100):
            u = rate * problem.decision_interval * np.exp(-problem.fill_decay * depth)
            u = np.clip(u, 1e-12, 500.0)  # the ratio is 1 below; exp overflows above
            ratio = np.expm1(u) / u
            slope = problem.fill_decay * (1.0 + np.exp(u) - ratio)
            step = (ratio - problem.fill_decay * (depth + gain)) / slope
            previous, depth = depth, np.maximum(depth + step, 0.0)
            if np.max(np.abs(depth - previous)) < 1e-13:
                break
    return np.minimum(depth, problem.max_depth)
