"""Markets of one configuration: their records, their seeds, and the calls into the compiled core.

The single and the vector environment use the same class, so both treat a market in the same way.
This module knows nothing of Gymnasium.
"""

import copy
import functools
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.argument_checks import check_switch, check_threads, check_unwinding_time
from mm_gym.config import MarketConfig
from mm_gym.core import entry_points
from mm_gym.core.layout import (
    CACHE_LINE,
    FILL_ROW,
    PATH_ROW,
    STREAMS,
    Obs,
    Outcome,
    market_dtype,
)
from mm_gym.core.random import SEED_WORDS
from mm_gym.errors import ConfigurationError
from mm_gym.market_size import expected_event_rate
from mm_gym.memory import check_memory
from mm_gym.parameter_table import ParameterTable
from mm_gym.parameters import book_room, to_parameters
from mm_gym.recorded_fills import PATH_ROWS_PER_FILL, Recorded
from mm_gym.recordings import open_recording
from mm_gym.snapshots import Snapshot, check_snapshot, sealed

# The length of an enumeration is slow to compute, and each step needs it.
_N_OBSERVED, _N_OUTCOMES = len(Obs), len(Outcome)
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)

UNWINDING = 37.0
"""Default of `unwinding_time`: in seconds, or in decision intervals if that is less."""

# Expected events of one call of the core, if it has more than one market. A signal such as Ctrl-C
# waits until the call returns.
_EVENTS_PER_CALL = 3_000_000


def _markets_per_call(config: MarketConfig, seconds: float) -> int:
    """Number of markets that one call of the core simulates for so long."""
    if config.makers == "recorded":
        recording = open_recording(config.data)
        rate = len(recording.events) / max(1.0, recording.seconds)
    else:
        rate = expected_event_rate(vars(config))
    return max(1, int(_EVENTS_PER_CALL / max(1.0, rate * seconds)))


@functools.cache
def _helpers(n: int) -> ThreadPoolExecutor:
    """`n` threads, shared by all environments. They run in parallel: the core releases the GIL."""
    return ThreadPoolExecutor(n)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # threads do not survive a fork


