"""LOBSTER's message file: time, type, order id, size, price, side, and perhaps the participant.

The newer files have a seventh column with the participant or `null`. It is left out. Cross trades
(type 6) are left out too: they are auctions and do not change the book. The reader of a message
file together with its order book file is `mm_gym.data.lobster`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from mm_gym.data.events import EVENT, DataFileError, EventKind, Source
from mm_gym.data.lobster import PRICES_PER_CURRENCY_UNIT, MessageType

_COLUMNS = ("time", "type", "order_id", "size", "price", "side", "participant")
_KINDS = {
    MessageType.NEW_LIMIT_ORDER: EventKind.ADD,
    MessageType.PARTIAL_CANCELLATION: EventKind.REDUCE,
    MessageType.DELETION: EventKind.CANCEL,
    MessageType.VISIBLE_EXECUTION: EventKind.EXECUTE,
    MessageType.HIDDEN_EXECUTION: EventKind.HIDDEN,
    MessageType.TRADING_HALT: EventKind.HALT,
}
_LINE = 40  # [bytes] a typical line
_NS = 1e9
_LONGEST = 9e9  # [s] nanoseconds are kept in 63 bits


def open_file(path: Path, symbol: str | None, chunk: int) -> Source:
    """Open a message file. `symbol` is None: the file has one stock."""
    return Source(path.name, 1.0 / PRICES_PER_CURRENCY_UNIT, 1.0, _chunks(path, chunk))


def _chunks(path: Path, chunk: int) -> Iterator[npt.NDArray[Any]]:
    import pyarrow
    from pyarrow import csv

    line = 0
    with path.open("rb") as file:
        n_columns = file.readline().count(b",") + 1
    if n_columns not in (6, 7):
        raise DataFileError(
            f"{path.name}, line 1 has the wrong columns: expected 6 (time, type, order id, size, "
            f"price, side) or 7 with the participant, got {n_columns}"
        )
    names = _COLUMNS[:n_columns]
    types = dict.fromkeys(names, pyarrow.int64())
    types |= {"time": pyarrow.float64(), "participant": pyarrow.string()}
    try:
        batches = csv.open_csv(
            path,
            csv.ReadOptions(column_names=names, block_size=max(1, chunk) * _LINE),
            convert_options=csv.ConvertOptions(
                column_types=types, include_columns=names[:6], null_values=[]
            ),
        )
        for batch in batches:
            columns = {name: batch[name].to_numpy(zero_copy_only=False) for name in names[:6]}
            yield _events(path.name, columns, line)
            line += batch.num_rows
    except (pyarrow.ArrowInvalid, UnicodeDecodeError):
        _name_the_line(path, n_columns)


def _events(name: str, columns: dict[str, npt.NDArray[Any]], line: int) -> npt.NDArray[Any]:
    known = [int(kind) for kind in MessageType]
    halt = columns["type"] == MessageType.TRADING_HALT
    for invalid, column, expected in (
        (~np.isin(columns["type"], known), "type", "a whole number from 1 to 7"),
        (~(abs(columns["time"]) <= _LONGEST), "time", "seconds after midnight"),
        (~halt & (columns["price"] < 1), "price", "at least 1"),
        (~halt & (columns["size"] < 1), "size", "at least 1"),
        (~halt & (abs(columns["side"]) != 1), "side", "1 for a resting buy or -1 for a sell"),
    ):
        if invalid.any():
            row = int(np.flatnonzero(invalid)[0])
            raise DataFileError(
                f"{column} in {name}, line {line + row + 1} is out of range: "
                f"expected {expected}, got {columns[column][row]}"
            )
    rows = events_of(columns)
    kept: npt.NDArray[Any] = rows[columns["type"] != MessageType.CROSS_TRADE]
    return kept


def events_of(messages: Any) -> npt.NDArray[Any]:
    """The event of each message. A cross trade counts as hidden, since it changes no order.

    Args:
        messages: rows of `mm_gym.data.lobster.MESSAGE`, or a mapping of its columns.

    Returns:
        Rows of `EVENT`, shape (n,).
    """
    rows = np.zeros(len(messages["time"]), EVENT)
    rows["kind"] = EventKind.HIDDEN
    rows["time"] = np.rint(messages["time"] * _NS)
    for message, event in _KINDS.items():
        rows["kind"][messages["type"] == message] = event
    for column in ("side", "order_id", "price", "size"):
        rows[column] = messages[column]
    rows["order_id"][rows["kind"] == EventKind.HIDDEN] = 0
    # LOBSTER's price of a halt is -1 (halt), 0 (quotes only) or 1 (trading again).
    halt = messages["type"] == MessageType.TRADING_HALT
    rows["size"][halt] = messages["price"][halt] == 1
    for column in ("side", "order_id", "price"):
        rows[column][halt] = 0
    return rows


def _name_the_line(path: Path, n_columns: int) -> NoReturn:
    """Find the line that pyarrow could not read, and raise the error that names it."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            cells = line.rstrip(b"\r\n").split(b",")
            if len(cells) != n_columns:
                raise DataFileError(
                    f"{path.name}, line {number} has the wrong columns: expected {n_columns} as in "
                    f"line 1, got {len(cells)}"
                )
            for name, cell, number_type in zip(_COLUMNS, cells[:6], (float, *5 * [int])):  # noqa: B905
                try:
                    number_type(cell)
                    if not -(2**63) <= float(cell) < 2**63:
                        raise ValueError(cell)
                except ValueError:
                    raise DataFileError(
                        f"{name} in {path.name}, line {number} is not a number: "
                        f"expected one, got {cell.decode(errors='replace')[:40]!r}"
                    ) from None
    raise DataFileError(
        f"{path.name} cannot be read: expected comma-separated numbers, got another file"
    )
