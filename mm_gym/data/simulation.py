"""Recording of a simulated market: the same messages and rows that `lobster` reads.

So `description` measures simulated markets and exchange data in the same way, and can be tested on
markets with known rates. The market has background makers and takers only: the agent sends no
quotes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.utils import seeding

from mm_gym.config import MarketConfig
from mm_gym.core import entry_points
from mm_gym.core.layout import ASK, BID, TAPE_ROWS
from mm_gym.data.lobster import (
    BUY,
    EMPTY_ASK,
    EMPTY_BID,
    MESSAGE,
    PRICES_PER_CURRENCY_UNIT,
    SELL,
    SIDES,
    MessageType,
    Recording,
    Side,
    order_book_dtype,
)
from mm_gym.errors import ConfigurationError
from mm_gym.markets import Markets
from mm_gym.order_book import LimitOrderBook

OPENING = 34_200.0  # [s after midnight] 9:30, the opening of NASDAQ

_NUMBERS = {BID: BUY, ASK: SELL}


def record_market(
    config: MarketConfig, seconds: float, seed: int = 0, n_levels: int = 1, lot_size: int = 100
) -> Recording:
    """Run a market without an agent for `seconds` and record its messages.

    Args:
        config: of the market. It needs background makers.
        seconds: [s] length of the recording, after the warm-up.
        seed: as in `reset(seed=...)`.
        n_levels: levels per side of the order book. Messages that touch none of them are left out,
            as LOBSTER does.
        lot_size: [shares] in a lot.

    Raises:
        ValueError: if the length is not positive, or there is no message in this time, as in the
            dealer market.
    """
    if not seconds > 0.0:
        raise ValueError(
            f"seconds={seconds:g} is out of range: expected a number above 0, got {seconds:g}"
        )
    tape = _Tape(config, seed, n_levels, lot_size)
    tape.run(seconds)
    if not tape.messages:
        raise ValueError(
            f"the recording is empty: expected messages within {seconds:g} s of a market with "
            f"makers={config.makers!r}, got none (write more seconds or another market)"
        )
    return Recording(
        np.array(tape.messages, dtype=MESSAGE), np.array(tape.rows, tape.row_type), tape.price_unit
    )


class _Tape:
    """One market, a mirror of its book with unique order ids, and the messages recorded so far."""

    def __init__(self, config: MarketConfig, seed: int, n_levels: int, lot_size: int) -> None:
        self.messages: list[tuple[float, int, int, int, int, int]] = []
        self.rows: list[Any] = []
        self.row_type = order_book_dtype(n_levels)
        self.price_unit = max(1, round(config.tick_size * PRICES_PER_CURRENCY_UNIT))
        self._n_levels = n_levels
        self._lot_size = lot_size
        self._refill = config.refill
        self._markets = Markets(config, 1)
        self._market = self._markets.records[0]
        self._mirror = LimitOrderBook()
        self._resting: dict[int, tuple[int, int, int]] = {}  # slot -> order id, side, lots
        self._last_id = 0
        self._markets.start([seeding.np_random(seed)[0]])
        for slot in self._oldest_first():
            self._added(slot)
        self.messages.clear()
        self.rows.clear()

    def run(self, seconds: float) -> None:
        """Process events until `seconds` after the start, and record their effects on the book."""
        book = self._market["book"]
        while True:
            n_events, n_trades = int(book["n_events"]), int(self._market["n_trades"])
            entry_points.audit_events(
                self._markets.records, self._markets.parameters, 1, self._markets.fill_rows
            )
            if self._market["time"] > seconds:
                return
            if int(self._market["n_trades"]) != n_trades:
                if self._refill:
                    self._filled_and_refilled(n_trades)
                else:
                    self._filled()
            elif int(book["n_events"]) != n_events:
                self._placed_or_cancelled()

    def _oldest_first(self) -> list[int]:
        """Slots of the resting orders. Those at one price are in order of age, oldest first."""
        book = self._market["book"]
        slots = []
        for side in (BID, ASK):
            for level in book["levels"][side, : int(book["n_levels"][side])]:
                slot = int(level["head"])
                while slot >= 0:
                    slots.append(slot)
                    slot = int(book["orders"][slot]["younger"])
        return slots

    def _filled(self) -> None:
        """Record the fills of a taker: every order that has fewer lots than before.

        The best price traded first, and the oldest order at that price. A filled order keeps its
        price in its slot until the slot is used again.
        """
        orders = self._market["book"]["orders"]
        left = orders["lots"].tolist()
        fills = [
            (-int(orders["key"][slot]), order_id, slot)
            for slot, (order_id, _, lots) in self._resting.items()
            if left[slot] < lots
        ]
        for minus_key, order_id, slot in sorted(fills):
            _, side, lots = self._resting[slot]
            self._mirror.reduce(order_id, lots - left[slot])
            self._resting[slot] = (order_id, side, left[slot])
            if left[slot] == 0:
                del self._resting[slot]
            price = -minus_key if side == BID else minus_key
            self._write(MessageType.VISIBLE_EXECUTION, order_id, lots - left[slot], price, side)

    def _filled_and_refilled(self, n_trades: int) -> None:
        """Record the fills of a taker and the new orders that replace what it took.

        A slot that is freed and used again shows neither. So the mirror repeats what the tape
        tells, order by order, and the slots are read anew.
        """
        for number in range(n_trades, int(self._market["n_trades"])):
            trade = self._market["tape"][number % TAPE_ROWS]
            side, price, left = 1 - int(trade["side"]), int(trade["price"]), int(trade["lots"])
            while left > 0:
                order_id, resting = self._mirror.queue(SIDES[_NUMBERS[side]], price)[0]
                lots = min(left, resting)
                left -= lots
                self._mirror.reduce(order_id, lots)
                self._write(MessageType.VISIBLE_EXECUTION, order_id, lots, price, side)
                self._enter(lots, price, side)
        slots, orders = self._oldest_first(), self._market["book"]["orders"]
        ids: dict[tuple[int, int], Iterator[tuple[int, int]]] = {}
        self._resting.clear()
        for slot in slots:
            side, key = int(orders[slot]["side"]), int(orders[slot]["key"])
            price = key if side == BID else -key
            if (side, price) not in ids:
                ids[side, price] = iter(self._mirror.queue(SIDES[_NUMBERS[side]], price))
            order_id, lots = next(ids[side, price])
            if lots != int(orders[slot]["lots"]):  # they have joined another order
                raise ConfigurationError(
                    "the book of this market cannot be recorded: expected room for each order that "
                    "refills it, got a full book (write a smaller taker_rate or maker_size)"
                )
            self._resting[slot] = (order_id, side, lots)

    def _placed_or_cancelled(self) -> None:
        """Record the new order of an event, or its cancelled ones.

        No event has both. So a slot that is freed and used again cannot be missed.
        """
        book = self._market["book"]
        live = set(book["live"][: int(book["n_live"])].tolist())
        for slot in live - self._resting.keys():
            self._added(slot)
        for slot in sorted(self._resting.keys() - live):
            order_id, side, lots = self._resting.pop(slot)
            key = int(book["orders"][slot]["key"])  # a freed slot keeps its price until reuse
            self._mirror.cancel(order_id)
            self._write(MessageType.DELETION, order_id, lots, key if side == BID else -key, side)

    def _added(self, slot: int) -> None:
        order = self._market["book"]["orders"][slot]
        side, lots = int(order["side"]), int(order["lots"])
        price = int(order["key"]) if side == BID else -int(order["key"])
        self._resting[slot] = (self._enter(lots, price, side), side, lots)

    def _enter(self, lots: int, price: int, side: int) -> int:
        """Add an order to the mirror, record its message, and return its id."""
        self._last_id += 1
        self._mirror.submit(SIDES[_NUMBERS[side]], price, lots, self._last_id)
        self._write(MessageType.NEW_LIMIT_ORDER, self._last_id, lots, price, side)
        return self._last_id

    def _write(self, kind: MessageType, order_id: int, lots: int, price: int, side: int) -> None:
        """Record a message and the book after it, unless it touches no level in view."""
        row = (*self._levels("ask", EMPTY_ASK), *self._levels("bid", EMPTY_BID))
        if self.rows and row == self.rows[-1]:
            return
        message = (
            OPENING + float(self._market["time"]),
            int(kind),
            order_id,
            lots * self._lot_size,
            price * self.price_unit,
            _NUMBERS[side],
        )
        self.messages.append(message)
        self.rows.append(row)

    def _levels(self, side: Side, empty: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Prices and sizes of the levels in view, in the exchange's units."""
        shown = self._mirror.levels(side, self._n_levels)
        missing = self._n_levels - len(shown)
        prices = tuple(price * self.price_unit for price, _ in shown) + (empty,) * missing
        return prices, tuple(lots * self._lot_size for _, lots in shown) + (0,) * missing
