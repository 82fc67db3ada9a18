"""The README's programs run and print what it shows, and its commands and links exist."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, links

README = ROOT / "README.md"
PAGES = [README, *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG"))]
COMMANDS = re.findall(r"^\| `(python (?!.*NAME)[^`]+)` \|", README.read_text("utf-8"), re.MULTILINE)
_NUMBER = r"[+-]?\d+(?:\.\d+)?"


def test_every_program_of_the_readme_prints_what_it_shows() -> None:
    found = blocks(README, "python", "text")
    programs, outputs = found[::2], found[1::2]
    assert programs
    between = "-" * 30
    # One process, each program with names of its own.
    run = [f"exec({program.text!r}, {{'__name__': '__main__'}})" for program in programs]
    done = subprocess.run(
        [sys.executable, "-c", f"\nprint({between!r})\n".join(run)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{between}\n")
    for output, text in zip(outputs, printed, strict=True):
        assert re.sub(_NUMBER, "#", text) == re.sub(_NUMBER, "#", output.text)
        # Processors round differently, which moves a mean over sessions a little.
        numbers = [[float(n) for n in re.findall(_NUMBER, one)] for one in (output.text, text)]
        assert numbers[1] == pytest.approx(numbers[0], rel=0.05), f"{output.place}\n{text}"


def test_the_readme_names_every_command() -> None:
    folder = ROOT / "agents" / "tools"
    tools = {path.stem for path in folder.glob("*.py") if "__main__" in path.read_text("utf-8")}
    assert len(tools) >= 6
    named = re.findall(r"`(?:python -m agents\.tools\.)?(\w+)`", README.read_text("utf-8"))
    assert tools <= set(named)
    others = {"train.py", "evaluate.py", "agents.tuning", "mm_gym.data", "validation"}
    assert others <= {command.split()[-1] for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_exists(command: str) -> None:
    name = command.split()[-1]
    if "-m" not in command:
        assert (ROOT / name).is_file()
        return
    spec = find_spec(name)
    assert spec is not None
    source = Path(spec.origin or "")
    if source.name == "__init__.py":
        source = source.with_name("__main__.py")
    assert '__name__ == "__main__"' in source.read_text("utf-8") or source.name == "__main__.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files_of_the_repository(page: Path) -> None:
    missing = [link for link in links(page) if not (page.parent / link.partition("#")[0]).exists()]
    assert not missing


def test_the_readme_says_how_to_test_and_fits_on_two_screens() -> None:
    text = README.read_text("utf-8")
    assert "make test" in text
    assert len(text.splitlines()) <= 125
