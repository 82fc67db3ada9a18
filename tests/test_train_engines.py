"""Which engine learns, as the arguments of train.py say, and what it answers where Ray is not
installed."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import tyro

import train
from agents.learned.run_folder import RUN_FILE, Run, read_run
from agents.training.trainer import TrainingError
from mm_gym import configure


def old_run(folder: Path, engine: str) -> Path:
    folder.mkdir()
    run = Run(configure("informed"), 3, 8, 2000, steps_done=1000, engine=engine)
    (folder / RUN_FILE).write_text(json.dumps(dataclasses.asdict(run)))
    return folder


def test_runs_from_before_there_was_a_choice_are_of_stable_baselines3(tmp_path: Path) -> None:
    plain = dataclasses.asdict(Run(configure("informed"), 3, 8, 2000))
    del plain["engine"]
    (tmp_path / RUN_FILE).write_text(json.dumps(plain))
    assert read_run(tmp_path).engine == "sb3"


def test_without_ray_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "agents.training.rllib", raising=False)
    monkeypatch.delattr("agents.training.rllib", raising=False)
    with pytest.raises(TrainingError, match=r"needs Ray.* make venv-ray"):
        train.main(train.Arguments(engine="rllib", out=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("engine", ["sb3", "rllib"])
def test_a_run_goes_on_with_the_engine_that_began_it(tmp_path: Path, engine: str) -> None:
    other = {"sb3": "rllib", "rllib": "sb3"}[engine]
    folder = old_run(tmp_path / "old", engine)
    with pytest.raises(
        TrainingError, match=f"engine={other} came, but .* was trained with {engine}"
    ):
        train.main(train.Arguments(resume=folder, engine=other))


@pytest.mark.parametrize("arguments", [{"env_runners": 2}, {"address": "auto"}])
def test_what_only_rllib_takes_is_refused_to_the_other(
    tmp_path: Path, arguments: dict[str, object]
) -> None:
    with pytest.raises(TrainingError, match="write --engine rllib too"):
        train.main(train.Arguments(out=tmp_path / "new", **arguments))
    assert not (tmp_path / "new").exists()


def test_an_engine_that_is_not_offered_is_refused_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as refused:
        tyro.cli(train.Arguments, args=["--engine", "keras"])
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert "keras" in said
    assert "sb3" in said
    assert "rllib" in said
