"""Train a market maker by PPO and compare it with the rule-based makers."""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import torch
from rich.console import Console

from mm_gym import MarketConfig, configure
from mm_gym.command import exit_code
from mm_gym.errors import nearest
from mm_gym.evaluation.rollout import MOST_PROCESSES
from mm_gym.market_file import read_market
from mm_gym.regimes import REPLAY
from mm_gym.reporting.artefacts import fresh_folder
from mm_gym.reporting.text_tables import text_table
from mm_gym.tasks import market_config

from ..invocation import INSTALLED, command_line, command_name
from ..learned.hyperparameters import (
    ALGORITHM_PART,
    POLICIES,
    hyperparameters_name,
    read_hyperparameters,
)
from ..learned.run_folder import RUN_FILE, Run, read_run
from ..registry import make_agent
from ..training.held_out import HeldOut
from ..training.trainer import (
    EVALUATE_EVERY,
    TrainingError,
    check_not_shipped,
    check_output,
    train,
)
from .options import (
    OptionalFields,
    OptionalFloat,
    OptionalInt,
    OptionalPath,
    OptionalText,
    fields_of,
    optional,
)


@dataclass(frozen=True)
class Arguments:
    """Train a market maker by PPO, then compare it with the rule-based makers.

    The run folder gets checkpoints and TensorBoard logs.
    """

    regime: OptionalText = None
    """Order-flow regime to train on. Default: that of the hyperparameters, else mixed."""
    p_informed: OptionalFloat = None
    """Share of informed takers, from 0 to 1. Default: the regime's own."""
    task: OptionalText = None
    """Task of the benchmark suite whose market to train on, such as informed-40.
    It replaces --regime, --p-informed, --set and the market of the hyperparameters."""
    market: OptionalPath = None
    """JSON file of a market to train on, in place of --regime and the market of the
    hyperparameters. `python -m mm_gym.data calibrate --out` writes one."""
    data: OptionalPath = None
    """File of exchange data to train on, in the regime replay. `python -m mm_gym.data convert`
    writes one. --set data_end=0.7 leaves the last 30 % of its time to the evaluation."""
    set: OptionalFields = ()
    """Other fields of the market, such as latency=0.5 maker_fee=-0.1."""
    algorithm: OptionalText = None
    """ppo, or recurrent_ppo for a policy with an LSTM. Default: ppo."""
    hyperparameters: OptionalText = None
    """Name of a file in agents/training/hyperparameters, or a path.
    Default: the file for the algorithm and the task, else the regime, else the algorithm's."""
    timesteps: OptionalInt = None
    """Training budget: decisions of all markets together, rounded up to whole updates.
    Default: that of the hyperparameters."""
    seed: OptionalInt = None
    """Seed of all random numbers. Default: 0."""
    n_envs: OptionalInt = None
    """Number of parallel markets. Default: that of the hyperparameters."""
    out: OptionalPath = None
    """Run folder to write. Default: a new folder in runs/."""
    resume: OptionalPath = None
    """Run folder to continue. The result goes to --out, or to the same folder.
    Market, hyperparameters and seed stay as they are. The budget may grow.
    Resume only your own runs: the checkpoint is a pickle, and a pickle can run any program."""
    start_from: OptionalText = None
    """Agent whose quotes the policy has at first. The weights of a trained maker, such as
    trained/informed-40, are copied: its network and its observations have to be the same. A rule,
    such as glosten_milgrom:tuned, is cloned: add --hyperparameters ppo-from-rule."""
    checkpoint_every: int = 100_000
    """Decisions between two checkpoints. An interruption loses at most this many."""
    evaluate_every: int = EVALUATE_EVERY
    """Decisions between two evaluations on held-out sessions, for the learning curve."""
    jobs: int = 1
    """With 2 or more, another process evaluates while the training continues, and as many threads
    step the markets. With --threads above 1, one thread steps the markets. With --engine rllib,
    see --env-runners."""
    threads: int = 1
    """Threads of torch. Two are faster only if two cores are idle."""
    engine: Annotated[Literal["sb3", "rllib"] | None, optional("{sb3,rllib}")] = None
    """Learning library: stable-baselines3 (sb3), or Ray RLlib for many processes or a cluster.
    Default: sb3."""
    env_runners: OptionalInt = None
    """Processes that step the markets, with --engine rllib. Default: 1."""
    address: OptionalText = None
    """Ray cluster to join, with --engine rllib, such as auto or 10.0.0.1:6379.
    Default: a local cluster for this run."""


