"""Callbacks of a training: logging, evaluation on held-out sessions, exploration, checkpoints."""

from collections.abc import Callable

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from mm_gym.evaluation.rollout import HORIZONS, Sessions, run_sessions
from mm_gym.evaluation.summary import summarise
from mm_gym.sb3 import SESSION_FIGURES

from ..learned.policy import quoting_agent
from ..learned.run_folder import Run

HELD_OUT_SEED = 2_718_281_828
"""Seed of the sessions of the held-out curves. They are never trained on, and differ from those of
evaluations with small seeds. All runs share them, so that their curves are comparable."""


class TradingFigures(BaseCallback):
    """Logs trading figures: means over the latest session of each market [ticks x lots, lots]."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        sessions = self.model.ep_info_buffer
        if sessions:
            for name in SESSION_FIGURES:
                self.logger.record(
                    f"market/{name}", np.mean([session[name] for session in sessions])
                )


def held_out_sessions_of(
    model: OnPolicyAlgorithm, run: Run, sessions: int, horizons: tuple[float, ...] = HORIZONS
) -> Sessions:
    """Evaluate a model in sessions of the run's market that are not used for anything else.

    Args:
        model: to evaluate.
        run: whose market and history features are used.
        sessions: number of them.
        horizons: [s] of the markouts.
    """
    # A policy, unlike a model, can be sent to another process.
    agent = quoting_agent(model.policy, run)
    return run_sessions(lambda config: agent, run.config, sessions, HELD_OUT_SEED, horizons)


class HeldOut(BaseCallback):
    """Evaluates the policy on held-out sessions, between updates and at the end, and logs figures.

    The curve does not select a model. The trained maker has the last weights.

    Args:
        run: whose market is used.
        every: interval [decisions of all markets together].
        sessions: number of them.
    """

    def __init__(self, run: Run, every: int, sessions: int) -> None:
        super().__init__()
        self._run = run
        self._every = every
        self._sessions = sessions

    def _on_training_start(self) -> None:
        self._evaluated_at = self.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._evaluated_at + self._every:
            self._evaluate()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if self.model.num_timesteps > self._evaluated_at:
            self._evaluate()

    def _evaluate(self) -> None:
        self._evaluated_at = self.model.num_timesteps
        sessions = held_out_sessions_of(self.model, self._run, self._sessions)  # type: ignore[arg-type]
        row = summarise(self._run.algorithm, sessions)
        for name in HELD_OUT_FIGURES:
            self.logger.record(f"held_out/{name}", row[name])
        self.logger.record(
            "held_out/variance_reduced_objective", sessions.variance_reduced_objective.mean()
        )
        self.logger.dump(self._evaluated_at)


HELD_OUT_FIGURES = (
    "objective",
    "final_pnl",
    "spread_pnl",
    "inventory_pnl",
    "close_out",
    "fills",
    "mean_abs_inventory",
    "quoted_spread",
    "markout_5",
    "markout_50",
    "value_adverse_move_5",
    "value_adverse_move_50",
)
"""Columns of the summary that TensorBoard shows under `held_out`."""


class Exploration(BaseCallback):
    """Holds the policy's standard deviation constant, then decreases it geometrically.

    PPO alone decreases it as soon as exploration costs something. Where few quotes are filled, that
    is long before it has learned from exploring.

    Args:
        end: logarithm of the standard deviation at the end of the budget. It starts at the policy's
            own.
        constant: share of the budget in which it is constant.
    """

    def __init__(self, end: float, constant: float) -> None:
        super().__init__()
        self._end = end
        self._constant = constant

    def _on_training_start(self) -> None:
        self._start = self.model.policy_kwargs.get("log_std_init", 0.0)
        self.model.policy.get_parameter("log_std").requires_grad_(False)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        done = 1.0 - self.model._current_progress_remaining  # as in stable-baselines3's schedules
        decreased = max(0.0, done - self._constant) / (1.0 - self._constant)
        with torch.no_grad():
            self.model.policy.get_parameter("log_std").fill_(
                self._start + decreased * (self._end - self._start)
            )


class Checkpoints(BaseCallback):
    """Saves the model at the start and then at intervals, between updates. Can stop the training.

    Args:
        every: interval [decisions of all markets together].
        save: called with the number of decisions learned from.
        stop: returns whether to stop now.
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
            # Decisions since the last update are not learned from yet, so they do not count.
            self.model.num_timesteps = self._learned
            return False
        return True
