"""Background liquidity: other makers, whose orders rest until taken or cancelled.

`ANCHORED` makers place post-only limit orders at rate `maker_rate` a side, at exponential depth behind the
efficient price V, and cancel each at rate `maker_cancel_rate`. They read public news at once: an order that V
has crossed is pulled. `NONE` is the dealer market, in which only the agent quotes.

The time to the next event is kept as a unit exponential that the total rate uses up, so that a change of the
rate (an order taken by somebody else) costs no fresh draw.
"""

import math

from mm_gym.core.book import add, cancel, price_key
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import AGENT, ASK, BID, NO_ORDER, PUBLIC, Makers
from mm_gym.core.quotes import best_key
from mm_gym.core.random import exponential, geometric_size, uniform

# Places in the pool and in each side's levels that background orders leave free for the agent's two quotes.
_RESERVED_ORDERS = 2
_RESERVED_LEVELS = 1


@kernel
def start_makers(market):
    """Set the clock of the first event."""
    market.maker_clock = market.time
    market.maker_hazard = exponential(market.maker_words)
    market.maker_total_rate = 0.0
    reschedule_makers(market)


@kernel
def reschedule_makers(market):
    """Move the time of the next event to what the number of resting orders now implies."""
    rules = market.rules
    if rules.makers == Makers.NONE:
        market.next_maker = math.inf
        return
    market.maker_hazard -= market.maker_total_rate * (market.time - market.maker_clock)
    market.maker_clock = market.time
    # The agent's orders are counted too, and a cancellation that falls on one does nothing.
    market.maker_total_rate = 2.0 * rules.maker_rate + market.book.n_live * rules.maker_cancel_rate
    if market.maker_total_rate > 0.0:
        market.next_maker = market.time + max(0.0, market.maker_hazard) / market.maker_total_rate
    else:
        market.next_maker = math.inf


@kernel
def maker_event(market):
    """One order is placed, or one is cancelled."""
    rules = market.rules
    words = market.maker_words
    market.maker_hazard = exponential(words)
    market.maker_clock = market.time
    draw = uniform(words) * market.maker_total_rate
    if draw < 2.0 * rules.maker_rate:
        _place_order(market, BID if draw < rules.maker_rate else ASK)
        return
    place = int((draw - 2.0 * rules.maker_rate) / rules.maker_cancel_rate)
    if place >= market.book.n_live:
        # Quotes that the agent withdrew since the rate was worked out are still in it: their cancellations fall here.
        return
    slot = market.book.live[place]
    if market.book.orders[slot].owner == PUBLIC:
        cancel(market.book, slot)


@kernel
def _place_order(market, side):
    """An order behind V, pulled back so that it does not cross, refused when the book has no more room."""
    rules = market.rules
    book = market.book
    depth = exponential(market.maker_words) * rules.maker_depth
    # A key is rounded down on both sides: bids to the tick below, asks to the tick above.
    key = int(math.floor(price_key(side, market.efficient_price) - depth))
    key = min(key, -best_key(book, 1 - side) - 1)
    size = geometric_size(market.maker_words, rules.maker_size_log_miss)
    if (
        book.n_live < book.orders.shape[0] - _RESERVED_ORDERS
        and book.n_levels[side] < book.levels.shape[1] - _RESERVED_LEVELS
    ):
        add(book, side, price_key(side, key), size, PUBLIC)


@kernel
def pull_crossed(market):
    """Cancel every background order that V has crossed. The agent's stale quotes stay."""
    book = market.book
    for side in range(2):
        value_key = market.efficient_price if side == BID else -market.efficient_price
        index = book.n_levels[side] - 1
        while index >= 0 and book.levels[side, index].key > value_key:
            slot = book.levels[side, index].head
            while slot != NO_ORDER:
                younger = book.orders[slot].younger
                if book.orders[slot].owner != AGENT:
                    cancel(book, slot)
                slot = younger
            index -= 1
