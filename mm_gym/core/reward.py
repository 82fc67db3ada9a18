"""What a step pays: named parts in ticks x lots, whose sum times `reward_scale` is the reward.

wealth      change of marked wealth (for `CARA`, of its utility)
risk        minus the running price of holding inventory
close_out   minus what settling the position costs, at the close only
"""

import math

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import RewardKind

# Ruin beyond this many units of risk tolerance is all the same. Learners compute with 32-bit
# numbers, and square rewards: e^30 leaves room for that.
_LARGEST_EXPONENT = 30.0


@kernel
def utility(wealth, risk_aversion):
    """Constant absolute risk aversion, scaled so that small wealth counts one for one."""
    return -math.expm1(min(-risk_aversion * wealth, _LARGEST_EXPONENT)) / risk_aversion


@kernel
def wealth_part(parameters, before, after):
    """What the change of marked wealth is worth."""
    if parameters.reward == RewardKind.CARA:
        return utility(after, parameters.risk_aversion) - utility(before, parameters.risk_aversion)
    return after - before


@kernel
def risk_part(parameters, inventory, inventory_gain):
    """The running penalty: on squared inventory, or on gains from holding it (Spooner et al. 2018,
    eq. 5)."""
    if parameters.reward == RewardKind.INVENTORY_PENALTY:
        return -parameters.inventory_penalty * inventory * inventory * parameters.decision_interval
    if parameters.reward == RewardKind.DAMPENED:
        return -max(0.0, parameters.dampening * inventory_gain)
    return 0.0


@kernel
def close_out_part(parameters, wealth, payment):
    """What paying for the close takes away."""
    if parameters.reward == RewardKind.CARA:
        return utility(wealth - payment, parameters.risk_aversion) - utility(
            wealth, parameters.risk_aversion
        )
    return -payment
