"""SIGTERM, SIGINT, SIGKILL at random moments: only the last interval is lost, nothing is corrupt.

`make fuzz` sends more of them (MM_GYM_STOPS).
"""

import copy
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType, SimpleNamespace

import numpy as np
import pytest
import torch

from agents import name_agent
from agents.invocation import run_command
from agents.learned.policy import load
from agents.learned.run_folder import RUN_FILE, read_run
from agents.rules.tuned import read_tuned
from agents.training.trainer import load_checkpoint, train
from agents.tuning.__main__ import Arguments as Tuning
from agents.tuning.__main__ import main as tune
from agents.tuning.search import Effort
from mm_gym import configure
from mm_gym.command import Terminated, deferred_signals, raise_on_termination
from mm_gym.data.events import convert, read_events
from mm_gym.data.formats import open_file
from mm_gym.data.lobster import order_book_of, write
from mm_gym.data.simulation import record_market
from mm_gym.evaluation.plans import plan_markets, run_grid
from mm_gym.reporting.artefacts import results_folder, write_summary
from tests.small_runs import CONFIG, UPDATE, a_run
from tests.small_runs import small as small  # a fixture

STOPS = int(os.environ.get("MM_GYM_STOPS", "6"))
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts. A shell starts a program in the background so that it does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Moments:
    """Counts the calls and returns of Python functions, and sends this process a signal at one.

    So a moment does not depend on how fast or busy the machine is.
    """

    def __init__(self, at: int = -1, number: signal.Signals = signal.SIGTERM) -> None:
        self.count = 0
        self._at = at
        self._number = number

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        self.count += 1
        if self.count == self._at:
            signal.raise_signal(self._number)

    def run(self, work: Callable[[], object]) -> bool:
        """Run something. Returns whether it was stopped."""
        try:
            with raise_on_termination():
                sys.setprofile(self)  # within the block: before it, SIGTERM would end pytest
                try:
                    work()
                finally:
                    sys.setprofile(None)
        except KeyboardInterrupt:
            return True
        return False


class How(Enum):
    """How some work ended."""

    WHOLE = 0
    STOPPED = 1
    """By SIGTERM or SIGINT: it could clean up."""
    KILLED = 2
    """By SIGKILL, perhaps after its end."""


def killed(work: Callable[[], object], at: int) -> None:
    """Run something in a child process that SIGKILL ends at a moment."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: a fork with threads
        child = os.fork()
    if child == 0:
        try:
            Moments(at, signal.SIGKILL).run(work)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def files_in(folder: Path, how: How) -> set[str]:
    """Names of the files in a folder. Only a killed process may leave parts of files behind."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if how == How.KILLED:
        names = {
            name for name in names if not name.endswith(".partial") and not name.startswith(".")
        }
    return names


def at_random(work: Callable[[Path], object], check: Callable[[Path, How], None], to: Path) -> int:
    """Stop the work at `STOPS` random moments and check what is in its folder each time.

    Returns how often it was stopped before it ended.
    """

    def folder(name: object) -> Path:
        (to / str(name)).mkdir()
        return to / str(name)

    random, whole = Random(0), Moments()
    work(folder("compiled"))
    whole.run(lambda: work(folder("whole")))
    check(to / "whole", How.WHOLE)
    stopped = 0
    for name in range(STOPS):
        number = random.choice(SIGNALS)
        moment = random.randint(1, whole.count)
        here = folder(name)
        print(f"stop {name}: {number.name} at {moment} of {whole.count}")  # if a check fails
        if number == signal.SIGKILL:
            killed(partial(work, here), moment)
            check(here, How.KILLED)
        elif Moments(moment, number).run(partial(work, here)):
            check(here, How.STOPPED)
            stopped += 1
        else:
            check(here, How.WHOLE)
    return stopped


