"""Background makers: limit orders that rest until they are taken or cancelled.

`ANCHORED` makers place post-only limit orders at rate `maker_rate` on each side, at an exponential
depth behind the efficient price V. They cancel each order at rate `maker_cancel_rate`, and at once
when V crosses it. `NONE` is the dealer market, in which only the agent quotes.

`ZERO_INTELLIGENCE` makers do not observe V (Cont, Stoikov and Talreja 2010, section 3). Their
arrival and cancellation rates depend only on the distance from the opposite best price. The agent's
quotes do not count as the best price, so the agent cannot steer these makers. New orders still do
not cross the agent's quotes.

The time to the next event is exponential. The total rate of all events is (maker_balance + n) /
maker_lifetime with n resting orders, which include the agent's: a cancellation that hits one of
those does nothing. When the rate changes, the remaining time is scaled by the ratio of the old rate
to the new one. This is exact and needs no new draw. Prices are in ticks, rates in 1/s.
"""

import math

import numpy as np

from mm_gym.core.book import add, cancel, price_key
from mm_gym.core.kernel import hot_kernel, kernel
from mm_gym.core.layout import (
    AGENT,
    ASK,
    BID,
    NO_ORDER,
    PUBLIC,
    RESERVED_LEVELS,
    RESERVED_ORDERS,
    Makers,
)
from mm_gym.core.quotes import best_key, current_mid, public_level
from mm_gym.core.random import exponential, geometric_size, uniform


@kernel
def start_makers(market, parameters):
    """Draw the time of the first event."""
    market.next_maker = math.inf
    _draw_next(market, parameters)


@hot_kernel
def _mean_gap(parameters, n_live):
    """Return the mean time between events with `n_live` resting orders [s]."""
    # A division takes four times as long as a look-up.
    if n_live < parameters.maker_gap.shape[0]:
        return parameters.maker_gap[n_live]
    return parameters.maker_lifetime / (parameters.maker_balance + n_live)


@hot_kernel
def _draw_next(market, parameters):
    """Draw the time of the next event from the number of resting orders."""
    market.n_priced = market.book.n_live
    if parameters.makers != Makers.NONE and parameters.maker_balance + market.n_priced > 0.0:
        gap = exponential(market.maker_words) * _mean_gap(parameters, market.n_priced)
        market.next_maker = market.time + gap


@hot_kernel
def reschedule_makers(market, parameters):
    """Scale the time to the next event after the number of resting orders has changed."""
    n_live = market.book.n_live
    if n_live == market.n_priced:
        return
    if market.next_maker == math.inf:
        _draw_next(market, parameters)
        return
    rate = (parameters.maker_balance + market.n_priced) / parameters.maker_lifetime
    stretch = rate * _mean_gap(parameters, n_live)
    market.next_maker = market.time + (market.next_maker - market.time) * stretch
    market.n_priced = n_live


@hot_kernel
def maker_event(market, parameters):
    """Place or cancel one order, then draw the time of the next event."""
    balance = parameters.maker_balance
    draw = uniform(market.maker_words) * (balance + market.n_priced)
    places = draw < balance or market.n_priced == 0
    # With anchored makers, the next draw is the depth of a new order or the time after a
    # cancellation. Both are exponential. The processor mispredicts every other choice between them,
    # and a draw before the choice does not wait for that.
    drawn_before = parameters.makers == Makers.ANCHORED and balance > 0.0
    drawn = exponential(market.maker_words) if drawn_before else 0.0
    if places:
        _place_order(market, parameters, BID if draw < 0.5 * balance else ASK, drawn)
    else:
        chosen = draw - balance
        # Rounding may give an index one past the last order.
        place = min(int(chosen), market.book.n_live - 1)
        slot = np.int64(market.book.live[np.uintp(place)])
        if market.book.orders[np.uintp(slot)].owner == PUBLIC and (
            parameters.makers == Makers.ANCHORED
            or chosen - place < _cancel_share(market, parameters, slot)
        ):
            cancel(market.book, slot)
    if places or not drawn_before:
        market.next_maker = math.inf
        _draw_next(market, parameters)
    else:
        market.n_priced = market.book.n_live
        market.next_maker = market.time + drawn * _mean_gap(parameters, market.n_priced)


@hot_kernel
def _place_order(market, parameters, side, drawn):
    """Place an order, pulled back so that it does not cross. Drop it if the book is full.

    `drawn` is exponential, for the depth of an anchored order.
    """
    book = market.book
    if parameters.makers == Makers.ANCHORED:
        # A key is rounded down on both sides: a bid to the tick below, an ask to the tick above.
        depth = drawn * parameters.maker_depth
        key = int(math.floor(price_key(side, market.efficient_price) - depth))
    else:
        key = _key_from_opposite_best(market, parameters, side)
    key = min(key, -best_key(book, 1 - side) - 1)
    size = 1
    if parameters.maker_size_scale > 0.0:
        size = geometric_size(market.maker_words, parameters.maker_size_scale)
    if (
        book.n_live < book.live.shape[0] - RESERVED_ORDERS
        and book.n_levels[side] < book.levels.shape[1] - RESERVED_LEVELS
    ):
        add(book, side, price_key(side, key), size, PUBLIC)


@kernel
def _key_from_opposite_best(market, parameters, side):
    """Return the key of a zero-intelligence order: a random distance from the opposite best."""
    draw = uniform(market.maker_words)
    distance = 1
    while draw >= parameters.limit_order_share[distance - 1]:
        distance += 1
    return _opposite_best(market, parameters, side) - distance


@kernel
def _cancel_share(market, parameters, slot):
    """Return the cancellation rate at this order's distance as a share of the largest rate."""
    order = market.book.orders[slot]
    distance = _opposite_best(market, parameters, order.side) - order.key
    return parameters.cancel_share[min(distance, parameters.cancel_share.shape[0]) - 1]


@kernel
def _opposite_best(market, parameters, side):
    """Return the best public price of the other side as a key of this side.

    If the other side is empty, the first tick beyond the mid takes its place.
    """
    level = public_level(market, 1 - side)
    if level >= 0:
        return -market.book.levels[1 - side, level].key
    return int(math.floor(price_key(side, current_mid(market, parameters)))) + 1


@kernel
def pull_crossed(market):
    """Cancel every background order that V has crossed. The agent's quotes stay."""
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
