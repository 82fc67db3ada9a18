"""The markets of a training as RLlib's environment runners take them: one Gymnasium vector
environment.

They are those of the other engine, with the same rewards and at different times of their sessions,
so that the engines differ in how they learn and in nothing else.
"""

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from mm_gym.sb3 import SESSION_FIGURES

from ..learned.run_folder import Run
from .trainer import training_markets

FIGURES = SESSION_FIGURES
"""What is told of an ended session: the names in stable-baselines3's `info["episode"]`."""

ENVIRONMENT = f"{__name__}:MarketMakingTraining-v0"
"""To be given to RLlib, whose processes import this file by it."""


class TrainingMarkets(VectorEnv[npt.NDArray[np.float32], Any, npt.NDArray[Any]]):
    """`num_envs` markets of a run, in a vector environment of the mode `NEXT_STEP`, the only one
    that RLlib knows.

    The markets below start the next session at once, and RLlib wants its first observation a step
    later. That step goes by with quotes at `max_offset`: of each session, the first decision is not
    learned from.

    Args:
        num_envs: number of markets.
        run: what is trained on what; its own number of markets does not count.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int, run: Run) -> None:
        self.num_envs = num_envs
        self._markets = training_markets(dataclasses.replace(run, n_envs=num_envs))
        self.single_observation_space = self._markets.observation_space
        self.single_action_space = self._markets.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start every market. RLlib's runners come with seeds one apart, and market i is seeded
        with the seed plus i: they are spread, or most markets of one runner would be those of the
        next."""
        if isinstance(seed, int):
            self._markets.seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        self._ended[:] = False
        observations = self._markets.reset()
        assert isinstance(observations, np.ndarray)
        return observations, {}

    def step(
        self, actions: npt.NDArray[np.float32]
    ) -> tuple[
        npt.NDArray[np.float32],
        npt.NDArray[Any],
        npt.NDArray[np.bool_],
        npt.NDArray[np.bool_],
        dict[str, Any],
    ]:
        """One decision in every market. Of a session that ends, the infos tell the `FIGURES`."""
        restarted = self._ended
        observations, rewards, ended, infos = self._markets.step(
            np.where(restarted[:, None], 1.0, actions)
        )
        assert isinstance(observations, np.ndarray)
        rewards[restarted] = 0.0
        self._ended = ended & ~restarted
        told: dict[str, Any] = {}
        chosen = np.flatnonzero(self._ended)
        if len(chosen):
            observations[chosen] = [infos[market]["terminal_observation"] for market in chosen]
            for name in FIGURES:
                told[name] = np.zeros(self.num_envs)
                told[name][chosen] = [infos[market]["episode"][name] for market in chosen]
                told["_" + name] = self._ended.copy()
        return observations, rewards, self._ended.copy(), np.zeros(self.num_envs, np.bool_), told


if ENVIRONMENT.partition(":")[2] not in gymnasium.registry:
    gymnasium.register(
        id=ENVIRONMENT.partition(":")[2], vector_entry_point=f"{__name__}:TrainingMarkets"
    )
