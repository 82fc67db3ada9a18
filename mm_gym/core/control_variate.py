"""The control variate: a sum over a session with mean zero for every policy, in ticks x lots.

With `variance_reduction`, each reward is reduced by the control variate of its decision. The
control variate uses hidden state: the efficient price V and the signal s. Agents never observe it.

Let F = V + edge s, the value of the asset to a trader who sees the signal. F is a martingale. The
control variate has four parts:

1. Inventory times the change of F. It is left out with zero-intelligence makers, because V is the
   mid there and no martingale.
2. The change of inventory x (mid - F). This is potential-based shaping (Ng, Harada and Russell
   1999); the potential is zero at both ends of a session. The remaining reward values fills at F:
   a fill by an informed taker costs its expected loss at once, with a fraction of the noise.
3. The change of `inventory_price` x inventory^2, which is potential-based shaping too. It charges
   the expected cost of holding inventory when the inventory is taken.
4. The value of the fills in these terms, minus its expectation just before them. Takers are a
   Poisson or Hawkes process, whose intensity is known. While the book does not change, the fill
   rate of the agent's quotes follows from the hidden state: the book, V, the signal and the flow.
   The value of all fills minus the integral of (fill rate x value of one fill) has mean zero: it is
   a compensated point process (Bremaud 1981, Point processes and queues, chapter II). Fills by
   snipers are left out, because snipers have no intensity.
"""

import math

from mm_gym.core.book import lots_ahead, price_key
from mm_gym.core.kernel import hot_kernel, kernel
from mm_gym.core.layout import ASK, BID, NO_ORDER, InformedKind, Makers, TakerKind
from mm_gym.core.quotes import current_mid
from mm_gym.core.takers import acting_signal, justified_price


@kernel
def start_control_variate(market, parameters):
    """Reset the sums at a decision and store the state that the next change is measured from."""
    terms = market.control_variate
    terms.edge = 0.0
    terms.lots_squared = 0.0
    if parameters.variance_reduction:
        terms.inventory = market.account.inventory
        terms.foreseen_price = justified_price(market, parameters, market.signal)
        terms.mispricing = _mispricing(market, parameters, terms.foreseen_price)


@kernel
def control_variate_since(market, parameters, terminated):
    """Return the control variate since the last decision [ticks x lots].

    At the close (`terminated`) the potentials of parts 2 and 3 are zero.
    """
    if not parameters.variance_reduction:
        return 0.0
    terms = market.control_variate
    foreseen = justified_price(market, parameters, market.signal)
    mispricing = 0.0 if terminated else _mispricing(market, parameters, foreseen)
    value_change = 0.0
    if parameters.makers != Makers.ZERO_INTELLIGENCE:
        value_change = foreseen - terms.foreseen_price
    from_prices = terms.inventory * value_change + mispricing - terms.mispricing
    return from_prices + (terms.edge - parameters.inventory_price * terms.lots_squared)


@kernel
def _mispricing(market, parameters, foreseen):
    """Return the potential of parts 2 and 3: q (mid - F) + inventory_price q^2 [ticks x lots]."""
    inventory = float(market.account.inventory)
    return inventory * (market.mid - foreseen) + parameters.inventory_price * inventory**2


@hot_kernel
def expect_fills(market, parameters, seconds):
    """Subtract the expected fills of the agent's quotes over `seconds` of an unchanged book."""
    size_miss = parameters.taker_size_miss
    if market.flow.informed_kind == InformedKind.NAIVE:
        size_miss = max(size_miss, parameters.naive_size_miss)
    for side in range(2):
        slot = market.quotes.slot[side]
        # If every taker takes one lot, an order behind others is not filled. This case is frequent,
        # and the check is cheap.
        if slot != NO_ORDER and (size_miss > 0.0 or not _stands_behind(market.book, side, slot)):
            _expect(market, parameters, side, slot, seconds)


@kernel
def _expect(market, parameters, side, slot, seconds):
    """Subtract the expected fills of one quote."""
    lots = seconds * _fill_rate(market, parameters, side, slot, seconds)
    if lots > 0.0:
        price = float(price_key(side, market.book.orders[slot].key))
        _count(
            market,
            parameters,
            side,
            -lots,
            price,
            market.account.inventory,
            market.efficient_price,
            market.signal,
        )


@kernel
def count_fills(market, parameters):
    """Add the agent's fills of the latest event, except those by snipers."""
    for index in range(market.n_new_fills):
        fill = market.new_fills[index]
        if fill.taker != TakerKind.SNIPER:
            before = fill.inventory - (fill.lots if fill.side == BID else -fill.lots)
            _count(
                market,
                parameters,
                fill.side,
                float(fill.lots),
                float(fill.price),
                before,
                fill.efficient_price,
                fill.signal,
            )


@kernel
def _count(market, parameters, side, lots, price, inventory, value, signal):
    """Add `lots` traded on the agent's `side`: their value at F and the change of inventory^2."""
    direction = 1.0 if side == BID else -1.0
    foreseen = value + parameters.edge_per_signal * signal
    market.control_variate.edge += lots * direction * (foreseen - price)
    # Every lot is charged as if it were the first. The mean stays zero with any charge per lot that
    # is fixed before the fill.
    market.control_variate.lots_squared += lots * (2.0 * direction * inventory + 1.0)


