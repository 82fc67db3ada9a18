"""Cartea, Jaimungal and Penalva (2015), section 10.2, against reference values, the equation and a
simulation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.optimize import minimize_scalar

from mm_gym.theory import cartea_jaimungal as paper


def market(
    buy_rate: float,
    sell_rate: float,
    fill_decay: float,
    running_penalty: float,
    terminal_penalty: float = 0.001,
) -> dict[str, float]:
    return {
        "buy_rate": buy_rate,
        "sell_rate": sell_rate,
        "fill_decay": fill_decay,
        "running_penalty": running_penalty,
        "terminal_penalty": terminal_penalty,
    }


OTHERS = [
    market(10.0, 10.0, 1.0, 0.5),
    market(14.0, 6.0, 1.0, 0.5),
    market(2.0, 30.0, 0.5, 0.1, 0.2),
    market(5.0, 1.0, 2.0, 0.0, 0.0),
    market(140.0, 140.0, 1.5, 0.5),
]


@pytest.mark.parametrize(
    "parameters, expected, tolerance",
    [
        (market(140.0, 140.0, 1.5, 0.01), 68.25583476, 5e-9),
        (market(100.0, 100.0, 1.0, 0.01), 73.22586344, 5e-9),
        (market(10.0, 10.0, 1.0, 0.5), 6.38060372, 5e-9),
        (market(140.0, 140.0, 1.5, 0.5), 64.783, 5e-4),
        (market(14.0, 6.0, 1.0, 0.5), 6.047195, 5e-7),
        (market(6.0, 14.0, 1.0, 0.5), 6.047195, 5e-7),
    ],
)
def test_the_value_from_zero_inventory_equals_the_reference(
    parameters: dict[str, float], expected: float, tolerance: float
) -> None:
    assert paper.value(0, 1.0, **parameters) == pytest.approx(expected, abs=tolerance)


def test_the_depths_in_uneven_flow_equal_the_reference() -> None:
    depths = paper.optimal_depths(0, 1.0, **market(14.0, 6.0, 1.0, 0.5))
    assert depths.ask == pytest.approx(1.5557, abs=5e-5)
    assert depths.bid == pytest.approx(0.8520, abs=5e-5)


def test_the_published_values_have_no_bound_on_inventory() -> None:
    hardest = market(140.0, 140.0, 1.5, 0.01)
    values = [
        float(paper.value(0, 1.0, max_inventory=bound, **hardest)) for bound in (10, 30, 50, 80)
    ]
    # By bound: 10 -> 67.9703, 30 -> 68.255822, 50 -> 68.25583476, 80 -> 68.25583476.
    assert np.all(np.diff(values[:3]) > 0)
    assert values[0] == pytest.approx(67.9703, abs=1e-4)
    assert abs(values[1] - values[3]) > 1e-5
    assert values[2] == pytest.approx(values[3], abs=1e-9)


@pytest.mark.parametrize("parameters", OTHERS)
@pytest.mark.parametrize("time_left", [0.2, 1.0])
def test_the_value_and_the_depths_solve_the_bellman_equation(
    parameters: dict[str, float], time_left: float
) -> None:
    # dh/d(time left) = -phi q^2 + sum over sides of max over delta of
    #                   lambda exp(-kappa delta) (delta + h(q -/+ 1) - h(q))
    bound, nudge = 4, 1e-4
    lots = np.arange(-bound, bound + 1)
    times = time_left + nudge * np.array([-2, -1, 0, 1, 2])
    value = paper.value(lots, times[:, None], max_inventory=bound, **parameters)
    speed = (value[0] - 8 * value[1] + 8 * value[3] - value[4]) / (12 * nudge)
    depths = paper.optimal_depths(lots, time_left, max_inventory=bound, **parameters)

    for column, lot in enumerate(lots):
        hamiltonian = 0.0
        for side, depth, rate in (
            (-1, depths.ask[column], parameters["buy_rate"]),
            (1, depths.bid[column], parameters["sell_rate"]),
        ):
            if abs(lot + side) > bound:
                assert depth == np.inf
                continue
            change = value[2, column + side] - value[2, column]

            def worth(delta: float, rate: float = rate, change: float = change) -> float:
                return float(rate * np.exp(-parameters["fill_decay"] * delta) * (delta + change))

            found = minimize_scalar(
                lambda delta: -worth(delta),
                bounds=(-change, -change + 20.0),
                method="bounded",
                options={"xatol": 1e-10},
            )
            assert depth == pytest.approx(found.x, abs=1e-5)
            hamiltonian += worth(depth)
        running = parameters["running_penalty"] * lot**2
        assert hamiltonian - running == pytest.approx(speed[column], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("parameters", OTHERS)
def test_the_value_equals_a_plain_matrix_exponential_where_that_is_accurate(
    parameters: dict[str, float],
) -> None:
    kappa, lots = parameters["fill_decay"], np.arange(-2, 3)
    generator = np.diag(-parameters["running_penalty"] * kappa * lots**2.0)
    for row in range(5):
        if row > 0:
            generator[row, row - 1] = parameters["buy_rate"] / np.e
        if row < 4:
            generator[row, row + 1] = parameters["sell_rate"] / np.e
    start = np.exp(-parameters["terminal_penalty"] * kappa * lots**2)
    expected = np.log(expm(generator * 0.7) @ start) / kappa
    value = paper.value(lots, 0.7, max_inventory=2, **parameters)
    np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("time_left", [0.001, 1.0])
def test_the_depths_stay_accurate_where_the_solution_is_below_1e_300(
    time_left: float,
) -> None:
    # A plain matrix exponential returns rounding errors here: omega(75) < exp(-300) omega(0).
    parameters = market(10.0, 10.0, 1.0, 0.5, 0.1)
    far, flat = paper.value([75, 0], time_left, max_inventory=80, **parameters)
    assert far - flat < -300.0
    lots = np.arange(60, 76)
    bound_at_80 = paper.optimal_depths(lots, time_left, max_inventory=80, **parameters)
    bound_at_100 = paper.optimal_depths(lots, time_left, max_inventory=100, **parameters)
    np.testing.assert_allclose(bound_at_80.ask, bound_at_100.ask, rtol=1e-9)
    assert np.all(np.diff(bound_at_80.ask) < 0)


@pytest.mark.parametrize("parameters", OTHERS[:3])
def test_the_value_of_a_long_session_equals_that_of_an_ode_solver(
    parameters: dict[str, float],
) -> None:
    # An ordinary solver integrates the equation of h. The library squares its kernel in this case.
    bound, times = 10, np.array([40.0, 200.0])
    lots = np.arange(-bound, bound + 1)
    kappa = parameters["fill_decay"]

    def slope(_: float, h: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        change = -parameters["running_penalty"] * lots**2.0
        change[1:] += parameters["buy_rate"] / (np.e * kappa) * np.exp(kappa * (h[:-1] - h[1:]))
        change[:-1] += parameters["sell_rate"] / (np.e * kappa) * np.exp(kappa * (h[1:] - h[:-1]))
        return change

    start = -parameters["terminal_penalty"] * lots**2.0
    marched = solve_ivp(
        slope, (0.0, 200.0), start, "LSODA", times, lband=1, uband=1, rtol=1e-10, atol=1e-10
    )
    value = paper.value(lots, times[:, None], max_inventory=bound, **parameters)
    np.testing.assert_allclose(value, marched.y.T, rtol=1e-7)


def test_an_array_of_times_gives_the_values_of_single_times() -> None:
    times = np.linspace(0.0, 1.0, 101)[::-1]
    table = paper.value(2, times, max_inventory=10, **OTHERS[1])
    one_by_one = [float(paper.value(2, time, max_inventory=10, **OTHERS[1])) for time in times]
    np.testing.assert_allclose(table, one_by_one, rtol=1e-11)


def test_the_value_at_the_end_is_the_terminal_penalty() -> None:
    lots = np.arange(-6, 7)
    value = paper.value(lots, 0.0, max_inventory=8, **market(3.0, 9.0, 1.0, 0.5, 0.25))
    np.testing.assert_allclose(value, -0.25 * lots**2, atol=1e-12)


def test_exchanging_the_rates_exchanges_the_depths() -> None:
    lots = np.arange(-5, 6)
    depths = paper.optimal_depths(lots, 0.8, **market(14.0, 6.0, 1.0, 0.5))
    mirror = paper.optimal_depths(-lots, 0.8, **market(6.0, 14.0, 1.0, 0.5))
    np.testing.assert_allclose(depths.ask, mirror.bid)
    np.testing.assert_allclose(depths.bid, mirror.ask)


# ----------------------------------------------------------------------------------- constant depth


def test_the_best_constant_depth_equals_the_reference() -> None:
    ask, bid, value = paper.best_constant_depths(1.0, **market(140.0, 140.0, 1.5, 0.5))
    assert value == pytest.approx(47.126, abs=5e-4)
    assert ask == pytest.approx(1 / 1.5 + 0.5 / 2 + 0.001, abs=1e-6)
    assert bid == pytest.approx(ask, abs=1e-6)


def test_with_a_small_penalty_a_constant_depth_is_nearly_optimal() -> None:
    parameters = market(140.0, 140.0, 1.5, 0.01)
    _, _, constant = paper.best_constant_depths(1.0, **parameters)
    assert constant / paper.value(0, 1.0, **parameters) == pytest.approx(0.997, abs=5e-4)


@pytest.mark.parametrize("parameters", OTHERS)
def test_the_best_constant_depths_beat_a_grid_and_the_optimum_beats_them(
    parameters: dict[str, float],
) -> None:
    _, _, best = paper.best_constant_depths(1.0, **parameters)
    depths = np.linspace(-0.5, 8.0, 171)
    every_pair = paper.constant_depths_value(depths[:, None], depths, 1.0, **parameters)
    assert every_pair.max() <= best + 1e-9
    assert every_pair.max() == pytest.approx(best, rel=2e-3)
    assert best <= paper.value(0, 1.0, **parameters) + 1e-9


@pytest.mark.parametrize("ask_depth, bid_depth", [(1.0, 1.0), (1.5, 0.8), (0.2, 2.0)])
def test_the_value_of_constant_depths_agrees_with_a_simulation(
    ask_depth: float, bid_depth: float
) -> None:
    parameters, paths, time = market(14.0, 6.0, 1.0, 0.5, 0.1), 4000, 1.0
    random = np.random.default_rng(1002)
    objective = np.zeros(paths)
    for path in range(paths):
        moments, sides = [], []
        for sign, rate, depth in (
            (-1, parameters["buy_rate"], ask_depth),
            (1, parameters["sell_rate"], bid_depth),
        ):
            takers = random.poisson(rate * time)
            accepted = random.exponential(1.0 / parameters["fill_decay"], takers) > depth
            moments.append(random.uniform(0.0, time, takers)[accepted])
            sides.append(np.full(accepted.sum(), sign))
            objective[path] += depth * accepted.sum()
        order = np.argsort(np.concatenate(moments))
        clock = np.concatenate([[0.0], np.concatenate(moments)[order], [time]])
        lots = np.concatenate([[0], np.cumsum(np.concatenate(sides)[order])])
        objective[path] -= parameters["running_penalty"] * np.sum(lots**2 * np.diff(clock))
        objective[path] -= parameters["terminal_penalty"] * lots[-1] ** 2
    exact = paper.constant_depths_value(ask_depth, bid_depth, time, **parameters)
    assert abs(objective.mean() - exact) < 4 * objective.std() / np.sqrt(paths)


def test_an_argument_out_of_range_is_an_error_that_names_it() -> None:
    good = market(10.0, 10.0, 1.0, 0.5)
    with pytest.raises(ValueError, match=r"buy_rate=-1.0 is out of range: .* above 0, got -1.0"):
        paper.value(0, 1.0, **{**good, "buy_rate": -1.0})
    with pytest.raises(ValueError, match=r"running_penalty=-0.5 is out of range"):
        paper.optimal_depths(0, 1.0, **{**good, "running_penalty": -0.5})
    with pytest.raises(
        ValueError, match=r"inventory=\[0, 61\] is out of range: expected whole lots from -60 to 60"
    ):
        paper.value([0, 61], 1.0, **good)
    with pytest.raises(
        ValueError, match=r"underflows: expected at most 3000, got 3600.0 .*max_inventory=54"
    ):
        paper.value(0, 1.0, **{**good, "terminal_penalty": 1.0})
    with pytest.raises(ValueError, match=r"time_left=nan is out of range"):
        paper.constant_depths_value(1.0, 1.0, np.nan, **good)
