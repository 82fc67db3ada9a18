"""How sure we are: 95 percent intervals over sessions, by the bootstrap.

Sessions are independent; the fills of one are not. So a mean over fills is a ratio of two sums over sessions, and
sessions are what is resampled.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
_RESAMPLES = 2000
_SEED = 20080402  # any fixed number: equal data give equal intervals


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 percent interval; NaN where there is nothing to estimate it from."""

    value: float
    low: float
    high: float


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


@lru_cache(maxsize=8)
def _resampled_counts(n_sessions: int) -> npt.NDArray[np.float64]:
    """How often each session is in each resample, shape (resamples, n)."""
    shares = np.full(n_sessions, 1.0 / n_sessions)
    return np.random.default_rng(_SEED).multinomial(n_sessions, shares, _RESAMPLES).astype(np.float64)


def mean_over_fills(measure: npt.NDArray[np.float64], fill_session: npt.NDArray[np.int64], n_sessions: int) -> Estimate:
    """The mean of one figure per fill, shape (f,); NaN figures (a horizon past the close) are left out.

    The interval resamples sessions with all their fills.
    """
    kept = ~np.isnan(measure)
    if not kept.any():
        return Estimate(np.nan, np.nan, np.nan)
    sums = np.bincount(fill_session[kept], weights=measure[kept], minlength=n_sessions)
    counts = np.bincount(fill_session[kept], minlength=n_sessions).astype(np.float64)
    centre = float(sums.sum() / counts.sum())
    if n_sessions < 2:
        return Estimate(centre, np.nan, np.nan)
    drawn = _resampled_counts(n_sessions)
    totals = drawn @ counts
    ratios = (drawn @ sums)[totals > 0] / totals[totals > 0]
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(ratios, [tail, 100.0 - tail])
    return Estimate(centre, float(low), float(high))
