"""Train a market maker by PPO.

python train.py
python train.py --regime informed --p-informed 0.5 --seed 1 --out runs/NAME
python train.py --regime noise --set latency=0.5 maker_fee=-0.1
python train.py --hyperparameters ppo-dealer_skill
python train.py --algorithm recurrent_ppo
python train.py --resume runs/NAME --timesteps 20000000
python train.py --engine rllib --env-runners 2
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

import torch
import tyro
from joblib import parallel_config
from rich.console import Console

from agents import name_agent, rules_for
from agents.learned.hyperparameters import (
    ALGORITHM_PART,
    hyperparameters_name,
    parse_fields,
    read_hyperparameters,
)
from agents.learned.run_folder import RUN_FILE, Run, read_run
from agents.training.trainer import TrainingError, check_not_shipped, check_output, train
from mm_gym import MarketConfig, configure
from mm_gym.evaluation import plans
from mm_gym.evaluation.statistics import difference
from mm_gym.reporting.artefacts import fresh_folder
from mm_gym.reporting.text_tables import text_table

COMPARED_SESSIONS = 256


@dataclass(frozen=True)
class Arguments:
    """Train a market maker by PPO, with checkpoints, TensorBoard logs, and a table at the end."""

    regime: str | None = None
    """Order flow to train on; by default that of the hyperparameters, or else mixed."""
    p_informed: float | None = None
    """Share of informed takers; by default the regime's own."""
    set: tuple[str, ...] = ()
    """Other fields of the market, as name=value."""
    algorithm: str | None = None
    """ppo, or recurrent_ppo, which has an LSTM; by default ppo."""
    hyperparameters: str | None = None
    """Hyperparameters: a file in agents/training/hyperparameters by its name, or the path of
    another; by default the algorithm's, or what it has for the regime."""
    timesteps: int | None = None
    """Budget: decisions of all markets together, rounded up to whole updates; by default that of
    the hyperparameters."""
    seed: int | None = None
    """Of everything random; by default 0."""
    n_envs: int | None = None
    """Markets side by side; by default those of the hyperparameters."""
    out: Path | None = None
    """Folder of the run; by default a fresh one in runs/."""
    resume: Path | None = None
    """A run folder of your own to go on with, there or in `out`: its market, hyperparameters and seed
    stand, only its budget may grow. Its checkpoint is a pickle, which can run any program: never
    resume the folder of a stranger."""
    checkpoint_every: int = 100_000
    """Decisions after which the model is saved: what an interruption loses at most."""
    evaluate_every: int = 2_000_000
    """Decisions after which the model is judged on held-out sessions, for a curve in the logs."""
    jobs: int = 1
    """Cores for what goes on beside PPO: threads that step the markets (of sb3, unless --threads
    gives torch several) and processes that judge what was learned."""
    threads: int = 1
    """Of torch. On two idle cores 2 is a quarter faster; on busy ones they stall, waiting for one
    another."""
    engine: Literal["sb3", "rllib"] | None = None
    """What learns: stable-baselines3 (sb3, the default), or Ray RLlib, in many processes or on a
    cluster."""
    env_runners: int | None = None
    """Of rllib: processes that step the markets; by default 1."""
    address: str | None = None
    """Of rllib: a Ray cluster to join, such as auto or 10.0.0.1:6379; by default one of its own, on
    this machine."""


def main(arguments: Arguments) -> Path:
    """Train, compare, and return the folder of the run."""
    for name in ("checkpoint_every", "evaluate_every", "jobs", "threads"):
        if getattr(arguments, name) < 1:
            raise TrainingError(
                f"{name}={getattr(arguments, name)} came; write a whole number from 1 up"
            )
    torch.set_num_threads(arguments.threads)
    run = (
        _new_run(arguments)
        if arguments.resume is None
        else _resumed_run(arguments, arguments.resume)
    )
    learn = _engine(arguments, run)
    out = (
        arguments.out
        or arguments.resume
        or fresh_folder(Path("runs"), f"{run.config.regime}-seed{run.seed}")
    )
    check_output(out, arguments.resume)
    print(
        f"Training on {run.config.regime} up to {run.timesteps:,} decisions; the run lies in {out}"
    )
    with parallel_config(n_jobs=arguments.jobs):
        try:
            run = learn(out, run, arguments.resume, arguments.checkpoint_every)
            if run.steps_done < run.timesteps:
                _stop(out)
            compare(out, run.config)
        except KeyboardInterrupt:  # before PPO or after it, or for the second time
            _stop(out)
    print(f"The run: {out}, its learning curves: tensorboard --logdir {shlex.quote(str(out))}")
    return out


