"""Run folders and the maker in them, against a forward pass in NumPy; and folders that are broken in all ways."""

import dataclasses
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import agents
from agents import AgentError, make_agent
from agents.ppo import BEST_FILE, MODEL_FILE, RUN_FILE, PPOAgent, Run, load, load_model, read_run
from agents.publish import publish
from agents.settings import ALGORITHM_PART, read_settings
from agents.training import TrainingError, train, write_run
from mm_gym import MarketMakingVectorEnv, configure
from mm_gym.evaluation.rollout import run_sessions

pytestmark = pytest.mark.filterwarnings("ignore:rich is experimental")

CONFIG = configure("informed", p_informed=0.4, session_steps=20, max_offset=10.0, max_inventory=50)


SETTINGS = read_settings("ppo")
del SETTINGS["imitation"], SETTINGS["memory"]  # tests/agents/test_imitation.py and test_memory.py
SETTINGS[ALGORITHM_PART] |= {"n_envs": 4, "n_steps": 64, "batch_size": 64}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)  # more of them stall one another where tests share the cores
    folder = tmp_path_factory.mktemp("trained")
    run = train(folder, Run(CONFIG, seed=0, n_envs=4, timesteps=512, settings=SETTINGS), held_out_sessions=4)
    write_run(folder, dataclasses.replace(run, patience=0.0))  # that is for tests/agents/test_patience.py
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy, to be broken."""
    for name in (RUN_FILE, MODEL_FILE, BEST_FILE):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    return tmp_path


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
        for name, value in load_model(trained, file=BEST_FILE).policy.state_dict().items()
    }
    layer = seen.astype(float)
    for name in ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2"):
        layer = np.tanh(layer @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
    mean = layer @ weights["action_net.weight"].T + weights["action_net.bias"]
    actions, state = load(trained, CONFIG).predict(seen)
    assert state is None
    assert actions.dtype == np.float32
    np.testing.assert_allclose(actions, np.clip(mean, -1.0, 1.0), atol=1e-5)


def test_drawn_actions_scatter_about_the_mean_as_the_policy_says(trained: Path) -> None:
    one = np.repeat(observations(1), 4_000, axis=0)
    agent = load(trained, CONFIG)
    mean = agent.predict(one)[0][0]
    drawn = agent.predict(one, deterministic=False)[0]
    # Standard deviation 0.22 and a mean near -0.7: about one draw in eleven is clipped at -1, which hides some scatter.
    spread = np.exp(load_model(trained, file=BEST_FILE).policy.log_std.detach().numpy())
    error = spread / np.sqrt(len(drawn))
    assert (np.abs(np.median(drawn, axis=0) - mean) < 5.0 * np.sqrt(np.pi / 2.0) * error).all()
    upper = np.quantile(drawn, 0.8413, axis=0) - np.median(drawn, axis=0)  # one standard deviation, never clipped
    assert (np.abs(upper - spread) < 10.0 * error).all()


def test_one_observation_gives_one_action(trained: Path) -> None:
    seen = observations(3)
    agent = load(trained, CONFIG)
    single, _ = agent.predict(seen[1])
    assert single.shape == (2,)
    np.testing.assert_allclose(single, agent.predict(seen)[0][1], atol=1e-6)


def test_a_run_folder_is_an_agent_by_its_path(trained: Path) -> None:
    assert isinstance(make_agent(str(trained), CONFIG), PPOAgent)


def test_the_run_reads_back_as_it_was_written(trained: Path) -> None:
    run = read_run(trained)
    assert run.config == CONFIG
    assert (run.seed, run.n_envs, run.timesteps, run.steps_done) == (0, 4, 512, 512)
    assert run.settings == SETTINGS
    assert {"python", "torch", "stable-baselines3", "gymnasium", "numpy", "numba"} <= set(run.versions)


def test_rules_and_run_files_need_no_torch(trained: Path) -> None:
    program = (
        "import sys, pathlib, agents, agents.ppo, mm_gym\n"
        "agents.make_agent('inventory_skew', mm_gym.configure())\n"
        "agents.ppo.read_run(pathlib.Path(sys.argv[1]))\n"
        "print([name for name in ('torch', 'stable_baselines3') if name in sys.modules])"
    )
    root = Path(agents.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, str(trained)], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def rewrite(**changes: object) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        plain = json.loads((folder / RUN_FILE).read_text())
        for key, value in changes.items():
            if value is None:
                del plain[key]
            else:
                plain[key] = value
        (folder / RUN_FILE).write_text(json.dumps(plain))

    return act


def cut_in_half(name: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return act


def other_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / BEST_FILE, "w") as archive:
        archive.writestr("holiday.txt", "sun")


@pytest.mark.parametrize(
    "damage, sentence",
    [
        (lambda folder: (folder / RUN_FILE).unlink(), "is no run folder"),
        (cut_in_half(RUN_FILE), "is damaged"),
        (rewrite(config={"regime": "informed", "p_informd": 0.3}), "p_informd"),
        (rewrite(config={"regime": "informed", "p_informed": 3}), "out of range"),
        (rewrite(config=None), "is damaged"),
        (rewrite(colour="red"), "colour"),
        (lambda folder: (folder / RUN_FILE).write_text("[1, 2]"), "is damaged"),
        (lambda folder: (folder / RUN_FILE).write_bytes(b"\xff\xfe\x00"), "is damaged"),
        (rewrite(observation=["inventory", "spread"]), "was trained on 2 observations"),
        (lambda folder: (folder / BEST_FILE).unlink(), "holds no best.zip"),
        (cut_in_half(BEST_FILE), "is damaged"),
        (lambda folder: (folder / BEST_FILE).write_bytes(b""), "is damaged"),
        (other_zip, "is damaged"),
    ],
)
def test_a_run_folder_that_cannot_be_used_is_answered_with_a_sentence(
    folder: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    assert load(folder, CONFIG).predict(observations(2))[0].shape == (2, 2)  # before
    damage(folder)
    with pytest.raises(AgentError, match=sentence) as caught:
        load(folder, CONFIG)
    assert str(folder) in str(caught.value)


def test_a_policy_is_not_used_in_other_units_than_it_was_trained_in(trained: Path) -> None:
    units = {"max_offset": 10.0, "max_inventory": 50}
    with pytest.raises(AgentError, match="write max_offset=10"):
        load(trained, configure("informed", **{**units, "max_offset": 20.0}))
    with pytest.raises(AgentError, match="write max_inventory=50"):
        load(trained, configure("informed", **{**units, "max_inventory": 20}))
    load(trained, configure("noise", volatility=1.0, latency=0.5, **units))  # another market in the same units


def test_a_published_maker_quotes_as_the_best_of_its_run_and_is_small(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "TRAINED", tmp_path)
    size = publish(trained, tmp_path / "tiny", sessions=4)
    assert size == (tmp_path / "tiny" / MODEL_FILE).stat().st_size < 200_000
    seen = observations(64)
    published = make_agent("trained/tiny", CONFIG)
    np.testing.assert_array_equal(published.predict(seen)[0], load(trained, CONFIG).predict(seen)[0])
    run = read_run(tmp_path / "tiny")
    sessions = run_sessions(lambda config: published, CONFIG, episodes=4, seed=0)
    assert run.figures["objective"] == pytest.approx(sessions.objective.mean())
    assert (run.seed, run.versions, run.loads) == (0, read_run(trained).versions, MODEL_FILE)
    with pytest.raises(TrainingError, match="holds something already"):
        publish(trained, tmp_path / "tiny", sessions=4)
    with pytest.raises(AgentError, match="did you mean 'trained/tiny'"):
        make_agent("trained/tony", CONFIG)


def test_the_memory_of_a_recurrent_maker_is_handed_back_to_it(tmp_path: Path) -> None:
    settings = read_settings("recurrent_ppo")
    settings[ALGORITHM_PART] |= {"n_envs": 4, "n_steps": 16, "batch_size": 64, "n_epochs": 1}
    run = Run(CONFIG, seed=0, n_envs=4, timesteps=64, algorithm="recurrent_ppo", settings=settings)
    train(tmp_path, run, held_out_sessions=2)
    agent = make_agent(str(tmp_path), CONFIG)
    seen, starts = observations(3), np.ones(3, np.bool_)
    first, state = agent.predict(seen, None, starts)
    remembering, _ = agent.predict(seen, state, ~starts)
    forgetting, _ = agent.predict(seen, state, starts)
    np.testing.assert_array_equal(first, forgetting)
    assert (np.abs(remembering - first).max(axis=1) > 0.0).all()
    # Sessions run to their ends, with the memory passed on, as stable-baselines3's own loop has it.
    sessions = run_sessions(lambda config: agent, CONFIG, episodes=3, seed=1)
    assert np.isfinite(sessions.objective).all()
    # The same weights, one LSTM step at a time in NumPy.
    model = load_model(tmp_path, "recurrent_ppo", BEST_FILE)
    weights = {name: value.numpy().astype(float) for name, value in model.policy.state_dict().items()}

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-x))

    hidden = cell = np.zeros((3, len(weights["lstm_actor.bias_hh_l0"]) // 4))
    for expected in (first, remembering):
        gates = seen @ weights["lstm_actor.weight_ih_l0"].T + weights["lstm_actor.bias_ih_l0"]
        gates = gates + hidden @ weights["lstm_actor.weight_hh_l0"].T + weights["lstm_actor.bias_hh_l0"]
        enter, forget, candidate, out = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
        layer = hidden = sigmoid(out) * np.tanh(cell)
        for index in range(0, 2 * len(settings[ALGORITHM_PART]["policy_kwargs"]["net_arch"]), 2):
            name = f"mlp_extractor.policy_net.{index}"
            layer = np.tanh(layer @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
        mean = layer @ weights["action_net.weight"].T + weights["action_net.bias"]
        np.testing.assert_allclose(expected, np.clip(mean, -1.0, 1.0), atol=1e-5)
