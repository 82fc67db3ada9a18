"""Shares of the time of a training, and its speed relative to an environment that does nothing.

python -m benchmarks.training
python -m benchmarks.training --against 135a627

The two trainings alternate, as in `benchmarks.throughput`. `--against` compares the trainings of
`train.py` with its default hyperparameters in this checkout and in another commit of its
repository, which is unpacked into a temporary folder.
"""

import statistics
import subprocess
import tarfile
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.throughput import (
    LEARNING,
    MARKET_THREADS,
    TORCH_THREADS,
    NullVecEnv,
    ppo_rate,
    untrained,
)
from benchmarks.turns import Worker, in_turns, result_table
from mm_gym.sb3 import MarketMakingVecEnv

ROOT = Path(__file__).parents[1]

WORKER = """
import sys, time, torch
from functools import partial
from benchmarks.throughput import MARKET_THREADS, TORCH_THREADS, MarketMakingVecEnv, ppo_rate
torch.set_num_threads(TORCH_THREADS)
measure = ppo_rate(partial(MarketMakingVecEnv, threads=MARKET_THREADS), int(sys.argv[1]))
for _ in sys.stdin:
    wall, processor = time.perf_counter(), time.process_time()
    rate = measure()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(rate, rate * wall / processor, flush=True)
"""
"""Prints decisions per second of wall and of processor time, once for each line that it reads."""


class TimedVecEnv(MarketMakingVecEnv):
    """Measures the time that the environment takes."""

    seconds = 0.0

    def step_async(self, actions: Any) -> None:
        start = time.perf_counter()
        super().step_async(actions)
        self.seconds += time.perf_counter() - start

    def step_wait(self) -> Any:
        start = time.perf_counter()
        result = super().step_wait()
        self.seconds += time.perf_counter() - start
        return result


def shares(updates: int, market_threads: int) -> tuple[float, float, float]:
    """Shares of the time of a training: environment, rest of the rollout, and learning."""
    model = untrained(partial(TimedVecEnv, threads=market_threads))
    decisions = LEARNING["n_envs"] * LEARNING["n_steps"]
    model.learn(decisions)  # warms up
    environment, learning, learn = model.get_env().unwrapped, 0.0, model.train
    environment.seconds = 0.0

    def timed() -> None:
        nonlocal learning
        start = time.perf_counter()
        learn()
        learning += time.perf_counter() - start

    model.train = timed
    start = time.perf_counter()
    model.learn(updates * decisions, reset_num_timesteps=False)
    total = time.perf_counter() - start
    return (
        environment.seconds / total,
        1.0 - (environment.seconds + learning) / total,
        learning / total,
    )


def unpack(commit: str, folder: str) -> None:
    """Write the files of a commit into a folder."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def compare(commit: str, turns: int, updates: int) -> Table:
    """Measure the training here and in another commit, in turns. One turn warms up."""
    with ExitStack() as stack:
        other = stack.enter_context(tempfile.TemporaryDirectory())
        unpack(commit, other)
        here, there = (
            stack.enter_context(Worker(folder, WORKER, updates)) for folder in (ROOT, Path(other))
        )
        pairs = [(here.turn(), there.turn()) for _ in range(turns + 1)][1:]
    title = f"Decisions/s of a training, medians of {turns} turns"
    table = result_table(title, "per second of", "here", commit, "ratio")
    for number, name in enumerate(("wall time", "processor time")):
        ours, theirs = ([pair[side][number] for pair in pairs] for side in (0, 1))
        ratio = statistics.median(one / two for one, two in zip(ours, theirs, strict=True))
        table.add_row(
            name,
            f"{statistics.median(ours):,.0f}",
            f"{statistics.median(theirs):,.0f}",
            f"{ratio:.2f}",
        )
    return table


def main(
    turns: int = 5,
    updates: int = 5,
    threads: int = TORCH_THREADS,
    market_threads: int = MARKET_THREADS,
    against: str | None = None,
) -> None:
    """Measure a training, and print a table.

    Args:
        turns: Number of turns of each measurement. Results are medians.
        updates: Number of updates of the policy in each turn.
        threads: Number of threads of torch.
        market_threads: Number of threads that step the markets. With two, actor and critic also
            learn at the same time.
        against: Commit to compare the training with, instead of the table above.
    """
    if against is not None:
        Console(width=80).print(compare(against, turns, updates))
        return
    torch.set_num_threads(threads)
    environment, collecting, learning = (
        statistics.median(found)
        for found in zip(*(shares(updates, market_threads) for _ in range(turns)), strict=True)
    )
    with_markets, with_nothing, ratio = in_turns(
        ppo_rate(partial(MarketMakingVecEnv, threads=market_threads), updates),
        ppo_rate(NullVecEnv, updates),
        turns,
    )
    title = (
        f"Training with {LEARNING['n_envs']} markets, medians of {turns} turns\n"
        f"Threads: {threads} of torch, {market_threads} for the markets"
    )
    table = result_table(title, "measurement", "result", "target")
    table.add_row("time in the environment", f"{environment:.1%}", "below 15%")
    table.add_row("time in the rest of the rollout", f"{collecting:.1%}", "")
    table.add_row("time in learning", f"{learning:.1%}", "")
    table.add_row("decisions/s", f"{with_markets:,.0f}", "")
    table.add_row("decisions/s, environment that does nothing", f"{with_nothing:,.0f}", "")
    table.add_row("  ratio", f"{ratio:.0%}", "85%")
    table.add_row("time of ten million decisions", f"{1e7 / with_markets:,.0f} s", "below 300 s")
    Console(width=80).print(table)


if __name__ == "__main__":
    tyro.cli(main)
