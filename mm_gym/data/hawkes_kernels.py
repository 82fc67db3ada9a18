"""Compiled recursions of `mm_gym.data.hawkes`, whose letters they use. All are O(n D K).

R[e, k] is the sum of exp(-beta_k (t - t_j)) over the earlier events j of type e (Ozaki 1979).
"""

import math

import numpy as np
from numba import njit

from mm_gym.core.cache import enable_cache
from mm_gym.core.kernel import FINGERPRINT, entry_point
from mm_gym.core.random import exponential, uniform


@enable_cache
@njit(error_model="numpy")
def score(times, types, end, baseline, branching, decay):
    """Log-likelihood and its derivatives with respect to mu, n and beta."""
    n_types, n_kernels = len(baseline), len(decay)
    recent = np.zeros((n_types, n_kernels))  # R
    aged = np.zeros((n_types, n_kernels))  # sum of (t - t_j) exp(-beta_k (t - t_j))
    value = -end * baseline.sum()
    by_baseline = np.full(n_types, -end)
    by_branching = np.zeros_like(branching)
    by_decay = np.zeros(n_kernels)
    now = 0.0
    for i in range(len(times)):
        step = times[i] - now
        now = times[i]
        d = types[i]
        rate = baseline[d]
        for k in range(n_kernels):
            kept = math.exp(-decay[k] * step)
            for e in range(n_types):
                aged[e, k] = kept * (aged[e, k] + step * recent[e, k])
                recent[e, k] *= kept
                rate += branching[d, e, k] * decay[k] * recent[e, k]
        value += math.log(rate)
        by_baseline[d] += 1.0 / rate
        for k in range(n_kernels):
            # The part of the compensator that this event causes until the end.
            left = end - now
            kept = math.exp(-decay[k] * left)
            for e in range(n_types):
                by_branching[d, e, k] += decay[k] * recent[e, k] / rate
                by_decay[k] += branching[d, e, k] * (recent[e, k] - decay[k] * aged[e, k]) / rate
                by_branching[e, d, k] -= 1.0 - kept
                by_decay[k] -= branching[e, d, k] * left * kept
                value -= branching[e, d, k] * (1.0 - kept)
            recent[d, k] += 1.0
    return value, by_baseline, by_branching, by_decay


@enable_cache
@njit(error_model="numpy")
def compensator(times, types, baseline, branching, decay):
    """Integrated intensity of each type up to and including each event, shape (n, D)."""
    n_types, n_kernels = len(baseline), len(decay)
    recent = np.zeros((n_types, n_kernels))
    until = np.zeros((len(times), n_types))
    now = 0.0
    total = np.zeros(n_types)
    for i in range(len(times)):
        step = times[i] - now
        now = times[i]
        total += baseline * step
        for k in range(n_kernels):
            lost = -math.expm1(-decay[k] * step)
            for e in range(n_types):
                for d in range(n_types):
                    total[d] += branching[d, e, k] * recent[e, k] * lost
                recent[e, k] *= 1.0 - lost
            recent[types[i], k] += 1.0
        until[i] = total
    return until


def _simulator(fingerprint):
    @entry_point
    def simulate(now, duration, baseline, branching, decay, recent, words, times, types):
        """Fill `times` and `types` with events after `now`, and return their number and the time.

        The intensity is a sum of parts: the baseline and one part for each exponential. Each part
        alone has a first event that can be drawn exactly (Dassios and Zhao 2013, with their
        inversion); the process has the earliest of these. `recent` is R at `now`. If the last event
        fits in, the time returned is `duration`.
        """
        fingerprint  # noqa: B018
        n_types, n_kernels = len(baseline), len(decay)
        weights = np.empty(n_types)
        total_baseline = baseline.sum()
        for n in range(len(times)):
            first = exponential(words) / total_baseline if total_baseline > 0.0 else math.inf
            part = -1
            for k in range(n_kernels):
                mass = 0.0  # expected number of events that this part still causes
                for e in range(n_types):
                    mass += branching[:, e, k].sum() * recent[e, k]
                draw = exponential(words)
                if draw < mass:
                    gap = -math.log1p(-draw / mass) / decay[k]
                    if gap < first:
                        first, part = gap, k
            choice = uniform(words)
            if now + first > duration:
                return n, duration
            now += first
            if part < 0:
                weights[:] = baseline
            else:
                for d in range(n_types):
                    weights[d] = (branching[d, :, part] * recent[:, part]).sum()
            choice *= weights.sum()
            d = 0
            while d < n_types - 1 and choice >= weights[d]:
                choice -= weights[d]
                d += 1
            times[n], types[n] = now, d
            for k in range(n_kernels):
                recent[:, k] *= math.exp(-decay[k] * first)
                recent[d, k] += 1.0
        return len(times), now

    return simulate


simulate = _simulator(FINGERPRINT)
