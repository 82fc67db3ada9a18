"""The project's texts use standard terms. Their glossary is docs/reference/glossary.md."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

RETIRED = {
    r"\b(un)?luck(y|ily)?\b": "control variate, variance-reduced",
    r"\bpatien(ce|t)\b": "requote threshold",
    r"\bhead[ -]start": "pretraining by behaviour cloning",
    r"\blessons?\b": "demonstrations",
    r"\bteachers?\b": "expert",
    r"\bremember(s|ed|ing)?\b": "history features",
    r"\bcheat(s|ed|ing)?\b": "privileged",
    r"\btold\b": "full-information, privileged",
    r"\bflow[ -]blind\b": "flow-agnostic",
    r"\btwins?\b": "negative control, copy",
    r"\blaborator(y|ies)\b": "experiment runner",
    r"\bfindings?\b": "result",
    r"\brests_on\b|\brests on\b": "sample",
    r"\bdialects?\b": "action format",
    r"\blattices?\b": "time grid",
    r"\bvalue streams?\b": "price process",
    r"\bfair[ _]objectives?\b": "variance-reduced objective",
}
"""Words of earlier versions, as regular expressions, and the terms that replaced them."""

ELSEWHERE = (
    "CHANGELOG.md",
    "docs/research/",
    "tests/test_vocabulary.py",
    "agents/rules/tuned.json",
)
"""History, and this list itself."""


def texts() -> list[Path]:
    """Every text file that git tracks, except those that quote earlier versions."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("git cannot list the project's files here")
    kinds = (".py", ".md", ".yml", ".yaml", ".toml", ".css", ".cff", "Makefile")
    return [
        ROOT / name
        for name in listed.stdout.split("\0")
        if name.endswith(kinds) and not name.startswith(ELSEWHERE) and (ROOT / name).is_file()
    ]


@pytest.mark.parametrize("word", RETIRED)
def test_retired_words_do_not_return(word: str) -> None:
    pattern = re.compile(word, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"write {RETIRED[word]}:\n" + "\n".join(found)


def test_the_files_that_are_checked_include_code_pages_and_tests() -> None:
    names = {str(path.relative_to(ROOT)) for path in texts()}
    assert {"mm_gym/env.py", "agents/registry.py", "README.md", "tests/test_env.py"} <= names
    assert len(names) > 200
