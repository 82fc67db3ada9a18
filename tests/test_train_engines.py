"""The engines of the command `train`: which one learns, and the error without Ray."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import tyro

from agents.commands import train
from agents.learned.run_folder import RUN_FILE, Run, read_run
from agents.training.trainer import TrainingError
from mm_gym import configure


def old_run(folder: Path, engine: str) -> Path:
    folder.mkdir()
    run = Run(configure("informed"), 3, 8, 2000, steps_done=1000, engine=engine)
    (folder / RUN_FILE).write_text(json.dumps(dataclasses.asdict(run)))
    return folder


def test_a_run_without_an_engine_is_of_stable_baselines3(tmp_path: Path) -> None:
    plain = dataclasses.asdict(Run(configure("informed"), 3, 8, 2000))
    del plain["engine"]
    (tmp_path / RUN_FILE).write_text(json.dumps(plain))
    assert read_run(tmp_path).engine == "sb3"


def test_without_ray_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # its import fails, as without Ray
    monkeypatch.delitem(sys.modules, "agents.training.rllib", raising=False)
    monkeypatch.delattr("agents.training.rllib", raising=False)
    with pytest.raises(TrainingError, match=r"needs Ray: .* \(write make venv-ray\)"):
        train.main(train.Arguments(engine="rllib", out=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("engine", ["sb3", "rllib"])
def test_a_run_is_resumed_with_its_own_engine(tmp_path: Path, engine: str) -> None:
    other = {"sb3": "rllib", "rllib": "sb3"}[engine]
    folder = old_run(tmp_path / "old", engine)
    with pytest.raises(
        TrainingError, match=f"engine={other} does not fit the run in .*: expected {engine}, got"
    ):
        train.main(train.Arguments(resume=folder, engine=other))


@pytest.mark.parametrize("arguments", [{"env_runners": 2}, {"address": "auto"}])
def test_an_option_of_rllib_is_an_error_with_sb3(
    tmp_path: Path, arguments: dict[str, object]
) -> None:
    with pytest.raises(TrainingError, match="write --engine rllib too"):
        train.main(train.Arguments(out=tmp_path / "new", **arguments))
    assert not (tmp_path / "new").exists()


def test_an_unknown_engine_is_an_error_that_names_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        tyro.cli(train.Arguments, args=["--engine", "keras"])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert all(word in message for word in ("keras", "sb3", "rllib"))
