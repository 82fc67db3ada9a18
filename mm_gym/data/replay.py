"""Replay what an exchange sent into this package's order book, and compare the two.

A file with n levels holds only what touches the best n levels of each side. So a level that comes
into view from below is news: its size is taken from the order book row and its orders are one
anonymous order. The same goes for what was in the book before the file began. Nothing else is taken
from the rows; everything else has to follow.

    row k-1 of the order book  +  message k  ->  row k        `check_rows`, for each row by itself
    row 0                      +  messages   ->  every row, and every execution hits the oldest order   `replay`
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mm_gym.data.lobster import SIDES, MessageType, Recording, Side, levels
from mm_gym.order_book import LimitOrderBook


class Discrepancy(NamedTuple):
    """Something to be said about one row."""

    row: int
    """Of the files, the first being 0."""
    reason: str


@dataclass(frozen=True)
class RowReport:
    """What became of the comparison of books with rows."""

    rows: int
    """Messages applied, each followed by a comparison of the book with the row."""
    levels_compared: int
    """Levels whose price and size were compared."""
    levels_revealed: int
    """Levels that came into view from below, which no message foretells: they cannot be compared.
    All that is checked is that they are worse than every level that was in view."""
    exceptions: tuple[Discrepancy, ...]
    """Messages that the book cannot follow, and rows that did not come out."""


@dataclass(frozen=True)
class ReplayReport(RowReport):
    """The same for a replay in one go, and whether executions keep price-time priority."""

    executions: int
    """Executions of visible orders."""
    hit_oldest: int
    """Those that hit the oldest order of the best queue, an order whose entry is in the file."""
    hit_unknown: tuple[Discrepancy, ...]
    """Those that hit the anonymous order at the head of the best queue, each with what is known of
    the order."""


def check_rows(recording: Recording) -> RowReport:
    """Put row k-1 into a book, apply message k, and compare with row k; for every k, each by
    itself."""
    replayed = _Replay(recording)
    for row in range(1, len(recording)):
        replayed.clear(row - 1)
        replayed.seed(row - 1)
        replayed.apply(row)
        replayed.compare(row)
    return RowReport(
        len(recording) - 1, replayed.compared, replayed.revealed, tuple(replayed.exceptions)
    )


def replay(
    recording: Recording, last_row: int | None = None
) -> tuple[LimitOrderBook, ReplayReport]:
    """Put row 0 into a book and apply all later messages, with their order ids.

    After each, the book is compared with the row, levels that came into view are added, and levels
    that left it are taken out, since the file says no more about them. A row that does not come out
    is reported and put into the book as it is, so that one fault is one exception.

    Args:
        recording: the files.
        last_row: stop after this row; by default after the last.

    Returns:
        The book after the last message, and the report. Anonymous orders have negative ids.
    """
    replayed = _Replay(recording)
    replayed.seed(0)
    end = len(recording) - 1 if last_row is None else last_row
    for row in range(1, end + 1):
        replayed.apply(row)
        if replayed.compare(row):
            replayed.follow_view(row)
        else:
            replayed.clear(row)
            replayed.seed(row)
    report = ReplayReport(
        end,
        replayed.compared,
        replayed.revealed,
        tuple(replayed.exceptions),
        replayed.executions,
        replayed.hit_oldest,
        tuple(replayed.hit_unknown),
    )
    return replayed.book, report


class _Replay:
    """A book beside the files."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.n_levels = recording.n_levels
        self.book = LimitOrderBook()
        self.exceptions: list[Discrepancy] = []
        self.hit_unknown: list[Discrepancy] = []
        self.compared = self.revealed = self.executions = self.hit_oldest = 0
        self._messages = recording.messages.tolist()
        self._shown = {side: levels(recording.order_book, side) for side in SIDES.values()}
        self._entered: dict[int, int] = {}  # order id -> row
        self._lost: dict[int, int] = {}  # order id -> row in which it went out of view
        self._placed: list[int] = []  # since the book was last emptied
        self._last_anonymous = 0

    def clear(self, row: int) -> None:
        """Empty the book; where its orders stand is not known from this row on."""
        for order_id in self._placed:
            if order_id in self.book:
                self._lose(row, order_id)
        self._placed.clear()

    def seed(self, row: int) -> None:
        """Put a row of the order book into an empty book, each level as one anonymous order."""
        for side in SIDES.values():
            for price, size in self._shown[side][row]:
                self._add_anonymous(side, price, size)

    def apply(self, row: int) -> None:
        """Do to the book what the message says. What cannot be done is reported and leaves the book
        as it is."""
        _, kind, order_id, size, price, number = self._messages[row]
        side = SIDES[number]
        if kind == MessageType.NEW_LIMIT_ORDER:
            self._enter(row, side, price, size, order_id)
        elif kind in (MessageType.PARTIAL_CANCELLATION, MessageType.DELETION):
            self._cancel(row, side, price, size, order_id, whole=kind == MessageType.DELETION)
        elif kind == MessageType.VISIBLE_EXECUTION:
            self._execute(row, side, price, size, order_id)
        # Hidden executions, auctions and halts do not touch the visible book.

    def compare(self, row: int) -> bool:
        """Whether the book is the row, as far as what was in view can say; counts levels and
        reports differences."""
        agrees = True
        for side in SIDES.values():
            shown = self._shown[side][row]
            ours = self.book.levels(side, self.n_levels)
            self.compared += len(ours)
            # Where no level of the row before was empty, levels below the known ones may have come
            # into view.
            may_reveal = row > 0 and len(self._shown[side][row - 1]) == self.n_levels
            below = shown[len(ours) :]
            prices = [price for price, _ in shown]
            if (
                shown[: len(ours)] != ours
                or (below and not may_reveal)
                or prices != sorted(set(prices), reverse=side == "bid")
            ):
                agrees = False
                self._report(row, f"the {side} levels are {shown}; the book has {ours}")
            self.revealed += len(below)
        return agrees

    def follow_view(self, row: int) -> None:
        """Add the levels that came into view, and take out those that left it."""
        for side in SIDES.values():
            ours = self.book.levels(side)
            for price, _ in ours[self.n_levels :]:
                for order_id, _ in self.book.queue(side, price):
                    self._lose(row, order_id)
            for price, size in self._shown[side][row][len(ours) :]:
                self._add_anonymous(side, price, size)

    def _enter(self, row: int, side: Side, price: int, size: int, order_id: int) -> None:
        if order_id in self.book:
            return self._report(row, f"order {order_id} enters, but rests in the book already")
        _, fills = self.book.submit(side, price, size, order_id)
        self._entered[order_id] = row
        self._placed.append(order_id)
        if fills:
            self._report(row, f"limit order {order_id} crosses the book and would trade: {fills}")

    def _cancel(
        self, row: int, side: Side, price: int, size: int, order_id: int, whole: bool
    ) -> None:
        resting_id, resting = self._find(side, price, order_id)
        if resting_id is None:
            return self._report(
                row, f"order {order_id} at {price} is cancelled, but is not in the book"
            )
        if size > resting or (whole and resting_id == order_id and size != resting):
            return self._report(
                row, f"{size} shares of order {order_id} are cancelled, which has {resting}"
            )
        self.book.reduce(resting_id, size)

    def _execute(self, row: int, side: Side, price: int, size: int, order_id: int) -> None:
        """The taker's order, as the book matches it, has to find the order and price that the
        message names."""
        self.executions += 1
        resting_id, resting = self._find(side, price, order_id)
        if resting_id is None or size > resting:
            return self._report(
                row,
                f"{size} shares of order {order_id} are executed, of which {resting} are in the book",
            )
        best = self.book.levels(side, 1)[0][0]
        queue = self.book.queue(side, best)
        if queue[0][0] != resting_id:
            self._report(row, self._passed_over(row, order_id, price, best, queue))
            self.book.reduce(resting_id, size)
            return None
        fills = self.book.market("ask" if side == "bid" else "bid", size)
        if fills != [(resting_id, price, size)]:
            return self._report(
                row, f"the book's own fills are {fills}, not {size} shares of order {order_id}"
            )
        if resting_id == order_id:
            self.hit_oldest += 1
        else:
            self.hit_unknown.append(Discrepancy(row, self._whence(order_id)))
        return None

    def _find(self, side: Side, price: int, order_id: int) -> tuple[int | None, int]:
        """The order's own id and size where it is known, else those of the anonymous order at its
        price, if any."""
        queue = dict(self.book.queue(side, price))
        if order_id in queue:
            return order_id, queue[order_id]
        if order_id in self._entered and order_id not in self._lost:
            return None, 0  # it was seen to leave the book, or rests at another price
        return next(
            ((resting_id, size) for resting_id, size in queue.items() if resting_id < 0), (None, 0)
        )

    def _whence(self, order_id: int) -> str:
        if order_id not in self._entered:
            return f"order {order_id} was in the book before it came into view, ahead of all that joined since"
        return (
            f"order {order_id} entered in row {self._entered[order_id]}; its level left the view in row "
            f"{self._lost[order_id]} and came back, ahead of all that joined since"
        )

    def _passed_over(
        self, row: int, order_id: int, price: int, best: int, queue: list[tuple[int, int]]
    ) -> str:
        if price != best:
            return f"order {order_id} at {price} is executed while {best} is the best price"
        ahead = []
        ids = [resting_id for resting_id, _ in queue]
        for older in ids[: ids.index(order_id)]:
            if older < 0:
                ahead.append("orders that were in the book before it came into view")
                continue
            later = (
                row + 1 + np.flatnonzero(self.recording.messages["order_id"][row + 1 :] == older)
            )
            fate = "of which the file says no more"
            if len(later):
                time, kind, *_ = self._messages[later[0]]
                fate = f"{MessageType(kind).name} {time - self._messages[row][0]:.6f} s later, in row {later[0]}"
            ahead.append(f"{older} ({fate})")
        return f"order {order_id} is executed before older ones at its price: {', '.join(ahead)}"

    def _add_anonymous(self, side: Side, price: int, size: int) -> None:
        self._last_anonymous -= 1
        self.book.submit(side, price, size, self._last_anonymous)
        self._placed.append(self._last_anonymous)

    def _lose(self, row: int, order_id: int) -> None:
        """Take an order out of the book: what becomes of it from this row on, the file does not
        say."""
        self.book.cancel(order_id)
        if order_id >= 0:
            self._lost[order_id] = row

    def _report(self, row: int, reason: str) -> None:
        self.exceptions.append(Discrepancy(row, reason))
