"""The parameters of a dealer market, estimated from what its maker saw in a warm-up, with standard
errors.

Unknown are the volatility of the price, the intensity A exp(-k depth) at which uninformed takers
trade with a quote, and the share of takers who act on the signal. How the signal moves the price
and at what threshold it is acted on is taken from a configuration. The maker saw, interval by
interval, the mid, its own quotes and which of them traded.

The likelihood is exact but for the signal's grid: a forward recursion over the hidden signal, in
which an interval's factor is

    P(each quote traded or not | s) x P(move of the mid, s' | s),

a quote trading with probability 1 - exp(-(A exp(-k depth) + B 1{it is good enough for the
informed}) dt), B the arrival rate of informed takers, and (s', move) jointly normal. It is
maximised by the method of Berndt, Hall, Hall and Hausman (1974): an interval's score, given all
before it, is a martingale difference, so the sum of squared scores estimates the Fisher
information, whose inverse is the step and in the end the covariance of the estimates.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym.config import MarketConfig
from mm_gym.parameters import to_parameters
from mm_gym.theory import rouwenhorst

Array = npt.NDArray[np.float64]

_STEP = 1e-4  # of the central differences, in the logarithms of the parameters' own scales
_MOST_ROUNDS = 50
_LONGEST = 1.0  # step, in the same logarithms
_CLOSE_ENOUGH, _CLOSE_TO_A_KINK = 0.01, 0.1  # [standard errors] that are left to go
_SHARES = 0.5 ** np.arange(6.0)  # of a step that are tried
_LEAST_RATE = 1e-12  # [1/s]
_AT_ONCE = 500  # intervals whose factors are worked out together


class Estimate(NamedTuple):
    """A parameter and its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class WarmUp:
    """What a maker saw in T intervals of a dealer market; its quotes are of one lot. Raises
    ValueError if it cannot be.

    Depths are of the quotes that were live, as rounded to ticks, from the mid at the interval's
    start; inf for none.
    """

    mids: Array
    """[ticks] Shape (T + 1,), at the start of each interval and at the end of the last."""
    bid_depth: Array
    """[ticks] Shape (T,)."""
    ask_depth: Array
    """[ticks] Shape (T,)."""
    bought: npt.NDArray[np.bool_]
    """Whether the bid traded, shape (T,)."""
    sold: npt.NDArray[np.bool_]
    """Whether the ask traded, shape (T,)."""

    def __post_init__(self) -> None:
        shapes = {
            np.shape(column) for column in (self.bid_depth, self.ask_depth, self.bought, self.sold)
        }
        if shapes != {(len(self.mids) - 1,)}:
            raise ValueError(
                f"{len(self.mids)} mids came with columns of shape {sorted(shapes)}; one row less than mids is wanted "
                "in each: write mids from the start of the first interval to the end of the last"
            )
        quoted = np.isfinite(np.concatenate([self.bid_depth, self.ask_depth]))
        traded = np.concatenate([self.bought, self.sold])
        if (traded & ~quoted).any():
            raise ValueError(
                "a quote traded in an interval in which its depth is inf; write the depth it stood at"
            )
        if not traded.any() or traded[quoted].all():
            raise ValueError(
                f"{traded.sum()} of {quoted.sum()} quotes traded, which says nothing of how often they do at other "
                "depths; some that did and some that did not are wanted: write a longer warm-up"
            )


@dataclass(frozen=True)
class Estimates:
    """Maximum likelihood estimates with standard errors."""

    volatility: Estimate
    """sigma [ticks / sqrt(s)]"""
    arrival_rate: Estimate
    """A [1/s]: uninformed takers of one side."""
    fill_decay: Estimate
    """k [1/tick]"""
    informed_share: Estimate
    """p = B / (B + 2 A), a little below zero at times where nobody is informed, as an estimate
    without bias has to be; NaN where `signal_drift` is zero, since the informed are then known by
    nothing."""
    log_likelihood: float


def estimate(config: MarketConfig, seen: WarmUp) -> Estimates:
    """Estimate the market's parameters from a warm-up.

    Args:
        config: what is known, which is the length of intervals, the signal's drift and half-life,
            and when the informed act on it; its other fields are not looked at.
        seen: what the maker saw. Depths have to vary, or A and k cannot be told apart.

    Raises:
        ValueError: if the depths do not vary, or the likelihood has no maximum that can be found.
    """
    depths = np.concatenate([seen.bid_depth, seen.ask_depth])
    depths = depths[np.isfinite(depths)]
    if np.ptp(depths) == 0.0:
        raise ValueError(
            f"every quote stood {depths[0]:g} ticks from the mid, where A and k cannot be told apart; quotes at "
            "several depths are wanted: write a warm-up of the agent 'random'"
        )
    informed = config.signal_drift > 0.0
    likelihood = _Likelihood(config, seen)
    traded = (seen.bought.sum() + seen.sold.sum()) / (len(depths) * config.decision_interval)
    moves = max(1e-6, float(np.diff(seen.mids).std()) / math.sqrt(config.decision_interval))
    # In logarithms, but for B in units of A at the start, which may come out a little below zero
    # where it is zero.
    start = np.array([moves, 2.0 * traded, 1.0 / depths.mean()])
    parameters = np.concatenate([np.zeros(3), [0.5] if informed else []])

    def natural(scaled: Array) -> Array:
        """(sigma, A, k, B) of shape (..., 4)."""
        rate = scaled[..., 3:] * start[1] if informed else np.zeros((*scaled.shape[:-1], 1))
        return np.concatenate([np.exp(scaled[..., :3]) * start, rate], axis=-1)

    parameters, information, best = _maximise(
        lambda scaled: likelihood(natural(scaled)), parameters
    )
    covariance = np.linalg.inv(information)
    value = natural(parameters)
    errors = np.sqrt(np.diag(covariance))
    volatility, arrival_rate, fill_decay = (
        Estimate(float(value[i]), float(value[i] * errors[i])) for i in range(3)
    )
    share = Estimate(math.nan, math.nan)
    if informed:
        uninformed, rate = 2.0 * value[1], value[3]
        total = uninformed + rate
        slope = np.array([0.0, -rate * uninformed, 0.0, uninformed * start[1]]) / total**2
        share = Estimate(float(rate / total), float(math.sqrt(slope @ covariance @ slope)))
    return Estimates(volatility, arrival_rate, fill_decay, share, best)


