"""Hawkes processes: against the O(n^2) definition, two libraries, closed forms and themselves."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize, stats

from mm_gym.data import DataError, Recording, describe
from mm_gym.data.description import trades
from mm_gym.data.hawkes import HawkesProcess, fit_hawkes
from mm_gym.data.hawkes_kernels import score
from tests.core.test_clustered_takers import GOOG

Array = npt.NDArray[np.float64]

PAIR = HawkesProcess(
    np.array([0.1, 0.15]),
    np.array([[[0.2, 0.1], [0.05, 0.1]], [[0.0, 0.2], [0.3, 0.1]]]),
    np.array([5.0, 0.1]),
)
ONE_KERNEL = HawkesProcess(
    np.array([0.1, 0.15]), np.array([[[0.2], [0.05]], [[0.0], [0.3]]]), np.array([1.5])
)
TIMES = np.array([0.5, 0.6, 1.7, 1.75, 1.9, 4.0, 4.2, 7.5, 9.0])
TYPES = np.array([0, 1, 1, 0, 0, 0, 1, 1, 0])
END = 10.0
# tick's loss is -(log-likelihood + D end) / n.
TICK = -(0.125537264440812 + 2 * END)
HAWKES_RS = -20.753969757955602


def definition(process: HawkesProcess, times: Array, types: npt.NDArray[Any], end: float) -> float:
    """Log-likelihood as it is written: a sum over all pairs of events."""
    value = -end * float(process.baseline.sum())
    for i, (time, kind) in enumerate(zip(times, types, strict=True)):
        rate = process.baseline[kind]
        for earlier, cause in zip(times[:i], types[:i], strict=True):
            weights = process.branching[kind, cause] * process.decay
            rate += (weights * np.exp(-process.decay * (time - earlier))).sum()
        caused = process.branching[:, kind] * -np.expm1(-process.decay * (end - time))
        value += math.log(rate) - caused.sum()
    return value


def test_the_likelihood_is_that_of_the_definition() -> None:
    assert PAIR.log_likelihood(TIMES, TYPES, END) == pytest.approx(
        definition(PAIR, TIMES, TYPES, END), rel=1e-12
    )


def test_the_likelihood_is_that_of_two_libraries() -> None:
    """tick 0.7 (sum of exponentials) and hawkes-rs 0.1.2 (one exponential), on the same events."""
    assert PAIR.log_likelihood(TIMES, TYPES, END) == pytest.approx(TICK, rel=1e-12)
    assert ONE_KERNEL.log_likelihood(TIMES, TYPES, END) == pytest.approx(HAWKES_RS, rel=1e-12)


def test_the_score_is_the_derivative_of_the_definition() -> None:
    _, by_baseline, by_branching, by_decay = score(
        TIMES, TYPES, END, PAIR.baseline, PAIR.branching, PAIR.decay
    )
    shape, n = PAIR.branching.shape, PAIR.branching.size

    def value(x: Array) -> float:
        process = HawkesProcess(x[:2], x[2 : 2 + n].reshape(shape), x[2 + n :])
        return definition(process, TIMES, TYPES, END)

    at = np.concatenate([PAIR.baseline, PAIR.branching.ravel(), PAIR.decay])
    numerical = optimize.approx_fprime(at, value, 1e-7)
    found = np.concatenate([by_baseline, by_branching.ravel(), by_decay])
    assert found == pytest.approx(numerical, rel=1e-4, abs=1e-5)


def test_simulated_rates_and_dispersion_are_those_of_the_closed_form() -> None:
    """The covariance of counts per unit of time tends to G diag(rate) G' with G = (I - n)^-1
    (Bacry, Delattre, Hoffmann and Muzy 2013, theorem 2). For a Poisson process it is the rate."""
    duration, n_blocks = 200_000.0, 400
    times, types = PAIR.simulate(duration, seed=1)
    edges = np.linspace(0.0, duration, n_blocks + 1)
    counts = np.array([np.histogram(times[types == d], edges)[0] for d in (0, 1)])
    gain = np.linalg.inv(np.eye(2) - PAIR.branching.sum(axis=2))
    rate = gain @ PAIR.baseline
    covariance = gain @ np.diag(rate) @ gain.T
    assert PAIR.stationary_rate == pytest.approx(rate)
    error = np.sqrt(np.diag(covariance) / duration)
    assert (np.abs(counts.sum(axis=1) / duration - rate) < 4.0 * error).all()
    # A variance over 400 blocks has a relative error of sqrt(2 / 400) = 0.07; Poisson is 1.4 to 3
    # times too small.
    found = np.cov(counts) * n_blocks / duration
    assert np.diag(found) == pytest.approx(np.diag(covariance), rel=4.0 * 0.07)
    assert np.diag(covariance).min() > 1.4 * rate.max()


def test_residuals_of_simulated_events_are_exponential_and_those_of_poisson_are_not() -> None:
    """Kolmogorov and Smirnov's distance exceeds 1.95 / sqrt(n) with probability 0.001."""
    times, types = PAIR.simulate(10_000.0, seed=2)
    poisson = HawkesProcess(PAIR.stationary_rate, np.zeros((2, 2, 2)), PAIR.decay)
    for residuals in PAIR.residuals(times, types):
        assert stats.kstest(residuals, "expon").statistic < 1.95 / math.sqrt(len(residuals))
        # Independence: the lag-1 correlation has standard error 1 / sqrt(n).
        correlation = np.corrcoef(residuals[:-1], residuals[1:])[0, 1]
        assert abs(correlation) < 4.0 / math.sqrt(len(residuals))
    for residuals in poisson.residuals(times, types):
        assert stats.kstest(residuals, "expon").statistic > 1.95 / math.sqrt(len(residuals))


