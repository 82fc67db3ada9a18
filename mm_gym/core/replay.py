"""A market of recorded events, in which the agent's quotes join the recorded queues.

The recorded flow does not depend on the agent. `docs/explanation/recorded-markets.md` states when a
quote is filled. The events are rows of `layout.RECORDED_EVENT` and carry the places of their orders
in the queues, so the book of a market needs one order for a whole level. At a price of the agent it
has up to three: the recorded lots ahead of the agent's order, the order, and the lots behind it.
Recorded sizes are in size units of the data, of which a lot has `lot_size`.
"""

import math

from mm_gym.core.account import maker_fee, mark_to, settle_fill
from mm_gym.core.book import add, find_level, price_key, reduce
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import (
    ASK,
    BID,
    NO_ORDER,
    PUBLIC,
    TAPE_ROWS,
    RecordedKind,
    TakerKind,
)
from mm_gym.core.market import begin_reset, begin_step, finish_reset, finish_step
from mm_gym.core.messages import receive_message
from mm_gym.core.observe import start_features, update_features
from mm_gym.core.quotes import public_mid, spend_time_at_touch
from mm_gym.core.random import uniform
from mm_gym.core.recorder import keep_fills, keep_path
from mm_gym.core.takers import note_fill, note_trade

_NANOSECONDS = 1e9


@kernel
def replay_reset_one(market, parameters, seed_words, events, levels, changes):
    """Start a session at a random time of the recording: fill the book, warm up, observe."""
    begin_reset(market, parameters, seed_words)
    market.next_value = math.inf
    market.next_taker = math.inf
    market.next_maker = math.inf
    market.signal = 0.0
    recorded = market.recorded
    starts = parameters.latest_start - parameters.earliest_start + 1
    recorded.origin = parameters.earliest_start + int(uniform(market.value_words) * starts)
    recorded.cursor = _first_after(
        events, recorded.origin + int(round(market.start * _NANOSECONDS))
    )
    recorded.sweep_time = -1
    recorded.joined[:] = 0
    _fill_book(market, recorded.cursor, levels, changes)
    market.efficient_price = public_mid(market, parameters)
    start_features(market, parameters)
    for step in range(parameters.warm_up_steps):
        end = (step + 1 - parameters.warm_up_steps) * parameters.decision_interval
        _replay_until(market, parameters, events, end)
        update_features(market, parameters)
    finish_reset(market, parameters)


@kernel
def replay_step_one(market, parameters, events, bid_action, ask_action, fill_rows, path_rows):
    """Step by one decision, as `market.step_one` does, with the recorded events.

    `fill_rows` and `path_rows` are those of this market.
    """
    bid_before, ask_before = _neighbours(market, BID), _neighbours(market, ASK)
    end = begin_step(market, parameters, bid_action, ask_action, False)
    _join_levels(market, bid_before)
    _join_levels(market, ask_before)
    if fill_rows.shape[0] > 0 or path_rows.shape[0] > 0:
        _replay_until_recording(market, parameters, events, end, fill_rows, path_rows)
    else:
        _replay_until(market, parameters, events, end)
    finish_step(market, parameters)


@kernel
def _first_after(events, time):
    """Return the number of the first event after `time` [ns]."""
    low, high = 0, events.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if events[middle].time <= time:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _fill_book(market, cursor, levels, changes):
    """Fill the empty book with the levels after the events before `cursor`."""
    for index in range(levels.shape[0]):
        level = levels[index]
        low, high = level.first, level.end
        while low < high:
            middle = (low + high) >> 1
            if changes[middle].event < cursor:
                low = middle + 1
            else:
                high = middle
        if low > level.first and changes[low - 1].lots > 0:
            price = price_key(level.side, level.key)
            add(market.book, level.side, price, changes[low - 1].lots, PUBLIC)


@kernel
def _next_time(market, events):
    """Return the time of the next recorded event [s], infinity after the last one."""
    cursor = market.recorded.cursor
    if cursor >= events.shape[0]:
        return math.inf
    return (events[cursor].time - market.recorded.origin) / _NANOSECONDS


