"""The discrete dealer environment, solved exactly by dynamic programming.

The objective is that of Cartea, Jaimungal and Penalva (2015), section 10.2, but the maker decides
only every dt, with one lot on each side. A learner in such an environment must be scored against
this value and not against the formula of continuous time.

In an interval each side is filled at most once, independently of the other. Then the mid moves,
which has no mean and so no part in the objective. A fill at depth delta earns delta. Two models:

* "event_driven": takers of one side arrive at rate lambda and accept delta with probability
  exp(-kappa delta); the order waits for the whole interval and is gone once filled. A fill has
  probability 1 - exp(-lambda exp(-kappa delta) dt). An event-driven market does this.
* "single_arrival": at most one taker arrives in an interval, with probability 1 - exp(-lambda dt),
  and accepts with probability exp(-kappa delta). Simulators in fixed steps do this.

A depth is never negative: at the mid every arrival accepts already, so less only costs money.

Letters: lambda+ `buy_rate` (takers who buy, from the ask), lambda- `sell_rate`, kappa `fill_decay`,
phi `running_penalty`, alpha `terminal_penalty`, dt `decision_interval`. Units are free as long as
they agree: ticks, seconds, lots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar

from ._shared import Depths, FloatArray, check_count, check_not_negative, check_positive


@dataclass(frozen=True)
class DealerProblem:
    """One session of the discrete dealer environment.

    Raises ValueError when a field is out of its range.
    """

    buy_rate: float  # [1 / time] lambda+, takers who buy
    sell_rate: float  # [1 / time] lambda-, takers who sell
    fill_decay: float  # [1 / price] kappa
    running_penalty: float  # [price / lot / time] phi, charged as phi q^2 dt per interval
    terminal_penalty: float  # [price / lot] alpha, charged as alpha q^2 in the end
    decision_interval: float  # [time] dt
    steps: int  # decisions in a session
    max_inventory: int = 20  # [lots] a side at the bound is not quoted
    close_out_cost: float = 0.0  # [price] charged as close_out_cost |q| in the end
    min_depth: float = 0.0  # [price] the quotes come no nearer to the mid
    max_depth: float = np.inf  # [price] and go no farther
    fill_model: Literal["event_driven", "single_arrival"] = "event_driven"
    penalty_timing: Literal["end", "start"] = "end"  # q after, or before, the interval's fills

    def __post_init__(self) -> None:
        """Check every field."""
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
            min_depth=self.min_depth,
        )
        check_count(steps=self.steps, max_inventory=self.max_inventory)
        if not self.max_depth >= self.min_depth:
            raise ValueError(
                f"max_depth came as {self.max_depth!r}; at least min_depth = {self.min_depth!r} "
                "is wanted: write for example max_depth=10.0."
            )
        for name, wanted in (
            ("fill_model", ("event_driven", "single_arrival")),
            ("penalty_timing", ("end", "start")),
        ):
            if getattr(self, name) not in wanted:
                raise ValueError(
                    f"{name} came as {getattr(self, name)!r}; one of {wanted} is wanted: "
                    f"write for example {name}={wanted[0]!r}."
                )

    @property
    def inventories(self) -> FloatArray:
        """Every inventory, from -max_inventory to max_inventory, shape [2 max_inventory + 1]."""
        return np.arange(-self.max_inventory, self.max_inventory + 1.0)

    def fill_probability(self, depth: npt.ArrayLike, rate: float) -> FloatArray:
        """Return the chance that a quote at this depth is filled in one interval, same shape."""
        accepted = np.exp(-self.fill_decay * np.maximum(np.asarray(depth, dtype=np.float64), 0.0))
        if self.fill_model == "single_arrival":
            return np.asarray(-np.expm1(-rate * self.decision_interval) * accepted)
        return np.asarray(-np.expm1(-rate * self.decision_interval * accepted))


@dataclass(frozen=True)
class BellmanSolution:
    """The exact optimum: row n of a table is n decisions after the start."""

    inventories: FloatArray  # [lots], shape [inventories]
    values: FloatArray  # [price x lots], shape [steps + 1, inventories]
    ask_depths: FloatArray  # [price], shape [steps, inventories]; inf where not quoted
    bid_depths: FloatArray  # [price], shape [steps, inventories]; inf where not quoted

    @property
    def start_value(self) -> float:
        """The best expected objective of a session that starts flat [price x lots]."""
        return float(self.values[0, len(self.inventories) // 2])


@dataclass(frozen=True)
class ConstantPolicy:
    """Two depths that never change, and the expected objective from a flat start."""

    ask_depth: float  # [price]
    bid_depth: float  # [price]
    value: float  # [price x lots]


def solve(problem: DealerProblem, depth_grid: npt.ArrayLike | None = None) -> BellmanSolution:
    """Return the Bellman value and the optimal depths.

    The two sides of one interval are chosen together: both may be filled, so what one side is
    worth depends on the chance of the other.

    Args:
        problem: the session.
        depth_grid: the depths that exist, such as whole ticks, shape [n] [price]; every pair is
            tried. None leaves the depths free between min_depth and max_depth.

    Returns:
        Tables of values and depths.

    Raises:
        ValueError: no depth of the grid lies between min_depth and max_depth.
    """
    grid = None if depth_grid is None else _usable(problem, depth_grid)
    size = len(problem.inventories)
    values = np.empty((problem.steps + 1, size))
    asks, bids = np.empty((problem.steps, size)), np.empty((problem.steps, size))
    values[-1] = _final_value(problem)
    for step in reversed(range(problem.steps)):
        after = _after_fills(problem, values[step + 1])
        chosen = _best_free(problem, after) if grid is None else _best_on(problem, after, grid)
        asks[step], bids[step] = chosen
        values[step] = _before_fills(problem, after, chosen)
    asks[:, 0] = np.inf
    bids[:, -1] = np.inf
    return BellmanSolution(problem.inventories, values, asks, bids)


def policy_value(
    problem: DealerProblem, ask_depths: npt.ArrayLike, bid_depths: npt.ArrayLike
) -> FloatArray:
    """Return the exact expected objective of any policy, optimal or not.

    Args:
        problem: the session. Its bound on inventory holds whatever the depths say; its bounds on
            depth are not applied.
        ask_depths: anything that broadcasts to [..., steps, inventories]; inf for no quote [price].
        bid_depths: the same.

    Returns:
        Shape [..., steps + 1, inventories]; the middle of row 0 is the value of a flat start.

    Raises:
        ValueError: the depths do not broadcast to a row per decision and a column per inventory.
    """
    wanted = (problem.steps, len(problem.inventories))
    ask, bid = (np.asarray(side, dtype=np.float64) for side in (ask_depths, bid_depths))
    try:
        shape = np.broadcast_shapes(ask.shape, bid.shape, wanted)
    except ValueError:
        shape = ()
    if shape[-2:] != wanted:
        raise ValueError(
            f"ask_depths and bid_depths came with shapes {ask.shape} and {bid.shape}; what broadcasts to {wanted}, "
            "[steps, inventories], is wanted: write for example one number."
        )
    ask, bid = np.broadcast_to(ask, shape), np.broadcast_to(bid, shape)
    values = np.empty((*shape[:-2], problem.steps + 1, shape[-1]))
    values[..., -1, :] = _final_value(problem)
    for step in reversed(range(problem.steps)):
        after = _after_fills(problem, values[..., step + 1, :])
        depths = Depths(ask[..., step, :], bid[..., step, :])
        values[..., step, :] = _before_fills(problem, after, depths)
    return values


def best_constant_policy(
    problem: DealerProblem, depth_grid: npt.ArrayLike | None = None, *, symmetric: bool = False
) -> ConstantPolicy:
    """Return the best policy that quotes the same depths always, the yardstick without skill.

    Args:
        problem: the session.
        depth_grid: as in `solve`; every pair is tried.
        symmetric: whether ask and bid must have the same depth.

    Raises:
        ValueError: no depth of the grid lies between min_depth and max_depth.
    """

    def flat_value(ask: npt.ArrayLike, bid: npt.ArrayLike) -> FloatArray:
        """Return the value from flat for each pair of depths, in the shape of the depths."""
        ask, bid = (np.asarray(side, dtype=np.float64)[..., None, None] for side in (ask, bid))
        return policy_value(problem, ask, bid)[..., 0, problem.max_inventory]

    if depth_grid is not None:
        grid = _usable(problem, depth_grid)
        ask, bid = (grid, grid) if symmetric else np.meshgrid(grid, grid, indexing="ij")
        values = flat_value(ask, bid)
        best = int(np.argmax(values))
        return ConstantPolicy(
            float(ask.flat[best]), float(bid.flat[best]), float(values.flat[best])
        )

    # Twice as far as the whole penalty could ever justify; the chance of a fill is nil out there.
    session = problem.steps * problem.decision_interval
    dearest = problem.running_penalty * session + problem.terminal_penalty + problem.close_out_cost
    far = min(problem.max_depth, problem.min_depth + 5.0 / problem.fill_decay + 2.0 * dearest)
    coarse = np.linspace(problem.min_depth, far, 41)
    start = coarse[int(np.argmax(flat_value(coarse, coarse)))]
    spacing = coarse[1] - coarse[0]
    near = (max(problem.min_depth, start - spacing), min(far, start + spacing))
    if near[0] == near[1]:
        return ConstantPolicy(float(start), float(start), float(flat_value(start, start)))
    both = minimize_scalar(
        lambda depth: -float(flat_value(depth, depth)),
        bounds=near,
        method="bounded",
        options={"xatol": 1e-9},
    )
    if symmetric:
        return ConstantPolicy(float(both.x), float(both.x), -float(both.fun))
    pair = minimize(
        lambda depths: -float(flat_value(depths[0], depths[1])),
        [both.x, both.x],
        bounds=[(problem.min_depth, problem.max_depth)] * 2,
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-12},
    )
    return ConstantPolicy(float(pair.x[0]), float(pair.x[1]), -float(pair.fun))


def _usable(problem: DealerProblem, depth_grid: npt.ArrayLike) -> FloatArray:
    """Return the depths of the grid that the problem allows, ascending and each once."""
    grid = np.unique(np.asarray(depth_grid, dtype=np.float64))
    grid = grid[(grid >= problem.min_depth) & (grid <= problem.max_depth)]
    if len(grid) == 0:
        raise ValueError(
            f"depth_grid came as {depth_grid!r}; at least one depth between {problem.min_depth!r} "
            f"and {problem.max_depth!r} is wanted: write for example np.arange(11.0)."
        )
    return grid


def _final_value(problem: DealerProblem) -> FloatArray:
    lots = problem.inventories
    return -problem.terminal_penalty * lots**2 - problem.close_out_cost * np.abs(lots)


def _penalty(problem: DealerProblem) -> FloatArray:
    return problem.running_penalty * problem.decision_interval * problem.inventories**2


def _after_fills(problem: DealerProblem, next_value: FloatArray) -> FloatArray:
    """Return what each inventory is worth right after the interval's fills."""
    return next_value - (_penalty(problem) if problem.penalty_timing == "end" else 0.0)


