"""What stylised facts are computed from: observations of a recording, each in a block of time.

They are spreads, sizes, gaps between messages and trades, signs of trades, moves of the mid, and
what became of limit orders.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.data.blocks import Array, Blocks
from mm_gym.data.description import trades
from mm_gym.data.lobster import BUY, SELL, MessageType, Recording

SIGN_LAGS = (1, 2, 5, 10, 50, 100)  # [trades]
RESPONSE_LAGS = (1, 2, 5, 10, 50)  # [trades]
INTERVALS = (1, 5, 10, 30)  # [s] of the volatility signature
LONGEST = 60  # [s] the interval that the others are compared with
LEVELS = (1, 2, 5, 10)


class Observations:
    """Observations by name, each with the number of its block."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Array]] = {}
        self._first_block = self.n_blocks = 0

    def start(self, blocks: Blocks) -> None:
        """Begin a recording."""
        self._blocks, self._first_block = blocks, self.n_blocks
        self.n_blocks += blocks.n_blocks

    def add(self, name: str, time: Array, *columns: npt.NDArray[Any]) -> None:
        """Add observations: the time at which each begins, and its values. NaN are left out."""
        rows = np.column_stack([self._first_block + self._blocks.block_of(time), *columns])
        rows = rows.astype(np.float64)
        self._parts.setdefault(name, []).append(rows[~np.isnan(rows).any(axis=1)])

    def columns(self, name: str) -> tuple[npt.NDArray[np.int64], list[Array]]:
        """The blocks and the values of all observations of a name."""
        rows = np.concatenate(self._parts[name])
        return rows[:, 0].astype(np.int64), list(rows[:, 1:].T)

    def sums(self, name: str, function: Callable[..., Sequence[Any]], fewest: int = 1) -> Array:
        """Sums over blocks of functions of the columns, shape (n_blocks, number of sums).

        They are NaN if there are less than `fewest` observations.
        """
        block, columns = self.columns(name)
        if len(block) < fewest:
            return np.full((self.n_blocks, len(function(*columns))), np.nan)
        values = [np.broadcast_to(value, len(block)) for value in function(*columns)]
        return np.column_stack([np.bincount(block, v, minlength=self.n_blocks) for v in values])


def observe(seen: Observations, recording: Recording, lot_size: int) -> None:
    """Add the observations of one recording.

    Args:
        seen: receives them. `Observations.start` has begun the recording.
        recording: of an exchange or of a simulated market.
        lot_size: [shares] in a lot.
    """
    messages, book = recording.messages, recording.order_book
    time = messages["time"]
    two_sided = (book["bid_size"][:, 0] > 0) & (book["ask_size"][:, 0] > 0)
    best = {BUY: book["bid_price"][:, 0], SELL: book["ask_price"][:, 0]}
    spread = np.where(two_sided, (best[SELL] - best[BUY]) / recording.tick_size, np.nan)
    mid = np.where(two_sided, 0.5 * (best[SELL] + best[BUY]) / recording.tick_size, np.nan)
    step = np.diff(time)
    seen.add("spread", time[:-1], step, spread[:-1])
    seen.add("empty", time[:-1], step, ~two_sided[:-1])
    for level in LEVELS:
        for name in ("bid_size", "ask_size"):
            known = level <= recording.n_levels
            size = book[name][:-1, level - 1] / lot_size if known else np.nan * step
            seen.add(f"size_{level}", time[:-1], step, size)
    for side in (BUY, SELL):
        changes = time[1:][np.diff(best[side]) != 0]
        seen.add("best_duration", changes[:-1], np.diff(changes))
    seen.add("message_gap", time[:-1], step)
    _observe_trades(seen, messages, mid, lot_size)
    _observe_moves(seen, time, mid)
    _observe_orders(seen, recording, best, lot_size)


def _observe_trades(
    seen: Observations, messages: npt.NDArray[Any], mid: Array, lot_size: int
) -> None:
    executed = messages[messages["type"] == MessageType.VISIBLE_EXECUTION]
    seen.add("execution", executed["time"], executed["size"] / lot_size)
    found = trades(messages)
    time, sign = found["time"], found["sign"].astype(np.float64)
    seen.add("trade_gap", time[:-1], np.diff(time))
    before = np.where(found["row"] > 0, mid[found["row"] - 1], np.nan)
    for lag in SIGN_LAGS:
        n = max(0, len(found) - lag)
        seen.add(f"signs_{lag}", time[:n], sign[:n], sign[lag : lag + n])
    for lag in RESPONSE_LAGS:
        n = max(0, len(found) - lag)
        moves = sign[:n] * (before[lag : lag + n] - before[:n])
        seen.add(f"response_{lag}", time[:n], moves)


def _observe_moves(seen: Observations, time: Array, mid: Array) -> None:
    """Moves of the mid from each whole second on, which overlap if they are longer than that."""
    grid = np.arange(np.ceil(time[0]), time[-1], 1.0)
    at = mid[np.searchsorted(time, grid, side="right") - 1]
    for interval in (*INTERVALS, LONGEST):
        seen.add(f"move_{interval}", grid[:-interval], at[interval:] - at[:-interval])
    returns = 1e4 * np.diff(np.log(at))
    seen.add("return", grid[:-1], returns)
    for lag in (1, 10):
        x, y = returns[:-lag], returns[lag:]
        seen.add(f"returns_{lag}", grid[: -lag - 1], x, y)
        seen.add(f"abs_returns_{lag}", grid[: -lag - 1], abs(x), abs(y))


def _observe_orders(
    seen: Observations, recording: Recording, best: dict[int, npt.NDArray[Any]], lot_size: int
) -> None:
    """Limit orders that were placed at the best price or better: what became of them.

    Executions happen at the best price, so a file of any number of levels has all of them. The
    cancellation of an order may be missing if it left the view before.
    """
    messages, book = recording.messages, recording.order_book
    side, price = messages["side"][1:], messages["price"][1:]
    best_before = np.where(side == BUY, best[BUY][:-1], best[SELL][:-1])
    queue = np.where(side == BUY, book["bid_size"][:-1, 0], book["ask_size"][:-1, 0])
    placed = messages["type"][1:] == MessageType.NEW_LIMIT_ORDER
    better = side * (price - best_before)
    rows = np.flatnonzero(placed & (better >= 0))
    ahead = np.where(better[rows] > 0, 0, queue[rows]) / lot_size
    orders = messages[1:][rows]

    ends = messages[np.isin(messages["type"], [2, 3, 4])]
    ids, first = np.unique(orders["order_id"], return_index=True)
    ends = ends[np.isin(ends["order_id"], ids)]
    of = first[np.searchsorted(ids, ends["order_id"])]
    hit = ends["type"] == MessageType.VISIBLE_EXECUTION
    filled = np.bincount(of[hit], minlength=len(orders)) > 0
    seen.add("fill", orders["time"], ahead, filled)

    left = np.bincount(of, ends["size"], minlength=len(orders))
    last = orders["time"].copy()
    np.maximum.at(last, of, ends["time"])
    ended = left >= orders["size"]
    lifetime = np.where(ended, last - orders["time"], np.nan)
    seen.add("lifetime", orders["time"], lifetime)
    seen.add("ended", orders["time"], ended)
