"""Avellaneda and Stoikov (2008): their table, every path of a short session, and a simulation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq, minimize_scalar

from mm_gym.theory import avellaneda_stoikov as paper

# Section 3.3: sigma = 2, k = 1.5, A = 140, T = 1, dt = 0.005.
QUOTES: dict[str, float] = {"volatility": 2.0, "fill_decay": 1.5}
MARKET: dict[str, float] = {**QUOTES, "arrival_rate": 140.0}


def symmetric_half_spread(risk_aversion: float, steps: int | None = 200) -> float:
    return paper.average_half_spread(1.0, risk_aversion=risk_aversion, steps=steps, **QUOTES)


def three(moments: paper.Moments) -> tuple[float, float, float]:
    return moments.mean_profit, moments.std_profit, moments.std_inventory


# ------------------------------------------------------------------------------------------ quotes


@pytest.mark.parametrize("risk_aversion", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("lots", [-3, 0, 2])
def test_quotes_are_indifference_prices_plus_the_best_margin_over_them(
    risk_aversion: float, lots: int
) -> None:
    time_left, mid = 0.4, 100.0

    def utility_of_holding(cash: float, inventory: int) -> float:
        # The paper's equation 2.4 for a dealer who trades no more.
        exposure = risk_aversion**2 * inventory**2 * QUOTES["volatility"] ** 2 * time_left / 2
        return -float(np.exp(-risk_aversion * (cash + inventory * mid) + exposure))

    def best_margin() -> float:
        # Filled with intensity exp(-k margin), one lot then adds 1 - exp(-gamma margin).
        result = minimize_scalar(
            lambda x: -np.exp(-QUOTES["fill_decay"] * x) * -np.expm1(-risk_aversion * x),
            bounds=(0.0, 5.0),
            method="bounded",
            options={"xatol": 1e-12},
        )
        return float(result.x)

    cash = -lots * mid  # keeps the utility near -1, where differences are exact
    now = utility_of_holding(cash, lots)
    sell_at = brentq(lambda p: utility_of_holding(cash + p, lots - 1) - now, 0.0, 200.0)
    buy_at = brentq(lambda p: utility_of_holding(cash - p, lots + 1) - now, 0.0, 200.0)

    depths = paper.quote_depths(lots, time_left, risk_aversion=risk_aversion, **QUOTES)
    shift = paper.reservation_price_shift(
        lots, time_left, risk_aversion=risk_aversion, volatility=QUOTES["volatility"]
    )
    assert shift == pytest.approx((sell_at + buy_at) / 2 - mid, abs=1e-9)
    assert depths.ask == pytest.approx(sell_at - mid + best_margin(), abs=1e-6)
    assert depths.bid == pytest.approx(mid - buy_at + best_margin(), abs=1e-6)


def test_the_spread_is_the_sum_of_the_depths_whatever_the_inventory() -> None:
    lots, time_left = np.arange(-5, 6), np.array([[0.0], [0.3], [1.0]])
    depths = paper.quote_depths(lots, time_left, risk_aversion=0.1, **QUOTES)
    spread = paper.optimal_spread(time_left, risk_aversion=0.1, **QUOTES)
    assert depths.ask.shape == depths.bid.shape == (3, 11)
    np.testing.assert_allclose(depths.ask + depths.bid, np.broadcast_to(spread, (3, 11)))
    assert np.all(np.diff(depths.ask[1:]) < 0)  # the longer, the more eager to sell
    np.testing.assert_allclose(depths.ask, depths.bid[:, ::-1])  # long and short are mirror images


def test_without_risk_aversion_the_spread_is_two_over_k() -> None:
    assert paper.optimal_spread(0.7, risk_aversion=0.0, **QUOTES) == pytest.approx(2 / 1.5)
    assert paper.optimal_spread(0.7, risk_aversion=1e-7, **QUOTES) == pytest.approx(
        2 / 1.5, abs=1e-6
    )


def test_the_average_spread_is_the_average_over_the_decisions() -> None:
    times_left = 1.0 - np.arange(200) / 200
    spreads = paper.optimal_spread(times_left, risk_aversion=0.5, **QUOTES)
    assert symmetric_half_spread(0.5) == pytest.approx(spreads.mean() / 2, rel=1e-12)
    assert symmetric_half_spread(0.5, None) < symmetric_half_spread(0.5)


# ----------------------------------------------------------------------------------- ground truth


def test_the_inventory_strategy_has_the_moments_of_table_1() -> None:
    strategy = paper.inventory_strategy(risk_aversion=0.1, **QUOTES)
    literal = paper.exact_moments(strategy, **MARKET)
    continuous = paper.exact_moments(strategy, fill_probability="continuous", **MARKET)
    assert three(literal) == pytest.approx((64.8925, 6.5432, 2.9268), abs=1e-4)
    assert three(continuous) == pytest.approx((63.992, 7.2858, 3.4262), abs=1e-3)
    # The journal has 1,000 paths: means within 4 standard errors, deviations within 4 of theirs.
    assert abs(literal.mean_profit - 65.0) < 4 * 6.6 / np.sqrt(1000)
    assert abs(literal.std_profit - 6.6) < 4 * 6.6 / np.sqrt(2000)


def test_the_symmetric_strategy_has_the_moments_of_table_1() -> None:
    half_spread = symmetric_half_spread(0.1)
    literal = paper.symmetric_moments(half_spread, steps=200, **MARKET)
    continuous = paper.symmetric_moments(half_spread, **MARKET)
    assert three(literal) == pytest.approx((68.2228, 13.4558, 8.3994), abs=1e-4)
    assert three(continuous) == pytest.approx((68.2228, 15.2911, 9.5638), abs=1e-4)


# ------------------------------------------------------------------------------- exact, otherwise


@pytest.mark.parametrize("risk_aversion", [0.01, 0.1, 0.5, 1.0])
def test_propagation_gives_the_closed_form_for_constant_depths(risk_aversion: float) -> None:
    half_spread = symmetric_half_spread(risk_aversion)
    strategy = paper.symmetric_strategy(half_spread)
    assert three(paper.exact_moments(strategy, **MARKET)) == pytest.approx(
        three(paper.symmetric_moments(half_spread, steps=200, **MARKET)), rel=1e-8
    )
    assert three(
        paper.exact_moments(strategy, fill_probability="continuous", **MARKET)
    ) == pytest.approx(three(paper.symmetric_moments(half_spread, **MARKET)), rel=1e-6)


@pytest.mark.parametrize("fill_probability", ["literal", "exponential"])
@pytest.mark.parametrize("risk_aversion", [0.1, 1.0])
def test_propagation_agrees_with_every_path_of_a_short_session(
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

    moments = paper.exact_moments(
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
def test_propagation_agrees_with_a_simulation(risk_aversion: float) -> None:
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
    exact = paper.exact_moments(strategy, **MARKET)
    assert abs(profit.mean() - exact.mean_profit) < 4 * exact.std_profit / np.sqrt(paths)
    # The standard error of a standard deviation, with the sample's own fourth moment.
    for sample, std in ((profit, exact.std_profit), (lots, exact.std_inventory)):
        fourth = np.mean((sample - sample.mean()) ** 4)
        error = np.sqrt((fourth - std**4) / paths) / (2 * std)
        assert abs(sample.std() - std) < 4 * error


@pytest.mark.parametrize("risk_aversion", [0.05, 0.3])
def test_continuous_time_is_where_ever_shorter_steps_lead(risk_aversion: float) -> None:
    strategy = paper.inventory_strategy(risk_aversion=risk_aversion, **QUOTES)
    limit: npt.NDArray[np.float64] = np.array(
        three(paper.exact_moments(strategy, fill_probability="continuous", **MARKET))
    )
    # The distance is of the order of dt, so twice the finer less the coarser is almost the limit.
    for fill_probability in ("literal", "exponential"):
        coarse, fine = (
            np.array(
                three(
                    paper.exact_moments(
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


def test_a_bound_on_inventory_is_never_passed() -> None:
    # With at most one lot the chain forgets its start in a few steps: from flat to each side with
    # chance p (1 - p), back with chance p, so that E[q^2] = 2 (1 - p) / (1 + 2 (1 - p)).
    intensity = 140.0 * np.exp(-1.5 * 0.1)
    chances = {
        "literal": intensity * 0.005,
        "exponential": 1 - np.exp(-intensity * 0.005),
        "continuous": 0.0,
    }
    fill_probability: Any
    for fill_probability, chance in chances.items():
        bounded = paper.exact_moments(
            paper.symmetric_strategy(0.1),
            fill_probability=fill_probability,
            max_inventory=1,
            **MARKET,
        )
        expected = 2 * (1 - chance) / (1 + 2 * (1 - chance))
        assert bounded.std_inventory == pytest.approx(np.sqrt(expected), rel=1e-6)


# ------------------------------------------------------------------------------------------ errors


def test_what_is_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match=r"time_left came as -1.0; .* at least 0"):
        paper.quote_depths(0, -1.0, risk_aversion=0.1, **QUOTES)
    with pytest.raises(ValueError, match=r"fill_decay came as 0.0; .* above 0"):
        paper.optimal_spread(1.0, risk_aversion=0.1, volatility=2.0, fill_decay=0.0)
    with pytest.raises(ValueError, match=r"steps came as 0; a whole number"):
        paper.symmetric_moments(0.7, steps=0, **MARKET)
    wrong: Any = "litteral"
    with pytest.raises(ValueError, match=r"fill_probability came as 'litteral'"):
        paper.exact_moments(paper.symmetric_strategy(0.7), fill_probability=wrong, **MARKET)
