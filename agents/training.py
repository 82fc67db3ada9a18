"""Training a maker by PPO: the settings, what is logged, and checkpoints that no interruption can spoil."""

import dataclasses
import json
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from agents.ppo import MODEL_FILE, RUN_FILE, Run, load_model
from mm_gym.core.layout import Obs
from mm_gym.evaluation.artefacts import package_versions
from mm_gym.sb3 import SESSION_FIGURES, MarketMakingVecEnv

DECISIONS_PER_UPDATE = 16_384
"""Collected from all markets together before each update, whatever their number."""
BATCHES_PER_EPOCH = 4

SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-3,  # at the start; it falls linearly to zero at the end of the budget
    "n_epochs": 8,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "net_arch": [64, 64],
    "reward_scale": 0.1,  # returns are tens of ticks; the value network would take long to learn to say them
    "initial_offset": 1.5,  # [ticks] on both sides
    "exploration": 1.1,  # [ticks] standard deviation of an untrained policy's quotes
    "lots_noticed": 5.0,  # inventory that moves the untrained networks as a typical value of another column does
}
"""Of PPO, and how its policy starts."""


class TrainingError(ValueError):
    """A training that cannot start: the message says what came, what was wanted and what to write instead."""


def check_output(folder: Path, resume_from: Path | None) -> None:
    """Make the folder, and make sure that it can be written and that nothing in it would be lost.

    Raises:
        TrainingError: if it cannot, or if it holds something and is not the run that goes on.
    """
    goes_on = resume_from is not None and folder.resolve() == resume_from.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not goes_on:
            raise TrainingError(
                f"{folder} holds something already; write --out with another name, or --resume {folder} to go on "
                "with a run"
            )
        replace_file(folder / ".writable", b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise TrainingError(
            f"the run cannot be written to {folder} ({error.strerror}); write --out with a folder in a place where "
            "you may write"
        ) from error


def train(folder: Path, run: Run, resume_from: Path | None = None, checkpoint_every: int = 100_000) -> Run:
    """Train up to the run's budget, with checkpoints in the folder; shows a progress bar.

    Args:
        folder: to write to, which `check_output` has made.
        run: what to train on what.
        resume_from: a run folder whose model goes on.
        checkpoint_every: decisions, of all markets together, after which the model is saved.

    Returns:
        The run with the steps done: less than its budget if an interrupt or a termination signal came, which is
        answered by a checkpoint.

    Raises:
        OSError: if the folder cannot be written.
        AgentError: if the model to go on with cannot be read.
    """
    environment = training_markets(run)
    if resume_from is None:
        model = new_model(environment, run)
    else:
        model = load_model(resume_from, env=environment)
        model.set_random_seed(stream_seed(run.seed, model.num_timesteps))
    model.set_logger(configure(str(folder / "tensorboard"), ["tensorboard"]))
    run = dataclasses.replace(run, versions=package_versions())

    def save(steps_done: int) -> None:
        nonlocal run
        run = dataclasses.replace(run, steps_done=steps_done)
        weights = BytesIO()
        model.save(weights)
        replace_file(folder / MODEL_FILE, weights.getvalue())
        replace_file(folder / RUN_FILE, json.dumps(dataclasses.asdict(run), indent=1).encode() + b"\n")

    with stop_signals() as stop:
        model.learn(
            max(0, run.timesteps - model.num_timesteps),
            callback=[TradingFigures(), Checkpoints(checkpoint_every, save, stop.is_set)],
            reset_num_timesteps=False,
            progress_bar=True,
        )
    save(model.num_timesteps)
    return run


def training_markets(run: Run, kind: type[MarketMakingVecEnv] = MarketMakingVecEnv) -> MarketMakingVecEnv:
    """The markets of a run, at different times of their sessions, with rewards that hold little noise."""
    scale = run.settings.get("reward_scale", 1.0)
    return kind(run.n_envs, reward_scale=scale, without_luck=True, staggered=True, **run.config.to_dict())


def new_model(environment: VecEnv, run: Run) -> PPO:
    """An untrained model with the run's settings."""
    settings = run.settings
    ticks = 0.5 * run.config.max_offset  # that an action of one is worth
    model = PPO(
        "MlpPolicy",
        environment,
        **rollout_shape(run.n_envs),
        learning_rate=LinearSchedule(settings["learning_rate"], 0.0, 1.0),
        n_epochs=settings["n_epochs"],
        gamma=settings["gamma"],
        gae_lambda=settings["gae_lambda"],
        policy_kwargs={
            "net_arch": settings["net_arch"],
            "log_std_init": math.log(settings["exploration"] / ticks),
        },
        stats_window_size=run.n_envs,
        seed=stream_seed(run.seed, 0),
        device="cpu",  # a network this small is slower on anything else
    )
    with torch.no_grad():
        # A policy that starts in the middle of the range quotes where nobody trades, and has nothing to learn from.
        bias = model.policy.get_parameter("action_net.bias")
        bias.fill_(settings["initial_offset"] / ticks - 1.0)
        # A lot moves the inventory's column by no more than 1 / max_inventory. Without a head start the policy would
        # take a million decisions to notice what it holds, and pay for it.
        for network in ("policy_net", "value_net"):
            weights = model.policy.get_parameter(f"mlp_extractor.{network}.0.weight")
            weights[:, Obs.INVENTORY] *= max(1.0, run.config.max_inventory / settings["lots_noticed"])
    return model


def rollout_shape(n_envs: int) -> dict[str, Any]:
    """PPO's `n_steps` and `batch_size` for so many markets: about `DECISIONS_PER_UPDATE`, in whole batches."""
    n_steps = BATCHES_PER_EPOCH * max(1, DECISIONS_PER_UPDATE // (BATCHES_PER_EPOCH * n_envs))
    return {"n_steps": n_steps, "batch_size": n_envs * n_steps // BATCHES_PER_EPOCH}


def stream_seed(seed: int, steps_done: int) -> int:
    """Seed of the markets and of the sampled actions from this step on.

    Another one after each resumption, so that it does not replay the sessions already seen; and, by the spawn key, of
    another family than those of evaluations, so that a seed may serve both.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(steps_done,)).generate_state(1)[0])


class TradingFigures(BaseCallback):
    """Logs what a trader would ask: means over the latest session of each market, in ticks x lots and lots."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        sessions = self.model.ep_info_buffer
        if sessions:
            self.logger.record("market/objective", np.mean([session["r"] for session in sessions]))
            for name in SESSION_FIGURES:
                self.logger.record(f"market/{name}", np.mean([session[name] for session in sessions]))


class Checkpoints(BaseCallback):
    """Saves between updates: at the start, then after every so many decisions. Ends the training when asked to.

    Args:
        every: decisions of all markets together.
        save: called with the number of decisions learned from.
        stop: whether to stop now.
    """

    def __init__(self, every: int, save: Callable[[int], None], stop: Callable[[], bool]) -> None:
        super().__init__()
        self._every = every
        self._save = save
        self._stop = stop
        self._saved_at: int | None = None

    def _on_rollout_start(self) -> None:
        self._learned = self.num_timesteps
        if self._saved_at is None or self._learned >= self._saved_at + self._every:
            self._save(self._learned)
            self._saved_at = self._learned

    def _on_step(self) -> bool:
        if self._stop():
            # What was collected since the last update has taught nothing yet: it does not count.
            self.model.num_timesteps = self._learned
            return False
        return True


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that at any moment there is either the old one or the new one, whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or termination signal sets; the second one ends the program as ever."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        stop.set()
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
