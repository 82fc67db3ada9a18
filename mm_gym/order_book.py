"""The limit order book on its own, for orders from a user or an exchange.

It runs the same compiled functions as the environments, on a larger record, so a test with exchange
data tests both. This class checks its input, accepts any integer ids and prices, and grows its
record.
"""

from collections.abc import Hashable
from typing import Any, Literal, get_args

import numpy as np

from mm_gym.core import entry_points
from mm_gym.core.layout import ASK, BID, FILL, NO_ORDER, book_dtype
from mm_gym.errors import SentenceError

Side = Literal["bid", "ask"]
Fill = tuple[int, int, int]

_SIDES = {"bid": BID, "ask": ASK}
_LEVELS, _ORDERS = 1024, 16_384
_GROWTH = 8
_FILLS = 64  # of one call of the core
_LARGEST_PRICE = 2**60
_LARGEST_SIZE = 2**40  # millions of such orders at one price do not overflow their sum


class OrderBookError(SentenceError):
    """An order or a question that the book refuses. The book is then unchanged."""


class LimitOrderBook:
    """A limit order book with price-time priority.

    Prices are whole numbers in any unit, and sizes are whole numbers of lots. `side` is `"bid"` to
    buy or `"ask"` to sell, for market orders too. A fill is `(resting_order_id, price, size)`, and
    fills are listed in the order in which they happen. A refused order changes nothing.

    >>> book = LimitOrderBook()
    >>> book.submit("ask", 101, 5, order_id=1)
    (1, [])
    >>> book.submit("bid", 102, 7, order_id=2)
    (2, [(1, 101, 5)])
    >>> book.levels("bid", 3)
    [(102, 2)]
    """

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        self._ids: dict[int, int] = {}
        self._next_id = 1
        self._fills = np.zeros(_FILLS, dtype=FILL)
        self._allocate(_LEVELS, _ORDERS)

    def __len__(self) -> int:
        """Number of resting orders."""
        return len(self._slots)

    def __contains__(self, order_id: int) -> bool:
        """Whether an order with this id rests in the book."""
        return order_id in self._slots

    def submit(
        self, side: Side, price: int, size: int, order_id: int | None = None
    ) -> tuple[int, list[Fill]]:
        """Enter a limit order. It trades at its price or better, and the remainder rests.

        Args:
            side: `"bid"` or `"ask"`.
            price: limit price.
            size: number of lots.
            order_id: id of the order; by default the next free one.

        Returns:
            The id of the order, and its fills.

        Raises:
            OrderBookError: for an unknown side, a price, size or id that is not a whole number or
                is out of range, or the id of a resting order.
        """
        number = _side(side)
        price = _whole("price", price, -_LARGEST_PRICE, _LARGEST_PRICE)
        size = _whole("size", size, 1, _LARGEST_SIZE)
        order_id = self._new_id(order_id)
        left, fills = self._match(number, price, size)
        if left > 0:
            slot = int(entry_points.book_add(self._books, number, price, left))
            if slot == NO_ORDER:
                self._grow()
                slot = int(entry_points.book_add(self._books, number, price, left))
            self._slots[order_id] = slot
            self._ids[slot] = order_id
        return order_id, fills

    def market(self, side: Side, size: int) -> list[Fill]:
        """Enter a market order. It trades at any price, and the remainder is cancelled.

        Args:
            side: `"bid"` or `"ask"`.
            size: number of lots.

        Returns:
            The fills.

        Raises:
            OrderBookError: for an unknown side or a size that is not a positive whole number.
        """
        number = _side(side)
        any_price = _LARGEST_PRICE if number == BID else -_LARGEST_PRICE
        return self._match(number, any_price, _whole("size", size, 1, _LARGEST_SIZE))[1]

    def reduce(self, order_id: int, size: int) -> None:
        """Reduce a resting order. It keeps its place in the queue.

        Args:
            order_id: id of the order.
            size: number of lots to remove. All lots remove the order.

        Raises:
            OrderBookError: if no such order rests, or if it has fewer lots.
        """
        slot = self._slot(order_id)
        resting = int(self._books[0]["orders"][slot]["lots"])
        if _whole("size", size, 1, _LARGEST_SIZE) == resting:
            return self.cancel(order_id)
        if size > resting:
            raise OrderBookError(
                f"order {order_id} is smaller than that: expected at most {resting} lots, "
                f"got {size} (write cancel({order_id}) to remove it)"
            )
        entry_points.book_reduce(self._books, slot, size)

    def cancel(self, order_id: int) -> None:
        """Remove a resting order.

        Raises:
            OrderBookError: if no such order rests.
        """
        slot = self._slot(order_id)
        entry_points.book_cancel(self._books, slot)
        self._forget(slot)

    @property
    def best_bid(self) -> int | None:
        """The highest bid price, or None without bids."""
        best = self.levels("bid", 1)
        return best[0][0] if best else None

    @property
    def best_ask(self) -> int | None:
        """The lowest ask price, or None without asks."""
        best = self.levels("ask", 1)
        return best[0][0] if best else None

    def levels(self, side: Side, n: int | None = None) -> list[tuple[int, int]]:
        """The best levels as (price, total size), best first.

        Args:
            side: `"bid"` or `"ask"`.
            n: number of levels; all of them by default.

        Raises:
            OrderBookError: for an unknown side or a negative `n`.
        """
        number = _side(side)
        n_levels = int(self._books[0]["n_levels"][number])
        shown = n_levels if n is None else min(n_levels, _whole("n", n, 0, _LARGEST_SIZE))
        levels = self._books[0]["levels"][number, n_levels - shown : n_levels][::-1]
        sign = 1 if number == BID else -1
        return [
            (sign * key, size)
            for key, size in zip(levels["key"].tolist(), levels["lots"].tolist(), strict=True)
        ]

    def queue(self, side: Side, price: int) -> list[tuple[int, int]]:
        """The orders at a price as (order_id, size), oldest first.

        Args:
            side: `"bid"` or `"ask"`.
            price: any price; the queue is empty if no order rests there.

        Raises:
            OrderBookError: for an unknown side or a price that is not a whole number.
        """
        number = _side(side)
        price = _whole("price", price, -_LARGEST_PRICE, _LARGEST_PRICE)
        key = price if number == BID else -price
        book = self._books[0]
        levels = book["levels"][number, : int(book["n_levels"][number])]
        index = int(np.searchsorted(levels["key"], key))
        queue: list[tuple[int, int]] = []
        if index == len(levels) or levels[index]["key"] != key:
            return queue
        slot = int(levels[index]["head"])
        while slot != NO_ORDER:
            order = book["orders"][slot]
            queue.append((self._ids[slot], int(order["lots"])))
            slot = int(order["younger"])
        return queue

    def audit(self) -> bool:
        """Whether every invariant of the record holds, for tests."""
        return bool(entry_points.book_audit(self._books) == 0)

    def _allocate(self, levels: int, orders: int) -> None:
        self._capacity = (levels, orders)
        self._books: np.ndarray[Any, Any] = np.zeros(1, dtype=book_dtype(levels, orders))
        entry_points.book_clear(self._books)

    def _grow(self) -> None:
        """Move all orders into a larger record. Every queue keeps its order."""
        resting = [
            (side, price, size, order_id)
            for side in get_args(Side)
            for price, _ in self.levels(side)
            for order_id, size in self.queue(side, price)
        ]
        self._allocate(self._capacity[0] * _GROWTH, self._capacity[1] * _GROWTH)
        self._slots.clear()
        self._ids.clear()
        for side, price, size, order_id in resting:
            slot = int(entry_points.book_add(self._books, _SIDES[side], price, size))
            self._slots[order_id] = slot
            self._ids[slot] = order_id

    def _match(self, number: int, limit_price: int, left: int) -> tuple[int, list[Fill]]:
        """Trade with the other side. Returns the lots left over and the fills.

        Filled orders are removed from the tables of ids.
        """
        fills = []
        n_new = _FILLS
        while n_new == _FILLS:
            left, n_new = entry_points.book_match(
                self._books, number, limit_price, left, self._fills
            )
            for slot, price, size in self._fills[:n_new].tolist():
                fills.append((self._ids[slot], price, size))
                if int(self._books[0]["orders"][slot]["lots"]) == 0:
                    self._forget(slot)
        return int(left), fills

    def _forget(self, slot: int) -> None:
        del self._slots[self._ids.pop(slot)]

    def _new_id(self, order_id: int | None) -> int:
        if order_id is None:
            while self._next_id in self._slots:
                self._next_id += 1
            order_id = self._next_id
            self._next_id += 1
            return order_id
        if isinstance(order_id, bool) or not isinstance(order_id, (int, np.integer)):
            raise OrderBookError(
                f"order_id={order_id!r} is not a whole number: "
                f"expected a whole number or None, got {order_id!r}"
            )
        if order_id in self._slots:
            raise OrderBookError(
                f"order_id={order_id} rests in the book already: "
                f"expected an unused id, got {order_id}"
            )
        return int(order_id)

    def _slot(self, order_id: int) -> int:
        slot = self._slots.get(order_id) if isinstance(order_id, Hashable) else None
        if slot is None:
            raise OrderBookError(
                f"order {order_id!r} does not rest in the book: "
                f"expected the id of a resting order, got {order_id!r}"
            )
        return slot


def _side(side: str) -> int:
    if not isinstance(side, str) or side not in _SIDES:
        raise OrderBookError(
            f"side={side!r} is not offered: expected 'bid' to buy or 'ask' to sell, got {side!r}"
        )
    return _SIDES[side]


def _whole(name: str, value: Any, low: int, high: int) -> int:
    expected = f"expected a whole number from {low} to {high}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise OrderBookError(f"{name}={value!r} is not a whole number: {expected}, got {value!r}")
    if not low <= value <= high:
        raise OrderBookError(f"{name}={value} is out of range: {expected}, got {value}")
    return int(value)
