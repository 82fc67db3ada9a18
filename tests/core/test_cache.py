"""Numba's cache is never stale: after a change of any file of the core, the code is recompiled.

Each test uses a copy of the package with a cache of its own. New processes run one cheap entry
point of the book: it adds a public order and prints the owner in the record.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mm_gym
from mm_gym.core import kernel

PROGRAM = """
import numpy as np
import mm_gym
from mm_gym.core import entry_points
from mm_gym.core.layout import book_dtype

books = np.zeros(1, book_dtype(4, 8))
entry_points.book_add(books, 0, 100, 1)
print(mm_gym.__file__, books[0]["orders"][0]["owner"])
"""

# Two edits that change the owner: in a kernel that the entry point calls, and in a constant that it
# uses.
CALLEE = ("book.py", "order.owner = owner\n", "order.owner = owner + 7\n", 7)
CONSTANT = ("layout.py", "PUBLIC = 0\n", "PUBLIC = 5\n", 5)


class Copy:
    """A copy of the package that can be edited and run, without bytecode."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        shutil.copytree(
            Path(mm_gym.__file__).parent,
            folder / "mm_gym",
            ignore=shutil.ignore_patterns("__pycache__"),
        )

    def run(self) -> int:
        """Return the owner that a new process prints."""
        environment = {
            **os.environ,
            "NUMBA_CACHE_DIR": str(self.cache),
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        finished = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        imported, owner = finished.stdout.rsplit(maxsplit=1)
        assert Path(imported).is_relative_to(self.folder)
        return int(owner)

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a file of the core. The file of the entry points keeps its size and time."""
        entry_points = self.folder / "mm_gym" / "core" / "entry_points.py"
        before = entry_points.stat()
        path = self.folder / "mm_gym" / "core" / file
        source = path.read_text()
        assert source.count(old) == 1
        path.write_text(source.replace(old, new))
        after = entry_points.stat()
        assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)

    def compiled(self) -> set[Path]:
        """Return the files of machine code in the cache."""
        return set(self.cache.rglob("*.nbc"))


def test_unchanged_sources_are_not_recompiled_and_changed_ones_are(
    tmp_path: Path,
) -> None:
    package = Copy(tmp_path)
    assert package.run() == 0
    compiled = package.compiled()
    assert len(compiled) == 1
    times = [path.stat().st_mtime_ns for path in compiled]

    assert package.run() == 0
    assert package.compiled() == compiled
    assert [path.stat().st_mtime_ns for path in compiled] == times

    owner = 0
    for file, old, new, change in (CALLEE, CONSTANT):
        package.edit(file, old, new)
        owner += change
        assert package.run() == owner
        assert package.compiled() > compiled
        compiled = package.compiled()


def test_without_the_fingerprint_numba_serves_stale_machine_code(tmp_path: Path) -> None:
    # This shows that the fingerprint is necessary. If this test fails, Numba checks callees itself.
    package = Copy(tmp_path)
    package.edit(
        "kernel.py",
        "FINGERPRINT = source_fingerprint(Path(__file__).parent)",
        'FINGERPRINT = "constant"',
    )
    assert package.run() == 0
    package.edit(*CALLEE[:3])
    assert package.run() == 0


def test_the_fingerprint_depends_on_every_file_of_the_core(tmp_path: Path) -> None:
    copy = Copy(tmp_path).folder / "mm_gym" / "core"
    assert kernel.source_fingerprint(copy) == kernel.FINGERPRINT
    seen = {kernel.FINGERPRINT}
    for path in sorted(copy.glob("*.py")):
        path.write_bytes(path.read_bytes() + b"\n")
        seen.add(kernel.source_fingerprint(copy))
    (copy / "reward.py").rename(copy / "rewards.py")
    seen.add(kernel.source_fingerprint(copy))
    assert len(seen) == 2 + len(list(copy.glob("*.py")))


def test_an_entry_point_without_the_fingerprint_is_an_error() -> None:
    def without() -> int:
        return 1

    with pytest.raises(
        TypeError,
        match=r"'.*without' has no fingerprint in its closure: expected .* closes over \[\] "
        r"\(write it inside a function that takes `fingerprint`",
    ):
        kernel.entry_point(without)

    other = "not the fingerprint"

    def with_something_else() -> int:
        other  # noqa: B018
        return 1

    with pytest.raises(TypeError, match=r"got one that closes over \['other'\]"):
        kernel.entry_point(with_something_else)


def test_an_entry_point_with_the_fingerprint_compiles() -> None:
    fingerprint = kernel.FINGERPRINT

    def one() -> int:
        fingerprint  # noqa: B018
        return 1

    assert kernel.entry_point(one)() == 1
