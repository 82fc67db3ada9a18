"""The control variate: the part of a decision's reward whose sum over a session has mean zero for
every policy.

Let F = V + edge s be what the asset is worth to one who sees the signal: a martingale. The parts
are

1. inventory times the move of F (left out with zero-intelligence makers: there the book makes V,
   and V is no martingale);
2. the change of inventory times (mid - F), which is zero at either end of a session:
   potential-based shaping (Ng, Harada and Russell 1999). What is left counts fills against F, so
   that a fill from one who knew better costs at once what it will cost, with a fraction of the
   noise;
3. likewise the change of `inventory_price` inventory^2: a charge for what holding the inventory is
    going to cost;
4. what fills brought in these terms, less what was expected of them just before. Takers arrive as a
   Poisson stream. While the book stands still, the agent's quotes are filled at a rate that follows
   from the hidden state: the book, V, the signal and the flow. What the fills of an interval bring,
   less the integral of that rate times what a fill would bring, has mean zero (the compensated
   point process of Bremaud 1981, Point processes and queues, chapter II).

Agents never see any of it. It is computed only with `variance_reduction`. Snipers are no Poisson
    stream: their fills
are left out of the fourth part.
"""

import math

from mm_gym.core.book import lots_ahead, price_key
from mm_gym.core.kernel import hot_kernel, kernel
from mm_gym.core.layout import ASK, BID, NO_ORDER, InformedKind, Makers, TakerKind
from mm_gym.core.quotes import current_mid
from mm_gym.core.takers import acting_signal, justified_price


@kernel
def start_control_variate(market):
    """Start the sums anew, at a decision."""
    terms = market.control_variate
    terms.edge = 0.0
    terms.lots_squared = 0.0
    if market.parameters.variance_reduction:
        terms.inventory = market.account.inventory
        terms.foreseen_price = justified_price(market, market.signal)
        terms.mispricing = _mispricing(market, terms.foreseen_price)


@kernel
def control_variate_since(market, terminated):
    """[ticks x lots] The control variate since the last decision; what is held counts for nothing
    at the close."""
    if not market.parameters.variance_reduction:
        return 0.0
    terms = market.control_variate
    foreseen = justified_price(market, market.signal)
    mispricing = 0.0 if terminated else _mispricing(market, foreseen)
    surprise = 0.0
    if market.parameters.makers != Makers.ZERO_INTELLIGENCE:
        surprise = foreseen - terms.foreseen_price
    of_prices = terms.inventory * surprise + mispricing - terms.mispricing
    return of_prices + (terms.edge - market.parameters.inventory_price * terms.lots_squared)


@kernel
def _mispricing(market, foreseen):
    """[ticks x lots] What marking to the mid counts more than marking to F would, and the price of
    the inventory."""
    inventory = float(market.account.inventory)
    return inventory * (market.mid - foreseen) + market.parameters.inventory_price * inventory**2


@hot_kernel
def expect_fills(market, seconds):
    """Take away what the agent's quotes could expect of so many seconds, in which the book stands
    as it is."""
    parameters = market.parameters
    longest = parameters.taker_size_miss
    if market.flow.informed_kind == InformedKind.NAIVE:
        longest = max(longest, parameters.naive_size_miss)
    for side in range(2):
        slot = market.quotes.slot[side]
        # Where all take one lot, one behind others has nothing to expect: most moments are such.
        if slot != NO_ORDER and (longest > 0.0 or not _stands_behind(market.book, side, slot)):
            _expect(market, side, slot, seconds)


@kernel
def _expect(market, side, slot, seconds):
    lots = seconds * _fill_rate(market, side, slot, seconds)
    if lots > 0.0:
        price = float(price_key(side, market.book.orders[slot].key))
        _count(
            market,
            side,
            -lots,
            price,
            market.account.inventory,
            market.efficient_price,
            market.signal,
        )


