"""The compiled functions that `validation.soak` calls: sessions of one market, with every check."""

from pathlib import Path

import numpy as np

from mm_gym.core import entry_points
from mm_gym.core.book import SOUND
from mm_gym.core.control_variate import expect_fills
from mm_gym.core.kernel import FINGERPRINT, entry_point, kernel, source_fingerprint
from mm_gym.core.layout import TAKE_ABOVE, Obs, Outcome
from mm_gym.core.makers import reschedule_makers
from mm_gym.core.market import (
    begin_reset,
    begin_step,
    finish_reset,
    finish_step,
    let_happen,
    next_event_time,
)
from mm_gym.core.observe import update_features
from mm_gym.core.replay import (
    begin_replay_step,
    let_recorded_happen,
    next_recorded_time,
    see_touch,
)
from mm_gym.core.soundness import market_fault
from validation.audit.account import messages_fault
from validation.audit.faults import Fault
from validation.audit.flow import event_fault, kind_of_next, recorded_event_fault
from validation.audit.ledger import LEDGER, count_money, write
from validation.audit.rewards import step_fault
from validation.audit.state import state_fault

_N_OBSERVED, _N_OUTCOMES = len(Obs), len(Outcome)


@kernel
def _run_until(market, parameters, end, before, after, progress):
    """Process and check the events up to `end` [s]. Return the first fault."""
    write(market, after)
    while True:
        time = next_event_time(market)
        if parameters.variance_reduction:
            expect_fills(market, parameters, min(time, end) - market.time)
        if time > end:
            market.time = end
            return SOUND
        if not time >= market.time:
            return Fault.TIME
        kind = kind_of_next(market, time)
        before, after = after, before
        let_happen(market, parameters, time)
        write(market, after)
        progress.events += 1
        error = count_money(progress, before, after)
        fault = state_fault(market, parameters, progress, error)
        if fault == SOUND:
            fault = event_fault(market, parameters, kind, before, after, error)
        if fault != SOUND:
            return fault


@kernel
def _run_recorded_until(market, parameters, recording, end, before, after, progress):
    """Process and check the recorded events up to `end` [s]. Return the first fault."""
    write(market, after)
    while True:
        recorded_time = next_recorded_time(market, recording[0])
        time = min(recorded_time, market.quotes.arrival)
        if time > end:
            market.time = end
            see_touch(market, recording[1])
            return SOUND
        if not time >= market.time:
            return Fault.TIME
        before, after = after, before
        let_recorded_happen(market, parameters, recording, time, recorded_time)
        write(market, after)
        progress.events += 1
        error = count_money(progress, before, after)
        fault = state_fault(market, parameters, progress, error)
        if fault == SOUND:
            messages = recorded_time != time
            fault = recorded_event_fault(
                market, parameters, recording, messages, before, after, error
            )
        if fault != SOUND:
            return fault


@kernel
def _lean(account, own, skew, action):
    """Move both offsets of an action by `skew` x inventory / position limit."""
    lean = skew * account.inventory / own.max_inventory
    action[0] += lean
    action[1] -= lean


@kernel
def _finish(market, own, before, progress):
    """Finish a decision and check it. `before` is the ledger before it."""
    finish_step(market, own)
    progress.steps += 1
    fault = market_fault(market, own)
    return fault if fault != SOUND else step_fault(market, own, before, progress.money)


