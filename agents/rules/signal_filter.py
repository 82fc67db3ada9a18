"""The Bayesian posterior of the latent signal, given a maker's observations, for many markets.

The hidden state has three parts:

* the signal s, on the grid of Rouwenhorst's chain (`mm_gym.theory.rouwenhorst`);
* the kind of order flow, a `Flow`: a share of informed takers and a side bias;
* V - mid, a Gaussian for each signal and flow. Its moments are matched at each transition, as in
  the interacting multiple model of Blom and Bar-Shalom (1988).

Each decision updates the posterior in three steps:

1. Trades: takers who bought and sold in the interval are a thinned Poisson stream. Its rates depend
   on s.
2. Transition: s and V move over the interval.
3. Mid: in a book it follows V with a lag and an error (`mid_response`). In the dealer market it
   equals V, the Gaussian has no width, and the filter is exact up to the grid.

V and s are assumed to move once per decision, at its end. That is the market's own rule if
`value_interval` equals `decision_interval`. Otherwise the law from decision to decision is still
exact.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammainc, ndtr

from mm_gym import MarketConfig
from mm_gym.parameters import to_parameters
from mm_gym.theory import rouwenhorst

from ..base import Observations
from .mid_response import LEAST_VARIANCE, mid_response
from .observed_market import Array, ObservedMarket, Quotes

_SHARES = 3  # values of an unknown p_informed: the midpoints of as many equal parts of its range
_LEAST_RATE = 1e-9  # [takers a decision] keeps every number of trades possible
_LEAST_TOLERANCE = 1e-9  # [ticks] avoids a division by zero where takers accept no distance


class Flow(NamedTuple):
    """A kind of order flow."""

    informed: float
    """Share of takers who act on the signal."""
    tilt: float
    """Share of buyers minus share of sellers among the other takers."""
    prior: float
    """Probability at the start of a session."""


class Belief(NamedTuple):
    """The posterior in n markets, with what the next update needs.

    `weight`, `gap` and `gap_variance` have shape (n, flows, signals).
    """

    weight: Array
    """Posterior probability."""
    gap: Array
    """[ticks] Mean of V - mid given signal and flow."""
    gap_variance: Array
    """[ticks^2] Variance of the same."""
    mid: Array
    """[ticks] The public mid up to a constant whole number of ticks, shape (n,). Only its position
    relative to the tick grid matters."""
    seen: Observations
    """The latest observation, shape (n, columns)."""
    quotes: Quotes
    """The maker's orders after it."""


class Takers(NamedTuple):
    """Expected number of takers who trade in an interval, shape (n, flows, signals) each."""

    buyers: Array
    sellers: Array


