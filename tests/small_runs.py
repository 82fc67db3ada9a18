"""Trainings so small that a test sees many updates, and what is done to them."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import agents.training
import train
from agents.ppo import MODEL_FILE, Run, load_model
from agents.settings import ALGORITHM_PART, read_settings
from mm_gym import MarketConfig, configure
from mm_gym.sb3 import MarketMakingVecEnv

UPDATE = 512  # decisions, so that a test sees many updates
N_MARKETS = 8
CONFIG = configure("informed", p_informed=0.4, session_steps=50)
ROOT = Path(train.__file__).parent

SETTINGS = read_settings("ppo")
SETTINGS[ALGORITHM_PART] |= {"n_envs": N_MARKETS, "n_steps": UPDATE // N_MARKETS, "batch_size": UPDATE // 4}
SETTINGS[ALGORITHM_PART] |= {
    "learning_rate": "lin_0.002",
    "policy_kwargs": {"net_arch": [64, 64], "log_std_init": -1.9},
}
del SETTINGS["imitation"]  # tests/agents/test_imitation.py
N_EPOCHS = SETTINGS[ALGORITHM_PART]["n_epochs"]


def with_settings(**parts: dict[str, object]) -> dict[str, dict[str, object]]:
    """The settings with changes in `learning`, `markets` or `start`."""
    return {
        part: {**values, **parts.get("learning" if part == ALGORITHM_PART else part, {})}
        for part, values in SETTINGS.items()
    }


def a_run(updates: int, seed: int = 0, config: MarketConfig = CONFIG, **parts: dict[str, object]) -> Run:
    return Run(config, seed, N_MARKETS, updates * UPDATE, settings=with_settings(**parts))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(agents.training, "HELD_OUT_SESSIONS", 4)


def weights(folder: Path, file: str = MODEL_FILE) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_model(folder, file=file).policy.state_dict().items()}


def send_at(monkeypatch: pytest.MonkeyPatch, step: int, number: signal.Signals) -> list[int]:
    """Have this process get a signal in the middle of that step of the environment; returns the steps so far."""
    steps: list[int] = []
    original = MarketMakingVecEnv.step_wait

    def step_wait(self: MarketMakingVecEnv) -> object:
        steps.append(len(steps) + 1)
        if len(steps) == step:
            os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(MarketMakingVecEnv, "step_wait", step_wait)
    return steps
