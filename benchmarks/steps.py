"""The quotes of the benchmarks, and the speed of one environment."""

import gymnasium
import numpy as np
import numpy.typing as npt

import mm_gym
from benchmarks.turns import seconds
from mm_gym.actions import from_ticks

HALF_SPREAD = 1.5  # [ticks] of all quotes


def quotes(n: int) -> npt.NDArray[np.float32]:
    """Actions that quote `HALF_SPREAD` in n default markets, shape (n, 2)."""
    return from_ticks(np.full((n, 2), HALF_SPREAD), mm_gym.configure().max_offset)


def single_rate(name: str, steps: int) -> float:
    """Steps per second of `gymnasium.make`, including resets."""
    environment = gymnasium.make(name)
    environment.reset(seed=0)
    environment.action_space.seed(0)
    box = isinstance(environment.action_space, gymnasium.spaces.Box)
    actions = [quotes(1)[0] if box else environment.action_space.sample() for _ in range(steps)]

    def run() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = environment.step(action)
            if terminated or truncated:
                environment.reset()

    return steps / seconds(run)
