"""Run folders that cannot be used are refused, and none executes code."""

import base64
import json
import math
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import tyro

import agents
from agents import AgentError
from agents.commands import evaluate
from agents.learned.hyperparameters import ALGORITHM_PART
from agents.learned.policy import load
from agents.learned.run_folder import CHECKPOINT_FILE, POLICY_FILE, RUN_FILE
from agents.training.trainer import load_checkpoint
from tests.small_runs import CONFIG, a_run, an_untrained_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder that a test may damage."""
    return an_untrained_folder(tmp_path, a_run(1))


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
