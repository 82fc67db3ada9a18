"""Hawkes processes: exact simulation, likelihood, residuals, and maximum-likelihood fits.

Events of D types (for trades: buys and sells) excite each other. The intensity of type d at time t
is a baseline plus a sum of exponentials over all earlier events j, of type e_j at time t_j:

    lambda_d(t) = mu_d + sum_j sum_k n[d, e_j, k] beta_k exp(-beta_k (t - t_j))

n[d, e, k] is the branching ratio: the mean number of events of type d that one event of type e
causes directly through the exponential k. A sum of exponentials can follow a power law over the
range of its half-lives, and costs O(1) per event. Times are in seconds.

Hawkes, A. G. (1971). Spectra of some self-exciting and mutually exciting point processes.
Biometrika 58(1). Ozaki, T. (1979). Maximum likelihood estimation of Hawkes' self-exciting point
processes. Annals of the Institute of Statistical Mathematics 31. Dassios, A., Zhao, H. (2013).
Exact simulation of Hawkes process with exponentially decaying intensity. Electronic Communications
in Probability 18(62). Bacry, E., Mastromatteo, I., Muzy, J.-F. (2015). Hawkes processes in finance.
Market Microstructure and Liquidity 1(1).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from mm_gym.core.random import SEED_WORDS, WORDS_PER_STREAM, seed_stream
from mm_gym.data.description import DataError
from mm_gym.data.hawkes_kernels import compensator, score, simulate

Array = npt.NDArray[np.float64]
Types = npt.NDArray[np.int64]

_SHORTEST, _LONGEST = 1e-6, 1e6  # half-lives that a fit considers, in mean gaps between events
_DIFFERENCE = 1e-4  # relative step of the numerical derivative of the score


@dataclass(frozen=True)
class HawkesProcess:
    """A Hawkes process of D types with K exponentials."""

    baseline: Array
    """[1/s] mu, the rate of events that no other event caused, shape (D,)."""
    branching: Array
    """n, shape (D, D, K): type caused, type that causes, exponential."""
    decay: Array
    """[1/s] beta, decay rate of each exponential, shape (K,)."""

    def __post_init__(self) -> None:
        n, k = len(self.baseline), len(self.decay)
        if self.branching.shape != (n, n, k):
            raise ValueError(
                f"branching has the wrong shape: expected {(n, n, k)}, got {self.branching.shape}"
            )

    @property
    def branching_ratio(self) -> float:
        """Spectral radius of the summed branching ratios; the process is stationary below 1."""
        return float(np.abs(np.linalg.eigvals(self.branching.sum(axis=2))).max())

    @property
    def stationary_rate(self) -> Array:
        """[1/s] Mean rate of each type, (I - n)^-1 mu, shape (D,). NaN if not stationary."""
        if self.branching_ratio >= 1.0:
            return np.full(len(self.baseline), math.nan)
        identity = np.eye(len(self.baseline))
        return np.linalg.solve(identity - self.branching.sum(axis=2), self.baseline)

    def log_likelihood(self, times: Array, types: Types, end: float) -> float:
        """Log-likelihood of the events in (0, end].

        Args:
            times: [s] of the events, ascending, within (0, end], shape (n,).
            types: of the events, from 0 to D - 1, shape (n,).
            end: [s] length of the observation.

        Raises:
            DataError: if the times do not ascend within (0, end], or a type is unknown.
        """
        times, types = _checked(times, types, end, len(self.baseline))
        value, *_ = score(times, types, end, self.baseline, self.branching, self.decay)
        return float(value)

    def residuals(self, times: Array, types: Types) -> list[Array]:
        """Increments of each type's compensator between its events, a list of D arrays.

        If the events follow this process, they are independent and exponential with mean one (the
        time-rescaling theorem; Ogata 1988).

        Args:
            times: [s] of the events, ascending and positive, shape (n,).
            types: of the events, from 0 to D - 1, shape (n,).
        """
        end = float(times[-1]) if len(times) else 0.0
        times, types = _checked(times, types, end, len(self.baseline))
        until = compensator(times, types, self.baseline, self.branching, self.decay)
        return [np.diff(until[types == d, d], prepend=0.0) for d in range(len(self.baseline))]

    def simulate(self, duration: float, seed: int) -> tuple[Array, Types]:
        """Simulate exactly, from a start without earlier events.

        Returns:
            Times [s] in (0, duration] and types of the events, shape (n,) each.

        Raises:
            ValueError: if the process is not stationary, so that it may explode.
        """
        if self.branching_ratio >= 1.0:
            raise ValueError(
                "the process explodes: expected a branching ratio below 1, "
                f"got {self.branching_ratio:g}"
            )
        words = np.zeros(WORDS_PER_STREAM, dtype=np.uint64)
        seed_stream(words, np.random.SeedSequence(seed).generate_state(SEED_WORDS, np.uint64))
        recent = np.zeros((len(self.baseline), len(self.decay)))
        now = 0.0
        pieces = []
        while now < duration:
            times, types = np.empty(1 << 14), np.empty(1 << 14, dtype=np.int64)
            n, now = simulate(
                now, duration, self.baseline, self.branching, self.decay, recent, words,
                times, types,
            )  # fmt: skip
            pieces.append((times[:n], types[:n]))
        if not pieces:
            return np.empty(0), np.empty(0, dtype=np.int64)
        return np.concatenate([t for t, _ in pieces]), np.concatenate([d for _, d in pieces])


@dataclass(frozen=True)
class HawkesFit:
    """A fitted process and how well it is known."""

    process: HawkesProcess
    standard_errors: HawkesProcess
    """Of each parameter, from the observed information. NaN for a branching ratio on its bound 0,
    and for all if the information is not positive definite."""
    log_likelihood: float
    n_events: int


def fit_hawkes(
    times: Array, types: Types, end: float, n_types: int = 2, half_lives: Array | None = None
) -> HawkesFit:
    """Fit a Hawkes process by maximum likelihood.

    Args:
        times: [s] of the events, ascending, within (0, end], shape (n,).
        types: of the events, from 0 to `n_types` - 1, shape (n,).
        end: [s] length of the observation.
        n_types: number of types, D.
        half_lives: [s] of the exponentials where the search starts, all different, shape (K,).
            Default: two, a tenth of the mean gap and ten mean gaps.

    Raises:
        DataError: if there are fewer events than ten for each parameter, the times do not ascend
            within (0, end], or a type is unknown.
    """
    times, types = _checked(times, types, end, n_types)
    n_events = len(times)
    gap = end / max(1, n_events)
    started = np.array([0.1, 10.0]) * gap if half_lives is None else np.asarray(half_lives, float)
    k = len(started)
    n_parameters = n_types + n_types * n_types * k + k
    if n_events < 10 * n_parameters:
        raise DataError(
            f"too few events for {n_parameters} parameters: expected at least "
            f"{10 * n_parameters}, got {n_events}"
        )
    # Time in mean gaps and logarithms of the decays bring all parameters to one scale.
    scaled, length = times / gap, end / gap

    def process_of(x: Array) -> tuple[Array, Array, Array]:
        return (
            x[:n_types],
            x[n_types:-k].reshape(n_types, n_types, k),
            np.exp(x[-k:]),
        )

    def loss(x: Array) -> tuple[float, Array]:
        baseline, branching, decay = process_of(x)
        value, *slopes = score(scaled, types, length, baseline, branching, decay)
        slope = np.concatenate([slopes[0], slopes[1].ravel(), slopes[2] * decay])
        return -value / n_events, -slope / n_events

    share = np.bincount(types, minlength=n_types) / n_events
    start = np.concatenate(
        [
            0.5 * share,
            np.full(n_types * n_types * k, 0.5 / (n_types * k)),
            np.log(math.log(2.0) * gap / started),
        ]
    )
    slowest, fastest = math.log(math.log(2.0) / _LONGEST), math.log(math.log(2.0) / _SHORTEST)
    bounds = [(1e-9, None)] * n_types + [(0.0, None)] * n_types**2 * k + [(slowest, fastest)] * k
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-13, "gtol": 1e-8},
    )  # fmt: skip
    baseline, branching, decay = process_of(found.x)
    order = np.argsort(-decay)
    on_bound = found.x <= np.array([low for low, _ in bounds])
    on_bound[-k:] |= (branching == 0.0).all(axis=(0, 1))  # nothing is known of such a decay
    error = _standard_errors(lambda x: n_events * loss(x)[1], found.x, on_bound)
    error_of = error[:n_types], error[n_types:-k].reshape(branching.shape), error[-k:]
    return HawkesFit(
        HawkesProcess(baseline / gap, branching[:, :, order].copy(), decay[order] / gap),
        HawkesProcess(
            error_of[0] / gap, error_of[1][:, :, order].copy(), (error_of[2] * decay)[order] / gap
        ),
        -n_events * float(found.fun) - n_events * math.log(gap),
        n_events,
    )


def _standard_errors(
    gradient: Callable[[Array], Array], x: Array, fixed: npt.NDArray[np.bool_]
) -> Array:
    """Standard errors at the optimum: the inverse of the numerical Hessian of -log-likelihood."""
    free = np.flatnonzero(~fixed)
    hessian = np.empty((len(free), len(free)))
    for row, index in enumerate(free):
        step = np.zeros_like(x)
        step[index] = _DIFFERENCE * max(abs(x[index]), 1e-2)
        slope = (gradient(x + step) - gradient(x - step)) / (2.0 * step[index])
        hessian[row] = slope[free]
    errors = np.full(len(x), math.nan)
    try:
        variances = np.diag(np.linalg.inv(0.5 * (hessian + hessian.T)))
    except np.linalg.LinAlgError:
        return errors
    if (variances > 0.0).all():
        errors[free] = np.sqrt(variances)
    return errors


def _checked(times: Array, types: Types, end: float, n_types: int) -> tuple[Array, Types]:
    """The events as contiguous arrays."""
    times = np.ascontiguousarray(times, dtype=np.float64)
    types = np.ascontiguousarray(types, dtype=np.int64)
    if times.shape != types.shape or times.ndim != 1:
        raise DataError(
            f"times and types do not match: expected one of each, got shapes {times.shape} and "
            f"{types.shape}"
        )
    if len(times) and not (times[0] > 0.0 and times[-1] <= end and (np.diff(times) >= 0.0).all()):
        raise DataError(
            f"the times are not in order: expected ascending times within (0, {end:g}], got "
            f"{times[0]:g} to {times[-1]:g}"
        )
    if len(types) and not 0 <= types.min() <= types.max() < n_types:
        raise DataError(
            f"a type is unknown: expected 0 to {n_types - 1}, got {types.min()} to {types.max()}"
        )
    return times, types
