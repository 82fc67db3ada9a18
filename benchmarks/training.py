"""Shares of the time of a training, and its speed relative to an environment that does nothing.

python -m benchmarks.training

The two trainings alternate, as in `benchmarks.throughput`.
"""

import statistics
import time
from functools import partial
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
    in_turns,
    ppo_rate,
    untrained,
)
from mm_gym.sb3 import MarketMakingVecEnv


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


def main(
    turns: int = 5,
    updates: int = 5,
    threads: int = TORCH_THREADS,
    market_threads: int = MARKET_THREADS,
) -> None:
    """Measure a training, and print a table.

    Args:
        turns: Number of turns of each measurement. Results are medians.
        updates: Number of updates of the policy in each turn.
        threads: Number of threads of torch.
        market_threads: Number of threads that step the markets.
    """
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
    table = Table(
        title=f"Training with {LEARNING['n_envs']} markets, medians of {turns} turns\n"
        f"Threads: {threads} of torch, {market_threads} for the markets"
    )
    for header, side in (("measurement", "left"), ("result", "right"), ("target", "right")):
        table.add_column(header, justify=side)  # type: ignore[arg-type]
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
