"""Callbacks of a training: logs, progress, held-out sessions, checkpoints."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image, Logger

from mm_gym.sb3 import SESSION_FIGURES

from ..learned.policy import quoting_agent
from ..learned.run_folder import Run
from .held_out import HeldOut
from .progress import ProgressDisplay


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


class Progress(BaseCallback):
    """Tells the display how far the training is."""

    def __init__(self, display: ProgressDisplay) -> None:
        super().__init__()
        self._display = display

    def _on_step(self) -> bool:
        self._display.collected(self.num_timesteps)
        return True

    def _on_rollout_end(self) -> None:
        sessions = self.model.ep_info_buffer
        if sessions:
            objective, fills = (
                float(np.mean([session[name] for session in sessions]))
                for name in ("objective", "fills")
            )
            self._display.trained_on(objective, fills)


class HeldOutCurve(BaseCallback):
    """Evaluates the policy on held-out sessions, between updates and at the end.

    The logs get figures and pictures, and the display the objective beside that of the best rule.
    The curve does not select a model. The trained maker has the last weights.

    Args:
        held_out: runs the sessions.
        name: of the policy, for tables and pictures.
        run: the training.
        every: interval [decisions of all markets together].
        display: of the progress.
    """

    def __init__(
        self,
        held_out: HeldOut,
        name: str,
        run: Run,
        every: int,
        display: ProgressDisplay,
    ) -> None:
        super().__init__()
        self._held_out = held_out
        self._name = name
        self._run = run
        self._every = every
        self._display = display

    def _on_training_start(self) -> None:
        # A logger of its own: the figures of the training are of another number of decisions.
        self._log = Logger(None, self.logger.output_formats)
        self._asked_at = self.num_timesteps
        if self._held_out.beside:
            self._held_out.ask_rules()

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._asked_at + self._every:
            self._ask()
        self._note(wait=False)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.logger.dump(self.model.num_timesteps)  # the figures of the last update
        if self.model.num_timesteps > self._asked_at:
            self._ask()
        self._note(wait=True)

    def _ask(self) -> None:
        self._asked_at = self.model.num_timesteps
        with self._display.pause():
            # A policy, unlike a model, can be sent to another process.
            agent = quoting_agent(self.model.policy, self._run)
            self._held_out.ask(self._name, agent, self._asked_at)

    def _note(self, wait: bool) -> None:
        with self._display.pause():
            finished = self._held_out.finished(wait)
        for evaluation in finished:
            self._display.evaluated(evaluation)
            for name in HELD_OUT_FIGURES:
                self._log.record(f"held_out/{name}", evaluation.row[name])
            self._log.record(
                "held_out/variance_reduced_objective", evaluation.variance_reduced_objective
            )
            self._log.record("held_out/objective_minus_best_rule", evaluation.gap.value)
            for name, picture in evaluation.pictures.items():
                self._log.record(f"pictures/{name}", Image(picture, "HWC"))
            self._log.dump(evaluation.steps_done)


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


class Checkpoints(BaseCallback):
    """Saves the model at the start and then at intervals, between updates.

    Args:
        every: interval [decisions of all markets together].
        save: called with the number of decisions learned from.
    """

    def __init__(self, every: int, save: Callable[[int], None]) -> None:
        super().__init__()
        self._every = every
        self._save = save
        self._saved_at: int | None = None
        # Decisions learned from, weights, state of the optimizer, number of updates. An interrupt
        # at any moment finds all of one update.
        self._last_update: tuple[int, dict[str, Any], dict[str, Any], int] | None = None

    def _on_rollout_start(self) -> None:
        learned, policy = self.num_timesteps, self.model.policy
        self._last_update = (
            learned,
            copy.deepcopy(policy.state_dict()),
            copy.deepcopy(policy.optimizer.state_dict()),
            self.model._n_updates,
        )
        if self._saved_at is None or learned >= self._saved_at + self._every:
            self._save(learned)
            self._saved_at = learned

    def _on_step(self) -> bool:
        return True

    def save_last_update(self) -> None:
        """Go back to the last complete update after an interruption, and save it.

        Decisions since then are not learned from, or in part only. They do not count.
        """
        if self._last_update is None:
            return  # there was no time for the first rollout
        learned, weights, optimizer, n_updates = self._last_update
        self.model.policy.load_state_dict(weights)
        self.model.policy.optimizer.load_state_dict(optimizer)
        self.model.num_timesteps = learned
        self.model._n_updates = n_updates
        self.logger.dump(learned)
        self._save(learned)
