"""Let an agent quote through whole sessions, and keep the records of what happened.

The seeds of the sessions follow from one seed, whatever the agent: agents are compared on the same
prices and the same arrivals (common random numbers). Different seeds share no session.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeGuard

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from joblib import Parallel, delayed

from mm_gym.actions import to_offsets, to_ticks
from mm_gym.config import MarketConfig
from mm_gym.core.layout import FILL_ROW, Outcome
from mm_gym.markets import Markets
from mm_gym.parameters import to_parameters

PRIVILEGED_MARK = " (shown the signal)"  # what tables add to the name of an agent that cheats
HORIZONS = (1.0, 5.0, 20.0, 50.0, 100.0)  # [s]
SESSIONS_AT_ONCE = 64
_PATH_POINTS = 200  # points kept of each session's PnL and inventory, for pictures
_MIDDLE = 1  # the half-life that flow and activity share
_FIRST_FILLS = 1024  # rows for fills, to begin with
_FIRST_ROOM = 1.2  # rows of the recorder per expected event; too little is found out and mended


class Predicts(Protocol):
    """Stable-baselines3's `predict`, batched."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]: ...


class Privileged(Predicts, Protocol):
    """An agent that says so (`privileged = True`) is shown the truth in place of `predict`; no other
    agent is."""

    privileged: bool

    def predict_knowing(self, observations: Any, signal: Any, gap: Any) -> Any:
        """Actions, given the signal and V - mid [ticks] as well; shape (n,) each."""
        ...


def is_privileged(agent: Predicts) -> TypeGuard[Privileged]:
    """Whether an agent asks to be shown the truth."""
    return bool(getattr(agent, "privileged", False))


def shown_name(name: str, agent: Predicts) -> str:
    """The name of an agent as tables have it: one that cheats is marked."""
    return f"{name}{PRIVILEGED_MARK}" if is_privileged(agent) else name


@dataclass(frozen=True)
class Sessions:
    """What one agent did in n sessions of one configuration. Money in ticks x lots, prices in
    ticks.

    Arrays of shape (n,) have a figure per session, those of shape (f,) one per fill, those of shape
    (f, h) one per fill and horizon (NaN where the horizon passes the close), those of shape (n, p)
    one per session and point in time.
    """

    config: MarketConfig
    horizons: tuple[float, ...]
    seeds: npt.NDArray[np.int64]
    """Session i is `reset(seed=seeds[i])`."""
    final_pnl: npt.NDArray[np.float64]
    objective: npt.NDArray[np.float64]
    control_variate: npt.NDArray[np.float64]
    """Inventory times the moves of `MarketConfig.foreseen_price` between decisions: most of what
    sessions differ by, and zero on average whatever is quoted. Zero in each session where the book
    alone makes the price (`zero_intelligence`): nobody knows what it is worth there."""
    spread_pnl: npt.NDArray[np.float64]
    inventory_pnl: npt.NDArray[np.float64]
    fees: npt.NDArray[np.float64]
    close_out: npt.NDArray[np.float64]
    n_fills: npt.NDArray[np.int64]
    final_mid: npt.NDArray[np.float64]
    mean_inventory: npt.NDArray[np.float64]
    mean_abs_inventory: npt.NDArray[np.float64]
    max_abs_inventory: npt.NDArray[np.int64]
    quoted_spread: npt.NDArray[np.float64]
    """[ticks] Mean distance of the ask the agent asked for from its bid."""
    share_at_touch: npt.NDArray[np.float64]
    """Share of time in which nobody quoted better than the agent, mean of both sides."""
    fill_ratio: npt.NDArray[np.float64]
    """Lots traded / lots of all orders entered."""
    fills: npt.NDArray[Any]
    """Rows of `layout.FILL_ROW`, shape (f,), session by session."""
    fill_session: npt.NDArray[np.int64]
    """The session of each fill, shape (f,)."""
    later_mid: npt.NDArray[np.float64]
    """The public mid a horizon after each fill, shape (f, h)."""
    later_value: npt.NDArray[np.float64]
    """The efficient price a horizon after each fill, shape (f, h)."""
    path_times: npt.NDArray[np.float64]
    """[s] Shape (p,)."""
    net_flow: npt.NDArray[np.float64]
    """[lots] Bought minus sold by takers, from anybody, between decisions; shape (n, steps)."""
    volume: npt.NDArray[np.float64]
    """[lots] Taken between decisions; shape (n, steps)."""
    inventory: npt.NDArray[np.float64]
    """[lots] After each decision interval; shape (n, steps)."""
    pnl_path: npt.NDArray[np.float64]
    inventory_path: npt.NDArray[np.float64]
    mid_path: npt.NDArray[np.float64]
    value_path: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.final_pnl)

    @property
    def variance_reduced_objective(self) -> npt.NDArray[np.float64]:
        """The objective less the control_variate, shape (n,): of the same mean, with a fraction of its
        standard error (a control variate). What a maker earned in a session is `objective`; this
        tells sooner which of two makers is better."""
        return self.objective - self.control_variate


