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
import numpy.typing as npt
from scipy.special import gammainc, ndtr

from mm_gym import MarketConfig
from mm_gym import observations as columns
from mm_gym.core.layout import FEATURE_HALF_LIVES, OBSERVATION_CLIP, Obs
from mm_gym.parameters import to_parameters
from mm_gym.theory import rouwenhorst

from .mid_response import LEAST_VARIANCE, mid_response

Array = npt.NDArray[np.float64]

_SHARES = 3  # values of an unknown p_informed: the midpoints of as many equal parts of its range
_LEAST_RATE = 1e-9  # [takers a decision] keeps every number of trades possible
_LEAST_TOLERANCE = 1e-9  # [ticks] avoids a division by zero where takers accept no distance
_ON_TICK = 1e-4  # [ticks] the tolerance of the environment's rounding to whole ticks


class Flow(NamedTuple):
    """A kind of order flow."""

    informed: float
    """Share of takers who act on the signal."""
    tilt: float
    """Share of buyers minus share of sellers among the other takers."""
    prior: float
    """Probability at the start of a session."""


class Quotes(NamedTuple):
    """The maker's own two orders in an interval, shape (n,) each.

    Prices are in ticks. Without an order the bid is -inf and the ask inf.
    """

    bid: Array
    ask: Array
    bid_lots: Array
    ask_lots: Array


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
    seen: npt.NDArray[np.float32]
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

    def start(self, observations: npt.NDArray[np.float32]) -> Belief:
        """The prior at the first observations of a session, shape (n, columns).

        The signal has its stationary distribution.
        """
        n = len(observations)
        weight = np.broadcast_to(self._prior, (n, *self._prior.shape)).copy()
        # V is uniform within the spread.
        variance = np.broadcast_to(
            (self._spread(observations) ** 2 / 12.0)[:, None, None], weight.shape
        ).copy()
        mid = self._settle(np.full(n, self.config.initial_price), observations)
        nothing = Quotes(np.full(n, -np.inf), np.full(n, np.inf), np.zeros(n), np.zeros(n))
        return Belief(weight, np.zeros_like(weight), variance, mid, observations.copy(), nothing)

    def update(self, belief: Belief, observations: npt.NDArray[np.float32]) -> Belief:
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
        move = self._move(belief.seen, observations)[:, None, None]
        surprise = move - to_gap * was - to_move * moved
        gap = was + moved + shared / total * surprise - move
        variance = np.maximum(uncertain + self._move_variance - shared**2 / total, 0.0)
        log_likelihood = -0.5 * (surprise**2 / total + np.log(total))
        weight *= np.exp(log_likelihood - log_likelihood.max(axis=(1, 2), keepdims=True))
        weight /= weight.sum(axis=(1, 2), keepdims=True)
        weight = np.maximum(weight, 1e-200)  # a divisor of the moments
        mid = self._settle(belief.mid + move[:, 0, 0], observations)
        return Belief(weight, gap, variance, mid, observations.copy(), belief.quotes)

    def takers(self, belief: Belief, quotes: Quotes) -> Takers:
        """Expected number of takers in a decision interval, given the maker's quotes."""
        touch = np.inf if self._dealer else 0.5 * self._spread(belief.seen)
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

        The environment rounds prices to whole ticks. Orders that rest near enough stay.

        Args:
            belief: before the decision.
            bid_offset: [ticks] from the public mid.
            ask_offset: [ticks] from the public mid.
            inventory: [lots]
        """
        config, seen = self.config, belief.seen
        wanted_bid = belief.mid - np.clip(bid_offset, 0.0, config.max_offset) + _ON_TICK
        wanted_ask = belief.mid + np.clip(ask_offset, 0.0, config.max_offset) - _ON_TICK
        bid, ask = np.floor(wanted_bid), np.ceil(wanted_ask)
        met = bid >= ask
        bid, ask = bid - met, ask + met
        if not self._dealer:
            half = 0.5 * self._spread(seen)
            bid, ask = (
                np.minimum(bid, belief.mid + half - 1.0),
                np.maximum(ask, belief.mid - half + 1.0),
            )
        resting_bid, resting_ask, left_bid, left_ask = self._resting(belief.mid, seen)
        # The same rule as in `mm_gym.core.quotes`. Without a threshold only an equal price stays.
        if config.requote_threshold > 0.0:
            bid_stays = self._near(wanted_bid - np.floor(wanted_bid) + bid - resting_bid)
            ask_stays = self._near(resting_ask - ask + np.ceil(wanted_ask) - wanted_ask)
            bid, ask = (
                np.where(
                    bid_stays,
                    resting_bid,
                    np.where(ask_stays, np.minimum(bid, resting_ask - 1.0), bid),
                ),
                np.where(
                    ask_stays,
                    resting_ask,
                    np.where(bid_stays, np.maximum(ask, resting_bid + 1.0), ask),
                ),
            )
        # A partly filled order that stays keeps its remaining size.
        bid_lots = np.where(
            bid == resting_bid,
            left_bid,
            np.minimum(config.quote_size, config.max_inventory - inventory),
        )
        ask_lots = np.where(
            ask == resting_ask,
            left_ask,
            np.minimum(config.quote_size, config.max_inventory + inventory),
        )
        bid, ask = np.where(bid_lots > 0.0, bid, -np.inf), np.where(ask_lots > 0.0, ask, np.inf)
        quotes = Quotes(bid, ask, bid_lots, ask_lots)
        # The old orders then stay in the whole interval.
        if config.mean_latency >= config.decision_interval:
            quotes = Quotes(resting_bid, resting_ask, left_bid, left_ask)
        return belief._replace(quotes=quotes)

    def traded(
        self, before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]
    ) -> tuple[Array, Array]:
        """Volume that takers bought and sold between two observations [lots], shape (n,) each."""
        middle = float(self._parameters["feature_decay"][1])
        activity = [
            row[:, Obs.ACTIVITY].astype(np.float64) / self._parameters["activity_scale"]
            + self._parameters["activity_mean"]
            for row in (before, after)
        ]
        volume = np.rint(activity[1] - middle * activity[0])
        traces = [
            self._traces(row, Obs.FLOW_FAST, self._parameters["flow_scale"])
            for row in (before, after)
        ]
        nets = traces[1][0] - self._parameters["feature_decay"] * traces[0][0]
        # Where all three flow columns are clipped, the whole volume is taken to be one-sided.
        one_sided = np.sign(after[:, Obs.FLOW_SLOW]) * volume
        unclipped = traces[0][1] & traces[1][1]
        net = np.clip(np.rint(_slowest_unclipped(nets, unclipped, one_sided)), -volume, volume)
        return 0.5 * (volume + net), 0.5 * (volume - net)

    def _trade_likelihood(self, belief: Belief, observations: npt.NDArray[np.float32]) -> Array:
        bought, sold = self.traded(belief.seen, observations)
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

    def _move(self, before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> Array:
        """[ticks] The move of the mid between two observations, shape (n,).

        The distance x of the mid from its running mean follows x' = decay (x + move).
        """
        (old, unclipped_old), (new, unclipped_new) = (
            self._traces(row, Obs.MID_MOVE_FAST, self._parameters["move_scale"])
            for row in (before, after)
        )
        moves = new / self._parameters["feature_decay"] - old
        return _slowest_unclipped(moves, unclipped_old & unclipped_new, moves[:, 0])

    def _traces(
        self, observations: npt.NDArray[np.float32], first: int, scale: Array
    ) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Running features in their own units, and whether each is unclipped, shape (n, 3) each."""
        columns = observations[:, first : first + len(FEATURE_HALF_LIVES)].astype(np.float64)
        return columns / scale, np.abs(columns) < OBSERVATION_CLIP

    def _spread(self, observations: npt.NDArray[np.float32]) -> Array:
        return columns.spread(observations, self.config)

    def _response(self, observations: npt.NDArray[np.float32]) -> Array:
        """The rows of `MidResponse.coefficients` for these spreads."""
        rows = np.searchsorted(self._mid.spreads, np.rint(self._spread(observations)))
        return self._mid.coefficients[rows]

    def _near(self, further: Array) -> npt.NDArray[np.bool_]:
        """Whether an order stays that rests this many ticks further out than the wanted price."""
        threshold = self.config.requote_threshold
        return (-threshold <= further) & (further < 1.0 + threshold)

    def _resting(self, mid: Array, observations: npt.NDArray[np.float32]) -> Quotes:
        sizes = columns.quote_lots(observations, self.config)
        offsets = columns.quote_offsets(observations, self.config)
        bid = np.where(sizes[:, 0] > 0.0, np.rint(mid - offsets[:, 0]), -np.inf)
        ask = np.where(sizes[:, 1] > 0.0, np.rint(mid + offsets[:, 1]), np.inf)
        return Quotes(bid, ask, sizes[:, 0], sizes[:, 1])

    def _settle(self, mid: Array, observations: npt.NDArray[np.float32]) -> Array:
        """The mid, corrected with prices that are whole ticks.

        In a book these are the best prices, in the dealer market the maker's own resting orders.
        """
        if not self._dealer:
            spread = np.rint(self._spread(observations))
            between = 0.5 * (spread % 2.0)
            # A book with an empty side is observed with a spread of 2 max_offset.
            two_sided = spread < np.floor(2.0 * self.config.max_offset)
            return np.where(two_sided, np.rint(mid - between) + between, mid)
        offsets, sizes = (
            columns.quote_offsets(observations, self.config),
            columns.quote_lots(observations, self.config),
        )
        for side, (sign, column) in enumerate(((-1.0, Obs.BID_OFFSET), (1.0, Obs.ASK_OFFSET))):
            offset = sign * offsets[:, side]
            known = (sizes[:, side] > 0.0) & (np.abs(observations[:, column]) < OBSERVATION_CLIP)
            mid = np.where(known, np.rint(mid + offset) - offset, mid)
        return mid


def _slowest_unclipped(values: Array, unclipped: npt.NDArray[np.bool_], otherwise: Array) -> Array:
    """The slowest of three columns that was not clipped, shape (n,)."""
    chosen = otherwise
    for column in range(values.shape[1]):
        chosen = np.where(unclipped[:, column], values[:, column], chosen)
    return chosen


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
