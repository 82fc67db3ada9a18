"""Faults of the machine: a full disk, a clock that jumps, no terminal, processes that fork."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import mm_gym  # noqa: F401  (registers the environment)
from agents import name_agent
from agents.invocation import run_command
from agents.learned.run_folder import read_run
from agents.training.trainer import load_checkpoint, train
from mm_gym import configure
from mm_gym.data.events import convert, read_events
from mm_gym.data.formats import open_file
from mm_gym.data.lobster import order_book_of, write
from mm_gym.data.simulation import record_market
from mm_gym.evaluation.plans import plan_markets, run_grid
from mm_gym.reporting.artefacts import results_folder, write_summary
from tests.small_runs import ROOT, UPDATE, a_run, weights
from tests.small_runs import small as small  # a fixture

# ------------------------------------------------------------------------------------- a full disk


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can have more bytes. What the system answers then is an error, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def is_refused(work: Callable[[], object], size: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a command on a disk that is full after `size` bytes: exit code 2 and one line."""
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"), room_for(size):
        run_command("it", work)
    (line,) = capsys.readouterr().err.splitlines()
    assert "File too large" in line


@pytest.mark.usefixtures("small")
def test_a_training_on_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = train(tmp_path, a_run(1))
    before = weights(tmp_path)
    is_refused(lambda: train(tmp_path, a_run(2), resume_from=tmp_path), 1_000, capsys)
    assert not list(tmp_path.glob("*.partial"))
    assert read_run(tmp_path) == done
    assert load_checkpoint(tmp_path).num_timesteps == UPDATE
    for name, value in weights(tmp_path).items():
        np.testing.assert_array_equal(value, before[name])
    assert train(tmp_path, a_run(2), resume_from=tmp_path).steps_done == 2 * UPDATE


def test_an_evaluation_or_conversion_on_a_full_disk_leaves_all_or_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = tmp_path / "message.csv"
    write(record_market(configure(), 100.0), messages, order_book_of(messages))
    converted = tmp_path / "day.parquet"

    def evaluate() -> None:
        with results_folder(tmp_path / "out") as out:
            results = run_grid(name_agent, ["fixed_spread"], plan_markets(["noise"]), episodes=4)
            write_summary(out, results.rows, {})

    def convert_it() -> None:
        convert(open_file(messages, None, None), converted)

    for size in (0, 100, 1_000, 3_000):
        is_refused(convert_it, size, capsys)
        assert {path.name for path in tmp_path.iterdir()} == {
            "message.csv",
            order_book_of(messages).name,
        }
    for size in (0, 100, 1_000):
        is_refused(evaluate, size, capsys)
        assert not list(tmp_path.glob("*out*"))
    convert_it()
    n_events = len(read_events(converted))
    is_refused(convert_it, 3_000, capsys)
    assert len(read_events(converted)) == n_events > 100


# ------------------------------------------------------------------------------ a clock that jumps


@pytest.mark.usefixtures("small")
def test_a_clock_that_jumps_by_days_does_not_change_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "steady", a_run(2), checkpoint_every=UPDATE, evaluate_every=UPDATE)
    random, now = Random(0), time.time

    def jumping() -> float:
        return now() + random.choice([-86_400.0, 0.0, 86_400.0])

    monkeypatch.setattr(time, "time", jumping)
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * jumping()))
    train(tmp_path / "jumping", a_run(2), checkpoint_every=UPDATE, evaluate_every=UPDATE)
    steady = weights(tmp_path / "steady")
    for name, value in weights(tmp_path / "jumping").items():
        np.testing.assert_array_equal(value, steady[name])
    resumed = train(tmp_path / "jumping", a_run(3), resume_from=tmp_path / "jumping")
    assert resumed.steps_done == 3 * UPDATE


# ------------------------------------------------------------------------------------- no terminal


def test_an_evaluation_needs_no_terminal_and_no_open_stream(tmp_path: Path) -> None:
    command = (
        f"exec {sys.executable} {ROOT / 'evaluate.py'} --agents fixed_spread --regimes noise "
        f"--episodes 4 --out {tmp_path / 'out'} <&- >&- 2>&-"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TERM"}
    ran = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment, start_new_session=True, check=False
    )
    assert ran.returncode == 0
    assert (tmp_path / "out" / "summary.csv").read_text().count("\n") == 2


# ---------------------------------------------------------------------------------- fork and spawn


def _market() -> gymnasium.Env:
    return gymnasium.make("mm_gym:MarketMaking-v0", regime="informed", session_steps=20)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12: a fork with threads
@pytest.mark.parametrize("context, n", [("fork", 3), ("spawn", 1)])
def test_markets_in_processes_that_fork_or_spawn_are_those_of_this_process(
    context: str, n: int
) -> None:
    others, here = AsyncVectorEnv([_market] * n, context=context), SyncVectorEnv([_market] * n)
    try:
        results = [environment.reset(seed=5) for environment in (others, here)]
        np.testing.assert_array_equal(results[0][0], results[1][0])
        actions = np.random.default_rng(0).uniform(-1.0, 1.0, (45, n, 2)).astype(np.float32)
        for action in actions:
            stepped = [environment.step(action) for environment in (others, here)]
            for one, other in zip(stepped[0][:4], stepped[1][:4], strict=True):
                np.testing.assert_array_equal(one, other)
    finally:
        others.close()
