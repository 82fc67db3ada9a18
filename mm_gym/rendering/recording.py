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

import gymnasium
import numpy as np
import numpy.typing as npt

from mm_gym.config import FIELD_NAMES, MarketConfig
from mm_gym.core.layout import BID, FILL_ROW, NO_ORDER, PATH_ROW, Outcome
from mm_gym.core.layout import TRADE as TAPE_ROW
from mm_gym.markets import Markets
from mm_gym.recorded_fills import HORIZONS, Recorded, recorder_room

LEVELS = 10
"""Best price levels a side that a recording keeps at each decision."""
UNKNOWN_TAKER = -1
"""The taker's kind in data without hidden state."""

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
_OUTCOMES = {
    name: Outcome[name.upper()]
    for name in DECISION.names or ()
    if name.upper() in Outcome.__members__
}
_PARTS = ("spread_pnl", "inventory_pnl", "fees", "close_out")


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


class Recorder:
    """Collects a session of one market, decision by decision.

    Args:
        markets: one market. Its recorder gets the room that it needs.
        label: of the recording.

    Raises:
        ValueError: if there is more than one market.
    """

    def __init__(self, markets: Markets, label: str = "") -> None:
        if len(markets) != 1:
            raise ValueError(
                f"{len(markets)} markets cannot be recorded: expected a single environment, "
                f"got {len(markets)} markets"
            )
        self._markets, self._label = markets, label
        self._rows = np.zeros(1024, DECISION)
        self._n = 0
        self._trades: list[npt.NDArray[Any]] = []
        self._n_trades = 0  # trades of the session that have been read
        self._seed: int | None = None

    def make_room(self, config: MarketConfig) -> None:
        """Call this before a reset. The market's recorder gets room for a session."""
        self._markets.make_room(*recorder_room(config))

    def start(self, seed: int | None = None) -> None:
        """Begin a recording with a session that has just been reset."""
        self._n, self._n_trades, self._trades, self._seed = 0, 0, [], seed
        self.note()

    def prepare(self) -> None:
        """Call this before a step. It makes room, and notices that a checkpoint was restored."""
        market = self._markets.shown(0)
        fill_room, path_room = self._markets.fill_rows.shape[1], self._markets.path_rows.shape[1]
        self._markets.make_room(
            fill_room * (1 + (2 * int(market["n_fill_rows"]) > fill_room)),
            path_room * (1 + (2 * int(market["n_path_rows"]) > path_room)),
        )
        if self._n and self._rows[self._n - 1] == _decision(market):
            return
        known = np.flatnonzero(self._rows[: self._n] == _decision(market))
        self._n = int(known[-1]) + 1 if len(known) else 0
        now = float(market["time"])
        kept = [trades[trades["time"] <= now] for trades in self._trades] if self._n else []
        self._trades, self._n_trades = kept, int(market["n_trades"])
        if not self._n:
            self._seed = None
            self.note()

    def note(self) -> None:
        """Call this after a step, or after a reset."""
        market = self._markets.shown(0)
        if self._n == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[self._n] = _decision(market)
        self._n += 1
        self._trades.append(_trades_since(market, self._n_trades))
        self._n_trades = int(market["n_trades"])

    def recording(self, config: MarketConfig) -> Recording:
        """The session so far.

        Raises:
            ValueError: if no session was started, or the recorder was too small.
        """
        if not self._n:
            raise ValueError("nothing is recorded: expected a call of reset() first, got none")
        fills, path = self._markets.recorded(0)
        return Recording(
            self._label,
            self._seed,
            config,
            self._rows[: self._n].copy(),
            fills.astype(FILL),
            path.astype(PATH),
            np.concatenate([np.zeros(0, TRADE), *self._trades]),
        )


def _decision(market: Any) -> npt.NDArray[Any]:
    """One row of `DECISION`."""
    row = np.zeros((), DECISION)
    row["step"], row["time"] = market["steps"], market["time"]
    outcome = market["outcome"]
    for name, column in _OUTCOMES.items():
        row[name] = outcome[column]
    for part in _PARTS:
        row[part] = market["account"][part]
    book = market["book"]
    for side, sign in enumerate((1, -1)):
        n_levels = int(book["n_levels"][side])
        best = book["levels"][side, max(0, n_levels - LEVELS) : n_levels][::-1]
        row["level_price"][side, : len(best)] = sign * best["key"]
        row["level_lots"][side, : len(best)] = best["lots"]
        slot = int(market["quotes"]["slot"][side])
        if slot != NO_ORDER:
            order = book["orders"][slot]
            row["quote_price"][side] = sign * order["key"]
            row["quote_lots"][side] = order["lots"]
            row["quote_lots_ahead"][side] = _lots_ahead(book["orders"], slot)
    return row


def _lots_ahead(orders: npt.NDArray[Any], slot: int) -> int:
    lots = 0
    while (slot := int(orders["older"][slot])) != NO_ORDER:
        lots += int(orders["lots"][slot])
    return lots


def _trades_since(market: Any, n_known: int) -> npt.NDArray[Any]:
    """The trades after the first `n_known`, oldest first. Those beyond the tape's length are lost.

    Row k of the count lies in place k % len(tape).
    """
    n, tape = int(market["n_trades"]), market["tape"]
    rows = np.arange(max(n_known, n - len(tape)), n) % len(tape)
    return np.asarray(tape[rows]).astype(TRADE)


class RecordSession(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """A wrapper that records each session of a MarketMaking-v0 environment; see `record`."""

    def __init__(self, env: gymnasium.Env[Any, Any], label: str = "") -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, label=label)
        gymnasium.Wrapper.__init__(self, env)
        markets = getattr(env.unwrapped, "_markets", None)
        if not isinstance(markets, Markets):
            raise TypeError(
                "the environment cannot be recorded: expected a MarketMaking-v0 environment, "
                f"got {env.unwrapped!r}"
            )
        self._recorder = Recorder(markets, label)
        self._core: Any = env.unwrapped

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a session and its recording."""
        self._recorder.make_room(self._core.config)
        result = self.env.reset(seed=seed, options=options)
        self._recorder.start(seed)
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment and record what happened."""
        self._recorder.prepare()
        result = self.env.step(action)
        self._recorder.note()
        return result

    def recording(self) -> Recording:
        """The current session so far.

        Raises:
            ValueError: before the first reset.
        """
        return self._recorder.recording(self._core.config)


def record(env: gymnasium.Env[Any, Any], label: str = "") -> RecordSession:
    """Record the sessions of an environment.

    Args:
        env: a single MarketMaking-v0 environment, wrapped or not. The argument `record` is not
            needed. Rendering, observations and rewards stay the same.
        label: name of the agent in the recording.

    Returns:
        A wrapper. Its `recording()` is the current session so far.

    Raises:
        TypeError: for another environment.
        ValueError: for more than one market.
    """
    return RecordSession(env, label)
