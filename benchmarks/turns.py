"""Measurements in turns, so that a machine whose speed varies does not decide a comparison.

The timers and the tables of the benchmarks are here too.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table


class Worker:
    """A process that runs a program in a checkout of this repository.

    Args:
        folder: of the checkout.
        program: Python code. It prints a line of numbers for each line that it reads.
        arguments: of the program.
    """

    def __init__(self, folder: Path, program: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self) -> list[float]:
        """The next line of numbers."""
        print(file=self._process.stdin, flush=True)
        return [float(number) for number in self._process.stdout.readline().split()]

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        self._process.wait()


def seconds(action: Callable[[], Any]) -> float:
    """Wall time of one call [s]."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def processor_time(action: Callable[[], Any]) -> float:
    """Processor time of one call [s]."""
    start = time.process_time()
    action()
    return time.process_time() - start


def result_table(title: str | None, *headers: str, texts: int = 1) -> Table:
    """An empty table: the first `texts` columns have text, and all others figures."""
    table = Table(title=title)
    for number, header in enumerate(headers):
        table.add_column(header, justify="left" if number < texts else "right")
    return table


def in_turns(
    first: Callable[[], float], second: Callable[[], float], turns: int
) -> tuple[float, float, float]:
    """Alternate two measurements. One turn warms up.

    Args:
        first, second: the measurements.
        turns: number of turns.

    Returns:
        The medians of both, and the median ratio first / second of consecutive turns.
    """
    first(), second()
    pairs = []
    for turn in range(turns):
        if turn % 2:
            pairs.append((first(), second()))
        else:
            then = second()
            pairs.append((first(), then))
    ones, others = zip(*pairs, strict=True)
    ratios = [one / other for one, other in pairs]
    return statistics.median(ones), statistics.median(others), statistics.median(ratios)
