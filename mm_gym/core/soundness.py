"""Whether a record can be a market between two decisions, for records that come from outside.

A market that passes can be stepped: no link leads out of the record, no queue is a ring, no clock
stands still, and no number is NaN. Much is compared exactly, because it is computed in the same way
as here: the clocks on the time grid, the mid, and the wealth. Units are those of `layout`.
"""

import math

import numpy as np

from mm_gym.core.book import BOOK_CROSSED, SOUND, audit, audit_pool
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import (
    AGENT,
    ASK,
    BID,
    LARGEST_PRICE,
    NO_ORDER,
    OBSERVATION_BOUNDS,
    QUOTES_IN_FLIGHT,
    InformedKind,
    Makers,
)
from mm_gym.core.quotes import public_level

# Codes beside those of `book.audit`, which are below 10. The codes of `validation` start at 10.
CLOCK = 50
NUMBER = 51
QUOTE = 52
MESSAGE = 53
FLOW = 54
ACCOUNT = 55
OBSERVATION = 56
COUNT = 57
RECORDED = 58

_LOW = np.array([low for low, _ in OBSERVATION_BOUNDS])
_HIGH = np.array([high for _, high in OBSERVATION_BOUNDS])
_FURTHEST = 2.0 * LARGEST_PRICE  # [ticks] of any price, so that keys fit into 32 bits
_MOST_DEVIATIONS = 100.0  # of a signal with unit variance
_MOST = 2**60  # of anything that is counted
_MOST_EXCITATION = 1e6  # arrivals still to be caused, beyond a thousand times the mean


@kernel
def market_fault(market, parameters):
    """Check a market between two decisions. Return SOUND or the code of the first violation.

    `parameters` must be those of a configuration.
    """
    fault = book_fault(market, parameters)
    if fault == SOUND:
        fault = audit_pool(market.book)
    if fault != SOUND:
        return fault
    if not _clocks_are_sound(market, parameters):
        return CLOCK
    if not _numbers_are_sound(market, parameters):
        return NUMBER
    if not _messages_are_sound(market, parameters):
        return MESSAGE
    if not _flow_is_sound(market.flow, market, parameters):
        return FLOW
    if not _account_is_sound(market, parameters):
        return ACCOUNT
    for column in range(_LOW.shape[0]):
        if not _LOW[column] <= market.observation[column] <= _HIGH[column]:
            return OBSERVATION
    return SOUND if _counts_are_sound(market) else COUNT


@kernel
def book_fault(market, parameters):
    """Check the book, and that the agent's orders in it are those of its quotes."""
    book = market.book
    fault = audit(book)
    # Recorded orders do not know of the agent's, and may rest beyond a quote that they have filled
    # in part.
    crossed = fault == BOOK_CROSSED and parameters.makers == Makers.RECORDED
    if fault != SOUND and not crossed:
        return fault
    if not quotes_are_sound(market, parameters):
        return QUOTE
    return BOOK_CROSSED if crossed and _public_book_is_crossed(market) else SOUND


@kernel
def quotes_are_sound(market, parameters):
    """Return whether the agent's orders are those of its quotes, in a book with sound links."""
    book = market.book
    n_quotes = 0
    for side in range(2):
        slot = market.quotes.slot[side]
        if slot == NO_ORDER:
            continue
        if not 0 <= slot < book.live.shape[0]:
            return False
        order = book.orders[slot]
        if not 0 <= order.place < book.n_live or book.live[order.place] != slot:
            return False
        largest = parameters.quote_size * parameters.lot_size
        if order.owner != AGENT or order.side != side or not 0 < order.lots <= largest:
            return False
        n_quotes += 1
    for place in range(book.n_live):
        if book.orders[book.live[place]].owner == AGENT:
            n_quotes -= 1
    return n_quotes == 0


@kernel
def _public_book_is_crossed(market):
    bid, ask = public_level(market, BID), public_level(market, ASK)
    levels = market.book.levels
    return bid >= 0 and ask >= 0 and levels[BID, bid].key >= -np.int64(levels[ASK, ask].key)


@kernel
def mid_is_sound(market, parameters):
    """Return whether the stored mid is that of the public book."""
    if parameters.makers == Makers.NONE:
        return market.mid == market.efficient_price
    bid, ask = public_level(market, BID), public_level(market, ASK)
    levels = market.book.levels
    if bid >= 0 and ask >= 0:
        return market.mid == 0.5 * (np.int64(levels[BID, bid].key) - levels[ASK, ask].key)
    if bid >= 0 and market.mid < levels[BID, bid].key:
        return False
    return ask < 0 or market.mid <= -np.int64(levels[ASK, ask].key)


@kernel
def _clocks_are_sound(market, parameters):
    """Return whether it is the time of a decision, and all events are still to come."""
    if not 0 <= market.steps <= parameters.session_steps:
        return False
    time = market.time
    if time != market.steps * parameters.decision_interval:
        return False
    if market.start != -parameters.warm_up_steps * parameters.decision_interval:
        return False
    simulated = parameters.makers != Makers.RECORDED
    if simulated and market.n_priced != market.book.n_live:
        return False
    if simulated and parameters.makers != Makers.ZERO_INTELLIGENCE:
        ticks = market.value_ticks + 1
        if ticks < 1 or market.next_value != market.start + ticks * parameters.value_interval:
            return False
    elif market.next_value != math.inf:
        return False
    return market.next_value >= time and market.next_taker >= time and market.next_maker >= time


