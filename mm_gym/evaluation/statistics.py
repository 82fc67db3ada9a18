"""Confidence intervals of 95 percent over sessions, by the bootstrap.

Sessions are independent, but the fills of one session are not. So the bootstrap resamples sessions.
A mean over fills is a ratio of two sums over sessions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
_RESAMPLES = 2000
_SEED = 20080402  # an arbitrary constant, so that equal data give equal intervals


class Estimate(NamedTuple):
    """A figure and its 95 percent interval; NaN if the data do not allow an estimate."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def _repr_html_(self) -> str:
        return f"{self.value:.3g} <small>95 %: {self.low:.3g} to {self.high:.3g}</small>"


def mean(values: npt.NDArray[np.float64]) -> Estimate:
    """The mean of one figure per session, shape (n,). A single session has a NaN interval."""
    values = np.asarray(values, dtype=np.float64)
    centre = float(values.mean())
    if len(values) < 2:
        return Estimate(centre, np.nan, np.nan)
    if np.ptp(values) == 0.0:
        return Estimate(centre, centre, centre)
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Estimate(centre, float(interval.low), float(interval.high))


def difference(values: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]) -> Estimate:
    """The paired mean difference of two agents on the same sessions, shape (n,) each."""
    return mean(np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64))


def of_sums(
    columns: Sequence[npt.NDArray[np.float64]],
    function: Callable[..., npt.NDArray[np.float64] | float],
) -> Estimate:
    """Estimate a function of sums over sessions: a ratio, a difference of ratios, a correlation.

    Args:
        columns: figures per session, shape (n,) each. All columns are resampled together, so a
            difference of two agents on the same sessions is paired.
        function: takes one sum per column and has to work elementwise on arrays.
    """
    table = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = float(function(*table.sum(axis=0)))
        if len(table) < 2:
            return Estimate(centre, np.nan, np.nan)
        resampled = np.asarray(function(*(_resampled_counts(len(table)) @ table).T))
    resampled = resampled[np.isfinite(resampled)]
    if not len(resampled) or not np.isfinite(centre):
        return Estimate(np.nan, np.nan, np.nan)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(resampled, [tail, 100.0 - tail])
    return Estimate(centre, float(low), float(high))


def ratio(numerator: npt.NDArray[np.float64], denominator: npt.NDArray[np.float64]) -> Estimate:
    """The ratio of two sums over sessions, shape (n,) each."""
    return of_sums([numerator, denominator], lambda a, b: a / b)


def mean_over_fills(
    measure: npt.NDArray[np.float64], fill_session: npt.NDArray[np.int64], n_sessions: int
) -> Estimate:
    """The mean of one figure per fill. The interval resamples sessions with all their fills.

    Args:
        measure: one figure per fill, shape (f,). NaN (a horizon past the close) is left out.
        fill_session: the session of each fill, shape (f,).
        n_sessions: number of sessions.
    """
    return ratio(*fill_sums(measure, fill_session, n_sessions))


def fill_sums(
    measure: npt.NDArray[np.float64], fill_session: npt.NDArray[np.int64], n_sessions: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum and count of a figure per fill in each session, shape (n,) each; NaN is left out."""
    kept = ~np.isnan(measure)
    sums = np.bincount(fill_session[kept], weights=measure[kept], minlength=n_sessions)
    counts = np.bincount(fill_session[kept], minlength=n_sessions)
    return sums.astype(np.float64), counts.astype(np.float64)


def standard_error(values: Array) -> float:
    """The standard error of a mean over sessions, shape (n,); NaN for a single session."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def nan_to_none(row: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a row with None in place of NaN: null in JSON, an empty cell in CSV."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }


@lru_cache(maxsize=8)
def _resampled_counts(n_sessions: int) -> npt.NDArray[np.float64]:
    """How often each resample draws each session, shape (resamples, n)."""
    shares = np.full(n_sessions, 1.0 / n_sessions)
    return (
        np.random.default_rng(_SEED).multinomial(n_sessions, shares, _RESAMPLES).astype(np.float64)
    )
