"""The agent's two quotes, with queue positions, and the public touch and mid.

The quotes are ordinary orders in the book. The public touch and mid leave them out, so that the
agent cannot change its PnL by moving the mid with its own quotes. Prices are in ticks, times in
seconds, sizes in lots.
"""

import math

from mm_gym.core.book import add, cancel, lots_ahead, price_key
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import AGENT, ASK, BID, NO_ORDER, Makers

# A price this close to a whole tick is on that tick. Actions are float32: an offset of 1.5 can
# arrive as 1.50000012, which would otherwise be rounded outwards by a whole tick.
_ON_TICK = 1e-4  # [ticks]
_NOWHERE = -(2**62)  # key of an empty side, worse than any price


@kernel
def best_key(book, side):
    """Return the key of the best level, including the agent's orders; `_NOWHERE` if it is empty."""
    n_levels = book.n_levels[side]
    if n_levels == 0:
        return _NOWHERE
    return book.levels[side, n_levels - 1].key


@kernel
def public_level(market, side):
    """Return the index of the best level with a public order, or -1 if there is none."""
    book = market.book
    index = book.n_levels[side] - 1
    own = market.quotes.slot[side]
    if own != NO_ORDER and index >= 0:
        level = book.levels[side, index]
        if level.head == own and level.tail == own:
            index -= 1
    return index


@kernel
def current_mid(market, parameters):
    """Return the midpoint of the public touch [ticks]. Does not change the record.

    If one side is empty, the stored mid stays, moved only as far as the remaining touch requires.
    In the dealer market, where only the agent quotes, the mid is the efficient price.
    """
    if parameters.makers == Makers.NONE:
        return market.efficient_price
    book = market.book
    bid = public_level(market, BID)
    ask = public_level(market, ASK)
    if bid >= 0 and ask >= 0:
        return 0.5 * (book.levels[BID, bid].key - book.levels[ASK, ask].key)
    if bid >= 0:
        return max(market.mid, float(book.levels[BID, bid].key))
    if ask >= 0:
        return min(market.mid, -float(book.levels[ASK, ask].key))
    return market.mid


@kernel
def public_mid(market, parameters):
    """Compute the current mid, store it in the record and return it [ticks]."""
    market.mid = current_mid(market, parameters)
    return market.mid


@kernel
def spread_between(market, parameters, bid, ask):
    """Return the public spread [ticks], given the `public_level` of each side.

    It is zero in the dealer market and twice `max_offset` if a side is empty.
    """
    if parameters.makers == Makers.NONE:
        return 0.0
    if bid < 0 or ask < 0:
        return 2.0 * parameters.max_offset
    return -float(market.book.levels[BID, bid].key + market.book.levels[ASK, ask].key)


@kernel
def clear_quotes(quotes):
    """Start without quotes in the book or under way."""
    for side in range(2):
        quotes.slot[side] = NO_ORDER
        quotes.placed_at[side] = 0.0
        quotes.lots_ahead_at_arrival[side] = 0
        quotes.time_at_touch[side] = 0.0
    quotes.entered_lots = 0
    quotes.n_in_flight = 0
    quotes.cancelled = 0
    quotes.arrival = math.inf
    quotes.last_arrival = -math.inf


@kernel
def place_quotes(market, parameters, wanted_bid, wanted_ask):
    """Replace the agent's orders by post-only orders, with prices rounded away from the mid.

    Sizes are cut so that no fill can take the inventory beyond `max_inventory`. An order that rests
    near the wanted price stays (`_withdraw_unless_near`).
    """
    book = market.book
    bid, ask, near_bid, near_ask = _post_only(market, wanted_bid, wanted_ask)
    bid_size, ask_size = _sizes(market, parameters)
    # Both old orders are cancelled before a new one is added, so that no new order crosses an old
    # one.
    bid_stays = _withdraw_unless_near(market, parameters, BID, near_bid, bid_size)
    ask_stays = _withdraw_unless_near(market, parameters, ASK, near_ask, ask_size)
    # A new order must not cross the agent's own order that stays.
    if bid_stays and not ask_stays:
        ask = max(ask, price_key(BID, book.orders[market.quotes.slot[BID]].key) + 1)
    if ask_stays and not bid_stays:
        bid = min(bid, price_key(ASK, book.orders[market.quotes.slot[ASK]].key) - 1)
    if not bid_stays and bid_size > 0:
        _enter(market, parameters, BID, bid, bid_size)
    if not ask_stays and ask_size > 0:
        _enter(market, parameters, ASK, ask, ask_size)


@kernel
def withdraw_quotes(market, parameters, wanted_bid, wanted_ask):
    """Cancel the agent's orders that `place_quotes` would replace."""
    _, _, near_bid, near_ask = _post_only(market, wanted_bid, wanted_ask)
    bid_size, ask_size = _sizes(market, parameters)
    _withdraw_unless_near(market, parameters, BID, near_bid, bid_size)
    _withdraw_unless_near(market, parameters, ASK, near_ask, ask_size)


