"""Training by PPO of Ray RLlib, in many processes or on a cluster.

Markets, hyperparameters and initial weights are those of `agents.training.trainer`. Beside
`run.json` the run folder holds `policy.npz`, which quotes without Ray, TensorBoard logs with the
same names, and RLlib's checkpoint for resuming.
"""

import copy
import dataclasses
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # avoids an irrelevant warning

import ray
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch.utils.tensorboard import SummaryWriter

from mm_gym.command import deferred_signals
from mm_gym.files import replace_file
from mm_gym.reporting.artefacts import package_versions

from ..backends import ray_cluster
from ..base import AgentError
from ..invocation import command_name
from ..learned.hyperparameters import ALGORITHM_PART
from ..learned.network import POLICY_FILE, policy_bytes
from ..learned.policy import layers_of
from ..learned.run_folder import Run
from .rllib_markets import ENVIRONMENT, FIGURES
from .trainer import (
    TrainingError,
    new_model,
    rollout_shape,
    stream_seed,
    training_markets,
    write_run,
)

SAMPLE_TIMEOUT = 600.0  # [s] RLlib's 60 may be too few for a first compilation on a busy machine

# Names of the parts of RLlib's networks, and of the corresponding parts in stable-baselines3.
_LAYER = "encoder.{}_encoder.net.mlp.{}"
_HEADS = {
    "actor": ("policy", "pi.net.mlp.0", "action_net"),
    "critic": ("value", "vf.net.mlp.0", "value_net"),
}


def train(
    folder: Path,
    run: Run,
    resume_from: Path | None = None,
    checkpoint_every: int = 100_000,
    env_runners: int = 1,
    address: str | None = None,
    saved: Callable[[Run], bool] = lambda run: False,
) -> Run:
    """Train up to the budget of the run, with checkpoints in the folder. Shows a progress bar.

    An interrupt or termination signal ends the training after the update, with a checkpoint.

    Args:
        folder, run, resume_from, checkpoint_every: as in `agents.training.trainer.train`.
        env_runners: number of processes that step the markets. Each gets the same number of
            markets. 0 steps them in this process.
        address: of a Ray cluster to join, such as `auto` or `10.0.0.1:6379`. Default: a new cluster
            on this machine, which ends with the training.
        saved: called after each checkpoint. It returns whether to stop.

    Returns:
        The run with its `steps_done`.

    Raises:
        KeyboardInterrupt: as in `agents.training.trainer.train`.
        TrainingError: if the markets cannot be divided evenly, or the cluster is too small,
            or no environment runner answers.
        BackendError: if the cluster cannot be reached.
        AgentError: if the checkpoint cannot be read.
        OSError: if the folder cannot be written.
    """
    if env_runners < 0 or run.n_envs % max(1, env_runners):
        raise TrainingError(
            f"env_runners={env_runners} cannot share the markets evenly: expected a divisor of "
            f"{run.n_envs} markets, or 0, got {env_runners}"
        )
    checkpoint = None if resume_from is None else _checkpoint(resume_from, run.steps_done)
    if checkpoint is not None and not checkpoint.is_dir():
        raise AgentError(
            f"{resume_from} cannot be resumed: expected {checkpoint.name} in it, got none "
            f"(write a folder that {command_name('train')} --engine rllib wrote)"
        )
    run = dataclasses.replace(run, versions=package_versions() | {"ray": ray.__version__})
    with (
        _cluster(env_runners, address),
        deferred_signals() as stop,
        _algorithm(algorithm_config(run, env_runners, restart=address is not None)) as algorithm,
        SummaryWriter(str(folder / "tensorboard")) as log,
    ):
        if checkpoint is None:
            weights = first_weights(run)
            algorithm.set_state(
                {"learner_group": {"learner": {"rl_module": {DEFAULT_MODULE_ID: weights}}}}
            )
            run = _save(folder, run, algorithm)
            saved(run)
        else:
            _restore(algorithm, checkpoint)
        saved_at, steps_done = run.steps_done, run.steps_done
        with Progress(
            *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), _Note()
        ) as bar:
            task = bar.add_task("decisions", total=run.timesteps, completed=steps_done, note="")
            while steps_done < run.timesteps and not stop.is_set():
                result = algorithm.train()
                if "env_runners" not in result:
                    raise TrainingError(
                        "no environment runner answered: expected decisions within "
                        f"{SAMPLE_TIMEOUT:g} s, got none (the machine is too busy, or they died)"
                    )
                steps_done = int(result["env_runners"]["num_env_steps_sampled_lifetime"])
                note = _log(log, result, steps_done)
                bar.update(task, completed=steps_done, note=note)
                if steps_done >= saved_at + checkpoint_every:
                    run = _save(folder, dataclasses.replace(run, steps_done=steps_done), algorithm)
                    saved_at = steps_done
                    if saved(run):
                        return run
        run = _save(folder, dataclasses.replace(run, steps_done=steps_done), algorithm)
        if steps_done > saved_at:
            saved(run)
        return run


