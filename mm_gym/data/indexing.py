"""Recorded events in the form that a market of the regime `replay` steps through.

The recorded flow does not depend on the agent. So the recorded orders run through the order book
once, when the file is first opened. Each event gets the place of its order in the queue, and each
price level gets the history of its size. A market then starts at any time without a replay from the
beginning, and all markets of a process share these arrays. Of large files they are kept in a file
beside the data (`recording_index`), which later runs open in milliseconds.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import (
    LARGEST_PRICE,
    LEVEL_CHANGE,
    PRICE_LEVEL,
    RECORDED_EVENT,
    RecordedKind,
)
from mm_gym.data.event_book import EventBook
from mm_gym.data.events import DataFileError, Events, Source, checked, load, read_events
from mm_gym.data.formats import open_file
from mm_gym.data.kernels import index_events
from mm_gym.data.recorded_market import RecordedMarket, figures
from mm_gym.data.recording_index import keep, kept, stamp

_CHUNK = 1 << 18  # rows that are indexed at once
_LARGEST_SIZE = 2**31 - 1  # [size units] of all orders at a price
_WORTH_KEEPING = 200_000  # events; fewer are indexed in a tenth of a second
_ARRAYS = {
    "events": RECORDED_EVENT,
    "touch": np.dtype(np.int32),
    "levels": PRICE_LEVEL,
    "changes": LEVEL_CHANGE,
    "trades": RECORDED_EVENT,
    "one_sided": np.dtype(np.int64),
}
"""Fields of `RecordedMarket` that are kept in a file."""


def open_recorded_market(path: str | Path) -> RecordedMarket:
    """Open a file of exchange data for the regime `replay`.

    Args:
        path: of a Parquet file that `convert` wrote, or of a file in another known format.

    Raises:
        DataFileError: if the file is missing, not in a known format, or cannot be replayed.
    """
    path = Path(path)
    try:
        source = stamp(path)
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
    except OSError as error:
        raise DataFileError(
            f"{path} cannot be read: expected a file of exchange data, got {error.strerror}"
        ) from error
    found = kept(path, source, _ARRAYS)
    if found is not None:
        arrays, about = found
        return RecordedMarket(name=path.name, **arrays, **about)
    market = index(read_events(path) if is_parquet else load(open_file(path)), path.name)
    if len(market.events) >= _WORTH_KEEPING:
        about = {name: getattr(market, name) for name in ("tick_size", "digest", "figures")}
        keep(path, source, {name: getattr(market, name) for name in _ARRAYS}, about)
    return market


def index(events: Events, name: str) -> RecordedMarket:
    """Run events through the order book and keep the places of orders and the sizes of levels.

    Args:
        events: of one instrument.
        name: of their file, for errors.

    Raises:
        DataFileError: if an event cannot be, or a price or a size is too large for a market.
    """
    for _ in checked(Source(name, events.price_unit, events.size_unit, iter([events.rows]))):
        pass
    for column, largest, unit in (
        ("price", LARGEST_PRICE * events.tick, "price units"),
        ("size", _LARGEST_SIZE, "size units"),
    ):
        found = int(np.abs(events.rows[column]).max())
        if found > largest:
            raise DataFileError(
                f"{name} has a {column} that is too large for a market: "
                f"expected at most {largest:,} {unit}, got {found:,}"
            )
    rows, touch = _Indexer().index(events)
    if not len(rows):
        raise DataFileError(
            f"{name} has no events that change the book: expected orders that are added in the "
            f"file, got {len(events):,} events of orders from before it"
        )
    levels, changes = _level_histories(rows)
    if len(changes) and changes["lots"].max() > _LARGEST_SIZE:
        raise DataFileError(
            f"{name} has a queue that is too long for a market: "
            f"expected at most {_LARGEST_SIZE:,} size units, got {changes['lots'].max():,}"
        )
    compact = np.empty(len(changes), LEVEL_CHANGE)
    compact["event"], compact["lots"] = changes["event"], changes["lots"]
    sides = np.diff(rows["one_sided"], prepend=0, append=0)
    market = RecordedMarket(
        name,
        rows,
        touch,
        levels,
        compact,
        events.tick * events.price_unit,
        zlib.crc32(rows.view(np.uint8).data),
        rows[rows["kind"] == RecordedKind.TRADE],
        np.stack([np.flatnonzero(sides == 1), np.flatnonzero(sides == -1)], axis=1),
        {},
    )
    market.figures.update(figures(rows, touch), volatility=market.volatility())
    return market


class _Indexer(EventBook):
    """A book that keeps the place of each order in its queue."""

    def __init__(self) -> None:
        super().__init__()
        self._added = np.zeros(len(self._ids), np.int64)

    def index(self, events: Events) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Apply events. Return rows of `RECORDED_EVENT`, and the touch after each."""
        pieces, touches = [], []
        done, n_before = 0, 0
        while done < len(events.rows):
            out = np.zeros(_CHUNK, RECORDED_EVENT)
            touch = np.zeros((_CHUNK, 4), np.int32)
            n_done, n = index_events(
                self._books, events.rows[done:], self._table, self._ids, self._added,
                events.tick, n_before, out, touch,
            )  # fmt: skip
            done += n_done
            n_before += n
            pieces.append(out[:n])
            touches.append(touch[:n])
            if done < len(events.rows) and n < _CHUNK - 1:
                self._make_room()
                more = np.zeros(len(self._ids) - len(self._added), np.int64)
                self._added = np.concatenate([self._added, more])
        rows = np.concatenate(pieces)
        halts = np.where(rows["kind"] == RecordedKind.HALT, np.arange(len(rows)), -1)
        latest = np.maximum.accumulate(halts)
        rows["halted"] = (latest >= 0) & (rows["lots"][latest] == 0)
        touch = np.concatenate(touches)
        rows["one_sided"] = (touch[:, 2:] == 0).any(axis=1)
        return rows, touch


def _level_histories(rows: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Rows of `PRICE_LEVEL`, and the size of each level after each event there.

    The sizes are 64-bit, in rows of (event, level, lots).
    """
    events = np.flatnonzero(rows["place"] >= 0)
    keys = rows["key"][events].astype(np.int64)
    # Bids before asks, and keys in order. 32-bit keys leave room for the side above them.
    place = (rows["side"][events].astype(np.int64) << 33) + keys
    order = np.argsort(place, kind="stable")
    events, place = events[order], place[order]
    kinds, lots = rows["kind"][events], rows["lots"][events].astype(np.int64)
    starts = np.ones(len(events), np.bool_)
    starts[1:] = place[1:] != place[:-1]
    first = np.flatnonzero(starts)
    sizes = np.cumsum(np.where(kinds == RecordedKind.JOIN, lots, -lots))
    before = np.concatenate([[0], sizes[first[1:] - 1]]) if len(first) else sizes
    level = np.cumsum(starts) - 1
    levels = np.zeros(len(first), PRICE_LEVEL)
    levels["first"], levels["end"] = first, np.append(first[1:], len(events))
    levels["key"], levels["side"] = rows["key"][events[first]], rows["side"][events[first]]
    changes = np.zeros(len(events), np.dtype([("event", "i8"), ("level", "i8"), ("lots", "i8")]))
    changes["event"], changes["level"] = events, level
    changes["lots"] = sizes - before[level] if len(first) else sizes
    return levels, changes
