"""Exported ONNX policies agree with torch and with a forward pass in NumPy."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO

from agents import AgentError
from agents.learned.history_features import HISTORY_NAMES, empty_state
from agents.learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from agents.learned.policy import PPOAgent, load, policy_content, quoting_agent
from agents.learned.run_folder import POLICY_FILE, RUN_FILE, Run
from agents.registry import TRAINED
from agents.tools.export import Arguments, compare, main
from agents.tools.onnx_graph import to_onnx
from agents.training.history_vec_env import HistoryVecEnv
from mm_gym import OBSERVATION_NAMES, MarketMakingVectorEnv, configure
from mm_gym.actions import to_ticks
from mm_gym.sb3 import MarketMakingVecEnv

CONFIG = configure("informed", p_informed=0.4, session_steps=40, max_offset=10.0)
HYPERPARAMETERS = read_hyperparameters("ppo")
del HYPERPARAMETERS["history_features"]  # most tests give the policy plain observations
HYPERPARAMETERS[ALGORITHM_PART]["policy_kwargs"] = {"net_arch": [16, 8], "activation_fn": "tanh"}
RUN = Run(
    CONFIG,
    seed=7,
    n_envs=2,
    timesteps=100,
    steps_done=64,
    hyperparameters=HYPERPARAMETERS,
    versions={"mm-gym": "0.1.0"},
)


def a_model(**policy: Any) -> PPO:
    """A model with large weights. The actions of an untrained policy are all nearly equal."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = PPO(
        "MlpPolicy", MarketMakingVecEnv(2, **CONFIG.to_dict()), policy_kwargs=policy, device="cpu"
    )
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.normal_(std=0.2)
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder."""
    (tmp_path / POLICY_FILE).write_bytes(policy_content(a_model(net_arch=[16, 8]).policy))
    (tmp_path / RUN_FILE).write_text(json.dumps(dataclasses.asdict(RUN)))
    return tmp_path


def ask(proto: onnx.ModelProto, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    actions, offsets = session.run(["action", "offset"], {"observation": observations})
    return actions, offsets


@pytest.mark.parametrize(
    "policy",
    [
        {"net_arch": [64, 64]},
        {"net_arch": []},
        {"net_arch": {"pi": [32, 16, 8], "vf": [4]}},
        {"net_arch": [24], "activation_fn": torch.nn.ReLU},
        {"net_arch": [24, 8], "activation_fn": torch.nn.SiLU},
    ],
)
def test_its_actions_are_torchs(policy: dict[str, Any]) -> None:
    model = a_model(**policy)
    observations = (
        np.random.default_rng(1).normal(size=(500, len(OBSERVATION_NAMES))).astype(np.float32)
    )
    wanted, _ = model.predict(observations, deterministic=True)
    assert (np.abs(wanted) < 1.0).mean() > 0.3  # not all are clipped
    actions, offsets = ask(to_onnx(model.policy, RUN), observations)
    assert actions.dtype == offsets.dtype == np.float32
    np.testing.assert_allclose(actions, wanted, rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(offsets, to_ticks(wanted, CONFIG.max_offset), rtol=0.0, atol=1e-5)
    one, _ = ask(to_onnx(model.policy, RUN), observations[3:4])
    np.testing.assert_allclose(one, wanted[3:4], rtol=0.0, atol=1e-6)


def test_its_offsets_are_the_networks_mean_in_ticks() -> None:
    model = a_model(net_arch=[12])
    environment = MarketMakingVectorEnv(8, "informed")
    seen, _ = environment.reset(seed=0)
    weights = {
        name: value.numpy().astype(float) for name, value in model.policy.state_dict().items()
    }
    hidden = np.tanh(
        seen @ weights["mlp_extractor.policy_net.0.weight"].T
        + weights["mlp_extractor.policy_net.0.bias"]
    )
    mean = hidden @ weights["action_net.weight"].T + weights["action_net.bias"]
    _, offsets = ask(to_onnx(model.policy, RUN), seen)
    np.testing.assert_allclose(
        offsets, 10.0 * ((1.0 + np.clip(mean, -1.0, 1.0)) / 2.0) ** 3, atol=1e-5
    )


def test_the_command_writes_a_file_that_names_its_columns(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(Arguments(folder)) == folder / "policy.onnx"
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[0] == "Compared 8,192 observations, half random, half from its own sessions."
    assert max(map(len, lines)) <= 80
    assert last.startswith(f"Written to {folder / 'policy.onnx'}")
    session = onnxruntime.InferenceSession(
        folder / "policy.onnx", providers=["CPUExecutionProvider"]
    )
    facts = {
        name: json.loads(fact) for name, fact in session.get_modelmeta().custom_metadata_map.items()
    }
    assert facts["observation"] == list(OBSERVATION_NAMES)
    assert facts["action"] == ["bid_offset", "ask_offset"]
    assert facts["offset"] == "max_offset * ((1 + action) / 2) ** 3"
    assert (facts["max_offset"], facts["max_inventory"]) == (10.0, 50)
    assert facts["market"]["requote_threshold"] == CONFIG.requote_threshold
    assert facts["market"] == json.loads(json.dumps(CONFIG.to_dict()))
    assert facts["training"] == {"seed": 7, "steps_done": 64, "versions": {"mm-gym": "0.1.0"}}
    assert [
        (value.name, value.shape[1]) for value in (*session.get_inputs(), *session.get_outputs())
    ] == [
        ("observation", len(OBSERVATION_NAMES)),
        ("action", 2),
        ("offset", 2),
    ]
    proto = onnx.load(folder / "policy.onnx")
    assert proto.graph.input[0].doc_string.endswith(", ".join(OBSERVATION_NAMES))
    assert "[ticks]" in proto.graph.output[1].doc_string


@pytest.mark.parametrize("maker", ["informed-40", "mixed"])
def test_a_shipped_maker_is_exported(maker: str, tmp_path: Path) -> None:
    graph = main(Arguments(TRAINED / maker, tmp_path / "policy.onnx"))
    assert graph.stat().st_size > 1000


def test_a_graph_that_differs_from_torch_is_refused() -> None:
    model = a_model(net_arch=[8])
    proto = to_onnx(model.policy, RUN)
    (bias,) = (array for array in proto.graph.initializer if array.name == "bias_2")
    changed = onnx.numpy_helper.to_array(bias) + np.float32([0.0, 3e-5])
    bias.CopyFrom(onnx.numpy_helper.from_array(changed, "bias_2"))
    with pytest.raises(AgentError, match=r"differ .*: expected at most 1e-05, got 3\.\de-05"):
        compare(proto, PPOAgent(model), RUN)


def test_a_graph_with_another_history_is_refused() -> None:
    run = dataclasses.replace(RUN, observation=HISTORY_NAMES)
    markets = HistoryVecEnv(MarketMakingVecEnv(2, **CONFIG.to_dict()))
    model = PPO("MlpPolicy", markets, policy_kwargs={"net_arch": [8]}, device="cpu")
    with torch.no_grad():  # actions stay equal, so that only the history differs
        model.policy.get_parameter("action_net.weight").zero_()
    proto = to_onnx(model.policy, run)
    (biases,) = (array for array in proto.graph.initializer if array.name == "sum_biases")
    changed = onnx.numpy_helper.to_array(biases) + np.float32(3e-4)
    biases.CopyFrom(onnx.numpy_helper.from_array(changed, "sum_biases"))
    with pytest.raises(
        AgentError, match=r"histories .* differ .*: expected at most 1e-05, got \d\.\de-0[45]"
    ):
        compare(proto, quoting_agent(model, run), run)


def test_with_history_it_quotes_through_a_session_as_the_agent_does(tmp_path: Path) -> None:
    run = dataclasses.replace(RUN, observation=HISTORY_NAMES)
    torch.manual_seed(1)
    markets = HistoryVecEnv(MarketMakingVecEnv(2, **CONFIG.to_dict()))
    model = PPO("MlpPolicy", markets, policy_kwargs={"net_arch": [16, 8]}, device="cpu")
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.normal_(std=0.2)
    (tmp_path / POLICY_FILE).write_bytes(policy_content(model.policy))
    (tmp_path / RUN_FILE).write_text(json.dumps(dataclasses.asdict(run)))
    session = onnxruntime.InferenceSession(
        main(Arguments(tmp_path)), providers=["CPUExecutionProvider"]
    )
    assert [value.name for value in session.get_inputs()] == ["observation", "history"]
    agent, environment = load(tmp_path, CONFIG), MarketMakingVectorEnv(4, **CONFIG.to_dict())
    seen, _ = environment.reset(seed=3)
    state, history = None, empty_state(4)
    for step in range(CONFIG.session_steps):
        actions, history = session.run(
            ["action", "next_history"], {"observation": seen, "history": history}
        )
        wanted, state = agent.predict(seen, state, np.zeros(4, np.bool_))
        np.testing.assert_allclose(actions, wanted, rtol=0.0, atol=1e-5)
        assert (history[:, 0] == step + 1).all()
        seen, *_ = environment.step(wanted)


def test_a_recurrent_policy_is_refused() -> None:
    model = RecurrentPPO(
        "MlpLstmPolicy", MarketMakingVecEnv(2, **CONFIG.to_dict()), n_steps=8, device="cpu"
    )
    with pytest.raises(
        AgentError, match=r"expected PPO's MlpPolicy .*, got RecurrentActorCriticPolicy"
    ):
        to_onnx(model.policy, RUN)  # type: ignore[arg-type]


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(
        AgentError,
        match=r"activation that cannot be exported: expected one of SiLU, .*, got Softsign",
    ):
        to_onnx(a_model(activation_fn=torch.nn.Softsign).policy, RUN)


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda folder: (folder / RUN_FILE).unlink(), "is no run folder"),
        (lambda folder: (folder / POLICY_FILE).unlink(), f"expected {POLICY_FILE} in it, got none"),
        (lambda folder: (folder / POLICY_FILE).write_bytes(b"PK"), "policy.pth is damaged"),
        (lambda folder: (folder / RUN_FILE).write_text("{"), f"{RUN_FILE} is damaged"),
    ],
)
def test_a_broken_run_folder_is_refused_and_nothing_written(
    folder: Path, spoil: Any, said: str
) -> None:
    spoil(folder)
    with pytest.raises(AgentError, match=said):
        main(Arguments(folder))
    assert not (folder / "policy.onnx").exists()
