"""Gueant, Lehalle and Fernandez-Tapia (2013), against reference values, the equation and limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import minimize_scalar

from mm_gym.theory import cartea_jaimungal
from mm_gym.theory import gueant_lehalle_fernandez_tapia as paper

MARKET: dict[str, float] = {
    "risk_aversion": 0.01,
    "volatility": 0.3,
    "fill_decay": 0.3,
    "arrival_rate": 0.9,
}
OTHERS = [
    MARKET,
    {"risk_aversion": 0.1, "volatility": 2.0, "fill_decay": 1.5, "arrival_rate": 140.0},
    {"risk_aversion": 0.5, "volatility": 0.7, "fill_decay": 1.0, "arrival_rate": 3.0},
    {"risk_aversion": 1.0, "volatility": 0.0, "fill_decay": 2.0, "arrival_rate": 5.0},
]


def test_the_exact_depths_and_the_certainty_equivalent_equal_the_reference() -> None:
    depths = paper.optimal_depths([0, 1, -1], 600.0, **MARKET)
    np.testing.assert_allclose(depths.bid, [3.31305, 3.38117, 3.24492], atol=5e-6)
    np.testing.assert_allclose(depths.ask, [3.31305, 3.24492, 3.38117], atol=5e-6)
    assert paper.certainty_equivalent(0, 600.0, **MARKET) == pytest.approx(1290.6251, abs=1e-4)


def test_in_the_example_of_the_paper_a_bound_of_30_lots_has_no_effect_and_10_has() -> None:
    wide = paper.certainty_equivalent(0, 600.0, max_inventory=60, **MARKET)
    assert paper.certainty_equivalent(0, 600.0, max_inventory=30, **MARKET) == pytest.approx(
        wide, abs=1e-4
    )
    assert paper.certainty_equivalent(0, 600.0, max_inventory=10, **MARKET) < wide - 4.0


@pytest.mark.parametrize("market", OTHERS)
@pytest.mark.parametrize("time_left", [0.3, 2.0])
def test_the_certainty_equivalent_solves_the_bellman_equation(
    market: dict[str, float], time_left: float
) -> None:
    # u = -exp(-gamma (x + q s + c_q(t))). Divided by -gamma u, the paper's equation is
    # 0 = -dc/d(time left) - gamma sigma^2 q^2 / 2
    #     + sum over sides of max over delta of A exp(-k delta) (1 - exp(-gamma gain)) / gamma.
    gamma, bound, nudge = market["risk_aversion"], 3, 1e-4
    lots = np.arange(-bound, bound + 1)
    times = time_left + nudge * np.array([-2, -1, 0, 1, 2])
    value = paper.certainty_equivalent(lots, times[:, None], max_inventory=bound, **market)
    speed = (value[0] - 8 * value[1] + 8 * value[3] - value[4]) / (12 * nudge)
    depths = paper.optimal_depths(lots, time_left, max_inventory=bound, **market)

    for column, lot in enumerate(lots):
        hamiltonian = 0.0
        for side, depth in ((-1, depths.ask[column]), (1, depths.bid[column])):
            if abs(lot + side) > bound:
                assert depth == np.inf
                continue
            change = value[2, column + side] - value[2, column]

            def worth(delta: float, change: float = change) -> float:
                fills = market["arrival_rate"] * np.exp(-market["fill_decay"] * delta)
                return float(fills * -np.expm1(-gamma * (delta + change)) / gamma)

            found = minimize_scalar(
                lambda delta: -worth(delta),
                bounds=(-change, -change + 20.0),
                method="bounded",
                options={"xatol": 1e-10},
            )
            assert depth == pytest.approx(found.x, abs=1e-5)
            hamiltonian += worth(depth)
        risk = gamma * market["volatility"] ** 2 * lot**2 / 2
        assert hamiltonian - risk == pytest.approx(speed[column], rel=1e-5, abs=1e-7)


def test_the_depths_at_the_end_are_the_margin() -> None:
    depths = paper.optimal_depths(np.arange(-4, 5), 0.0, max_inventory=5, **MARKET)
    margin = np.log(1 + MARKET["risk_aversion"] / MARKET["fill_decay"]) / MARKET["risk_aversion"]
    np.testing.assert_allclose(depths.ask, margin)
    np.testing.assert_allclose(depths.bid, margin)


def test_a_small_risk_aversion_equals_a_running_penalty() -> None:
    # As gamma -> 0 with constant gamma sigma^2 = 2 phi, the problem becomes that of Cartea,
    # Jaimungal and Penalva.
    gamma, penalty = 1e-6, 0.5
    lots, times = np.arange(-5, 6), np.array([[0.1], [1.0]])
    here = paper.certainty_equivalent(
        lots,
        times,
        risk_aversion=gamma,
        volatility=np.sqrt(2 * penalty / gamma),
        fill_decay=1.0,
        arrival_rate=10.0,
        max_inventory=6,
    )
    there = cartea_jaimungal.value(
        lots,
        times,
        buy_rate=10.0,
        sell_rate=10.0,
        fill_decay=1.0,
        running_penalty=penalty,
        terminal_penalty=0.0,
        max_inventory=6,
    )
    np.testing.assert_allclose(here, there, atol=1e-5)


@pytest.mark.parametrize("market", OTHERS)
def test_the_value_equals_a_plain_matrix_exponential_where_that_is_accurate(
    market: dict[str, float],
) -> None:
    k, gamma = market["fill_decay"], market["risk_aversion"]
    fill_rate = market["arrival_rate"] * (1 + gamma / k) ** -(1 + k / gamma)
    lots = np.arange(-2, 3)
    generator = -np.diag(k * gamma * market["volatility"] ** 2 / 2 * lots**2.0)
    generator += fill_rate * (np.eye(5, k=1) + np.eye(5, k=-1))
    expected = np.log(expm(generator * 1.5) @ np.ones(5)) / k
    value = paper.certainty_equivalent(lots, 1.5, max_inventory=2, **market)
    np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_inventory_and_time_broadcast() -> None:
    grid = paper.certainty_equivalent([-1, 0, 2], [[5.0], [1.0]], max_inventory=4, **MARKET)
    assert grid.shape == (2, 3)
    for row, time_left in enumerate([5.0, 1.0]):
        for column, lot in enumerate([-1, 0, 2]):
            one = paper.certainty_equivalent(lot, time_left, max_inventory=4, **MARKET)
            assert one.shape == ()
            assert grid[row, column] == pytest.approx(one)


def test_an_argument_out_of_range_is_an_error_that_names_it() -> None:
    with pytest.raises(
        ValueError, match=r"inventory=6 is out of range: expected whole lots from -5 to 5"
    ):
        paper.optimal_depths(6, 1.0, max_inventory=5, **MARKET)
    with pytest.raises(ValueError, match=r"inventory=0.5 is out of range: expected whole lots"):
        paper.optimal_depths(0.5, 1.0, **MARKET)
    with pytest.raises(ValueError, match=r"risk_aversion=0.0 is out of range: .* above 0"):
        paper.optimal_depths(0, 1.0, **{**MARKET, "risk_aversion": 0.0})
    with pytest.raises(ValueError, match=r"max_inventory=0 is out of range"):
        paper.certainty_equivalent(0, 1.0, max_inventory=0, **MARKET)
