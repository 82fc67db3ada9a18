"""Intervals: against the t interval, against simulation, and against a plain bootstrap loop."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from mm_gym.evaluation.statistics import Estimate, difference, mean, mean_over_fills, of_sums, ratio


def test_the_interval_of_a_mean_is_the_t_interval_where_data_are_normal() -> None:
    """The values are normal scores, which have no skewness for BCa to correct.

    A quantile of 2,000 resamples has a Monte Carlo s.e. of sqrt(0.025 * 0.975 / 2000) / 0.0585 =
    0.06 standard errors of the mean. BCa's correction of the median adds as much: 0.08 together.
    """
    values = 3.0 + 5.0 * stats.norm.ppf((np.arange(400) + 0.5) / 400)
    standard_error = values.std(ddof=1) / math.sqrt(400)
    low, high = stats.t.interval(0.95, 399, values.mean(), standard_error)
    found = mean(values)
    assert found.value == pytest.approx(values.mean())
    assert abs(found.low - low) < 3.0 * 0.08 * standard_error
    assert abs(found.high - high) < 3.0 * 0.08 * standard_error


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_the_interval_of_a_mean_covers_the_truth_nineteen_times_in_twenty(law: str) -> None:
    """300 data sets of 256 values: the binomial s.e. of the coverage is 1.3 percent."""
    generator = np.random.default_rng(2)
    draw = generator.normal if law == "normal" else generator.exponential
    centre = 0.0 if law == "normal" else 1.0
    found = [mean(draw(size=256)) for _ in range(300)]
    covered = np.mean([interval.low <= centre <= interval.high for interval in found])
    assert abs(covered - 0.95) < 3.0 * math.sqrt(0.95 * 0.05 / 300)


def test_the_interval_of_skewed_data_reaches_further_to_the_long_side() -> None:
    """A t interval is symmetric. The values look like losses in a few bad sessions."""
    values = -np.random.default_rng(3).lognormal(0.0, 1.5, 60)
    found = mean(values)
    assert found.value - found.low > 1.2 * (found.high - found.value)


def test_one_session_has_no_interval_and_equal_sessions_have_none_but_the_point() -> None:
    found = mean(np.array([4.0]))
    assert found.value == 4.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert mean(np.full(5, 2.5)) == Estimate(2.5, 2.5, 2.5)


def test_equal_data_give_equal_intervals() -> None:
    values = np.random.default_rng(4).normal(size=30)
    assert mean(values) == mean(values.copy())
    sessions = np.arange(30) % 7
    assert mean_over_fills(values, sessions, 7) == mean_over_fills(values.copy(), sessions, 7)


def test_a_difference_is_paired() -> None:
    """Results of two agents on the same sessions have a correlation of 0.96. So the paired interval
    has a fifth of the width."""
    generator = np.random.default_rng(5)
    shared = generator.normal(0.0, 5.0, 200)
    one, other = shared + generator.normal(1.0, 1.0, 200), shared + generator.normal(0.0, 1.0, 200)
    paired = difference(one, other)
    assert paired.value == pytest.approx(one.mean() - other.mean())
    unpaired = 2.0 * 1.96 * math.sqrt(one.var(ddof=1) / 200 + other.var(ddof=1) / 200)
    assert paired.high - paired.low < 0.25 * unpaired
    assert paired.low > 0.0
    assert unpaired / 2.0 > paired.value


# --------------------------------------------------------------------------------------- over fills


def made_up_fills(
    n_sessions: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """A figure per fill, and the session of each fill.

    Sessions differ in mean and in number of fills, and one has no fills.
    """
    generator = np.random.default_rng(seed)
    counts = generator.poisson(20.0, n_sessions)
    counts[3] = 0
    sessions = np.repeat(np.arange(n_sessions), counts)
    return generator.normal(generator.normal(0.5, 1.0, n_sessions)[sessions], 2.0), sessions


def test_a_mean_over_fills_has_the_interval_of_a_plain_cluster_bootstrap() -> None:
    """Both have 2,000 resamples. So each end has a Monte Carlo s.e. of about 0.06 standard errors
    of the mean in both."""
    n_sessions = 40
    measure, sessions = made_up_fills(n_sessions, seed=6)
    found = mean_over_fills(measure, sessions, n_sessions)
    assert found.value == pytest.approx(measure.mean())

    generator = np.random.default_rng(7)
    fills_of = [measure[sessions == session] for session in range(n_sessions)]
    resampled = []
    for _ in range(2000):
        drawn = [fills_of[session] for session in generator.integers(0, n_sessions, n_sessions)]
        resampled.append(np.concatenate(drawn).mean())
    low, high = np.percentile(resampled, [2.5, 97.5])
    tolerance = 3.0 * math.sqrt(2.0) * 0.06 * float(np.std(resampled))
    assert abs(found.low - low) < tolerance
    assert abs(found.high - high) < tolerance


def test_the_interval_of_a_mean_over_fills_covers_the_truth() -> None:
    """300 data sets of 60 sessions: the binomial s.e. of the coverage is 1.3 percent. Intervals
    that treat fills as independent cover about half."""
    covered, naively_covered = 0, 0
    for seed in range(300):
        measure, sessions = made_up_fills(60, seed)
        found = mean_over_fills(measure, sessions, 60)
        covered += found.low <= 0.5 <= found.high
        naive = 1.96 * measure.std() / math.sqrt(len(measure))
        naively_covered += abs(measure.mean() - 0.5) <= naive
    assert abs(covered / 300 - 0.95) < 3.0 * math.sqrt(0.95 * 0.05 / 300)
    assert naively_covered / 300 < 0.8


def test_fills_that_are_missing_are_left_out_with_their_weight() -> None:
    measure, sessions = made_up_fills(40, seed=8)
    missing = np.random.default_rng(9).random(len(measure)) < 0.3
    holed = np.where(missing, np.nan, measure)
    assert mean_over_fills(holed, sessions, 40) == mean_over_fills(
        measure[~missing], sessions[~missing], 40
    )


def test_no_fills_and_a_single_session_give_nan() -> None:
    nothing = mean_over_fills(np.empty(0), np.empty(0, dtype=np.int64), 5)
    assert all(math.isnan(number) for number in nothing)
    assert all(
        math.isnan(number)
        for number in mean_over_fills(np.full(4, np.nan), np.zeros(4, dtype=np.int64), 5)
    )
    alone = mean_over_fills(np.array([1.0, 2.0]), np.zeros(2, dtype=np.int64), 1)
    assert alone.value == 1.5
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)


def test_of_sums_resamples_all_columns_together() -> None:
    """The ratio of a column to itself is one in every resample. Columns that were resampled
    separately would not have this property."""
    column = np.random.default_rng(10).exponential(size=50)
    assert ratio(column, column) == Estimate(1.0, 1.0, 1.0)
    assert ratio(3.0 * column, column) == pytest.approx((3.0, 3.0, 3.0))
    found = of_sums([column, np.ones(50)], lambda total, n: total / n)
    assert found.value == pytest.approx(column.mean())
    assert found.low < found.value < found.high
