"""Databento's market by order (MBO) in DBN files, versions 1 to 3, plain or zstd.

`databento-dbn` reads the heading and gives the layout of the records. `kernels.scan_mbo` says how
fills, cancellations and modifications become events.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from mm_gym.data.events import BUY, SELL, DataFileError, Source
from mm_gym.data.formats.market_by_order import MESSAGE, MessageScan

_PRICE_UNIT = 1e-9  # [currency]
_MBO = 160  # the type of a market-by-order record
_LAST = 128  # flag of the last message of an event
_SIDES = {b"B": BUY, b"A": SELL}
_ACTIONS = b"ACMRTFN"  # add, cancel, modify, clear, trade, fill, none


def open_file(path: Path, symbol: str | None, chunk: int) -> Source:
    """Open a file.

    Args:
        path: of the file.
        symbol: the instrument's raw symbol or its number. Default: the only one in the file.
        chunk: number of messages in memory at once.

    Raises:
        DataFileError: if the file is not DBN, has another schema, or does not have the symbol.
    """
    import databento_dbn as dbn

    with _open(path) as file:
        try:
            heading = file.read(8)
            length = int.from_bytes(heading[4:8], "little")
            metadata = dbn.Metadata.decode(heading + file.read(length))
        except Exception as error:  # the library and zstandard have errors of their own
            raise DataFileError(
                f"{path.name} cannot be read: expected a DBN file, got {error}"
            ) from error
    if str(metadata.schema) != "mbo":
        raise DataFileError(
            f"{path.name} has another schema: expected mbo (market by order), got {metadata.schema}"
        )
    numbers = _numbers(metadata, symbol)
    if symbol is not None and not numbers:
        raise DataFileError(
            f"the symbol is not in {path.name}: expected one of "
            f"{', '.join(list(metadata.mappings)[:5])}, got {symbol!r}"
        )
    return Source(path.name, _PRICE_UNIT, 1.0, _chunks(path, 8 + length, numbers, chunk))


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        zipped = file.read(4) == b"\x28\xb5\x2f\xfd"
    if not zipped:
        return path.open("rb")
    import zstandard

    return cast(BinaryIO, zstandard.open(path, "rb"))


def _numbers(metadata: Any, symbol: str | None) -> set[int]:
    """The instrument numbers of a symbol. They may change from day to day."""
    if symbol is None:
        return set()
    if symbol.isdecimal():
        return {int(symbol)}
    return {
        int(interval["symbol"])
        for interval in metadata.mappings.get(symbol, [])
        if interval["symbol"].isdecimal()
    }


def _chunks(path: Path, start: int, numbers: set[int], chunk: int) -> Iterator[npt.NDArray[Any]]:
    import databento_dbn as dbn

    layout = np.dtype(dbn.MBOMsg._dtypes)
    scan, before = MessageScan(path.name), 0
    with _open(path) as file:
        file.read(start)
        while True:
            try:
                content = file.read(layout.itemsize * chunk)
            except Exception as error:  # zstandard has an error of its own
                raise DataFileError(
                    f"{path.name} cannot be read: expected zstd, got {error}"
                ) from error
            if not content:
                return
            if len(content) % layout.itemsize:
                raise DataFileError(
                    f"{path.name} is cut off: expected whole records of {layout.itemsize} bytes, "
                    f"got {len(content) % layout.itemsize} bytes at its end"
                )
            records = np.frombuffer(content, layout)
            messages, numbers = _messages(path.name, records, numbers, before)
            yield from scan.events(messages)
            before += len(records)


def _messages(
    name: str, records: npt.NDArray[Any], numbers: set[int], before: int
) -> tuple[npt.NDArray[Any], set[int]]:
    """The messages of one instrument, and its numbers."""
    action = records["action"].view(np.uint8)
    for invalid, what, expected in (
        (records["rtype"] != _MBO, "rtype", f"{_MBO} (market by order)"),
        (~np.isin(action, list(_ACTIONS)), "action", f"one of {', '.join(map(chr, _ACTIONS))}"),
    ):
        if invalid.any():
            row = int(np.flatnonzero(invalid)[0])
            raise DataFileError(
                f"{what} of record {before + row + 1:,} in {name} is unknown: "
                f"expected {expected}, got {records[what][row]}"
            )
    if not numbers:
        numbers = set(np.unique(records["instrument_id"]).tolist())
        if len(numbers) > 1:
            raise DataFileError(
                f"{name} has {len(numbers)} instruments: expected the name of one, got none "
                "(write --symbol)"
            )
    records = records[np.isin(records["instrument_id"], list(numbers))]
    rows = np.zeros(len(records), MESSAGE)
    rows["time"] = records["ts_recv"]  # ascending, which the exchange's time need not be
    rows["action"] = records["action"].view(np.uint8)
    for letter, side in _SIDES.items():
        rows["side"][records["side"] == letter] = side
    for column in ("order_id", "price", "size"):
        rows[column] = records[column]
    rows["last"] = (records["flags"] & _LAST) > 0
    return rows, numbers
