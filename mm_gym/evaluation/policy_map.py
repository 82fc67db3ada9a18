"""An agent's quotes as a function of what it observes, everything else being as usual: over
inventory and recent flow together, and over one thing at a time."""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from mm_gym import observations as columns
from mm_gym.actions import to_ticks
from mm_gym.config import MarketConfig
from mm_gym.core.layout import OBSERVATION_BOUNDS, Obs
from mm_gym.evaluation.policy_profile import FLOW_COLUMNS, Profile, profiles
from mm_gym.evaluation.rollout import Predicts
from mm_gym.markets import Markets

_MARKETS = 8
_MOST_STEPS = 1000
_MEMORIES = 8  # of each market, evenly spread over its session
_LARGEST_FLOW = 3.0  # [standard deviations of noise flow]
_FLOWS = 31
_MOST_INVENTORIES = 41
_LEAST_INVENTORY = 5  # [lots] the range shown, at the least


Memory = Literal["none", "as in sessions", "as at the start of a session"]


@dataclass(frozen=True)
class PolicyMap:
    """Quotes over a grid of inventories and flows."""

    inventory: npt.NDArray[np.int64]
    """[lots] Shape (i,)."""
    flow: npt.NDArray[np.float64]
    """[standard deviations of noise flow] Bought less sold by takers, shape (j,)."""
    bid_offset: npt.NDArray[np.float64]
    """[ticks] Below the public mid, shape (j, i)."""
    ask_offset: npt.NDArray[np.float64]
    """[ticks] Above the public mid, shape (j, i)."""
    observation: npt.NDArray[np.float32]
    """What the other columns were held at, shape (columns,)."""
    n_observations: int
    """How many observations that is the mean of."""
    repeatable: bool
    """Whether the agent, asked again, said the same."""
    memory: Memory
    """What the agent was given of it when asked; with memories of many decisions it said the mean
    of its answers."""
    flow_half_lives: str
    """The half-lives over which that flow was seen, in words."""
    profiles: tuple[Profile, ...]
    """Over inventory, recent flow, time left and the place in the queue, one at a time."""


