"""Exchange events in one form, whatever format they were recorded in.

An event changes one order of the book, or reports a trade of a hidden order or a halt. Prices are
whole multiples of a price unit, sizes whole multiples of a size unit, and times nanoseconds.
`Events` holds the events of one instrument. They are kept in a Parquet file, which opens in
milliseconds and is written chunk by chunk, so that memory is bounded by the chunk.

This module needs pyarrow (the extra `data`) for files only.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.errors import SentenceError

_FORMAT = "mm_gym events 1"
_KEY = b"mm_gym"


class EventKind(IntEnum):
    """What an event does."""

    ADD = 0
    """A new order joins the end of the queue at its price."""
    REDUCE = 1
    """An order loses `size` and keeps its place."""
    CANCEL = 2
    """The rest of an order, `size`, leaves the book."""
    EXECUTE = 3
    """A taker takes `size` from an order. An order without a rest leaves the book."""
    HIDDEN = 4
    """A trade against a hidden order. The visible book does not change."""
    HALT = 5
    """Trading stops (size 0) or starts again (size 1)."""


BUY, SELL = 1, -1
"""Sides of resting orders."""

EVENT: np.dtype[Any] = np.dtype(
    [
        ("time", "i8"),  # [ns] after midnight, or since 1970
        ("kind", "i1"),  # an EventKind
        ("side", "i1"),  # of the resting order: BUY or SELL; 0 for a halt
        ("order_id", "i8"),  # 0 for hidden orders and halts
        ("price", "i8"),  # [price units] of the resting order
        ("size", "i8"),  # [size units]
    ]
)


COLUMNS = tuple(EVENT.fields or ())


class DataFileError(SentenceError):
    """A data file that is missing, unreadable or not in its format."""


@dataclass(frozen=True)
class Source:
    """A data file that is being read."""

    name: str
    """Name of the file, for errors."""
    price_unit: float
    """[currency]"""
    size_unit: float
    """[shares or contracts]"""
    chunks: Iterator[npt.NDArray[Any]]
    """The events in order of time, as arrays of `EVENT`."""


@dataclass(frozen=True)
class Events:
    """The events of one instrument."""

    rows: npt.NDArray[Any]
    """Rows of `EVENT` in order of time, shape (n,)."""
    price_unit: float
    """[currency]"""
    size_unit: float
    """[shares or contracts]"""
    tick: int
    """[price units] The largest step that divides the prices of all visible orders."""

    def __len__(self) -> int:
        return len(self.rows)


def checked(source: Source) -> Iterator[npt.NDArray[Any]]:
    """The chunks of a source, each checked before it is handed out.

    Raises:
        DataFileError: for a time that goes backwards, or a size or side that cannot be. The message
            has the number of the event, from 1.
    """
    before, last = 0, -(2**63)
    for chunk in source.chunks:
        times = np.concatenate([[last], chunk["time"]])
        not_halt = chunk["kind"] != EventKind.HALT
        for invalid, name, expected in (
            (times[1:] < times[:-1], "time", "the events in order of time"),
            (~np.isin(chunk["kind"], list(EventKind)), "kind", "a whole number from 0 to 5"),
            (not_halt & (chunk["size"] < 1), "size", "at least 1"),
            (not_halt & (abs(chunk["side"]) != 1), "side", "1 for a buy or -1 for a sell"),
        ):
            if invalid.any():
                row = int(np.flatnonzero(invalid)[0])
                got = chunk[name][row]
                after = f" after {times[row]}" if name == "time" else ""
                raise DataFileError(
                    f"{name} of event {before + row + 1:,} in {source.name} is wrong: "
                    f"expected {expected}, got {got}{after}"
                )
        before += len(chunk)
        last = int(chunk["time"][-1]) if len(chunk) else last
        yield chunk


def load(source: Source) -> Events:
    """Read a whole source into memory.

    Raises:
        DataFileError: if the file is not in its format or has no events.
    """
    rows = np.concatenate([np.empty(0, EVENT), *checked(source)])
    tick = _tick(rows, 0)
    _check_not_empty(source.name, len(rows), tick)
    return Events(rows, source.price_unit, source.size_unit, tick)


def convert(source: Source, path: str | Path, on_chunk: Callable[[int], None] | None = None) -> int:
    """Write the events of a source to a Parquet file, chunk by chunk.

    The file appears when it is complete. After an error there is no file.

    Args:
        source: to read.
        path: of the Parquet file, whose name ends in .parquet.
        on_chunk: called with the number of events so far, to show progress.

    Returns:
        The number of events.

    Raises:
        DataFileError: if the path does not end in .parquet, or the source is not in its format or
            has no events.
        OSError: if the file cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    path = Path(path)
    if path.suffix != ".parquet":
        raise DataFileError(
            f"{path.name} is no name of a Parquet file: expected one that ends in .parquet, "
            f"got {path.name} (write {path.stem}.parquet)"
        )
    unfinished = path.with_name(path.name + ".partial")
    schema = pyarrow.schema([(name, pyarrow.from_numpy_dtype(EVENT[name])) for name in COLUMNS])
    n, tick = 0, 0
    try:
        unfinished.touch()  # its error names the path, pyarrow's has no file name
        with parquet.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for chunk in checked(source):
                writer.write_table(
                    pyarrow.table([np.ascontiguousarray(chunk[c]) for c in COLUMNS], schema)
                )
                tick = _tick(chunk, tick)
                n += len(chunk)
                if on_chunk is not None:
                    on_chunk(n)
            _check_not_empty(source.name, n, tick)
            about = {
                "format": _FORMAT,
                "price_unit": source.price_unit,
                "size_unit": source.size_unit,
                "tick": tick,
            }
            writer.add_key_value_metadata({_KEY: json.dumps(about)})
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return n


