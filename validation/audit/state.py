"""What holds after every event."""

import math

from mm_gym.core.book import BOOK_CROSSED, SOUND
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import Makers
from mm_gym.core.soundness import book_fault
from validation.audit.faults import Fault


@kernel
def state_fault(market, parameters, progress, error):
    """Check numbers and account, and at every few events the book. Sums may be off by `error`."""
    account = market.account
    if not (
        math.isfinite(market.mid)
        and math.isfinite(market.efficient_price)
        and math.isfinite(market.signal)
        and math.isfinite(account.cash)
        and math.isfinite(account.inventory_pnl)
    ):
        return Fault.NOT_A_NUMBER
    if abs(account.inventory) > parameters.max_inventory:
        return Fault.INVENTORY
    wealth = account.cash + account.inventory * account.mark
    if not abs(wealth - (account.spread_pnl + account.inventory_pnl - account.fees)) <= error:
        return Fault.WEALTH
    fault = book_fault(market, parameters) if progress.events % progress.every == 0 else SOUND
    # The recorded touch in the book may be old until the decision ends (`core.replay.see_touch`).
    return SOUND if fault == BOOK_CROSSED and parameters.makers == Makers.RECORDED else fault
