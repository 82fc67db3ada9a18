"""A market of recorded events, in which the agent's quotes join the recorded queues.

The recorded flow does not depend on the agent. `docs/explanation/recorded-markets.md` states when a
quote is filled. The events are rows of `layout.RECORDED_EVENT` and carry the places of their orders
in the queues, and `touch` has the best prices after each of them. So the book of a market holds
only what the agent can see and meet: the touch, and the levels of its quotes. Most events are at
other prices and need no work. At a price of the agent the book has up to three orders: the recorded
lots ahead of the agent's order, the order, and the lots behind it.

The touch in the book is brought up to date (`see_touch`) before the agent's quotes change and at
the end of a step, and may be old between. `show_levels` adds the other levels to a copy, to be
drawn.

Recorded sizes are in size units of the data, of which a lot has `lot_size`. `recording` is a tuple
of the events, the touch after each, and the history of the levels (`layout.PRICE_LEVEL`,
`layout.LEVEL_CHANGE`).
"""

import math

import numpy as np

from mm_gym.core.account import maker_fee, mark_to, settle_fill
from mm_gym.core.book import add, cancel, find_level, lots_ahead, price_key, reduce
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import (
    AGENT,
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
from mm_gym.core.random import uniform
from mm_gym.core.recorder import keep_fills, keep_path_at
from mm_gym.core.takers import note_fill, note_trade

_NANOSECONDS = 1e9
_JOIN, _LEAVE = int(RecordedKind.JOIN), int(RecordedKind.LEAVE)
_NO_KEY = np.int64(-(2**40))  # worse than any key


@kernel
def replay_reset_one(market, parameters, seed_words, recording):
    """Start a session at a random time of the recording: warm up, and observe."""
    begin_reset(market, parameters, seed_words)
    market.next_value = math.inf
    market.next_taker = math.inf
    market.next_maker = math.inf
    market.signal = 0.0
    recorded = market.recorded
    starts = parameters.latest_start - parameters.earliest_start + 1
    recorded.origin = parameters.earliest_start + int(uniform(market.value_words) * starts)
    recorded.cursor = _first_after(
        recording[0], recorded.origin + int(round(market.start * _NANOSECONDS))
    )
    recorded.sweep_time = -1
    recorded.joined[:] = 0
    see_touch(market, recording[1])
    start_features(market, parameters)
    for step in range(parameters.warm_up_steps):
        end = (step + 1 - parameters.warm_up_steps) * parameters.decision_interval
        _replay_until(market, parameters, recording, end)
        update_features(market, parameters)
    finish_reset(market, parameters)


@kernel
def replay_step_one(market, parameters, recording, bid_action, ask_action, fill_rows, path_rows):
    """Step by one decision, as `entry_points.step_many` does a market, with the recorded events.

    `fill_rows` and `path_rows` are those of this market.
    """
    end = begin_replay_step(market, parameters, recording, bid_action, ask_action)
    if fill_rows.shape[0] > 0 or path_rows.shape[0] > 0:
        _replay_until_recording(market, parameters, recording, end, fill_rows, path_rows)
    else:
        _replay_until(market, parameters, recording, end)
    finish_step(market, parameters)


@kernel
def begin_replay_step(market, parameters, recording, bid_action, ask_action):
    """Begin a decision, as `market.begin_step` does."""
    bid_before, ask_before = _neighbours(market, BID), _neighbours(market, ASK)
    end = begin_step(market, parameters, bid_action, ask_action, False)
    _settle_quotes(market, parameters, recording, bid_before, ask_before)
    return end


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
def next_recorded_time(market, events):
    """Return the time of the next recorded event [s], infinity after the last one."""
    cursor = market.recorded.cursor
    if cursor >= events.shape[0]:
        return math.inf
    return (events[cursor].time - market.recorded.origin) / _NANOSECONDS


@kernel
def let_recorded_happen(market, parameters, recording, time, recorded_time):
    """Move the clock to `time` and process what is due: a recorded event, or quotes that arrive."""
    market.time = time
    market.n_new_fills = 0
    see_mid(market, recording[1])
    if recorded_time == time:
        _recorded_event(market, parameters, recording[0][market.recorded.cursor])
        market.recorded.cursor += 1
        see_mid(market, recording[1])
    else:
        see_touch(market, recording[1])
        bid_before, ask_before = _neighbours(market, BID), _neighbours(market, ASK)
        receive_message(market, parameters)
        _settle_quotes(market, parameters, recording, bid_before, ask_before)


@kernel
def _replay_until(market, parameters, recording, end):
    """Process all events up to and including time `end`."""
    while True:
        _skip_quiet(market, recording[0], min(end, market.quotes.arrival))
        recorded_time = next_recorded_time(market, recording[0])
        time = min(recorded_time, market.quotes.arrival)
        if time > end:
            market.time = end
            see_touch(market, recording[1])
            return
        let_recorded_happen(market, parameters, recording, time, recorded_time)


@kernel
def _skip_quiet(market, events, until):
    """Skip the next recorded events up to time `until` that do nothing but change the touch.

    These are new orders and cancellations that are not at a price of the agent, and do not cross
    its quotes. An event that leaves a side of the book empty is not skipped: the mid then depends
    on the one before.
    """
    recorded = market.recorded
    last = recorded.origin + int(until * _NANOSECONDS)
    bid, ask = _own_key(market, BID), _own_key(market, ASK)
    cursor = recorded.cursor
    n = events.shape[0]
    while cursor < n:
        event = events[cursor]
        key = np.int64(event.key)
        own, other = (ask, bid) if event.side else (bid, ask)
        crosses = (event.kind == _JOIN) & (other >= -key)
        # The last nanosecond is left to the caller, who compares times in seconds. Operators that
        # do not branch save mispredictions.
        if (
            (event.time >= last)
            | (event.one_sided != 0)
            | (event.kind > _LEAVE)
            | (key == own)
            | crosses
        ):
            break
        cursor += 1
    recorded.cursor = cursor


@kernel
def _own_key(market, side):
    """Return the key of the agent's order on a side, a key worse than any price without one."""
    slot = market.quotes.slot[side]
    return np.int64(market.book.orders[slot].key) if slot != NO_ORDER else _NO_KEY


@kernel
def _replay_until_recording(market, parameters, recording, end, fill_rows, path_rows):
    """Process all events up to `end` as `_replay_until` does, and record fills and the path."""
    keep_path_at(market, market.mid, path_rows)
    while True:
        recorded_time = next_recorded_time(market, recording[0])
        time = min(recorded_time, market.quotes.arrival)
        _spend_time_at_touch(market, recording[1], min(time, end) - market.time)
        if time > end:
            market.time = end
            see_touch(market, recording[1])
            return
        let_recorded_happen(market, parameters, recording, time, recorded_time)
        keep_fills(market, fill_rows)
        keep_path_at(market, market.mid, path_rows)


@kernel
def _spend_time_at_touch(market, touch, seconds):
    """Do what `quotes.spend_time_at_touch` does, with the touch after the latest event."""
    cursor = market.recorded.cursor
    for side in range(2):
        slot = market.quotes.slot[side]
        if slot != NO_ORDER and (
            cursor == 0
            or touch[cursor - 1, 2 + side] == 0
            or market.book.orders[slot].key >= touch[cursor - 1, side]
        ):
            market.quotes.time_at_touch[side] += seconds


@kernel
def see_mid(market, touch):
    """Store the mid after the latest recorded event, which is the efficient price too.

    It is the rule of `quotes.current_mid`. After an event that leaves a side empty, call this
    before the next one.
    """
    cursor = market.recorded.cursor
    if cursor > 0:
        row = touch[cursor - 1]
        bid, ask = np.int64(row[BID]), -np.int64(row[ASK])
        if row[2 + BID] > 0 and row[2 + ASK] > 0:
            market.mid = 0.5 * (bid + ask)
        elif row[2 + BID] > 0:
            market.mid = max(market.mid, float(bid))
        elif row[2 + ASK] > 0:
            market.mid = min(market.mid, float(ask))
    market.efficient_price = market.mid


@kernel
def see_touch(market, touch):
    """Bring mid and touch up to date. The book keeps the levels of the touch and of the agent."""
    see_mid(market, touch)
    book = market.book
    cursor = market.recorded.cursor
    for side in range(2):
        own = _own_key(market, side)
        key, lots = _NO_KEY, 0
        if cursor > 0 and touch[cursor - 1, 2 + side] > 0:
            key, lots = np.int64(touch[cursor - 1, side]), int(touch[cursor - 1, 2 + side])
        for index in range(book.n_levels[side] - 1, -1, -1):
            level = book.levels[side, index]
            if level.key == own:
                continue
            if level.key == key:
                book.orders[level.head].lots = lots
                level.lots = lots
                lots = 0
            else:
                cancel(book, np.int64(level.head))
        if lots > 0 and key != own:
            add(book, side, price_key(side, key), lots, PUBLIC)


@kernel
def _settle_quotes(market, parameters, recording, bid_before, ask_before):
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


@kernel
def _recorded_event(market, parameters, event):
    """Let a recorded event fill the agent's quotes and change their levels."""
    side = int(event.side)
    key = int(event.key)
    lots = int(event.lots)
    kind = event.kind
    own_level = key == _own_key(market, side)
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
    own_key = market.book.orders[slot].key
    if own_key != key or event.kind != RecordedKind.TRADE:
        return own_key >= key
    return event.place >= market.recorded.joined[side]


@kernel
def _start_sweep(market, side, time):
    """Keep the mid before the first trade of a taker. Its trades have the same time and side."""
    recorded = market.recorded
    if recorded.sweep_time != time or recorded.sweep_side != side:
        recorded.sweep_time = time
        recorded.sweep_side = side
        recorded.sweep_mid = market.mid


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
