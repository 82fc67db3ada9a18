"""Recording a session of one market, decision by decision.

`record` wraps an environment. `Recorder` records a market without one.
"""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from mm_gym.config import MarketConfig
from mm_gym.core.layout import NO_ORDER, Outcome
from mm_gym.markets import Markets
from mm_gym.recorded_fills import recorder_room
from mm_gym.rendering.recording import DECISION, FILL, LEVELS, PATH, TRADE, Recording

_OUTCOMES = {
    name: Outcome[name.upper()]
    for name in DECISION.names or ()
    if name.upper() in Outcome.__members__
}
_PARTS = ("spread_pnl", "inventory_pnl", "fees", "close_out")


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