def _before_fills(problem: DealerProblem, after: FloatArray, depths: Depths) -> FloatArray:
    """Return the expected value of quoting these depths, shape [..., inventories]."""
    ask_chance = problem.fill_probability(depths.ask, problem.buy_rate)
    bid_chance = problem.fill_probability(depths.bid, problem.sell_rate)
    ask_chance[..., 0] = 0.0
    bid_chance[..., -1] = 0.0
    # A side without a chance earns nothing, also where its depth is inf.
    earned = ask_chance * np.where(ask_chance > 0, depths.ask, 0.0)
    earned = earned + bid_chance * np.where(bid_chance > 0, depths.bid, 0.0)
    value = earned + (1.0 - ask_chance - bid_chance + 2.0 * ask_chance * bid_chance) * after
    value[..., 1:] += (ask_chance * (1.0 - bid_chance))[..., 1:] * after[..., :-1]
    value[..., :-1] += (bid_chance * (1.0 - ask_chance))[..., :-1] * after[..., 1:]
    if problem.penalty_timing == "start":
        value -= _penalty(problem)
    return np.asarray(value)


def _gains(after: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what one lot less, and one lot more, is worth to each inventory; 0 at the wall."""
    rise = np.diff(after)
    return np.concatenate([[0.0], -rise]), np.concatenate([rise, [0.0]])


def _best_free(problem: DealerProblem, after: FloatArray) -> Depths:
    """Return the best pair of depths for each inventory, free between the bounds.

    Given the other side's chance one side alone has a single best depth, and the sides are improved
    in turn until neither moves. They hardly touch each other, so this takes a few rounds.
    """
    sold_gain, bought_gain = _gains(after)
    both = sold_gain + bought_gain  # what is lost of the two gains when both sides fill
    both[[0, -1]] = 0.0  # at the wall there is one side only
    ask = bid = np.full(len(after), problem.min_depth)
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

    single_arrival: delta = 1 / kappa - gain. event_driven: with u = lambda exp(-kappa delta) dt the
    condition is kappa (delta + gain) = (exp(u) - 1) / u. Left minus right is increasing and concave
    in delta, so Newton's steps from the left, where it is negative, rise to the root.
    """
    depth = np.maximum(1.0 / problem.fill_decay - gain, problem.min_depth)
    if problem.fill_model == "event_driven":
        for _ in range(100):
            u = rate * problem.decision_interval * np.exp(-problem.fill_decay * depth)
            u = np.clip(u, 1e-12, 500.0)  # below, the ratio is 1; above, exp would overflow
            ratio = np.expm1(u) / u
            slope = problem.fill_decay * (1.0 + np.exp(u) - ratio)
            step = (ratio - problem.fill_decay * (depth + gain)) / slope
            previous, depth = depth, np.maximum(depth + step, problem.min_depth)
            if np.max(np.abs(depth - previous)) < 1e-13:
                break
    return np.clip(depth, problem.min_depth, problem.max_depth)


def _best_on(problem: DealerProblem, after: FloatArray, grid: FloatArray) -> Depths:
    """Return the best pair of depths for each inventory, every pair of the grid tried."""
    sold_gain, bought_gain = _gains(after)
    both = sold_gain + bought_gain
    ask_chance = np.tile(problem.fill_probability(grid, problem.buy_rate), (len(after), 1))
    bid_chance = np.tile(problem.fill_probability(grid, problem.sell_rate), (len(after), 1))
    ask_chance[0] = 0.0
    bid_chance[-1] = 0.0
    ask_part = ask_chance * (grid + sold_gain[:, None])
    bid_part = bid_chance * (grid + bought_gain[:, None])
    together = ask_chance[:, :, None] * bid_chance[:, None, :] * both[:, None, None]
    total = ask_part[:, :, None] + bid_part[:, None, :] - together
    best = total.reshape(len(after), -1).argmax(axis=1)
    return Depths(grid[best // len(grid)], grid[best % len(grid)])