@kernel
def _let_happen(market, parameters, events, time, recorded_time):
    """Move the clock to `time` and process what is due: a recorded event, or quotes that arrive."""
    market.time = time
    market.n_new_fills = 0
    if recorded_time == time:
        _recorded_event(market, parameters, events[market.recorded.cursor])
        market.recorded.cursor += 1
    else:
        bid_before, ask_before = _neighbours(market, BID), _neighbours(market, ASK)
        receive_message(market, parameters)
        _join_levels(market, bid_before)
        _join_levels(market, ask_before)
    market.efficient_price = public_mid(market, parameters)


@kernel
def _replay_until(market, parameters, events, end):
    """Process all events up to and including time `end`."""
    while True:
        recorded_time = _next_time(market, events)
        time = min(recorded_time, market.quotes.arrival)
        if time > end:
            market.time = end
            return
        _let_happen(market, parameters, events, time, recorded_time)


@kernel
def _replay_until_recording(market, parameters, events, end, fill_rows, path_rows):
    """Process all events up to `end` as `_replay_until` does, and record fills and the path."""
    keep_path(market, parameters, path_rows)
    while True:
        recorded_time = _next_time(market, events)
        time = min(recorded_time, market.quotes.arrival)
        spend_time_at_touch(market, min(time, end) - market.time)
        if time > end:
            market.time = end
            return
        _let_happen(market, parameters, events, time, recorded_time)
        keep_fills(market, fill_rows)
        keep_path(market, parameters, path_rows)


@kernel
def _recorded_event(market, parameters, event):
    """Let a recorded event fill the agent's quotes and change the book."""
    side = int(event.side)
    key = int(event.key)
    lots = int(event.lots)
    kind = event.kind
    if kind == RecordedKind.JOIN:
        other = 1 - side
        if _comes_first(market, other, -key, event) and not event.halted:
            _fill(market, parameters, other, event.time, lots)
        _join(market, side, key, lots)
    elif kind == RecordedKind.TRADE or kind == RecordedKind.HIDDEN:
        own = 0
        if kind == RecordedKind.TRADE:
            _start_sweep(market, parameters, side, event.time)
        if _comes_first(market, side, key, event) and not event.halted:
            own = _fill(market, parameters, side, event.time, lots)
        if kind == RecordedKind.TRADE:
            if own < lots:
                _print(market, parameters, side, price_key(side, key), lots - own, 0)
            if event.known:
                _leave(market, side, key, event.place, lots)
    elif kind == RecordedKind.LEAVE:
        _leave(market, side, key, event.place, lots)


@kernel
def _comes_first(market, side, key, event):
    """Return whether the agent's quote trades before a recorded order of its side at this key.

    A hidden order is behind the quote at its price. So is a new order of the other side.
    """
    slot = market.quotes.slot[side]
    if slot == NO_ORDER:
        return False
    own_key = market.book.orders[slot].key
    if own_key != key or event.kind != RecordedKind.TRADE:
        return own_key >= key
    return event.place >= market.recorded.joined[side]


@kernel
def _start_sweep(market, parameters, side, time):
    """Keep the mid before the first trade of a taker. Its trades have the same time and side."""
    recorded = market.recorded
    if recorded.sweep_time != time or recorded.sweep_side != side:
        recorded.sweep_time = time
        recorded.sweep_side = side
        recorded.sweep_mid = public_mid(market, parameters)


@kernel
def _fill(market, parameters, side, time, size):
    """Fill the agent's quote on `side` by up to `size` size units, and return how many."""
    _start_sweep(market, parameters, side, time)
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
    before = _neighbours(market, side)
    reduce(market.book, slot, traded)
    if traded == rest:
        market.quotes.slot[side] = NO_ORDER
        _join_levels(market, before)
    return traded


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
def _neighbours(market, side):
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
