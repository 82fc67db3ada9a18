"""The moments of a quoting strategy, against Table 1 of Avellaneda and Stoikov (2008), against the
sum over all paths of a short session, and against a simulation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mm_gym.theory import avellaneda_stoikov as paper
from mm_gym.theory.strategy_moments import Moments, exact_moments

# Section 3.3: sigma = 2, k = 1.5, A = 140, T = 1, dt = 0.005.
QUOTES: dict[str, float] = {"volatility": 2.0, "fill_decay": 1.5}
MARKET: dict[str, float] = {**QUOTES, "arrival_rate": 140.0}


def symmetric_half_spread(risk_aversion: float, steps: int | None = 200) -> float:
    return paper.average_half_spread(1.0, risk_aversion=risk_aversion, steps=steps, **QUOTES)


def symmetric_moments(half_spread: float, steps: int | None = None) -> tuple[float, float, float]:
    """The closed form of a constant half-spread d on both sides, over a session of length 1.

    With N steps, the paper simulates a fill with probability p = min(1, A exp(-k d) dt). Then
    E[PnL] = 2 d N p, Var[q] = 2 N p (1 - p) and
    Var[PnL] = 2 d^2 N p (1 - p) + sigma^2 dt p (1 - p) N (N + 1).
    In continuous time, with l = A exp(-k d): E[PnL] = 2 d l, Var[q] = 2 l and
    Var[PnL] = 2 d^2 l + sigma^2 l.
    """
    rate = 140.0 * np.exp(-1.5 * half_spread)
    if steps is None:
        mean, inventory, moves = 2 * half_spread * rate, 2 * rate, 2.0**2 * rate
    else:
        chance = min(1.0, rate / steps)
        noise = chance * (1 - chance)
        mean, inventory = 2 * half_spread * steps * chance, 2 * steps * noise
        moves = 2.0**2 / steps * noise * steps * (steps + 1)
    return mean, np.sqrt(half_spread**2 * inventory + moves), np.sqrt(inventory)


def three(moments: Moments) -> tuple[float, float, float]:
    return moments.mean_profit, moments.std_profit, moments.std_inventory


# ------------------------------------------------------------------------------- reference values


def test_the_inventory_strategy_has_the_moments_of_table_1() -> None:
    strategy = paper.inventory_strategy(risk_aversion=0.1, **QUOTES)
    literal = exact_moments(strategy, **MARKET)
    continuous = exact_moments(strategy, fill_probability="continuous", **MARKET)
    assert three(literal) == pytest.approx((64.8925, 6.5432, 2.9268), abs=1e-4)
    assert three(continuous) == pytest.approx((63.992, 7.2858, 3.4262), abs=1e-3)
    # The paper simulates 1,000 paths. Its means and deviations are within four standard errors.
    assert abs(literal.mean_profit - 65.0) < 4 * 6.6 / np.sqrt(1000)
    assert abs(literal.std_profit - 6.6) < 4 * 6.6 / np.sqrt(2000)


def test_the_symmetric_strategy_has_the_moments_of_table_1() -> None:
    half_spread = symmetric_half_spread(0.1)
    literal = symmetric_moments(half_spread, steps=200)
    continuous = symmetric_moments(half_spread)
    assert literal == pytest.approx((68.2228, 13.4558, 8.3994), abs=1e-4)
    assert continuous == pytest.approx((68.2228, 15.2911, 9.5638), abs=1e-4)


# ----------------------------------------------------------------------------- independent checks


@pytest.mark.parametrize("risk_aversion", [0.01, 0.1, 0.5, 1.0])
def test_the_moments_of_constant_depths_equal_the_closed_form(risk_aversion: float) -> None:
    half_spread = symmetric_half_spread(risk_aversion)
    strategy = paper.symmetric_strategy(half_spread)
    assert three(exact_moments(strategy, **MARKET)) == pytest.approx(
        symmetric_moments(half_spread, steps=200), rel=1e-8
    )
    assert three(exact_moments(strategy, fill_probability="continuous", **MARKET)) == pytest.approx(
        symmetric_moments(half_spread), rel=1e-6
    )


@pytest.mark.parametrize("fill_probability", ["literal", "exponential"])
@pytest.mark.parametrize("risk_aversion", [0.1, 1.0])
def test_the_moments_equal_the_sum_over_all_paths_of_a_short_session(
    risk_aversion: float, fill_probability: Any
) -> None:
    steps, horizon, rate = 3, 0.6, 4.0
    interval = horizon / steps
    outcomes = list(itertools.product([0, 1], [0, 1], [-1, 1]))  # ask filled, bid filled, mid
    total = np.zeros(5)
    for path in itertools.product(outcomes, repeat=steps):
        weight, profit, lots = 1.0, 0.0, 0
        for step, (sold, bought, move) in enumerate(path):
            ask, bid = paper.quote_depths(
                lots, horizon - step * interval, risk_aversion=risk_aversion, **QUOTES
            )
            for depth, filled in ((ask, sold), (bid, bought)):
                intensity = rate * np.exp(-QUOTES["fill_decay"] * depth)
                chance = (
                    min(1.0, intensity * interval)
                    if fill_probability == "literal"
                    else 1 - np.exp(-intensity * interval)
                )
                weight *= chance if filled else 1 - chance
                profit += filled * depth
            lots += bought - sold
            weight *= 0.5
            profit += lots * move * QUOTES["volatility"] * np.sqrt(interval)
        total += weight * np.array([1.0, profit, profit**2, lots, lots**2])
    assert total[0] == pytest.approx(1.0)

    moments = exact_moments(
        paper.inventory_strategy(risk_aversion=risk_aversion, **QUOTES),
        arrival_rate=rate,
        horizon=horizon,
        steps=steps,
        fill_probability=fill_probability,
        **QUOTES,
    )
    assert moments.mean_profit == pytest.approx(total[1])
    assert moments.std_profit == pytest.approx(np.sqrt(total[2] - total[1] ** 2))
    assert moments.mean_inventory == pytest.approx(total[3], abs=1e-12)
    assert moments.std_inventory == pytest.approx(np.sqrt(total[4] - total[3] ** 2))


@pytest.mark.parametrize("risk_aversion", [0.01, 0.5, 1.0])
def test_the_moments_agree_with_a_simulation(risk_aversion: float) -> None:
    paths, steps, interval = 10_000, 200, 0.005
    random = np.random.default_rng(20080301)
    lots, profit = np.zeros(paths), np.zeros(paths)
    for step in range(steps):
        ask, bid = paper.quote_depths(
            lots, 1.0 - step * interval, risk_aversion=risk_aversion, **QUOTES
        )
        sold = random.random(paths) < 140.0 * np.exp(-1.5 * ask) * interval
        bought = random.random(paths) < 140.0 * np.exp(-1.5 * bid) * interval
        profit += sold * ask + bought * bid
        lots += 1.0 * bought - sold
        profit += lots * 2.0 * np.sqrt(interval) * random.choice([-1.0, 1.0], paths)

    strategy = paper.inventory_strategy(risk_aversion=risk_aversion, **QUOTES)
    exact = exact_moments(strategy, **MARKET)
    assert abs(profit.mean() - exact.mean_profit) < 4 * exact.std_profit / np.sqrt(paths)
    # The standard error of a standard deviation follows from the fourth moment of the sample.
    for sample, std in ((profit, exact.std_profit), (lots, exact.std_inventory)):
        fourth = np.mean((sample - sample.mean()) ** 4)
        error = np.sqrt((fourth - std**4) / paths) / (2 * std)
        assert abs(sample.std() - std) < 4 * error


@pytest.mark.parametrize("risk_aversion", [0.05, 0.3])
def test_shorter_steps_converge_to_continuous_time(risk_aversion: float) -> None:
    strategy = paper.inventory_strategy(risk_aversion=risk_aversion, **QUOTES)
    limit: npt.NDArray[np.float64] = np.array(
        three(exact_moments(strategy, fill_probability="continuous", **MARKET))
    )
    # The error is of order dt, so twice the finer result minus the coarser is close to the limit.
    for fill_probability in ("literal", "exponential"):
        coarse, fine = (
            np.array(
                three(
                    exact_moments(
                        strategy,
                        steps=steps,
                        fill_probability=fill_probability,
                        max_inventory=24,
                        **MARKET,
                    )
                )
            )
            for steps in (1000, 2000)
        )
        assert np.all(np.abs(fine - limit) < 0.6 * np.abs(coarse - limit))
        np.testing.assert_allclose(2 * fine - coarse, limit, rtol=2e-3)


def test_the_inventory_stays_within_its_bound() -> None:
    # With at most one lot the chain is stationary after a few steps. It moves from 0 to each side
    # with probability p (1 - p) and returns with probability p. Therefore
    # E[q^2] = 2 (1 - p) / (1 + 2 (1 - p)).
    intensity = 140.0 * np.exp(-1.5 * 0.1)
    chances = {
        "literal": intensity * 0.005,
        "exponential": 1 - np.exp(-intensity * 0.005),
        "continuous": 0.0,
    }
    fill_probability: Any
    for fill_probability, chance in chances.items():
        bounded = exact_moments(
            paper.symmetric_strategy(0.1),
            fill_probability=fill_probability,
            max_inventory=1,
            **MARKET,
        )
        expected = 2 * (1 - chance) / (1 + 2 * (1 - chance))
        assert bounded.std_inventory == pytest.approx(np.sqrt(expected), rel=1e-6)


# ------------------------------------------------------------------------------------------ errors


def test_an_argument_out_of_range_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"steps=0 is out of range: expected a whole number"):
        exact_moments(paper.symmetric_strategy(0.7), steps=0, **MARKET)
    wrong: Any = "litteral"
    with pytest.raises(ValueError, match=r"fill_probability='litteral' is not offered: expected"):
        exact_moments(paper.symmetric_strategy(0.7), fill_probability=wrong, **MARKET)
