"""The code that the pages show runs as it stands, and the commands they show exist."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, blocks, commands, environment
from tests.docs.test_console_blocks import NOT_RUN

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
from generated import COMMANDS, help_texts

# `tests/learners` runs each program of this page, where its library is installed.
_RUN_ELSEWHERE = {"other-learners.md"}
_RUNNER = """
import contextlib, io, json, sys, traceback
done = []
for folder, programs in json.load(open("programs.json", encoding="utf-8")):
    printed, space, failed = [], {"__name__": "__main__"}, ""
    with contextlib.chdir(folder):
        try:
            for place, text in programs:
                with contextlib.redirect_stdout(io.StringIO()) as output:
                    exec(compile(text, place, "exec"), space)
                printed.append(output.getvalue())
        except BaseException:
            failed = traceback.format_exc()
    done.append((printed, failed))
json.dump(done, open("done.json", "w", encoding="utf-8"))
"""
# Programs of other projects, whose options are not checked here.
_OTHERS = {"cd", "git", "pip", "python3", "ray", "source", "tensorboard"}
_OTHER_MODULES = {"venv", "pip", "pytest", "rl_zoo3.train", "sphinx"}


def test_python_blocks_run_in_order_and_print_what_the_page_shows(tmp_path: Path) -> None:
    """One process runs them, because imports take most of the time. Each page has a folder."""
    pages = [page for page in PAGES if page.name not in _RUN_ELSEWHERE and blocks(page, "python")]
    shown = {
        page: [block for block in blocks(page, "python") if not block.mark.startswith("not run: ")]
        for page in pages
    }
    work = []
    for page in pages:
        folder = tmp_path / page.stem
        folder.mkdir()
        work.append((str(folder), [(block.place, block.text) for block in shown[page]]))
    (tmp_path / "runner.py").write_text(_RUNNER, encoding="utf-8")
    (tmp_path / "programs.json").write_text(json.dumps(work), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "runner.py"],
        cwd=tmp_path,
        env=environment(ROOT),
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert ran.returncode == 0, ran.stderr
    done = json.loads((tmp_path / "done.json").read_text(encoding="utf-8"))
    failed = [f"{page.name}: {why}" for page, (_, why) in zip(pages, done, strict=True) if why]
    assert not failed, "\n".join(failed)
    for page, (outputs, _) in zip(pages, done, strict=True):
        printed = dict(zip([block.place for block in shown[page]], outputs, strict=True))
        for block, below in pairwise(blocks(page)):
            if block.place in printed and below.mark == "prints":
                assert _tidy(printed[block.place]) == _tidy(below.text), below.place


def _tidy(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def test_the_commands_of_console_blocks_exist_and_have_the_options_they_name() -> None:
    """Those that `test_console_blocks` does not run, such as those of the research diary."""
    used = []  # place, command with its options, and its name in `generated.COMMANDS`
    for page in PAGES:
        for block in blocks(page, "console"):
            assert commands(block), f"{block.place}: a console block shows commands after '$ '"
            for words in commands(block):
                in_diary = "research" in block.place
                if in_diary or any(re.match(pattern, " ".join(words)) for pattern in NOT_RUN):
                    name = _command_name(words, block.place)
                    if name:
                        used.append((block.place, words, name))
    texts = help_texts(sorted({*COMMANDS, *(name for *_, name in used)}))
    for name, text in texts.items():
        assert text.startswith("usage:"), name
        assert "\x1b" not in text, f"{name}: colours"
        assert str(ROOT) not in text, f"{name}: a path of this machine"
    for place, words, name in used:
        offered = set(re.findall(r"--[a-z][a-z0-9-]*", texts[name]))
        named = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
        assert named <= offered, f"{place}: python {name} has no {sorted(named - offered)}"


def _command_name(words: list[str], place: str) -> str:
    """What follows `python` in a command whose options are checked. Empty for other commands."""
    words = [word for word in words if not re.match(r"[A-Z_]+=", word)] or words
    program = Path(words[0]).name
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:2]) <= set(targets), place
        return ""
    if program != "python":
        assert program in _OTHERS, f"{place}: {program} is not a command of this project"
        return ""
    command = " ".join(words[1:3]) if words[1] == "-m" else words[1]
    if command == "-m mm_gym.data" and words[3:4] and not words[3].startswith("-"):
        command += f" {words[3]}"
    if words[1] == "-m" and words[2] in _OTHER_MODULES:
        return ""
    if not command.startswith("-m ") and command not in COMMANDS:
        assert (ROOT / command).is_file(), f"{place}: {command} does not exist"
        if command.startswith("docs/"):
            return ""
    return command
