"""The past decisions that a picture shows: one row per decision of the session."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import NO_ORDER, Outcome

_FIRST_ROOM = 256  # decisions; the room doubles when it is full
_OUTCOMES = [Outcome.MID, Outcome.INVENTORY, Outcome.PNL]
_SIGN_OF_KEY = np.array([1.0, -1.0])  # price = sign x key, for bids and asks


class Past(NamedTuple):
    """The decisions of one session so far. Each array has one element per decision.

    `mid`, `bid` and `ask` are in ticks, `inventory` in lots, `pnl` in ticks x lots. `bid` and `ask`
    are the prices of the agent's quotes, NaN without a quote.
    """

    first: int
    """Number of the first stored decision: 0 after a reset, larger after a restored checkpoint."""
    mid: npt.NDArray[np.float64]
    inventory: npt.NDArray[np.float64]
    pnl: npt.NDArray[np.float64]
    bid: npt.NDArray[np.float64]
    ask: npt.NDArray[np.float64]


class _Views(NamedTuple):
    """Views of the fields that are stored. They are kept because making them takes time."""

    records: npt.NDArray[Any]
    steps: npt.NDArray[np.int64]
    outcomes: npt.NDArray[np.float64]
    slots: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]

    @classmethod
    def of(cls, records: npt.NDArray[Any]) -> "_Views":
        book, quotes = records["book"], records["quotes"]
        return cls(
            records, records["steps"], records["outcome"], quotes["slot"], book["orders"]["key"]
        )


class History:
    """The past decisions of `n` markets.

    Row k of a market belongs to its decision k, so a reset does not have to clear the rows.
    """

    def __init__(self, n: int) -> None:
        self._numbers = np.arange(n)
        self._rows = np.empty((n, _FIRST_ROOM, len(Past._fields) - 1))
        self._first = np.ones(n, np.int64)  # later than decision 0: no row is stored yet
        self._views: _Views | None = None

    def note(self, records: npt.NDArray[Any]) -> None:
        """Store the current state of every market. Storing it twice changes nothing."""
        if self._views is None or self._views.records is not records:
            self._views = _Views.of(records)
        _, steps, outcomes, slots, keys = self._views
        if steps.max() >= self._rows.shape[1]:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)], axis=1)
        # For one market, scalars are eight times as fast as the arrays below. A step of the single
        # environment takes only 7 us.
        if len(records) == 1:
            step, outcome, (bid, ask) = steps[0], outcomes[0].tolist(), slots[0].tolist()
            bid_price = np.nan if bid == NO_ORDER else keys[0, bid]
            ask_price = np.nan if ask == NO_ORDER else -keys[0, ask]
            self._rows[0, step] = (*[outcome[column] for column in _OUTCOMES], bid_price, ask_price)
            self._first[0] = min(self._first[0], step)
            return
        prices = np.where(
            slots == NO_ORDER, np.nan, _SIGN_OF_KEY * keys[self._numbers[:, None], slots]
        )
        self._rows[self._numbers, steps] = np.concatenate([outcomes[:, _OUTCOMES], prices], axis=1)
        np.minimum(self._first, steps, out=self._first)

    def forget(self, records: npt.NDArray[Any]) -> None:
        """Drop all rows and start with the next decision of every market."""
        self._first[:] = records["steps"] + 1

    def of(self, market: int, steps: int) -> Past:
        """Return the stored decisions of a market whose session has had `steps` decisions."""
        first = int(self._first[market])
        return Past(first, *self._rows[market, first : steps + 1].T)

    def __getstate__(self) -> dict[str, Any]:
        # In a copy, the views would no longer refer to the records.
        return {**self.__dict__, "_views": None}