def _stop(out: Path) -> NoReturn:
    """Say how to go on, and exit as one who was interrupted does."""
    if (out / RUN_FILE).exists():
        run, name = read_run(out), shlex.quote(str(out))
        if run.steps_done < run.timesteps:
            print(
                f"Stopped after {run.steps_done:,} decisions. To go on: python train.py --resume {name}"
            )
        else:
            print(
                f"Stopped after all of {run.steps_done:,} decisions, before the table. "
                f"To judge it: python evaluate.py --agents {name} --regimes {run.config.regime}"
            )
    else:
        again = shlex.join(["python", *sys.argv])
        print(f"Stopped before the first checkpoint: nothing is kept. To start again: {again}")
    sys.exit(130)


def _engine(arguments: Arguments, run: Run) -> Callable[[Path, Run, Path | None, int], Run]:
    """What trains this run."""
    if run.engine == "sb3":
        for name in ("env_runners", "address"):
            if getattr(arguments, name) is not None:
                raise TrainingError(
                    f"{name}={getattr(arguments, name)} came, which is for the engine rllib; write --engine rllib too"
                )
        return partial(
            train,
            evaluate_every=arguments.evaluate_every,
            # Several threads of torch wait for work in a loop, in the way of any others.
            market_threads=arguments.jobs if arguments.threads == 1 else 1,
        )
    if run.algorithm != "ppo":
        raise TrainingError(
            f"--engine rllib came with --algorithm {run.algorithm}, it has ppo; write --engine sb3"
        )
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
    """Print the learned maker beside the rule-based ones, on sessions of its regime that it never
    trained on."""
    agents = [*rules_for(config), str(folder)]
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
    algorithm = arguments.algorithm or "ppo"
    hyperparameters = read_hyperparameters(
        arguments.hyperparameters or hyperparameters_name(algorithm, arguments.regime or "mixed")
    )
    learning = hyperparameters[ALGORITHM_PART]
    fields = {"regime": "mixed", **learning.get("env_kwargs", {}), **_market(arguments)}
    return Run(
        config=configure(**fields),
        seed=0 if arguments.seed is None else arguments.seed,
        n_envs=learning["n_envs"] if arguments.n_envs is None else arguments.n_envs,
        timesteps=int(learning["n_timesteps"])
        if arguments.timesteps is None
        else arguments.timesteps,
        algorithm=algorithm,
        engine=arguments.engine or "sb3",
        hyperparameters=hyperparameters,
        command=shlex.join(["python", *sys.argv]),
    )


def _market(arguments: Arguments) -> dict[str, object]:
    """The fields of the market that the arguments name."""
    named = {"regime": arguments.regime, "p_informed": arguments.p_informed}
    return {name: value for name, value in named.items() if value is not None} | parse_fields(
        arguments.set
    )


def _resumed_run(arguments: Arguments, folder: Path) -> Run:
    check_not_shipped(arguments.out or folder)
    run = read_run(folder)
    fixed = ("seed", "n_envs", "algorithm", "engine")
    stands = run.config.to_dict() | {name: getattr(run, name) for name in fixed}
    asked = _market(arguments) | {name: getattr(arguments, name) for name in fixed}
    for name, value in asked.items():
        if value is not None and value != stands.get(name):
            raise TrainingError(
                f"{name}={value} came, but {folder} was trained with {stands.get(name)}; leave it out to go on"
            )
    if (
        arguments.hyperparameters is not None
        and read_hyperparameters(arguments.hyperparameters) != run.hyperparameters
    ):
        raise TrainingError(
            f"hyperparameters={arguments.hyperparameters} came, but {folder} was trained with others; leave it out"
        )
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
        print(f"train.py: {error}", file=sys.stderr)
        sys.exit(2)
