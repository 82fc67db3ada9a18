"""What holds after every event."""

import math

import numpy as np

from mm_gym.core.book import BOOK_CROSSED, SOUND, audit
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import AGENT, ASK, BID, NO_ORDER, Makers
from mm_gym.core.quotes import public_level
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
    return book_fault(market, parameters) if progress.events % progress.every == 0 else SOUND


@kernel
def book_fault(market, parameters):
    """Check all links and sums of the book, and that the agent's orders are those of its quotes."""
    fault = audit(market.book)
    recorded = parameters.makers == Makers.RECORDED
    if fault == BOOK_CROSSED and recorded and not _public_book_crossed(market):
        # Recorded orders do not know of the agent's, and may rest beyond a quote that they have
        # filled in part.
        fault = SOUND
    if fault != SOUND:
        return fault
    n_quotes = 0
    for side in range(2):
        slot = market.quotes.slot[side]
        if slot != NO_ORDER:
            order = market.book.orders[slot]
            largest = parameters.quote_size * parameters.lot_size
            if order.owner != AGENT or order.side != side or not 0 < order.lots <= largest:
                return Fault.QUOTE
            n_quotes += 1
    for place in range(market.book.n_live):
        if market.book.orders[market.book.live[place]].owner == AGENT:
            n_quotes -= 1
    return SOUND if n_quotes == 0 else Fault.QUOTE


@kernel
def _public_book_crossed(market):
    bid, ask = public_level(market, BID), public_level(market, ASK)
    levels = market.book.levels
    return bid >= 0 and ask >= 0 and levels[BID, bid].key >= -np.int64(levels[ASK, ask].key)


@kernel
def mid_fault(market, parameters):
    """Check the public mid against the book, at a decision."""
    if parameters.makers == Makers.NONE:
        return SOUND if market.mid == market.efficient_price else Fault.MID
    bid, ask = public_level(market, BID), public_level(market, ASK)
    levels = market.book.levels
    if bid >= 0 and ask >= 0:
        mid = 0.5 * (np.int64(levels[BID, bid].key) - np.int64(levels[ASK, ask].key))
        return SOUND if market.mid == mid else Fault.MID
    if bid >= 0 and market.mid < levels[BID, bid].key:
        return Fault.MID
    if ask >= 0 and market.mid > -levels[ASK, ask].key:
        return Fault.MID
    return SOUND