def read_events(path: str | Path) -> Events:
    """Open a file that `convert` wrote.

    Raises:
        DataFileError: if the file is missing or not one that `convert` wrote.
    """
    import pyarrow
    from pyarrow import parquet

    path = Path(path)
    try:
        file = parquet.ParquetFile(path, memory_map=True)
        about = json.loads((file.metadata.metadata or {})[_KEY])
        table = file.read()
        rows = np.empty(len(table), EVENT)
        for name in COLUMNS:
            rows[name] = table[name].to_numpy()
        units = [about[name] for name in ("price_unit", "size_unit")]
        if about["format"] != _FORMAT or not all(
            isinstance(unit, float) and math.isfinite(unit) and unit > 0.0 for unit in units
        ):
            raise ValueError(f"the description {about}")
        if type(about["tick"]) is not int or about["tick"] < 1:
            raise ValueError(f"a tick of {about['tick']!r}")
        return Events(rows, about["price_unit"], about["size_unit"], about["tick"])
    except OSError as error:
        raise DataFileError(
            f"{path} cannot be read: expected a Parquet file of events, "
            f"got {error.strerror or 'a damaged file'}"
        ) from error
    except (pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
        first, *_ = *str(error).splitlines(), type(error).__name__
        raise DataFileError(
            f"{path.name} is not a file of events: expected one that "
            f"`python -m mm_gym.data convert` wrote, got {first}"
        ) from error


def _tick(rows: npt.NDArray[Any], tick: int) -> int:
    """The largest step that divides the prices of visible orders, and an earlier such step."""
    return int(np.gcd.reduce(rows["price"][rows["kind"] < EventKind.HIDDEN], initial=tick))


def _check_not_empty(name: str, n: int, tick: int) -> None:
    if n == 0:
        raise DataFileError(f"{name} is empty: expected events of an exchange, got none")
    if tick == 0:
        raise DataFileError(
            f"{name} has no visible orders: expected at least one with a price, got {n:,} events "
            "of other kinds"
        )


def in_chunks(rows: npt.NDArray[Any], size: int) -> Iterable[npt.NDArray[Any]]:
    """An array in pieces of at most `size` rows."""
    return (rows[first : first + size] for first in range(0, len(rows), size))
