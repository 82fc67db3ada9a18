"""A run folder quotes as a forward pass in NumPy does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from stable_baselines3 import SAC

import agents
from agents import AgentError, make_agent
from agents.learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from agents.learned.policy import PPOAgent, load, load_policy
from agents.learned.run_folder import POLICY_FILE, RUN_FILE, Run, read_run
from agents.tools.install import CARD_FILE, install
from agents.tools.onnx_graph import to_onnx
from agents.training.held_out import HeldOut
from agents.training.trainer import train, write_weights
from mm_gym import MarketMakingVectorEnv, configure
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.sb3 import MarketMakingVecEnv

CONFIG = configure("informed", p_informed=0.4, session_steps=20, max_offset=10.0, max_inventory=50)
HYPERPARAMETERS = read_hyperparameters("ppo")
del HYPERPARAMETERS["history_features"]  # most tests give the policy plain observations
HYPERPARAMETERS[ALGORITHM_PART] |= {"n_envs": 4, "n_steps": 64, "batch_size": 64}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)  # more threads slow each other down when tests run in parallel
    folder = tmp_path_factory.mktemp("trained")
    train(
        folder,
        Run(CONFIG, seed=0, n_envs=4, timesteps=512, hyperparameters=HYPERPARAMETERS),
        held_out=HeldOut(CONFIG, 4),
    )
    return folder


def observations(n: int) -> np.ndarray:
    environment = MarketMakingVectorEnv(n, "informed")
    seen, _ = environment.reset(seed=0)
    for _ in range(30):
        seen, *_ = environment.step(np.full((n, 2), -0.8, np.float32))
    return seen


def test_predict_is_the_networks_mean_clipped(trained: Path) -> None:
    seen = observations(64)
    weights = {
        name: value.numpy().astype(float)
        for name, value in load_policy(trained, read_run(trained)).state_dict().items()
    }
    layer = seen.astype(float)
    for name in ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2"):
        layer = layer @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        layer = layer / (1.0 + np.exp(-layer))  # SiLU
    mean = layer @ weights["action_net.weight"].T + weights["action_net.bias"]
    actions, state = load(trained, CONFIG).predict(seen)
    assert state is None
    assert actions.dtype == np.float32
    np.testing.assert_allclose(actions, np.clip(mean, -1.0, 1.0), atol=1e-5)


def test_drawn_actions_have_the_standard_deviation_of_the_policy(trained: Path) -> None:
    one = np.repeat(observations(1), 4_000, axis=0)
    agent = load(trained, CONFIG)
    mean = agent.predict(one)[0][0]
    drawn = agent.predict(one, deterministic=False)[0]
    # The standard deviation is 0.37 and the mean is near 0. A few draws are clipped, which reduces
    # the deviation slightly.
    spread = np.exp(load_policy(trained, read_run(trained)).log_std.detach().numpy())
    error = spread / np.sqrt(len(drawn))
    assert (np.abs(np.median(drawn, axis=0) - mean) < 5.0 * np.sqrt(np.pi / 2.0) * error).all()
    upper = np.quantile(drawn, 0.8413, axis=0) - np.median(
        drawn, axis=0
    )  # one standard deviation, never clipped
    assert (np.abs(upper - spread) < 10.0 * error).all()


def test_one_observation_gives_one_action(trained: Path) -> None:
    seen = observations(3)
    agent = load(trained, CONFIG)
    single, _ = agent.predict(seen[1])
    assert single.shape == (2,)
    np.testing.assert_allclose(single, agent.predict(seen)[0][1], atol=1e-6)


def test_a_run_folder_is_an_agent_by_its_path(trained: Path) -> None:
    assert isinstance(make_agent(str(trained), CONFIG), PPOAgent)


def test_a_written_run_can_be_read(trained: Path) -> None:
    run = read_run(trained)
    assert run.config == CONFIG
    assert (run.seed, run.n_envs, run.timesteps, run.steps_done) == (0, 4, 512, 512)
    assert run.hyperparameters == HYPERPARAMETERS
    assert {"python", "torch", "stable-baselines3", "gymnasium", "numpy", "numba"} <= set(
        run.versions
    )


def test_rules_and_run_files_need_no_torch(trained: Path) -> None:
    program = (
        "import sys, pathlib, agents, agents.learned.run_folder, mm_gym\n"
        "agents.make_agent('inventory_skew', mm_gym.configure())\n"
        "agents.learned.run_folder.read_run(pathlib.Path(sys.argv[1]))\n"
        "print([name for name in ('torch', 'stable_baselines3') if name in sys.modules])"
    )
    root = Path(agents.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, str(trained)],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_every_shipped_maker_can_be_loaded() -> None:
    for shipped in sorted(agents.TRAINED.glob("*/")):
        run = read_run(shipped)
        agent = load(shipped, run.config)
        environment = MarketMakingVectorEnv(2, **run.config.to_dict())
        actions, _ = agent.predict(environment.reset(seed=0)[0])
        assert np.isfinite(actions).all()
        assert {path.name for path in shipped.iterdir()} <= {RUN_FILE, POLICY_FILE, "README.md"}


def test_a_policy_is_refused_in_markets_of_other_units(trained: Path) -> None:
    units = {"max_offset": 10.0, "max_inventory": 50}
    with pytest.raises(AgentError, match="write max_offset=10"):
        load(trained, configure("informed", **{**units, "max_offset": 20.0}))
    with pytest.raises(AgentError, match="write max_inventory=50"):
        load(trained, configure("informed", **{**units, "max_inventory": 20}))
    load(
        trained, configure("noise", volatility=1.0, latency=0.5, **units)
    )  # another market in the same units


def test_an_installed_maker_quotes_as_its_run_and_is_small(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.registry, "TRAINED", tmp_path)
    size = install(trained, tmp_path / "tiny", sessions=4)
    assert size == (tmp_path / "tiny" / POLICY_FILE).stat().st_size < 200_000
    assert {path.name for path in (tmp_path / "tiny").iterdir()} == {
        RUN_FILE,
        POLICY_FILE,
        CARD_FILE,
    }
    seen = observations(64)
    installed = make_agent("trained/tiny", CONFIG)
    np.testing.assert_array_equal(
        installed.predict(seen)[0], load(trained, CONFIG).predict(seen)[0]
    )
    run = read_run(tmp_path / "tiny")
    sessions = run_sessions(lambda config: installed, CONFIG, episodes=4, seed=0)
    assert run.figures["objective"] == pytest.approx(sessions.objective.mean())
    assert (run.seed, run.versions) == (0, read_run(trained).versions)
    _, front_matter, card = (tmp_path / "tiny" / CARD_FILE).read_text().split("---\n", 2)
    facts = yaml.safe_load(front_matter)  # as Hugging Face's hub reads it
    assert (facts["license"], facts["library_name"]) == ("mit", "stable-baselines3")
    (result,) = facts["model-index"][0]["results"]
    assert result["metrics"][0]["value"].startswith(f"{sessions.objective.mean():.1f} +/- ")
    assert "informed, p_informed = 0.4" in card
    assert run.command in card
    with pytest.raises(AgentError, match="trained/tiny exists already: expected a new name"):
        install(trained, tmp_path / "tiny", sessions=4)
    with pytest.raises(AgentError, match="did you mean 'trained/tiny'"):
        make_agent("trained/tony", CONFIG)


def test_the_state_of_a_recurrent_maker_is_passed_to_its_next_call(tmp_path: Path) -> None:
    hyperparameters = read_hyperparameters("recurrent_ppo")
    hyperparameters[ALGORITHM_PART] |= {"n_envs": 4, "n_steps": 16, "batch_size": 64, "n_epochs": 1}
    run = Run(
        CONFIG,
        seed=0,
        n_envs=4,
        timesteps=64,
        algorithm="recurrent_ppo",
        hyperparameters=hyperparameters,
    )
    train(tmp_path, run, held_out=HeldOut(CONFIG, 2))
    agent = make_agent(str(tmp_path), CONFIG)
    seen, starts = observations(3), np.ones(3, np.bool_)
    first, state = agent.predict(seen, None, starts)
    with_state, _ = agent.predict(seen, state, ~starts)
    forgetting, _ = agent.predict(seen, state, starts)
    np.testing.assert_array_equal(first, forgetting)
    assert (np.abs(with_state - first).max(axis=1) > 0.0).all()
    # Whole sessions with the state passed on, as in the loop of stable-baselines3.
    sessions = run_sessions(lambda config: agent, CONFIG, episodes=3, seed=1)
    assert np.isfinite(sessions.objective).all()
    # The same weights, one LSTM step at a time in NumPy.
    policy = load_policy(tmp_path, read_run(tmp_path))
    weights = {name: value.numpy().astype(float) for name, value in policy.state_dict().items()}

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-x))

    hidden = cell = np.zeros((3, len(weights["lstm_actor.bias_hh_l0"]) // 4))
    for expected in (first, with_state):
        gates = seen @ weights["lstm_actor.weight_ih_l0"].T + weights["lstm_actor.bias_ih_l0"]
        gates = (
            gates + hidden @ weights["lstm_actor.weight_hh_l0"].T + weights["lstm_actor.bias_hh_l0"]
        )
        enter, forget, candidate, out = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
        layer = hidden = sigmoid(out) * np.tanh(cell)
        for index in range(
            0, 2 * len(hyperparameters[ALGORITHM_PART]["policy_kwargs"]["net_arch"]), 2
        ):
            name = f"mlp_extractor.policy_net.{index}"
            layer = np.tanh(layer @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
        mean = layer @ weights["action_net.weight"].T + weights["action_net.bias"]
        np.testing.assert_allclose(expected, np.clip(mean, -1.0, 1.0), atol=1e-5)


def test_a_run_folder_of_sac_holds_its_actor_alone(tmp_path: Path) -> None:
    model = SAC("MlpPolicy", MarketMakingVecEnv(2, "informed"), learning_starts=10, seed=0)
    model.learn(40)
    run = Run(CONFIG, seed=0, n_envs=2, timesteps=40, algorithm="sac")
    write_weights(tmp_path, model, run)
    seen = observations(64)
    wanted, _ = model.predict(seen, deterministic=True)
    agent = load(tmp_path, CONFIG)
    np.testing.assert_array_equal(agent.predict(seen)[0], wanted)
    # The same weights in NumPy.
    weights = {
        name: value.numpy().astype(float)
        for name, value in load_policy(tmp_path, run).state_dict().items()
    }
    assert not any("critic" in name or "qf" in name for name in weights)
    layer = seen.astype(float)
    for name in ("latent_pi.0", "latent_pi.2"):
        layer = np.maximum(layer @ weights[f"{name}.weight"].T + weights[f"{name}.bias"], 0.0)
    actions = np.tanh(layer @ weights["mu.weight"].T + weights["mu.bias"])
    np.testing.assert_allclose(wanted, actions, atol=1e-5)
    with pytest.raises(AgentError, match="the policy cannot be exported"):
        to_onnx(load_policy(tmp_path, run), run)
    with pytest.raises(ValueError, match="sac has its default hyperparameters: expected none"):
        Run(CONFIG, 0, 2, 40, algorithm="sac", hyperparameters=HYPERPARAMETERS)
