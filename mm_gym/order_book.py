"""The limit order book on its own, for orders from a user or an exchange.

Orders match in `mm_gym.core.book`, here as in the environments, so a test with exchange data tests
both. This class checks its input, accepts any integer ids and prices, and grows its record.

The compiled book moves all levels beyond a new one, which is fast for few levels only. Here a side
has as many levels as its user likes, so they are in blocks of at most `_LEVELS`: one block of
consecutive prices is in the record, and the others wait beside it. An operation fetches the block
of its price. Near the touch that is the same block each time.
"""

from bisect import bisect_right
from collections.abc import Hashable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mm_gym.core import entry_points
from mm_gym.core.book import SOUND
from mm_gym.core.layout import ASK, BID, FILL, NO_ORDER, book_dtype
from mm_gym.errors import SentenceError

Side = Literal["bid", "ask"]
Fill = tuple[int, int, int]

_SIDES = {"bid": BID, "ask": ASK}
_LEVELS, _ORDERS = 1024, 16_384  # of a block, and of the first record
_GROWTH = 8  # of the number of orders
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
        # For each side: the waiting blocks, worst first, with None for the one in the record; that
        # one's number; and the lowest key that each block but the first may have.
        self._blocks: tuple[list[Any], list[Any]] = ([None], [None])
        self._here = [0, 0]
        self._bounds: tuple[list[int], list[int]] = ([], [])
        self._allocate(_ORDERS)

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
            self._fetch(number, _key(number, price))
            slot = int(entry_points.book_add(self._books, number, price, left))
            if slot == NO_ORDER:
                self._make_room(number)
                self._fetch(number, _key(number, price))
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
        self._fetch_order(slot)
        entry_points.book_reduce(self._books, slot, size)

    def cancel(self, order_id: int) -> None:
        """Remove a resting order.

        Raises:
            OrderBookError: if no such order rests.
        """
        slot = self._slot(order_id)
        side = self._fetch_order(slot)
        entry_points.book_cancel(self._books, slot)
        self._forget(slot)
        self._drop_if_empty(side)

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
        left = _LARGEST_SIZE if n is None else _whole("n", n, 0, _LARGEST_SIZE)
        sign = 1 if number == BID else -1
        found: list[tuple[int, int]] = []
        for block in reversed(self._blocks[number]):
            levels = self._levels(number) if block is None else block
            levels = levels[max(0, len(levels) - left) :][::-1]
            keys, sizes = levels["key"].tolist(), levels["lots"].tolist()
            found += [(sign * key, size) for key, size in zip(keys, sizes, strict=True)]
            left -= len(levels)
            if left == 0:
                break
        return found

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
        key = _key(number, price)
        self._fetch(number, key)
        book, levels = self._books[0], self._levels(number)
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
        n_orders, sound = 0, entry_points.book_audit_pool(self._books) == SOUND
        for number, bounds in enumerate(self._bounds):
            for block, (low, high) in enumerate(
                zip([-_LARGEST_PRICE, *bounds], [*bounds, _LARGEST_PRICE + 1], strict=True)
            ):
                self._turn_to(number, block)
                fault, n = entry_points.book_audit_side(self._books, number)
                keys = self._levels(number)["key"]
                sound &= fault == SOUND and (len(keys) > 0 or not bounds)
                sound &= bool(((low <= keys) & (keys < high)).all())
                n_orders += n
        bid, ask = self.best_bid, self.best_ask
        crossed = bid is not None and ask is not None and bid >= ask
        return bool(sound and not crossed and n_orders == len(self) == self._books[0]["n_live"])

    def _levels(self, number: int) -> npt.NDArray[Any]:
        """The levels of a side that are in the record, worst first."""
        book = self._books[0]
        levels: npt.NDArray[Any] = book["levels"][number, : int(book["n_levels"][number])]
        return levels

    def _fetch(self, number: int, key: int) -> None:
        """Put the block of this key into the record."""
        if self._bounds[number]:
            self._turn_to(number, bisect_right(self._bounds[number], key))

    def _fetch_order(self, slot: int) -> int:
        """Put the block of this order into the record. Returns a side that may need it no more."""
        if not self._bounds[BID] and not self._bounds[ASK]:
            return BID
        order = self._books[0]["orders"][slot]
        side = int(order["side"])
        self._fetch(side, int(order["key"]))
        return side

    def _turn_to(self, number: int, block: int) -> None:
        """Put this block into the record, and the block there beside it."""
        if block != self._here[number]:
            self._blocks[number][self._here[number]] = self._levels(number).copy()
            self._put(number, block)

    def _put(self, number: int, block: int) -> None:
        levels = self._blocks[number][block]
        self._books[0]["n_levels"][number] = len(levels)
        self._levels(number)[:] = levels
        self._blocks[number][block] = None
        self._here[number] = block

    def _drop_if_empty(self, number: int) -> None:
        """Forget the block in the record if it has no levels and is not the last one."""
        if self._bounds[number] and self._books[0]["n_levels"][number] == 0:
            here = self._here[number]
            del self._blocks[number][here]
            del self._bounds[number][max(0, here - 1)]
            self._put(number, max(0, here - 1))

    def _make_room(self, number: int) -> None:
        """Make room for another order, and for another level in the block in the record."""
        if self._books[0]["n_live"] == self._n_orders:
            self._grow()
        levels = self._levels(number)
        if len(levels) == _LEVELS:
            here, half = self._here[number], _LEVELS // 2
            worse, better = levels[:half].copy(), levels[half:].copy()
            self._blocks[number][here : here + 1] = [worse, better]
            self._bounds[number].insert(here, int(better["key"][0]))
            self._put(number, here + 1)

    def _allocate(self, orders: int) -> None:
        self._n_orders = orders
        self._books: npt.NDArray[Any] = np.zeros(1, dtype=book_dtype(_LEVELS, orders))
        entry_points.book_clear(self._books)

    def _grow(self) -> None:
        """Move all orders into a larger record. They keep their slots."""
        old, n = self._books[0], self._n_orders
        self._allocate(n * _GROWTH)
        book = self._books[0]
        for name in ("n_events", "n_levels", "n_live", "levels"):
            book[name] = old[name]
        for name in ("orders", "live"):
            book[name][:n] = old[name][:n]

    def _match(self, number: int, limit_price: int, left: int) -> tuple[int, list[Fill]]:
        """Trade with the other side. Returns the lots left over and the fills.

        Filled orders are removed from the tables of ids.
        """
        fills: list[Fill] = []
        other, n_new = 1 - number, _FILLS
        while n_new == _FILLS:
            self._turn_to(other, len(self._bounds[other]))
            left, n_new = entry_points.book_match(
                self._books, number, limit_price, left, self._fills
            )
            for slot, price, size in self._fills[:n_new].tolist():
                fills.append((self._ids[slot], price, size))
                if int(self._books[0]["orders"][slot]["lots"]) == 0:
                    self._forget(slot)
            if left > 0 and self._bounds[other] and not self._books[0]["n_levels"][other]:
                n_new = _FILLS  # the next block may trade too
            self._drop_if_empty(other)
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


def _key(number: int, price: int) -> int:
    return price if number == BID else -price


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