@kernel
def _post_only(market, wanted_bid, wanted_ask):
    """Return the prices of new orders, and the same without rounding [ticks]."""
    book = market.book
    rounded_bid = int(math.floor(wanted_bid + _ON_TICK))
    rounded_ask = int(math.ceil(wanted_ask - _ON_TICK))
    bid, ask = rounded_bid, rounded_ask
    if bid >= ask:  # both at the mid: each moves back by one tick
        bid -= 1
        ask += 1
    # Only the public book limits the prices here. The agent's old order on the other side is about
    # to be replaced, and its new price does not cross this one.
    public_ask = public_level(market, ASK)
    if public_ask >= 0:
        bid = min(bid, -book.levels[ASK, public_ask].key - 1)
    public_bid = public_level(market, BID)
    if public_bid >= 0:
        ask = max(ask, book.levels[BID, public_bid].key + 1)
    return bid, ask, wanted_bid + (bid - rounded_bid), wanted_ask + (ask - rounded_ask)


@kernel
def _sizes(market, parameters):
    """Return the sizes of new orders [lots]."""
    inventory = market.account.inventory
    return (
        min(parameters.quote_size, parameters.max_inventory - inventory),
        min(parameters.quote_size, parameters.max_inventory + inventory),
    )


@kernel
def _withdraw_unless_near(market, parameters, side, wanted, size):
    """Cancel the order on this side unless it is near the wanted price. Return whether it stays.

    Rounding moves a quote outwards from `wanted` [ticks] by half a tick on average. An order stays
    if it rests within half a tick plus `requote_threshold` of that average price. With a threshold
    of zero it stays only at the price of the new order. A partly filled order that stays keeps its
    remaining size, because an increase would cost its place in the queue.
    """
    slot = market.quotes.slot[side]
    if slot == NO_ORDER:
        return False
    resting = float(price_key(side, market.book.orders[slot].key))
    further = wanted - resting if side == BID else resting - wanted
    threshold = parameters.requote_threshold
    if size > 0 and -threshold <= further + _ON_TICK and further + _ON_TICK < 1.0 + threshold:
        return True
    withdraw(market, side)
    return False


@kernel
def withdraw(market, side):
    """Cancel the agent's order on this side, if there is one."""
    slot = market.quotes.slot[side]
    if slot != NO_ORDER:
        cancel(market.book, slot)
        market.quotes.slot[side] = NO_ORDER


@kernel
def _enter(market, parameters, side, price, size):
    """Add an order of the agent to the book and store its place in the queue.

    Orders of recorded data are in size units, of which a lot has `lot_size`. Elsewhere it is one.
    """
    slot = add(market.book, side, price, size * parameters.lot_size, AGENT)
    market.quotes.slot[side] = slot
    if slot != NO_ORDER:
        market.quotes.entered_lots += size
        market.quotes.placed_at[side] = market.time
        ahead = lots_ahead(market.book, slot) + parameters.lot_size - 1
        market.quotes.lots_ahead_at_arrival[side] = ahead // parameters.lot_size
        market.recorded.joined[side] = market.recorded.cursor


@kernel
def spend_time_at_touch(market, seconds):
    """Add `seconds` to the time at the touch, on each side where no price beats the agent's."""
    for side in range(2):
        slot = market.quotes.slot[side]
        if slot != NO_ORDER and market.book.orders[slot].key == best_key(market.book, side):
            market.quotes.time_at_touch[side] += seconds


@kernel
def quote_offset(market, parameters, side):
    """Return the quote's distance from the public mid [ticks], `max_offset` without a quote."""
    slot = market.quotes.slot[side]
    if slot == NO_ORDER:
        return parameters.max_offset
    key = market.book.orders[slot].key
    return market.mid - key if side == BID else -key - market.mid


@kernel
def quote_queue_ahead(market, side):
    """Return the lots before the agent's quote in its queue, zero without a quote."""
    slot = market.quotes.slot[side]
    return lots_ahead(market.book, slot) if slot != NO_ORDER else 0


@kernel
def quote_lots(market, side):
    """Return the unfilled lots of the agent's quote, zero without a quote."""
    slot = market.quotes.slot[side]
    return market.book.orders[slot].lots if slot != NO_ORDER else 0


@kernel
def touch_lots(market, side, index):
    """Return the public lots at the public touch, given the `public_level` of the side."""
    if index < 0:
        return 0
    level = market.book.levels[side, index]
    lots = level.lots
    slot = market.quotes.slot[side]
    if slot != NO_ORDER and market.book.orders[slot].key == level.key:
        lots -= market.book.orders[slot].lots
    return lots
