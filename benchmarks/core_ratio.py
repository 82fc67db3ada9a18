"""Speed of the compiled core, compared with that of another checkout of this repository.

git worktree add ../other COMMIT
python -m benchmarks.core_ratio ../other [--markets 64,4096] [--regime informed]

One process for each checkout steps the same number of markets, in turns. One turn warms up. The
rates are per second of processor time, because other work on the machine changes wall time more.
Both checkouts need a version of the package whose `Markets` has `reset`, `step` and `records`.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.turns import Worker

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
for _ in sys.stdin:
    before, start = int(book["n_events"].sum()), time.process_time()
    for _ in range(steps):
        markets.step(actions)
    taken = time.process_time() - start
    events = int(book["n_events"].sum()) - before
    print(n * steps / taken / 1e6, events / taken / 1e6, markets.records.itemsize, flush=True)
"""
"""Prints a line for each that it reads: millions of agent steps and of book events per second of
processor time, and the bytes of a market."""


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


def main() -> None:
    """Measure, and print a line for each number of markets."""
    arguments = tyro.cli(Arguments)
    here = Path(__file__).parents[1]
    print("million agent steps / s | million book events / s | best turn, and median ratio")
    for n in map(int, arguments.markets.split(",")):
        steps = max(1, arguments.steps // n)
        with (
            Worker(here, _WORKER, n, steps, arguments.regime) as our,
            Worker(arguments.other.resolve(), _WORKER, n, steps, arguments.regime) as other,
        ):
            pairs = [(our.turn(), other.turn()) for _ in range(arguments.turns + 1)][1:]
        ours, others = (
            [max(column) for column in zip(*rates, strict=True)]
            for rates in zip(*pairs, strict=True)
        )
        ratios = [statistics.median(one[i] / two[i] for one, two in pairs) for i in (0, 1)]
        print(
            f"{n:>7} markets: {ours[0]:.3f} against {others[0]:.3f} | {ours[1]:.2f} against "
            f"{others[1]:.2f} | ratios {ratios[0]:.2f}, {ratios[1]:.2f} "
            f"({ours[2]:,.0f} against {others[2]:,.0f} bytes a market)",
            flush=True,
        )


if __name__ == "__main__":
    main()