@kernel
def count_fills(market):
    """Add what the latest event's fills brought."""
    for index in range(market.n_new_fills):
        fill = market.new_fills[index]
        if fill.taker != TakerKind.SNIPER:
            before = fill.inventory - (fill.lots if fill.side == BID else -fill.lots)
            _count(
                market,
                fill.side,
                float(fill.lots),
                float(fill.price),
                before,
                fill.efficient_price,
                fill.signal,
            )


@kernel
def _count(market, side, lots, price, inventory, value, signal):
    """Count `lots` traded on the agent's `side`: their edge against V + edge s, and the square of
    the inventory."""
    direction = 1.0 if side == BID else -1.0
    foreseen = value + market.parameters.edge_per_signal * signal
    market.control_variate.edge += lots * direction * (foreseen - price)
    # As if the first lot set the price of all: any fixed price per lot has mean zero.
    market.control_variate.lots_squared += lots * (2.0 * direction * inventory + 1.0)


@kernel
def _fill_rate(market, side, slot, seconds):
    """[lots / s] At which takers trade with the agent's order, on the average over the next
    seconds."""
    parameters = market.parameters
    flow = market.flow
    order = market.book.orders[slot]
    naive = flow.informed_kind == InformedKind.NAIVE
    ahead = _lots_before(market.book, side, slot)
    price = float(price_key(side, order.key))
    buyers = side == ASK
    likely = _expected_lots(parameters.taker_size_miss, ahead, order.lots)
    shown = _expected_lots(parameters.naive_size_miss, ahead, order.lots) if naive else likely
    if likely <= 0.0 and shown <= 0.0:
        return 0.0
    # Those who know nothing: an exponential tolerance beyond the mid, and the side that the
    # imbalance favours.
    mid = current_mid(market)
    beyond = price - mid if buyers else mid - price
    accepts = 1.0
    if beyond > 0.0:
        accepts = (
            math.exp(-beyond / parameters.taker_tolerance)
            if parameters.taker_tolerance > 0.0
            else 0.0
        )
    tilt = flow.imbalance * flow.bias
    if tilt != 0.0:
        tilt *= _mean_persistence(
            2.0 * parameters.imbalance_flip_rate, market.time - flow.last_arrival, seconds
        )
    share = 0.5 * (1.0 + tilt) if buyers else 0.5 * (1.0 - tilt)
    lots = (1.0 - flow.p_informed) * likely
    if naive:
        lots += flow.p_informed * shown
    rate = share * accepts * lots
    # Those who act on a signal, their own or a false one.
    if not naive and flow.p_informed > 0.0:
        signal = acting_signal(market)
        towards = signal if buyers else -signal
        limit = justified_price(market, signal)
        worth_it = limit >= price if buyers else limit <= price
        if towards > parameters.signal_threshold and (
            worth_it or not parameters.informed_price_limit
        ):
            rate += flow.p_informed * likely
    return parameters.taker_rate * rate


@hot_kernel
def _stands_behind(book, side, slot):
    """Whether any lot trades before this order."""
    order = book.orders[slot]
    return order.older != NO_ORDER or book.levels[side, book.n_levels[side] - 1].key > order.key


@kernel
def _lots_before(book, side, slot):
    """Lots that trade before this order: at better prices, and older ones at its own."""
    key = book.orders[slot].key
    lots = 0
    index = book.n_levels[side] - 1
    while book.levels[side, index].key > key:
        lots += book.levels[side, index].lots
        index -= 1
    return lots + lots_ahead(book, slot)


@kernel
def _expected_lots(miss, ahead, lots):
    """Of an order of so many lots with others ahead, those that a taker of geometric size is
    expected to trade.

    A size exceeds k lots with chance miss^k.
    """
    reached = miss**ahead
    return reached if lots == 1 else reached * (1.0 - miss**lots) / (1.0 - miss)


@kernel
def _mean_persistence(rate, since, seconds):
    """Mean of exp(-rate t) for t from `since` to `since + seconds`: the share of a bias that has
    not flipped."""
    spread = rate * seconds
    if spread < 1e-12:
        return math.exp(-rate * since)
    return math.exp(-rate * since) * -math.expm1(-spread) / spread