def test_a_fit_recovers_the_process_that_made_the_events() -> None:
    times, types = PAIR.simulate(20_000.0, seed=3)
    fit = fit_hawkes(times, types, 20_000.0, half_lives=np.array([1.0, 3.0]))
    assert fit.log_likelihood >= PAIR.log_likelihood(times, types, 20_000.0)
    assert fit.log_likelihood == pytest.approx(
        fit.process.log_likelihood(times, types, 20_000.0), rel=1e-12
    )
    for name in ("baseline", "branching", "decay"):
        error = getattr(fit.standard_errors, name)
        z = (getattr(fit.process, name) - getattr(PAIR, name)) / error
        assert np.isfinite(error).mean() > 0.8  # an error on the bound 0 is unknown
        assert np.nanmax(np.abs(z)) < 4.0
        assert np.nanmax(error) < 0.2 * getattr(PAIR, name).max()


def test_the_error_of_a_poisson_rate_is_the_textbook_s() -> None:
    """The information about a rate mu is n / mu^2. These events happen to show no excitation."""
    times = np.sort(np.random.default_rng(6).uniform(0.0, 1000.0, 900))
    fit = fit_hawkes(times, np.zeros(900, dtype=int), 1000.0, 1, half_lives=np.array([2.0]))
    assert fit.process.branching[0, 0, 0] == 0.0
    assert fit.process.baseline[0] == pytest.approx(0.9, rel=1e-5)
    assert fit.standard_errors.baseline[0] == pytest.approx(0.9 / 30.0, rel=1e-3)
    assert math.isnan(fit.standard_errors.decay[0])


@pytest.mark.parametrize(
    "times, types, message",
    [
        ([1.0, 0.5], [0, 0], r"not in order: expected ascending times within \(0, 10\]"),
        ([1.0, 11.0], [0, 0], "not in order"),
        ([1.0, 2.0], [0, 2], "a type is unknown: expected 0 to 1, got 0 to 2"),
        ([1.0, 2.0], [0], "do not match: expected one of each"),
        ([1.0, 2.0], [0, 1], "too few events for 12 parameters: expected at least 120, got 2"),
    ],
)
def test_events_that_cannot_be_fitted_are_refused(
    times: list[float], types: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fit_hawkes(np.array(times), np.array(types), END)


def test_a_process_that_explodes_is_not_simulated() -> None:
    explosive = HawkesProcess(np.array([1.0]), np.array([[[1.0]]]), np.array([1.0]))
    assert math.isnan(explosive.stationary_rate[0])
    with pytest.raises(ValueError, match="explodes: expected a branching ratio below 1, got 1"):
        explosive.simulate(1.0, 0)
    with pytest.raises(ValueError, match="branching has the wrong shape: expected"):
        HawkesProcess(np.array([1.0]), np.zeros((1, 1)), np.array([1.0]))


def test_trades_of_a_real_day_excite_their_own_side(goog: Recording) -> None:
    """GOOG from 10:00 to 15:30: a buy causes buys, hardly any sells, most within a second."""
    found = trades(goog.messages)
    start, end = 36_000.0, 55_800.0
    found = found[(found["time"] > start) & (found["time"] <= end)]
    times, types = found["time"] - start, (found["sign"] < 0).astype(np.int64)
    fit = fit_hawkes(times, types, end - start, half_lives=np.array([5e-4, 0.05, 5.0]))
    caused = fit.process.branching.sum(axis=2)
    assert 0.5 < fit.process.branching_ratio < 0.75
    assert (np.diag(caused) > 10.0 * np.diag(caused[::-1])).all()
    assert fit.process.stationary_rate == pytest.approx(
        np.bincount(types) / (end - start), rel=0.02
    )
    poisson = len(times) * math.log(len(times) / (end - start) / 2.0) - len(times)
    assert fit.log_likelihood > poisson + 2.0 * len(times)


def test_the_real_day_has_the_figures_that_clustered_takers_are_held_against(
    goog: Recording,
) -> None:
    found = describe(goog)
    for name, expected in GOOG.items():
        assert (found[name].value, found[name].standard_error) == pytest.approx(expected, abs=0.006)
