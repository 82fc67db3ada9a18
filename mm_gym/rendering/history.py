"""The past of a session that a picture shows: one row per decision, and the agent's fills."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import NO_ORDER, TRADE, Outcome

_FIRST_ROOM = 256  # decisions, and fills; the room doubles when it is full
_OUTCOMES = [Outcome.MID, Outcome.INVENTORY, Outcome.PNL, Outcome.EFFICIENT_PRICE]
_PARTS = ("spread_pnl", "inventory_pnl", "fees", "close_out")  # of the account
_SIGN_OF_KEY = np.array([1.0, -1.0])  # price = sign x key, for bids and asks


class Past(NamedTuple):
    """One session so far. Each array except `fills` has one element per decision.

    Prices are in ticks, `inventory` is in lots, PnL and its parts are in ticks x lots. They obey
    pnl = spread_pnl + inventory_pnl - fees - close_out. `bid` and `ask` are the prices of the
    agent's quotes, NaN without a quote.
    """

    first: int
    """Number of the first stored decision: 0 after a reset, larger after a restored checkpoint."""
    fills: npt.NDArray[Any]
    """The trades with the agent, rows of `layout.TRADE`."""
    mid: npt.NDArray[np.float64]
    inventory: npt.NDArray[np.float64]
    pnl: npt.NDArray[np.float64]
    efficient_price: npt.NDArray[np.float64]
    spread_pnl: npt.NDArray[np.float64]
    inventory_pnl: npt.NDArray[np.float64]
    fees: npt.NDArray[np.float64]
    close_out: npt.NDArray[np.float64]
    bid: npt.NDArray[np.float64]
    ask: npt.NDArray[np.float64]


_N_COLUMNS = len(Past._fields) - 2


class _Views(NamedTuple):
    """Views of the fields that are stored. They are kept because making them takes time."""

    records: npt.NDArray[Any]
    steps: npt.NDArray[np.int64]
    n_trades: npt.NDArray[np.int64]
    tape: npt.NDArray[Any]
    outcomes: npt.NDArray[np.float64]
    parts: list[npt.NDArray[np.float64]]
    slots: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]

    @classmethod
    def of(cls, records: npt.NDArray[Any]) -> "_Views":
        return cls(
            records,
            records["steps"],
            records["n_trades"],
            records["tape"],
            records["outcome"],
            [records["account"][name] for name in _PARTS],
            records["quotes"]["slot"],
            records["book"]["orders"]["key"],
        )


class History:
    """The past of the sessions of `n` markets.

    Row k of a market belongs to its decision k, so a reset does not have to clear the rows. Of each
    decision, only the fills that are still on the market's tape are stored.
    """

    def __init__(self, n: int) -> None:
        self._numbers = np.arange(n)
        self._rows = np.empty((n, _FIRST_ROOM, _N_COLUMNS))
        self._first = np.ones(n, np.int64)  # later than decision 0: no row is stored yet
        self._fills = np.empty((n, _FIRST_ROOM), TRADE)
        self._n_fills = np.zeros(n, np.int64)
        self._n_trades = np.zeros(n, np.int64)  # number of trades seen so far
        self._views: _Views | None = None

    def note(self, records: npt.NDArray[Any]) -> None:
        """Store the current state of every market. Storing it twice changes nothing."""
        if self._views is None or self._views.records is not records:
            self._views = _Views.of(records)
        _, steps, n_trades, tape, outcomes, parts, slots, keys = self._views
        while steps.max() >= self._rows.shape[1]:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)], axis=1)
        # For one market, scalars are eight times as fast as the arrays below. A step of the single
        # environment takes only 7 us.
        if len(records) == 1:
            step, outcome, (bid, ask) = steps[0], outcomes[0].tolist(), slots[0].tolist()
            self._rows[0, step] = (
                *[outcome[column] for column in _OUTCOMES],
                *[part[0] for part in parts],
                np.nan if bid == NO_ORDER else keys[0, bid],
                np.nan if ask == NO_ORDER else -keys[0, ask],
            )
            self._first[0] = min(self._first[0], step)
            if step == 0 or n_trades[0] != self._n_trades[0]:
                self._note_fills(0, step, n_trades[0], tape)
            return
        prices = np.where(
            slots == NO_ORDER, np.nan, _SIGN_OF_KEY * keys[self._numbers[:, None], slots]
        )
        self._rows[self._numbers, steps] = np.concatenate(
            [outcomes[:, _OUTCOMES], np.stack(parts, axis=1), prices], axis=1
        )
        np.minimum(self._first, steps, out=self._first)
        for market in np.flatnonzero((steps == 0) | (n_trades != self._n_trades)):
            self._note_fills(market, steps[market], n_trades[market], tape)

    def _note_fills(self, market: Any, step: Any, n_trades: Any, tape: npt.NDArray[Any]) -> None:
        if step == 0:
            self._n_fills[market] = 0
        else:
            room = tape.shape[1]
            new = range(max(int(self._n_trades[market]), n_trades - room), n_trades)
            trades = tape[market, [number % room for number in new]]
            fills = trades[trades["own_lots"] > 0]
            start, end = self._n_fills[market], self._n_fills[market] + len(fills)
            if end > self._fills.shape[1]:
                self._fills = np.concatenate([self._fills, np.empty_like(self._fills)], axis=1)
            self._fills[market, start:end] = fills
            self._n_fills[market] = end
        self._n_trades[market] = n_trades

    def forget(self, records: npt.NDArray[Any]) -> None:
        """Drop all rows and start with the next decision of every market."""
        self._first[:] = records["steps"] + 1
        self._n_fills[:] = 0
        self._n_trades[:] = records["n_trades"]

    def of(self, market: int, steps: int) -> Past:
        """Return the stored past of a market whose session has had `steps` decisions."""
        first = int(self._first[market])
        fills = self._fills[market, : self._n_fills[market]]
        return Past(first, fills, *self._rows[market, first : steps + 1].T)

    def __getstate__(self) -> dict[str, Any]:
        # In a copy, the views would no longer refer to the records.
        return {**self.__dict__, "_views": None}