class _Likelihood:
    """Log-likelihoods of the intervals, each given all before it."""

    def __init__(self, config: MarketConfig, seen: WarmUp) -> None:
        self.interval = config.decision_interval
        # The transition over one decision interval; its own noise is worked out anew for each
        # volatility.
        parameters = to_parameters(
            dataclasses.replace(config, value_interval=config.decision_interval, volatility=0.0)
        )
        self.states, self.stationary, self.transition = rouwenhorst.chain(
            float(parameters["signal_decay"])
        )
        self.per_shock = float(parameters["value_signal_noise"] / parameters["signal_noise"])
        self.per_signal = float(
            parameters["value_per_signal"] - self.per_shock * parameters["signal_decay"]
        )
        self.own_variance = float(parameters["value_own_noise"]) ** 2
        self.moves = np.diff(seen.mids)
        self.sides = [
            (depth, traded, self._good_enough(config, sign, depth))
            for sign, depth, traded in (
                (1.0, seen.ask_depth, seen.sold),
                (-1.0, seen.bid_depth, seen.bought),
            )
        ]

    def _good_enough(self, config: MarketConfig, sign: float, depth: Array) -> Array:
        """Share of each cell of the signal's grid in which informed takers trade at this depth;
        shape (T, states)."""
        cell = self.states[1] - self.states[0]
        lowest = np.full(len(depth), config.signal_threshold)
        if config.informed_price_limit:
            lowest = np.maximum(lowest, depth / max(config.edge_per_signal, 1e-12))
        shares: Array = np.clip((sign * self.states - lowest[:, None]) / cell + 0.5, 0.0, 1.0)
        return shares * np.isfinite(depth)[:, None]

    def __call__(self, parameters: Array) -> Array:
        """Shape (m, T), for m sets of (sigma, A, k, B)."""
        sigma, intensity, decay, informed = parameters.T[:, :, None]
        variance = self.own_variance + sigma**2 * self.interval
        # The density of a move given s and s' parts into factors of s, of s', and one of both that
        # never changes.
        both = self.per_signal * self.per_shock / variance[:, :, None]
        kernel = self.transition * np.exp(-both * self.states[:, None] * self.states)
        later = -0.5 * (self.per_shock * self.states) ** 2 / variance
        alpha = np.broadcast_to(self.stationary, (len(parameters), len(self.states)))
        totals = np.empty((len(self.moves), len(parameters), 1))
        for first in range(0, len(self.moves), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            moves = self.moves[part, None, None]
            here = np.exp(-0.5 * (moves - self.per_signal * self.states) ** 2 / variance)
            for depth, traded, good in self.sides:
                chance = (
                    intensity * np.exp(-decay * depth[part, None, None])
                    + informed * good[part, None]
                )
                untouched = -np.maximum(chance, _LEAST_RATE) * self.interval
                here *= np.where(traded[part, None, None], -np.expm1(untouched), np.exp(untouched))
            there = np.exp(later + moves * self.per_shock * self.states / variance)
            for step in range(len(moves)):
                alpha = ((alpha * here[step])[:, None] @ kernel)[:, 0] * there[step]
                totals[first + step] = alpha.sum(axis=1, keepdims=True)
                alpha = alpha / totals[first + step]
        densities: Array = np.log(totals[:, :, 0].T) - 0.5 * np.log(2.0 * math.pi * variance)
        return densities


def _maximise(likelihood: Callable[[Array], Array], start: Array) -> tuple[Array, Array, float]:
    """The parameters of the highest likelihood, the information there, and the log-likelihood."""
    size = len(start)
    parameters = start
    offsets = np.concatenate([np.zeros((1, size)), _STEP * np.eye(size), -_STEP * np.eye(size)])
    for _ in range(_MOST_ROUNDS):
        here, *around = likelihood(parameters + offsets)
        scores = np.array([(around[i] - around[size + i]) / (2.0 * _STEP) for i in range(size)])
        information = scores @ scores.T
        if np.linalg.matrix_rank(information) < size:
            break
        step = np.linalg.solve(information, scores.sum(axis=1))
        left = math.sqrt(step @ information @ step)  # [standard errors] to the maximum
        tried = parameters + _SHARES[:, None] * step * min(1.0, _LONGEST / np.abs(step).max())
        gained = likelihood(tried).sum(axis=1) - here.sum()
        risen = gained.max() > 0.0
        # Where the informed are hardly any, the least rate makes kinks that a step does not get
        # past.
        if left < _CLOSE_ENOUGH or (not risen and left < _CLOSE_TO_A_KINK):
            return parameters, information, float(here.sum())
        if not risen:
            break
        parameters = tried[gained.argmax()]
    raise ValueError(
        f"no maximum of the likelihood was found: {here.size} intervals came that say too little about some parameter, "
        "as where nobody is uninformed; more are wanted: write a longer warm-up, with quotes at more different depths"
    )
