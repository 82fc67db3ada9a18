"""Some markets of one configuration: the records, their seeding, and the calls into the compiled
core.

Both environments stand on this, the single one with one market and the batch with many, so what
they do to a market is the same by construction. Nothing here knows about Gymnasium's episodes.
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

from mm_gym.config import ConfigurationError, MarketConfig
from mm_gym.core import entry_points
from mm_gym.core.layout import FILL_ROW, MARKET, PATH_ROW, STREAMS, Obs, Outcome
from mm_gym.core.random import SEED_WORDS
from mm_gym.parameters import to_parameters

INFO_COLUMNS = {
    "pnl": Outcome.PNL,
    "cash": Outcome.CASH,
    "inventory": Outcome.INVENTORY,
    "mid": Outcome.MID,
    "spread": Outcome.SPREAD,
    "efficient_price": Outcome.EFFICIENT_PRICE,
    "signal": Outcome.SIGNAL,
    "fills": Outcome.FILLS,
    "objective": Outcome.OBJECTIVE,
    "reward_wealth": Outcome.REWARD_WEALTH,
    "reward_risk": Outcome.REWARD_RISK,
    "reward_close_out": Outcome.REWARD_CLOSE_OUT,
}
"""What `info` holds, and the column of the core's report in which it stands."""
WHOLE_INFO = ("inventory", "fills")
"""Keys of `info` whose values are whole numbers."""

_N_OBSERVED, _N_OUTCOMES = (
    len(Obs),
    len(Outcome),
)  # to ask an enumeration takes longer than to make the array
_INFO_NAMES = tuple(INFO_COLUMNS)
# They stand side by side in the report.
_INFO = slice(min(INFO_COLUMNS.values()), max(INFO_COLUMNS.values()) + 1)

UNWINDING = 37.0
"""How long inventory is held, as the control variate assumes by default: so many seconds, or so
many decision intervals where that is less."""