def algorithm_config(run: Run, env_runners: int, restart: bool = False) -> PPOConfig:
    """RLlib's PPO with the hyperparameters of the run.

    Defaults of stable-baselines3 apply where those of RLlib differ.

    Args:
        run: the training.
        env_runners: number of processes that step the markets.
        restart: whether to restart environment runners that are lost, as on a cluster.
    """
    hyperparameters = run.hyperparameters[ALGORITHM_PART]
    shape = rollout_shape(hyperparameters, run.n_envs)
    return (
        PPOConfig()
        .api_stack(enable_rl_module_and_learner=True, enable_env_runner_and_connector_v2=True)
        # The markets clip actions, so that PPO learns from the actions that it drew.
        .environment(
            ENVIRONMENT, env_config={"run": run}, normalize_actions=False, clip_actions=False
        )
        .env_runners(
            num_env_runners=env_runners,
            num_envs_per_env_runner=run.n_envs // max(1, env_runners),
            gym_env_vectorize_mode="vector_entry_point",
            create_local_env_runner=env_runners == 0,
            sample_timeout_s=SAMPLE_TIMEOUT,
        )
        .learners(num_learners=0)  # in this process
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=_hidden(run),
                fcnet_activation=layers_of(run)[1],
                vf_share_layers=False,
                free_log_std=True,
            )
        )
        .training(
            lr=_learning_rate(hyperparameters.get("learning_rate", 0.0003), run.timesteps),
            gamma=hyperparameters.get("gamma", 0.99),
            lambda_=hyperparameters.get("gae_lambda", 0.95),
            num_epochs=hyperparameters.get("n_epochs", 10),
            train_batch_size_per_learner=run.n_envs * shape["n_steps"],
            minibatch_size=shape["batch_size"],
            clip_param=0.2,
            use_kl_loss=False,
            vf_loss_coeff=0.5,
            # RLlib clips the squared error of the value. Larger errors would have no gradient.
            vf_clip_param=float("inf"),
            grad_clip=0.5,
            grad_clip_by="global_norm",
        )
        .fault_tolerance(restart_failed_env_runners=restart)
        .callbacks(on_episode_end=log_session)
        .reporting(metrics_num_episodes_for_smoothing=run.n_envs)
        .debugging(seed=stream_seed(run.seed, run.steps_done), log_level="ERROR")
    )


def _hidden(run: Run) -> list[int]:
    """Widths of the hidden layers of the policy. RLlib's value network has the same ones."""
    return layers_of(run)[0][1:-1]


def _learning_rate(value: Any, timesteps: int) -> Any:
    """RLlib's schedule for `lin_0.001`, a linear decrease to zero. A number stays a number."""
    if isinstance(value, str):
        return [[0, float(value.removeprefix("lin_"))], [timesteps, 0.0]]
    return value


def log_session(*, episode: Any, metrics_logger: Any, env: Any, **_: Any) -> None:
    """Let RLlib average the `FIGURES` over the latest session of each market."""
    figures = episode.get_infos(-1)
    for name in FIGURES:
        metrics_logger.log_value(("market", name), float(figures[name]), window=env.num_envs)