@kernel
def _numbers_are_sound(market, parameters):
    """Return whether prices, signals and features are numbers of a possible size."""
    features, terms = market.features, market.control_variate
    if not (
        abs(market.efficient_price) <= _FURTHEST
        and abs(market.mid) <= _FURTHEST
        and mid_is_sound(market, parameters)
        and abs(market.signal) <= _MOST_DEVIATIONS
        and abs(market.decoy) <= _MOST_DEVIATIONS
        and features.step_flow == 0.0
        and features.step_volume == 0.0
        and math.isfinite(features.activity)
        and 0.0 <= features.variance < math.inf
        and abs(features.last_mid) <= _FURTHEST
        and math.isfinite(features.spread)
        and math.isfinite(terms.edge + terms.lots_squared + terms.inventory)
        and math.isfinite(terms.foreseen_price + terms.mispricing)
    ):
        return False
    for index in range(features.flow.shape[0]):
        if not math.isfinite(features.flow[index]):
            return False
        if not abs(features.mean_mid[index]) <= _FURTHEST:
            return False
    for side in range(2):
        quotes = market.quotes
        if not (
            math.isfinite(features.shown_offset[side])
            and math.isfinite(quotes.placed_at[side])
            and math.isfinite(quotes.time_at_touch[side])
        ):
            return False
    return True


@kernel
def _messages_are_sound(market, parameters):
    """Return whether the messages under way arrive in order, at times to come and with prices."""
    quotes = market.quotes
    n = quotes.n_in_flight
    latest = market.time
    if not 0 <= n <= min(market.steps, QUOTES_IN_FLIGHT) or not 0 <= quotes.cancelled <= 1:
        return False
    if n == 0:
        return (
            quotes.cancelled == 0
            and quotes.arrival == math.inf
            and quotes.last_arrival <= market.time
        )
    if not parameters.delayed or (quotes.cancelled and not parameters.separate_cancels):
        return False
    for sent in range(market.steps - n, market.steps):
        message = market.messages[sent % QUOTES_IN_FLIGHT]
        first = sent == market.steps - n
        if parameters.separate_cancels and not (first and quotes.cancelled):
            if not latest <= message.cancel_arrival < math.inf:
                return False
            latest = message.cancel_arrival
            if first and quotes.arrival != latest:
                return False
        if not latest <= message.arrival < math.inf:
            return False
        latest = message.arrival
        alone = quotes.cancelled or not parameters.separate_cancels
        if first and alone and quotes.arrival != latest:
            return False
        if not abs(message.price[BID]) <= _FURTHEST or not abs(message.price[ASK]) <= _FURTHEST:
            return False
    return quotes.last_arrival == latest


@kernel
def _flow_is_sound(flow, market, parameters):
    """Return whether the order flow is one that the configuration can have."""
    if parameters.makers == Makers.RECORDED:
        return True  # nothing reads it
    if not (
        0.0 <= flow.p_informed <= 1.0
        and 0.0 <= flow.imbalance <= 1.0
        and InformedKind.SIGNAL <= flow.informed_kind <= InformedKind.DECOY
        and abs(flow.bias) == 1.0
        and market.start <= flow.last_arrival <= market.time
        and 0 <= flow.orders_left < max(1, parameters.longest_metaorder)
    ):
        return False
    if flow.orders_left > 0 and not (
        BID <= flow.metaorder_side <= ASK and flow.metaorder_tolerance >= 0.0
    ):
        return False
    for k in range(parameters.n_clustering):
        mean = parameters.taker_rate * parameters.clustering[k] / parameters.clustering_decay[k]
        if not 0.0 <= flow.excitation[k] <= 1e3 * mean + _MOST_EXCITATION:
            return False
    return True


@kernel
def _account_is_sound(market, parameters):
    """Return whether the account is within its limit and adds up."""
    account = market.account
    return (
        abs(account.inventory) <= parameters.max_inventory
        and account.mark == market.mid
        and account.wealth == account.cash + account.inventory * account.mark
        and account.inventory_pnl_at_decision == account.inventory_pnl
        and account.n_fills_at_decision == account.n_fills
        and market.features.shown_inventory == account.inventory
        and math.isfinite(account.wealth)
        and math.isfinite(account.spread_pnl)
        and math.isfinite(account.inventory_pnl)
        and math.isfinite(account.fees)
        and math.isfinite(account.close_out)
        and math.isfinite(account.objective)
    )


@kernel
def _counts_are_sound(market):
    """Return whether all counts are possible, and far from an overflow."""
    account = market.account
    return (
        0 <= market.n_new_fills <= market.new_fills.shape[0]
        and 0 <= market.n_trades <= _MOST
        and 0 <= market.n_fill_rows <= _MOST
        and 0 <= market.n_path_rows <= _MOST
        and 0 <= account.n_fills <= _MOST
        and 0 <= account.n_lots <= _MOST
        and 0 <= account.lots_taken <= _MOST
        and 0 <= market.quotes.entered_lots <= _MOST
        and 0 <= market.book.n_events <= _MOST
    )


@kernel
def recorded_fault(market, parameters, events):
    """Check where a session of recorded data is. Return SOUND or RECORDED."""
    recorded = market.recorded
    n, cursor = events.shape[0], recorded.cursor
    if not parameters.earliest_start <= recorded.origin <= parameters.latest_start:
        return RECORDED
    if not 0 <= cursor <= n or not math.isfinite(recorded.sweep_mid):
        return RECORDED
    # The events before the cursor have happened, the others have not.
    time = market.time
    if cursor > 0 and (events[cursor - 1].time - recorded.origin) / 1e9 > time:
        return RECORDED
    if cursor < n and not (events[cursor].time - recorded.origin) / 1e9 > time:
        return RECORDED
    for side in range(2):
        if not 0 <= recorded.joined[side] <= cursor:
            return RECORDED
    return SOUND
