"""A second order book with price-time priority, simple enough to check by reading.

Each side is a dictionary from a price to the queue of its orders, oldest first. An order is
`[order_id, size]`. The methods are those of `mm_gym.LimitOrderBook`.
"""

from typing import Any, Literal

from mm_gym import LimitOrderBook

Side = Literal["bid", "ask"]
Fill = tuple[int, int, int]
SIDES: tuple[Side, Side] = ("bid", "ask")


class ReferenceBook:
    """A book with price-time priority; a fill is `(resting_order_id, price, size)`.

    Raises:
        ValueError: from each method, for a refused order. The book is then unchanged.
    """

    def __init__(self) -> None:
        self.queues: dict[Side, dict[int, list[list[int]]]] = {"bid": {}, "ask": {}}
        self.where: dict[int, tuple[Side, int]] = {}  # side and price of each resting order
        self.next_id = 1

    def __len__(self) -> int:
        return len(self.where)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self.where

    @property
    def best_bid(self) -> int | None:
        return max(self.queues["bid"], default=None)

    @property
    def best_ask(self) -> int | None:
        return min(self.queues["ask"], default=None)

    def submit(
        self, side: Side, price: int, size: int, order_id: int | None = None
    ) -> tuple[int, list[Fill]]:
        if order_id in self.where or size < 1:
            raise ValueError(order_id, size)
        if order_id is None:
            while self.next_id in self.where:
                self.next_id += 1
            order_id = self.next_id
            self.next_id += 1
        fills, left = self._trade(side, price, size)
        if left > 0:
            self.queues[side].setdefault(price, []).append([order_id, left])
            self.where[order_id] = (side, price)
        return order_id, fills

    def market(self, side: Side, size: int) -> list[Fill]:
        if size < 1:
            raise ValueError(size)
        fills, _ = self._trade(side, None, size)
        return fills

    def reduce(self, order_id: int, size: int) -> None:
        if order_id not in self.where or not 1 <= size <= self.size_of(order_id):
            raise ValueError(order_id, size)
        self._take_out(order_id, size)

    def cancel(self, order_id: int) -> None:
        if order_id not in self.where:
            raise ValueError(order_id)
        self._take_out(order_id, self.size_of(order_id))

    def levels(self, side: Side, n: int | None = None) -> list[tuple[int, int]]:
        prices = sorted(self.queues[side], reverse=side == "bid")
        return [(price, sum(size for _, size in self.queues[side][price])) for price in prices][:n]

    def queue(self, side: Side, price: int) -> list[tuple[int, int]]:
        return [(order_id, size) for order_id, size in self.queues[side].get(price, [])]

    def size_of(self, order_id: int) -> int:
        """Number of lots of a resting order."""
        side, price = self.where[order_id]
        return dict(self.queue(side, price))[order_id]

    def _trade(self, side: Side, limit: int | None, size: int) -> tuple[list[Fill], int]:
        """Trade with the best price and the oldest order first, up to the size and the limit."""
        fills = []
        while size > 0:
            price = self.best_ask if side == "bid" else self.best_bid
            if price is None:
                break
            if limit is not None and (price > limit if side == "bid" else price < limit):
                break
            resting_id, resting_size = self.queues["ask" if side == "bid" else "bid"][price][0]
            traded = min(size, resting_size)
            fills.append((resting_id, price, traded))
            size -= traded
            self._take_out(resting_id, traded)
        return fills, size

    def _take_out(self, order_id: int, size: int) -> None:
        """Remove lots from an order, then an empty order from its queue, then an empty queue."""
        side, price = self.where[order_id]
        queue = self.queues[side][price]
        order = next(order for order in queue if order[0] == order_id)
        order[1] -= size
        if order[1] == 0:
            queue.remove(order)
            del self.where[order_id]
        if not queue:
            del self.queues[side][price]


def everything(book: LimitOrderBook | ReferenceBook) -> dict[str, Any]:
    """Everything that the methods of a book can return without a change of the book."""
    return {
        "best": (book.best_bid, book.best_ask),
        "orders": len(book),
        **{f"{side} levels": book.levels(side) for side in SIDES},
        **{
            (side, price): book.queue(side, price)
            for side in SIDES
            for price, _ in book.levels(side)
        },
    }
