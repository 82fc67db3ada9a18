"""The code that the pages show runs as it stands, and the commands they show exist."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, environment
from tests.docs.test_console_blocks import NOT_RUN

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
from generated import COMMANDS, help_text

# `tests/learners` runs each program of this page, where its library is installed.
_RUN_ELSEWHERE = {"other-learners.md"}
_RUNNER = """
import contextlib, io, json, sys
printed, space = [], {"__name__": "__main__"}
for place, text in json.load(open(sys.argv[1], encoding="utf-8")):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(text, place, "exec"), space)
    printed.append(output.getvalue())
json.dump(printed, open(sys.argv[2], "w", encoding="utf-8"))
"""
# Programs of other projects, whose options are not checked here.
_OTHERS = {"cd", "git", "pip", "python3", "ray", "source", "tensorboard"}
_OTHER_MODULES = {"venv", "pip", "pytest", "rl_zoo3.train", "sphinx"}


def _ids(value: object) -> str:
    return value.place if isinstance(value, Block) else Path(str(value)).stem


with_python = [page for page in PAGES if page.name not in _RUN_ELSEWHERE and blocks(page, "python")]
consoles = [block for page in PAGES for block in blocks(page, "console")]


@pytest.mark.parametrize("page", with_python, ids=_ids)
def test_python_blocks_run_in_order_and_print_what_the_page_shows(
    page: Path, tmp_path: Path
) -> None:
    shown = blocks(page)
    programs = [
        block
        for block in shown
        if block.language == "python" and not block.mark.startswith("not run: ")
    ]
    (tmp_path / "work").mkdir()
    (tmp_path / "runner.py").write_text(_RUNNER, encoding="utf-8")
    (tmp_path / "programs.json").write_text(
        json.dumps([[block.place, block.text] for block in programs]), encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "../runner.py", "../programs.json", "../printed.json"],
        cwd=tmp_path / "work",
        env=environment(ROOT),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    outputs = json.loads((tmp_path / "printed.json").read_text(encoding="utf-8"))
    printed = dict(zip([block.place for block in programs], outputs, strict=True))
    for block, below in pairwise(shown):
        if block.place in printed and below.mark == "prints":
            assert _tidy(printed[block.place]) == _tidy(below.text), below.place


def _tidy(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("block", consoles, ids=_ids)
def test_the_commands_of_console_blocks_exist_and_have_the_options_they_name(block: Block) -> None:
    """Those that `test_console_blocks` does not run, such as those of the research diary."""
    assert commands(block), f"{block.place}: a console block shows commands after '$ '"
    for words in commands(block):
        in_diary = "research" in block.place
        if in_diary or any(re.match(pattern, " ".join(words)) for pattern in NOT_RUN):
            _check_command(words, block.place)


def _check_command(words: list[str], place: str) -> None:
    words = [word for word in words if not re.match(r"[A-Z_]+=", word)] or words
    program = Path(words[0]).name
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:2]) <= set(targets), place
        return
    if program != "python":
        assert program in _OTHERS, f"{place}: {program} is not a command of this project"
        return
    command = " ".join(words[1:3]) if words[1] == "-m" else words[1]
    if command == "-m mm_gym.data" and words[3:4] and not words[3].startswith("-"):
        command += f" {words[3]}"
    if words[1] == "-m" and words[2] in _OTHER_MODULES:
        return
    if not command.startswith("-m ") and command not in COMMANDS:
        assert (ROOT / command).is_file(), f"{place}: {command} does not exist"
        if command.startswith("docs/"):
            return
    offered = set(re.findall(r"--[a-z][a-z0-9-]*", help_text(command)))
    named = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
    assert named <= offered, f"{place}: python {command} has no {sorted(named - offered)}"
