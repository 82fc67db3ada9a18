"""A slow replay of recorded events with one maker in it, written from the text of its fill rule.

The text is in `docs/explanation/recorded-markets.md`. The code here uses lists and dictionaries and
nothing of the package. A queue is a list of order ids, oldest first, and the maker's own id is
`ME`. Sizes are in size units of the data.
"""

from typing import NamedTuple

ADD, REDUCE, CANCEL, EXECUTE, HIDDEN, HALT = range(6)
BUY, SELL = 1, -1
ME = "me"


class Fill(NamedTuple):
    """A fill of the maker."""

    time: int  # [ns]
    side: int  # of the maker's order
    price: int  # [price units]
    lots: int


class SlowReplay:
    """The recorded book, the maker's orders in its queues, and the maker's fills.

    Args:
        lot: size units of a lot.
        quote_lots: lots of each quote.
        max_lots: position limit [lots].
        tick: [price units]
    """

    def __init__(
        self, lot: int = 1, quote_lots: int = 1, max_lots: int = 10**9, tick: int = 1
    ) -> None:
        self.lot, self.quote_lots, self.max_lots, self.tick = lot, quote_lots, max_lots, tick
        self.orders: dict = {}  # id -> [side, price, rest]; the maker's ids are (ME, side)
        self.queues: dict = {BUY: {}, SELL: {}}  # side -> price -> ids, oldest first
        self.fills: list[Fill] = []
        self.inventory = 0  # [lots]
        self.halted = False
        self.time = 0

    # ------------------------------------------------------------------------------------- the book

    def _join(self, order_id, side, price, size):
        self.orders[order_id] = [side, price, size]
        self.queues[side].setdefault(price, []).append(order_id)

    def _take(self, order_id, size):
        """Take size from an order. It leaves when nothing is left."""
        side, price, rest = self.orders[order_id]
        self.orders[order_id][2] = rest - size
        if size >= rest:
            del self.orders[order_id]
            self.queues[side][price].remove(order_id)
            if not self.queues[side][price]:
                del self.queues[side][price]

    def touch(self, side):
        """The best recorded price of a side, or None. The maker's orders do not count."""
        prices = [
            price
            for price, queue in self.queues[side].items()
            if any(order_id != (ME, side) for order_id in queue)
        ]
        return max(prices, key=lambda price: side * price, default=None)

    # ---------------------------------------------------------------------------------- the maker

    def quote(self, time, bid, ask):
        """Let quotes at these prices arrive. Orders at other prices are cancelled first."""
        self.time = time
        other_bid, other_ask = self.touch(BUY), self.touch(SELL)
        if other_ask is not None:
            bid = min(bid, other_ask - self.tick)  # post-only
        if other_bid is not None:
            ask = max(ask, other_bid + self.tick)
        room = {BUY: self.max_lots - self.inventory, SELL: self.max_lots + self.inventory}
        wanted = {
            side: (price, self.lot * min(self.quote_lots, room[side]))
            for side, price in ((BUY, bid), (SELL, ask))
        }
        for side, (price, size) in wanted.items():
            mine = self.orders.get((ME, side))
            if mine is not None and (mine[1] != price or size <= 0):
                self._take((ME, side), mine[2])
        for side, (price, size) in wanted.items():
            if (ME, side) not in self.orders and size > 0:
                self._join((ME, side), side, price, size)

    def _trade(self, side, size):
        """Trade up to this size with the maker's order. Whole lots count as filled."""
        _, price, rest = self.orders[ME, side]
        size = min(size, rest)
        lots = -(-rest // self.lot) - -(-(rest - size) // self.lot)
        self._take((ME, side), size)
        if lots:
            self.inventory += side * lots
            self.fills.append(Fill(self.time, side, price, lots))

    # --------------------------------------------------------------------------------- the record

    def event(self, event):
        """Apply a recorded event: (time, kind, side, order id, price, size)."""
        self.time, kind, side, order_id, price, size = (int(part) for part in event)
        if kind == HALT:
            self.halted = size == 0
        elif kind == ADD:
            self._add(side, order_id, price, size)
        elif kind in (EXECUTE, HIDDEN):
            self._execute(kind, side, order_id, price, size)
        if kind in (REDUCE, CANCEL, EXECUTE) and order_id in self.orders:
            self._take(order_id, min(size, self.orders[order_id][2]))

    def _add(self, side, order_id, price, size):
        if order_id in self.orders:
            return
        # Recorded orders that the new one would trade with are gone without a message.
        for other_price in [p for p in self.queues[-side] if side * (price - p) >= 0]:
            for other in list(self.queues[-side][other_price]):
                if other != (ME, -side):
                    self._take(other, self.orders[other][2])
        mine = self.orders.get((ME, -side))
        if mine is not None and side * (price - mine[1]) >= 0 and not self.halted:
            self._trade(-side, size)
        self._join(order_id, side, price, size)

    def _execute(self, kind, side, order_id, price, size):
        mine = self.orders.get((ME, side))
        if mine is None or self.halted:
            return
        better = side * (mine[1] - price)
        if better == 0 and kind == EXECUTE:
            queue = self.queues[side][price]
            # An order from before the file is ahead of all orders in it.
            before = order_id in queue and queue.index((ME, side)) < queue.index(order_id)
        else:
            before = better >= 0  # hidden orders are behind all visible ones at their price
        if before:
            self._trade(side, size)