class SignalFilter:
    """The prior, the update, and the expected number of takers.

    The filter knows the configuration. In `mixed` it does not know the flow of the episode: the
    candidates are noise, half the configured imbalance to either side, and three shares of informed
    takers. A taker of several lots counts as lots / `taker_size` takers. Snipers are ignored.
    """

    def __init__(self, config: MarketConfig) -> None:
        self.config = config
        # With one step of V per decision, these are the parameters of the transition over a
        # decision.
        self._parameters: Any = to_parameters(
            dataclasses.replace(config, value_interval=config.decision_interval)
        )
        self._dealer = config.makers == "none"
        self.observed = ObservedMarket(config)
        self.signals, stationary, self._to = rouwenhorst.chain(
            float(self._parameters["signal_decay"])
        )
        cell = self.signals[1] - self.signals[0]
        # The share of each grid cell beyond the threshold, and the variance of edge and move within
        # a cell.
        self._buys = np.clip((self.signals - config.signal_threshold) / cell + 0.5, 0.0, 1.0)
        self._sells = self._buys[::-1]
        within = cell**2 / 12.0
        self._edge = config.edge_per_signal * self.signals
        self._edge_variance = config.edge_per_signal**2 * within
        per_shock = float(self._parameters["value_signal_noise"] / self._parameters["signal_noise"])
        per_signal = float(
            self._parameters["value_per_signal"] - per_shock * self._parameters["signal_decay"]
        )
        moves = per_signal * self.signals[:, None] + per_shock * self.signals
        self._to_move, self._to_move_squared = self._to * moves, self._to * moves**2
        own_variance = float(self._parameters["value_own_noise"]) ** 2 + LEAST_VARIANCE
        self._move_variance = own_variance + (per_signal**2 + per_shock**2) * within
        self._mid = mid_response(config)
        self.flows, self._flow_to = _flows(config)
        informed, tilt, prior = (
            np.array(column)[:, None] for column in zip(*self.flows, strict=True)
        )
        self._acting = np.flatnonzero(informed)  # flows with informed takers
        self._informed = config.taker_rate * config.decision_interval * informed
        self._noise_buys = (
            config.taker_rate * config.decision_interval * (1.0 - informed) * 0.5 * (1.0 + tilt)
        )
        self._noise_sells = (
            config.taker_rate * config.decision_interval * (1.0 - informed) * 0.5 * (1.0 - tilt)
        )
        self._prior = prior * stationary

    def start(self, observations: Observations) -> Belief:
        """The prior at the first observations of a session, shape (n, columns).

        The signal has its stationary distribution.
        """
        n = len(observations)
        weight = np.broadcast_to(self._prior, (n, *self._prior.shape)).copy()
        # V is uniform within the spread.
        variance = np.broadcast_to(
            (self.observed.spread(observations) ** 2 / 12.0)[:, None, None], weight.shape
        ).copy()
        mid = self.observed.settle(np.full(n, self.config.initial_price), observations)
        nothing = Quotes(np.full(n, -np.inf), np.full(n, np.inf), np.zeros(n), np.zeros(n))
        return Belief(weight, np.zeros_like(weight), variance, mid, observations.copy(), nothing)

    def update(self, belief: Belief, observations: Observations) -> Belief:
        """The posterior one decision later.

        Args:
            belief: of the previous decision. Its `quotes` were live in the interval.
            observations: at the end of the interval, shape (n, columns).
        """
        weight, gap, variance = belief.weight, belief.gap, belief.gap_variance
        if len(self._acting):
            weight = weight * self._trade_likelihood(belief, observations)
        moments = np.stack([weight, weight * gap, weight * (variance + gap**2)])
        if len(self.flows) > 1:
            moments = self._flow_to.T @ moments
        weight, first, second = moments @ self._to
        moved = moments[0] @ self._to_move
        second += 2.0 * moments[1] @ self._to_move + moments[0] @ self._to_move_squared
        # V minus the old mid is the old gap plus the move of V. The mid responds to each of the two
        # with its own coefficient.
        was, moved = first / weight, moved / weight
        uncertain = np.maximum(second / weight - (was + moved) ** 2, 0.0)
        to_gap, to_move, noise = (part[:, None, None] for part in self._response(observations).T)
        shared = to_gap * uncertain + to_move * self._move_variance
        total = to_gap**2 * uncertain + to_move**2 * self._move_variance + noise
        move = self.observed.move(belief.seen, observations)[:, None, None]
        surprise = move - to_gap * was - to_move * moved
        gap = was + moved + shared / total * surprise - move
        variance = np.maximum(uncertain + self._move_variance - shared**2 / total, 0.0)
        log_likelihood = -0.5 * (surprise**2 / total + np.log(total))
        weight *= np.exp(log_likelihood - log_likelihood.max(axis=(1, 2), keepdims=True))
        weight /= weight.sum(axis=(1, 2), keepdims=True)
        weight = np.maximum(weight, 1e-200)  # a divisor of the moments
        mid = self.observed.settle(belief.mid + move[:, 0, 0], observations)
        return Belief(weight, gap, variance, mid, observations.copy(), belief.quotes)

    def takers(self, belief: Belief, quotes: Quotes) -> Takers:
        """Expected number of takers in a decision interval, given the maker's quotes."""
        touch = np.inf if self._dealer else 0.5 * self.observed.spread(belief.seen)
        ask = np.minimum(quotes.ask - belief.mid, touch)[:, None, None]
        bid = np.minimum(belief.mid - quotes.bid, touch)[:, None, None]
        buys, sells = (
            np.repeat(
                chances * accepts(distance, self.config.taker_tolerance) + _LEAST_RATE,
                len(self.signals),
                axis=2,
            )
            for chances, distance in ((self._noise_buys, ask), (self._noise_sells, bid))
        )
        acting = self._acting
        value = belief.gap[:, acting] + self._edge
        if self.config.informed_price_limit:
            deviation = np.sqrt(
                belief.gap_variance[:, acting] + self._edge_variance + LEAST_VARIANCE
            )
            accept_ask, accept_bid = (
                ndtr((value - ask) / deviation),
                ndtr((-value - bid) / deviation),
            )
        else:
            accept_ask, accept_bid = np.isfinite(ask), np.isfinite(bid)
        buys[:, acting] += self._informed[acting] * self._buys * accept_ask
        sells[:, acting] += self._informed[acting] * self._sells * accept_bid
        return Takers(buys, sells)

    def send(
        self, belief: Belief, bid_offset: Array, ask_offset: Array, inventory: Array
    ) -> Belief:
        """The belief with the orders that result from these offsets, shape (n,) each.

        Args:
            belief: before the decision.
            bid_offset: [ticks] from the public mid.
            ask_offset: [ticks] from the public mid.
            inventory: [lots]
        """
        return belief._replace(
            quotes=self.observed.orders(belief.mid, belief.seen, bid_offset, ask_offset, inventory)
        )

    def _trade_likelihood(self, belief: Belief, observations: Observations) -> Array:
        bought, sold = self.observed.traded(belief.seen, observations)
        expected, quotes = self.takers(belief, belief.quotes), belief.quotes
        log_likelihood = np.zeros_like(belief.weight)
        for rate, lots, most in zip(
            expected, (bought, sold), (quotes.ask_lots, quotes.bid_lots), strict=True
        ):
            n_takers = (lots / self.config.taker_size)[:, None, None]
            log_likelihood += n_takers * np.log(rate) - rate
            # In the dealer market takers can only trade what the maker offered. Where all of it was
            # traded, the number of takers is known to be at least that, but not exactly.
            if self._dealer:
                all_taken = lots >= most
                log_likelihood[all_taken] -= (
                    n_takers[all_taken] * np.log(rate[all_taken]) - rate[all_taken]
                )
                sold_out = all_taken & (most > 0.0)
                enough = np.maximum(1.0, most[sold_out] / self.config.taker_size)[:, None, None]
                log_likelihood[sold_out] += np.log(gammainc(enough, rate[sold_out]))
        likelihood: Array = np.exp(log_likelihood - log_likelihood.max(axis=(1, 2), keepdims=True))
        return likelihood

    def _response(self, observations: Observations) -> Array:
        """The rows of `MidResponse.coefficients` for these spreads."""
        rows = np.searchsorted(self._mid.spreads, np.rint(self.observed.spread(observations)))
        return self._mid.coefficients[rows]


