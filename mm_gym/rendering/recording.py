"""Recordings: everything of one session that can be shown, as arrays in one file.

env = mm_gym.rendering.record(gymnasium.make("MarketMaking-v0", regime="informed"))
...  # run any policy
env.recording().save("session.npz")

Prices are in ticks, times in seconds, sizes in lots, money in ticks x lots.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.config import FIELD_NAMES, MarketConfig
from mm_gym.core.layout import BID, FILL_ROW, PATH_ROW
from mm_gym.core.layout import TRADE as TAPE_ROW
from mm_gym.recorded_fills import HORIZONS, Recorded

LEVELS = 10
"""Best price levels a side that a recording keeps at each decision."""

DECISION = np.dtype(
    [
        ("step", "i8"),  # decisions made so far
        ("time", "f8"),
        ("mid", "f8"),  # of the public touch, without the agent's orders
        ("spread", "f8"),
        ("efficient_price", "f8"),  # NaN if unknown
        ("signal", "f8"),  # NaN if unknown
        ("inventory", "i8"),
        ("cash", "f8"),
        ("pnl", "f8"),
        ("objective", "f8"),
        ("spread_pnl", "f8"),
        ("inventory_pnl", "f8"),
        ("fees", "f8"),
        ("close_out", "f8"),
        # The agent's resting orders: bid and ask. Zero lots without one.
        ("quote_price", "i8", (2,)),
        ("quote_lots", "i8", (2,)),
        ("quote_lots_ahead", "i8", (2,)),
        # The best levels of each side, best first, with the agent's lots. Zero lots: no level.
        ("level_price", "i8", (2, LEVELS)),
        ("level_lots", "i8", (2, LEVELS)),
    ]
)
"""The state after a reset or a step: one row per decision."""
FILL = np.dtype(FILL_ROW.descr)
"""A fill of the agent; see `core.layout.FILL_ROW`. `taker` is -1 and floats are NaN if unknown."""
PATH = np.dtype(PATH_ROW.descr)
"""A change of mid, efficient price or inventory."""
TRADE = np.dtype(TAPE_ROW.descr)
"""A public trade; see `core.layout.TRADE`. `kind` is -1 if unknown."""

_ARRAYS = {"decisions": DECISION, "fills": FILL, "path": PATH, "trades": TRADE}
_ABOUT = "about"  # the member of the file that holds JSON
_FORMAT = 1
_LARGEST_FILE = 2**30  # [bytes] unpacked


@dataclass(frozen=True, eq=False)
class Recording:
    """One session of one agent. Hidden state is included where it is known."""

    label: str
    """Name of the agent, or any other text."""
    seed: int | None
    """The session started with `reset(seed=seed)`. None if unknown."""
    config: MarketConfig | None
    """The market. None if it is not a simulated one."""
    decisions: npt.NDArray[Any]
    """Rows of `DECISION`: one after the reset, and one after each step."""
    fills: npt.NDArray[Any]
    """Rows of `FILL`, in order of time."""
    path: npt.NDArray[Any]
    """Rows of `PATH`, in order of time: the public mid and the efficient price at every event."""
    trades: npt.NDArray[Any]
    """Rows of `TRADE`, in order of time. Empty if trades were not recorded."""

    def markouts(self, horizons: Sequence[float] = HORIZONS) -> tuple[Any, Any]:
        """Markouts of each fill [ticks], against the public mid and the efficient price.

        A positive markout is good for the agent.

        Args:
            horizons: [s] after the fill.

        Returns:
            Two arrays of shape (fills, horizons), NaN if the horizon passes the end of the
            recording or the price is unknown.
        """
        end = float(self.decisions["time"][-1])
        direction = np.where(self.fills["side"] == BID, -1.0, 1.0)[:, None]
        price = self.fills["price"][:, None]
        mid, value = Recorded(self.fills, self.path).later_prices(end, horizons)
        return direction * (price - mid), direction * (price - value)

    def _repr_html_(self) -> str:
        """The replay in a frame, for notebooks."""
        from mm_gym.rendering.replay import replay_html  # it imports this module

        return replay_html([self])._repr_html_()

    def save(self, path: str | Path) -> Path:
        """Write the recording as a compressed npz file, without pickle.

        Args:
            path: of the file. `.npz` is added if it is missing.

        Returns:
            The path of the file.
        """
        path = Path(path)
        if path.suffix != ".npz":
            path = path.with_name(path.name + ".npz")
        about = {
            "format": _FORMAT,
            "label": self.label,
            "seed": self.seed,
            "config": None if self.config is None else self.config.to_dict(),
        }
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        arrays[_ABOUT] = np.array(json.dumps(about))
        np.savez_compressed(path, allow_pickle=False, **arrays)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Recording":
        """Read a file that `save` wrote. The file may be foreign: its content is checked.

        Raises:
            ValueError: if it is not such a file, or its content is not a recording.
            OSError: if it cannot be read.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > _LARGEST_FILE:
                raise ValueError(f"{size} bytes in it, at most {_LARGEST_FILE}")
            with np.load(path, allow_pickle=False) as file:
                label, seed, config = _checked_about(json.loads(str(file[_ABOUT][()])))
                arrays = {name: _checked(name, file[name]) for name in _ARRAYS}
            _check_order(arrays)
        except FileNotFoundError:
            raise
        except Exception as error:  # zipfile, zlib and numpy have many errors for damaged files
            raise ValueError(
                f"{path} is not a recording: expected a file written by Recording.save, "
                f"got one that cannot be read ({str(error) or type(error).__name__})"
            ) from error
        return cls(label, seed, config, **arrays)


def _checked_about(about: Any) -> tuple[str, int | None, MarketConfig | None]:
    """The label, the seed and the configuration of a file. Raises ValueError if one is wrong."""
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise ValueError(f"format {_FORMAT} is missing")
    label, seed, config = about.get("label"), about.get("seed"), about.get("config")
    if not isinstance(label, str):
        raise ValueError("the label is not text")
    if not (seed is None or type(seed) is int):
        raise ValueError("the seed is not a whole number")
    if config is not None:
        if not isinstance(config, dict) or not set(config) <= set(FIELD_NAMES):
            raise ValueError("the configuration has unknown fields")
        lists = {name: tuple(value) for name, value in config.items() if isinstance(value, list)}
        config = MarketConfig(**{**config, **lists})
    return label, seed, config


def _checked(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of a file. Raises ValueError if it has another shape or type, or an infinity."""
    if array.dtype != _ARRAYS[name] or array.ndim != 1:
        raise ValueError(f"{name} has other columns")
    for column in array.dtype.names or ():
        if np.isinf(array[column]).any():
            raise ValueError(f"{name} has infinite values of {column}")
    return array


def _check_order(arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Check that rows are ordered in time. Raises ValueError if they are not."""
    for name, array in arrays.items():
        if not len(array) and name in ("decisions", "path"):
            raise ValueError(f"{name} is empty")
        if np.isnan(array["time"]).any() or (np.diff(array["time"]) < 0.0).any():
            raise ValueError(f"{name} is not ordered in time")
    if len(arrays["fills"]) and arrays["fills"]["time"][0] < arrays["path"]["time"][0]:
        raise ValueError("the path starts after the first fill")
