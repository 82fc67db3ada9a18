"""Train a market maker by PPO.

python train.py
python train.py --regime informed --p-informed 0.5 --seed 1 --out runs/NAME
python train.py --resume runs/NAME --timesteps 4000000
python train.py --engine rllib --env-runners 2
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro
from rich.console import Console

from agents import RULES, name_agent
from agents.ppo import Run, read_run
from agents.training import SETTINGS, TrainingError, check_output, train
from mm_gym import MarketConfig, configure
from mm_gym.evaluation import plans
from mm_gym.evaluation.artefacts import fresh_folder
from mm_gym.evaluation.statistics import difference
from mm_gym.evaluation.table import text_table

COMPARED_SESSIONS = 256


@dataclass(frozen=True)
class Arguments:
    """Train a market maker by PPO, with checkpoints, TensorBoard logs, and a table at the end."""

    regime: str | None = None
    """Order flow to train on; by default mixed."""
    p_informed: float | None = None
    """Share of informed takers; by default the regime's own."""
    timesteps: int | None = None
    """Budget: decisions of all markets together, rounded up to whole updates; by default two million."""
    seed: int | None = None
    """Of everything random; by default 0."""
    n_envs: int | None = None
    """Markets side by side; by default 128."""
    out: Path | None = None
    """Folder of the run; by default a fresh one in runs/."""
    resume: Path | None = None
    """A run folder to go on with, there or in `out`: its regime, seed and markets stand, only its budget may grow."""
    checkpoint_every: int = 100_000
    """Decisions after which the model is saved: what an interruption loses at most."""
    threads: int = 1
    """Of torch. On two idle cores 2 is up to half as fast again; on busy ones they stall, waiting for one another."""
    engine: Literal["sb3", "rllib"] | None = None
    """What learns: stable-baselines3 (sb3, the default), or Ray RLlib, in many processes or on a cluster."""
    env_runners: int | None = None
    """Of rllib: processes that step the markets; by default 1."""
    address: str | None = None
    """Of rllib: a Ray cluster to join, such as auto or 10.0.0.1:6379; by default one of its own, on this machine."""


def main(arguments: Arguments) -> Path:
    """Train, compare, and return the folder of the run."""
    for name in ("checkpoint_every", "threads"):
        if getattr(arguments, name) < 1:
            raise TrainingError(f"{name}={getattr(arguments, name)} came; write a whole number from 1 up")
    torch.set_num_threads(arguments.threads)
    run = _new_run(arguments) if arguments.resume is None else _resumed_run(arguments, arguments.resume)
    learn = _engine(arguments, run)
    out = arguments.out or arguments.resume or fresh_folder(Path("runs"), f"{run.config.regime}-seed{run.seed}")
    check_output(out, arguments.resume)
    print(f"Training on {run.config.regime} up to {run.timesteps:,} decisions; the run lies in {out}")
    run = learn(out, run, arguments.resume, arguments.checkpoint_every)
    if run.steps_done < run.timesteps:
        print(f"Stopped after {run.steps_done:,} decisions. To go on: python train.py --resume {shlex.quote(str(out))}")
        sys.exit(130)
    compare(out, run.config)
    print(f"The run: {out}, its learning curves: tensorboard --logdir {shlex.quote(str(out))}")
    return out


def _engine(arguments: Arguments, run: Run) -> Callable[[Path, Run, Path | None, int], Run]:
    """What trains this run."""
    if run.engine == "sb3":
        for name in ("env_runners", "address"):
            if getattr(arguments, name) is not None:
                raise TrainingError(
                    f"{name}={getattr(arguments, name)} came, which is for the engine rllib; write --engine rllib too"
                )
        return train
    try:
        from agents import rllib
    except ImportError as error:
        raise TrainingError(
            f"--engine rllib needs Ray, which cannot be imported ({error}); install it, in an environment of its own, "
            "with: make venv-ray"
        ) from error
    env_runners = 1 if arguments.env_runners is None else arguments.env_runners
    return partial(rllib.train, env_runners=env_runners, address=arguments.address)


def compare(folder: Path, config: MarketConfig) -> None:
    """Print the learned maker beside the rule-based ones, on sessions of its regime that it never trained on."""
    agents = [*RULES, str(folder)]
    results = plans.run_grid(name_agent, agents, [(config, {})], episodes=COMPARED_SESSIONS)
    console = Console()
    console.print(text_table(results.rows))
    rule = max((row for row in results.rows[:-1]), key=lambda row: row["objective"])
    sessions = {entry.agent: entry.sessions for entry in results.entries}
    gap = difference(sessions[str(folder)].objective, sessions[rule["agent"]].objective)
    console.print(
        f"Objective of the learned maker less that of the best rule, {rule['agent']}: {gap}\n"
        f"(ticks x lots a session, paired over {COMPARED_SESSIONS} sessions, 95 percent)"
    )


def _new_run(arguments: Arguments) -> Run:
    fields = {} if arguments.p_informed is None else {"p_informed": arguments.p_informed}
    config = configure(arguments.regime or "mixed", **fields)
    seed = 0 if arguments.seed is None else arguments.seed
    n_envs = 128 if arguments.n_envs is None else arguments.n_envs
    timesteps = 2_000_000 if arguments.timesteps is None else arguments.timesteps
    return Run(config, seed, n_envs, timesteps, settings=SETTINGS, engine=arguments.engine or "sb3")


def _resumed_run(arguments: Arguments, folder: Path) -> Run:
    run = read_run(folder)
    stands = {"regime": run.config.regime, "p_informed": run.config.p_informed, "seed": run.seed, "n_envs": run.n_envs}
    stands["engine"] = run.engine
    for name, value in stands.items():
        given = getattr(arguments, name)
        if given is not None and given != value:
            raise TrainingError(f"{name}={given} came, but {folder} was trained with {value}; leave it out to go on")
    if arguments.timesteps is not None:
        run = dataclasses.replace(run, timesteps=arguments.timesteps)
    if run.steps_done >= run.timesteps:
        raise TrainingError(
            f"{folder} has done {run.steps_done} decisions of a budget of {run.timesteps}; write --timesteps with more"
        )
    return run


if __name__ == "__main__":
    try:
        main(tyro.cli(Arguments))
    except (ValueError, OSError) as error:
        sys.exit(f"train.py: {error}")
