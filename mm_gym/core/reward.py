"""The parts of the reward, in ticks x lots. The reward is `reward_scale` times their sum.

wealth      change of marked wealth; for `CARA`, change of its utility
risk        minus the running penalty on inventory
close_out   minus the cost of settling the position, at the close only
"""

import math

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import RewardKind

# The utility is constant for losses beyond this many units of risk tolerance. Learners square
# rewards in 32-bit floats: exp(30) squared does not overflow there.
_LARGEST_EXPONENT = 30.0


@kernel
def utility(wealth, risk_aversion):
    """Return the utility of constant absolute risk aversion, with slope one at zero wealth."""
    return -math.expm1(min(-risk_aversion * wealth, _LARGEST_EXPONENT)) / risk_aversion


@kernel
def wealth_part(parameters, before, after):
    """Return the wealth part for a change of marked wealth from `before` to `after`."""
    if parameters.reward == RewardKind.CARA:
        return utility(after, parameters.risk_aversion) - utility(before, parameters.risk_aversion)
    return after - before


@kernel
def risk_part(parameters, inventory, inventory_gain):
    """Return the risk part: a penalty on squared inventory, or on gains from holding inventory.

    `DAMPENED` takes a share of the gains away (Spooner et al. 2018, equation 5).
    """
    if parameters.reward == RewardKind.INVENTORY_PENALTY:
        return -parameters.inventory_penalty * inventory * inventory * parameters.decision_interval
    if parameters.reward == RewardKind.DAMPENED:
        return -max(0.0, parameters.dampening * inventory_gain)
    return 0.0


@kernel
def close_out_part(parameters, wealth, payment):
    """Return the close-out part for a `payment` at the close."""
    if parameters.reward == RewardKind.CARA:
        return utility(wealth - payment, parameters.risk_aversion) - utility(
            wealth, parameters.risk_aversion
        )
    return -payment