@kernel
def _fill_rate(market, parameters, side, slot, seconds):
    """Return the mean rate at which takers fill the agent's order over `seconds` [lots / s]."""
    flow = market.flow
    book = market.book
    order = book.orders[slot]
    if parameters.refill and book.levels[side, book.n_levels[side] - 1].key > order.key:
        return 0.0  # no taker gets past a better price whose lots return at once
    naive = flow.informed_kind == InformedKind.NAIVE
    ahead = _lots_before(market.book, side, slot)
    price = float(price_key(side, order.key))
    buyers = side == ASK
    taker_lots = _expected_lots(parameters.taker_size_miss, ahead, order.lots)
    naive_lots = (
        _expected_lots(parameters.naive_size_miss, ahead, order.lots) if naive else taker_lots
    )
    if taker_lots <= 0.0 and naive_lots <= 0.0:
        return 0.0
    # Uninformed takers accept an exponential distance beyond the mid. The imbalance favours a side.
    mid = current_mid(market, parameters)
    distance = price - mid if buyers else mid - price
    acceptance = 1.0
    if distance > 0.0:
        acceptance = (
            math.exp(-distance / parameters.taker_tolerance)
            if parameters.taker_tolerance > 0.0
            else 0.0
        )
    arrival_rate = _arrival_rate(market, parameters, 0.0, seconds)
    if flow.orders_left > 0:
        # The next order of the metaorder at work: its side and its limit are known.
        same_side = buyers == (flow.metaorder_side == BID)
        side_share = 1.0 if same_side else 0.0
        tolerance = flow.metaorder_tolerance
        within_tolerance = mid + tolerance >= price if buyers else mid - tolerance <= price
        acceptance = 1.0 if within_tolerance else 0.0
    else:
        bias = flow.imbalance * flow.bias
        if bias != 0.0:
            decay = 2.0 * parameters.imbalance_flip_rate
            if parameters.n_clustering > 0:
                bias *= _arrival_rate(market, parameters, decay, seconds) / arrival_rate
            else:
                bias *= _mean_persistence(decay, market.time - flow.last_arrival, seconds)
        side_share = 0.5 * (1.0 + bias) if buyers else 0.5 * (1.0 - bias)
    mean_lots = (1.0 - flow.p_informed) * taker_lots
    if naive:
        mean_lots += flow.p_informed * naive_lots
    rate = side_share * acceptance * mean_lots
    # Informed takers act on the signal or on the decoy.
    if not naive and flow.p_informed > 0.0:
        signal = acting_signal(market)
        signal_in_favour = signal if buyers else -signal
        limit = justified_price(market, parameters, signal)
        within_limit = limit >= price if buyers else limit <= price
        if signal_in_favour > parameters.signal_threshold and (
            within_limit or not parameters.informed_price_limit
        ):
            rate += flow.p_informed * taker_lots
    return arrival_rate * rate


@kernel
def _arrival_rate(market, parameters, decay, seconds):
    """Return the mean arrival rate of takers over `seconds` without an arrival [1/s].

    The rate at a time t after the latest arrival is weighted with exp(-decay t).
    """
    since = market.time - market.flow.last_arrival
    rate = parameters.base_rate * _mean_persistence(decay, since, seconds)
    for k in range(parameters.n_clustering):
        own = parameters.clustering_decay[k]
        rate += market.flow.excitation[k] * own * _mean_persistence(own + decay, since, seconds)
    return rate


@hot_kernel
def _stands_behind(book, side, slot):
    """Return whether any other order on this side trades before this one."""
    order = book.orders[slot]
    return order.older != NO_ORDER or book.levels[side, book.n_levels[side] - 1].key > order.key


@kernel
def _lots_before(book, side, slot):
    """Return the lots that trade before this order, at better prices and at its own."""
    key = book.orders[slot].key
    lots = 0
    index = book.n_levels[side] - 1
    while book.levels[side, index].key > key:
        lots += book.levels[side, index].lots
        index -= 1
    return lots + lots_ahead(book, slot)


@kernel
def _expected_lots(miss, ahead, lots):
    """Return how many of an order's `lots` a taker of geometric size trades on average.

    `ahead` lots trade before the order. The taker's size exceeds k lots with probability miss^k.
    """
    reached = miss**ahead
    return reached if lots == 1 else reached * (1.0 - miss**lots) / (1.0 - miss)


@kernel
def _mean_persistence(rate, since, seconds):
    """Return the mean of exp(-rate t) over t from `since` to `since + seconds`.

    A bias b has mean b exp(-rate t) after a time t, where `rate` is twice its flip rate. Excitation
    decays in the same way.
    """
    spread = rate * seconds
    if spread < 1e-12:
        return math.exp(-rate * since)
    return math.exp(-rate * since) * -math.expm1(-spread) / spread
