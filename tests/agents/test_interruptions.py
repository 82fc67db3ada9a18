"""Interrupted trainings lose at most the decisions since a checkpoint, and can be resumed."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents.training.trainer
from agents.learned.policy import load
from agents.learned.run_folder import CHECKPOINT_FILE, RUN_FILE, read_run
from agents.training.held_out import HELD_OUT_SEED
from agents.training.trainer import (
    algorithm_class,
    load_checkpoint,
    stream_seed,
)
from mm_gym import configure
from mm_gym.command import Terminated
from mm_gym.evaluation.rollout import session_seeds
from mm_gym.files import replace_file
from mm_gym.sb3 import MarketMakingVecEnv
from tests.small_runs import (
    HYPERPARAMETERS,
    N_EPOCHS,
    N_MARKETS,
    ROOT,
    UPDATE,
    a_run,
    send_at,
    weights,
)
from tests.small_runs import small as small  # a fixture

pytestmark = pytest.mark.usefixtures("small")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_a_checkpoint_and_resuming_continues_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    handler = signal.getsignal(number)
    steps = send_at(monkeypatch, 3 * (UPDATE // N_MARKETS) + 10, number)  # in the fourth collection
    kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
    with pytest.raises(kind):
        agents.training.trainer.train(tmp_path, a_run(6), checkpoint_every=10**9)
    stopped = read_run(tmp_path)
    assert len(steps) == 3 * (UPDATE // N_MARKETS) + 10
    assert signal.getsignal(number) is handler
    assert stopped.steps_done == 3 * UPDATE
    model = load_checkpoint(tmp_path)
    assert model.num_timesteps == 3 * UPDATE
    assert model._n_updates == 3 * N_EPOCHS
    assert not list(tmp_path.glob("*.partial"))

    done = agents.training.trainer.train(tmp_path, stopped, resume_from=tmp_path)
    assert done.steps_done == 6 * UPDATE
    assert load_checkpoint(tmp_path)._n_updates == 6 * N_EPOCHS
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    # TensorBoard reads files in the order of their names. Files of the same second end in a counter
    # without leading zeros, so "10" comes before "9". Therefore the steps are sorted here.
    assert sorted(scalar.step for scalar in log.Scalars("market/pnl")) == [
        UPDATE * update for update in range(1, 7)
    ]


def test_a_resumed_run_starts_from_the_saved_weights_in_new_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[np.ndarray] = []
    reset = MarketMakingVecEnv.reset
    monkeypatch.setattr(
        MarketMakingVecEnv, "reset", lambda self: starts.append(reset(self)) or starts[-1]
    )
    first = agents.training.trainer.train(tmp_path / "run", a_run(2))
    # With a learning rate of zero the weights do not change after the resumption.
    saved = load_checkpoint(tmp_path / "run")
    saved.lr_schedule = lambda progress: 0.0
    replace_file(tmp_path / "run" / CHECKPOINT_FILE, b"")
    saved.save(tmp_path / "run" / CHECKPOINT_FILE)
    agents.training.trainer.train(
        tmp_path / "on", dataclasses.replace(first, timesteps=3 * UPDATE), tmp_path / "run"
    )
    before, after = weights(tmp_path / "run"), weights(tmp_path / "on")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert load_checkpoint(tmp_path / "on").num_timesteps == 3 * UPDATE
    assert len(starts) == 2
    assert not np.array_equal(starts[0], starts[1])


def test_training_and_evaluation_share_no_session() -> None:
    held_out = set(session_seeds(HELD_OUT_SEED, 4096).tolist())
    for seed in range(20):
        judged = set(session_seeds(seed, 4096).tolist())
        assert judged.isdisjoint(held_out)
        judged |= held_out
        for steps_done in (0, 16_384, 114_688, 2_015_232):
            first = stream_seed(seed, steps_done)
            assert judged.isdisjoint(range(first, first + 1024))


def test_checkpoints_are_saved_at_the_interval_and_survive_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    ppo = algorithm_class("ppo")
    original = ppo.train
    updates: list[int] = []

    def crashing(self: ppo) -> None:
        updates.append(self.num_timesteps)
        if len(updates) == 6:
            raise Crash
        original(self)

    monkeypatch.setattr(ppo, "train", crashing)
    with pytest.raises(Crash):
        agents.training.trainer.train(tmp_path, a_run(10), checkpoint_every=2 * UPDATE)
    # Checkpoints were saved at 0, 2 and 4 updates. The sixth update failed.
    assert read_run(tmp_path).steps_done == load_checkpoint(tmp_path).num_timesteps == 4 * UPDATE


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="full"):
        replace_file(path, b"new and longer")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    replace_file(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert list(tmp_path.iterdir()) == [path]


def start_training(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "train.py", "--threads", "1", "--checkpoint-every", "1", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 120.0
    while not condition():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < limit
        time.sleep(0.0002)


def test_a_kill_while_a_checkpoint_is_written_leaves_a_usable_one(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = 0
    small = tmp_path / "small.yml"
    small.write_text(yaml.safe_dump(HYPERPARAMETERS))
    for arguments in (["--out", str(out), "--hyperparameters", str(small)], ["--resume", str(out)]):

        def ahead(least: int = done) -> bool:
            return (out / RUN_FILE).is_file() and read_run(out).steps_done > least

        process = start_training("--timesteps", "100000000", "--n-envs", "64", *arguments)
        try:
            wait_for(process, ahead)
            wait_for(process, lambda: any(out.glob("*.partial")))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stderr.close()  # type: ignore[union-attr]
        model = load_checkpoint(out)
        # Weights are written before `run.json`. After a kill between the two, `run.json` describes
        # the previous checkpoint.
        assert done < read_run(out).steps_done <= model.num_timesteps
        actions, _ = load(out, configure("mixed")).predict(np.zeros((3, 18), np.float32))
        assert np.isfinite(actions).all()
        done = model.num_timesteps
