"""Small trainings for tests, and helpers for their run folders."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import train
from agents.learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from agents.learned.policy import load_policy, new_policy, policy_content
from agents.learned.run_folder import POLICY_FILE, Run, read_run
from agents.training import held_out
from agents.training.trainer import write_run
from mm_gym import MarketConfig, configure
from mm_gym.sb3 import MarketMakingVecEnv

UPDATE = 512  # decisions, so that a test sees many updates
N_MARKETS = 8
CONFIG = configure("informed", p_informed=0.4, session_steps=50)
ROOT = Path(train.__file__).parent

HYPERPARAMETERS = read_hyperparameters("ppo")
HYPERPARAMETERS[ALGORITHM_PART] |= {
    "n_envs": N_MARKETS,
    "n_steps": UPDATE // N_MARKETS,
    "batch_size": UPDATE // 4,
}
HYPERPARAMETERS[ALGORITHM_PART] |= {
    "learning_rate": "lin_0.002",
    "policy_kwargs": {"net_arch": [64, 64], "log_std_init": -1.9},
}
N_EPOCHS = HYPERPARAMETERS[ALGORITHM_PART]["n_epochs"]


def with_hyperparameters(**parts: dict[str, object]) -> dict[str, dict[str, object]]:
    """`HYPERPARAMETERS` with changed arguments in `learning`, and with further parts."""
    learning = {**HYPERPARAMETERS[ALGORITHM_PART], **parts.pop("learning", {})}
    return {**HYPERPARAMETERS, **parts, ALGORITHM_PART: learning}


def a_run(
    updates: int, seed: int = 0, config: MarketConfig = CONFIG, **parts: dict[str, object]
) -> Run:
    return Run(
        config, seed, N_MARKETS, updates * UPDATE, hyperparameters=with_hyperparameters(**parts)
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few held-out sessions, one rule to compare with, and no pictures."""
    torch.set_num_threads(1)
    monkeypatch.setattr(held_out, "HELD_OUT_SESSIONS", 4)
    monkeypatch.setattr(held_out, "rules_for", lambda config: ["inventory_skew"])
    monkeypatch.setattr(held_out, "pictures_of", lambda agent, results: {})
    held_out.run_rules.cache_clear()
    yield
    held_out.run_rules.cache_clear()  # the next test may have other rules


def weights(folder: Path) -> dict[str, np.ndarray]:
    return {
        name: value.numpy()
        for name, value in load_policy(folder, read_run(folder)).state_dict().items()
    }


def an_untrained_folder(folder: Path, run: Run, scale: float = 0.2) -> Path:
    """A run folder with random weights of standard deviation `scale`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    policy = new_policy(run)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.normal_(std=scale)
    (folder / POLICY_FILE).write_bytes(policy_content(policy))
    write_run(folder, run)
    return folder


def send_at(monkeypatch: pytest.MonkeyPatch, step: int, number: signal.Signals) -> list[int]:
    """Send this process a signal in the given step of the environment.

    Returns a list that collects the steps so far.
    """
    steps: list[int] = []
    original = MarketMakingVecEnv.step_wait

    def step_wait(self: MarketMakingVecEnv) -> object:
        steps.append(len(steps) + 1)
        if len(steps) == step:
            os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(MarketMakingVecEnv, "step_wait", step_wait)
    return steps
