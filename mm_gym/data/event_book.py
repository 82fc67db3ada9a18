"""The order book of a stream of events, by the compiled book of the simulator."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.core.entry_points import book_clear
from mm_gym.core.layout import ASK, BID, book_dtype
from mm_gym.data.kernels import SLOT, apply_events, empty_table, roomy
from mm_gym.data.lobster import EMPTY_ASK, EMPTY_BID, order_book_dtype

_LEVELS, _ORDERS = 1024, 16_384
_GROWTH = 8
_EVENTS_PER_CALL = 3_000_000  # a signal such as Ctrl-C waits until the call returns


class EventBook:
    """A book that follows the events of an exchange.

    It starts empty. Orders from before the first event are unknown, and events of unknown orders
    change nothing. A new order that would trade with orders in the book removes these: the exchange
    has filled or cancelled them without an event in the file.
    """

    def __init__(self) -> None:
        self.n_unknown = 0
        """Number of events of unknown orders, and of additions of known ones."""
        self.n_removed = 0
        """Number of orders that a new one would have traded with."""
        self._books = np.zeros(1, book_dtype(_LEVELS, _ORDERS))
        book_clear(self._books)
        self._table = empty_table(row=SLOT)
        self._ids = np.zeros(_ORDERS, np.int64)

    def __len__(self) -> int:
        """Number of resting orders."""
        return int(self._books["n_live"][0])

    def apply(self, events: npt.NDArray[Any], n_levels: int = 0) -> npt.NDArray[Any]:
        """Apply events.

        Args:
            events: rows of `events.EVENT`, shape (n,).
            n_levels: levels per side to return after each event; 0 for none.

        Returns:
            Rows of `lobster.order_book_dtype`, shape (n,), or (0,) without levels.
        """
        rows = np.zeros(len(events) if n_levels else 0, order_book_dtype(n_levels or 1))
        rows["ask_price"], rows["bid_price"] = EMPTY_ASK, EMPTY_BID
        counts = np.zeros(2, np.int64)
        done = 0
        while done < len(events):
            part = slice(done, done + _EVENTS_PER_CALL)
            n_done = apply_events(
                self._books, events[part], self._table, self._ids, counts, rows[part]
            )
            done += n_done
            if n_done < len(events[part]):
                self._make_room()
        self.n_unknown += int(counts[0])
        self.n_removed += int(counts[1])
        return rows

    def levels(self, n: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The best `n` levels of the bids and of the asks: (price, size), best first."""
        book = self._books[0]
        found: list[list[tuple[int, int]]] = []
        for side, sign in ((BID, 1), (ASK, -1)):
            n_levels = int(book["n_levels"][side])
            best = book["levels"][side, max(0, n_levels - n) : n_levels][::-1]
            found.append([(sign * int(level["key"]), int(level["lots"])) for level in best])
        return found[0], found[1]

    def _make_room(self) -> None:
        """Give the table, the levels or the orders more room."""
        self._table = roomy(self._table, len(self))
        old = self._books
        levels, orders = old["levels"].shape[2], old["live"].shape[1]
        # Numba compiles the book anew for each size, so the steps are large.
        wanted = (
            levels * (_GROWTH if int(old["n_levels"].max()) >= levels else 1),
            orders * (_GROWTH if len(self) >= orders else 1),
        )
        if wanted == (levels, orders):
            return
        self._books = np.zeros(1, book_dtype(*wanted))
        book_clear(self._books)
        for name in ("n_levels", "n_live", "n_events"):
            self._books[name] = old[name]
        self._books["levels"][:, :, :levels] = old["levels"]
        self._books["orders"][:, :orders] = old["orders"][:, :orders]
        self._books["live"][:, :orders] = old["live"]
        self._ids = np.concatenate([self._ids, np.zeros(wanted[1] - orders, np.int64)])
