"""The efficient price and the signal, against integrals of their equations and closed forms.

ds = -kappa s dt + sqrt(2 kappa) dB        dV = beta s dt + sigma dW
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import dblquad, quad

from mm_gym.core.layout import Outcome
from mm_gym.markets import Markets
from mm_gym.parameters import value_coefficients
from tests.core.kit import FLOW_REGIMES, assert_agrees, start, started, step

# ------------------------------------------------------------------- one interval, by integration


def _integrated(x: float) -> tuple[float, float, float, float]:
    """Return E[I] / s, Var[s'], Cov[I, s'] and Var[I] for kappa = 1 and dt = x, given s.

    s is the signal at the start of the interval, s' the signal at its end and I the integral of the
    signal. They follow from Cov(s_u, s_v) = exp(u - v) (1 - exp(-2 u)) for u < v. Time is measured
    in shares of the interval, so that short intervals integrate accurately.
    """
    tight = {"epsabs": 0.0, "epsrel": 1e-12}

    def covariance(u: float, v: float) -> float:
        return math.exp(-x * (v - u)) * -math.expm1(-2.0 * x * u)

    mean = x * quad(lambda u: math.exp(-x * u), 0.0, 1.0, **tight)[0]
    with_end = x * quad(lambda u: covariance(u, 1.0), 0.0, 1.0, **tight)[0]
    variance = (
        2.0 * x * x * dblquad(lambda v, u: covariance(u, v), 0.0, 1.0, lambda u: u, 1.0, **tight)[0]
    )
    return mean, covariance(1.0, 1.0), with_end, variance


# Below 1e-3, `value_coefficients` replaces the closed form of Var[I] by a series.
@pytest.mark.parametrize("x", [1e-9, 1e-6, 1e-4, 0.99e-3, 1.01e-3, 0.01, 0.0247, 0.3, 2.0, 10.0])
@pytest.mark.parametrize("kappa", [1e-4, 0.05, 30.0])
@pytest.mark.parametrize("sigma", [0.0, 0.6])
def test_the_transition_has_the_integrated_mean_and_covariance(
    x: float, kappa: float, sigma: float
) -> None:
    beta, dt = 0.11, x / kappa
    step_of = value_coefficients(kappa, beta, sigma, dt)
    mean, signal_variance, covariance, variance = _integrated(x)
    mean, covariance, variance = mean / kappa, covariance / kappa, variance / kappa**2

    assert step_of["signal_decay"] == pytest.approx(math.exp(-x), rel=1e-12)
    assert step_of["signal_noise"] ** 2 == pytest.approx(signal_variance, rel=1e-10)
    assert step_of["value_per_signal"] == pytest.approx(beta * mean, rel=1e-10)
    assert step_of["value_signal_noise"] * step_of["signal_noise"] == pytest.approx(
        beta * covariance, rel=1e-10
    )
    # The variance that the shock of the signal does not explain is x^3 / 6. Near x = 1e-3 only five
    # of its digits are accurate.
    own = beta**2 * (variance - covariance**2 / signal_variance) + sigma**2 * dt
    assert step_of["value_own_noise"] ** 2 == pytest.approx(own, rel=1e-5)


# ---------------------------------------------------------------------------- paths, by simulation

KAPPA, BETA, SIGMA = math.log(2.0) / 14.0, 0.11, 0.6


def _simulated(horizon: float, value_interval: float) -> dict[str, npt.NDArray[np.float64]]:
    """Return the signal at both ends of a decision interval and the move of V in between.

    There are 20,000 independent sessions of the dealer market without takers, so nobody trades.
    """
    markets = started(
        1_000,
        "dealer",
        taker_rate=0.0,
        decision_interval=horizon,
        value_interval=value_interval,
        volatility=SIGMA,
        signal_drift=BETA,
        signal_half_life=14.0,
    )
    rows = []
    for seed in range(20):
        first, last = start(markets, seed), step(markets)
        move = last[:, Outcome.EFFICIENT_PRICE] - first[:, Outcome.EFFICIENT_PRICE]
        rows.append(np.stack([first[:, Outcome.SIGNAL], last[:, Outcome.SIGNAL], move]))
    return dict(zip(("first", "last", "move"), np.concatenate(rows, axis=1), strict=True))


def _assert_moment_agrees(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    expected: float,
    x_variance: float,
    y_variance: float,
) -> None:
    """Assert the mean of x y for zero-mean normals. Its variance is Var[x] Var[y] + Cov[x, y]^2."""
    error = math.sqrt((x_variance * y_variance + expected**2) / len(x))
    assert_agrees(float((x * y).mean()), expected, error)


@pytest.mark.parametrize("horizon", [0.5, 5.0, 20.0, 100.0])
def test_signal_and_price_have_the_moments_of_their_equations(horizon: float) -> None:
    paths = _simulated(horizon, value_interval=0.5)
    first, last, move = paths["first"], paths["last"], paths["move"]
    decay = math.exp(-KAPPA * horizon)
    shared = BETA * (1.0 - decay) / KAPPA
    variance = SIGMA**2 * horizon + 2.0 * (BETA / KAPPA) ** 2 * (KAPPA * horizon - 1.0 + decay)

    assert_agrees(first.mean(), 0.0, 1.0 / math.sqrt(len(first)), "mean of the signal")
    assert_agrees(move.mean(), 0.0, math.sqrt(variance / len(move)), "mean of the move")
    _assert_moment_agrees(first, first, 1.0, 1.0, 1.0)
    _assert_moment_agrees(last, last, 1.0, 1.0, 1.0)
    _assert_moment_agrees(first, last, decay, 1.0, 1.0)
    _assert_moment_agrees(move, move, variance, variance, variance)
    _assert_moment_agrees(first, move, shared, 1.0, variance)
    _assert_moment_agrees(last, move, shared, 1.0, variance)


@pytest.mark.parametrize("value_interval", [0.1, 5.0, 50.0])
def test_the_variance_of_the_price_does_not_depend_on_the_time_grid(value_interval: float) -> None:
    # Euler steps of 5 s would be off by 8 % here, and steps of 50 s by far more. The standard error
    # is 1 %.
    horizon = 50.0
    move = _simulated(horizon, value_interval)["move"]
    x = KAPPA * horizon
    variance = SIGMA**2 * horizon + 2.0 * (BETA / KAPPA) ** 2 * (x - 1.0 + math.exp(-x))
    _assert_moment_agrees(move, move, variance, variance, variance)


# ---------------------------------------------------------------- the same path in every situation


def _path(markets: Markets, quote: Callable[[int], tuple[float, float]]) -> npt.NDArray[np.float64]:
    """Return V and s after each of 200 decisions, shape (200, markets, 2)."""
    return np.stack(
        [step(markets, *quote(i))[:, [Outcome.EFFICIENT_PRICE, Outcome.SIGNAL]] for i in range(200)]
    )


def _two_ticks(_: int) -> tuple[float, float]:
    return 2.0, 2.0


@pytest.mark.parametrize(
    "fields", [{}, {"value_interval": 0.3, "decision_interval": 0.7}], ids=["default", "odd"]
)
def test_the_price_path_is_the_same_in_every_regime(fields: dict[str, Any]) -> None:
    paths = [_path(started(8, regime, seed=11, **fields), _two_ticks) for regime in FLOW_REGIMES]
    paths.append(
        _path(started(8, "informed", seed=11, informed_kind="decoy", **fields), _two_ticks)
    )
    for other in paths[1:]:
        np.testing.assert_array_equal(paths[0], other)


@pytest.mark.parametrize("regime", ["informed", "dealer"])
def test_the_price_path_is_the_same_whatever_the_agent_does(regime: str) -> None:
    random = np.random.default_rng(0)
    quotes: list[Callable[[int], tuple[float, float]]] = [
        _two_ticks,
        lambda _: (10.0, 10.0),
        lambda i: (0.0, 10.0 * (i % 2)),
        lambda _: (random.uniform(0.0, 10.0), random.uniform(0.0, 10.0)),
    ]
    paths, fills = [], set()
    for quote in quotes:
        markets = started(8, regime, seed=11)
        paths.append(_path(markets, quote))
        fills.add(markets.records["account"]["n_fills"].tobytes())
    for other in paths[1:]:
        np.testing.assert_array_equal(paths[0], other)
    assert len(fills) == len(quotes)  # the agents had different fills


def test_the_price_path_is_the_same_with_snipers_and_latency() -> None:
    plain = _path(started(8, seed=11), _two_ticks)
    other = _path(
        started(8, seed=11, sniping=True, latency=2.5, quote_size=5, taker_size=4.0), _two_ticks
    )
    np.testing.assert_array_equal(plain, other)


def test_other_seeds_and_other_markets_have_other_price_paths() -> None:
    here, elsewhere = _path(started(8, seed=11), _two_ticks), _path(started(8, seed=12), _two_ticks)
    ends = np.concatenate([here[-1], elsewhere[-1]])
    assert len(np.unique(ends[:, 0])) == len(np.unique(ends[:, 1])) == 16


def test_the_decoy_has_the_law_of_the_signal_and_predicts_nothing() -> None:
    horizon, n = 10.0, 1_000
    fields = {"decision_interval": horizon, "warm_up": 0.0, "signal_half_life": 14.0}
    markets = started(n, "informed", informed_kind="decoy", **fields)
    rows = []
    for seed in range(5):
        price = start(markets, seed)[:, Outcome.EFFICIENT_PRICE]
        first = markets.records["decoy"].copy()
        price = step(markets)[:, Outcome.EFFICIENT_PRICE] - price
        rows.append(
            [first, markets.records["decoy"].copy(), markets.records["signal"].copy(), price]
        )
    first, last, signal, move = np.concatenate(rows, axis=1)
    _assert_moment_agrees(first, first, 1.0, 1.0, 1.0)
    _assert_moment_agrees(last, last, 1.0, 1.0, 1.0)
    _assert_moment_agrees(first, last, math.exp(-KAPPA * horizon), 1.0, 1.0)
    _assert_moment_agrees(last, signal, 0.0, 1.0, 1.0)
    _assert_moment_agrees(first, move, 0.0, 1.0, float(move.var()))
    _assert_moment_agrees(last, move, 0.0, 1.0, float(move.var()))
