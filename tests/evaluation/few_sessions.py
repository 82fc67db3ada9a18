"""A few short sessions of one agent."""

import functools
from typing import Any

from agents import make_agent
from mm_gym import configure
from mm_gym.evaluation.rollout import Cell, run_cells
from mm_gym.evaluation.sessions import Sessions


def sessions_of(agent: str, episodes: int = 6, seed: int = 0, **fields: Any) -> Sessions:
    config = configure(fields.pop("regime", "informed"), **({"session_steps": 150} | fields))
    name, *parameters = agent.split(":")
    values = {key: float(value) for key, value in (text.split("=") for text in parameters)}
    return run_cells(
        [Cell(agent, functools.partial(make_agent, name, **values), config)], episodes, seed
    )[0]
