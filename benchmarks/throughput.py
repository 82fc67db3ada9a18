"""Throughput of the simulator, compared with reference environments.

python -m benchmarks.throughput [--quick]

The speed of a machine varies by a tenth within minutes. Therefore two compared measurements
alternate in one run, and the ratio is the median over pairs of consecutive turns.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
import tyro
from gymnasium.utils import seeding
from rich.console import Console
from rich.progress import track
from rich.table import Table
from stable_baselines3.common.logger import Logger

import mm_gym
from agents.learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from agents.learned.run_folder import Run
from agents.training.trainer import new_model, training_markets
from benchmarks.steps import quotes, single_rate
from benchmarks.turns import in_turns, seconds
from mm_gym.core.layout import MARKET
from mm_gym.markets import Markets
from mm_gym.sb3 import MarketMakingVecEnv

BATCH, LARGE_BATCH = 256, 4096
HYPERPARAMETERS = read_hyperparameters("ppo-mixed")  # the default of train.py
LEARNING = HYPERPARAMETERS[ALGORITHM_PART]
TORCH_THREADS, MARKET_THREADS = 1, 2  # as in `make train`

START = """
import gymnasium, mm_gym
env = gymnasium.make("MarketMaking-v0")
env.reset(seed=0)
env.step(env.action_space.sample())
"""


class NullVecEnv(MarketMakingVecEnv):
    """An environment that does nothing, with the same spaces. It measures PPO alone."""

    def reset(self) -> npt.NDArray[np.float32]:
        self._same = np.stack([self.observation_space.sample() for _ in range(self.num_envs)])
        return self._same

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        pass

    def step_wait(self) -> Any:
        return (
            self._same,
            np.zeros(self.num_envs, np.float32),
            np.zeros(self.num_envs, np.bool_),
            [{}] * self.num_envs,
        )


def kernel_rates(steps: int) -> tuple[float, float]:
    """Agent steps and book events per second of the compiled core."""
    markets = Markets(mm_gym.configure(), BATCH)
    markets.start(seeding.np_random(i)[0] for i in range(BATCH))
    offsets = quotes(BATCH)
    events = int(markets.records["book"]["n_events"].sum())
    taken = seconds(lambda: [markets.step(offsets) for _ in range(steps)])
    events = int(markets.records["book"]["n_events"].sum()) - events
    return BATCH * steps / taken, events / taken


def vector_rate(steps: int, markets: int = BATCH, threads: int = 1) -> float:
    """Agent steps per second of `gymnasium.make_vec`."""
    environment = gymnasium.make_vec("MarketMaking-v0", num_envs=markets, threads=threads)
    environment.reset(seed=0)
    actions = quotes(markets)
    return markets * steps / seconds(lambda: [environment.step(actions) for _ in range(steps)])


def untrained(markets: Callable[..., MarketMakingVecEnv]) -> Any:
    """The initial model of train.py, in markets of this kind."""
    run = Run(
        mm_gym.configure("mixed"),
        seed=0,
        n_envs=LEARNING["n_envs"],
        timesteps=1,
        hyperparameters=HYPERPARAMETERS,
    )
    model = new_model(training_markets(run, markets), run)
    model.learner_threads = MARKET_THREADS
    model.set_logger(Logger(None, []))
    return model


def ppo_rate(markets: Callable[..., MarketMakingVecEnv], updates: int) -> Callable[[], float]:
    """A function that trains for some updates and returns frames per second.

    The hyperparameters are those of train.py.
    """
    model = untrained(markets)

    def frames_per_second() -> float:
        before = model.num_timesteps
        taken = seconds(
            lambda: model.learn(
                updates * LEARNING["n_envs"] * LEARNING["n_steps"], reset_num_timesteps=False
            )
        )
        return (model.num_timesteps - before) / taken

    return frames_per_second


def main(quick: bool = False) -> None:
    """Measure the throughput, and print a table.

    Args:
        quick: Use fewer and shorter turns.
    """
    turns, steps = 3 if quick else 9, 900  # less than one session
    torch.set_num_threads(TORCH_THREADS)
    progress = iter(track(range(5), "measuring", transient=True))
    next(progress)
    kernel = [kernel_rates(steps) for _ in range(turns + 1)][1:]
    next(progress)
    vector, _, core_share = in_turns(
        lambda: vector_rate(steps), lambda: kernel_rates(steps)[0], turns
    )
    next(progress)
    few = steps * BATCH // LARGE_BATCH
    two_threads, one_thread, threads_ratio = in_turns(
        lambda: vector_rate(few, LARGE_BATCH, threads=2),
        lambda: vector_rate(few, LARGE_BATCH),
        turns,
    )
    ours, cartpole, single_ratio = in_turns(
        lambda: single_rate("MarketMaking-v0", 50 * steps),
        lambda: single_rate("CartPole-v1", 50 * steps),
        turns,
    )
    next(progress)
    updates = 2 if quick else 3
    with_markets, with_nothing, ppo_ratio = in_turns(
        ppo_rate(partial(MarketMakingVecEnv, threads=MARKET_THREADS), updates),
        ppo_rate(NullVecEnv, updates),
        turns,
    )
    next(progress)
    start = [
        seconds(lambda: subprocess.run([sys.executable, "-c", START], check=True))
        for _ in range(turns + 1)
    ][1:]
    next(progress, None)

    agent_steps, events = (statistics.median(rates) for rates in zip(*kernel, strict=True))
    table = Table(title=f"Medians of {turns} turns, one thread unless stated otherwise")
    for header, side in (("measurement", "left"), ("result", "right"), ("target", "right")):
        table.add_column(header, justify=side)  # type: ignore[arg-type]
    table.add_row(f"book events/s, compiled core, {BATCH} markets", f"{events:,.0f}", "10,000,000")
    table.add_row(
        f"agent steps/s, compiled core, {BATCH} markets", f"{agent_steps:,.0f}", "1,000,000"
    )
    table.add_row(
        f"agent steps/s, make_vec, {BATCH} markets",
        f"{vector:,.0f}",
        "1,000,000",
    )
    table.add_row("  ratio to the core", f"{core_share:.2f}", "0.90")
    table.add_row(f"agent steps/s, make_vec, {LARGE_BATCH} markets", f"{one_thread:,.0f}", "")
    table.add_row("the same, threads=2", f"{two_threads:,.0f}", "")
    table.add_row("  ratio", f"{threads_ratio:.2f}", "")
    table.add_row("steps/s, gymnasium.make, one market", f"{ours:,.0f}", "")
    table.add_row("steps/s, gymnasium.make, CartPole", f"{cartpole:,.0f}", "")
    table.add_row("  ratio", f"{single_ratio:.0%}", "40%")
    table.add_row(
        f"PPO frames/s, {LEARNING['n_envs']} markets, threads={MARKET_THREADS}",
        f"{with_markets:,.0f}",
        "",
    )
    table.add_row("PPO frames/s, environment that does nothing", f"{with_nothing:,.0f}", "")
    table.add_row("  ratio", f"{ppo_ratio:.0%}", "85%")
    table.add_row("warm start to the first step", f"{statistics.median(start):.2f} s", "1 s")
    table.add_row("size of a market's record", f"{MARKET.itemsize:,} B", "")
    Console(width=80).print(table)


if __name__ == "__main__":
    tyro.cli(main)