@dataclass(frozen=True)
class Cell:
    """One agent in one market: a cell of an evaluation."""

    agent: str
    """Its name in tables."""
    make_agent: Callable[[MarketConfig], Predicts]
    """Makes a fresh one; has to pickle when sessions fan out over processes."""
    config: MarketConfig


def run_sessions(
    make_agent: Callable[[MarketConfig], Predicts],
    config: MarketConfig,
    episodes: int = 256,
    seed: int = 0,
    horizons: tuple[float, ...] = HORIZONS,
) -> Sessions:
    """Run one agent through sessions; see `run_cells`."""
    return run_cells([Cell("", make_agent, config)], episodes, seed, horizons=horizons)[0]


def run_cells(
    cells: Sequence[Cell],
    episodes: int = 256,
    seed: int = 0,
    jobs: int | None = None,
    horizons: tuple[float, ...] = HORIZONS,
    on_batch: Callable[[int], None] | None = None,
) -> list[Sessions]:
    """Run each cell through the same sessions, those of `session_seeds(seed, episodes)`.

    Args:
        cells: agents in markets.
        episodes: number of sessions of each.
        seed: of the whole evaluation.
        jobs: processes to fan out over; None leaves it to `joblib.parallel_config`, so that a user
            can choose the ray or dask backend, and is one process without it.
        horizons: [s] at which prices after each fill are looked up.
        on_batch: called with the number of sessions done after each batch, to show progress.

    Returns:
        The sessions of each cell, in order. They do not depend on `jobs`.

    Raises:
        ValueError: for a number of episodes below 1 or a negative seed.
    """
    if episodes < 1:
        raise ValueError(
            f"episodes={episodes} came, at least one session was wanted; write episodes=1 or more"
        )
    if jobs == 0:
        raise ValueError(
            "jobs=0 came, at least one process is wanted; write jobs=1 or more, or -1 for all cores"
        )
    if seed < 0:
        raise ValueError(f"seed={seed} came; write a whole number from 0 up")
    seeds = session_seeds(seed, episodes)
    batches = [
        seeds[first : first + SESSIONS_AT_ONCE] for first in range(0, episodes, SESSIONS_AT_ONCE)
    ]
    done = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_run_batch)(cell.make_agent, cell.config, batch, horizons)
        for cell in cells
        for batch in batches
    )
    collected: list[list[Sessions]] = [[] for _ in cells]
    for index, sessions in enumerate(done):
        collected[index // len(batches)].append(sessions)
        if on_batch is not None:
            on_batch(len(sessions))
    return [concatenate(parts) for parts in collected]


def session_seeds(seed: int, episodes: int) -> npt.NDArray[np.int64]:
    """The seeds of an evaluation's sessions: the first `episodes` of a sequence of their own for
    each seed."""
    return np.random.SeedSequence(seed).generate_state(episodes).astype(np.int64)


def concatenate(batches: list[Sessions]) -> Sessions:
    """Put batches of sessions of one configuration together, in order."""
    joined: dict[str, Any] = {}
    first_session = np.cumsum([0] + [len(batch) for batch in batches])
    for field in fields(Sessions):
        parts = [getattr(batch, field.name) for batch in batches]
        if field.name in ("config", "horizons", "path_times"):
            joined[field.name] = parts[0]
        elif field.name == "fill_session":
            joined[field.name] = np.concatenate(
                [part + start for part, start in zip(parts, first_session, strict=False)]
            )
        else:
            joined[field.name] = np.concatenate(parts)
    return Sessions(**joined)


def _run_batch(
    make_agent: Callable[[MarketConfig], Predicts],
    config: MarketConfig,
    seeds: npt.NDArray[np.int64],
    horizons: tuple[float, ...],
) -> Sessions:
    """One batch; if the recorder's room was too small, once more with room for what was counted."""
    makers = 2.0 * float(to_parameters(config)["maker_rate"]) if config.makers != "none" else 0.0
    events = config.session_length * (config.taker_rate + makers + 1.0 / config.value_interval)
    fill_room, path_room = _FIRST_FILLS, int(_FIRST_ROOM * events) + 256
    while True:
        markets = Markets(config, len(seeds), fill_room, path_room)
        walk = _walk(make_agent(config), markets, config, seeds)
        most_fills = int(markets.records["n_fill_rows"].max())
        most_path = int(markets.records["n_path_rows"].max())
        if most_fills <= fill_room and most_path <= path_room:
            return _collect(markets, config, seeds, horizons, walk)
        fill_room, path_room = max(fill_room, most_fills), max(path_room, most_path)


@dataclass(frozen=True)
class _Walk:
    """What is noted at decisions, a row each: shape (steps + 1, n), and (steps, n) for what lies
    between them."""

    pnl: npt.NDArray[np.float64]
    inventory: npt.NDArray[np.float64]
    mid: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    signal: npt.NDArray[np.float64]
    quoted_spread: npt.NDArray[np.float64]
    net_flow: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]


