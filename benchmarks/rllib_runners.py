"""RLlib's PPO with one and with two environment runners: rate, and what is learned.

.venv-ray/bin/python -m benchmarks.rllib_runners

The market is one in which an untrained policy is rarely filled: a quote at offset d is filled at
rate exp(-d / 3) / 2 a second and earns d. The rate is decisions per second of wall time between the
first and the last update, so it depends on what else runs on the machine.
"""

import os
import statistics
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import make_agent
from agents.learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from agents.learned.run_folder import Run
from mm_gym import configure
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.statistics import standard_error

CONFIG = configure("dealer", session_steps=100, max_offset=72.0)
N_MARKETS, UPDATE = 64, 2048
FAST: dict[str, Any] = {
    "n_envs": N_MARKETS,
    "n_steps": UPDATE // N_MARKETS,
    "batch_size": UPDATE // 4,
    "learning_rate": "lin_0.003",
    "gamma": 0.9,
    "n_epochs": 8,
    "policy_kwargs": {"net_arch": [64, 64], "activation_fn": "tanh", "log_std_init": -2.2},
}
POINTS = (0.25, 0.5, 1.0)  # of the training, at which the learning curves are compared


@dataclass(frozen=True)
class Training:
    """What one training gave."""

    rate: float
    curve: list[float]
    """Mean objective of training sessions at each of `POINTS`."""
    objective: float
    """Of 256 sessions after the training, the same for all trainings."""


def trained(env_runners: int, seed: int, decisions: int) -> Training:
    """Train once, and judge the result."""
    from agents.training import rllib  # here, so that `--help` works without Ray

    hyperparameters = read_hyperparameters("ppo")
    hyperparameters[ALGORITHM_PART] |= FAST
    run = Run(CONFIG, seed, N_MARKETS, decisions, hyperparameters=hyperparameters, engine="rllib")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        folder.mkdir()
        rllib.train(folder, run, env_runners=env_runners)
        log = EventAccumulator(str(folder / "tensorboard"))
        log.Reload()
        points = log.Scalars("market/objective")
        sessions = run_sessions(partial(make_agent, str(folder)), CONFIG, 256, seed=1000)
    steps = np.array([point.step for point in points])
    values = np.array([point.value for point in points])
    rate = (steps[-1] - steps[0]) / (points[-1].wall_time - points[0].wall_time)
    curve = [float(np.interp(share * decisions, steps, values)) for share in POINTS]
    return Training(float(rate), curve, float(sessions.objective.mean()))


def main(seeds: int = 3, decisions: int = 40_000) -> None:
    """Train with each number of runners from each seed, in turns, and print a table.

    Args:
        seeds: Number of seeds.
        decisions: Decisions of each training.
    """
    torch.set_num_threads(1)
    done: dict[int, list[Training]] = {1: [], 2: []}
    for seed in range(seeds):
        for runners, results in done.items():
            results.append(trained(runners, seed, decisions))
    table = Table(title=f"{seeds} seeds, {decisions:,} decisions each, mean and standard error")
    table.add_column("environment runners", justify="right")
    table.add_column("decisions/s, median", justify="right")
    for share in POINTS:
        table.add_column(f"objective at {share:.0%}", justify="right")
    table.add_column("held-out sessions", justify="right")
    for runners, results in done.items():
        columns = [[one.curve[point] for one in results] for point in range(len(POINTS))]
        columns.append([one.objective for one in results])
        rate = statistics.median(one.rate for one in results)
        table.add_row(str(runners), f"{rate:,.0f}", *(_with_error(c) for c in columns))
    differences = np.array(
        [
            [two - one for one, two in zip(first.curve, second.curve, strict=True)]
            + [second.objective - first.objective]
            for first, second in zip(done[1], done[2], strict=True)
        ]
    )
    table.add_row("two less one", "", *(_with_error(column) for column in differences.T))
    console = Console(width=100)
    console.print(table)
    console.print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", highlight=False)


def _with_error(values: Any) -> str:
    values = np.asarray(values)
    return f"{values.mean():.1f} ± {standard_error(values):.1f}"


if __name__ == "__main__":
    tyro.cli(main)
