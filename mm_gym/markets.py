"""Some markets of one configuration: the records, their seeding, and the calls into the compiled core.

Both environments stand on this, the single one with one market and the batch with many, so what they do to a
market is the same by construction. Nothing here knows about Gymnasium's episodes.
"""

import copy
import functools
import itertools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mm_gym.config import ConfigurationError, MarketConfig
from mm_gym.core import entry_points
from mm_gym.core.layout import FILL_ROW, MARKET, OBSERVATION_BOUNDS, PATH_ROW, STREAMS, Obs, Outcome
from mm_gym.core.random import SEED_WORDS

INFO_COLUMNS: dict[str, tuple[Outcome, type]] = {
    "pnl": (Outcome.PNL, float),
    "cash": (Outcome.CASH, float),
    "inventory": (Outcome.INVENTORY, int),
    "mid": (Outcome.MID, float),
    "spread": (Outcome.SPREAD, float),
    "efficient_price": (Outcome.EFFICIENT_PRICE, float),
    "signal": (Outcome.SIGNAL, float),
    "fills": (Outcome.FILLS, int),
    "reward_wealth": (Outcome.REWARD_WEALTH, float),
    "reward_risk": (Outcome.REWARD_RISK, float),
    "reward_close_out": (Outcome.REWARD_CLOSE_OUT, float),
}
"""What `info` holds: the column of the core's report and the Python type."""


def info_of(outcome: list[float]) -> dict[str, Any]:
    """The `info` of one market, of the row that the core reported."""
    return {name: kind(outcome[column]) for name, (column, kind) in INFO_COLUMNS.items()}


