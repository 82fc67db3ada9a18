"""The exact Bayesian posterior of the latent signal, from what a maker may observe, for many
markets at once.

The hidden state is the signal s, on a grid; who trades (a `Flow` each: a share of informed takers
and a side bias); and V - mid, for each of the two a Gaussian whose moments are matched at each
transition (the interacting multiple model of Blom and Bar-Shalom, 1988). One decision is

1. the tape: takers who bought and sold in the interval, a thinned Poisson stream whose rates depend
on s, 2. the transition of (s, V) over the interval, 3. the mid: V itself in the dealer market,
where that Gaussian has no width and the filter is exact but for the grid; in a book it follows V
late and with an error (`MidResponse`).

The signal's grid is Rouwenhorst's chain (`mm_gym.theory.rouwenhorst`). V and s are taken to move
once a decision, at its end: as the market has it where `value_interval` is `decision_interval`, and
with the right law from decision to decision in any case.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, ndtr

from mm_gym import MarketConfig
from mm_gym import observations as columns
from mm_gym.core.layout import FEATURE_HALF_LIVES, OBSERVATION_CLIP, Obs, Outcome
from mm_gym.markets import Markets
from mm_gym.parameters import to_parameters
from mm_gym.theory import rouwenhorst

Array = npt.NDArray[np.float64]

_SHARES = 3  # values of an unknown p_informed, the middles of as many equal parts of its range
_MEASURED, _MEASURED_MARKETS = (
    250,
    64,
)  # decisions and markets in which the mid's answer to V is measured
_QUANTILES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.96, 0.99)  # of the spread, by which it is parted
_LEAST_RATE = 1e-9  # [takers a decision] so that no tape is impossible
_LEAST_TOLERANCE = 1e-9  # [ticks] so that takers who accept no distance are no division by zero
_LEAST_VARIANCE = 1e-12  # [ticks^2] so that a price that stands still is no division by zero
_ON_TICK = 1e-4  # [ticks] as the environment has it


class Flow(NamedTuple):
    """A kind of order flow."""

    informed: float
    """Share of takers who act on the signal."""
    tilt: float
    """Share of the others' buyers less that of their sellers."""
    prior: float


class Quotes(NamedTuple):
    """The maker's own two orders in an interval: prices [ticks] (bid -inf and ask inf if none) and
    lots, (n,) each."""

    bid: Array
    ask: Array
    bid_lots: Array
    ask_lots: Array


class Belief(NamedTuple):
    """What a maker of n markets believes, and what it has to remember to learn from the next
    observation.

    `weight`, `gap` and `gap_variance` have shape (n, flows, signals).
    """

    weight: Array
    """Posterior probability."""
    gap: Array
    """[ticks] Mean of V - mid given signal and flow."""
    gap_variance: Array
    mid: Array
    """[ticks] Shape (n,), right to a whole number of ticks: what counts is where the tick grid
    lies."""
    seen: npt.NDArray[np.float32]
    """The latest observation, shape (n, columns)."""
    quotes: Quotes


class Takers(NamedTuple):
    """Expected takers in an interval who find somebody to trade with, by side; shape (n, flows,
    signals) each."""

    buyers: Array
    sellers: Array