def accepts(distance: Array, tolerance: float) -> Array:
    """The probability that an uninformed taker trades at this distance from the mid.

    Args:
        distance: [ticks]
        tolerance: [ticks] mean of the exponential tolerance.
    """
    if math.isinf(tolerance):
        return np.isfinite(distance).astype(np.float64)
    chance: Array = np.exp(-np.maximum(distance, 0.0) / max(tolerance, _LEAST_TOLERANCE))
    return chance


def _flows(config: MarketConfig) -> tuple[list[Flow], Array]:
    """The possible kinds of flow, and their transition probabilities over a decision."""
    informed = config.p_informed if config.informed_kind == "signal" else 0.0
    flips = -0.5 * math.expm1(-2.0 * config.imbalance_flip_rate * config.decision_interval)
    telegraph = np.array([[1.0 - flips, flips], [flips, 1.0 - flips]])
    if config.mixed:
        # A quarter of episodes each: noise, imbalanced, naive informed, informed. Naive informed
        # flow is as uninformative as noise, so the two share one entry.
        shares = informed * (np.arange(_SHARES) + 0.5) / _SHARES
        tilts = [
            Flow(0.0, tilt, 0.125) for tilt in (0.5 * config.imbalance, -0.5 * config.imbalance)
        ]
        flows = [
            *tilts,
            Flow(0.0, 0.0, 0.5),
            *(Flow(float(share), 0.0, 0.25 / _SHARES) for share in shares),
        ]
        becomes = np.eye(len(flows))
        becomes[:2, :2] = telegraph
        return flows, becomes
    if informed > 0.0 and config.imbalance > 0.0:
        return [
            Flow(informed, tilt, 0.5) for tilt in (config.imbalance, -config.imbalance)
        ], telegraph
    return [Flow(informed, 0.0, 1.0)], np.eye(1)
