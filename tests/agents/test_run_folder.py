"""A run folder quotes as a forward pass in NumPy does, and broken run folders are refused."""

import base64
import json
import math
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
import yaml

import agents
from agents import AgentError, make_agent
from agents.commands import evaluate
from agents.learned.hyperparameters import (
    ACTIVATIONS,
    ALGORITHM_PART,
    FOLDER,
    HyperparameterError,
    read_hyperparameters,
)
from agents.learned.policy import PPOAgent, load, load_policy
from agents.learned.run_folder import CHECKPOINT_FILE, POLICY_FILE, RUN_FILE, Run, read_run
from agents.tools.install import CARD_FILE, install
from agents.training.held_out import HeldOut
from agents.training.trainer import TrainingError, load_checkpoint, train
from mm_gym import MarketMakingVectorEnv, configure
from mm_gym.evaluation.rollout import run_sessions

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


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run folder that a test may damage."""
    for name in (RUN_FILE, POLICY_FILE):
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


# ------------------------------------------------------------------------------ broken run folders


def rewrite(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        plain = json.loads((folder / RUN_FILE).read_text())
        change(plain)
        (folder / RUN_FILE).write_text(json.dumps(plain))

    return act


def say(name: str, value: object) -> Callable[[Path], None]:
    """Set a field of `run.json`. `hyperparameters.learning.b` is argument b of the algorithm."""

    def change(plain: dict) -> None:
        *parts, last = name.replace(
            "hyperparameters.learning", f"hyperparameters.{ALGORITHM_PART}"
        ).split(".")
        for part in parts:
            plain = plain[part]
        plain[last] = value

    return rewrite(change)


def cut_in_half(name: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return act


def weigh(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        weights = torch.load(folder / POLICY_FILE, weights_only=True)
        changed = change(weights)
        torch.save(weights if changed is None else changed, folder / POLICY_FILE)

    return act


def set_first(value: float) -> Callable[[Path], None]:
    return weigh(lambda weights: weights["action_net.bias"].__setitem__(0, value))


ARCH = "hyperparameters.learning.policy_kwargs.net_arch"


@pytest.mark.parametrize(
    "damage, sentence",
    [
        (lambda folder: (folder / RUN_FILE).unlink(), "is no run folder"),
        (cut_in_half(RUN_FILE), "is damaged"),
        (
            lambda folder: (folder / RUN_FILE).write_text("[1, 2]"),
            "expected a mapping of fields, got a list",
        ),
        (
            lambda folder: (folder / RUN_FILE).write_text("null"),
            "expected a mapping of fields, got a NoneType",
        ),
        (lambda folder: (folder / RUN_FILE).write_text("[" * 100_000), "is damaged"),
        (
            lambda folder: (folder / RUN_FILE).write_text(" " * 2_000_000),
            "expected at most 1,000,000 bytes",
        ),
        (lambda folder: (folder / RUN_FILE).write_bytes(b"\xff\xfe\x00"), "is damaged"),
        (rewrite(lambda plain: plain.pop("format")), "another format: expected format 2, got none"),
        (say("format", 1), "another format: expected format 2, got 1 .train again"),
        (say("format", "2"), "another format: expected format 2, got '2'"),
        (say("format", [2] * 1000), r"another format: expected format 2, got \[2, .*\.\.\."),
        (rewrite(lambda plain: plain.pop("config")), "expected a field 'config', got none"),
        (rewrite(lambda plain: plain.pop("seed")), "expected a field 'seed', got none"),
        (say("colour", "red"), "unknown field 'colour'"),
        (say("loads", "../../x"), "unknown field 'loads'"),
        (say("config", {"regime": "informed", "p_informd": 0.3}), "p_informd"),
        (say("config", {"regime": "informed", "p_informed": 3}), "out of range"),
        (say("config", None), "expected the fields of a market in config, got None"),
        (say("config.p_informed", None), "p_informed=None is not a number"),
        (say("config.p_informed", "0.4"), "p_informed='0.4' is not a number"),
        (say("config.session_steps", [20]), r"session_steps=\[20\] is not a whole number"),
        (say("config.makers", ["none"]), "makers="),
        (say("config.volatility", math.nan), "volatility=nan is out of range"),
        (say("seed", None), "seed=None .*expected a whole number, at least 0"),
        (say("seed", -1), "seed=-1 .*expected a whole number, at least 0"),
        (say("n_envs", "4"), "n_envs='4' .*expected a whole number, at least 1"),
        (say("n_envs", True), "n_envs=True .*expected a whole number"),
        (say("timesteps", [512]), r"timesteps=\[512\] .*expected a whole number"),
        (say("timesteps", 10**400), "timesteps=1000.*expected a whole number"),
        (say("steps_done", math.nan), "steps_done=nan .*expected a whole number"),
        (say("steps_done", math.inf), "steps_done=inf .*expected a whole number"),
        (say("algorithm", None), "algorithm=None .*expected one of ppo"),
        (say("algorithm", "pop"), "algorithm='pop' is unknown: expected one of ppo"),
        (
            say("algorithm", "recurrent_ppo"),
            "policy does not suit recurrent_ppo: expected MlpLstmPolicy, got MlpPolicy",
        ),
        (say("engine", ["sb3"]), "engine=.*expected one of sb3"),
        (say("engine", "rllib"), "holds no policy: expected policy.npz"),
        (say("command", 7), "command=7 .*expected text"),
        (say("observation", "inventory"), "expected names of columns"),
        (say("observation", [1, 2]), "expected names of columns"),
        (say("observation", ["inventory", "spread"]), "expected the .* columns .*, got 2 columns"),
        (say("versions", ["1.0"]), "versions="),
        (say("versions", {"torch": None}), "versions="),
        (say("figures", {"objective": "high"}), "figures="),
        (say("figures", {"objective": math.nan}), "figures="),
        (say("hyperparameters", None), "hyperparameters=None .*expected a mapping"),
        (say("hyperparameters", [1]), r"hyperparameters=\[1\] .*expected a mapping"),
        (
            say("hyperparameters.learning", "fast"),
            "MarketMaking-v0 cannot be used: expected a mapping, got 'fast'",
        ),
        (say("hyperparameters.start", {}), "unknown name in the hyperparameters.*got 'start'"),
        (
            say("hyperparameters.learning.policy", "MultiInputPolicy"),
            "policy cannot be used: expected one of MlpPolicy",
        ),
        (
            say("hyperparameters.learning.policy_kwargs", "dict(net_arch=[8])"),
            "policy_kwargs cannot be used",
        ),
        (
            say("hyperparameters.learning.policy_kwargs.features_extractor_class", "os"),
            "unknown name in policy_kwargs",
        ),
        (
            say("hyperparameters.learning.policy_kwargs.activation_fn", "os.system"),
            "expected one of silu, tanh, relu",
        ),
        (
            say("hyperparameters.learning.policy_kwargs.activation_fn", ["silu"]),
            "expected one of silu, tanh, relu",
        ),
        (
            say("hyperparameters.learning.policy_kwargs.log_std_init", math.nan),
            "log_std_init cannot be used",
        ),
        (
            say("hyperparameters.learning.policy_kwargs.lstm_hidden_size", 8),
            "lstm_hidden_size is for recurrent_ppo only",
        ),
        (
            say("hyperparameters.learning.gamma", "0.99"),
            "gamma cannot be used: expected a number from 0 to 1, got '0.99'",
        ),
        (say("hyperparameters.learning.learning_rate", "lin_fast"), "learning_rate cannot be used"),
        (
            say("hyperparameters.history_features", "yes"),
            "history_features cannot be used: expected true or false",
        ),
        (
            say(ARCH, [10**9]),
            "net_arch cannot be used: expected a list of at most 8 whole numbers from 1 to 1024",
        ),
        (say(ARCH, [64] * 1000), "net_arch cannot be used: expected a list of at most 8"),
        (say(ARCH, {"pi": [64, 64], "vf": [-1]}), "net_arch.vf cannot be used"),
        (say(ARCH, {"pi": [64, 64], "vf": None}), "net_arch.vf cannot be used"),
        (say(ARCH, {"pi": [64, 64]}), "net_arch is incomplete: expected vf"),
        (say(ARCH, [64.0, 64.0]), "net_arch cannot be used"),
        (say(ARCH, "64"), "net_arch cannot be used"),
        (say(ARCH, [64, 32]), r"of shape \(32, 64\), got \(64, 64\)"),
        (say(ARCH, [64]), "expected no tensor 'mlp_extractor.policy_net.2.weight', got one"),
        (
            say(ARCH, [64, 64, 64]),
            "expected a tensor 'mlp_extractor.policy_net.4.weight', got none",
        ),
        (lambda folder: (folder / POLICY_FILE).unlink(), "holds no policy: expected policy.pth"),
        (lambda folder: (folder / POLICY_FILE).write_bytes(b""), "is damaged"),
        (lambda folder: (folder / POLICY_FILE).write_bytes(b"PK"), "is damaged"),
        (cut_in_half(POLICY_FILE), "is damaged"),
        (set_first(math.nan), "expected finite numbers in 'action_net.bias', got NaN or infinity"),
        (set_first(-math.inf), "expected finite numbers in 'action_net.bias', got NaN or"),
        (
            weigh(lambda weights: weights.pop("log_std") is None or None),
            "expected a tensor 'log_std', got none",
        ),
        (
            weigh(lambda weights: weights.update(more=torch.zeros(1))),
            "expected no tensor 'more', got one",
        ),
        (
            weigh(lambda weights: weights.update(log_std=None)),
            "expected a tensor 'log_std', got a NoneType",
        ),
        (
            weigh(lambda weights: weights.update(log_std=[1.0, 2.0])),
            "expected a tensor 'log_std', got a list",
        ),
        (
            weigh(lambda weights: weights.update(log_std=torch.zeros(3))),
            r"expected 'log_std' of shape \(2,\), got \(3,\)",
        ),
        (
            weigh(lambda weights: weights.update(log_std=torch.zeros(2).long())),
            "expected a dense torch.float32 on the CPU as 'log_std', got torch.int64",
        ),
        (
            weigh(lambda weights: weights.update(log_std=torch.zeros(2).to_sparse())),
            "expected a dense torch.float32 .* 'log_std', got torch.float32, torch.sparse_coo",
        ),
        (
            weigh(lambda weights: weights.update(log_std=torch.zeros(2, device="meta"))),
            "expected a dense torch.float32 .* 'log_std', got .* on meta",
        ),
        (weigh(lambda weights: list(weights.values())), "expected tensors by name, got a list"),
    ],
)
def test_a_run_folder_that_cannot_be_used_is_refused_in_one_sentence(
    folder: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    damage(folder)
    with pytest.raises(AgentError, match=sentence) as caught:
        load(folder, CONFIG)
    assert str(folder) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


class Creates:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self._path, "w")


@pytest.mark.parametrize(
    "also", ["policy.pth", "weights in policy.pth", "model.zip", "best.zip", CHECKPOINT_FILE]
)
def test_evaluating_the_folder_of_a_stranger_runs_no_code_from_it(
    also: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    created = tmp_path / "created"
    content = pickle.dumps(Creates(created))
    pickle.loads(content).close()
    assert created.exists()  # unpickling it does create the file
    created.unlink()
    if also == "policy.pth":
        (folder / POLICY_FILE).write_bytes(content)
    elif also == "weights in policy.pth":
        weights = torch.load(folder / POLICY_FILE, weights_only=True)
        torch.save(weights | {"log_std": Creates(created)}, folder / POLICY_FILE)
    else:
        data = json.dumps(
            {"policy_class": {":type:": "", ":serialized:": base64.b64encode(content).decode()}}
        )
        with zipfile.ZipFile(folder / also, "w") as archive:
            archive.writestr("data", data)
            archive.writestr("policy.pth", content)
        if also == CHECKPOINT_FILE:  # resuming does unpickle it
            with pytest.raises(AgentError):
                load_checkpoint(folder)
            assert created.exists()
            created.unlink()
    harmless = also not in ("policy.pth", "weights in policy.pth")
    arguments = [
        "--agents",
        str(folder),
        "--regimes",
        "informed",
        "--episodes",
        "2",
        "--out",
        str(tmp_path / "out"),
    ]
    monkeypatch.setattr(evaluate, "write_report", lambda *_: None)
    monkeypatch.setattr(evaluate.plans, "plan_markets", lambda *_: [(CONFIG, {})])
    judged = tyro.cli(evaluate.Arguments, args=arguments)
    if harmless:
        evaluate.main(judged)
    else:
        with pytest.raises(AgentError, match=r"policy\.pth is damaged or no file of weights"):
            evaluate.main(judged)
    assert not created.exists()


@pytest.mark.parametrize("script", ["evaluate.py", "train.py"])
def test_the_scripts_refuse_a_broken_folder_in_one_line_and_exit_with_two(
    script: str, folder: Path
) -> None:
    say("seed", None)(folder)
    arguments = ["--agents", str(folder)] if script == "evaluate.py" else ["--resume", str(folder)]
    root = Path(agents.__file__).parents[1]
    out = ["--out", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, script, *arguments, *out], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"{script}: {folder / RUN_FILE} is damaged")
    assert len(done.stderr.splitlines()) == 1


def test_every_shipped_maker_can_be_loaded() -> None:
    for shipped in sorted(agents.TRAINED.glob("*/")):
        run = read_run(shipped)
        agent = load(shipped, run.config)
        environment = MarketMakingVectorEnv(2, **run.config.to_dict())
        actions, _ = agent.predict(environment.reset(seed=0)[0])
        assert np.isfinite(actions).all()
        assert {path.name for path in shipped.iterdir()} <= {RUN_FILE, POLICY_FILE, "README.md"}


@pytest.mark.parametrize(
    "text, kwargs",
    [
        (
            '"dict(net_arch=[8, 4], activation_fn=nn.ReLU)"',
            {"net_arch": [8, 4], "activation_fn": "relu"},
        ),
        (
            '"dict(net_arch=dict(pi=[8], vf=[4]), log_std_init=-1.5)"',
            {"net_arch": {"pi": [8], "vf": [4]}, "log_std_init": -1.5},
        ),
        ("{net_arch: [8], activation_fn: silu}", {"net_arch": [8], "activation_fn": "silu"}),
    ],
)
def test_a_network_may_be_a_string_as_for_rl_zoo3_or_a_mapping(
    text: str, kwargs: dict[str, object], tmp_path: Path
) -> None:
    assert hyperparameters_with(text, tmp_path)[ALGORITHM_PART]["policy_kwargs"] == kwargs


@pytest.mark.parametrize(
    "text",
    [
        '"dict(net_arch=[8], activation_fn=nn.Softsign)"',
        "\"dict(net_arch=open('created', 'w'))\"",
        "\"__import__('os').getcwd()\"",
        '"dict(**{})"',
        '"dict(net_arch=["',
        '"64"',
    ],
)
def test_any_other_string_for_a_network_is_refused_and_never_evaluated(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HyperparameterError, match="expected"):
        hyperparameters_with(text, tmp_path)
    assert not (tmp_path / "created").exists()


def hyperparameters_with(policy_kwargs: str, folder: Path) -> dict:
    lines = (FOLDER / "ppo.yml").read_text().splitlines()
    path = folder / "hyperparameters.yml"
    path.write_text(
        "\n".join(
            line if "policy_kwargs:" not in line else f"  policy_kwargs: {policy_kwargs}"
            for line in lines
        )
    )
    return read_hyperparameters(str(path))


def test_the_network_in_the_shipped_files_is_what_rl_zoo3_evaluates() -> None:
    """rl_zoo3 evaluates the string with `nn` of torch. This project only parses it."""
    for path in FOLDER.glob("*.yml"):
        learning = yaml.safe_load(path.read_text())[ALGORITHM_PART]
        theirs = eval(learning["policy_kwargs"], {"nn": torch.nn})
        ours = read_hyperparameters(path.stem)[ALGORITHM_PART]["policy_kwargs"]
        if "activation_fn" in ours:
            ours = ours | {"activation_fn": getattr(torch.nn, ACTIVATIONS[ours["activation_fn"]])}
        assert ours == theirs


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
    with pytest.raises(TrainingError, match="is not empty: expected a new or empty folder"):
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