class SignalFilter:
    """Prior, update and what takers are expected to do.

    Known are the configuration's parameters. In `mixed` the episode's flow is unknown: `Flow`s for
    noise, an imbalance to either side of half the configured one, and three shares of informed
    takers. Takers of several lots are counted as lots / `taker_size` takers. Snipers are not
    reckoned with.
    """

    def __init__(self, config: MarketConfig) -> None:
        self.config = config
        # With the lattice of V put on the decisions, these are the coefficients of the transition
        # between two.
        self._parameters: Any = to_parameters(
            dataclasses.replace(config, value_interval=config.decision_interval)
        )
        self._dealer = config.makers == "none"
        self.signals, stationary, self._to = rouwenhorst.chain(
            float(self._parameters["signal_decay"])
        )
        cell = self.signals[1] - self.signals[0]
        # Where the grid's cells lie against the threshold, and how far edge and move vary within
        # one.
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
        own_variance = float(self._parameters["value_own_noise"]) ** 2 + _LEAST_VARIANCE
        self._move_variance = own_variance + (per_signal**2 + per_shock**2) * within
        self._mid = _mid_response(config)
        self.flows, self._flow_to = _flows(config)
        informed, tilt, prior = (
            np.array(column)[:, None] for column in zip(*self.flows, strict=True)
        )
        self._acting = np.flatnonzero(informed)  # flows in which somebody acts on the signal
        self._informed = config.taker_rate * config.decision_interval * informed
        self._noise_buys = (
            config.taker_rate * config.decision_interval * (1.0 - informed) * 0.5 * (1.0 + tilt)
        )
        self._noise_sells = (
            config.taker_rate * config.decision_interval * (1.0 - informed) * 0.5 * (1.0 - tilt)
        )
        self._prior = prior * stationary

    def start(self, observations: npt.NDArray[np.float32]) -> Belief:
        """What is believed at a session's first observations, shape (n, columns): the stationary
        law."""
        n = len(observations)
        weight = np.broadcast_to(self._prior, (n, *self._prior.shape)).copy()
        # Within the spread V may be anywhere.
        variance = np.broadcast_to(
            (self._spread(observations) ** 2 / 12.0)[:, None, None], weight.shape
        ).copy()
        mid = self._settle(np.full(n, self.config.initial_price), observations)
        nothing = Quotes(np.full(n, -np.inf), np.full(n, np.inf), np.zeros(n), np.zeros(n))
        return Belief(weight, np.zeros_like(weight), variance, mid, observations.copy(), nothing)

    def update(self, belief: Belief, observations: npt.NDArray[np.float32]) -> Belief:
        """What is believed one decision later, with the quotes that were live meanwhile in
        `belief.quotes`."""
        weight, gap, variance = belief.weight, belief.gap, belief.gap_variance
        if len(self._acting):
            weight = weight * self._tape_likelihood(belief, observations)
        moments = np.stack([weight, weight * gap, weight * (variance + gap**2)])
        if len(self.flows) > 1:
            moments = self._flow_to.T @ moments
        weight, first, second = moments @ self._to
        moved = moments[0] @ self._to_move
        second += 2.0 * moments[1] @ self._to_move + moments[0] @ self._to_move_squared
        # V less the old mid is what it was before plus what V moved; the mid answers to each of the
        # two in its own way.
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
        weight = np.maximum(weight, 1e-200)  # moments are divided by it
        mid = self._settle(belief.mid + move[:, 0, 0], observations)
        return Belief(weight, gap, variance, mid, observations.copy(), belief.quotes)

    def takers(self, belief: Belief, quotes: Quotes) -> Takers:
        """Expected number of takers in a decision interval with these quotes in the book."""
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
                belief.gap_variance[:, acting] + self._edge_variance + _LEAST_VARIANCE
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
        """The belief with the prices to which the environment will round these offsets from the mid
        [ticks]."""
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
        if (
            config.requote_threshold > 0.0
        ):  # as `core.quotes` has it; without a threshold only the same price stays
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
        # What was partly filled stays with what is left of it.
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
        if config.latency >= config.decision_interval:  # the old ones live on throughout
            quotes = Quotes(resting_bid, resting_ask, left_bid, left_ask)
        return belief._replace(quotes=quotes)

    def tape(
        self, before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]
    ) -> tuple[Array, Array]:
        """[lots] Bought and sold by takers between two observations, shape (n,) each."""
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
        # Where all three are off their scale, all that traded was on their side.
        off = np.sign(after[:, Obs.FLOW_SLOW]) * volume
        net = np.clip(
            np.rint(_first_shown(nets, traces[0][1] & traces[1][1], off)), -volume, volume
        )
        return 0.5 * (volume + net), 0.5 * (volume - net)

    def _tape_likelihood(self, belief: Belief, observations: npt.NDArray[np.float32]) -> Array:
        bought, sold = self.tape(belief.seen, observations)
        expected, quotes = self.takers(belief, belief.quotes), belief.quotes
        log_likelihood = np.zeros_like(belief.weight)
        for rate, lots, most in zip(
            expected, (bought, sold), (quotes.ask_lots, quotes.bid_lots), strict=True
        ):
            n_takers = (lots / self.config.taker_size)[:, None, None]
            log_likelihood += n_takers * np.log(rate) - rate
            if (
                self._dealer
            ):  # what the maker did not offer cannot be bought: the tape then says "at least"
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
        """[ticks] How far the mid moved: x' = decay (x + move) for x the mid's distance from its
        running mean."""
        (old, shown_old), (new, shown_new) = (
            self._traces(row, Obs.MID_MOVE_FAST, self._parameters["move_scale"])
            for row in (before, after)
        )
        moves = new / self._parameters["feature_decay"] - old
        return _first_shown(moves, shown_old & shown_new, moves[:, 0])

    def _traces(
        self, observations: npt.NDArray[np.float32], first: int, scale: Array
    ) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Three running features in their own units, shape (n, 3), and whether each was within the
        scale."""
        columns = observations[:, first : first + len(FEATURE_HALF_LIVES)].astype(np.float64)
        return columns / scale, np.abs(columns) < OBSERVATION_CLIP

    def _spread(self, observations: npt.NDArray[np.float32]) -> Array:
        return columns.spread(observations, self.config)

    def _response(self, observations: npt.NDArray[np.float32]) -> Array:
        """How the mid answers at these spreads, rows of `MidResponse.answers`."""
        return self._mid.answers[
            np.searchsorted(self._mid.spreads, np.rint(self._spread(observations)))
        ]

    def _near(self, further: Array) -> npt.NDArray[np.bool_]:
        """Whether an order stays that rests so many ticks further out than where it is wanted."""
        threshold = self.config.requote_threshold
        return (-threshold <= further) & (further < 1.0 + threshold)

    def _resting(self, mid: Array, observations: npt.NDArray[np.float32]) -> Quotes:
        sizes = columns.quote_lots(observations, self.config)
        offsets = columns.quote_offsets(observations, self.config)
        bid = np.where(sizes[:, 0] > 0.0, np.rint(mid - offsets[:, 0]), -np.inf)
        ask = np.where(sizes[:, 1] > 0.0, np.rint(mid + offsets[:, 1]), np.inf)
        return Quotes(bid, ask, sizes[:, 0], sizes[:, 1])

    def _settle(self, mid: Array, observations: npt.NDArray[np.float32]) -> Array:
        """The mid, put right by what stands on whole ticks: the maker's own resting orders, or the
        public touch."""
        if not self._dealer:
            spread = np.rint(self._spread(observations))
            between = 0.5 * (spread % 2.0)
            two_sided = spread < np.floor(
                2.0 * self.config.max_offset
            )  # which is what an empty side is shown as
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


class MidResponse(NamedTuple):
    """How the mid of a book moves over a decision: to_gap (V - mid before) + to_move (the move of
    V) + noise."""

    spreads: Array
    """[ticks] The spreads afterwards at which one row ends and the next begins, shape (rows -
    1,)."""
    answers: Array
    """to_gap, to_move and the variance of the noise [ticks^2], shape (rows, 3)."""


@functools.lru_cache(maxsize=32)
def _mid_response(config: MarketConfig) -> MidResponse:
    """Measured, by least squares, in sessions of the configured market that the maker keeps out of.

    Background orders stand until V crosses them, so the mid follows V late, and the later the wider
    the spread is. In the dealer market the mid is V.
    """
    if config.makers == "none":
        return MidResponse(np.empty(0), np.array([[1.0, 1.0, 0.0]]))
    markets = Markets(dataclasses.replace(config, session_steps=_MEASURED), _MEASURED_MARKETS)
    observations, outcomes = markets.empty_results()
    generators = [np.random.default_rng([_MEASURED, market]) for market in range(len(markets))]
    markets.reset(np.arange(len(markets)), generators, observations, outcomes)
    out_of_the_way = np.ones((len(markets), 2), np.float32)
    seen = [outcomes, *(markets.step(out_of_the_way)[1] for _ in range(_MEASURED))]
    value, mid, spread = (
        np.array([row[:, column] for row in seen])
        for column in (Outcome.EFFICIENT_PRICE, Outcome.MID, Outcome.SPREAD)
    )
    causes = np.stack([(value - mid)[:-1].ravel(), np.diff(value, axis=0).ravel()], axis=1)
    moves, spreads = np.diff(mid, axis=0).ravel(), spread[1:].ravel()
    ends = np.unique(np.quantile(spreads, _QUANTILES))
    ends = ends[ends < spreads.max()]  # no row is empty
    rows = np.searchsorted(ends, spreads)
    answers = []
    for row in range(len(ends) + 1):
        here = rows == row
        answer = np.linalg.lstsq(causes[here], moves[here])[0]
        noise = ((moves[here] - causes[here] @ answer) ** 2).mean()
        answers.append([*answer, noise + _LEAST_VARIANCE])
    return MidResponse(ends, np.array(answers))


def _first_shown(values: Array, shown: npt.NDArray[np.bool_], otherwise: Array) -> Array:
    """Of three columns the slowest one that was within its scale; shape (n,)."""
    chosen = otherwise
    for column in range(values.shape[1]):
        chosen = np.where(shown[:, column], values[:, column], chosen)
    return chosen


def accepts(distance: Array, tolerance: float) -> Array:
    """The chance that an uninformed taker trades this far from the mid; both in ticks."""
    if math.isinf(tolerance):
        return np.isfinite(distance).astype(np.float64)
    chance: Array = np.exp(-np.maximum(distance, 0.0) / max(tolerance, _LEAST_TOLERANCE))
    return chance


def _flows(config: MarketConfig) -> tuple[list[Flow], Array]:
    """The kinds of flow there may be, and the probabilities with which one becomes another over a
    decision."""
    informed = config.p_informed if config.informed_kind == "signal" else 0.0
    flips = -0.5 * math.expm1(-2.0 * config.imbalance_flip_rate * config.decision_interval)
    telegraph = np.array([[1.0 - flips, flips], [flips, 1.0 - flips]])
    if config.mixed:
        # A quarter of episodes each: noise, imbalanced, naive (whose flow says as little as noise),
        # informed.
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
