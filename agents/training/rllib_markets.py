"""The markets of a training for RLlib's environment runners: a Gymnasium vector environment.

They are the same as for stable-baselines3: variance-reduced rewards and staggered sessions. The two
engines differ in the learning algorithm only.
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
"""Figures of an ended session: the names in stable-baselines3's `info["episode"]`."""

ENVIRONMENT = f"{__name__}:MarketMakingTraining-v0"
"""The environment's id for RLlib. Its processes import this file by it."""


class TrainingMarkets(VectorEnv[npt.NDArray[np.float32], Any, npt.NDArray[Any]]):
    """The markets of a run as a vector environment with autoreset mode `NEXT_STEP`.

    RLlib supports no other mode. The underlying markets start the next session at once, but RLlib
    expects its first observation one step later. In that step the market gets quotes at
    `max_offset`, and the first decision of each session is not learned from.

    Args:
        num_envs: number of markets.
        run: the training. Its own number of markets is ignored.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int, run: Run) -> None:
        self.num_envs = num_envs
        # Each market has the decisions of the whole training.
        share = num_envs / run.n_envs
        self._markets = training_markets(
            dataclasses.replace(
                run,
                n_envs=num_envs,
                timesteps=max(1, round(share * run.timesteps)),
                steps_done=round(share * run.steps_done),
            )
        )
        self.single_observation_space = self._markets.observation_space
        self.single_action_space = self._markets.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start every market.

        RLlib's runners have consecutive seeds, and market i gets the seed plus i. The seed is
        hashed first, because runners would otherwise share most of their markets.
        """
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
        """One decision in every market. The infos hold the `FIGURES` of sessions that ended."""
        restarted = self._ended
        observations, rewards, ended, infos = self._markets.step(
            np.where(restarted[:, None], 1.0, actions)
        )
        assert isinstance(observations, np.ndarray)
        rewards[restarted] = 0.0
        self._ended = ended & ~restarted
        figures: dict[str, Any] = {}
        chosen = np.flatnonzero(self._ended)
        if len(chosen):
            observations[chosen] = [infos[market]["terminal_observation"] for market in chosen]
            for name in FIGURES:
                figures[name] = np.zeros(self.num_envs)
                figures[name][chosen] = [infos[market]["episode"][name] for market in chosen]
                figures["_" + name] = self._ended.copy()
        truncated = np.zeros(self.num_envs, np.bool_)
        return observations, rewards, self._ended.copy(), truncated, figures


if ENVIRONMENT.partition(":")[2] not in gymnasium.registry:
    gymnasium.register(
        id=ENVIRONMENT.partition(":")[2], vector_entry_point=f"{__name__}:TrainingMarkets"
    )
