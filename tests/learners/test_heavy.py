"""TorchRL, Tianshou, skrl and rl_zoo3 accept the environment. `make test-learners` installs them.

The programs of docs/how-to/other-learners.md test their learning (`test_docs.py`).
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import mm_gym

ROOT = Path(__file__).resolve().parents[2]
SHORT = {"session_steps": 30, "warm_up": 5.0}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# ------------------------------------------------------------------------------------------ TorchRL


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"regime": "informed", "p_informed": 0.4, "variance_reduction": True},
        {"from_pixels": True},
    ],
)
def test_gym_env_of_torchrl_makes_the_market(arguments: dict[str, Any]) -> None:
    envs = pytest.importorskip(
        "torchrl.envs", reason="TorchRL is not installed: make test-learners"
    )
    market = envs.GymEnv("MarketMaking-v0", **arguments)
    envs.check_env_specs(market)
    steps = market.rollout(5)
    assert steps["next", "reward"].shape == (5, 1)
    if "from_pixels" in arguments:
        assert steps["pixels"].shape[-1] == 3
    else:
        assert steps["observation"].shape == (5, len(mm_gym.OBSERVATION_NAMES))


def test_torchrl_reads_the_numbers_in_info() -> None:
    envs = pytest.importorskip(
        "torchrl.envs", reason="TorchRL is not installed: make test-learners"
    )
    market = envs.GymEnv("MarketMaking-v0").auto_register_info_dict()
    steps = market.rollout(5)["next"]
    for name in ("objective", "pnl", "inventory", "fills", "signal"):
        assert steps[name].shape == (5,)


def test_torchrls_collector_continues_across_sessions() -> None:
    envs = pytest.importorskip(
        "torchrl.envs", reason="TorchRL is not installed: make test-learners"
    )
    from torchrl.collectors import Collector

    def quotes(data: Any) -> Any:
        return data.set("action", torch.zeros(2))

    market = envs.GymEnv("MarketMaking-v0", **SHORT)
    collector = Collector(market, policy=quotes, trust_policy=True, frames_per_batch=70)
    steps = next(iter(collector))
    collector.shutdown()
    assert steps["next", "done"].ravel().nonzero().ravel().tolist() == [29, 59]
    assert steps["next", "terminated"].sum() == 2
    batch = envs.GymWrapper(
        gymnasium.make_vec("MarketMaking-v0", num_envs=3, autoreset_mode="SameStep", **SHORT)
    )
    assert batch.rollout(40, break_when_any_done=False)["next", "done"].sum() == 3


# ----------------------------------------------------------------------------------------- Tianshou


@pytest.mark.parametrize("kind", ["DummyVectorEnv", "SubprocVectorEnv"])
def test_tianshous_vector_environments_step_the_market(kind: str) -> None:
    env = pytest.importorskip(
        "tianshou.env", reason="Tianshou is not installed: make test-learners"
    )
    batch = getattr(env, kind)(
        [lambda: gymnasium.make("mm_gym:MarketMaking-v0", **SHORT) for _ in range(2)]
    )
    batch.seed(5)
    observations, _ = batch.reset(seed=5)
    single = gymnasium.make("MarketMaking-v0", **SHORT)
    observation, _ = single.reset(seed=5)
    assert np.array_equal(observations[0], observation)
    for _ in range(SHORT["session_steps"]):
        observations, rewards, terminated, _, infos = batch.step(np.zeros((2, 2), np.float32))
        observation, reward, *_ = single.step(np.zeros(2, np.float32))
        assert np.array_equal(observations[0], observation)
        assert rewards[0] == reward
    assert terminated.all()
    assert np.isfinite([info["objective"] for info in infos]).all()
    batch.close()


# --------------------------------------------------------------------------------------------- skrl


@pytest.mark.parametrize("num_envs", [1, 4])
def test_skrl_wraps_one_market_and_many(num_envs: int) -> None:
    wrappers = pytest.importorskip(
        "skrl.envs.wrappers.torch", reason="skrl is not installed: make test-learners"
    )
    if num_envs == 1:
        market = wrappers.wrap_env(gymnasium.make("MarketMaking-v0", **SHORT))
    else:
        market = wrappers.wrap_env(
            gymnasium.make_vec("MarketMaking-v0", num_envs=num_envs, **SHORT)
        )
    assert market.num_envs == num_envs
    observations, _ = market.reset()
    assert observations.shape == (num_envs, len(mm_gym.OBSERVATION_NAMES))
    for _ in range(SHORT["session_steps"]):
        observations, rewards, terminated, _, _ = market.step(torch.zeros(num_envs, 2))
        market.render()  # skrl's trainers call it unless they are headless
        assert rewards.shape == (num_envs, 1)
        assert torch.isfinite(rewards).all()
    assert terminated.all()
    market.close()


# ------------------------------------------------------------------------------------------ rl_zoo3


def test_rl_zoo3_trains_the_registered_environment(tmp_path: Path) -> None:
    if importlib.util.find_spec("rl_zoo3") is None:
        pytest.skip("rl_zoo3 is not installed: make test-learners")
    options = (
        "--algo ppo --env MarketMaking-v0 --gym-packages mm_gym "
        "-n 1024 --eval-freq 512 --eval-episodes 1"
    )
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "rl_zoo3.train",
                *options.split(),
                "--log-folder",
                str(tmp_path / "logs"),
            ),
            *(
                "--conf-file",
                str(ROOT / "examples" / "zoo_ppo.yml"),
                "--eval-env-kwargs",
                "variance_reduction:False",
            ),
            *("--hyperparams", "n_steps:64"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "logs" / "ppo" / "MarketMaking-v0_1"
    for name in (
        "MarketMaking-v0.zip",
        "best_model.zip",
        "evaluations.npz",
        "MarketMaking-v0/config.yml",
    ):
        assert (run / name).is_file()
