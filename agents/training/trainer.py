"""Training by PPO of stable-baselines3, with checkpoints that survive any interruption.

The trained maker has the last weights.
"""

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import FloatSchedule, LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from mm_gym.command import deferred_signals, raise_on_termination
from mm_gym.errors import SentenceError
from mm_gym.files import replace_file
from mm_gym.reporting.artefacts import package_versions
from mm_gym.sb3 import MarketMakingVecEnv

from ..base import AgentError
from ..learned.hyperparameters import ALGORITHM_PART
from ..learned.policy import check_fits, load_policy, policy_content, policy_kwargs
from ..learned.run_folder import CHECKPOINT_FILE, POLICY_FILE, RUN_FILE, Run, read_run
from ..registry import TRAINED, name_agent, trained_folder
from .callbacks import Checkpoints, HeldOutCurve, Progress, TradingFigures
from .cloning import clone
from .fast_ppo import FastPPO
from .held_out import HeldOut
from .history_vec_env import HistoryVecEnv, TrainingMarkets
from .progress import ProgressDisplay

EVALUATE_EVERY = 1_500_000
"""Default number of decisions between two evaluations on held-out sessions."""


class TrainingError(SentenceError):
    """A training that cannot start. The message says what was expected."""


def check_not_shipped(folder: Path) -> None:
    """Check that a training does not overwrite a maker in `agents/trained`.

    Raises:
        TrainingError: if the folder lies there.
    """
    if TRAINED.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise TrainingError(
            "a training cannot overwrite a maker that comes with the code: "
            f"expected a folder of your own, got {folder} (write --out with another folder)"
        )