def info_of(outcome: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The `info` of one market, from the row that the core reported: NumPy scalars, since libraries
    ask for a dtype."""
    info: dict[str, Any] = dict(zip(_INFO_NAMES, outcome[_INFO]))  # noqa: B905  (checking lengths takes as long)
    for name in WHOLE_INFO:
        info[name] = np.int64(int(info[name]))
    return info


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A checkpoint of an environment: its markets' records, what was recorded, and what the face
    remembers."""

    records: npt.NDArray[Any]
    parameters: bytes
    recorded: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    face: dict[str, Any]


PATH_ROWS_PER_FILL = 10
"""Room for changes of mid, price or inventory that an environment keeps for each fill it keeps room
for."""


class Recorded(NamedTuple):
    """The truth about one session, for evaluation only; never shown to an agent."""

    fills: npt.NDArray[Any]
    """A row of `layout.FILL_ROW` for each of the agent's fills: time, side (0 its bid, 1 its ask),
    price, size, mid and efficient price just before, the signal, the taker's kind
    (`layout.TakerKind`), the lots ahead when the order joined its queue, the seconds it waited, and
    the inventory after."""
    path: npt.NDArray[Any]
    """A row of `layout.PATH_ROW` at each change of the public mid, the efficient price or the
    inventory."""


@functools.cache
def _helpers(n: int) -> ThreadPoolExecutor:
    """Threads beside the calling one, shared by all markets; the core does not hold Python's
    lock."""
    return ThreadPoolExecutor(n)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # threads do not survive a fork


class Markets:
    """`n` markets of one configuration.

    Args:
        config: of every market.
        n: how many.
        fill_rows, path_rows: room for that many rows of `layout.FILL_ROW` and `layout.PATH_ROW` a
        market and session; 0 records nothing. threads: that step them, each its share: what happens
        is the same with any number. variance_reduction: whether rewards are reduced by the control
        variate (`core.control_variate`). unwinding_time: [s] how long inventory is held, as the
        control variate assumes; by default 37 s, or 37 decision intervals where that is less.

    Raises:
        ConfigurationError: for an argument of a wrong kind or out of range.
    """

    def __init__(
        self,
        config: MarketConfig,
        n: int,
        fill_rows: int = 0,
        path_rows: int = 0,
        threads: int = 1,
        variance_reduction: bool = False,
        unwinding_time: float | None = None,
    ) -> None:
        self._variance_reduction, self._unwinding_time = _check_variance_reduction(
            variance_reduction, unwinding_time
        )
        self.records: npt.NDArray[Any] = np.zeros(n, dtype=MARKET)
        self._parameters = self._parameters_of(config)
        self.records["parameters"] = self._parameters
        self._overridden = np.zeros(n, dtype=np.bool_)  # whose parameters are those of one episode
        self.fill_rows: npt.NDArray[Any] = np.zeros((n, fill_rows), dtype=FILL_ROW)
        self.path_rows: npt.NDArray[Any] = np.zeros((n, path_rows), dtype=PATH_ROW)
        n_shares = min(check_count("threads", threads, "threads"), n)
        borders = np.arange(n_shares + 1) * n // n_shares
        self._shares = [slice(first, end) for first, end in itertools.pairwise(borders)]

    def __len__(self) -> int:
        return len(self.records)

    def empty_results(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Arrays for the observations and outcomes of one step; fresh ones, since callers keep what
        they are given."""
        n = len(self.records)
        return np.empty((n, _N_OBSERVED), np.float32), np.empty((n, _N_OUTCOMES), np.float64)

    def reset(
        self,
        chosen: npt.NDArray[np.int64],
        generators: Sequence[np.random.Generator],
        observations: npt.NDArray[np.float32],
        outcomes: npt.NDArray[np.float64],
        config: MarketConfig | None = None,
    ) -> None:
        """Start a session in the chosen markets, seeding the streams of market i from
        `generators[i]`.

        Args:
            config: of this one session; by default that of all markets.
        """
        if config is not None:
            self.records["parameters"][chosen] = self._parameters_of(config)
            self._overridden[chosen] = True
        elif self._overridden[chosen].any():
            self.records["parameters"][chosen] = self._parameters
            self._overridden[chosen] = False
        words = np.empty((len(chosen), STREAMS * SEED_WORDS), np.uint64)
        for row, market in zip(words, chosen, strict=True):
            row[:] = generators[market].integers(0, 2**64, size=len(row), dtype=np.uint64)
        entry_points.reset_many(self.records, chosen, words, observations, outcomes, self.path_rows)

    def step(
        self, offsets: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """One decision in every market; offsets of shape (n, 2) in [-1, 1]. Observations and
        outcomes, a row each."""
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

    def _parameters_of(self, config: MarketConfig) -> npt.NDArray[Any]:
        parameters = to_parameters(config)
        parameters["variance_reduction"] = self._variance_reduction
        unwinding_time = self._unwinding_time
        if unwinding_time is None:
            unwinding_time = UNWINDING * min(1.0, config.decision_interval)
        parameters["inventory_price"] = config.inventory_penalty * unwinding_time
        return parameters

    def recorded(self, market: int) -> Recorded:
        """What was recorded of a market's current session, as copies.

        Raises:
            ValueError: if nothing is recorded, or the recorder was full before the session ended.
        """
        if self.path_rows.shape[1] == 0:
            raise ValueError(
                "nothing is recorded; make the environment with record=1000, the number of fills to keep room for"
            )
        n_fills, n_path = (
            int(self.records["n_fill_rows"][market]),
            int(self.records["n_path_rows"][market]),
        )
        if n_fills > self.fill_rows.shape[1] or n_path > self.path_rows.shape[1]:
            raise ValueError(
                f"the session has {n_fills} fills and {n_path} changes, the recorder has room for "
                f"{self.fill_rows.shape[1]} and {self.path_rows.shape[1]}; make the environment with "
                f"record={max(n_fills, -(-n_path // PATH_ROWS_PER_FILL))} or more"
            )
        return Recorded(
            self.fill_rows[market, :n_fills].copy(), self.path_rows[market, :n_path].copy()
        )

    def snapshot(self, face: dict[str, Any]) -> Snapshot:
        """Copies of the records and of what was recorded, and a deep copy of what the face wants to
        keep."""
        recorded = (
            self.fill_rows[:, : int(self.records["n_fill_rows"].max())].copy(),
            self.path_rows[:, : int(self.records["n_path_rows"].max())].copy(),
        )
        return Snapshot(
            self.records.copy(), self._parameters.tobytes(), recorded, copy.deepcopy(face)
        )

    def restore(self, snapshot: Snapshot, kept: Iterable[str]) -> dict[str, Any]:
        """Put the records back as they were; returns a copy of what the face kept, which has to be
        of these names.

        Raises:
            TypeError: if it is no snapshot.
            ValueError: if it is one of other markets or of another face. Nothing is changed then.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(
                f"a {type(snapshot).__name__} came, a snapshot was wanted; write what snapshot() returned"
            )
        if (
            snapshot.records.shape != self.records.shape
            or snapshot.parameters != self._parameters.tobytes()
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
        self._overridden[:] = True  # not known: the next session's parameters are set anew
        for room, rows in zip((self.fill_rows, self.path_rows), snapshot.recorded, strict=True):
            room[:, : rows.shape[1]] = rows
        return copy.deepcopy(snapshot.face)


def _check_variance_reduction(
    variance_reduction: Any, unwinding_time: Any
) -> tuple[bool, float | None]:
    """Both, if they are a switch and a time.

    Raises:
        ConfigurationError: if they are not.
    """
    if not isinstance(variance_reduction, (bool, np.bool_)):
        raise ConfigurationError(
            f"variance_reduction is wrong: expected True or False, got {variance_reduction!r}"
        )
    if unwinding_time is None:
        return bool(variance_reduction), None
    if (
        isinstance(unwinding_time, (bool, np.bool_))
        or not isinstance(unwinding_time, (int, float, np.integer, np.floating))
        or not 0.0 <= unwinding_time <= 1e9
    ):
        raise ConfigurationError(
            f"unwinding_time is out of range: expected a number of seconds from 0 to 1e+09, got {unwinding_time!r}"
        )
    if not variance_reduction:
        raise ConfigurationError(
            f"unwinding_time={unwinding_time:g} has no effect: expected variance_reduction=True beside it, got False"
        )
    return True, float(unwinding_time)


def check_count(name: str, number: Any, of: str) -> int:
    """The argument `name`, a number of what one at least is needed of.

    Raises:
        ConfigurationError: if it is not.
    """
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
        raise ConfigurationError(
            f"{name}={number!r} came, a number of {of} was wanted; write 1 or more"
        )
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