def _walk(
    agent: Predicts, markets: Markets, config: MarketConfig, seeds: npt.NDArray[np.int64]
) -> _Walk:
    n, steps = len(markets), config.session_steps
    observations, outcomes = markets.empty_results()
    markets.reset(
        np.arange(n), [seeding.np_random(int(seed))[0] for seed in seeds], observations, outcomes
    )
    columns = [Outcome.PNL, Outcome.INVENTORY, Outcome.MID, Outcome.EFFICIENT_PRICE, Outcome.SIGNAL]
    noted = np.empty((len(columns), steps + 1, n))
    noted[:, 0] = outcomes[:, columns].T
    between = np.empty((3, steps, n))
    state = None
    starts = np.ones(n, dtype=np.bool_)
    for step in range(steps):
        if is_privileged(agent):
            gap = outcomes[:, Outcome.EFFICIENT_PRICE] - outcomes[:, Outcome.MID]
            actions = agent.predict_knowing(observations, outcomes[:, Outcome.SIGNAL], gap)
        else:
            actions, state = agent.predict(
                observations, state=state, episode_start=starts, deterministic=True
            )
        before = _tape(markets)
        observations, outcomes = markets.step(to_offsets("offsets", actions, n))
        noted[:, step + 1] = outcomes[:, columns].T
        between[0, step] = to_ticks(actions, config.max_offset).sum(axis=1)
        between[1:, step] = np.rint(_tape(markets) - before * _tape_decay(markets))
        starts[:] = False
    return _Walk(*noted, *between)


def _tape(markets: Markets) -> npt.NDArray[np.float64]:
    """The running net flow and volume from which an interval's own are the innovation; shape (2,
    n)."""
    features = markets.records["features"]
    return np.stack([features["flow"][:, _MIDDLE], features["activity"]])


def _tape_decay(markets: Markets) -> float:
    return float(markets.records["parameters"]["feature_decay"][0, _MIDDLE])


