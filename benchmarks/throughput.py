"""Throughput of the simulator, compared with reference environments.

python -m benchmarks.throughput [--quick]

The speed of a machine varies by a tenth within minutes. Therefore two compared measurements
alternate in one run, and the ratio is the median over pairs of consecutive turns.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
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
from stable_baselines3.common.logger import Logger

import mm_gym
from agents.learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from agents.learned.run_folder import Run
from agents.training.trainer import new_model, training_markets
from benchmarks.steps import quotes, single_rate
from benchmarks.turns import in_turns, result_table, seconds
from mm_gym.core.layout import MARKET
from mm_gym.markets import Markets
from mm_gym.sb3 import MarketMakingVecEnv

BATCH, LARGE_BATCH, MANY = 256, 4_096, 100_000
"""Numbers of markets."""
SESSION = 900
"""Decisions of a measurement, less than a session has."""
AGENT_STEPS, STEPS_OF_MANY = 256 * SESSION, 8
"""Of a turn: decisions of all markets together, and the least of each."""
HYPERPARAMETERS = read_hyperparameters("ppo-mixed")  # the default of train.py
LEARNING = HYPERPARAMETERS[ALGORITHM_PART]
TORCH_THREADS, MARKET_THREADS = 1, 2  # as in `make train`

START = (
    sys.executable,
    "-c",
    """
import gymnasium, mm_gym, os
env = gymnasium.make("MarketMaking-v0")
env.reset(seed=0)
env.step(env.action_space.sample())
os._exit(0)  # the end of an interpreter takes a fifth of a second, and is not measured
""",
)
MEMORY = (
    sys.executable,
    "-c",
    f"""
import gymnasium, mm_gym, resource, sys
env = gymnasium.make_vec("MarketMaking-v0", num_envs={MANY})
env.reset(seed=0)
env.step(env.action_space.sample())
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(most if sys.platform == "darwin" else 1024 * most)  # Linux counts in kB
""",
)


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


def core_rate(markets: int) -> float:
    """Agent steps per second of the compiled core."""
    core = Markets(mm_gym.configure(), markets)
    core.start(seeding.np_random(i)[0] for i in range(markets))
    return rate(core.step, markets)


def vector_rate(markets: int, threads: int = 1) -> float:
    """Agent steps per second of `gymnasium.make_vec`."""
    environment = gymnasium.make_vec("MarketMaking-v0", num_envs=markets, threads=threads)
    environment.reset(seed=0)
    return rate(environment.step, markets)


def sb3_rate(markets: int) -> float:
    """Agent steps per second of `MarketMakingVecEnv`."""
    environment = MarketMakingVecEnv(markets)
    environment.reset()
    return rate(environment.step, markets)


def rate(step: Callable[[npt.NDArray[np.float32]], object], markets: int) -> float:
    """Agent steps per second of a batch, in less than one session."""
    actions, steps = quotes(markets), min(SESSION, max(STEPS_OF_MANY, AGENT_STEPS // markets))
    return markets * steps / seconds(lambda: [step(actions) for _ in range(steps)])


def rate_of_many() -> Callable[[], float]:
    """A function with the agent steps per second of `MANY` markets, which continue.

    Their start takes too long for each turn to have its own.
    """
    environment = gymnasium.make_vec("MarketMaking-v0", num_envs=MANY)
    environment.reset(seed=0)
    return lambda: rate(environment.step, MANY)


def event_rate() -> float:
    """Book events per second of the compiled core."""
    core = Markets(mm_gym.configure(), BATCH)
    core.start(seeding.np_random(i)[0] for i in range(BATCH))
    actions, before = quotes(BATCH), int(core.records["book"]["n_events"].sum())
    taken = seconds(lambda: [core.step(actions) for _ in range(SESSION)])
    return (int(core.records["book"]["n_events"].sum()) - before) / taken


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


@dataclass(frozen=True)
class Comparison:
    """Two measurements in turns."""

    what: str
    first: Callable[[], float]
    beside: str
    second: Callable[[], float]
    target: str = ""
    """Of the ratio first / second."""


def comparisons(updates: int) -> list[Callable[[], Comparison]]:
    """What is compared. Each is made when its turn comes, since `MANY` markets need much memory.

    Args:
        updates: number of updates of a training in one turn.
    """
    of_core = [
        partial(
            Comparison,
            f"agent steps/s, {face}, {markets:,} markets",
            partial(of_face, markets),
            "the core alone",
            partial(core_rate, markets),
            "0.90",
        )
        for face, of_face in (("make_vec", vector_rate), ("MarketMakingVecEnv", sb3_rate))
        for markets in (BATCH, LARGE_BATCH)
    ]
    return [
        *of_core,
        lambda: Comparison(
            f"agent steps/s, make_vec, {MANY:,} markets",
            rate_of_many(),
            f"{BATCH} markets",
            partial(vector_rate, BATCH),
            "0.85",
        ),
        lambda: Comparison(
            f"agent steps/s, make_vec, {LARGE_BATCH:,} markets, threads=2",
            partial(vector_rate, LARGE_BATCH, threads=2),
            "threads=1",
            partial(vector_rate, LARGE_BATCH),
        ),
        lambda: Comparison(
            "steps/s, gymnasium.make, one market",
            partial(single_rate, "MarketMaking-v0", 50 * SESSION),
            "CartPole",
            partial(single_rate, "CartPole-v1", 50 * SESSION),
            "1.00",
        ),
        lambda: Comparison(
            f"PPO frames/s, {LEARNING['n_envs']} markets, threads={MARKET_THREADS}",
            ppo_rate(partial(MarketMakingVecEnv, threads=MARKET_THREADS), updates),
            "an environment that does nothing",
            ppo_rate(NullVecEnv, updates),
            "0.90",
        ),
    ]


def main(quick: bool = False) -> None:
    """Measure the throughput, and print a table.

    Args:
        quick: Use fewer and shorter turns.
    """
    turns = 3 if quick else 9
    torch.set_num_threads(TORCH_THREADS)
    title = f"Medians of {turns} turns, one thread unless stated otherwise"
    table = result_table(title, "measurement", "result", "target")
    # First, since the memory of this process counts for its children until they begin.
    most = int(subprocess.run(MEMORY, check=True, capture_output=True, text=True).stdout)
    for made in track(comparisons(2 if quick else 3), "measuring", transient=True):
        compared = made()
        first, second, ratio = in_turns(compared.first, compared.second, turns)
        table.add_row(compared.what, f"{first:,.0f}", "")
        table.add_row(f"  {compared.beside}", f"{second:,.0f}", "")
        table.add_row("  ratio", f"{ratio:.2f}", compared.target)
    events = statistics.median([event_rate() for _ in range(turns + 1)][1:])
    table.add_row(f"book events/s, the core alone, {BATCH} markets", f"{events:,.0f}", "10,000,000")
    start = [seconds(lambda: subprocess.run(START, check=True)) for _ in range(turns + 1)][1:]
    table.add_row("warm start to the first step", f"{statistics.median(start):.2f} s", "1 s")
    table.add_row("size of a market's record", f"{MARKET.itemsize:,} B", "12,000 B")
    table.add_row(f"memory of a process with {MANY:,} markets", f"{most / 1e9:.1f} GB", "1.5 GB")
    Console(width=80).print(table)


if __name__ == "__main__":
    tyro.cli(main)
