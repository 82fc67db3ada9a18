"""Markets to train in whose observations are those of `agents.memory`."""

from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from agents.memory import remember, remembered_space
from mm_gym.sb3 import MarketMakingVecEnv

_Array = npt.NDArray[np.float32]


class RememberingVecEnv(VecEnvWrapper):
    """Markets whose observations are those of `remember`."""

    venv: MarketMakingVecEnv

    def __init__(self, venv: MarketMakingVecEnv) -> None:
        super().__init__(venv, observation_space=remembered_space())
        self._memory: _Array | None = None

    def reset(self) -> _Array:
        """Start a session in every market."""
        shown, self._memory = remember(self.venv.reset())
        return shown

    def step_wait(self) -> VecEnvStepReturn:
        """One decision in every market; one whose session ends starts the next, and has forgotten the last."""
        observations, rewards, ended, infos = self.venv.step_wait()
        for market in np.flatnonzero(ended):
            last = infos[market]["terminal_observation"][None]
            infos[market]["terminal_observation"] = remember(last, self._memory_of(market))[0][0]
        shown, self._memory = remember(observations, self._memory, ended)
        return shown, rewards, ended, infos

    def truth(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """As of `MarketMakingVecEnv`."""
        return self.venv.truth()

    def hidden_flow(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """As of `MarketMakingVecEnv`."""
        return self.venv.hidden_flow()

    def _memory_of(self, market: Any) -> _Array | None:
        return None if self._memory is None else self._memory[market : market + 1]
