"""Markets to train in whose observations are those of `agents.memory`."""

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from agents.memory import empty_memory, remember, remembered_space
from mm_gym.sb3 import MarketMakingVecEnv

_Array = npt.NDArray[np.float32]


class RememberingVecEnv(VecEnvWrapper):
    """Markets whose observations are those of `remember`."""

    venv: MarketMakingVecEnv

    def __init__(self, venv: MarketMakingVecEnv) -> None:
        super().__init__(venv, observation_space=remembered_space())
        self._memory = empty_memory(venv.num_envs)

    def reset(self) -> _Array:
        """Start a session in every market."""
        shown, self._memory = remember(self.venv.reset())
        return shown

    def step_wait(self) -> VecEnvStepReturn:
        """One decision in every market; one whose session ends starts the next, and has forgotten the last."""
        observations, rewards, ended, infos = self.venv.step_wait()
        chosen = np.flatnonzero(ended)
        # The last observations of sessions that have ended go along below the others: one call for all.
        last = [infos[market]["terminal_observation"][None] for market in chosen]
        shown, memory = remember(
            np.concatenate([observations, *last]),
            np.concatenate([self._memory, self._memory[chosen]]),
            np.concatenate([ended, np.zeros(len(chosen), np.bool_)]),
        )
        shown, of_ended, self._memory = shown[: self.num_envs], shown[self.num_envs :], memory[: self.num_envs]
        for market, row in zip(chosen, of_ended, strict=True):
            infos[market]["terminal_observation"] = row
        return shown, rewards, ended, infos

    def truth(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """As of `MarketMakingVecEnv`."""
        return self.venv.truth()

    def hidden_flow(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """As of `MarketMakingVecEnv`."""
        return self.venv.hidden_flow()