def map_policy(
    agent: Predicts,
    config: MarketConfig,
    inventory: npt.ArrayLike | None = None,
    flow: npt.ArrayLike | None = None,
    seed: int = 0,
) -> PolicyMap:
    """Ask an agent for its quotes on a grid of observations.

    The grid varies the inventory, and the medium and the slow flow together. All other columns are
    at their mean over eight sessions of the agent in this market, or their first thousand
    decisions. If it has a memory that is an array with a row a market, it is asked with those of 64
    of these decisions, and the mean of its answers taken (at the mean of memories it would answer
    what it never has to). With a state of any other kind it is asked as at the start of a session.

    Args:
        agent: with stable-baselines3's `predict`.
        config: of the market.
        inventory: [lots] whole numbers, shape (i,); by default those that the rollout saw, at least
            5 either way.
        flow: [standard deviations of noise flow] shape (j,); by default from -3 to 3.
        seed: of the rollout.

    Raises:
        ValueError: for an inventory beyond `max_inventory` or a flow beyond what an observation can
            show.
    """
    seen, quoted, memory, memories = _observe(agent, config, seed)
    typical = seen.mean(axis=0)
    if inventory is None:
        lots = np.abs(columns.inventory(seen)).max()
        most = min(config.max_inventory, max(_LEAST_INVENTORY, round(float(lots))))
        stride = max(1, math.ceil((2 * most + 1) / _MOST_INVENTORIES))
        inventory = np.arange(-(most // stride), most // stride + 1) * stride
    lots_held = np.asarray(inventory, dtype=np.int64)
    flows = (
        np.linspace(-_LARGEST_FLOW, _LARGEST_FLOW, _FLOWS)
        if flow is None
        else np.asarray(flow, dtype=np.float64)
    )
    _check(lots_held, flows, config)
    grid = np.tile(typical, (len(flows), len(lots_held), 1))
    grid[:, :, Obs.INVENTORY] = columns.inventory_column(lots_held)
    grid[:, :, FLOW_COLUMNS] = flows[:, None, None]
    rows = grid.reshape(-1, len(Obs))

    def ask(observations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        n, each = len(observations), 1 if memories is None else len(memories)
        held = None if memories is None else np.tile(memories, (n, *(1,) * (memories.ndim - 1)))
        starts = np.full(n * each, held is None)
        shown = np.repeat(observations.astype(np.float32), each, axis=0)
        actions, _ = agent.predict(shown, state=held, episode_start=starts, deterministic=True)
        return np.asarray(to_ticks(actions, config.max_offset).reshape(n, each, 2).mean(axis=1))

    offsets = ask(rows)
    bid_offset, ask_offset = np.moveaxis(offsets.reshape(len(flows), len(lots_held), 2), -1, 0)
    return PolicyMap(
        lots_held,
        flows,
        bid_offset,
        ask_offset,
        typical.astype(np.float32),
        len(seen),
        memory=memory,
        repeatable=bool(np.array_equal(offsets, ask(rows))),
        flow_half_lives=" and ".join(
            f"{config.feature_half_lives[column - Obs.FLOW_FAST]:g} s" for column in FLOW_COLUMNS
        ),
        profiles=profiles(ask, seen, quoted, config),
    )


def _check(
    inventory: npt.NDArray[np.int64], flow: npt.NDArray[np.float64], config: MarketConfig
) -> None:
    if np.abs(inventory).max() > config.max_inventory:
        raise ValueError(
            f"inventory goes to {np.abs(inventory).max()} lots, at most max_inventory={config.max_inventory} were "
            "wanted; write a smaller range"
        )
    most = OBSERVATION_BOUNDS[Obs.FLOW_SLOW][1]
    if np.abs(flow).max() > most:
        raise ValueError(
            f"flow goes to {np.abs(flow).max():g} standard deviations, an observation shows at most {most:g}; write a "
            "smaller range"
        )


def _observe(
    agent: Predicts, config: MarketConfig, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Memory, npt.NDArray[Any] | None]:
    """Observations of the agent's own sessions, shape (decisions, columns), the offsets that it
    quoted on them, shape (decisions, 2), how it is to be asked for more, and the memories for that,
    if it has any with a row a market."""
    markets = Markets(config, _MARKETS)
    observations, outcomes = markets.empty_results()
    generators = [seeding.np_random(seed + market)[0] for market in range(_MARKETS)]
    markets.reset(np.arange(_MARKETS), generators, observations, outcomes)
    seen, quoted, memories = [observations], [], []
    more = min(config.session_steps, _MOST_STEPS) - 1
    remembered = set(np.rint(np.linspace(0, more - 1, _MEMORIES)))
    state, starts = None, np.ones(_MARKETS, dtype=np.bool_)
    for step in range(more):
        actions, state = agent.predict(
            observations, state=state, episode_start=starts, deterministic=True
        )
        quoted.append(to_ticks(actions, config.max_offset))
        if step in remembered and _has_rows(state):
            memories.append(state)
        observations, _ = markets.step(np.ascontiguousarray(actions, dtype=np.float32))
        seen.append(observations)
        starts = np.zeros(_MARKETS, dtype=np.bool_)
    actions, _ = agent.predict(observations, state=state, episode_start=starts, deterministic=True)
    quoted.append(to_ticks(actions, config.max_offset))
    observed = np.concatenate(seen).astype(np.float64), np.concatenate(quoted)
    if memories:
        return *observed, "as in sessions", np.concatenate(memories)
    return *observed, "none" if state is None else "as at the start of a session", None


def _has_rows(state: Any) -> TypeGuard[npt.NDArray[Any]]:
    """Whether a state is an array with a row a market."""
    return isinstance(state, np.ndarray) and state.shape[:1] == (_MARKETS,)
