"""The cache of machine code: whatever happens to it, functions run, and a warning is given once."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mm_gym
from mm_gym.core import cache

PROGRAM = """
import numpy as np, mm_gym
from mm_gym.core.kernel import FINGERPRINT, entry_point

def make(fingerprint):
    @entry_point
    def add(a):
        fingerprint
        return a + 1
    return add

print(mm_gym.__file__, make(FINGERPRINT)(41))
"""


def a_function() -> numba.core.dispatcher.Dispatcher:
    def add(a: int) -> int:
        return a + 1

    return cache.enable_cache(numba.njit(add))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_warned", False)
    return tmp_path


def the_file(folder: Path) -> Path:
    (path,) = folder.rglob("*.nbc")
    return path


def test_machine_code_is_read_again_and_the_signature_is_part_of_the_name(folder: Path) -> None:
    assert a_function()(1) == 2
    again = a_function()
    assert again(1) == 2
    assert sum(again.stats.cache_hits.values()) == 1
    assert again(0.5) == 1.5
    assert len(list(folder.rglob("*.nbc"))) == 2
    assert not list(folder.rglob("*.partial"))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, 10**6), flip=st.integers(0, 255))
def test_a_damaged_file_is_compiled_again_without_a_word(
    folder: Path, place: int, flip: int
) -> None:
    assert a_function()(1) == 2
    path = the_file(folder)
    whole = path.read_bytes()
    place %= len(whole)
    if flip == 0:
        path.write_bytes(whole[:place])
    else:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
    damaged = a_function()
    assert damaged(1) == 2
    assert sum(damaged.stats.cache_hits.values()) == 0
    again = a_function()
    assert again(1) == 2
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_full_disk_costs_one_warning(folder: Path) -> None:
    # A process may write no byte: what the system answers then is an error, as on a full disk.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.warns(RuntimeWarning, match="cannot be kept: expected .* got ") as warned:
            added = [a_function()(1), a_function()(2)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert added == [2, 3]
    assert len(warned) == 1
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_without_any_folder_to_write_it_runs_with_one_warning(tmp_path: Path) -> None:
    """Neither the package folder nor the home folder can hold a cache."""
    package = tmp_path / "mm_gym"
    package.mkdir()
    for path in Path(mm_gym.__file__).parent.iterdir():
        if path.name != "core":
            (package / path.name).symlink_to(path)
    (package / "core").mkdir()
    for path in (Path(mm_gym.__file__).parent / "core").glob("*.py"):
        (package / "core" / path.name).symlink_to(path)
    (package / "core" / "__pycache__").write_text("a file, so that no folder can be made")
    nowhere = str(tmp_path / "core" / "nowhere")
    (tmp_path / "core").write_text("a file")
    environment = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    environment |= {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-W", "always", "-c", PROGRAM],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[-1] == "42"
    assert ran.stdout.startswith(str(package))
    assert ran.stderr.count("RuntimeWarning: the compiled core of mm_gym cannot be kept") == 1


def test_two_processes_that_compile_at_once_leave_whole_files(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    (tmp_path / "program.py").write_text(PROGRAM)  # a function of a file, so that it is cached
    command = [sys.executable, str(tmp_path / "program.py")]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in running:
        assert process.communicate()[0].split()[-1] == "42"
        assert process.returncode == 0
    assert len(list(tmp_path.rglob("*.nbc"))) == 1
    assert not list(tmp_path.rglob("*.partial"))