class Markets:
    """`n` markets of one configuration.

    Args:
        config: configuration of all markets.
        n: number of markets.
        fill_rows: number of rows of `layout.FILL_ROW` per market and session; 0 records nothing.
        path_rows: number of rows of `layout.PATH_ROW` per market and session; 0 records nothing.
        threads: number of threads that step the markets. Results do not depend on it.
        variance_reduction: whether to subtract the control variate (`core.control_variate`) from
            rewards.
        unwinding_time: [s] assumption of the control variate about how long inventory is held. The
            default is 37 s, or 37 decision intervals if that is less.

    Raises:
        ConfigurationError: for an argument of a wrong type or out of range.
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
        self._variance_reduction = check_switch("variance_reduction", variance_reduction)
        self._unwinding_time = check_unwinding_time(unwinding_time, self._variance_reduction)
        record = market_dtype(*book_room(config))
        rows = fill_rows * FILL_ROW.itemsize + path_rows * PATH_ROW.itemsize
        check_memory(n * (record.itemsize + rows), f"{n:,} markets")
        self.records: npt.NDArray[Any] = _aligned(n, record)
        self._shapes = (n, _N_OBSERVED), (n, _N_OUTCOMES)
        self._table = ParameterTable(self._parameters_of(config), n)
        # Arrays that all markets share, as the last argument of the kernels of recorded data.
        self._recording: tuple[Any, ...] = ()
        if config.makers == "recorded":
            if self._variance_reduction:
                raise ConfigurationError(
                    "variance_reduction=True contradicts regime 'replay', whose hidden state is "
                    "not recorded: expected False, got True"
                )
            recording = open_recording(config.data)
            self._recording = (recording.arrays,)
        self.fill_rows: npt.NDArray[Any] = np.zeros((n, fill_rows), dtype=FILL_ROW)
        self.path_rows: npt.NDArray[Any] = np.zeros((n, path_rows), dtype=PATH_ROW)
        self._threads = min(check_threads(threads), n)
        self._resets_per_call = _markets_per_call(config, config.warm_up)
        most = _markets_per_call(config, config.decision_interval)
        n_shares = max(self._threads, -(-n // most))
        borders = np.arange(n_shares + 1) * n // n_shares
        self._shares = [slice(first, end) for first, end in itertools.pairwise(borders)]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def parameters(self) -> npt.NDArray[Any]:
        """Rows of `layout.PARAMETERS`: row 0 of the configuration, then those of single sessions.

        The field `configuration` of a market's record is the number of its row.
        """
        return self._table.rows

    def parameters_of(self, market: int) -> Any:
        """The record of `layout.PARAMETERS` of a market's session."""
        return self.parameters[self.records["configuration"][market]]

    def shown(self, market: int) -> Any:
        """The record of a market with its order book, to be drawn.

        In recorded data it is a copy: the book of the market itself holds only the touch and the
        levels of the agent, and that of the copy the best levels.
        """
        if not self._recording:
            return self.records[market]
        copied = self.records[market : market + 1].copy()
        entry_points.replay_show(copied, *self._recording)
        return copied[0]

    def empty_results(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """New arrays for the observations and the outcomes of one step.

        They are not reused, since callers may keep them.

        Returns:
            Arrays of shapes (n, columns of `Obs`) and (n, columns of `Outcome`).
        """
        observed, outcomes = self._shapes
        return np.empty(observed, _FLOAT32), np.empty(outcomes, _FLOAT64)

    def reset(
        self,
        chosen: npt.NDArray[np.int64],
        generators: Sequence[np.random.Generator],
        observations: npt.NDArray[np.float32],
        outcomes: npt.NDArray[np.float64],
        config: MarketConfig | None = None,
    ) -> None:
        """Start a session in the chosen markets.

        Args:
            chosen: indices of the markets.
            generators: one per market. Generator i seeds the random streams of market i.
            observations: receives the first observations, in the rows of the chosen markets.
            outcomes: receives the first outcomes, in the rows of the chosen markets.
            config: configuration of this one session; by default that of all markets. It must not
                need a larger book (`parameters.book_room`).
        """
        parameters = None if config is None else self._parameters_of(config)
        self._table.assign(self.records["configuration"], chosen, parameters)
        words = np.empty((len(chosen), STREAMS * SEED_WORDS), np.uint64)
        for row, market in zip(words, chosen, strict=True):
            row[:] = generators[market].integers(0, 2**64, size=len(row), dtype=np.uint64)
        reset = entry_points.replay_reset_many if self._recording else entry_points.reset_many
        most = self._resets_per_call
        if config is not None:
            most = _markets_per_call(config, config.warm_up)
        for first in range(0, len(chosen), most):
            reset(
                self.records,
                self.parameters,
                chosen[first : first + most],
                words[first : first + most],
                observations,
                outcomes,
                self.path_rows,
                *self._recording,
            )

    def start(
        self, generators: Iterable[np.random.Generator]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Start a session in every market.

        Args:
            generators: one per market, in order.

        Returns:
            The first observations and outcomes, with a row per market.
        """
        results = self.empty_results()
        self.reset(np.arange(len(self)), list(generators), *results)
        return results

    def step(
        self, offsets: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Simulate one decision interval in every market.

        After an exception such as KeyboardInterrupt, some markets may have been stepped and others
        not: start new sessions, or restore a snapshot.

        Args:
            offsets: offsets of bid and ask on the core's scale, shape (n, 2). A third column asks
                for market orders.

        Returns:
            Observations and outcomes, one row per market.

        Raises:
            ConfigurationError: for market orders in recorded data.
        """
        if self._recording and offsets.shape[1] > 2:
            raise ConfigurationError(
                "market orders of the agent are not offered for recorded data, which they would "
                "change: expected two numbers for each market, got three (write action='offsets')"
            )
        observations, outcomes = self.empty_results()
        rows = (offsets, observations, outcomes, self.fill_rows, self.path_rows)
        if len(self._shares) == 1 and not self._recording:
            entry_points.step_many(self.records, self._table.rows, *rows)
            return observations, outcomes
        advance = entry_points.replay_step_many if self._recording else entry_points.step_many
        mine, *others = (
            [
                self.records[share],
                self.parameters,
                *(array[share] for array in rows),
                *self._recording,
            ]
            for share in self._shares
        )
        if self._threads == 1:
            for share in (mine, *others):
                advance(*share)
            return observations, outcomes
        at_work = [_helpers(self._threads - 1).submit(advance, *share) for share in others]
        try:
            advance(*mine)
            for work, share in zip(reversed(at_work), reversed(others), strict=True):
                if work.cancel():  # no helper has begun with it
                    advance(*share)
                else:
                    work.result()
        except BaseException:
            for work in at_work:
                work.cancel()
            wait(at_work)  # so that no helper works on markets that are used anew
            raise
        return observations, outcomes

    def decisions_left(self, limit: int | None = None) -> int:
        """Decisions until the next end of a session, 0 or less if one has ended.

        Args:
            limit: number of decisions after which a session is truncated; None for no limit.
        """
        ends = self.parameters["session_steps"][self.records["configuration"]]
        if limit is not None:
            ends = np.minimum(ends, limit)
        return int((ends - self.records["steps"]).min())

    def _parameters_of(self, config: MarketConfig) -> npt.NDArray[Any]:
        parameters = to_parameters(config)
        parameters["variance_reduction"] = self._variance_reduction
        unwinding_time = self._unwinding_time
        if unwinding_time is None:
            unwinding_time = UNWINDING * min(1.0, config.decision_interval)
        parameters["inventory_price"] = config.inventory_penalty * unwinding_time
        return parameters

    def recorded(self, market: int) -> Recorded:
        """Copies of the recorded fills and path of a market's current session.

        Args:
            market: index of the market.

        Raises:
            ValueError: if nothing is recorded, or the session had more rows than there is room for.
        """
        if self.path_rows.shape[1] == 0:
            raise ValueError(
                "nothing is recorded: expected an environment with room for fills, got record=0 "
                "(write record=1000)"
            )
        n_fills = int(self.records["n_fill_rows"][market])
        n_path = int(self.records["n_path_rows"][market])
        if n_fills > self.fill_rows.shape[1] or n_path > self.path_rows.shape[1]:
            needed = max(n_fills, -(-n_path // PATH_ROWS_PER_FILL))
            raise ValueError(
                f"the recorder is full: expected at most {self.fill_rows.shape[1]} fills and "
                f"{self.path_rows.shape[1]} path rows, got {n_fills} and {n_path} "
                f"(write record={needed} or more)"
            )
        return Recorded(
            self.fill_rows[market, :n_fills].copy(), self.path_rows[market, :n_path].copy()
        )

    def make_room(self, fill_rows: int, path_rows: int) -> None:
        """Give the recorder room for at least so many rows per market and session."""
        self.fill_rows = _with_room(self.fill_rows, fill_rows)
        self.path_rows = _with_room(self.path_rows, path_rows)

    def snapshot(self, attributes: dict[str, Any]) -> Snapshot:
        """A checkpoint.

        Args:
            attributes: attributes of the environment to keep with the markets. They are
                deep-copied.
        """
        recorded = (
            self.fill_rows[:, : int(self.records["n_fill_rows"].max())].copy(),
            self.path_rows[:, : int(self.records["n_path_rows"].max())].copy(),
        )
        return sealed(
            self.records.copy(), self.parameters.copy(), recorded, copy.deepcopy(attributes)
        )

    def restore(
        self, snapshot: Snapshot, kept: Mapping[str, type | tuple[type, ...]]
    ) -> dict[str, Any]:
        """Go back to a checkpoint. A refused snapshot changes nothing.

        Args:
            snapshot: what `snapshot` returned.
            kept: types of the attributes that the environment keeps with the markets, by name.

        Returns:
            A copy of these attributes.

        Raises:
            TypeError: if it is not a snapshot.
            SnapshotError: if it is a snapshot of other markets or of another kind of environment,
                or damaged.
        """
        events = (self._recording[0][0],) if self._recording else ()
        rooms = self.fill_rows, self.path_rows
        check_snapshot(snapshot, self.records, self.parameters[0], rooms, kept, *events)
        self.records[...] = snapshot.records
        self._table.restore(snapshot.parameters, snapshot.records["configuration"])
        for room, rows in zip((self.fill_rows, self.path_rows), snapshot.recorded, strict=True):
            room[:, : rows.shape[1]] = rows
        return copy.deepcopy(snapshot.attributes)


def _aligned(n: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array of `n` zero records that begins with a cache line."""
    room = np.zeros(n * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + n * dtype.itemsize].view(dtype)


def _with_room(rows: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """The array with at least `n` columns. New columns are zero."""
    if rows.shape[1] >= n:
        return rows
    larger = np.zeros((len(rows), n), rows.dtype)
    larger[:, : rows.shape[1]] = rows
    return larger
