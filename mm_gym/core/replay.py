"""A market of recorded events, in which the agent's quotes join the recorded queues.

The recorded flow does not depend on the agent. The events are rows of `layout.RECORDED_EVENT` and
carry the places of their orders in the queues, and `touch` has the best prices after each of them.
So the book of a market holds only what the agent can see and meet: the touch, and the levels of its
quotes (`core.recorded_queues`). Most events are at other prices and need no work.

The touch in the book is brought up to date (`see_touch`) before the agent's quotes change and at
the end of a step, and may be old between.

Recorded sizes are in size units of the data, of which a lot has `lot_size`. `recording` is a tuple
of the events, the touch after each, and the history of the levels (`layout.PRICE_LEVEL`,
`layout.LEVEL_CHANGE`).
"""

import math

import numpy as np

from mm_gym.core.book import add, cancel, price_key
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import ASK, BID, NO_ORDER, PUBLIC, RecordedKind
from mm_gym.core.market import begin_reset, begin_step, finish_reset, finish_step
from mm_gym.core.messages import receive_message
from mm_gym.core.observe import start_features, update_features
from mm_gym.core.random import uniform
from mm_gym.core.recorded_queues import (
    NO_KEY,
    neighbours_of,
    own_key,
    recorded_event,
    settle_quotes,
)
from mm_gym.core.recorder import keep_fills, keep_path_at

_NANOSECONDS = 1e9
_JOIN, _LEAVE = int(RecordedKind.JOIN), int(RecordedKind.LEAVE)


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
    bid_before, ask_before = neighbours_of(market, BID), neighbours_of(market, ASK)
    end = begin_step(market, parameters, bid_action, ask_action, False)
    settle_quotes(market, parameters, recording, bid_before, ask_before)
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
        recorded_event(market, parameters, recording[0][market.recorded.cursor])
        market.recorded.cursor += 1
        see_mid(market, recording[1])
    else:
        see_touch(market, recording[1])
        bid_before, ask_before = neighbours_of(market, BID), neighbours_of(market, ASK)
        receive_message(market, parameters)
        settle_quotes(market, parameters, recording, bid_before, ask_before)


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
    bid, ask = own_key(market, BID), own_key(market, ASK)
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
        own = own_key(market, side)
        key, lots = NO_KEY, 0
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
