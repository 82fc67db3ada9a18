"""The programs of docs/learners.md run as they stand, where their library is installed."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "learners.md").read_text()
BLOCKS = [
    pytest.param(block, id=f"{title}-{number}")
    for title, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", body, re.DOTALL))
]
# The wrappers name these when they are imported.
ALSO_NEEDED = {"gymnasium.wrappers.vector": ["array_api_compat", "array_api_extra"]}


def packages(program: str) -> set[str]:
    """Top-level packages that a program imports."""
    found = set()
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *ALSO_NEEDED.get(node.module, [])}
    return {name.split(".")[0] for name in found}


def test_there_is_a_program_for_each_library() -> None:
    assert len(BLOCKS) >= 9
    named = set().union(*(packages(block.values[0]) for block in BLOCKS))
    assert {
        "stable_baselines3",
        "sb3_contrib",
        "torchrl",
        "tianshou",
        "skrl",
        "sbx",
        "ray",
    } <= named


@pytest.mark.parametrize("program", BLOCKS)
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
