"""The NumPy network agrees with torch, and broken policy files are refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agents import AgentError, make_agent
from agents.learned.hyperparameters import ACTIVATIONS, ALGORITHM_PART, read_hyperparameters
from agents.learned.network import POLICY_FILE, MLPAgent, policy_bytes
from agents.learned.run_folder import RUN_FILE, Run
from mm_gym import OBSERVATION_NAMES, configure

CONFIG = configure("informed", p_informed=0.4, session_steps=20)
N_COLUMNS = len(OBSERVATION_NAMES)


def network(activation: type[torch.nn.Module] = torch.nn.Tanh) -> torch.nn.Sequential:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(N_COLUMNS, 7),
        activation(),
        torch.nn.Linear(7, 5),
        activation(),
        torch.nn.Linear(5, 2),
    )


def layers() -> list[tuple[np.ndarray, np.ndarray]]:
    linear = [layer for layer in network() if isinstance(layer, torch.nn.Linear)]
    return [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in linear]


LOG_STD = np.array([-1.0, 0.5], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    hyperparameters = read_hyperparameters("ppo")
    del hyperparameters["history_features"]
    hyperparameters[ALGORITHM_PART]["policy_kwargs"] = {"net_arch": [7, 5], "activation_fn": "tanh"}
    run = Run(
        CONFIG, seed=0, n_envs=4, timesteps=512, engine="rllib", hyperparameters=hyperparameters
    )
    (tmp_path / RUN_FILE).write_text(json.dumps(dataclasses.asdict(run)))
    (tmp_path / POLICY_FILE).write_bytes(policy_bytes(layers(), LOG_STD))
    return tmp_path


def observations(n: int, spread: float = 1.0) -> np.ndarray:
    return (spread * np.random.default_rng(0).standard_normal((n, N_COLUMNS))).astype(np.float32)


def test_a_run_folder_of_rllib_quotes_what_torch_says_clipped(folder: Path) -> None:
    agent = make_agent(str(folder), CONFIG)
    seen = observations(300, spread=8.0)
    with torch.no_grad():
        wanted = network()(torch.as_tensor(seen)).numpy()
    actions, state = agent.predict(seen)
    assert state is None
    assert actions.dtype == np.float32
    np.testing.assert_allclose(actions, wanted.clip(-1.0, 1.0), atol=1e-6)
    one, _ = agent.predict(seen[0])
    np.testing.assert_allclose(one, actions[0], atol=1e-6)
    # With larger last layers the same network gives clipped quotes.
    weight, bias = layers()[-1]
    loud, _ = MLPAgent([*layers()[:-1], (10.0 * weight, 10.0 * bias)], LOG_STD).predict(seen)
    assert 0.1 < np.mean(np.abs(loud) == 1.0) < 1.0
    np.testing.assert_allclose(loud, (10.0 * wanted).clip(-1.0, 1.0), atol=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_torchs(name: str) -> None:
    seen = observations(300, spread=8.0)
    with torch.no_grad():
        wanted = network(getattr(torch.nn, ACTIVATIONS[name]))(torch.as_tensor(seen)).numpy()
    actions, _ = MLPAgent(layers(), LOG_STD, name).predict(seen)
    np.testing.assert_allclose(actions, wanted.clip(-1.0, 1.0), atol=1e-5)
    assert np.isfinite(MLPAgent(layers(), LOG_STD, name).predict(1e4 * seen)[0]).all()


def test_draws_have_the_mean_and_the_standard_deviation_of_the_policy() -> None:
    n = 40_000
    flat = [(0.0 * weight, 0.0 * bias) for weight, bias in layers()]  # a mean of zero
    drawn, _ = MLPAgent(flat, LOG_STD - 3.0).predict(observations(n), deterministic=False)
    std = np.exp(LOG_STD - 3.0)
    assert np.all(np.abs(drawn.mean(axis=0)) < 4.0 * std / np.sqrt(n))
    np.testing.assert_allclose(drawn.std(axis=0), std, rtol=4.0 / np.sqrt(2.0 * n))  # s / sqrt(2 n)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-40],
    "not a NumPy file": lambda content: b"weights",
    "a layer that does not fit": lambda content: policy_bytes([layers()[0], layers()[2]], LOG_STD),
    "no layer": lambda content: policy_bytes([], LOG_STD),
    "a layer too few": lambda content: policy_bytes([layers()[0]], LOG_STD),
    "another size of log_std": lambda content: policy_bytes(layers(), np.zeros(3, np.float32)),
    "NaN": lambda content: policy_bytes(
        [(weight * np.nan, bias) for weight, bias in layers()], LOG_STD
    ),
    "whole numbers": lambda content: policy_bytes(
        [(weight.astype(int), bias) for weight, bias in layers()], LOG_STD
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_policy_file_is_refused_in_a_sentence(folder: Path, how: str) -> None:
    path = folder / POLICY_FILE
    path.write_bytes(BROKEN[how](path.read_bytes()))
    with pytest.raises(
        AgentError, match=r"policy\.npz is damaged: expected .*, got .* \(train again"
    ):
        make_agent(str(folder), CONFIG)


def test_code_in_a_policy_file_is_not_run(folder: Path) -> None:
    arrays = {f"{kind}_{number}": np.zeros(1) for kind in ("weight", "bias") for number in range(3)}
    np.savez(
        folder / POLICY_FILE,
        **arrays | {"weight_0": np.array([print], dtype=object)},
        log_std=LOG_STD,
    )
    with pytest.raises(AgentError, match="allow_pickle"):
        make_agent(str(folder), CONFIG)


def test_a_run_folder_without_a_policy_or_of_other_units_is_refused(folder: Path) -> None:
    with pytest.raises(AgentError, match="max_offset"):
        make_agent(str(folder), configure("informed", max_offset=3.0))
    (folder / POLICY_FILE).unlink()
    with pytest.raises(AgentError, match=r"holds no policy: expected policy\.npz"):
        make_agent(str(folder), CONFIG)
