"""Maximum likelihood estimates of a dealer market's parameters from a maker's own observations.

The unknown parameters are the volatility of the price, the intensity A exp(-k depth) at which
uninformed takers trade with a quote, and the share of informed takers. The signal's drift and
half-life and the threshold of informed takers come from a configuration. In each interval the maker
observed the mid, its own quotes, and which of them traded.

The likelihood is a forward recursion over the hidden signal s on a grid. It is exact except for the
discretisation of the signal. The factor of an interval is

    P(each quote traded or not | s) x P(move of the mid, s' | s).

A quote trades with probability 1 - exp(-(A exp(-k depth) + B 1{informed takers accept it}) dt).
B is the arrival rate of informed takers, and s' and the move are jointly normal.

The maximum is found by the method of Berndt, Hall, Hall and Hausman (1974, "Estimation and
inference in nonlinear structural models"). Conditional scores of intervals are martingale
differences. So the sum of their outer products estimates the Fisher information. Its inverse scales
each step, and at the maximum it is the covariance of the estimates.
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

_STEP = 1e-4  # of central differences, in the scaled parameters (mostly logarithms)
_MOST_ROUNDS = 50
_LONGEST = 1.0  # longest step of a round, in the scaled parameters
_CLOSE_ENOUGH, _CLOSE_TO_A_KINK = 0.01, 0.1  # [standard errors] distance to the maximum
_SHARES = 0.5 ** np.arange(6.0)  # shares of a step that the line search tries
_LEAST_RATE = 1e-12  # [1/s]
_AT_ONCE = 500  # intervals per batch, to limit memory


class Estimate(NamedTuple):
    """A parameter and its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class WarmUp:
    """What a maker observed in T intervals of a dealer market, with quotes of one lot.

    A depth is the distance of the live quote, rounded to ticks, from the mid at the start of the
    interval. It is inf if there was no quote.

    Raises:
        ValueError: if the shapes do not match, a quote without a depth traded, or either none or
            all of the quotes traded.
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
                f"the columns do not match {len(self.mids)} mids: expected shape "
                f"({len(self.mids) - 1},), one less than mids, in each, got {sorted(shapes)} "
                "(write mids from the start of the first interval to the end of the last)"
            )
        quoted = np.isfinite(np.concatenate([self.bid_depth, self.ask_depth]))
        traded = np.concatenate([self.bought, self.sold])
        if (traded & ~quoted).any():
            raise ValueError(
                "the depth of a quote that traded is unknown: expected a finite depth, got inf"
            )
        if not traded.any() or traded[quoted].all():
            raise ValueError(
                "the warm-up does not determine the intensity: expected some quotes that traded "
                f"and some that did not, got {traded.sum()} of {quoted.sum()} that traded "
                "(write a longer warm-up)"
            )


@dataclass(frozen=True)
class Estimates:
    """Maximum likelihood estimates with standard errors."""

    volatility: Estimate
    """sigma [ticks / sqrt(s)]"""
    arrival_rate: Estimate
    """A [1/s]: arrival rate of uninformed takers on one side."""
    fill_decay: Estimate
    """k [1/tick]"""
    informed_share: Estimate
    """p = B / (B + 2 A).

    It can be slightly negative if no taker is informed, because the estimate is unconstrained. It
    is NaN if `signal_drift` is zero, because informed takers are then not identified."""
    log_likelihood: float


def estimate(config: MarketConfig, seen: WarmUp) -> Estimates:
    """Estimate a dealer market's parameters from a warm-up.

    Args:
        config: the known fields: the decision interval, the signal's drift and half-life, and the
            threshold and price limit of informed takers. Other fields are ignored.
        seen: what the maker observed. Depths have to vary, or A and k are not identified.

    Raises:
        ValueError: if the depths do not vary, or no maximum of the likelihood is found.
    """
    depths = np.concatenate([seen.bid_depth, seen.ask_depth])
    depths = depths[np.isfinite(depths)]
    if np.ptp(depths) == 0.0:
        raise ValueError(
            "the warm-up does not identify A and k: expected quotes at several depths, got only "
            f"{depths[0]:g} ticks (write a warm-up of the agent 'random')"
        )
    informed = config.signal_drift > 0.0
    likelihood = _Likelihood(config, seen)
    traded = (seen.bought.sum() + seen.sold.sum()) / (len(depths) * config.decision_interval)
    moves = max(1e-6, float(np.diff(seen.mids).std()) / math.sqrt(config.decision_interval))
    # Scaled parameters are logarithms relative to the start. B is in units of the starting A
    # instead, because its estimate can be negative.
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
    """Log-likelihood of each interval, conditional on all earlier intervals."""

    def __init__(self, config: MarketConfig, seen: WarmUp) -> None:
        self.interval = config.decision_interval
        # The transition over one decision interval. `__call__` adds the noise of each volatility.
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
        """Share of each signal cell in which informed takers trade at this depth, (T, states)."""
        cell = self.states[1] - self.states[0]
        lowest = np.full(len(depth), config.signal_threshold)
        if config.informed_price_limit:
            lowest = np.maximum(lowest, depth / max(config.edge_per_signal, 1e-12))
        shares: Array = np.clip((sign * self.states - lowest[:, None]) / cell + 0.5, 0.0, 1.0)
        return shares * np.isfinite(depth)[:, None]

    def __call__(self, parameters: Array) -> Array:
        """Log-likelihoods, shape (m, T), for m sets of (sigma, A, k, B), shape (m, 4)."""
        sigma, intensity, decay, informed = parameters.T[:, :, None]
        variance = self.own_variance + sigma**2 * self.interval
        # The density of a move given s and s' is a product of factors of s, of s' and of both. The
        # last one is the same in all intervals.
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
    """Maximise a likelihood.

    Returns:
        The scaled parameters at the maximum, the information matrix there, and the log-likelihood.
    """
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
        # With hardly any informed takers the likelihood has kinks at the least rate, where the line
        # search can fail close to the maximum.
        if left < _CLOSE_ENOUGH or (not risen and left < _CLOSE_TO_A_KINK):
            return parameters, information, float(here.sum())
        if not risen:
            break
        parameters = tried[gained.argmax()]
    raise ValueError(
        "no maximum of the likelihood was found: expected a warm-up that identifies all "
        f"parameters, got {here.size} intervals that do not (write a longer warm-up, with quotes "
        "at more different depths)"
    )