def check_output(folder: Path, resume_from: Path | None) -> None:
    """Create the folder, and check that it is writable and that no files in it would be lost.

    Args:
        folder: to write to.
        resume_from: the run folder to resume, which may be the same one.

    Raises:
        TrainingError: if the folder cannot be written, or is not empty and not the resumed run.
    """
    goes_on = resume_from is not None and folder.resolve() == resume_from.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not goes_on:
            raise TrainingError(
                f"{folder} is not empty: expected a new or empty folder, got files in it "
                f"(write --out with another folder, or --resume {folder} to continue a run)"
            )
        replace_file(folder / ".writable", b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise TrainingError(
            f"the run cannot be written to {folder}: expected a folder where you may write, "
            f"got {error.strerror} (write --out with another folder)"
        ) from error


def train(
    folder: Path,
    run: Run,
    resume_from: Path | None = None,
    checkpoint_every: int = 100_000,
    evaluate_every: int = EVALUATE_EVERY,
    held_out: HeldOut | None = None,
    threads: int = 1,
    start_from: str | None = None,
) -> Run:
    """Train up to the budget of the run, with checkpoints in the folder. Shows the progress.

    An interrupt or termination signal ends the training at once. The checkpoint has the weights
    after the last complete update.

    Args:
        folder: to write to, created by `check_output`.
        run: the training.
        resume_from: a run folder to continue. Its checkpoint is unpickled.
        checkpoint_every: interval between checkpoints [decisions of all markets together].
        evaluate_every: interval between evaluations on held-out sessions, for curves and pictures
            in the logs [decisions].
        held_out: runs these evaluations. Default: one after another in this process.
        threads: number of threads that step the markets. With two or more, actor and critic also
            learn at the same time. The result does not depend on it.
        start_from: agent whose quotes the untrained policy has: a trained maker, whose weights are
            copied as data, or a rule, which is cloned.

    Returns:
        The run with its `steps_done`.

    Raises:
        KeyboardInterrupt: after SIGINT or SIGTERM (`mm_gym.command.Terminated`), when the
            checkpoint is saved.
        OSError: if the folder cannot be written.
        AgentError: if the checkpoint or the first weights cannot be read, or `start_from` is
            unknown.
        TrainingError: if the first weights are those of another network, or of a rule and for an
            LSTM.
    """
    markets = partial(MarketMakingVecEnv, threads=threads)
    environment = training_markets(run, markets)
    if resume_from is None:
        model = new_model(environment, run)
        if start_from is not None:
            source = trained_folder(start_from)
            if source.is_dir():
                copy_weights(source, model, run)
            else:
                clone_rule(start_from, model, run, markets)
    else:
        model = load_checkpoint(resume_from, run.algorithm, env=environment)
        model.set_random_seed(stream_seed(run.seed, model.num_timesteps))
    if isinstance(model, FastPPO):
        model.learner_threads = threads
        model.critic_warm_up = run.hyperparameters.get("critic_warm_up", 0.0)
        if "critic_learning_rate" in run.hyperparameters:
            rate = _schedule(run.hyperparameters["critic_learning_rate"])
            model.critic_learning_rate = FloatSchedule(rate)
    model.set_logger(configure(str(folder / "tensorboard"), ["tensorboard"]))
    run = dataclasses.replace(run, versions=package_versions())

    def checkpoint(steps_done: int) -> None:
        """Save all files."""
        nonlocal run
        run = dataclasses.replace(run, steps_done=steps_done)
        with deferred_signals():
            content = BytesIO()
            model.save(content)
            replace_file(folder / CHECKPOINT_FILE, content.getvalue())
            write_weights(folder, model, run)

    display = ProgressDisplay(run.timesteps)
    checkpoints = Checkpoints(checkpoint_every, checkpoint)
    # An interrupt inside `torch.no_grad` may have left gradients off.
    with raise_on_termination(), display, torch.enable_grad():
        try:
            model.learn(
                max(0, run.timesteps - model.num_timesteps),
                callback=[
                    TradingFigures(),
                    Progress(display),
                    checkpoints,
                    HeldOutCurve(
                        held_out or HeldOut(run.config), str(folder), run, evaluate_every, display
                    ),
                ],
                reset_num_timesteps=False,
            )
        except KeyboardInterrupt:
            checkpoints.save_last_update()
            raise
    checkpoint(model.num_timesteps)
    return run


def write_weights(folder: Path, model: BaseAlgorithm, run: Run) -> None:
    """Write `policy.pth`, and `run.json` after it, so that the weights it describes exist."""
    replace_file(folder / POLICY_FILE, policy_content(model.policy))
    write_run(folder, run)


def write_run(folder: Path, run: Run) -> None:
    """Write `run.json`."""
    replace_file(folder / RUN_FILE, json.dumps(dataclasses.asdict(run), indent=1).encode() + b"\n")


def training_markets(
    run: Run, kind: Callable[..., MarketMakingVecEnv] = MarketMakingVecEnv
) -> TrainingMarkets:
    """The markets of a run, with variance-reduced rewards and staggered sessions.

    Recorded data have no hidden state to reduce the variance with.

    Args:
        run: the training.
        kind: class of the markets.
    """
    ramp = run.hyperparameters.get("informed_ramp", 0.0)
    markets = kind(
        run.n_envs,
        informed_ramp=round(ramp * run.timesteps / run.n_envs),
        variance_reduction=run.config.makers != "recorded",
        staggered=True,
        **run.config.to_dict(),
    )
    markets.decisions = run.steps_done // run.n_envs
    return HistoryVecEnv(markets) if run.has_history else markets


def new_model(environment: VecEnv, run: Run) -> OnPolicyAlgorithm:
    """An untrained model with the hyperparameters of the run."""
    hyperparameters = run.hyperparameters[ALGORITHM_PART]
    arguments = {
        name: _schedule(value)
        for name, value in hyperparameters.items()
        if name not in _NOT_OF_THE_ALGORITHM
    }
    arguments |= rollout_shape(hyperparameters, run.n_envs)
    return algorithm_class(run.algorithm)(
        env=environment,
        **arguments,
        policy_kwargs=policy_kwargs(run),
        stats_window_size=run.n_envs,
        seed=stream_seed(run.seed, 0),
        device="cpu",  # a network this small is slower on anything else
    )


def load_checkpoint(folder: Path, algorithm: str = "ppo", **arguments: Any) -> OnPolicyAlgorithm:
    """The model of a checkpoint, for resuming a training.

    This unpickles the file, which can run any program. Use it for your own runs only.

    Args:
        folder: of the run.
        algorithm: `ppo` or `recurrent_ppo`.
        **arguments: of stable-baselines3's `load`, such as `env`.

    Raises:
        AgentError: if there is no checkpoint, or it cannot be read.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise AgentError(
            f"{folder} cannot be resumed: expected a {CHECKPOINT_FILE} in it, got none "
            "(write a run folder of your own; makers that come with the code have no checkpoint)"
        )
    try:
        return algorithm_class(algorithm).load(path, device="cpu", **arguments)
    except Exception as error:  # a damaged file may raise nearly any exception
        raise AgentError(
            f"{path} is damaged or of another version: expected a model of {algorithm}, "
            f"got {type(error).__name__} ({error}) "
            "(train again, or restore the folder from a backup)"
        ) from error


def algorithm_class(algorithm: str) -> type[OnPolicyAlgorithm]:
    """The class that trains `ppo` or `recurrent_ppo`."""
    if algorithm == "recurrent_ppo":
        from sb3_contrib import RecurrentPPO

        return RecurrentPPO
    return FastPPO


def copy_weights(folder: Path, model: OnPolicyAlgorithm, run: Run) -> None:
    """Copy the weights of a trained maker into an untrained model, except its exploration.

    Policy and critic are copied. The standard deviation of actions stays that of the model's
    hyperparameters.

    Args:
        folder: run folder of the trained maker.
        model: the untrained model.
        run: its training.

    Raises:
        AgentError: if the folder cannot be read or its maker was trained in other units.
        TrainingError: if the maker has another network or other observations.
    """
    trained = read_run(folder)
    check_fits(folder, trained, run.config)
    weights, untrained = load_policy(folder, trained).state_dict(), model.policy.state_dict()
    weights["log_std"] = untrained["log_std"]
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in untrained.items()}
    activations = [run.policy_kwargs.get("activation_fn", "tanh") for run in (trained, run)]
    if shapes != wanted or activations[0] != activations[1]:
        raise TrainingError(
            f"the weights of {folder} do not fit: expected a network as in the hyperparameters of "
            "this run, got another one (write --hyperparameters with those of that maker)"
        )
    model.policy.load_state_dict(weights)


def clone_rule(
    name: str, model: OnPolicyAlgorithm, run: Run, markets: Callable[..., MarketMakingVecEnv]
) -> None:
    """Fit an untrained model to the quotes of a rule, such as `glosten_milgrom:tuned`.

    The markets of the demonstrations have the full share of informed takers from the start.

    Args:
        name: of the rule, with its parameters.
        model: the untrained model.
        run: its training.
        markets: class of the markets.

    Raises:
        AgentError: if there is no such agent.
        TrainingError: if the model has an LSTM.
    """
    rule = name_agent(name)(run.config)
    if not isinstance(model, FastPPO):
        raise TrainingError(
            f"a rule cannot be cloned into an LSTM: expected ppo, got {run.algorithm} "
            "(write --algorithm ppo)"
        )
    print(f"The policy learns the quotes of {name}.")
    without_ramp = {**run.hyperparameters, "informed_ramp": 0.0}
    clone(
        rule,
        model,
        training_markets(dataclasses.replace(run, hyperparameters=without_ramp), markets),
        stream_seed(run.seed, _CLONING),
    )


_CLONING = 2**32 - 1  # a step that no training reaches, so that the clone has its own sessions
_NOT_OF_THE_ALGORITHM = ("env_kwargs", "n_envs", "n_timesteps", "policy_kwargs")


def _schedule(value: Any) -> Any:
    """A linear schedule to zero for `lin_0.001`, in the notation of rl_zoo3. Else the value."""
    if isinstance(value, str) and value.startswith("lin_"):
        return LinearSchedule(float(value.removeprefix("lin_")), 0.0, 1.0)
    return value


def rollout_shape(hyperparameters: dict[str, Any], n_envs: int) -> dict[str, int]:
    """`n_steps` and `batch_size` for `n_envs` markets.

    The number of decisions per update stays near that of the hyperparameters, and the number of
    batches is the same. Batches have equal size.
    """
    decisions = hyperparameters["n_envs"] * hyperparameters["n_steps"]
    batches = max(1, decisions // hyperparameters["batch_size"])
    n_steps = batches * max(1, decisions // (batches * n_envs))
    return {"n_steps": n_steps, "batch_size": n_envs * n_steps // batches}


def stream_seed(seed: int, steps_done: int) -> int:
    """Seed of the markets and of the sampled actions from this step on.

    It differs after each resumption, so that a resumed training does not replay its sessions. The
    spawn key separates it from the seeds of evaluations, so that both may use the same `seed`.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(steps_done,)).generate_state(1)[0])
