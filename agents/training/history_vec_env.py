"""A VecEnv wrapper that appends history features (`agents.learned.history_features`)."""

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from mm_gym.sb3 import MarketMakingVecEnv

from ..learned.history_features import add_history, empty_state, history_space

_Array = npt.NDArray[np.float32]


class HistoryVecEnv(VecEnvWrapper):
    """Markets whose observations have history features.

    Args:
        venv: the markets without them.
    """

    venv: MarketMakingVecEnv

    def __init__(self, venv: MarketMakingVecEnv) -> None:
        super().__init__(venv, observation_space=history_space())
        self._state = empty_state(venv.num_envs)

    def reset(self) -> _Array:
        """Start an episode in every market."""
        shown, self._state = add_history(self.venv.reset())
        return shown

    def step_wait(self) -> VecEnvStepReturn:
        """One decision in every market. A new episode starts with an empty history."""
        observations, rewards, ended, infos = self.venv.step_wait()
        chosen = np.flatnonzero(ended)
        # The last observations of ended episodes are appended as further rows, so that one call
        # computes all features.
        last = [infos[market]["terminal_observation"][None] for market in chosen]
        shown, state = add_history(
            np.concatenate([observations, *last]),
            np.concatenate([self._state, self._state[chosen]]),
            np.concatenate([ended, np.zeros(len(chosen), np.bool_)]),
        )
        shown, of_ended, self._state = (
            shown[: self.num_envs],
            shown[self.num_envs :],
            state[: self.num_envs],
        )
        for market, row in zip(chosen, of_ended, strict=True):
            infos[market]["terminal_observation"] = row
        return shown, rewards, ended, infos


TrainingMarkets = MarketMakingVecEnv | HistoryVecEnv
"""The environments in which a policy is trained."""
