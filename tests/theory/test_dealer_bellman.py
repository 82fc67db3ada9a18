"""The discrete dealer environment, against all policies of a tiny one, simulations and limits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from mm_gym.theory import cartea_jaimungal
from mm_gym.theory.dealer_bellman import (
    DealerProblem,
    best_constant_depth,
    policy_value,
    solve,
)

# lambda 10 a side, kappa 1, phi 0.5, alpha 0.001, T 1 in 100 steps.
STANDARD = DealerProblem(
    buy_rate=10.0,
    sell_rate=10.0,
    fill_decay=1.0,
    running_penalty=0.5,
    terminal_penalty=0.001,
    decision_interval=0.01,
    steps=100,
)
SMALL = DealerProblem(
    buy_rate=6.0,
    sell_rate=2.5,
    fill_decay=0.8,
    running_penalty=0.3,
    terminal_penalty=0.1,
    decision_interval=0.2,
    steps=6,
    max_inventory=3,
    close_out_cost=0.4,
)
MODELS: tuple[Any, ...] = ("event_driven", "single_arrival")


# ------------------------------------------------------------------------------- reference values


def test_the_reference_has_one_arrival_per_interval_and_the_penalty_after_the_fills() -> None:
    # With a bound of 20 lots. The reference is 6.07387.
    values = [solve(replace(STANDARD, fill_model=model)).start_value for model in MODELS]
    assert values == pytest.approx([6.277794, 6.073865], abs=1e-6)
    assert round(values[1], 5) == 6.07387


def test_the_reference_needs_a_bound_of_at_least_nine_lots() -> None:
    problem = replace(STANDARD, fill_model="single_arrival")
    by_bound = [solve(replace(problem, max_inventory=bound)).start_value for bound in (5, 8, 9, 30)]
    # By bound: 5 -> 6.07320, 8 -> 6.0738648, 9 -> 6.0738651, 30 -> 6.0738652.
    assert by_bound[0] == pytest.approx(6.07320, abs=1e-5)
    assert round(by_bound[1], 5) == 6.07386
    assert [round(value, 5) for value in by_bound[2:]] == [6.07387, 6.07387]


# ----------------------------------------------------------------------------- independent checks


@pytest.mark.parametrize("fill_model", MODELS)
def test_no_policy_of_a_tiny_session_beats_the_bellman_value_which_its_depths_earn(
    fill_model: Any,
) -> None:
    problem = replace(SMALL, steps=2, max_inventory=1, fill_model=fill_model)
    grid = [0.0, 0.7, 1.5]

    def worth(step: int, lots: int, policy: dict[tuple[int, int], tuple[float, float]]) -> float:
        """Return the value of a policy by recursion over all outcomes, from the definition."""
        if step == problem.steps:
            return -problem.terminal_penalty * lots**2 - problem.close_out_cost * abs(lots)
        total, running = 0.0, problem.running_penalty * problem.decision_interval
        ask, bid = policy[step, lots]
        chances = []
        for depth, rate, allowed in ((ask, 6.0, lots > -1), (bid, 2.5, lots < 1)):
            accepts = np.exp(-problem.fill_decay * depth)
            chances.append(
                0.0
                if not allowed
                else 1 - np.exp(-rate * accepts * 0.2)
                if fill_model == "event_driven"
                else (1 - np.exp(-rate * 0.2)) * accepts
            )
        for sold, bought in itertools.product([0, 1], [0, 1]):
            chance = (chances[0] if sold else 1 - chances[0]) * (
                chances[1] if bought else 1 - chances[1]
            )
            if chance > 0:
                after = lots + bought - sold
                total += chance * (
                    sold * ask + bought * bid - running * after**2 + worth(step + 1, after, policy)
                )
        return total

    pairs = list(itertools.product(grid, grid))
    best = -np.inf
    # A policy has one pair of depths now and one for each inventory at the second decision.
    for now, *later in itertools.product(pairs, repeat=4):
        policy = {(0, 0): now}
        policy |= {(1, lots): pair for lots, pair in zip((-1, 0, 1), later, strict=True)}
        best = max(best, worth(0, 0, policy))
    solution = solve(problem)
    assert best < solution.start_value < best + 0.1
    # A side without a quote has depth inf. It cannot be filled, so any number serves here.
    chosen = np.nan_to_num(np.stack([solution.ask_depths, solution.bid_depths]), posinf=0.0)
    policy = {
        (step, lots): (chosen[0, step, 1 + lots], chosen[1, step, 1 + lots])
        for step in (0, 1)
        for lots in (-1, 0, 1)
    }
    assert worth(0, 0, policy) == pytest.approx(solution.start_value, abs=1e-12)


@pytest.mark.parametrize("fill_model", MODELS)
def test_the_optimal_value_agrees_with_a_simulation_of_the_policy(
    fill_model: Any,
) -> None:
    problem = replace(SMALL, fill_model=fill_model)
    solution = solve(problem)
    random, paths, bound = np.random.default_rng(42), 40_000, problem.max_inventory
    lots, objective = np.zeros(paths, dtype=np.int64), np.zeros(paths)
    for step in range(problem.steps):
        before = lots.copy()
        for sign, depths, rate in (
            (-1, solution.ask_depths, problem.buy_rate),
            (1, solution.bid_depths, problem.sell_rate),
        ):
            depth = depths[step, before + bound]
            takers = random.poisson(rate * problem.decision_interval, paths)
            if fill_model == "single_arrival":
                takers = np.minimum(takers, 1)
            # The order is filled if the largest of n exponential tolerances exceeds its depth.
            largest = np.max(
                np.where(
                    np.arange(12) < takers[:, None],
                    random.exponential(1 / problem.fill_decay, (paths, 12)),
                    -1.0,
                ),
                axis=1,
            )
            filled = largest > depth
            objective[filled] += depth[filled]
            lots[filled] += sign
        objective -= problem.running_penalty * problem.decision_interval * lots**2
    assert np.max(np.abs(lots)) <= bound
    objective -= problem.terminal_penalty * lots**2 + problem.close_out_cost * np.abs(lots)
    assert abs(objective.mean() - solution.start_value) < 4 * objective.std() / np.sqrt(paths)


@pytest.mark.parametrize("fill_model", MODELS)
@pytest.mark.parametrize("max_depth", [np.inf, 1.6])
def test_the_depths_maximise_the_value_of_one_step(fill_model: Any, max_depth: float) -> None:
    problem = replace(SMALL, fill_model=fill_model)
    problem = replace(problem, max_depth=max_depth)
    solution = solve(problem)
    last = replace(problem, steps=1)  # the last decision of the session
    for column in range(len(solution.inventories)):

        def loss(pair: Any, column: int = column) -> float:
            return -float(policy_value(last, pair[0], pair[1])[0, column])

        starts = itertools.product([0.4, 1.5], repeat=2)
        box = [(0.0, min(max_depth, 20.0))] * 2
        found = min(
            (minimize(loss, start, bounds=box, method="L-BFGS-B") for start in starts),
            key=lambda result: float(result.fun),
        )
        assert solution.values[-2, column] == pytest.approx(-found.fun, abs=1e-8)
        assert solution.values[-2, column] >= -found.fun - 1e-12


@pytest.mark.parametrize("fill_model", MODELS)
def test_no_change_of_the_optimal_depths_improves_the_value(
    fill_model: Any,
) -> None:
    problem = replace(SMALL, fill_model=fill_model)
    solution = solve(problem)
    ask, bid = solution.ask_depths, solution.bid_depths
    same = policy_value(problem, ask, bid)
    np.testing.assert_allclose(same, solution.values, atol=1e-12)

    random = np.random.default_rng(3)
    nudges = random.normal(0.0, 0.2, (2, 300, *ask.shape))
    nudged = policy_value(problem, np.maximum(ask + nudges[0], 0), np.maximum(bid + nudges[1], 0))
    assert nudged.shape == (300, 7, 7)
    assert np.all(nudged <= solution.values + 1e-12)
    assert np.all(nudged[:, 0] < solution.values[0] - 1e-4)


@pytest.mark.parametrize("fill_model", ["event_driven", "single_arrival"])
@pytest.mark.parametrize("rates", [(10.0, 10.0), (14.0, 6.0)])
def test_shorter_intervals_converge_to_continuous_time(
    fill_model: Any, rates: tuple[float, float]
) -> None:
    # With at most three lots, the closed form has no negative depth either.
    parameters = {
        "buy_rate": rates[0],
        "sell_rate": rates[1],
        "fill_decay": 1.0,
        "running_penalty": 0.02,
        "terminal_penalty": 0.001,
        "max_inventory": 3,
    }
    limit = cartea_jaimungal.value(0, 1.0, **parameters)
    closed_form = cartea_jaimungal.optimal_depths(np.arange(-3, 4), 1.0, **parameters)
    assert min(closed_form.ask.min(), closed_form.bid.min()) > 0
    coarse, fine = (
        limit
        - solve(
            DealerProblem(
                steps=steps, decision_interval=1.0 / steps, fill_model=fill_model, **parameters
            )
        ).start_value
        for steps in (500, 1000)
    )
    assert 0 < fine < 0.05
    assert coarse / fine == pytest.approx(2.0, abs=0.05)


# --------------------------------------------------------------------------------- constant policy


@pytest.mark.parametrize("fill_model", MODELS)
def test_the_best_constant_depth_equals_the_best_of_a_fine_grid(fill_model: Any) -> None:
    problem = replace(SMALL, fill_model=fill_model)
    best = best_constant_depth(problem)
    grid = np.arange(0.0, 8.0, 0.1)
    values = policy_value(problem, grid[:, None, None], grid[:, None, None])[:, 0, 3]
    assert 0 <= best.value - values.max() < 2e-3
    assert abs(best.depth - grid[values.argmax()]) < 0.1
    assert best.value < solve(problem).start_value - 1e-3


def test_shorter_intervals_converge_to_the_closed_form_of_the_best_constant_depth() -> None:
    # The value in continuous time is 47.126. The difference halves with dt.
    missing = []
    for steps in (250, 500):
        problem = replace(
            STANDARD,
            buy_rate=140.0,
            sell_rate=140.0,
            fill_decay=1.5,
            decision_interval=1.0 / steps,
            steps=steps,
            max_inventory=50,
        )
        missing.append(47.12598 - best_constant_depth(problem).value)
    assert missing[1] == pytest.approx(missing[0] / 2, rel=0.1)
    assert missing[1] < 1.0


def test_all_solutions_respect_the_largest_depth() -> None:
    problem = replace(STANDARD, max_depth=1.0, steps=20)
    solution = solve(problem)
    for depths in (solution.ask_depths[:, 1:], solution.bid_depths[:, :-1]):
        assert depths.min() >= 0.0
        assert depths.max() == 1.0
    best = best_constant_depth(problem)
    assert best.depth == pytest.approx(1.0, abs=1e-6)
    assert best.value == pytest.approx(policy_value(problem, 1.0, 1.0)[0, 20], abs=1e-6)


def test_the_side_at_the_bound_is_not_quoted() -> None:
    solution = solve(replace(STANDARD, max_inventory=2))
    assert np.all(solution.ask_depths[:, 0] == np.inf)
    assert np.all(solution.bid_depths[:, -1] == np.inf)
    assert np.all(np.isfinite(solution.ask_depths[:, 1:]))
    np.testing.assert_allclose(solution.ask_depths, solution.bid_depths[:, ::-1])


def test_a_maker_without_quotes_pays_only_the_penalties_on_its_inventory() -> None:
    values = policy_value(SMALL, np.inf, np.inf)
    lots = SMALL.inventories
    session = SMALL.steps * SMALL.decision_interval
    expected = -(SMALL.running_penalty * session + SMALL.terminal_penalty) * lots**2
    np.testing.assert_allclose(values[0], expected - SMALL.close_out_cost * np.abs(lots))


# ------------------------------------------------------------------------------------------ errors


def test_an_argument_out_of_range_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"sell_rate=0.0 is out of range: .* above 0"):
        replace(STANDARD, sell_rate=0.0)
    with pytest.raises(ValueError, match=r"max_depth=-1.0 is out of range"):
        replace(STANDARD, max_depth=-1.0)
    wrong: Any = "two_arrivals"
    with pytest.raises(ValueError, match=r"fill_model='two_arrivals' is not offered: expected"):
        replace(STANDARD, fill_model=wrong)
    with pytest.raises(ValueError, match=r"\(100, 41\), got \(3,\) and \(\)"):
        policy_value(STANDARD, np.zeros(3), 0.0)