def _entry_points(fingerprint, of_checks):
    @entry_point
    def audited_reset(markets, parameters, seed_words, progresses):
        """Reset the first market as `reset_many` does, with checks. Return the first fault."""
        fingerprint  # noqa: B018
        of_checks  # noqa: B018
        market, progress = markets[0], progresses[0]
        own = parameters[market.configuration]
        ledgers = np.zeros(2, LEDGER)
        begin_reset(market, own, seed_words)
        for step in range(own.warm_up_steps):
            end = (step + 1 - own.warm_up_steps) * own.decision_interval
            fault = _run_until(market, own, end, ledgers[0], ledgers[1], progress)
            if fault != SOUND:
                return fault
            update_features(market, own)
        finish_reset(market, own)
        return SOUND

    @entry_point
    def audited_steps(markets, parameters, actions, skew, budget, progresses):
        """Step the first market with checks until its session or the actions end.

        Offsets are moved by `skew` x inventory / position limit, and `actions` receives them.
        `progresses` has one row of `ledger.PROGRESS`. Stops after `budget` events.
        """
        fingerprint  # noqa: B018
        of_checks  # noqa: B018
        market, progress = markets[0], progresses[0]
        own = parameters[market.configuration]
        ledgers = np.zeros(3, LEDGER)
        at_decision = ledgers[0]
        for step in range(actions.shape[0]):
            _lean(market.account, own, skew, actions[step])
            takes = actions[step, 2] > TAKE_ABOVE
            write(market, at_decision)
            end = begin_step(market, own, actions[step, 0], actions[step, 1], takes)
            reschedule_makers(market, own)
            write(market, ledgers[1])
            error = count_money(progress, at_decision, ledgers[1])
            fault = messages_fault(own, at_decision, ledgers[1], error)
            if fault == SOUND:
                fault = _run_until(market, own, end, ledgers[1], ledgers[2], progress)
            if fault == SOUND:
                fault = _finish(market, own, at_decision, progress)
            if fault != SOUND:
                return fault
            if market.outcome[Outcome.TERMINATED] == 1.0 or progress.events > budget:
                break
        return SOUND

    @entry_point
    def audited_recorded_steps(markets, parameters, actions, skew, budget, progresses, recording):
        """Step the first market of recorded data with checks, as `audited_steps` does."""
        fingerprint  # noqa: B018
        of_checks  # noqa: B018
        market, progress = markets[0], progresses[0]
        own = parameters[market.configuration]
        ledgers = np.zeros(3, LEDGER)
        at_decision = ledgers[0]
        for step in range(actions.shape[0]):
            _lean(market.account, own, skew, actions[step])
            write(market, at_decision)
            end = begin_replay_step(market, own, recording, actions[step, 0], actions[step, 1])
            write(market, ledgers[1])
            fault = recorded_event_fault(market, own, recording, True, at_decision, ledgers[1], 0.0)
            if fault == SOUND:
                fault = _run_recorded_until(
                    market, own, recording, end, ledgers[1], ledgers[2], progress
                )
            if fault == SOUND:
                fault = _finish(market, own, at_decision, progress)
            if fault != SOUND:
                return fault
            if market.outcome[Outcome.TERMINATED] == 1.0 or progress.events > budget:
                break
        return SOUND

    @entry_point
    def repeated_steps(markets, parameters, actions, fill_rows, path_rows):
        """Step with the entry point of the environments, once for each row of `actions`."""
        fingerprint  # noqa: B018
        of_checks  # noqa: B018
        observations = np.empty((1, _N_OBSERVED), np.float32)
        outcomes = np.empty((1, _N_OUTCOMES), np.float64)
        for step in range(actions.shape[0]):
            entry_points.step_many(
                markets, parameters, actions[step : step + 1], observations, outcomes,
                fill_rows, path_rows,
            )  # fmt: skip

    @entry_point
    def repeated_recorded_steps(markets, parameters, actions, fill_rows, path_rows, recording):
        """Step a market of recorded data as `repeated_steps` does."""
        fingerprint  # noqa: B018
        of_checks  # noqa: B018
        observations = np.empty((1, _N_OBSERVED), np.float32)
        outcomes = np.empty((1, _N_OUTCOMES), np.float64)
        for step in range(actions.shape[0]):
            entry_points.replay_step_many(
                markets, parameters, actions[step : step + 1], observations, outcomes,
                fill_rows, path_rows, recording,
            )  # fmt: skip

    return (
        audited_reset,
        audited_steps,
        audited_recorded_steps,
        repeated_steps,
        repeated_recorded_steps,
    )


(
    audited_reset,
    audited_steps,
    audited_recorded_steps,
    repeated_steps,
    repeated_recorded_steps,
) = _entry_points(FINGERPRINT, source_fingerprint(Path(__file__).parent))
