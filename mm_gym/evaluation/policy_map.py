"""An agent's quotes as a function of its observation, over a grid of inventory and recent flow.

All other observation columns stay at their mean. `policy_profile` varies one quantity at a time.
"""

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
from mm_gym.parameters import market_column_unit

_MARKETS = 8
_MOST_STEPS = 1000
_STATES = 8  # recurrent states kept per market, evenly spaced over its session
_LARGEST_FLOW = 3.0  # [standard deviations of noise flow]
_FLOWS = 31
_MOST_INVENTORIES = 41
_LEAST_INVENTORY = 5  # [lots] smallest range of inventory shown

RecurrentState = Literal["none", "as in sessions", "as at the start of a session"]


@dataclass(frozen=True)
class PolicyMap:
    """Quotes over a grid of inventories and flows."""

    inventory: npt.NDArray[np.int64]
    """[lots] Shape (i,)."""
    flow: npt.NDArray[np.float64]
    """[standard deviations of noise flow] Bought minus sold by takers, shape (j,)."""
    bid_offset: npt.NDArray[np.float64]
    """[ticks] Below the public mid, shape (j, i)."""
    ask_offset: npt.NDArray[np.float64]
    """[ticks] Above the public mid, shape (j, i)."""
    observation: npt.NDArray[np.float32]
    """The values of the other columns, shape (columns,)."""
    n_observations: int
    """Number of observations of which `observation` is the mean."""
    deterministic: bool
    """Whether the agent gave the same quotes when queried twice."""
    recurrent_state: RecurrentState
    """The recurrent state with which the agent was queried.

    "as in sessions": the quotes are the mean over recurrent states from its own sessions."""
    flow_half_lives: str
    """The half-lives of the flow columns that vary, in words."""
    profiles: tuple[Profile, ...]
    """Over inventory, recent flow, time left and queue position, one at a time."""


def map_policy(
    agent: Predicts,
    config: MarketConfig,
    inventory: npt.ArrayLike | None = None,
    flow: npt.ArrayLike | None = None,
    seed: int = 0,
) -> PolicyMap:
    """Query an agent for its quotes on a grid of observations.

    The grid varies the inventory, and the medium and slow flow together. All other columns are at
    their mean over eight sessions of the agent in this market, of at most 1,000 decisions each.

    If the agent's recurrent state is an array with one row per market, the agent is queried with
    the states of 64 of these decisions, and its quotes are averaged. The average state would be a
    state that never occurs. An agent with a state of another kind is queried as at the start of a
    session.

    Args:
        agent: with stable-baselines3's `predict`.
        config: of the market.
        inventory: [lots] whole numbers, shape (i,). Default: those of the rollout, and at least
            from -5 to 5.
        flow: [standard deviations of noise flow] shape (j,). Default: from -3 to 3.
        seed: of the rollout.

    Raises:
        ValueError: if an inventory is beyond `max_inventory` or a flow beyond the bounds of the
            observation.
    """
    seen, quoted, recurrent_state, states = _observe(agent, config, seed)
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
    grid[:, :, FLOW_COLUMNS] = flows[:, None, None] * market_column_unit(config)
    rows = grid.reshape(-1, len(Obs))

    def query(observations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        n, each = len(observations), 1 if states is None else len(states)
        tiled = None if states is None else np.tile(states, (n, *(1,) * (states.ndim - 1)))
        starts = np.full(n * each, tiled is None)
        repeated = np.repeat(observations.astype(np.float32), each, axis=0)
        actions, _ = agent.predict(repeated, state=tiled, episode_start=starts, deterministic=True)
        return np.asarray(to_ticks(actions, config.max_offset).reshape(n, each, 2).mean(axis=1))

    offsets = query(rows)
    bid_offset, ask_offset = np.moveaxis(offsets.reshape(len(flows), len(lots_held), 2), -1, 0)
    return PolicyMap(
        lots_held,
        flows,
        bid_offset,
        ask_offset,
        typical.astype(np.float32),
        len(seen),
        deterministic=bool(np.array_equal(offsets, query(rows))),
        recurrent_state=recurrent_state,
        flow_half_lives=" and ".join(
            f"{config.feature_half_lives[column - Obs.FLOW_FAST]:g} s" for column in FLOW_COLUMNS
        ),
        profiles=profiles(query, seen, quoted, config),
    )


def _check(
    inventory: npt.NDArray[np.int64], flow: npt.NDArray[np.float64], config: MarketConfig
) -> None:
    if np.abs(inventory).max() > config.max_inventory:
        raise ValueError(
            f"inventory is out of range: expected at most max_inventory={config.max_inventory} "
            f"lots either way, got {np.abs(inventory).max()}"
        )
    most = OBSERVATION_BOUNDS[Obs.FLOW_SLOW][1] / market_column_unit(config)
    if np.abs(flow).max() > most:
        raise ValueError(
            f"flow is out of range: expected at most {most:g} standard deviations either way, "
            f"got {np.abs(flow).max():g}"
        )


def _observe(
    agent: Predicts, config: MarketConfig, seed: int
) -> tuple[
    npt.NDArray[np.float64], npt.NDArray[np.float64], RecurrentState, npt.NDArray[Any] | None
]:
    """Run the agent's own sessions.

    Returns:
        The observations, shape (decisions, columns). The offsets quoted on them [ticks], shape
        (decisions, 2). The recurrent state to query the agent with, and the states themselves if
        they are arrays with one row per market.
    """
    markets = Markets(config, _MARKETS)
    observations, _ = markets.start(seeding.np_random(seed + i)[0] for i in range(_MARKETS))
    seen, quoted, states = [observations], [], []
    more = min(config.session_steps, _MOST_STEPS) - 1
    kept = set(np.rint(np.linspace(0, more - 1, _STATES)))
    state, starts = None, np.ones(_MARKETS, dtype=np.bool_)
    for step in range(more):
        actions, state = agent.predict(
            observations, state=state, episode_start=starts, deterministic=True
        )
        quoted.append(to_ticks(actions, config.max_offset))
        if step in kept and _has_rows(state):
            states.append(state)
        observations, _ = markets.step(np.ascontiguousarray(actions, dtype=np.float32))
        seen.append(observations)
        starts = np.zeros(_MARKETS, dtype=np.bool_)
    actions, _ = agent.predict(observations, state=state, episode_start=starts, deterministic=True)
    quoted.append(to_ticks(actions, config.max_offset))
    observed = np.concatenate(seen).astype(np.float64), np.concatenate(quoted)
    if states:
        return *observed, "as in sessions", np.concatenate(states)
    return *observed, "none" if state is None else "as at the start of a session", None


def _has_rows(state: Any) -> TypeGuard[npt.NDArray[Any]]:
    """Whether a state is an array with one row per market."""
    return isinstance(state, np.ndarray) and state.shape[:1] == (_MARKETS,)
