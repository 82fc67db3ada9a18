"""Training with Ray RLlib, end to end: learning, export, interruption and resumption."""

import dataclasses
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytest.importorskip(
    "ray", reason="Ray is not installed; it is tested in an environment of its own: make test-ray"
)

from ray.cluster_utils import Cluster
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module import RLModule

import agents.training.rllib
import agents.training.trainer
import train
from agents import AgentError, make_agent
from agents.backends import OBJECT_STORE, BackendError
from agents.learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from agents.learned.network import load_layers
from agents.learned.policy import layers_of, quoting_agent
from agents.learned.run_folder import RUN_FILE, Run, read_run
from agents.training.trainer import TrainingError, new_model, training_markets
from mm_gym import configure
from mm_gym.evaluation.rollout import run_sessions

ROOT = Path(train.__file__).parent
UPDATE = 2048
N_MARKETS = 64
# In the dealer market a quote at offset d is filled at rate exp(-d / 3) / 2 a second and earns d.
# In 100 seconds both sides earn 45 at 9 ticks, the initial offset, and 110 at 3 ticks, the best.
CONFIG = configure(
    "dealer", session_steps=100, max_offset=72.0
)  # the map of actions is cubic, so an untrained policy quotes an eighth of max_offset
FAST = read_hyperparameters("ppo")
FAST[ALGORITHM_PART] |= {
    "n_envs": N_MARKETS,
    "n_steps": UPDATE // N_MARKETS,
    "batch_size": UPDATE // 4,
    "learning_rate": "lin_0.003",
    "gamma": 0.9,
    "n_epochs": 8,
    # A standard deviation of 3 ticks: the offset has a slope of 27 ticks per action at 9 ticks.
    "policy_kwargs": {"net_arch": [64, 64], "activation_fn": "tanh", "log_std_init": -2.2},
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def a_run(timesteps: int, **hyperparameters: Any) -> Run:
    changed = FAST | {ALGORITHM_PART: FAST[ALGORITHM_PART] | hyperparameters}
    return Run(CONFIG, 0, N_MARKETS, timesteps, hyperparameters=changed, engine="rllib")


def trained_here(folder: Path, run: Run, *arguments: Any, **named: Any) -> Run:
    folder.mkdir(exist_ok=True)
    return agents.training.rllib.train(folder, run, *arguments, **named)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    agents.training.rllib.train(folder, a_run(60_000))
    return folder


def module_of(folder: Path) -> RLModule:
    """The network in RLlib's checkpoint, read by RLlib."""
    (checkpoint,) = folder.glob("rllib-*")
    return RLModule.from_checkpoint(
        (checkpoint / "learner_group" / "learner" / "rl_module" / "default_policy").absolute()
    )


def policy(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "policy.npz") as arrays:
        return dict(arrays)


def observations(n: int) -> np.ndarray:
    markets = training_markets(dataclasses.replace(a_run(1), n_envs=n))
    markets.seed(9)
    seen = markets.reset()
    for _ in range(20):
        seen, *_ = markets.step(np.full((n, 2), -0.6, np.float32))
    return seen


# --------------------------------------------------------------------------------- learning, export


def test_learning_improves_quotes_that_are_rarely_filled(trained: Path) -> None:
    untrained = quoting_agent(new_model(training_markets(a_run(1)), a_run(1)), a_run(1))
    before = run_sessions(lambda config: untrained, CONFIG, episodes=64, seed=5)
    after = run_sessions(functools.partial(make_agent, str(trained)), CONFIG, episodes=64, seed=5)
    gain = after.final_pnl - before.final_pnl
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    print(gain.mean(), error)
    assert gain.mean() > max(5.0 * error, 15.0)


def test_the_exported_policy_quotes_like_rllibs_module(trained: Path) -> None:
    seen = observations(200)
    with torch.no_grad():
        inferred = module_of(trained).forward_inference({Columns.OBS: torch.as_tensor(seen)})
    inputs = inferred[Columns.ACTION_DIST_INPUTS].numpy()
    actions, _ = load_layers(trained, *layers_of(read_run(trained))).predict(seen)
    np.testing.assert_allclose(actions, inputs[:, :2].clip(-1.0, 1.0), atol=1e-6)
    assert actions.std() > 0.01
    np.testing.assert_allclose(
        np.tile(policy(trained)["log_std"], (200, 1)), inputs[:, 2:], atol=1e-6
    )


def test_both_engines_start_with_the_same_policy_and_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The training must not join this cluster, because it has no `address`.
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    run = a_run(1, learning_rate="lin_0.0")
    trained_here(tmp_path, run, env_runners=0)
    theirs = new_model(training_markets(run), run)
    seen = observations(50)
    actions, _ = load_layers(tmp_path, *layers_of(run)).predict(seen)
    np.testing.assert_allclose(actions, theirs.predict(seen, deterministic=True)[0], atol=1e-6)
    with torch.no_grad():
        values = module_of(tmp_path).compute_values({Columns.OBS: torch.as_tensor(seen)})
        wanted = theirs.policy.predict_values(torch.as_tensor(seen))[:, 0]
    np.testing.assert_allclose(values, wanted, atol=1e-5)


def test_the_run_folder_describes_the_run_and_is_evaluated_without_ray(trained: Path) -> None:
    run = read_run(trained)
    assert run.engine == "rllib"
    assert run.timesteps <= run.steps_done < run.timesteps + 2 * UPDATE
    assert "ray" in run.versions
    assert sorted(path.name for path in trained.iterdir()) == [
        "policy.npz",
        f"rllib-{run.steps_done}",
        RUN_FILE,
        "tensorboard",
    ]
    log = EventAccumulator(str(trained / "tensorboard"))
    log.Reload()
    objectives = log.Scalars("market/objective")
    assert objectives[-1].step == run.steps_done
    assert objectives[-1].value > objectives[0].value + 15.0
    assert {"market/fills", "market/pnl", "train/vf_loss"} <= set(log.Tags()["scalars"])
    program = (
        "import sys; sys.modules['ray'] = None\n"
        "from agents import make_agent\n"
        "from mm_gym.evaluation.rollout import run_sessions\n"
        "from agents.learned.run_folder import read_run\n"
        "from pathlib import Path\n"
        "config = read_run(Path(sys.argv[1])).config\n"
        "agent = lambda config: make_agent(sys.argv[1], config)\n"
        "sessions = run_sessions(agent, config, episodes=8, seed=5)\n"
        "print(sessions.objective.mean())\n"
        "print([name for name in ('torch', 'stable_baselines3') if name in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(trained)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    here = run_sessions(functools.partial(make_agent, str(trained)), CONFIG, episodes=8, seed=5)
    assert float(said[0]) == pytest.approx(here.objective.mean())
    assert said[1] == "[]"


# --------------------------------------------------------------------- interruption and resumption


def test_a_resumed_run_continues_from_its_weights_and_steps_with_other_runners_too(
    trained: Path, tmp_path: Path
) -> None:
    before = read_run(trained)
    # With a learning rate of zero the weights do not change after the resumption.
    still = dataclasses.replace(
        before,
        timesteps=before.steps_done + 2 * UPDATE,
        hyperparameters=a_run(1, learning_rate="lin_0.0").hyperparameters,
    )
    done = trained_here(tmp_path / "still", still, trained, env_runners=2)
    assert before.steps_done + 2 * UPDATE <= done.steps_done < before.steps_done + 4 * UPDATE
    assert read_run(tmp_path / "still") == done
    old, new = policy(trained), policy(tmp_path / "still")
    assert all(np.array_equal(old[name], new[name]) for name in old)
    assert read_run(trained) == before
    # With a positive rate it continues to learn, and only the latest checkpoint is kept.
    on = dataclasses.replace(
        done, timesteps=done.steps_done + 2 * UPDATE, hyperparameters=before.hyperparameters
    )
    done = trained_here(tmp_path / "still", on, tmp_path / "still", checkpoint_every=1)
    assert [path.name for path in (tmp_path / "still").glob("rllib-*")] == [
        f"rllib-{done.steps_done}"
    ]
    new = policy(tmp_path / "still")
    assert not any(np.array_equal(old[name], new[name]) for name in old)


def test_a_crash_between_two_files_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    original = agents.training.rllib.replace_file
    saved: list[Path] = []

    def crashing(path: Path, content: bytes) -> None:
        saved.append(path)
        if [each.name for each in saved].count(RUN_FILE) == 3:
            raise Crash
        original(path, content)

    monkeypatch.setattr(agents.training.rllib, "replace_file", crashing)
    monkeypatch.setattr(agents.training.trainer, "replace_file", crashing)
    with pytest.raises(Crash):
        trained_here(tmp_path / "run", a_run(10 * UPDATE), checkpoint_every=1, env_runners=0)
    monkeypatch.undo()
    run = read_run(tmp_path / "run")
    assert (
        UPDATE <= run.steps_done < 2 * UPDATE
    )  # saved after zero and one updates; failed after two
    run = dataclasses.replace(run, timesteps=run.steps_done + 1)
    done = agents.training.rllib.train(tmp_path / "run", run, tmp_path / "run", env_runners=0)
    assert done.steps_done > run.steps_done
    assert [path.name for path in (tmp_path / "run").glob("rllib-*")] == [
        f"rllib-{done.steps_done}"
    ]


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 180.0
    while not condition():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < limit
        time.sleep(0.1)


def processes_of(session: int) -> list[str]:
    """Commands of the live processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, _, _, its_session = rest.split()[:4]
        if int(its_session) == session and state != "Z":
            found.append(name)
    return found


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are counted where Linux lists them"
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_of_the_script_saves_prints_how_to_resume_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "run"
    arguments = (
        "--engine rllib --regime noise --n-envs 16 --timesteps 100000000 --checkpoint-every 1"
    )
    process = subprocess.Popen(
        [sys.executable, "train.py", *arguments.split(), "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(process, lambda: (out / RUN_FILE).is_file() and read_run(out).steps_done > 0)
        # Ctrl-C in a terminal reaches every process of the group, including those of Ray.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        said, complaints = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in complaints
    assert f"python train.py --resume {out}" in said
    assert read_run(out).steps_done > 0
    assert len(complaints.splitlines()) <= 3, complaints
    limit = time.monotonic() + 20.0
    while processes_of(process.pid) and time.monotonic() < limit:
        time.sleep(0.2)
    assert processes_of(process.pid) == []


# ------------------------------------------------------------------------------ clusters and errors


def test_it_joins_a_cluster_by_its_address_and_leaves_it_running(tmp_path: Path) -> None:
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "object_store_memory": OBJECT_STORE,
            "include_dashboard": False,
        },
    )
    try:
        done = trained_here(tmp_path / "run", a_run(UPDATE), env_runners=2, address=cluster.address)
        assert done.steps_done >= UPDATE
        with pytest.raises(TrainingError, match=r"is too small: expected 4 cores, .*, got 2"):
            trained_here(tmp_path / "more", a_run(UPDATE), env_runners=4, address=cluster.address)
    finally:
        cluster.shutdown()


def test_bad_input_is_refused_in_one_sentence(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected a divisor of 64 markets, or 0, got 3"):
        trained_here(tmp_path, a_run(UPDATE), env_runners=3)
    with pytest.raises(TrainingError, match="env_runners=-1 cannot share the markets evenly"):
        trained_here(tmp_path, a_run(UPDATE), env_runners=-1)
    with pytest.raises(AgentError, match="cannot be resumed: expected rllib-0 in it, got none"):
        trained_here(tmp_path, a_run(UPDATE), tmp_path)
    with pytest.raises(BackendError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        trained_here(tmp_path, a_run(UPDATE), address="127.0.0.1:1")
    with pytest.raises(BackendError, match="no Ray cluster answers at auto"):
        trained_here(tmp_path, a_run(UPDATE), address="auto")
    assert list(tmp_path.iterdir()) == []
