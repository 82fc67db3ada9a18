"""Replay: apply an exchange's messages to this package's order book and compare it with the rows.

`check_rows` tests each row by itself: row k-1 and message k give row k. `replay` starts from row 0,
applies all messages, and tests every row and the price-time priority of every execution.

A file with n levels holds only messages that touch the best n levels of each side. A level that
comes into view from below is therefore unknown. Its size is taken from the row, and one anonymous
order stands for its orders. The same holds for orders that were in the book before the file began.
Nothing else is taken from the rows.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym.data.event_book import EventBook
from mm_gym.data.formats.lobster import events_of
from mm_gym.data.lobster import (
    SIDES,
    MessageType,
    Recording,
    Side,
    levels,
    tick_size_of,
)
from mm_gym.order_book import LimitOrderBook


class Discrepancy(NamedTuple):
    """A remark about one row."""

    row: int
    """Number of the row in the files, from 0."""
    reason: str


@dataclass(frozen=True)
class RowReport:
    """The result of a comparison of books with rows."""

    rows: int
    """Number of messages applied and rows compared."""
    levels_compared: int
    """Number of levels whose price and size were compared."""
    levels_revealed: int
    """Number of levels that came into view from below. They cannot be compared.

    The check is only that they are worse than every level that was in view."""
    exceptions: tuple[Discrepancy, ...]
    """Messages that the book cannot apply, and rows that differ from the book."""


@dataclass(frozen=True)
class ReplayReport(RowReport):
    """The result of a continuous replay, with the price-time priority of executions."""

    executions: int
    """Number of executions of visible orders."""
    hit_oldest: int
    """Number of executions of the oldest order of the best queue, whose entry is in the file."""
    hit_unknown: tuple[Discrepancy, ...]
    """Executions of the anonymous order at the head of the best queue, with what is known of it."""


def check_rows(recording: Recording) -> RowReport:
    """For each k by itself, put row k-1 into a book, apply message k, and compare with row k."""
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

    After each message the book is compared with the row. Levels that came into view are added.
    Levels that left the view are removed, because the file has no further messages about them. A
    row that differs from the book is reported and replaces the book, so that one fault is one
    exception.

    Args:
        recording: to replay.
        last_row: the row to stop after. Default: the last.

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


def rebuild(
    messages: npt.NDArray[Any], n_levels: int = 10, tick_size: int | None = None
) -> Recording:
    """A recording whose rows are made from the messages, for a file without an order book file.

    The book starts empty, so orders from before the file are missing (see `EventBook`). A file of
    few levels also lacks the cancellations of orders that left its view: such orders stay in the
    book, and may come back to the touch. Use files of many levels.

    Args:
        messages: rows of `lobster.MESSAGE`, shape (n,).
        n_levels: levels per side of the rows.
        tick_size: [currency / 10,000]. Default: the largest step that divides every visible price.

    Raises:
        LobsterError: if a visible price is no multiple of the tick size, or no price is visible.
    """
    rows = EventBook().apply(events_of(messages), n_levels)
    return Recording(messages, rows, tick_size_of(messages, rows, tick_size))


class _Replay:
    """A book, the recording that it follows, and the differences found so far."""

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
        self._lost: dict[int, int] = {}  # order id -> row in which it left the view
        self._placed: list[int] = []  # ids since the book was last emptied
        self._last_anonymous = 0

    def clear(self, row: int) -> None:
        """Empty the book. The positions of its orders are unknown from this row on."""
        for order_id in self._placed:
            if order_id in self.book:
                self._lose(row, order_id)
        self._placed.clear()

    def seed(self, row: int) -> None:
        """Put a row into an empty book, with one anonymous order per level."""
        for side in SIDES.values():
            for price, size in self._shown[side][row]:
                self._add_anonymous(side, price, size)

    def apply(self, row: int) -> None:
        """Apply a message to the book. A message that cannot be applied is only reported."""
        _, kind, order_id, size, price, number = self._messages[row]
        side = SIDES[number]
        if kind == MessageType.NEW_LIMIT_ORDER:
            self._enter(row, side, price, size, order_id)
        elif kind in (MessageType.PARTIAL_CANCELLATION, MessageType.DELETION):
            self._cancel(row, side, price, size, order_id, whole=kind == MessageType.DELETION)
        elif kind == MessageType.VISIBLE_EXECUTION:
            self._execute(row, side, price, size, order_id)
        # Hidden executions, auctions and halts do not change the visible book.

    def compare(self, row: int) -> bool:
        """Compare the book with a row, count levels, and report differences.

        Returns:
            Whether they agree in all levels that are known.
        """
        agrees = True
        for side in SIDES.values():
            shown = self._shown[side][row]
            ours = self.book.levels(side, self.n_levels)
            self.compared += len(ours)
            # New levels can come into view only if the previous row had no empty level.
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
        """Add the levels that came into view, and remove those that left it."""
        for side in SIDES.values():
            ours = self.book.levels(side)
            for price, _ in ours[self.n_levels :]:
                for order_id, _ in self.book.queue(side, price):
                    self._lose(row, order_id)
            for price, size in self._shown[side][row][len(ours) :]:
                self._add_anonymous(side, price, size)

    def _enter(self, row: int, side: Side, price: int, size: int, order_id: int) -> None:
        if order_id in self.book:
            return self._report(row, f"order {order_id} enters, but is in the book already")
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
        """Match a taker's order in the book. It has to hit the order and price of the message."""
        self.executions += 1
        resting_id, resting = self._find(side, price, order_id)
        if resting_id is None or size > resting:
            return self._report(
                row,
                f"{size} shares of order {order_id} are executed, but {resting} are in the book",
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
                row, f"the fills in the book are {fills}, not {size} shares of order {order_id}"
            )
        if resting_id == order_id:
            self.hit_oldest += 1
        else:
            self.hit_unknown.append(Discrepancy(row, self._origin(order_id)))
        return None

    def _find(self, side: Side, price: int, order_id: int) -> tuple[int | None, int]:
        """Find an order in the book.

        Returns:
            Id and size of the order if it is known, else of the anonymous order at its price. None
            and 0 if there is neither.
        """
        queue = dict(self.book.queue(side, price))
        if order_id in queue:
            return order_id, queue[order_id]
        if order_id in self._entered and order_id not in self._lost:
            return None, 0  # the order left the book, or is at another price
        return next(
            ((resting_id, size) for resting_id, size in queue.items() if resting_id < 0), (None, 0)
        )

    def _origin(self, order_id: int) -> str:
        """What is known of an order of unknown age."""
        if order_id not in self._entered:
            return (
                f"order {order_id} was in the book before it came into view, ahead of all later "
                "orders"
            )
        return (
            f"order {order_id} entered in row {self._entered[order_id]}; its level left the view "
            f"in row {self._lost[order_id]} and came back, ahead of all later orders"
        )

    def _passed_over(
        self, row: int, order_id: int, price: int, best: int, queue: list[tuple[int, int]]
    ) -> str:
        """Why an execution breaks price-time priority."""
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
            fate = "with no later message"
            if len(later):
                time, kind, *_ = self._messages[later[0]]
                fate = (
                    f"{MessageType(kind).name} {time - self._messages[row][0]:.6f} s later, "
                    f"in row {later[0]}"
                )
            ahead.append(f"{older} ({fate})")
        return f"order {order_id} is executed before older ones at its price: {', '.join(ahead)}"

    def _add_anonymous(self, side: Side, price: int, size: int) -> None:
        self._last_anonymous -= 1
        self.book.submit(side, price, size, self._last_anonymous)
        self._placed.append(self._last_anonymous)

    def _lose(self, row: int, order_id: int) -> None:
        """Remove an order from the book. Its state is unknown from this row on."""
        self.book.cancel(order_id)
        if order_id >= 0:
            self._lost[order_id] = row

    def _report(self, row: int, reason: str) -> None:
        self.exceptions.append(Discrepancy(row, reason))