def _collect(
    markets: Markets,
    config: MarketConfig,
    seeds: npt.NDArray[np.int64],
    horizons: tuple[float, ...],
    walk: _Walk,
) -> Sessions:
    account, quotes = markets.records["account"], markets.records["quotes"]
    n_fills = markets.records["n_fill_rows"].copy()
    _check_identity(walk.pnl[-1], account)
    squares = (walk.inventory[1:] ** 2).sum(axis=0)
    points = np.unique(np.linspace(0, config.session_steps, _PATH_POINTS).astype(int))
    fills, later_mid, later_value = [], [], []
    for session in range(len(markets)):
        rows = markets.fill_rows[session, : n_fills[session]]
        path = markets.path_rows[session, : markets.records["n_path_rows"][session]]
        later = rows["time"][:, None] + np.asarray(horizons)
        # The last row not after that time: what held then.
        found = np.searchsorted(path["time"], later, side="right") - 1
        within = later <= config.session_length
        later_mid.append(np.where(within, path["mid"][found], np.nan))
        later_value.append(np.where(within, path["efficient_price"][found], np.nan))
        fills.append(rows.copy())
    empty = np.empty(0, dtype=FILL_ROW)
    return Sessions(
        config=config,
        horizons=tuple(horizons),
        seeds=seeds,
        final_pnl=walk.pnl[-1].copy(),
        objective=walk.pnl[-1] - config.inventory_penalty * config.decision_interval * squares,
        control_variate=_control_variate(config, walk),
        spread_pnl=account["spread_pnl"].copy(),
        inventory_pnl=account["inventory_pnl"].copy(),
        fees=account["fees"].copy(),
        close_out=account["close_out"].copy(),
        n_fills=n_fills,
        final_mid=walk.mid[-1].copy(),
        mean_inventory=walk.inventory[1:].mean(axis=0),
        mean_abs_inventory=np.abs(walk.inventory[1:]).mean(axis=0),
        max_abs_inventory=np.abs(walk.inventory).max(axis=0).astype(np.int64),
        quoted_spread=walk.quoted_spread.mean(axis=0),
        share_at_touch=quotes["time_at_touch"].mean(axis=1) / config.session_length,
        fill_ratio=account["n_lots"] / np.maximum(1, quotes["entered_lots"]),
        fills=np.concatenate([empty, *fills]),
        fill_session=np.repeat(np.arange(len(markets)), n_fills),
        later_mid=np.concatenate(later_mid),
        later_value=np.concatenate(later_value),
        path_times=points * config.decision_interval,
        net_flow=walk.net_flow.T.copy(),
        volume=walk.volume.T.copy(),
        inventory=walk.inventory[1:].T.copy(),
        pnl_path=walk.pnl[points].T.copy(),
        inventory_path=walk.inventory[points].T.copy(),
        mid_path=walk.mid[points].T.copy(),
        value_path=walk.value[points].T.copy(),
    )


def _control_variate(config: MarketConfig, walk: _Walk) -> npt.NDArray[np.float64]:
    if config.makers == "zero_intelligence":
        return np.zeros(walk.pnl.shape[1])
    moves = np.diff(config.foreseen_price(walk.value, walk.signal), axis=0)
    control_variate: npt.NDArray[np.float64] = (walk.inventory[:-1] * moves).sum(axis=0)
    return control_variate


def _check_identity(final_pnl: npt.NDArray[np.float64], account: npt.NDArray[Any]) -> None:
    """Final PnL = spread captured + inventory PnL - fees - close-out, in every session.

    Raises:
        AssertionError: if it is not: then the account is wrong, and so would every figure be.
    """
    parts = (
        account["spread_pnl"] + account["inventory_pnl"] - account["fees"] - account["close_out"]
    )
    # Far below a tick; prices off the tick grid (the dealer's mid, fractional fees) leave rounding
    # errors.
    allowed = 1e-9 * (
        1.0
        + np.abs(account["cash"])
        + np.abs(account["spread_pnl"])
        + np.abs(account["inventory_pnl"])
    )
    gap = np.abs(final_pnl - parts)
    if (gap > allowed).any():
        session = int(np.argmax(gap - allowed))
        raise AssertionError(
            f"session {session} of a batch ended with a PnL of {final_pnl[session]}, but its parts sum to "
            f"{parts[session]}: the account is wrong; please report it with the configuration and the seed"
        )
