"""Dealer markets in the units of a paper, and many sessions of an agent in them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agents import Agent
from mm_gym import MarketConfig, configure
from mm_gym.actions import to_offsets
from mm_gym.core.layout import Outcome
from mm_gym.evaluation.rollout import decider
from mm_gym.markets import Markets

TICKS = 10_000
"""Ticks per unit of price of a paper. Quotes are rounded outwards by half a tick on average, so a
tick has to be small."""
_AT_ONCE = 4096


def dealer_market(
    *,
    arrival_rate: float,
    fill_decay: float,
    volatility: float,
    horizon: float,
    steps: int,
    **fields: Any,
) -> MarketConfig:
    """The dealer market of the papers: fill rate A exp(-k delta) a side, Brownian mid.

    Args:
        arrival_rate: A [1 / time], takers of each side.
        fill_decay: k [1 / price].
        volatility: sigma [price / sqrt(time)].
        horizon: T [time].
        steps: number of decisions.
        **fields: of `MarketConfig`, in its own units.
    """
    interval = horizon / steps
    ours = {
        "taker_rate": 2.0 * arrival_rate,
        "taker_tolerance": TICKS / fill_decay,
        "volatility": volatility * TICKS,
        "decision_interval": interval,
        "value_interval": interval,
        "session_steps": steps,
        "max_offset": 8.0 * TICKS / fill_decay,
        "inventory_penalty": 0.0,
    }
    return configure("dealer", **(ours | fields))


@dataclass(frozen=True)
class Ends:
    """Final states of sessions, shape (n,) each, in a paper's units of price."""

    profit: npt.NDArray[np.float64]
    """Cash plus inventory at the mid, before the close-out."""
    objective: npt.NDArray[np.float64]
    """Profit minus close-out cost and running penalty."""
    inventory: npt.NDArray[np.float64]
    signal: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    """+1 or -1: the side of takers that an imbalance favours."""


def play(
    make_agent: Callable[[MarketConfig], Agent],
    config: MarketConfig,
    sessions: int,
    seed: tuple[int, ...],
) -> Ends:
    """Run whole sessions of an agent. Only the final states are kept, to save memory.

    Args:
        make_agent: makes the agent for a market.
        config: of the market.
        sessions: number of them.
        seed: of the sessions.
    """
    agent = make_agent(config)
    parts = []
    for first in range(0, sessions, _AT_ONCE):
        n = min(_AT_ONCE, sessions - first)
        markets = Markets(config, n)
        streams = np.random.SeedSequence([*seed, first]).spawn(n)
        observations, outcomes = markets.start(np.random.default_rng(one) for one in streams)
        act = decider(agent, n)
        objective = np.zeros(n)
        for _ in range(config.session_steps):
            actions = act(observations, outcomes)
            observations, outcomes = markets.step(to_offsets("offsets", actions, n))
            inventory = outcomes[:, Outcome.INVENTORY]
            objective -= config.inventory_penalty * config.decision_interval * inventory**2
        close_out = markets.records["account"]["close_out"]
        pnl = outcomes[:, Outcome.PNL]
        money = np.stack([pnl + close_out, objective + pnl]) / TICKS
        bias = markets.records["flow"]["bias"]
        parts.append(np.concatenate([money, [inventory, outcomes[:, Outcome.SIGNAL], bias]]))
    return Ends(*np.concatenate(parts, axis=1))


def error_of_share(share: float, n: int) -> float:
    """Standard error of a share over n independent draws."""
    return math.sqrt(share * (1.0 - share) / n)