def first_weights(run: Run) -> dict[str, npt.NDArray[np.float32]]:
    """The initial weights of `agents.training.trainer`, under RLlib's names."""
    hyperparameters = copy.deepcopy(run.hyperparameters)
    hyperparameters[ALGORITHM_PART].setdefault("policy_kwargs", {})["net_arch"] = _hidden(run)
    policy = new_model(
        training_markets(run), dataclasses.replace(run, hyperparameters=hyperparameters)
    ).policy
    theirs = {name: value.numpy() for name, value in policy.state_dict().items()}
    ours = {"pi.log_std": theirs["log_std"]}
    for part in ("weight", "bias"):
        for network, (their_network, head, their_head) in _HEADS.items():
            ours[f"{head}.{part}"] = theirs[f"{their_head}.{part}"]
            for number in range(len(_hidden(run))):
                name = _LAYER.format(network, 2 * number)
                ours[f"{name}.{part}"] = theirs[
                    f"mlp_extractor.{their_network}_net.{2 * number}.{part}"
                ]
    return ours


def export_policy(weights: dict[str, Any], n_hidden: int) -> bytes:
    """The content of a policy file for `agents.learned.network`.

    Args:
        weights: the state of RLlib's module.
        n_hidden: number of hidden layers.
    """
    names = [_LAYER.format("actor", 2 * number) for number in range(n_hidden)] + [
        _HEADS["actor"][1]
    ]
    layers = [
        (np.asarray(weights[f"{name}.weight"]), np.asarray(weights[f"{name}.bias"]))
        for name in names
    ]
    return policy_bytes(layers, np.asarray(weights["pi.log_std"]))


class _Note(TextColumn):
    def __init__(self) -> None:
        super().__init__("{task.fields[note]}")


@contextmanager
def _cluster(env_runners: int, address: str | None) -> Iterator[None]:
    """Run Ray during the block, with a core for each environment runner."""
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    with ray_cluster(address, env_runners + 1):
        cores = ray.cluster_resources().get("CPU", 0)
        if cores < env_runners:
            raise TrainingError(
                f"the cluster at {address} is too small: expected {env_runners} cores, one for "
                f"each environment runner, got {cores:g} (write --env-runners with fewer)"
            )
        yield


@contextmanager
def _algorithm(config: PPOConfig) -> Iterator[PPO]:
    algorithm = config.build_algo()
    try:
        yield algorithm
    finally:
        algorithm.stop()
        with suppress(OSError):
            os.rmdir(algorithm.logdir)  # RLlib leaves an empty folder in the home folder


def _checkpoint(folder: Path, steps_done: int) -> Path:
    return folder / f"rllib-{steps_done}"


def _save(folder: Path, run: Run, algorithm: PPO) -> Run:
    """Write a checkpoint. The previous one is removed after `run.json` names the new one."""
    checkpoint = _checkpoint(folder, run.steps_done)
    if not checkpoint.is_dir():
        partial = checkpoint.with_name(checkpoint.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        algorithm.save_to_path(partial.absolute())
        os.replace(partial, checkpoint)
    weights = algorithm.get_weights()[DEFAULT_MODULE_ID]
    replace_file(folder / POLICY_FILE, export_policy(weights, len(_hidden(run))))
    write_run(folder, run)
    for old in folder.glob("rllib-*"):
        if old != checkpoint:
            shutil.rmtree(old, ignore_errors=True)
    return run


def _restore(algorithm: PPO, checkpoint: Path) -> None:
    try:
        algorithm.restore_from_path(checkpoint.absolute())
    except Exception as error:  # a damaged pickle may raise nearly any exception
        raise AgentError(
            f"{checkpoint} is damaged or of another version: expected a checkpoint of RLlib, "
            f"got {type(error).__name__} ({error}) (train again, or restore the folder from a "
            "backup)"
        ) from error


def _log(log: SummaryWriter, result: dict[str, Any], steps_done: int) -> str:
    """Log the figures of an iteration, and return the note for the progress bar."""
    market = {
        f"market/{name}": value for name, value in result["env_runners"].get("market", {}).items()
    }
    learner = {
        f"train/{name}": value for name, value in result["learners"][DEFAULT_MODULE_ID].items()
    }
    for name, value in {**market, **learner}.items():
        if np.isscalar(value) and np.isfinite(value):
            log.add_scalar(name, value, steps_done)
    objective = market.get("market/objective", np.nan)
    return f"objective {objective:.1f}" if np.isfinite(objective) else ""
