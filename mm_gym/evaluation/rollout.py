"""Run an agent through whole sessions and record what happened.

One seed determines the seeds of all sessions, independently of the agent. So agents are compared on
the same prices and the same arrivals (common random numbers). Different seeds share no session.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeGuard

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from mm_gym.actions import decided_offsets, to_ticks
from mm_gym.argument_checks import check_count
from mm_gym.config import MarketConfig
from mm_gym.core.layout import FILL_ROW, Outcome
from mm_gym.evaluation.sessions import Sessions, concatenate
from mm_gym.markets import Markets
from mm_gym.memory import check_memory
from mm_gym.recorded_fills import HORIZONS, Recorded, recorder_room

PRIVILEGED_MARK = " (shown the signal)"  # tables add it to the name of a privileged agent
SESSIONS_AT_ONCE = 64
MOST_PROCESSES = 1024
_BYTES_PER_DECISION = 24  # three arrays of the results
_PATH_POINTS = 200  # points kept of each session's paths, for pictures
_MIDDLE = 1  # index of the half-life that the flow and activity features share


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
    """An agent with privileged information: `predict_knowing` is called instead of `predict`."""

    privileged: bool

    def predict_knowing(self, observations: Any, signal: Any, gap: Any) -> Any:
        """Actions from observations and privileged information.

        Args:
            observations: shape (n, columns).
            signal: shape (n,).
            gap: [ticks] efficient price minus public mid, shape (n,).
        """
        ...


def is_privileged(agent: Predicts) -> TypeGuard[Privileged]:
    """Whether an agent declares that it uses privileged information."""
    return bool(getattr(agent, "privileged", False))


def shown_name(name: str, agent: Predicts) -> str:
    """The name of an agent in tables; a privileged agent is marked."""
    return f"{name}{PRIVILEGED_MARK}" if is_privileged(agent) else name


@dataclass(frozen=True)
class Cell:
    """One agent in one market: a cell of an evaluation."""

    agent: str
    """Its name in tables."""
    make_agent: Callable[[MarketConfig], Predicts]
    """Makes a new agent. It has to be picklable if `jobs` is not 1."""
    config: MarketConfig


def run_sessions(
    make_agent: Callable[[MarketConfig], Predicts],
    config: MarketConfig,
    episodes: int = 256,
    seed: int = 0,
    horizons: tuple[float, ...] = HORIZONS,
) -> Sessions:
    """Run one agent in one market; see `run_cells`."""
    return run_cells([Cell("", make_agent, config)], episodes, seed, horizons=horizons)[0]


def run_cells(
    cells: Sequence[Cell],
    episodes: int = 256,
    seed: int = 0,
    jobs: int | None = None,
    horizons: tuple[float, ...] = HORIZONS,
    on_batch: Callable[[int], None] | None = None,
) -> list[Sessions]:
    """Run each cell through the same sessions, with the seeds `session_seeds(seed, episodes)`.

    Args:
        cells: agents in markets.
        episodes: number of sessions per cell.
        seed: of the whole evaluation.
        jobs: number of processes, -1 for one per core. None uses `joblib.parallel_config`, which
            can select the ray or dask backend; without it None means one process.
        horizons: [s] after each fill at which prices are looked up.
        on_batch: called after each batch with its number of sessions, to show progress.

    Returns:
        The sessions of each cell, in order. They do not depend on `jobs`.

    Raises:
        ValueError: if `episodes` is below 1, `jobs` is 0, `seed` is negative, or an agent is no
            function that makes one.
    """
    for cell in cells:
        if not callable(cell.make_agent):
            raise ValueError(
                "the agent is not callable: expected a class or a function that makes it from a "
                f"configuration, got {type(cell.make_agent).__name__} (write lambda config: agent)"
            )
    check_count("episodes", episodes)
    if jobs is not None and jobs > MOST_PROCESSES:
        raise ValueError(
            f"jobs={jobs} is out of range: expected at most {MOST_PROCESSES} processes, got {jobs}"
        )
    decisions = episodes * sum(cell.config.session_steps for cell in cells)
    check_memory(_BYTES_PER_DECISION * decisions, f"the results of {episodes:,} sessions")
    if jobs == 0:
        raise ValueError(
            "jobs=0 is out of range: expected a number of processes, at least 1, or -1 for all "
            "cores, got 0"
        )
    seeds = session_seeds(seed, episodes)
    batches = [
        seeds[first : first + SESSIONS_AT_ONCE] for first in range(0, episodes, SESSIONS_AT_ONCE)
    ]
    done = results_in_order(
        jobs,
        (
            delayed(_run_batch)(cell.make_agent, cell.config, batch, horizons)
            for cell in cells
            for batch in batches
        ),
    )
    collected: list[list[Sessions]] = [[] for _ in cells]
    for index, sessions in enumerate(done):
        collected[index // len(batches)].append(sessions)
        if on_batch is not None:
            on_batch(len(sessions))
    return [concatenate(parts) for parts in collected]


def results_in_order(jobs: int | None, tasks: Iterator[Any]) -> Iterator[Any]:
    """Run joblib's delayed tasks, and yield their results in order, each soon after it is ready.

    Args:
        jobs: see `run_cells`.
        tasks: calls of `joblib.delayed` functions.
    """
    backend, _ = get_active_backend()
    if jobs == 1:
        yield from Parallel(1, "sequential", return_as="generator")(tasks)
    elif backend.supports_return_generator:
        yield from Parallel(jobs, return_as="generator")(tasks)
    else:  # Ray. Its processes are kept between the lists.
        with Parallel(jobs) as run:
            while some := list(islice(tasks, 4 * effective_n_jobs(jobs))):
                yield from run(some)


def session_seeds(seed: int, episodes: int) -> npt.NDArray[np.int64]:
    """The seeds of an evaluation's sessions: the first `episodes` numbers of a random sequence.

    Raises:
        ValueError: if the seed is negative.
    """
    check_count("seed", seed, least=0)
    return np.random.SeedSequence(seed).generate_state(episodes).astype(np.int64)


def _run_batch(
    make_agent: Callable[[MarketConfig], Predicts],
    config: MarketConfig,
    seeds: npt.NDArray[np.int64],
    horizons: tuple[float, ...],
) -> Sessions:
    """Run one batch. If the recorder was too small, run it again with the rows it needs."""
    fill_room, path_room = recorder_room(config)
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
    """What was recorded at the decisions of n sessions."""

    # At reset and after each decision interval, shape (steps + 1, n).
    pnl: npt.NDArray[np.float64]
    inventory: npt.NDArray[np.float64]
    mid: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    signal: npt.NDArray[np.float64]
    # Per decision interval, shape (steps, n).
    quoted_spread: npt.NDArray[np.float64]
    net_flow: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]


def _walk(
    agent: Predicts, markets: Markets, config: MarketConfig, seeds: npt.NDArray[np.int64]
) -> _Walk:
    n, steps = len(markets), config.session_steps
    observations, outcomes = markets.start(seeding.np_random(int(seed))[0] for seed in seeds)
    columns = [Outcome.PNL, Outcome.INVENTORY, Outcome.MID, Outcome.EFFICIENT_PRICE, Outcome.SIGNAL]
    recorded = np.empty((len(columns), steps + 1, n))
    recorded[:, 0] = outcomes[:, columns].T
    between = np.empty((3, steps, n))
    act = decider(agent, n)
    for step in range(steps):
        actions = act(observations, outcomes)
        before = _running_flow(markets)
        observations, outcomes = markets.step(decided_offsets(actions, n))
        recorded[:, step + 1] = outcomes[:, columns].T
        between[0, step] = to_ticks(np.asarray(actions)[:, :2], config.max_offset).sum(axis=1)
        between[1:, step] = _running_flow(markets) - before * _flow_decay(markets)
    if config.makers != "recorded":  # recorded sizes are no whole lots
        between[1:] = np.rint(between[1:])
    return _Walk(*recorded, *between)


def decider(
    agent: Predicts, n: int
) -> Callable[[npt.NDArray[np.float32], npt.NDArray[np.float64]], Any]:
    """A function that makes an agent's decisions in one session of each of `n` markets.

    It keeps the recurrent state and shows a privileged agent the hidden state. It is called with
    observations and outcomes, one row per market, and returns actions.
    """
    state: Any = None
    starts = np.ones(n, dtype=np.bool_)

    def act(observations: npt.NDArray[np.float32], outcomes: npt.NDArray[np.float64]) -> Any:
        nonlocal state, starts
        if is_privileged(agent):
            gap = outcomes[:, Outcome.EFFICIENT_PRICE] - outcomes[:, Outcome.MID]
            return agent.predict_knowing(observations, outcomes[:, Outcome.SIGNAL], gap)
        actions, state = agent.predict(
            observations, state=state, episode_start=starts, deterministic=True
        )
        starts = np.zeros(n, dtype=np.bool_)
        return actions

    return act


def _running_flow(markets: Markets) -> npt.NDArray[np.float64]:
    """The exponentially weighted net flow and volume of each market, shape (2, n).

    An interval's own flow is the new value less the decayed old one.
    """
    features = markets.records["features"]
    return np.stack([features["flow"][:, _MIDDLE], features["activity"]])


def _flow_decay(markets: Markets) -> float:
    return float(markets.parameters["feature_decay"][0, _MIDDLE])


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
        mid, value = Recorded(rows, path).later_prices(config.session_length, horizons)
        later_mid.append(mid)
        later_value.append(value)
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
        lots_taken=account["lots_taken"].copy(),
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
    if config.makers in ("zero_intelligence", "recorded"):
        return np.zeros(walk.pnl.shape[1])
    moves = np.diff(config.foreseen_price(walk.value, walk.signal), axis=0)
    control_variate: npt.NDArray[np.float64] = (walk.inventory[:-1] * moves).sum(axis=0)
    return control_variate


def _check_identity(final_pnl: npt.NDArray[np.float64], account: npt.NDArray[Any]) -> None:
    """Check that final PnL = spread captured + inventory PnL - fees - close-out, in every session.

    Raises:
        AssertionError: if a session violates the identity, because its figures are then wrong.
    """
    parts = (
        account["spread_pnl"] + account["inventory_pnl"] - account["fees"] - account["close_out"]
    )
    # Prices off the tick grid (the dealer's mid, fractional fees) leave rounding errors far below
    # a tick.
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
            f"the account of session {session} of a batch is wrong: expected a final PnL of "
            f"{parts[session]}, the sum of its parts, got {final_pnl[session]} (please report the "
            "configuration and the seed)"
        )
