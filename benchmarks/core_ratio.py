"""Speed of the compiled core, compared with that of another checkout of this repository.

git worktree add ../other COMMIT
python -m benchmarks.core_ratio ../other [--markets 64,4096] [--regime informed]

One process for each checkout steps the same number of markets, in turns. The rates are per second
of processor time, because other work on the machine changes wall time more. Both checkouts need a
version of the package whose `Markets` has `reset`, `step` and `records`.
"""

import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

# A worker reads a line for each turn and answers with its steps, events and seconds.
_WORKER = """
import sys, time
import numpy as np
from mm_gym.config import configure
from mm_gym.markets import Markets
n, steps, regime = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
markets = Markets(configure(regime), n)
generators = [np.random.default_rng(i) for i in range(n)]
markets.reset(np.arange(n), generators, *markets.empty_results())
share = 1.5 / configure(regime).max_offset
try:
    from mm_gym.actions import from_ticks
    action = 2.0 * np.cbrt(share) - 1.0
except ImportError:  # an early version, with a linear scale
    action = 2.0 * share - 1.0
actions = np.full((n, 2), action, np.float32)
book = markets.records["book"]
for _ in range(max(2, steps // 10)):
    markets.step(actions)
print("ready", markets.records.itemsize, flush=True)
for _ in sys.stdin:
    before, start = int(book["n_events"].sum()), time.process_time()
    for _ in range(steps):
        markets.step(actions)
    taken = time.process_time() - start
    print(n * steps, int(book["n_events"].sum()) - before, taken, flush=True)
"""


@dataclass
class Arguments:
    """Compare the speed of the core with that of another checkout."""

    other: tyro.conf.Positional[Path]
    """Folder of the other checkout."""
    markets: str = "64,256,4096"
    """Numbers of markets, with commas between them."""
    regime: str = "noise"
    """Order-flow regime."""
    turns: int = 9
    """Turns of each measurement."""
    steps: int = 100_000
    """Agent steps in a turn, of all markets together."""


class _Worker:
    def __init__(self, folder: Path, markets: int, steps: int, regime: str) -> None:
        self._process: subprocess.Popen[Any] = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(markets), str(steps), regime],
            cwd=folder,
            env={"PYTHONPATH": str(folder), "PATH": "", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.record_bytes = int(self._answer()[1])

    def _answer(self) -> list[str]:
        assert self._process.stdout is not None
        line: str = self._process.stdout.readline()
        return line.split()

    def turn(self) -> tuple[float, float]:
        """Millions of agent steps and of book events per second of processor time."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        steps, events, seconds = map(float, self._answer())
        return steps / seconds / 1e6, events / seconds / 1e6

    def close(self) -> None:
        self._process.communicate()


def main() -> None:
    """Measure, and print a line for each number of markets."""
    arguments = tyro.cli(Arguments)
    here = Path(__file__).parents[1]
    folders = (here, arguments.other.resolve())
    print("million agent steps / s | million book events / s | best turn, and median ratio")
    for n in map(int, arguments.markets.split(",")):
        steps = max(1, arguments.steps // n)
        workers = [_Worker(folder, n, steps, arguments.regime) for folder in folders]
        pairs = [[worker.turn() for worker in workers] for _ in range(arguments.turns)]
        for worker in workers:
            worker.close()
        ours, others = (
            [max(column) for column in zip(*rates, strict=True)]
            for rates in zip(*pairs, strict=True)
        )
        ratios = [statistics.median(our[i] / other[i] for our, other in pairs) for i in (0, 1)]
        print(
            f"{n:>7} markets: {ours[0]:.3f} against {others[0]:.3f} | {ours[1]:.2f} against "
            f"{others[1]:.2f} | ratios {ratios[0]:.2f}, {ratios[1]:.2f} "
            f"({workers[0].record_bytes:,} against {workers[1].record_bytes:,} bytes a market)",
            flush=True,
        )


if __name__ == "__main__":
    main()