def main(arguments: Arguments) -> Path:
    """Train, print the comparison, and return the run folder.

    Raises:
        ValueError: if an argument, a file or a field of the market cannot be used.
        OSError: if the run folder cannot be written.
    """
    for name in ("checkpoint_every", "evaluate_every", "jobs", "threads"):
        value = getattr(arguments, name)
        if value < 1:
            raise TrainingError(
                f"{name}={value} is out of range: expected a whole number, at least 1, got {value}"
            )
    for name in ("jobs", "threads"):
        value = getattr(arguments, name)
        if value > MOST_PROCESSES:
            raise TrainingError(
                f"{name}={value} is out of range: expected at most {MOST_PROCESSES}, got {value}"
            )
    torch.set_num_threads(arguments.threads)
    if arguments.resume is None:
        run = _new_run(arguments)
    else:
        run = _resumed_run(arguments, arguments.resume)
    with HeldOut(run.config, jobs=arguments.jobs) as held_out:
        learn = _engine(arguments, run, held_out)
        market = arguments.task or run.config.regime
        out = arguments.out or arguments.resume
        if out is None:
            out = fresh_folder(
                Path("runs"), f"{arguments.task or run.config.regime}-seed{run.seed}"
            )
        check_output(out, arguments.resume)
        print(f"Training on {market} up to {run.timesteps:,} decisions. Run folder: {out}")
        try:
            run = learn(out, run, arguments.resume, arguments.checkpoint_every)
            compare(out, run, held_out)
        except KeyboardInterrupt as stopped:
            _stop(out, stopped)
        except (ValueError, OSError):
            with suppress(OSError):  # it is kept if anything was written
                out.rmdir()
            raise
    print(f"Run folder: {out}. Learning curves: tensorboard --logdir {shlex.quote(str(out))}")
    return out


def compare(folder: Path, run: Run, held_out: HeldOut) -> None:
    """Print the trained maker beside the rule-based ones, on held-out sessions of its market.

    Args:
        folder: the run folder.
        run: the finished training.
        held_out: runs the sessions, or has the results already.
    """
    result = held_out.after(run.steps_done)
    if result is None:
        held_out.ask(str(folder), make_agent(str(folder), run.config), run.steps_done)
        result = held_out.finished(wait=True)[-1]
    console = Console()
    console.print(text_table([*held_out.rules().rows, result.row]))
    console.print(
        f"Objective of the trained maker minus that of the best rule, {result.rule['agent']}: "
        f"{result.gap}\n(ticks x lots per session, {result.row['episodes']} paired sessions, "
        "95 % interval)"
    )


def _stop(out: Path, stopped: KeyboardInterrupt) -> NoReturn:
    """Print how to continue, and exit with the code of a program that a signal stopped."""
    if (out / RUN_FILE).exists():
        run, name = read_run(out), shlex.quote(str(out))
        if run.steps_done < run.timesteps:
            print(
                f"Stopped after {run.steps_done:,} decisions. "
                f"To resume: {command_name('train')} --resume {name}"
            )
        else:
            print(
                f"Stopped after all {run.steps_done:,} decisions, before the comparison. "
                f"To evaluate: {command_name('evaluate')} --agents {name} "
                f"--regimes {run.config.regime}"
            )
    else:
        print(
            "Stopped before the first checkpoint. Nothing was saved. "
            f"To start again: {command_line()}"
        )
    sys.exit(exit_code(stopped))


def _engine(
    arguments: Arguments, run: Run, held_out: HeldOut
) -> Callable[[Path, Run, Path | None, int], Run]:
    """The function that trains this run."""
    if run.engine == "sb3":
        for name in ("env_runners", "address"):
            if getattr(arguments, name) is not None:
                raise TrainingError(
                    f"--{name.replace('_', '-')} is an option of the engine rllib: "
                    "expected --engine rllib, got --engine sb3 (write --engine rllib too)"
                )
        return partial(
            train,
            start_from=arguments.start_from,
            evaluate_every=arguments.evaluate_every,
            held_out=held_out,
            # Idle threads of torch wait in a busy loop and take cores from other threads.
            threads=arguments.jobs if arguments.threads == 1 else 1,
        )
    for name in ("start_from", "evaluate_every", "jobs"):
        if getattr(arguments, name) != getattr(Arguments, name):
            raise TrainingError(
                f"--{name.replace('_', '-')} is an option of the engine sb3: "
                "expected --engine sb3, got --engine rllib (leave one of them out)"
            )
    if run.algorithm != "ppo":
        raise TrainingError(
            f"the engine rllib has no algorithm {run.algorithm}: "
            f"expected ppo, got {run.algorithm} (write --engine sb3)"
        )
    try:
        from ..training import rllib
    except ImportError as error:
        install = "pip install 'mm-gym[train,ray]'" if INSTALLED else "make venv-ray"
        raise TrainingError(
            f"the engine rllib needs Ray: expected an environment with Ray, got {error} "
            f"(write {install})"
        ) from error
    env_runners = 1 if arguments.env_runners is None else arguments.env_runners
    return partial(rllib.train, env_runners=env_runners, address=arguments.address)


