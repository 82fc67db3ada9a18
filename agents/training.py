"""Training a maker by PPO: its start, the best that is kept, and checkpoints that no interruption can spoil."""

import dataclasses
import json
import math
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from agents.callbacks import Checkpoints, Exploration, HeldOut, TradingFigures, held_out_sessions_of
from agents.imitation import LAST_EPOCHS, imitate, teach_critic
from agents.ppo import BEST_FILE, MODEL_FILE, RUN_FILE, Run, algorithm_class, load_model
from agents.remembering_vec_env import RememberingVecEnv
from agents.settings import ALGORITHM_PART
from agents.teachers import Oracle, Specialists, Teacher, TrainingMarkets
from mm_gym.core.layout import Obs
from mm_gym.evaluation.artefacts import package_versions
from mm_gym.evaluation.rollout import Sessions
from mm_gym.sb3 import MarketMakingVecEnv

HELD_OUT_SESSIONS = 512
PATIENCES = (0.0, 0.15, 0.3, 0.6, 1.0)
"""[ticks] What a trained maker may have of it, unless its settings name others."""


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


def train(
    folder: Path,
    run: Run,
    resume_from: Path | None = None,
    checkpoint_every: int = 100_000,
    evaluate_every: int = 2_000_000,
    held_out_sessions: int | None = None,
    head_start_threads: int | None = None,
    market_threads: int = 1,
) -> Run:
    """Train up to the run's budget, with checkpoints in the folder; shows a progress bar.

    Args:
        folder: to write to, which `check_output` has made.
        run: what to train on what.
        resume_from: a run folder whose model goes on.
        checkpoint_every: decisions, of all markets together, after which the model is saved.
        evaluate_every: decisions after which it is judged on held-out sessions; the best is kept.
        held_out_sessions: how many; by default `HELD_OUT_SESSIONS`.
        head_start_threads: of torch, during a head start; by default those that it has.
        market_threads: that step the markets; what is learned is the same with any number.

    Returns:
        The run with the steps done: less than its budget if an interrupt or a termination signal came, which is
        answered by a checkpoint.

    Raises:
        OSError: if the folder cannot be written.
        AgentError: if the model to go on with cannot be read.
    """
    n_held_out = HELD_OUT_SESSIONS if held_out_sessions is None else held_out_sessions
    environment = training_markets(run, partial(MarketMakingVecEnv, threads=market_threads))
    if resume_from is None:
        model = first_model(environment, run, head_start_threads)
    else:
        model = load_model(resume_from, run.algorithm, env=environment)
        model.set_random_seed(stream_seed(run.seed, model.num_timesteps))
    model.set_logger(configure(str(folder / "tensorboard"), ["tensorboard"]))
    if resume_from is not None and run.loads == BEST_FILE and folder.resolve() != resume_from.resolve():
        shutil.copyfile(resume_from / BEST_FILE, folder / BEST_FILE)
    run = dataclasses.replace(run, versions=package_versions())

    def save(file: str, **changes: Any) -> None:
        """The weights first: whatever `run.json` names is there."""
        nonlocal run
        run = dataclasses.replace(run, **changes)
        weights = BytesIO()
        model.save(weights)
        replace_file(folder / file, weights.getvalue())
        write_run(folder, run)

    def checkpoint(steps_done: int) -> None:
        save(MODEL_FILE, steps_done=steps_done)

    best: npt.NDArray[np.float64] | None = None
    # The best patience is chosen in the end; until then weights are compared with a middling one, not with none: what
    # quotes well while it moves all the time need not do so when it stands.
    patiences = sorted(_patiences(run))
    judged = dataclasses.replace(run, patience=patiences[len(patiences) // 2])

    def keep_if_best(steps_done: int, sessions: Sessions) -> None:
        nonlocal best
        if best is None and run.best:  # of the run that goes on
            best = held_out_sessions_of(load_model(folder, run.algorithm, BEST_FILE), judged, n_held_out).fair_objective
        if best is None or not clearly_worse(sessions.fair_objective, best):
            best = sessions.fair_objective
            objective = float(sessions.objective.mean())
            save(BEST_FILE, loads=BEST_FILE, best={"steps_done": steps_done, "objective": objective})

    exploration = run.settings.get("exploration")
    with stop_signals() as stop:
        model.learn(
            max(0, run.timesteps - model.num_timesteps),
            callback=[
                *([Exploration(**exploration)] if exploration else []),
                TradingFigures(),
                Checkpoints(checkpoint_every, checkpoint, stop.is_set),
                HeldOut(judged, evaluate_every, n_held_out, keep_if_best),
            ],
            reset_num_timesteps=False,
            progress_bar=True,
        )
    checkpoint(model.num_timesteps)
    if run.steps_done >= run.timesteps:
        run = settle_patience(folder, run, n_held_out)
    return run


def settle_patience(folder: Path, run: Run, sessions: int = HELD_OUT_SESSIONS) -> Run:
    """Choose the patience of what the run quotes with, on held-out sessions, and write it down.

    Exploration moves every quote, so that a policy cannot learn what it is worth to leave one where it rests.
    """
    model = load_model(folder, run.algorithm, run.loads)

    def score(patience: float) -> float:
        patient = dataclasses.replace(run, patience=patience)
        return float(held_out_sessions_of(model, patient, sessions, horizons=()).fair_objective.mean())

    run = dataclasses.replace(run, patience=max(_patiences(run), key=score))
    write_run(folder, run)
    return run


def _patiences(run: Run) -> Sequence[float]:
    """[ticks] Those that the run may have."""
    patiences: Sequence[float] = run.settings.get("patiences", PATIENCES)
    return patiences


def write_run(folder: Path, run: Run) -> None:
    """Write the run's own account of itself."""
    replace_file(folder / RUN_FILE, json.dumps(dataclasses.asdict(run), indent=1).encode() + b"\n")


def training_markets(run: Run, kind: Callable[..., MarketMakingVecEnv] = MarketMakingVecEnv) -> TrainingMarkets:
    """The markets of a run, at different times of their sessions, with rewards that hold little noise."""
    markets = kind(run.n_envs, **run.settings["markets"], without_luck=True, staggered=True, **run.config.to_dict())
    return RememberingVecEnv(markets) if run.remembers else markets


def new_model(environment: VecEnv, run: Run) -> OnPolicyAlgorithm:
    """An untrained model with the run's settings.

    Raises:
        TrainingError: if the algorithm takes no such setting.
    """
    settings, start = run.settings[ALGORITHM_PART], run.settings["start"]
    arguments = {name: _schedule(value) for name, value in settings.items() if name not in _NOT_OF_THE_ALGORITHM}
    try:
        model = algorithm_class(run.algorithm)(
            env=environment,
            **(arguments | rollout_shape(settings, run.n_envs)),
            stats_window_size=run.n_envs,
            seed=stream_seed(run.seed, 0),
            device="cpu",  # a network this small is slower on anything else
        )
    except TypeError as error:
        raise TrainingError(
            f"the settings under {ALGORITHM_PART!r} do not suit {run.algorithm} ({error}); write arguments of its class"
        ) from error
    with torch.no_grad():
        # A policy that starts in the middle of the range quotes where nobody trades, and has nothing to learn from.
        bias = model.policy.get_parameter("action_net.bias")
        bias.fill_(2.0 * start["initial_offset"] / run.config.max_offset - 1.0)
        # A lot moves the inventory's column by no more than 1 / max_inventory. Without a head start the policy would
        # take a million decisions to notice what it holds, and pay for it.
        for name in _FIRST_LAYERS[run.algorithm]:
            weights = model.policy.get_parameter(name)
            weights[:, Obs.INVENTORY] *= max(1.0, run.config.max_inventory / start["lots_noticed"])
    return model


def first_model(environment: TrainingMarkets, run: Run, threads: int | None = None) -> OnPolicyAlgorithm:
    """What PPO starts from: an untrained model that, where the settings say so, has imitated a teacher.

    Args:
        environment: to learn in.
        run: with the settings.
        threads: of torch; by default those that it has.
    """
    with torch_threads(threads or torch.get_num_threads()):
        model = new_model(environment, run)
        head_start = run.settings.get("imitation")
        if head_start:
            specialists = head_start.get("specialists")
            teacher: Teacher = Specialists(run.config, specialists) if specialists else Oracle(run.config)
            whom = f"{len(specialists)} specialists" if specialists else "the oracle"
            print(f"A head start: imitating {whom} over {head_start['decisions']:,} decisions")
            imitate(
                model,
                environment,
                run.config,
                teacher,
                head_start["decisions"],
                stream_seed(run.seed, 0),
                head_start.get("last_epochs", LAST_EPOCHS),
            )
            if head_start.get("critic_decisions"):
                print(f"Its critic learns what it earns, over {head_start['critic_decisions']:,} decisions")
                teach_critic(model, head_start["critic_decisions"])
    return model


_NOT_OF_THE_ALGORITHM = ("env_kwargs", "n_envs", "n_timesteps")
_FIRST_LAYERS = {
    "ppo": ("mlp_extractor.policy_net.0.weight", "mlp_extractor.value_net.0.weight"),
    "recurrent_ppo": ("lstm_actor.weight_ih_l0", "lstm_critic.weight_ih_l0"),
}


def _schedule(value: Any) -> Any:
    """What rl_zoo3 writes as `lin_0.001` falls from there to zero over the budget; anything else stands."""
    if isinstance(value, str) and value.startswith("lin_"):
        return LinearSchedule(float(value.removeprefix("lin_")), 0.0, 1.0)
    return value


def rollout_shape(settings: dict[str, Any], n_envs: int) -> dict[str, int]:
    """`n_steps` and `batch_size` for so many markets: as many decisions an update, in as many whole batches."""
    decisions = settings["n_envs"] * settings["n_steps"]
    batches = max(1, decisions // settings["batch_size"])
    n_steps = batches * max(1, decisions // (batches * n_envs))
    return {"n_steps": n_steps, "batch_size": n_envs * n_steps // batches}


def stream_seed(seed: int, steps_done: int) -> int:
    """Seed of the markets and of the sampled actions from this step on.

    Another one after each resumption, so that it does not replay the sessions already seen; and, by the spawn key, of
    another family than those of evaluations, so that a seed may serve both.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(steps_done,)).generate_state(1)[0])


def clearly_worse(objectives: npt.NDArray[np.float64], best: npt.NDArray[np.float64]) -> bool:
    """Whether objectives on the same sessions are lower by more than luck allows: two standard errors, paired.

    A later policy replaces an earlier one in doubt. It has seen more, with smaller steps, and of many checkpoints the
    highest mean is mostly the luckiest.
    """
    gap = objectives - best
    return bool(gap.mean() < -2.0 * gap.std() / math.sqrt(len(gap)))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that at any moment there is either the old one or the new one, whole."""
    unfinished = path.with_name(path.name + ".partial")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """So many threads of torch, and afterwards those that it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
