"""The programs in docs/how-to/other-learners.md run unchanged if their library is installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, packages, sections

PROGRAMS = [
    pytest.param(block.text, id=f"{title}-{number}")
    for title, blocks in sections(DOCS / "how-to" / "other-learners.md").items()
    for number, block in enumerate(blocks)
]


def test_there_is_a_program_for_each_library() -> None:
    assert len(PROGRAMS) >= 9
    named = set().union(*(packages(program.values[0]) for program in PROGRAMS))
    assert {
        "stable_baselines3",
        "sb3_contrib",
        "torchrl",
        "tianshou",
        "skrl",
        "sbx",
        "ray",
    } <= named


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_runs(program: str, tmp_path: Path) -> None:
    missing = sorted(name for name in packages(program) if importlib.util.find_spec(name) is None)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    file = tmp_path / "program.py"
    file.write_text(program)
    environment = {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/bin:/bin",
        "HOME": str(Path.home()),
    }
    done = subprocess.run(
        [sys.executable, file.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"
