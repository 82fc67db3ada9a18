"""A market as a JSON file: what calibration writes, and what training and evaluation read."""

import json
import math
from pathlib import Path
from typing import Any

from mm_gym.config import FIELD_NAMES, MarketConfig, configure
from mm_gym.errors import ConfigurationError, nearest
from mm_gym.files import replace_file


def json_fields(config: MarketConfig) -> dict[str, Any]:
    """The fields of a configuration for JSON. The text "inf" stands for infinity."""
    return {name: "inf" if value == math.inf else value for name, value in config.to_dict().items()}


def write_market(config: MarketConfig, path: str | Path) -> None:
    """Write a configuration as JSON. There is never half a file.

    Raises:
        OSError: if the file cannot be written.
    """
    text = json.dumps(json_fields(config), indent=1, allow_nan=False)
    replace_file(Path(path), text.encode() + b"\n")


def read_market(path: str | Path) -> MarketConfig:
    """Read a configuration from JSON. Fields that are not in the file have their usual values.

    Raises:
        ConfigurationError: if the file is missing, is not JSON, or has an unknown field or a value
            out of range.
    """
    path = Path(path)
    try:
        fields = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"{path} cannot be read: expected a market in JSON, got {reason} "
            "(python -m mm_gym.data calibrate --out writes one)"
        ) from error
    if not isinstance(fields, dict):
        raise ConfigurationError(
            f"{path} is not a market: expected a mapping of fields, got {type(fields).__name__}"
        )
    for name in fields:
        if name not in FIELD_NAMES:
            raise ConfigurationError(
                f"{path} is not a market of this version of mm_gym: expected fields of "
                f"MarketConfig, got {name!r} ({nearest(name, FIELD_NAMES)})"
            )
    values: dict[str, Any] = {
        name: math.inf if value == "inf" else value for name, value in fields.items()
    }
    return configure(**values)
