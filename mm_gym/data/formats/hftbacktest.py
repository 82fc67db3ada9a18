"""hftbacktest's npz: the array `data` with market-by-order (level 3) events.

Only events at the exchange count, with the exchange's time. Their meaning is Databento's, from
which hftbacktest converts them (`kernels.scan_mbo`). A level-2 file has sizes of price levels and
no orders, so nobody's place in a queue is known: it is refused.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.data.events import BUY, SELL, DataFileError, Source, in_chunks
from mm_gym.data.formats.market_by_order import MESSAGE, MessageScan

_COLUMNS = ("ev", "exch_ts", "local_ts", "px", "qty", "order_id", "ival", "fval")
# Kinds of events and flags, as in hftbacktest's documentation.
_ACTIONS = {10: "A", 11: "C", 12: "M", 13: "F", 2: "T", 3: "R"}
_DEPTH, _SNAPSHOT = 1, 4  # changes and snapshots of price levels
_AT_EXCHANGE, _BUY, _SELL = 1 << 31, 1 << 29, 1 << 28
_FINEST = 1e-9  # prices and sizes are rounded to whole multiples


def open_file(path: Path, symbol: str | None, chunk: int) -> Source:
    """Open a file. `symbol` is None: the file has one instrument.

    Raises:
        DataFileError: if the file is not hftbacktest's, or has no orders.
    """
    try:
        with np.load(path) as archive:
            data = archive["data"]
    except Exception as error:  # zipfile, zlib and numpy have many errors for damaged files
        raise DataFileError(
            f"{path.name} cannot be read: expected hftbacktest's npz with the array data, "
            f"got {str(error) or type(error).__name__}"
        ) from error
    if data.dtype.names != _COLUMNS or data.ndim != 1:
        raise DataFileError(
            f"{path.name} has other columns: expected {', '.join(_COLUMNS)}, "
            f"got {', '.join(data.dtype.names or ('no names',))}"
        )
    data = data[(data["ev"] & _AT_EXCHANGE) > 0]
    kind = data["ev"] & 0xFF
    if np.isin(kind, (_DEPTH, _SNAPSHOT)).any() or not np.isin(kind, (10,)).any():
        raise DataFileError(
            f"{path.name} has no orders: expected market-by-order (level 3) events, "
            "got the sizes of price levels"
        )
    for name in ("px", "qty"):
        known = np.isin(kind, list(_ACTIONS)) & (kind != 3)
        if not np.isfinite(data[name][known]).all():
            raise DataFileError(
                f"{name} in {path.name} is not a number: expected finite ones, got nan or inf"
            )
    size_unit = 1.0 if (data["qty"] == np.rint(data["qty"])).all() else _FINEST
    return Source(path.name, _FINEST, size_unit, _chunks(path.name, data, size_unit, chunk))


def _chunks(
    name: str, data: npt.NDArray[Any], size_unit: float, chunk: int
) -> Iterator[npt.NDArray[Any]]:
    scan = MessageScan(name)
    for part in in_chunks(data, chunk):
        kind = part["ev"] & 0xFF
        rows = np.zeros(len(part), MESSAGE)
        rows["time"], rows["order_id"] = part["exch_ts"], part["order_id"]
        for number, letter in _ACTIONS.items():
            rows["action"][kind == number] = ord(letter)
        rows["side"] = np.where(
            part["ev"] & _BUY > 0, BUY, np.where(part["ev"] & _SELL > 0, SELL, 0)
        )
        rows["price"] = np.rint(part["px"] / _FINEST)
        rows["size"] = np.rint(part["qty"] / size_unit)
        yield from scan.events(rows)
