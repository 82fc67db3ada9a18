"""The agent's quotes in the recorded queues: when they are filled, and what rests around them.

`docs/explanation/recorded-markets.md` states when a quote is filled. At a price of the agent the
book of a market has up to three orders: the recorded lots ahead of the agent's order, the order,
and the lots behind it. `recording` is as in `core.replay`.
"""

import numpy as np

from mm_gym.core.account import maker_fee, mark_to, settle_fill
from mm_gym.core.book import add, cancel, find_level, lots_ahead, price_key, reduce
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import (
    AGENT,
    BID,
    NO_ORDER,
    PUBLIC,
    TAPE_ROWS,
    RecordedKind,
    TakerKind,
)
from mm_gym.core.takers import note_fill, note_trade

NO_KEY = np.int64(-(2**40))
"""Worse than any key."""


@kernel
def recorded_event(market, parameters, event):
    """Let a recorded event fill the agent's quotes and change their levels."""
    side = int(event.side)
    key = int(event.key)
    lots = int(event.lots)
    kind = event.kind
    own_level = key == own_key(market, side)
    if kind == RecordedKind.JOIN:
        other = 1 - side
        if _comes_first(market, other, -key, event) and not event.halted:
            _fill(market, parameters, other, event.time, lots)
        if own_level:
            _join(market, side, key, lots)
    elif kind == RecordedKind.TRADE or kind == RecordedKind.HIDDEN:
        own = 0
        if kind == RecordedKind.TRADE:
            _start_sweep(market, side, event.time)
        if _comes_first(market, side, key, event) and not event.halted:
            own = _fill(market, parameters, side, event.time, lots)
        if kind == RecordedKind.TRADE:
            if own < lots:
                _print(market, parameters, side, price_key(side, key), lots - own, 0)
            if own_level and event.place >= 0:
                _leave(market, side, key, event.place, lots)
    elif kind == RecordedKind.LEAVE and own_level:
        _leave(market, side, key, event.place, lots)


@kernel
def _comes_first(market, side, key, event):
    """Return whether the agent's quote trades before a recorded order of its side at this key.

    A hidden order is behind the quote at its price. So is a new order of the other side.
    """
    slot = market.quotes.slot[side]
    if slot == NO_ORDER:
        return False
    quoted = market.book.orders[slot].key
    if quoted != key or event.kind != RecordedKind.TRADE:
        return quoted >= key
    return event.place >= market.recorded.joined[side]


@kernel
def _fill(market, parameters, side, time, size):
    """Fill the agent's quote on `side` by up to `size` size units, and return how many."""
    _start_sweep(market, side, time)
    slot = market.quotes.slot[side]
    order = market.book.orders[slot]
    rest = int(order.lots)
    traded = min(size, rest)
    price = price_key(side, int(order.key))
    unit = parameters.lot_size
    lots = (rest + unit - 1) // unit - (rest - traded + unit - 1) // unit
    mid = market.recorded.sweep_mid
    if lots > 0:
        mark_to(market.account, mid)
        fee = maker_fee(parameters, market.account, price)
        settle_fill(market.account, side, price, lots, fee)
        note_fill(market, price, lots, side, mid, TakerKind.RECORDED)
    _print(market, parameters, side, price, traded, traded)
    before = neighbours_of(market, side)
    reduce(market.book, slot, traded)
    if traded == rest:
        market.quotes.slot[side] = NO_ORDER
        _join_levels(market, before)
    return traded


@kernel
def _start_sweep(market, side, time):
    """Keep the mid before the first trade of a taker. Its trades have the same time and side."""
    recorded = market.recorded
    if recorded.sweep_time != time or recorded.sweep_side != side:
        recorded.sweep_time = time
        recorded.sweep_side = side
        recorded.sweep_mid = market.mid


@kernel
def _print(market, parameters, side, price, size, own):
    """Add a trade with a resting order on `side` to the tape and to the features."""
    taker = 1 - side
    trade = market.tape[(market.n_trades - 1) % TAPE_ROWS]
    if (
        market.n_trades == 0
        or trade.time != market.time
        or trade.price != price
        or trade.side != taker
    ):
        note_trade(market, price, 0, 0, taker, TakerKind.RECORDED)
        trade = market.tape[(market.n_trades - 1) % TAPE_ROWS]
    trade.lots += size
    trade.own_lots += own
    lots = size / parameters.lot_size
    market.features.step_flow += lots if taker == BID else -lots
    market.features.step_volume += lots


