"""What a maker's observations say about an interval between two decisions.

Observations hold running features, and the maker's own orders relative to the mid. This module
recovers from them the trades, the move of the mid, and the orders of the next interval.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym import MarketConfig
from mm_gym import observations as columns
from mm_gym.core.layout import FEATURE_HALF_LIVES, OBSERVATION_CLIP, Obs
from mm_gym.parameters import to_parameters

from ..base import Observations

Array = npt.NDArray[np.float64]

_ON_TICK = 1e-4  # [ticks] the tolerance of the environment's rounding to whole ticks


class Quotes(NamedTuple):
    """The maker's own two orders in an interval, shape (n,) each.

    Prices are in ticks. Without an order the bid is -inf and the ask inf.
    """

    bid: Array
    ask: Array
    bid_lots: Array
    ask_lots: Array


class ObservedMarket:
    """Trades, moves of the mid and own orders in markets of one configuration."""

    def __init__(self, config: MarketConfig) -> None:
        self.config = config
        self._parameters: Any = to_parameters(config)
        self._dealer = config.makers == "none"

    def spread(self, observations: Observations) -> Array:
        """[ticks] The public spread, shape (n,)."""
        return columns.spread(observations, self.config)

    def traded(self, before: Observations, after: Observations) -> tuple[Array, Array]:
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

    def move(self, before: Observations, after: Observations) -> Array:
        """[ticks] The move of the mid between two observations, shape (n,).

        The distance x of the mid from its running mean follows x' = decay (x + move).
        """
        (old, unclipped_old), (new, unclipped_new) = (
            self._traces(row, Obs.MID_MOVE_FAST, self._parameters["move_scale"])
            for row in (before, after)
        )
        moves = new / self._parameters["feature_decay"] - old
        return _slowest_unclipped(moves, unclipped_old & unclipped_new, moves[:, 0])

    def settle(self, mid: Array, observations: Observations) -> Array:
        """The mid, corrected with prices that are whole ticks.

        In a book these are the best prices, in the dealer market the maker's own resting orders.
        """
        if not self._dealer:
            spread = np.rint(self.spread(observations))
            between = 0.5 * (spread % 2.0)
            # A book with an empty side is observed with a spread of 2 max_offset.
            two_sided = spread < np.floor(2.0 * self.config.max_offset)
            return np.where(two_sided, np.rint(mid - between) + between, mid)
        offsets = columns.quote_offsets(observations, self.config)
        sizes = columns.quote_lots(observations, self.config)
        for side, (sign, column) in enumerate(((-1.0, Obs.BID_OFFSET), (1.0, Obs.ASK_OFFSET))):
            offset = sign * offsets[:, side]
            known = (sizes[:, side] > 0.0) & (np.abs(observations[:, column]) < OBSERVATION_CLIP)
            mid = np.where(known, np.rint(mid + offset) - offset, mid)
        return mid

    def orders(
        self, mid: Array, seen: Observations, bid_offset: Array, ask_offset: Array, inventory: Array
    ) -> Quotes:
        """The orders in the next interval, after a decision for these offsets, shape (n,) each.

        The environment rounds prices to whole ticks. Orders that rest near enough stay.

        Args:
            mid: [ticks] at the decision.
            seen: the observation at the decision, shape (n, columns).
            bid_offset: [ticks] from the public mid.
            ask_offset: [ticks] from the public mid.
            inventory: [lots]
        """
        config, resting = self.config, self._resting(mid, seen)
        if config.mean_latency >= config.decision_interval:
            return resting  # the new orders arrive after the interval
        resting_bid, resting_ask, left_bid, left_ask = resting
        wanted_bid = mid - np.clip(bid_offset, 0.0, config.max_offset) + _ON_TICK
        wanted_ask = mid + np.clip(ask_offset, 0.0, config.max_offset) - _ON_TICK
        bid, ask = np.floor(wanted_bid), np.ceil(wanted_ask)
        met = bid >= ask
        bid, ask = bid - met, ask + met
        if not self._dealer:
            half = 0.5 * self.spread(seen)
            bid, ask = np.minimum(bid, mid + half - 1.0), np.maximum(ask, mid - half + 1.0)
        # The same rule as in `mm_gym.core.quotes`. Without a threshold only an equal price stays.
        if config.requote_threshold > 0.0:
            bid_stays = self._near(wanted_bid - np.floor(wanted_bid) + bid - resting_bid)
            ask_stays = self._near(resting_ask - ask + np.ceil(wanted_ask) - wanted_ask)
            # A new order does not meet one that stays.
            bid = np.where(ask_stays, np.minimum(bid, resting_ask - 1.0), bid)
            ask = np.where(bid_stays, np.maximum(ask, resting_bid + 1.0), ask)
            bid = np.where(bid_stays, resting_bid, bid)
            ask = np.where(ask_stays, resting_ask, ask)
        # A partly filled order that stays keeps its remaining size.
        new_bid = np.minimum(config.quote_size, config.max_inventory - inventory)
        new_ask = np.minimum(config.quote_size, config.max_inventory + inventory)
        bid_lots = np.where(bid == resting_bid, left_bid, new_bid)
        ask_lots = np.where(ask == resting_ask, left_ask, new_ask)
        bid, ask = np.where(bid_lots > 0.0, bid, -np.inf), np.where(ask_lots > 0.0, ask, np.inf)
        return Quotes(bid, ask, bid_lots, ask_lots)

    def _resting(self, mid: Array, observations: Observations) -> Quotes:
        sizes = columns.quote_lots(observations, self.config)
        offsets = columns.quote_offsets(observations, self.config)
        bid = np.where(sizes[:, 0] > 0.0, np.rint(mid - offsets[:, 0]), -np.inf)
        ask = np.where(sizes[:, 1] > 0.0, np.rint(mid + offsets[:, 1]), np.inf)
        return Quotes(bid, ask, sizes[:, 0], sizes[:, 1])

    def _near(self, further: Array) -> npt.NDArray[np.bool_]:
        """Whether an order stays that rests this many ticks further out than the wanted price."""
        threshold = self.config.requote_threshold
        return (-threshold <= further) & (further < 1.0 + threshold)

    def _traces(
        self, observations: Observations, first: int, scale: Array
    ) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Running features in their own units, and whether each is unclipped, shape (n, 3) each."""
        columns = observations[:, first : first + len(FEATURE_HALF_LIVES)].astype(np.float64)
        return columns / scale, np.abs(columns) < OBSERVATION_CLIP


def _slowest_unclipped(values: Array, unclipped: npt.NDArray[np.bool_], otherwise: Array) -> Array:
    """The slowest of three columns that was not clipped, shape (n,)."""
    chosen = otherwise
    for column in range(values.shape[1]):
        chosen = np.where(unclipped[:, column], values[:, column], chosen)
    return chosen
