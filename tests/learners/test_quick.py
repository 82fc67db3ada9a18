"""Standard learners accept the environment without changes and learn for a few steps.

These tests do not measure skill. `test_heavy.py` tests libraries outside the `dev` extra.
"""

import runpy
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from sb3_contrib import TQC, TRPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

import mm_gym  # registers MarketMaking-v0

ROOT = Path(__file__).resolve().parents[2]
ON_POLICY = {"n_steps": 32, "device": "cpu"}
OFF_POLICY = {"learning_starts": 40, "batch_size": 32, "device": "cpu"}
SHORT = {"session_steps": 50, "warm_up": 5.0}  # sessions end within the few training steps


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def learns(model: BaseAlgorithm, decisions: int = 128) -> None:
    """Learn for some decisions. The weights must change and stay finite."""
    before = {name: weights.clone() for name, weights in model.policy.state_dict().items()}
    model.learn(decisions)
    after = model.policy.state_dict()
    assert model.num_timesteps >= decisions
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.isfinite(weights).all() for weights in after.values())


# ------------------------------------------------------------------- stable-baselines3, sb3-contrib


@pytest.mark.parametrize(
    "algorithm, policy, hyperparameters",
    [
        pytest.param(PPO, "MlpPolicy", ON_POLICY, id="PPO"),
        pytest.param(A2C, "MlpPolicy", ON_POLICY, id="A2C"),
        pytest.param(SAC, "MlpPolicy", OFF_POLICY, id="SAC"),
        pytest.param(TD3, "MlpPolicy", OFF_POLICY, id="TD3"),
        pytest.param(TQC, "MlpPolicy", OFF_POLICY, id="TQC"),
        pytest.param(TRPO, "MlpPolicy", ON_POLICY, id="TRPO"),
        pytest.param(RecurrentPPO, "MlpLstmPolicy", ON_POLICY, id="RecurrentPPO"),
    ],
)
def test_it_learns_on_markets_from_make_vec_env(
    algorithm: type[BaseAlgorithm], policy: str, hyperparameters: dict[str, Any]
) -> None:
    markets = make_vec_env("mm_gym:MarketMaking-v0", n_envs=2, seed=0, env_kwargs=SHORT)
    learns(algorithm(policy, markets, seed=0, **hyperparameters))


def test_dqn_learns_with_discrete_actions() -> None:
    markets = make_vec_env(
        "mm_gym:MarketMaking-v0", n_envs=2, seed=0, env_kwargs={"action": "discrete", **SHORT}
    )
    learns(DQN("MlpPolicy", markets, seed=0, train_freq=1, **OFF_POLICY))


def test_the_id_alone_is_enough_for_stable_baselines3() -> None:
    model = PPO("MlpPolicy", "MarketMaking-v0", seed=0, **ON_POLICY)
    learns(model)
    model.policy.set_training_mode(False)
    market = gymnasium.make("MarketMaking-v0", **SHORT)
    total, length = evaluate_policy(
        model, market, n_eval_episodes=2, warn=False, return_episode_rewards=True
    )
    assert np.isfinite(total).all()
    assert length == [50, 50]


def test_make_vec_env_passes_variance_reduction_on() -> None:
    plain, reduced = (
        make_vec_env("mm_gym:MarketMaking-v0", n_envs=2, seed=0, env_kwargs=arguments)
        for arguments in ({}, {"variance_reduction": True})
    )
    assert np.array_equal(plain.reset(), reduced.reset())
    actions = np.zeros((2, 2), np.float32)
    rewards = []
    for _ in range(20):
        seen, reward, _, _ = plain.step(actions)
        seen_too, reduced_reward, _, _ = reduced.step(actions)
        assert np.array_equal(seen, seen_too)
        rewards.append((reward, reduced_reward))
    plain_rewards, reduced_rewards = np.swapaxes(rewards, 0, 1)
    assert not np.allclose(plain_rewards, reduced_rewards)
    learns(PPO("MlpPolicy", reduced, seed=0, **ON_POLICY))


@pytest.mark.parametrize("action", ["offsets", "spread_skew", "discrete"])
def test_the_environment_checkers_have_no_complaint(
    action: str, recwarn: pytest.WarningsRecorder
) -> None:
    check_env(gymnasium.make("MarketMaking-v0", action=action, **SHORT).unwrapped, warn=True)
    gymnasium_check_env(
        gymnasium.make("MarketMaking-v0", action=action, **SHORT).unwrapped, skip_render_check=True
    )
    assert [
        str(warning.message) for warning in recwarn if "UserWarning" in warning.category.__name__
    ] == []


# ----------------------------------------------------------------------- Gymnasium's array wrappers


def test_observations_become_torch_tensors_in_gymnasiums_wrappers() -> None:
    pytest.importorskip("array_api_compat", reason="needs the extra gymnasium-wrappers")
    pytest.importorskip("array_api_extra", reason="needs the extra gymnasium-wrappers")
    from gymnasium.wrappers import ArrayConversion, NumpyToTorch
    from gymnasium.wrappers.vector import NumpyToTorch as VectorNumpyToTorch

    for wrapped in (
        NumpyToTorch(gymnasium.make("MarketMaking-v0")),
        ArrayConversion(gymnasium.make("MarketMaking-v0"), env_xp=np, target_xp=torch),
    ):
        observation, info = wrapped.reset(seed=0)
        assert isinstance(observation, torch.Tensor)
        observation, reward, terminated, truncated, info = wrapped.step(torch.zeros(2))
        assert observation.dtype == torch.float32
        assert np.isfinite(float(reward))
        assert not terminated
        assert not truncated
        assert "objective" in info
    batch = VectorNumpyToTorch(gymnasium.make_vec("MarketMaking-v0", num_envs=3))
    batch.reset(seed=0)
    observation, reward, terminated, *_ = batch.step(torch.zeros(3, 2))
    assert observation.shape == (3, len(mm_gym.OBSERVATION_NAMES))
    assert isinstance(reward, torch.Tensor)
    assert isinstance(terminated, torch.Tensor)


# ----------------------------------------------------------------------------------------- examples


def test_the_single_file_ppo_bootstraps_truncated_sessions_and_no_others() -> None:
    advantages = runpy.run_path(str(ROOT / "examples" / "ppo.py"))["advantages"]
    # Step 1 ends a session, step 2 resets the market, and step 3 is the first of the next session.
    rewards = torch.tensor([[1.0], [2.0], [0.0], [4.0]])
    values = torch.tensor([[10.0], [20.0], [30.0], [40.0], [50.0]])
    end = torch.tensor([[False], [True], [False], [False]])
    never = torch.zeros_like(end)
    gamma, gae_lambda = 0.5, 0.5
    for terminated, after_the_end in ((end, 0.0), (never, 30.0)):
        gains = advantages(rewards, values, terminated, end, gamma, gae_lambda).ravel()
        last = 2.0 + gamma * after_the_end - 20.0
        assert gains[1] == last
        assert gains[0] == 1.0 + gamma * 20.0 - 10.0 + gamma * gae_lambda * last
        assert gains[3] == 4.0 + gamma * 50.0 - 40.0


def test_the_single_file_ppo_runs_with_a_tiny_budget(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        "--decisions 4096 --num-envs 16 --num-steps 64 --batch-size 256 --evaluation-sessions 4"
    )
    monkeypatch.setattr(sys, "argv", ["examples/ppo.py", *arguments.split()])
    runpy.run_path(str(ROOT / "examples" / "ppo.py"), run_name="__main__")
    assert "objective" in capsys.readouterr().out
