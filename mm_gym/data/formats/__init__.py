"""Formats of exchange data: one module per format, and the choice of the format of a file.

Each module has `open_file(path, symbol, chunk)`, which returns a `mm_gym.data.events.Source`.
"""

import importlib
from pathlib import Path

from mm_gym.data.events import DataFileError, Source

FORMATS = {
    "lobster": "LOBSTER's message file, with six or seven columns",
    "itch": "Nasdaq TotalView-ITCH 5.0, plain or gzip",
    "databento": "Databento's market by order (MBO) in DBN, plain or zstd",
    "hftbacktest": "hftbacktest's npz with market-by-order events",
}
"""Names of formats, and what they are."""

_ONE_INSTRUMENT = ("lobster", "hftbacktest")
"""Formats whose files have one instrument, without its name."""

CHUNK = 1_000_000
"""Default number of events that are in memory at once."""

_FIRST_BYTES = {
    b"DBN": "databento",
    b"\x28\xb5\x2f\xfd": "databento",  # zstd
    b"PK": "hftbacktest",
    b"\x1f\x8b": "itch",  # gzip
    b"\x00\x0cS": "itch",  # a system event message of 12 bytes
}


def open_file(
    path: str | Path, format: str | None = None, symbol: str | None = None, chunk: int = CHUNK
) -> Source:
    """Open a file of exchange data.

    Args:
        path: of the file.
        format: a key of `FORMATS`. Default: found from the first bytes.
        symbol: the instrument, in files with several.
        chunk: number of events in memory at once.

    Raises:
        DataFileError: if the file is missing, its format or symbol is unknown, or its format has
            one instrument and a symbol is given. Reading the chunks raises it for events that are
            not in the format.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            first = file.read(4)
    except OSError as error:
        raise DataFileError(
            f"{path} cannot be read: expected a file of exchange data, got {error.strerror}"
        ) from error
    if not first:
        raise DataFileError(f"{path.name} is empty: expected exchange data, got no bytes")
    if format is None and first == b"PAR1":
        raise DataFileError(
            f"{path.name} is a Parquet file: expected a file in the format of an exchange, "
            "got one as `python -m mm_gym.data convert` writes it (use it as it is)"
        )
    if format is None:
        found = (name for start, name in _FIRST_BYTES.items() if first.startswith(start))
        format = next(found, "lobster")
    elif format not in FORMATS:
        raise DataFileError(
            f"format {format!r} is unknown: expected one of {', '.join(FORMATS)}, got {format!r}"
        )
    if symbol is not None and format in _ONE_INSTRUMENT:
        raise DataFileError(
            f"the symbol has no effect on {path.name}: expected none for a file of {format}, "
            f"which has one instrument, got {symbol!r} (leave it out)"
        )
    module = importlib.import_module(f"mm_gym.data.formats.{format}")
    source: Source = module.open_file(path, symbol, chunk)
    return source