def observation_space() -> spaces.Box:
    """The space of one market's observation; columns as in `OBSERVATION_NAMES`."""
    low, high = np.array(OBSERVATION_BOUNDS, dtype=np.float32).T
    return spaces.Box(low.copy(), high.copy(), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A checkpoint of an environment: its markets' records, what was recorded, and what the face remembers."""

    records: npt.NDArray[Any]
    recorded: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    face: dict[str, Any]


PATH_ROWS_PER_FILL = 10
"""Room for changes of mid, price or inventory that an environment keeps for each fill it keeps room for."""


class Recorded(NamedTuple):
    """The truth about one session, for evaluation only; never shown to an agent."""

    fills: npt.NDArray[Any]
    """A row of `layout.FILL_ROW` for each of the agent's fills: time, side (0 its bid, 1 its ask), price, size, mid and
    efficient price just before, the signal, the taker's kind (`layout.TakerKind`), the lots ahead when the order joined
    its queue, the seconds it waited, and the inventory after."""
    path: npt.NDArray[Any]
    """A row of `layout.PATH_ROW` at each change of the public mid, the efficient price or the inventory."""


@functools.cache
def _helpers(n: int) -> ThreadPoolExecutor:
    """Threads beside the calling one, shared by all markets; the core does not hold Python's lock."""
    return ThreadPoolExecutor(n)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # threads do not survive a fork


class Markets:
    """`n` markets of one configuration.

    Args:
        config: of every market.
        n: how many.
        fill_rows, path_rows: room for that many rows of `layout.FILL_ROW` and `layout.PATH_ROW` a market and
            session; 0 records nothing.
        threads: that step them, each its share: what happens is the same with any number.

    Raises:
        ConfigurationError: if `threads` is no whole number from 1 up.
    """

    def __init__(self, config: MarketConfig, n: int, fill_rows: int = 0, path_rows: int = 0, threads: int = 1) -> None:
        self.records: npt.NDArray[Any] = np.zeros(n, dtype=MARKET)
        self.records["rules"] = config.to_rules()
        self.fill_rows: npt.NDArray[Any] = np.zeros((n, fill_rows), dtype=FILL_ROW)
        self.path_rows: npt.NDArray[Any] = np.zeros((n, path_rows), dtype=PATH_ROW)
        n_shares = min(check_count("threads", threads, "threads"), n)
        borders = np.arange(n_shares + 1) * n // n_shares
        self._shares = [slice(first, end) for first, end in itertools.pairwise(borders)]

    def __len__(self) -> int:
        return len(self.records)

    def count_luck(self, inventory_price: float = 0.0) -> None:
        """From now on, report in `Outcome.LUCK` what of each decision's reward was luck (`core.luck`).

        Args:
            inventory_price: [ticks / lot] of a squared lot of inventory.
        """
        self.records["luck"]["counted"] = 1
        self.records["luck"]["inventory_price"] = inventory_price

    def empty_results(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Arrays for the observations and outcomes of one step; fresh ones, since callers keep what they are given."""
        n = len(self.records)
        return np.empty((n, len(Obs)), np.float32), np.empty((n, len(Outcome)), np.float64)

    def reset(
        self,
        chosen: npt.NDArray[np.int64],
        generators: Sequence[np.random.Generator],
        observations: npt.NDArray[np.float32],
        outcomes: npt.NDArray[np.float64],
    ) -> None:
        """Start a session in the chosen markets, seeding the streams of market i from `generators[i]`."""
        words = np.empty((len(chosen), STREAMS * SEED_WORDS), np.uint64)
        for row, market in zip(words, chosen, strict=True):
            row[:] = generators[market].integers(0, 2**64, size=len(row), dtype=np.uint64)
        entry_points.reset_many(self.records, chosen, words, observations, outcomes, self.path_rows)

    def step(self, offsets: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """One decision in every market; offsets of shape (n, 2) in [-1, 1]. Observations and outcomes, a row each."""
        observations, outcomes = self.empty_results()
        rows = (self.records, offsets, observations, outcomes, self.fill_rows, self.path_rows)
        if len(self._shares) == 1:
            entry_points.step_many(*rows)
            return observations, outcomes
        *others, mine = ([array[share] for array in rows] for share in self._shares)
        at_work = [_helpers(len(others)).submit(entry_points.step_many, *share) for share in others]
        entry_points.step_many(*mine)
        for work in at_work:
            work.result()
        return observations, outcomes

    def recorded(self, market: int) -> Recorded:
        """What was recorded of a market's current session, as copies.

        Raises:
            ValueError: if nothing is recorded, or the recorder was full before the session ended.
        """
        if self.path_rows.shape[1] == 0:
            raise ValueError(
                "nothing is recorded; make the environment with record=1000, the number of fills to keep room for"
            )
        n_fills, n_path = int(self.records["n_fill_rows"][market]), int(self.records["n_path_rows"][market])
        if n_fills > self.fill_rows.shape[1] or n_path > self.path_rows.shape[1]:
            raise ValueError(
                f"the session has {n_fills} fills and {n_path} changes, the recorder has room for "
                f"{self.fill_rows.shape[1]} and {self.path_rows.shape[1]}; make the environment with "
                f"record={max(n_fills, -(-n_path // PATH_ROWS_PER_FILL))} or more"
            )
        return Recorded(self.fill_rows[market, :n_fills].copy(), self.path_rows[market, :n_path].copy())

    def snapshot(self, face: dict[str, Any]) -> Snapshot:
        """Copies of the records and of what was recorded, and a deep copy of what the face wants to keep."""
        recorded = (
            self.fill_rows[:, : int(self.records["n_fill_rows"].max())].copy(),
            self.path_rows[:, : int(self.records["n_path_rows"].max())].copy(),
        )
        return Snapshot(self.records.copy(), recorded, copy.deepcopy(face))

    def restore(self, snapshot: Snapshot, kept: Iterable[str]) -> dict[str, Any]:
        """Put the records back as they were; returns a copy of what the face kept, which has to be of these names.

        Raises:
            TypeError: if it is no snapshot.
            ValueError: if it is one of other markets or of another face. Nothing is changed then.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"a {type(snapshot).__name__} came, a snapshot was wanted; write what snapshot() returned")
        if (
            snapshot.records.shape != self.records.shape
            or snapshot.records["rules"].tobytes() != self.records["rules"].tobytes()
            or set(snapshot.face) != set(kept)
            or snapshot.recorded[0].shape[1] > self.fill_rows.shape[1]
            or snapshot.recorded[1].shape[1] > self.path_rows.shape[1]
        ):
            raise ValueError(
                f"the snapshot holds {len(snapshot.records)} market(s) of its own configuration, this environment has "
                f"{len(self.records)} of another or the same; restore it into an environment made with the same "
                "arguments"
            )
        self.records[...] = snapshot.records
        for room, rows in zip((self.fill_rows, self.path_rows), snapshot.recorded, strict=True):
            room[:, : rows.shape[1]] = rows
        return copy.deepcopy(snapshot.face)


def check_count(name: str, number: Any, of: str) -> int:
    """The argument `name`, a number of what one at least is needed of.

    Raises:
        ConfigurationError: if it is not.
    """
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
        raise ConfigurationError(f"{name}={number!r} came, a number of {of} was wanted; write 1 or more")
    return int(number)


def check_record(record: Any) -> int:
    """The room for recorded fills, if it is a number of them.

    Raises:
        ConfigurationError: if it is not.
    """
    if isinstance(record, bool) or not isinstance(record, (int, np.integer)) or record < 0:
        raise ConfigurationError(
            f"record={record!r} came, room for a number of fills was wanted; write for example record=1000, or 0"
        )
    return int(record)
