"""The console script `mm-gym`, called in this process."""

import ast
import re
from pathlib import Path

import pytest

import agents
import mm_gym
from agents.commands.console_script import COMMANDS, main


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    printed = capsys.readouterr().out
    assert re.findall(r"^  (\w+)", printed, re.MULTILINE) == [*COMMANDS]


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"mm-gym {mm_gym.__version__}\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "mm-gym: no command is named: expected one of train, .*, got none"),
        (["trian"], r"mm-gym: command 'trian' is unknown: .* \(did you mean 'train'\?\)"),
        (["train", "--jobs", "0"], "mm-gym train: jobs=0 is out of range: .*"),
    ],
)
def test_a_bad_argument_is_one_sentence_and_exit_code_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert re.fullmatch(message + "\n", capsys.readouterr().err)


def test_imports_inside_agents_are_relative() -> None:
    """The wheel holds the folder under another name, in which no `agents` can be imported."""
    folder = Path(agents.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            assert not [name for name in names if name.partition(".")[0] == "agents"], path
