"""What happens between the updates of a training: figures are logged, the policy is judged and
saved."""

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
"""Of the sessions of the held-out curves: neither trained on nor, with its seeds from 0 up, those
of an evaluation. The same for all runs, so that their curves compare."""


class TradingFigures(BaseCallback):
    """Logs what a trader would ask: means over the latest session of each market, in ticks x lots
    and lots."""

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
    """What a model does in sessions of the run's market that no training, tuning or evaluation
    sees."""
    # Of the model its policy alone, which can be sent to another process.
    agent = quoting_agent(model.policy, run)
    return run_sessions(lambda config: agent, run.config, sessions, HELD_OUT_SEED, horizons)


class HeldOut(BaseCallback):
    """Judges the policy between updates, and at the end, on sessions that no training sees; logs
    what a trader reads.

    It is a curve and selects nothing: the last weights quote.

    Args:
        run: whose markets.
        every: decisions of all markets together.
        sessions: how many.
    """

    def __init__(self, run: Run, every: int, sessions: int) -> None:
        super().__init__()
        self._run = run
        self._every = every
        self._sessions = sessions

    def _on_training_start(self) -> None:
        self._judged_at = self.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._judged_at + self._every:
            self._judge()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if self.model.num_timesteps > self._judged_at:
            self._judge()

    def _judge(self) -> None:
        self._judged_at = self.model.num_timesteps
        sessions = held_out_sessions_of(self.model, self._run, self._sessions)  # type: ignore[arg-type]
        row = summarise(self._run.algorithm, sessions)
        for name in HELD_OUT_FIGURES:
            self.logger.record(f"held_out/{name}", row[name])
        self.logger.record(
            "held_out/variance_reduced_objective", sessions.variance_reduced_objective.mean()
        )
        self.logger.dump(self._judged_at)


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
"""Columns of the summary (docs/metrics.md) that TensorBoard shows under `held_out`."""


class Exploration(BaseCallback):
    """Holds the policy's scatter wide for the first part of the budget, then narrows it
    geometrically.

    Left to itself PPO narrows it as soon as scatter costs, long before it has learned what scatter
    could teach it where few quotes are filled.

    Args:
        end: logarithm of the standard deviation at the end of the budget; the policy's own is where
            it starts.
        constant: share of the budget in which it stands.
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
        done = (
            1.0 - self.model._current_progress_remaining
        )  # as stable-baselines3's own schedules have it
        narrowed = max(0.0, done - self._constant) / (1.0 - self._constant)
        with torch.no_grad():
            self.model.policy.get_parameter("log_std").fill_(
                self._start + narrowed * (self._end - self._start)
            )


class Checkpoints(BaseCallback):
    """Saves between updates: at the start, then after every so many decisions. Ends the training
    when asked to.

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
