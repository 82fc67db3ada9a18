"""Summary scores of the suite against SciPy, a plain loop and a case by hand."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from mm_gym.evaluation.suite_scores import interquartile_estimate, interquartile_mean, summarise
from tests.evaluation.suite_kit import NOISE, a_row, judge, printed


@pytest.mark.parametrize("n", range(1, 25))
def test_the_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    scores = np.random.default_rng(n).standard_normal((3, n))
    wanted = [stats.trim_mean(row, 0.25) for row in scores]
    np.testing.assert_allclose(interquartile_mean(scores), wanted, rtol=1e-12)


def test_the_interval_of_one_task_is_that_of_scipys_bootstrap() -> None:
    scores = np.random.default_rng(4).normal(0.6, 0.2, 10)
    # Standard errors over sessions are not used, because there are ten seeds.
    ours = interquartile_estimate([scores], [np.full(10, 99.0)])
    theirs = stats.bootstrap(
        (scores,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis),
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours.value == pytest.approx(stats.trim_mean(scores, 0.25))
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_the_interval_over_tasks_resamples_seeds_within_each_task() -> None:
    """Against a plain loop with other random numbers. Tasks differ far more than seeds."""
    rng = np.random.default_rng(2)
    tasks = [centre + 0.1 * rng.standard_normal(5) for centre in (0.0, 0.5, 1.0, 3.0)]
    slow = []
    for _ in range(2000):
        pooled: list[float] = []
        for scores in tasks:
            pooled += [float(scores[rng.integers(5)]) for _ in scores]
        slow.append(stats.trim_mean(pooled, 0.25))
    ours = interquartile_estimate(tasks, [np.zeros(5)] * 4)
    assert ours.value == pytest.approx(stats.trim_mean(np.concatenate(tasks), 0.25))
    assert ours.low == pytest.approx(np.percentile(slow, 2.5), abs=0.01)
    assert ours.high == pytest.approx(np.percentile(slow, 97.5), abs=0.01)
    assert ours.high - ours.low < 0.2


def test_with_one_seed_the_interval_is_over_sessions() -> None:
    one = interquartile_estimate([np.array([0.5])], [np.array([0.1])])
    assert one.value == 0.5
    assert one.low == pytest.approx(0.5 - 1.96 * 0.1, abs=0.01)
    assert one.high == pytest.approx(0.5 + 1.96 * 0.1, abs=0.01)
    unknown = interquartile_estimate([np.array([0.5])], [np.array([math.nan])])
    assert unknown.value == 0.5
    assert math.isnan(unknown.low)


def test_a_summary_by_hand() -> None:
    scores = {"noise": [0.1, 0.2, 0.3, 0.4, 1.5], "informed-40": [0.5]}
    rows = [
        a_row(
            task=task,
            seed=seed,
            score=score,
            objective=10.0 + 20.0 * score,
            fills=10.0 * (seed + 1),
        )
        for task, values in scores.items()
        for seed, score in enumerate(values)
    ]
    noise, informed, over_all = summarise(rows)
    assert (noise.task, noise.seeds, informed.seeds) == ("noise", 5, 1)
    assert noise.interquartile_mean.value == pytest.approx(0.3)  # of 0.2, 0.3 and 0.4
    assert noise.mean == pytest.approx(0.5)
    assert noise.objective == pytest.approx(20.0)
    assert noise.standard_error == pytest.approx(1.0 / math.sqrt(5.0))
    assert noise.spread == pytest.approx(20.0 * np.std(scores["noise"], ddof=1))
    assert noise.fills == 30.0
    assert math.isnan(informed.spread)
    assert (over_all.task, over_all.tasks, over_all.seeds) == ("", 2, 5)
    assert over_all.interquartile_mean.value == pytest.approx((0.2 + 0.3 + 0.4 + 0.5) / 4.0)
    assert over_all.mean == pytest.approx(0.5)
    assert over_all.spread == pytest.approx(np.std(scores["noise"], ddof=1))


def test_tasks_without_reference_scores_have_objectives_and_no_scores() -> None:
    task = dataclasses.replace(NOISE, zero=None)
    results = judge("fixed_spread", task)
    assert math.isnan(results.rows[0].score)
    (only,) = summarise(results.rows)
    assert only.task == "noise"
    assert math.isnan(only.mean)
    assert "noise (no reference scores yet)" in printed(results, [task])