@pytest.mark.usefixtures("small")
def test_a_training_that_is_stopped_at_any_moment_can_be_read_and_resumed(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        train(folder, a_run(2), checkpoint_every=UPDATE, evaluate_every=UPDATE)

    def check(folder: Path, how: How) -> None:
        assert not [name for name in files_in(folder, how) if name.endswith(".partial")]
        if not (folder / RUN_FILE).exists():
            assert how != How.WHOLE  # before the first checkpoint
            return
        run = read_run(folder)
        steps_done = load_checkpoint(folder).num_timesteps
        # The checkpoint is written first, and `run.json` last.
        newer = (0, UPDATE) if how == How.KILLED else (0,)
        assert steps_done - run.steps_done in newer
        assert run.steps_done % UPDATE == 0
        actions, _ = load(folder, CONFIG).predict(np.zeros((3, 18), np.float32))
        assert np.isfinite(actions).all()
        if 0 < steps_done < run.timesteps or run.steps_done < steps_done:
            assert train(folder, run, resume_from=folder).steps_done == run.timesteps

    assert at_random(work, check, tmp_path) > 0


@pytest.mark.usefixtures("small")
def test_a_training_runs_after_an_interrupt_that_left_gradients_off(tmp_path: Path) -> None:
    with torch.no_grad():
        run = train(tmp_path, a_run(2), evaluate_every=10 * UPDATE)
    assert run.steps_done == run.timesteps


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_training_that_is_stopped_while_it_copies_its_weights_keeps_whole_updates(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights and optimizer are copied one after the other, at the start of each rollout."""
    calls = 0

    def deepcopy(value: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Terminated
        return copy.deepcopy(value)

    monkeypatch.setattr("agents.training.callbacks.copy", SimpleNamespace(deepcopy=deepcopy))
    with pytest.raises(Terminated):
        train(tmp_path, a_run(2), checkpoint_every=UPDATE, evaluate_every=10 * UPDATE)
    if call <= 2:  # before the first checkpoint
        assert not (tmp_path / RUN_FILE).exists()
        return
    assert read_run(tmp_path).steps_done == 0
    assert load_checkpoint(tmp_path).num_timesteps == 0


@pytest.mark.parametrize("where", ["run_sessions", "pictures_of"])
def test_termination_does_not_wait_for_an_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: None, where: str
) -> None:
    def terminated(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the evaluation went on")

    monkeypatch.setattr(f"agents.training.held_out.{where}", terminated)
    with pytest.raises(Terminated):
        train(tmp_path, a_run(3), evaluate_every=UPDATE)
    assert read_run(tmp_path).steps_done == load_checkpoint(tmp_path).num_timesteps == UPDATE


def test_a_stopped_tuning_keeps_the_finished_searches(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        effort = Effort(trials=2, sessions=1, finalists=1, final_sessions=2)
        tune(Tuning("fixed_spread", "noise,imbalanced", effort=effort, out=folder / "tuned.json"))

    def check(folder: Path, how: How) -> None:
        assert files_in(folder, how) <= {"tuned.json"}
        assert how != How.WHOLE or len(read_tuned(folder / "tuned.json")) == 2
        read_tuned(folder / "tuned.json")

    assert at_random(work, check, tmp_path) > 0


def test_a_stopped_evaluation_leaves_no_file(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        with results_folder(folder / "out") as out:
            markets = plan_markets(["noise"])
            results = run_grid(name_agent, ["fixed_spread"], markets, episodes=4)
            write_summary(out, results.rows, {})

    def check(folder: Path, how: How) -> None:
        found = files_in(folder, how)
        assert found in (set(), {"out/summary.csv", "out/summary.json"})
        assert found or how != How.WHOLE

    assert at_random(work, check, tmp_path) > 0


def test_a_stopped_conversion_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    messages = tmp_path / "message.csv"
    write(record_market(configure(), 200.0), messages, order_book_of(messages))

    def work(folder: Path) -> None:
        convert(open_file(messages, None, None), folder / "day.parquet")

    def check(folder: Path, how: How) -> None:
        assert files_in(folder, how) <= {"day.parquet"}
        if how == How.WHOLE or (folder / "day.parquet").exists():
            assert len(read_events(folder / "day.parquet")) > 100

    assert at_random(work, check, tmp_path) > 0


@pytest.mark.parametrize(
    "number, code, said",
    [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")],
)
def test_a_command_that_a_signal_stops_says_so_in_one_line(
    capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int, said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_command("train.py", lambda: signal.raise_signal(number))
    assert stopped.value.code == code
    line = f"train.py: stopped by {said}. Files that were not complete are removed.\n"
    assert capsys.readouterr() == ("", line)


def test_a_deferred_signal_arrives_after_the_block_and_a_second_one_at_once() -> None:
    done = []

    def once() -> None:
        with raise_on_termination(), deferred_signals() as waits:
            assert not waits.is_set()
            signal.raise_signal(signal.SIGTERM)
            assert waits.is_set()
            done.append(1)

    def twice() -> None:
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            done.append(2)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second signal waited")

    with pytest.raises(Terminated):
        once()
    with pytest.raises(KeyboardInterrupt):
        twice()
    assert done == [1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
