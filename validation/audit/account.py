"""The agent's account moves by what left its orders, and by what its market orders took."""

import numpy as np

from mm_gym.core.book import SOUND
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import ASK, BID
from validation.audit.faults import Fault
from validation.audit.ledger import ROUNDING, account_changed, public_part_changed


@kernel
def fills_fault(parameters, before, after, error):
    """Check that the account moved by the lots and the money of the agent's fills."""
    value, fee = np.int64(0), 0.0
    filled = np.zeros(2, np.int64)
    volume = before.volume
    # A sniper takes the ask first.
    for side in (ASK, BID):
        filled[side] = before.own[side] - after.own[side]
        if filled[side] < 0:
            return Fault.CHANGED
        if filled[side] > 0:
            # The agent pays for bids, and is paid for asks, whose keys are negative.
            paid = before.own_value[side] - after.own_value[side]
            value -= paid
            fee += filled[side] * _maker_fee(parameters, volume, paid / filled[side])
            volume += filled[side]
    if after.inventory - before.inventory != filled[BID] - filled[ASK]:
        return Fault.INVENTORY
    error += ROUNDING * abs(fee)
    if not (
        abs(after.cash - before.cash - (value - fee)) <= error
        and abs(after.fees - before.fees - fee) <= error
    ):
        return Fault.CASH
    return SOUND


@kernel
def _maker_fee(parameters, volume, price):
    """Return the fee per lot of a fill after so many lots of the session."""
    fee = parameters.maker_fee
    for tier in range(parameters.n_fee_tiers):
        if volume >= parameters.fee_tier_lots[tier]:
            fee = parameters.fee_tier_fees[tier]
    return fee * abs(price) if parameters.fee_of_notional else fee


@kernel
def messages_fault(parameters, before, after, error):
    """Check what the agent's messages changed: nothing, or a market order reduced the inventory."""
    lots = after.taken - before.taken
    side = BID if before.inventory > 0 else ASK  # of the orders that the agent's market order takes
    if public_part_changed(before, after, 1 - side):
        return Fault.CHANGED
    if lots == 0:
        changed = account_changed(before, after) or before.n_trades != after.n_trades
        return Fault.CHANGED if changed or public_part_changed(before, after, side) else SOUND
    if not 0 < lots <= abs(before.inventory):
        return Fault.INVENTORY
    if after.inventory - before.inventory != (-lots if side == BID else lots):
        return Fault.INVENTORY
    if parameters.refill:
        return SOUND
    if before.public[side] - after.public[side] != lots:
        return Fault.LOTS_LOST
    # Keys are prices of bids, for which the agent is paid, and minus the prices of asks.
    paid = before.public_value[side] - after.public_value[side]
    fee = after.fees - before.fees
    error += ROUNDING * abs(fee)
    if not abs(after.cash - before.cash - (paid - fee)) <= error:
        return Fault.CASH
    if not parameters.fee_of_notional and not abs(fee - parameters.taker_fee * lots) <= error:
        return Fault.CASH
    return SOUND