def _new_run(arguments: Arguments) -> Run:
    algorithm = arguments.algorithm or "ppo"
    if algorithm not in POLICIES:
        raise TrainingError(
            f"algorithm {algorithm!r} is unknown: expected one of {', '.join(POLICIES)}, "
            f"got {algorithm!r} ({nearest(algorithm, POLICIES)})"
        )
    market = _market(arguments)
    hyperparameters = read_hyperparameters(
        arguments.hyperparameters
        or hyperparameters_name(algorithm, arguments.task, market.get("regime", "mixed"))
    )
    learning = hyperparameters[ALGORITHM_PART]
    if arguments.task is None and arguments.market is None:
        config = configure(**{"regime": "mixed", **learning.get("env_kwargs", {}), **market})
    else:
        config = MarketConfig(**market)
    timesteps = arguments.timesteps
    return Run(
        config=config,
        seed=0 if arguments.seed is None else arguments.seed,
        n_envs=learning["n_envs"] if arguments.n_envs is None else arguments.n_envs,
        timesteps=int(learning["n_timesteps"]) if timesteps is None else timesteps,
        algorithm=algorithm,
        engine=arguments.engine or "sb3",
        hyperparameters=hyperparameters,
        command=command_line(),
    )


def _market(arguments: Arguments) -> dict[str, Any]:
    """The fields of the market that the arguments name: all of them with --task or --market."""
    fields = fields_of(arguments)
    if arguments.market is not None:
        for name in ("regime", "task", "data"):
            if (value := getattr(arguments, name)) is not None:
                raise TrainingError(
                    f"--{name} has no effect with --market: expected none, got {value} "
                    "(leave one of them out)"
                )
        return configure(**(read_market(arguments.market).to_dict() | fields)).to_dict()
    if arguments.task is not None:
        if arguments.data is not None:
            raise TrainingError(
                f"--data has no effect with --task: expected none, got {arguments.data} "
                "(leave one of them out)"
            )
        return market_config(arguments.regime, arguments.task, fields)[0].to_dict()
    regime = arguments.regime
    if arguments.data is not None:
        fields |= {"data": str(arguments.data)}
        regime = regime or REPLAY
    return fields if regime is None else {"regime": regime, **fields}


def _resumed_run(arguments: Arguments, folder: Path) -> Run:
    """The run to continue, with the new budget. Arguments that contradict it are errors."""
    check_not_shipped(arguments.out or folder)
    if arguments.start_from is not None:
        raise TrainingError(
            "--start-from is for a new run: expected no --resume beside it, "
            f"got --resume {folder} (leave one of them out)"
        )
    run = read_run(folder)
    fixed = ("seed", "n_envs", "algorithm", "engine")
    current = run.config.to_dict() | {name: getattr(run, name) for name in fixed}
    given = _market(arguments) | {name: getattr(arguments, name) for name in fixed}
    for name, value in given.items():
        if value is not None and value != current.get(name):
            raise TrainingError(
                f"{name}={value} does not fit the run in {folder}: "
                f"expected {current.get(name)}, got {value} (leave it out)"
            )
    if (
        arguments.hyperparameters is not None
        and read_hyperparameters(arguments.hyperparameters) != run.hyperparameters
    ):
        raise TrainingError(
            f"hyperparameters={arguments.hyperparameters} do not fit the run in {folder}: "
            f"expected those of the run, got others (leave --hyperparameters out)"
        )
    if arguments.timesteps is not None:
        run = dataclasses.replace(run, timesteps=arguments.timesteps)
    if run.steps_done >= run.timesteps:
        raise TrainingError(
            f"the run in {folder} is complete: expected a budget above {run.steps_done} "
            f"decisions, got {run.timesteps} (write --timesteps with a larger number)"
        )
    return run
