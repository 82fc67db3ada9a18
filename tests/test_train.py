"""The command `train`, from its arguments to the comparison at its end."""

import dataclasses
import functools
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import agents.training.trainer
from agents import AgentError, make_agent, rules_for
from agents.commands import train
from agents.learned.hyperparameters import (
    ALGORITHM_PART,
    HyperparameterError,
    read_hyperparameters,
)
from agents.learned.policy import load
from agents.learned.run_folder import RUN_FILE, Run, read_run
from agents.training import held_out
from agents.training.trainer import TrainingError
from mm_gym import TASKS, ConfigurationError, MarketConfig, configure
from mm_gym.evaluation.rollout import run_sessions
from tests.small_runs import (
    CONFIG,
    HYPERPARAMETERS,
    N_MARKETS,
    ROOT,
    UPDATE,
    a_run,
    an_untrained_folder,
    send_at,
)
from tests.small_runs import small as small  # a fixture

pytestmark = pytest.mark.usefixtures("small")


def test_an_interrupted_training_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compared: list[tuple[Path, MarketConfig]] = []
    monkeypatch.setattr(
        train, "compare", lambda folder, run, _: compared.append((folder, run.config))
    )
    out = tmp_path / "run"
    send_at(monkeypatch, UPDATE // N_MARKETS + 1, signal.SIGINT)
    small = tmp_path / "small.yml"
    small.write_text(yaml.safe_dump(HYPERPARAMETERS))
    arguments = train.Arguments(
        regime="informed",
        p_informed=0.4,
        set=(("latency=0.5",), ("reward=dampened",)),
        hyperparameters=str(small),
        timesteps=3 * UPDATE,
        seed=0,
        out=out,
    )
    with pytest.raises(SystemExit) as stopped:
        train.main(arguments)
    assert stopped.value.code == 130
    assert f"python train.py --resume {out}" in capsys.readouterr().out
    assert compared == []

    # With --resume alone, and with all arguments of the first call.
    assert train.main(train.Arguments(resume=out, threads=1)) == out
    assert str(out) in capsys.readouterr().out
    config = configure("informed", p_informed=0.4, latency=0.5, reward="dampened")
    assert compared == [(out, config)]
    assert read_run(out).steps_done == 3 * UPDATE
    train.main(dataclasses.replace(arguments, timesteps=4 * UPDATE, resume=out))
    assert read_run(out).steps_done == 4 * UPDATE

    elsewhere = tmp_path / "elsewhere"
    train.main(train.Arguments(resume=out, out=elsewhere, timesteps=5 * UPDATE))
    assert read_run(out).steps_done == 4 * UPDATE
    assert read_run(elsewhere).steps_done == 5 * UPDATE
    assert read_run(elsewhere).config == config
    assert load(elsewhere, config).predict(np.zeros((1, 18), np.float32))[0].shape == (1, 2)


def test_an_interrupt_after_the_budget_prints_how_to_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    hyperparameters = tmp_path / "short.yml"
    hyperparameters.write_text(yaml.safe_dump(HYPERPARAMETERS))
    monkeypatch.setattr(train, "compare", interrupted)
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as stopped:
        train.main(
            train.Arguments(
                "noise", hyperparameters=str(hyperparameters), timesteps=UPDATE, out=out
            )
        )
    assert stopped.value.code == 130
    printed = " ".join(capsys.readouterr().out.split())
    assert f"python evaluate.py --agents {out} --regimes noise" in printed
    assert "--resume" not in printed
    assert load(out, read_run(out).config).predict(np.zeros((1, 18), np.float32))[0].shape == (1, 2)


def test_the_comparison_shows_the_trained_maker_beside_every_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(held_out, "rules_for", rules_for)
    folder = tmp_path / "m"
    with held_out.HeldOut(CONFIG, 8) as sessions:
        run = agents.training.trainer.train(folder, a_run(1), held_out=sessions)
        capsys.readouterr()
        train.compare(folder, run, sessions)
    printed = capsys.readouterr().out
    assert all(rule[:20] in printed for rule in rules_for(CONFIG))  # the table breaks longer names
    objectives = {
        name: run_sessions(
            functools.partial(make_agent, name), CONFIG, episodes=8, seed=held_out.HELD_OUT_SEED
        ).objective
        for name in (*rules_for(CONFIG), str(folder))
    }
    trained = objectives.pop(str(folder))
    assert f"{trained.mean():.1f}" in printed
    best = max(objectives, key=lambda name: objectives[name].mean())
    gap = re.search(rf"the best rule, {best}: (\S+) ", " ".join(printed.split()))
    assert gap is not None
    assert float(gap[1]) == pytest.approx((trained - objectives[best]).mean(), rel=0.01)

    # A training that did not evaluate, such as RLlib's, is evaluated for the table.
    train.compare(folder, run, held_out.HeldOut(CONFIG, 8))
    assert capsys.readouterr().out == printed


def test_without_arguments_it_trains_on_mixed_in_a_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, Run]] = []

    def instead(folder: Path, run: Run, *_: object, **__: object) -> Run:
        asked.append((folder, run))
        (folder / RUN_FILE).touch()
        return dataclasses.replace(run, steps_done=run.timesteps)

    monkeypatch.setattr(train, "train", instead)
    monkeypatch.setattr(train, "compare", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        train.main(train.Arguments())
        folder, run = asked[-1]
        assert folder == Path(f"runs/mixed-seed0-{number}")
        hyperparameters = read_hyperparameters("ppo-mixed")
        learning = hyperparameters[ALGORITHM_PART]
        config = configure("mixed", p_informed=1.0)
        assert dataclasses.replace(run, command="") == Run(
            config, 0, learning["n_envs"], learning["n_timesteps"], hyperparameters=hyperparameters
        )
        assert run.has_history


@pytest.mark.parametrize(
    "task, hyperparameters",
    [
        ("noise", "ppo"),
        ("mixed", "ppo-mixed"),  # whose own market has another share of informed takers
        ("latency-1s", "ppo"),
        ("dealer-cartea-jaimungal", "ppo-dealer"),  # as the regime has it
    ],
)
def test_a_task_is_the_market_and_chooses_the_hyperparameters(
    task: str, hyperparameters: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Run] = []

    def instead(folder: Path, run: Run, *_: object, **__: object) -> Run:
        asked.append(run)
        return dataclasses.replace(run, steps_done=run.timesteps)

    monkeypatch.setattr(train, "train", instead)
    monkeypatch.setattr(train, "compare", lambda *_: None)
    train.main(train.Arguments(task=task, out=tmp_path / "run"))
    assert asked[0].config == TASKS[task].config
    assert asked[0].hyperparameters == read_hyperparameters(hyperparameters)


def test_threads_go_to_torch_and_jobs_to_markets_and_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    had: list[tuple[int, int, bool]] = []

    def instead(
        folder: Path,
        run: Run,
        *_: object,
        threads: int,
        held_out: held_out.HeldOut,
        **__: object,
    ) -> Run:
        had.append((torch.get_num_threads(), threads, held_out.beside))
        return dataclasses.replace(run, steps_done=run.timesteps)

    monkeypatch.setattr(train, "train", instead)
    monkeypatch.setattr(train, "compare", lambda *_: None)
    before = torch.get_num_threads()
    try:
        # Threads of torch, jobs, and the threads that step the markets.
        for threads, jobs, market_threads in ((1, 1, 1), (2, 1, 1), (1, 3, 3), (2, 2, 1)):
            train.main(
                train.Arguments(out=tmp_path / f"{threads}-{jobs}", threads=threads, jobs=jobs)
            )
            assert had.pop() == (threads, market_threads, jobs > 1)
    finally:
        torch.set_num_threads(before)


def bad_arguments(tmp_path: Path) -> dict[str, tuple[train.Arguments, type[Exception], str]]:
    (tmp_path / "file").touch()
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").touch()
    old = tmp_path / "old"
    old.mkdir()
    run = dataclasses.asdict(
        Run(configure("informed"), 3, 8, 1000, steps_done=1000, hyperparameters=HYPERPARAMETERS)
    )
    (old / RUN_FILE).write_text(json.dumps(run))
    asked = train.Arguments
    return {
        "unknown regime": (asked(regime="nose"), ConfigurationError, "did you mean 'noise'"),
        "no informed": (
            asked(regime="noise", p_informed=0.4),
            ConfigurationError,
            "write regime='informed'",
        ),
        "share": (
            asked(regime="informed", p_informed=1.5),
            ConfigurationError,
            "p_informed=1.5 is out of range",
        ),
        "field": (asked(set=(("latancy=1",),)), ConfigurationError, "did you mean 'latency'"),
        "unknown task": (
            asked(task="informd-40"),
            ConfigurationError,
            "did you mean 'informed-40'",
        ),
        "task and regime": (
            asked(task="informed-40", regime="informed"),
            ConfigurationError,
            "task 'informed-40' is frozen: expected no regime and no market field beside it, got "
            "regime",
        ),
        "task and fields": (
            asked(task="informed-40", p_informed=0.4, set=(("latency=1",),)),
            ConfigurationError,
            "expected no regime and no market field beside it, got p_informed, latency",
        ),
        "resume another task": (
            asked(resume=old, task="informed-40"),
            TrainingError,
            "p_informed=0.4 does not fit the run",
        ),
        "no field": (
            asked(set=(("latency",),)),
            HyperparameterError,
            "write for example latency=0.5",
        ),
        "hyperparameters": (
            asked(hyperparameters="ppp"),
            HyperparameterError,
            "did you mean 'ppo'",
        ),
        "hyperparameters of another form": (
            asked(hyperparameters=str(full / "thesis.tex")),
            HyperparameterError,
            "expected a mapping",
        ),
        "algorithm": (asked(algorithm="pop"), TrainingError, "expected one of ppo, recurrent_ppo"),
        "seed": (asked(seed=-1), ValueError, "seed=-1 is out of range"),
        "budget": (asked(timesteps=0), ValueError, "timesteps=0 is out of range"),
        "markets": (asked(n_envs=0), ValueError, "n_envs=0 is out of range"),
        "threads": (asked(threads=0), TrainingError, "threads=0 is out of range"),
        "first weights and resume": (
            asked(resume=old, start_from=str(old)),
            TrainingError,
            "--start-from is for a new run",
        ),
        "first weights and RLlib": (
            asked(engine="rllib", start_from=str(old)),
            TrainingError,
            "--start-from is an option of the engine sb3",
        ),
        "a rule for an LSTM": (
            asked(start_from="fixed_spread", algorithm="recurrent_ppo"),
            TrainingError,
            "a rule cannot be cloned into an LSTM: expected ppo, got recurrent_ppo",
        ),
        "unknown first weights": (
            asked(start_from="trained/informd-40"),
            AgentError,
            "expected a rule, a run folder or trained/NAME",
        ),
        "jobs": (asked(jobs=0), TrainingError, "jobs=0 is out of range"),
        "checkpoints": (
            asked(checkpoint_every=0),
            TrainingError,
            "checkpoint_every=0 is out of range",
        ),
        "out is taken": (asked(out=full), TrainingError, f"--resume {full}"),
        "out is a file": (asked(out=tmp_path / "file"), TrainingError, "cannot be written"),
        "out cannot be made": (
            asked(out=tmp_path / "file" / "run"),
            TrainingError,
            "write --out with another folder",
        ),
        "nothing to resume": (asked(resume=tmp_path / "nowhere"), AgentError, "is no run folder"),
        "resume what is no run": (asked(resume=full), AgentError, "is no run folder"),
        "resume into what is taken": (
            asked(resume=old, out=full, timesteps=2000),
            TrainingError,
            "is not empty",
        ),
        "resume another regime": (
            asked(resume=old, regime="noise"),
            TrainingError,
            "regime=noise does not fit the run",
        ),
        "resume another market": (
            asked(resume=old, set=(("latency=1",),)),
            TrainingError,
            "latency=1 does not fit the run",
        ),
        "resume with other hyperparameters": (
            asked(resume=old, hyperparameters="ppo"),
            TrainingError,
            "hyperparameters=ppo do not fit the run",
        ),
        "resume another seed": (
            asked(resume=old, seed=0),
            TrainingError,
            "seed=0 does not fit the run",
        ),
        "resume a shipped maker": (
            asked(resume=agents.TRAINED / "mixed", timesteps=2000, out=agents.TRAINED / "mixed"),
            TrainingError,
            "write --out with another folder",
        ),
        "resume what is done": (
            asked(resume=old),
            TrainingError,
            "expected a budget above 1000 decisions, got 1000",
        ),
        "resume without weights": (
            asked(resume=old, timesteps=2000),
            AgentError,
            "expected a checkpoint.zip in it",
        ),
    }


def test_a_bad_argument_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    for name, (arguments, kind, message) in bad_arguments(tmp_path).items():
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(kind) as caught:
            train.main(dataclasses.replace(arguments, out=arguments.out or tmp_path / "new"))
        assert message in str(caught.value), name
        assert sorted(tmp_path.rglob("*")) == before, name


def test_on_the_command_line_an_error_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "train.py", "--regime", "nose", "--out", str(tmp_path / "new")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("train.py: regime 'nose' is unknown")
    assert len(done.stderr.splitlines()) == 1


def test_a_shipped_maker_is_neither_overwritten_nor_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shipped makers have no checkpoint to resume from."""
    monkeypatch.setattr(agents.training.trainer, "TRAINED", tmp_path / "trained")
    shipped = an_untrained_folder(tmp_path / "trained" / "tiny", a_run(1))
    before = {path: path.read_bytes() for path in shipped.iterdir()}
    with pytest.raises(TrainingError, match=r"cannot overwrite a maker .*write --out"):
        train.main(train.Arguments(resume=shipped, timesteps=2 * UPDATE))
    with pytest.raises(TrainingError, match=r"cannot overwrite a maker .*write --out"):
        train.main(
            train.Arguments(
                resume=shipped, timesteps=2 * UPDATE, out=tmp_path / "trained" / "other"
            )
        )
    with pytest.raises(
        AgentError,
        match=r"expected a checkpoint\.zip in it, got none \(write a run folder of your own",
    ):
        train.main(train.Arguments(resume=shipped, timesteps=2 * UPDATE, out=tmp_path / "mine"))
    assert {path: path.read_bytes() for path in shipped.iterdir()} == before
    assert list((tmp_path / "trained").iterdir()) == [shipped]
