"""An event changes what events of its kind may change, and its trades lose no lots and no money."""

import numpy as np

from mm_gym.core.book import SOUND, find_level, price_key
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import BID, NO_ORDER, TAPE_ROWS
from mm_gym.core.quotes import best_key, public_level
from mm_gym.core.recorded_queues import lots_at
from validation.audit.account import fills_fault, messages_fault
from validation.audit.faults import Fault
from validation.audit.ledger import (
    account_changed,
    own_part_changed,
    public_part_changed,
)

# Kinds of events, in the order in which simultaneous ones happen.
_MAKER, _VALUE, _TAKER, _MESSAGES = range(4)


@kernel
def kind_of_next(market, time):
    """Return the kind of the event at `time`, which is the next one."""
    if time == market.next_maker:
        return _MAKER
    if time == market.next_value:
        return _VALUE
    if time == market.next_taker:
        return _TAKER
    return _MESSAGES


@kernel
def event_fault(market, parameters, kind, before, after, error):
    """Check what a simulated event changed."""
    if kind == _MAKER:
        return _maker_fault(before, after)
    if kind == _MESSAGES:
        if before.step_flow != after.step_flow or before.step_volume != after.step_volume:
            return Fault.CHANGED
        return messages_fault(parameters, before, after, error)
    fault = fills_fault(parameters, before, after, error)
    if fault != SOUND:
        return fault
    if kind == _TAKER:
        return _trades_fault(market, parameters, before, after)
    return _value_fault(market, parameters, before, after)


@kernel
def recorded_event_fault(market, parameters, recording, messages, before, after, error):
    """Check what an event of a recorded market changed; `messages` are those of the agent.

    Beside each quote rest the lots that the recording has at its price.
    """
    if messages:
        if account_changed(before, after):
            return Fault.CHANGED
    elif parameters.lot_size == 1:
        fault = fills_fault(parameters, before, after, error)
        if fault != SOUND:
            return fault
    for side in range(2):
        slot = market.quotes.slot[side]
        if slot != NO_ORDER:
            order = market.book.orders[slot]
            level = market.book.levels[side, find_level(market.book, side, order.key)]
            public = lots_at(recording, side, np.int64(order.key), market.recorded.cursor)
            if level.lots - np.int64(order.lots) != public:
                return Fault.LOTS_LOST
    return SOUND


@kernel
def _maker_fault(before, after):
    """Check that one background order came, or left, and nothing else changed."""
    if account_changed(before, after) or before.n_trades != after.n_trades:
        return Fault.CHANGED
    changed_sides = 0
    for side in range(2):
        if own_part_changed(before, after, side):
            return Fault.CHANGED
        changed_sides += public_part_changed(before, after, side)
    return SOUND if abs(after.n_public - before.n_public) == changed_sides <= 1 else Fault.CHANGED


@kernel
def _value_fault(market, parameters, before, after):
    """Check that no background order is left beyond the efficient price. Only snipers trade."""
    for side in range(2):
        best = public_level(market, side)
        value_key = market.efficient_price if side == BID else -market.efficient_price
        if best >= 0 and market.book.levels[side, best].key > value_key:
            return Fault.NOT_PULLED
        if not parameters.sniping and own_part_changed(before, after, side):
            return Fault.CHANGED
    return SOUND


@kernel
def _trades_fault(market, parameters, before, after):
    """Check the lots and the money of the trades of a taker, which are the latest on the tape."""
    n_trades = after.n_trades - before.n_trades
    traded = after.step_volume - before.step_volume
    signed = after.step_flow - before.step_flow
    if abs(signed) != traded:
        return Fault.TAPE
    if n_trades == 0:
        for side in range(2):
            if public_part_changed(before, after, side) or own_part_changed(before, after, side):
                return Fault.CHANGED
        return SOUND if traded == 0.0 else Fault.TAPE
    taker = BID if signed > 0.0 else 1 - BID
    side = 1 - taker
    if public_part_changed(before, after, taker) or own_part_changed(before, after, taker):
        return Fault.CHANGED
    lots, own, paid, own_paid = 0, 0, 0, 0
    for index in range(min(n_trades, TAPE_ROWS)):
        trade = market.tape[(market.n_trades - 1 - index) % TAPE_ROWS]
        if trade.side != taker or trade.time != market.time or not 0 < trade.lots:
            return Fault.TAPE
        lots += trade.lots
        own += trade.own_lots
        paid += np.int64(trade.price) * trade.lots
        own_paid += np.int64(trade.price) * trade.own_lots
    last = market.tape[(market.n_trades - 1) % TAPE_ROWS]
    if best_key(market.book, side) > price_key(side, np.int64(last.price)):
        return Fault.PRICE_PRIORITY
    own_gone = before.own[side] - after.own[side]
    public_gone = before.public[side] - after.public[side]
    if parameters.refill:
        if public_part_changed(before, after, side):
            return Fault.CHANGED
    elif own_gone + public_gone != traded:
        return Fault.LOTS_LOST
    if n_trades > TAPE_ROWS:  # the oldest ones are no longer on the tape
        return SOUND
    if lots != traded or own != own_gone:
        return Fault.LOTS_LOST
    # Sums of key x lots are money, of the other sign for asks.
    sign = 1 if side == BID else -1
    if own_paid != sign * (before.own_value[side] - after.own_value[side]):
        return Fault.MONEY_LOST
    public_paid = sign * (before.public_value[side] - after.public_value[side])
    if not parameters.refill and paid - own_paid != public_paid:
        return Fault.MONEY_LOST
    return SOUND
