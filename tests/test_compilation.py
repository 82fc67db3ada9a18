"""The line that says why the first start takes long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="needs the pseudo-terminals of Unix")

BOOK = "import mm_gym; mm_gym.LimitOrderBook()"  # compiles `book_clear`, the smallest function


def stderr_of(cache: Path, terminal: bool) -> str:
    """What a process writes to stderr when it needs a compiled function."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", BOOK]
    if not terminal:
        return subprocess.run(
            command, env=environment, check=True, stderr=subprocess.PIPE, text=True
        ).stderr
    ours, theirs = pty.openpty()
    try:
        subprocess.run(command, env=environment, check=True, stderr=theirs)
        os.write(theirs, b"end\n")  # so that the read below does not wait
        return os.read(ours, 10_000).decode().replace("\r\n", "\n").removesuffix("end\n")
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_gets_one_line_for_the_first_compilation_and_none_later(tmp_path: Path) -> None:
    first = stderr_of(tmp_path, terminal=True)
    assert first.count("\n") == 1
    assert first.startswith("mm_gym compiles its core")
    assert stderr_of(tmp_path, terminal=True) == ""


def test_a_pipe_gets_no_line(tmp_path: Path) -> None:
    assert stderr_of(tmp_path, terminal=False) == ""
