"""Random command lines: one sentence and exit code 2, or the work is asked for.

Options are those of the parsers, and values are of the wrong type, absurd sizes, files that are
missing or hold something else, and names of the wrong kind. The work itself is replaced.
"""

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

from agents.commands import console_script, evaluate, play, train
from agents.invocation import option_name, run_command
from agents.tuning import __main__ as tuning
from agents.tuning.search import Effort
from mm_gym.data import __main__ as data
from mm_gym.evaluation import plans, suite
from mm_gym.reporting import suite_files
from tests.trust.kit import inputs
from tests.trust.test_options import Asked, ask

NUMBERS = ["0", "-1", "1", "2", "0.5", "1e999", "nan", "-inf", "9" * 30, "5e-324", "1000000000"]
NAMES = ["", "x", "a\nb", "ü", ",", "1,2", "a=b", "latency=1e999", "latency=0.5", "all", "noise"]
NAMES += ["informed,noise", "informed-60", "ppo", "fixed_spread", "fixed_spread:half_spread=-1"]
NAMES += ["inventory_skew:skew=x", "fixed_spread,fixed_spread", "p_informed", "half_spread", "auto"]
FILES = [
    "absent/file",
    "absent.json",
    "folder",
    "folder/text.json",
    "folder/text.parquet",
    "/",
    ".",
]
VALUES = st.sampled_from([*NUMBERS, *NAMES, *FILES])
ARGUMENTS: dict[str, Any] = {
    "train": train.Arguments,
    "evaluate": evaluate.Arguments,
    "tune": tuning.Arguments,
    "play": play.Arguments,
}
OPTIONS = {
    name: [
        (option_name(field.name), field.type is bool)
        for field in (*dataclasses.fields(kind), *(dataclasses.fields(Effort) * (name == "tune")))
        if field.name != "effort"
    ]
    for name, kind in ARGUMENTS.items()
}
DATA_OPTIONS = [
    "--tick",
    "--levels",
    "--lot-size",
    "--signal-share",
    "--compare",
    "--out",
    "--seed",
]
DATA_OPTIONS += ["--regimes", "--sessions", "--seconds", "--format", "--symbol", "--regime"]
DATA_OPTIONS += ["--market"]


@pytest.fixture(autouse=True)
def replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The work of all commands is replaced, and the current folder holds a few strange files."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("text.json", "text.parquet"):
        (folder / name).write_text("[1, null]")
    monkeypatch.chdir(tmp_path)
    for module, names in (
        (plans, ["run_grid", "run_experiments"]),
        (suite, ["run_suite"]),
        (suite_files, ["compare"]),
        (evaluate, ["record_sessions"]),
        (train, ["train", "HeldOut"]),
        (tuning, ["_search", "write_tuned"]),
        (play, ["_trade", "TerminalScreen", "WindowScreen"]),
        (data, ["record_market", "calibrate", "stylised_facts", "rebuild"]),
    ):
        for name in names:
            monkeypatch.setattr(module, name, ask(name))


def end_of(name: str, command: Callable[[], object]) -> None:
    """Run a command, and check that it ends as it should."""
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        try:
            run_command(name, command)
            raise AssertionError("the command did nothing, and did not say so")
        except Asked:
            return
        except SystemExit as end:
            code = end.code
    answer = errors.getvalue() + said.getvalue()
    assert code == 2, answer
    # The parser tyro answers with a frame and the way to its help.
    assert "For full helptext" in answer or re.fullmatch(
        r"[^\n]*: [^\n]*expected [^\n]*, got [^\n]*\n", errors.getvalue()
    ), answer


def words(draw: Any, options: list[tuple[str, bool]]) -> list[str]:
    """Some options with values. A switch sometimes has one, and another option none."""
    found: list[str] = []
    for name, switch in draw(st.lists(st.sampled_from(options), min_size=1, max_size=4)):
        usual = draw(st.integers(0, 19)) > 0
        found += [name] if switch == usual else [name, draw(VALUES)]
    return found


@pytest.mark.parametrize("name", OPTIONS)
@inputs(15)
@given(draws=st.data())
def test_a_random_command_line(name: str, draws: st.DataObject) -> None:
    line = words(draws.draw, OPTIONS[name])
    module = {"train": train, "evaluate": evaluate, "tune": tuning, "play": play}[name]

    def command() -> None:
        module.main(tyro.cli(ARGUMENTS[name], args=line))

    end_of(name, command)


@inputs(30)
@given(draws=st.data())
def test_a_random_command_line_of_the_data_commands(draws: st.DataObject) -> None:
    commands = ["describe", "facts", "calibrate", "replay", "convert", "export", "x"]
    line = [draws.draw(st.sampled_from(commands)), *draws.draw(st.lists(VALUES, max_size=2))]
    line += words(draws.draw, [(option, option == "--compare") for option in DATA_OPTIONS])
    end_of("mm_gym.data", lambda: data.main(line))


@inputs(10)
@given(line=st.lists(VALUES | st.sampled_from([*console_script.COMMANDS, "-x"]), max_size=3))
def test_a_random_command_line_of_the_console_script(line: list[str]) -> None:
    end_of("mm-gym", lambda: console_script.main(line))
