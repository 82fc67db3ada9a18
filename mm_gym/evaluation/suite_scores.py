"""Scores of the suite over training seeds and tasks: interquartile means with 95 % intervals.

The intervals come from a bootstrap over training seeds, stratified by task (Agarwal et al., 2021,
"Deep reinforcement learning at the edge of the statistical precipice", and their package rliable).
With a single seed the interval covers the sampling error of its sessions instead. A mean of
hundreds of sessions is close to normal, so the bootstrap draws it from a normal distribution.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.evaluation.statistics import CONFIDENCE, Array, Estimate, nan_to_none
from mm_gym.evaluation.suite import Row

_RESAMPLES = 2000
_SEED = 20211206  # an arbitrary constant, so that equal rows give equal intervals
_TRIMMED = 0.25  # share that the interquartile mean leaves out at each end


def interquartile_mean(scores: npt.ArrayLike) -> Array:
    """The mean of the middle half of the scores, along the last axis.

    A quarter of the scores, rounded down, is left out at each end.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=-1)
    out = int(_TRIMMED * ordered.shape[-1])
    return np.asarray(ordered[..., out : ordered.shape[-1] - out].mean(axis=-1))


def interquartile_estimate(scores: Sequence[Array], errors: Sequence[Array]) -> Estimate:
    """The interquartile mean over all tasks and seeds, and its 95 percent interval.

    Args:
        scores: for each task, the scores of its seeds, shape (seeds,).
        errors: for each task, their standard errors, shape (seeds,). Only a task with a single seed
            uses them.
    """
    value = float(interquartile_mean(np.concatenate(scores)))
    resampled = interquartile_mean(np.concatenate(_resampled(scores, errors), axis=1))
    if not np.isfinite(resampled).all():
        return Estimate(value, math.nan, math.nan)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(resampled, [tail, 100.0 - tail])
    return Estimate(value, float(low), float(high))


def _resampled(scores: Sequence[Array], errors: Sequence[Array]) -> list[Array]:
    """Resampled scores of each task, shape (resamples, seeds): seeds drawn with replacement."""
    rng = np.random.default_rng(_SEED)
    drawn = []
    for of_task, of_errors in zip(scores, errors, strict=True):
        n = len(of_task)
        if n > 1:
            drawn.append(of_task[rng.integers(0, n, (_RESAMPLES, n))])
        else:
            drawn.append(of_task + of_errors * rng.standard_normal((_RESAMPLES, 1)))
    return drawn


@dataclass(frozen=True)
class Summary:
    """A contender in one task, or over all its tasks. NaN if the data do not allow an estimate."""

    agent: str
    task: str
    """The task's name, or empty for the summary over all tasks."""
    tasks: int
    """Number of tasks."""
    seeds: int
    """Number of training seeds in the task; over all tasks the largest number."""
    objective: float
    """[ticks x lots] Mean over seeds; NaN over all tasks, whose objectives are not comparable."""
    standard_error: float
    """[ticks x lots] Of the objective, over sessions."""
    interquartile_mean: Estimate
    """Of the normalised scores."""
    mean: float
    """Of the normalised scores."""
    spread: float
    """Standard deviation between training seeds; NaN with one seed.

    In a task it is that of the objective [ticks x lots]. Over all tasks it is that of the
    normalised score, as the root mean square over tasks."""
    fills: float
    """Mean number per session."""

    def plain(self) -> dict[str, Any]:
        """The summary as plain values for JSON, with None in place of NaN."""
        estimate = self.interquartile_mean
        values = {
            name: value for name, value in vars(self).items() if name != "interquartile_mean"
        } | {
            "interquartile_mean": estimate.value,
            "interquartile_mean_low": estimate.low,
            "interquartile_mean_high": estimate.high,
        }
        return nan_to_none(values)


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Summaries of every contender in each task, then over all tasks with reference scores."""
    by_task = _grouped(rows, lambda row: (row.task, row.agent))
    summaries = [_in_task(members) for members in by_task.values()]
    for agent, members in _grouped(rows, lambda row: row.agent).items():
        scored = [row for row in members if not math.isnan(row.score)]
        if scored:
            summaries.append(
                _over_all(agent, list(_grouped(scored, lambda row: row.task).values()))
            )
    return summaries


def _in_task(members: Sequence[Row]) -> Summary:
    objectives = np.array([row.objective for row in members])
    return Summary(
        agent=members[0].agent,
        task=members[0].task,
        tasks=1,
        seeds=len(members),
        objective=float(objectives.mean()),
        standard_error=math.sqrt(sum(row.standard_error**2 for row in members)) / len(members),
        interquartile_mean=interquartile_estimate(*_scores([members])),
        mean=float(np.mean([row.score for row in members])),
        spread=_deviation(objectives),
        fills=float(np.mean([row.fills for row in members])),
    )


def _over_all(agent: str, tasks: Sequence[Sequence[Row]]) -> Summary:
    scores, errors = _scores(tasks)
    deviations = np.array([_deviation(of_task) for of_task in scores])
    repeated = deviations[~np.isnan(deviations)]
    return Summary(
        agent=agent,
        task="",
        tasks=len(tasks),
        seeds=max(map(len, tasks)),
        objective=math.nan,
        standard_error=math.nan,
        interquartile_mean=interquartile_estimate(scores, errors),
        mean=float(np.mean([of_task.mean() for of_task in scores])),
        spread=float(np.sqrt((repeated**2).mean())) if len(repeated) else math.nan,
        fills=float(np.mean([np.mean([row.fills for row in of_task]) for of_task in tasks])),
    )


def _scores(tasks: Sequence[Sequence[Row]]) -> tuple[list[Array], list[Array]]:
    return (
        [np.array([row.score for row in members]) for members in tasks],
        [np.array([row.score_standard_error for row in members]) for members in tasks],
    )


def _deviation(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def _grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups
