"""Recorded markets, opened once per process, for configurations and markets of `replay`."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_gym.errors import ConfigurationError

if TYPE_CHECKING:
    from mm_gym.data.recorded_market import RecordedMarket


def open_recording(path: str) -> "RecordedMarket":
    """Open a file of exchange data, or return it if this process has it open.

    Args:
        path: as in `MarketConfig.data`.

    Raises:
        ConfigurationError: if the file is missing, is not in a known format, or cannot be replayed.
    """
    try:
        state = Path(path).stat()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"data={path!r} cannot be read: expected the path of a file of exchange data, "
            f"got {getattr(error, 'strerror', None) or error}"
        ) from error
    return _open(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=8)
def _open(path: str, changed: int, size: int) -> "RecordedMarket":
    # The readers build on this module, and they need pyarrow.
    try:
        from mm_gym.data.events import DataFileError
        from mm_gym.data.indexing import open_recorded_market

        return open_recorded_market(path)
    except ImportError as error:
        raise ConfigurationError(
            f"data={path!r} cannot be read: expected the extra `data`, got {error} "
            "(write pip install 'mm-gym[data]')"
        ) from error
    except DataFileError as error:
        raise ConfigurationError(str(error)) from error


def recorded_fields(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `MarketConfig` that fit the recording of the field `data`.

    Args:
        overrides: fields that are given. `lot_size` counts for the sizes here.

    Raises:
        ConfigurationError: if the recording cannot be used.
    """
    path = overrides.get("data")
    if not isinstance(path, (str, Path)) or not str(path):
        raise ConfigurationError(
            "regime 'replay' needs recorded data: expected data with the path of a file, "
            f"got {path!r} (write data='day.parquet')"
        )
    lot_size = overrides.get("lot_size")
    known = isinstance(lot_size, int) and lot_size >= 1
    recording = open_recording(str(path))
    try:
        return recording.typical_fields(lot_size if known else None)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


@functools.lru_cache(maxsize=64)
def feature_deviations(
    path: str,
    interval: float,
    half_lives: tuple[float, ...],
    volatility_half_life: float,
    lot_size: int,
) -> Mapping[str, Any]:
    """`RecordedMarket.deviations` of a recording."""
    return open_recording(path).deviations(interval, half_lives, volatility_half_life, lot_size)
