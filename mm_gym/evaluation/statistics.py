"""How sure we are: 95 percent intervals over sessions, by the bootstrap.

Sessions are independent; the fills of one are not. So a mean over fills is a ratio of two sums over
sessions, and sessions are what is resampled.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
_RESAMPLES = 2000
_SEED = 20080402  # any fixed number: equal data give equal intervals


class Estimate(NamedTuple):
    """A figure and its 95 percent interval; NaN where there is nothing to estimate it from."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def mean(values: npt.NDArray[np.float64]) -> Estimate:
    """The mean of one figure per session, shape (n,). One session has no interval (NaN)."""
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
    """The mean difference of two agents on the same sessions, shape (n,) each, paired."""
    return mean(np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64))


def of_sums(
    columns: Sequence[npt.NDArray[np.float64]],
    function: Callable[..., npt.NDArray[np.float64] | float],
) -> Estimate:
    """A function of sums over sessions, such as a ratio, a difference of ratios or a correlation.

    Args:
        columns: figures per session, shape (n,) each; those of two agents on the same sessions are
            resampled together, so that their difference is paired.
        function: of the sums, one argument a column; has to work on arrays as well.
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
    """The mean of one figure per fill, shape (f,); NaN figures (a horizon past the close) are left
    out.

    The interval resamples sessions with all their fills.
    """
    return ratio(*fill_sums(measure, fill_session, n_sessions))


def fill_sums(
    measure: npt.NDArray[np.float64], fill_session: npt.NDArray[np.int64], n_sessions: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum and number of a figure per fill in each session, shape (n,) each, NaN figures left
    out."""
    kept = ~np.isnan(measure)
    sums = np.bincount(fill_session[kept], weights=measure[kept], minlength=n_sessions)
    counts = np.bincount(fill_session[kept], minlength=n_sessions)
    return sums.astype(np.float64), counts.astype(np.float64)


@lru_cache(maxsize=8)
def _resampled_counts(n_sessions: int) -> npt.NDArray[np.float64]:
    """How often each session is in each resample, shape (resamples, n)."""
    shares = np.full(n_sessions, 1.0 / n_sessions)
    return (
        np.random.default_rng(_SEED).multinomial(n_sessions, shares, _RESAMPLES).astype(np.float64)
    )