@kernel
def _join(market, side, key, size):
    """Add size to the end of the queue at this key."""
    book = market.book
    index = find_level(book, side, key)
    if index < book.n_levels[side] and book.levels[side, index].key == key:
        level = book.levels[side, index]
        last = book.orders[level.tail]
        if last.owner == PUBLIC:
            last.lots += size
            level.lots += size
            return
    add(book, side, price_key(side, key), size, PUBLIC)


@kernel
def _leave(market, side, key, place, size):
    """Take size from the queue at this key: ahead of the agent's order, or behind it."""
    book = market.book
    own = market.quotes.slot[side]
    if own != NO_ORDER and book.orders[own].key == key:
        if place < market.recorded.joined[side]:
            slot = book.orders[own].older
        else:
            slot = book.orders[own].younger
    else:
        slot = book.levels[side, find_level(book, side, key)].head
    reduce(book, slot, size)


@kernel
def settle_quotes(market, parameters, recording, bid_before, ask_before):
    """Complete a change of the agent's quotes.

    The recorded lots around an order that has left become one order. Those at the price of an order
    that has joined are put ahead of it, if its price was not in the book.
    """
    _join_levels(market, bid_before)
    _join_levels(market, ask_before)
    for side in range(2):
        slot = market.quotes.slot[side]
        if slot == NO_ORDER or market.recorded.joined[side] != market.recorded.cursor:
            continue
        order = market.book.orders[slot]
        if order.older != NO_ORDER or order.younger != NO_ORDER:
            continue
        ahead = lots_at(recording, side, np.int64(order.key), market.recorded.cursor)
        if ahead == 0:
            continue
        price, size = price_key(side, np.int64(order.key)), np.int64(order.lots)
        cancel(market.book, slot)
        add(market.book, side, price, ahead, PUBLIC)
        slot = add(market.book, side, price, size, AGENT)
        market.quotes.slot[side] = slot
        ahead = lots_ahead(market.book, slot) + parameters.lot_size - 1
        market.quotes.lots_ahead_at_arrival[side] = ahead // parameters.lot_size


@kernel
def neighbours_of(market, side):
    """Return the recorded orders before and after the agent's order, or NO_ORDER for each."""
    slot = market.quotes.slot[side]
    if slot == NO_ORDER:
        return NO_ORDER, NO_ORDER
    order = market.book.orders[slot]
    return int(order.older), int(order.younger)


@kernel
def _join_levels(market, neighbours):
    """Make one order of two that the agent's order stood between, if it has left."""
    older, younger = neighbours
    book = market.book
    if older == NO_ORDER or younger == NO_ORDER or book.orders[older].younger != younger:
        return
    order = book.orders[older]
    size = int(book.orders[younger].lots)
    side = int(order.side)
    order.lots += size
    book.levels[side, find_level(book, side, order.key)].lots += size
    reduce(book, younger, size)


@kernel
def own_key(market, side):
    """Return the key of the agent's order on a side, a key worse than any price without one."""
    slot = market.quotes.slot[side]
    return np.int64(market.book.orders[slot].key) if slot != NO_ORDER else NO_KEY


@kernel
def lots_at(recording, side, key, cursor):
    """Return the recorded size of a level after the events before `cursor`."""
    levels = recording[2]
    low, high = 0, levels.shape[0]
    while low < high:
        middle = (low + high) >> 1
        row = levels[middle]
        if row.side < side or (row.side == side and row.key < key):
            low = middle + 1
        else:
            high = middle
    if low == levels.shape[0] or levels[low].side != side or levels[low].key != key:
        return 0
    return level_lots(levels[low], recording[3], cursor)


@kernel
def level_lots(level, changes, cursor):
    """Return the size of a row of `PRICE_LEVEL` after the events before `cursor`."""
    low, high = level.first, level.end
    while low < high:
        middle = (low + high) >> 1
        if changes[middle].event < cursor:
            low = middle + 1
        else:
            high = middle
    return np.int64(changes[low - 1].lots) if low > level.first else 0


@kernel
def show_levels(market, recording):
    """Add the best recorded levels to the book, as many as there is room for."""
    book = market.book
    levels = recording[2]
    for index in range(levels.shape[0] - 1, -1, -1):  # the best level of a side is its last
        level = levels[index]
        side, key = np.int64(level.side), np.int64(level.key)
        if book.n_levels[side] >= min(book.levels.shape[1], book.orders.shape[0] // 2) - 4:
            continue
        place = find_level(book, side, key)
        if place < book.n_levels[side] and book.levels[side, place].key == key:
            continue
        lots = level_lots(level, recording[3], market.recorded.cursor)
        if lots > 0:
            add(book, side, price_key(side, key), lots, PUBLIC)
