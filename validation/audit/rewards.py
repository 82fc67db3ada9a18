"""A decision ends in time, and its outcome and reward are what the account gives."""

import math

from mm_gym.core.book import SOUND
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import Outcome, RewardKind
from validation.audit.faults import Fault
from validation.audit.ledger import ROUNDING, rounding


@kernel
def step_fault(market, parameters, before, money):
    """Check a decision. `before` is the ledger before it, `money` has moved since the reset."""
    outcome, account = market.outcome, market.account
    for column in range(outcome.shape[0]):
        if not math.isfinite(outcome[column]):
            return Fault.OUTCOME
    ended = outcome[Outcome.TERMINATED] == 1.0
    if market.steps != before.steps + 1 or ended != (market.steps == parameters.session_steps):
        return Fault.END
    if (
        outcome[Outcome.CASH] != account.cash
        or outcome[Outcome.INVENTORY] != account.inventory
        or outcome[Outcome.MID] != market.mid
        or outcome[Outcome.OBJECTIVE] != account.objective
    ):
        return Fault.OUTCOME
    lots = abs(account.inventory)
    close_out = 0.0
    if ended:
        close_out = parameters.close_out_cost * lots + parameters.close_out_impact * lots * lots
    error = rounding(
        money + abs(lots * account.mark) + abs(account.cash) + abs(before.objective) + close_out
    )
    wealth = account.cash + account.inventory * market.mid
    parts = account.spread_pnl + account.inventory_pnl - account.fees - account.close_out
    if not (
        abs(account.close_out - close_out) <= error
        and abs(outcome[Outcome.PNL] - (wealth - close_out)) <= error
        and abs(outcome[Outcome.PNL] - parts) <= error
    ):
        return Fault.OUTCOME
    return _reward_fault(market, parameters, before, wealth, close_out, error)


@kernel
def _reward_fault(market, parameters, before, wealth, close_out, error):
    """Check the sum of the reward's parts, and each part against its definition."""
    outcome, account = market.outcome, market.account
    scale = parameters.reward_scale
    wealth_part = outcome[Outcome.REWARD_WEALTH]
    risk_part = outcome[Outcome.REWARD_RISK]
    closing_part = outcome[Outcome.REWARD_CLOSE_OUT]
    total = wealth_part + risk_part + closing_part
    of_parts = abs(wealth_part) + abs(risk_part) + abs(closing_part)
    error = scale * error + ROUNDING * of_parts
    control_variate = scale * outcome[Outcome.CONTROL_VARIATE]
    with_variate = error + ROUNDING * abs(control_variate)
    if not (
        abs(outcome[Outcome.REWARD] + control_variate - total) <= with_variate
        and abs(scale * (account.objective - before.objective) - total) <= error
    ):
        return Fault.REWARD
    if parameters.reward == RewardKind.CARA:
        return SOUND
    risk = 0.0
    lots = float(account.inventory)
    if parameters.reward == RewardKind.INVENTORY_PENALTY:
        risk = parameters.inventory_penalty * lots * lots * parameters.decision_interval
    elif parameters.reward == RewardKind.DAMPENED:
        held = account.inventory_pnl - before.inventory_pnl
        risk = max(0.0, parameters.dampening * held)
    if not (
        abs(wealth_part - scale * (wealth - before.wealth)) <= error
        and abs(risk_part + scale * risk) <= error
        and abs(closing_part + scale * close_out) <= error
    ):
        return Fault.REWARD
    return SOUND
