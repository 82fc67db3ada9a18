"""Nasdaq TotalView-ITCH 5.0: binary messages, each after its length in two bytes.

Nasdaq (2015), TotalView-ITCH 5.0 specification. Orders that were added are followed to their end,
so executions, cancellations and replacements get side and price. A replacement is a cancellation
and a new order. Cross trades are left out: they are auctions and do not change the book.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from mm_gym.data.events import EVENT, DataFileError, Source
from mm_gym.data.kernels import BAD_LENGTH, DONE, FAULTS, MORE, STATE, empty_table, roomy, scan_itch

PRICES_PER_CURRENCY_UNIT = 10_000
LENGTHS = {
    "S": 12, "R": 39, "H": 25, "Y": 20, "L": 26, "V": 35, "W": 12, "K": 28, "J": 35, "h": 21,
    "A": 36, "F": 40, "E": 31, "C": 36, "X": 23, "D": 19, "U": 35, "P": 44, "Q": 40, "B": 19,
    "I": 50, "N": 20, "O": 48,
}  # fmt: skip
"""[bytes] Length of each type of message, without the two bytes before it."""

_BLOCK = 1 << 22  # [bytes] read at once


def open_file(path: Path, symbol: str | None, chunk: int) -> Source:
    """Open a file.

    Args:
        path: of the file, plain or gzip.
        symbol: the stock. Default: the only one that the stock directory names.
        chunk: number of events in memory at once.

    Raises:
        DataFileError: if the directory does not have the symbol.
    """
    with _open(path) as file:
        locate = _locate(path.name, file, symbol)
    return Source(path.name, 1.0 / PRICES_PER_CURRENCY_UNIT, 1.0, _chunks(path, locate, chunk))


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Raises DataFileError in the block if a gzip file is damaged."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"{path.name} cannot be read: expected gzip, got {error}") from error


def _locate(name: str, file: BinaryIO, symbol: str | None) -> int:
    """The number of a stock, from the stock directory messages at the start of the file."""
    stocks: dict[str, int] = {}
    while len(head := file.read(2)) == 2:
        message = file.read(int.from_bytes(head, "big"))
        kind = message[:1].decode("latin1")
        if kind == "R" and len(message) == LENGTHS["R"]:
            stock = message[11:19].decode("latin1").strip()
            stocks[stock] = int.from_bytes(message[1:3], "big")
            if stock == symbol:
                return stocks[stock]
        elif kind in "AFP":  # trading has begun
            break
        elif LENGTHS.get(kind, len(message)) != len(message):
            break  # a fault that the scan reports
    if symbol is None and len(stocks) == 1:
        return next(iter(stocks.values()))
    if not stocks:
        raise DataFileError(
            f"{name} is not an ITCH 5.0 file: expected stock directory messages at its start, "
            "got none"
        )
    got = "none" if symbol is None else repr(symbol)
    raise DataFileError(
        f"the symbol is not in {name}: expected one of its {len(stocks)} stocks, such as "
        f"{', '.join(list(stocks)[:5])}, got {got}"
    )


def _chunks(path: Path, locate: int, chunk: int) -> Iterator[npt.NDArray[Any]]:
    lengths = np.zeros(256, np.int64)
    for kind, length in LENGTHS.items():
        lengths[ord(kind)] = length
    table, state = empty_table(), np.zeros(1, STATE)
    rest, done = np.empty(0, np.uint8), 0  # bytes that are read and not scanned, bytes scanned
    with _open(path) as file:
        while block := file.read(_BLOCK):
            rest = np.concatenate([rest, np.frombuffer(block, np.uint8)])
            why = MORE
            while why == MORE:
                table = roomy(table, int(state["n_orders"][0]))
                out = np.empty(max(2, chunk), EVENT)
                why, read, n = scan_itch(rest, lengths, locate, table, state, out)
                done, rest = done + read, rest[read:]
                if n:
                    yield out[:n]
            if why != DONE:
                raise _fault(path.name, why, rest, done, int(state["fault_id"][0]))
    if len(rest):
        raise DataFileError(
            f"{path.name} is cut off: expected a whole message at byte {done:,}, "
            f"got {len(rest)} bytes"
        )


def _fault(
    name: str, why: int, rest: npt.NDArray[np.uint8], at: int, order_id: int
) -> DataFileError:
    kind = chr(rest[2]) if len(rest) > 2 else "?"
    length = int.from_bytes(rest[:2].tobytes(), "big")
    got = f"{length} bytes" if why == BAD_LENGTH else f"order {order_id}"
    return DataFileError(
        f"message {kind!r} at byte {at:,} of {name} is wrong: expected {FAULTS[why]}, got {got}"
    )
