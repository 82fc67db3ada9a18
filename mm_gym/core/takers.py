"""Takers: noise, informed, naive informed and decoy-informed traders, and snipers.

Takers arrive as a Poisson process, or as a Hawkes process if `MarketConfig.clustering` says so.
They have a random stream of their own and a fixed number of draws for each arrival. The same seed
therefore gives the same arrivals whatever the agent does, and in every regime without clustering.
Uninformed traders may split metaorders into several orders with the same side and tolerance. All
takers send immediate-or-cancel limit orders. The agent's fills are booked here, because only takers
trade. Prices are in ticks, times in seconds, sizes in lots.
"""

import math

import numpy as np

from mm_gym.core.account import maker_fee, mark_to, settle_fill, settle_take, taker_fee
from mm_gym.core.book import add, enlarge, find_level, first_to_trade, price_key, reduce, trade
from mm_gym.core.kernel import kernel
from mm_gym.core.layout import (
    AGENT,
    ASK,
    BID,
    NO_ORDER,
    PUBLIC,
    RESERVED_ORDERS,
    TAPE_ROWS,
    InformedKind,
    TakerKind,
)
from mm_gym.core.quotes import public_mid, withdraw
from mm_gym.core.random import exponential, geometric_size, uniform

_ANY_PRICE = 2**61  # [ticks] limit of a market order
_ALL_LOTS = 2**61  # size of an order that takes all lots up to its limit


@kernel
def start_takers(market, parameters):
    """Draw the order flow of the session, the initial bias and the first arrival."""
    flow = market.flow
    words = market.taker_words
    kind = int(4.0 * uniform(words))
    informed_share = uniform(words)
    imbalance_share = uniform(words)
    flow.bias = 1.0 if uniform(words) < 0.5 else -1.0
    flow.last_arrival = market.time
    flow.p_informed = parameters.p_informed
    flow.imbalance = parameters.imbalance
    flow.informed_kind = parameters.informed_kind
    if parameters.mixed:
        # Kind 0 is noise, 1 imbalanced, 2 naive informed and 3 informed. The configured values are
        # upper bounds of the drawn ones.
        flow.p_informed = parameters.p_informed * informed_share if kind >= 2 else 0.0
        flow.imbalance = parameters.imbalance * imbalance_share if kind == 1 else 0.0
        flow.informed_kind = InformedKind.NAIVE if kind == 2 else InformedKind.SIGNAL
    flow.orders_left = 0
    for k in range(parameters.n_clustering):
        # The mean in the long run, so that the mean rate is `taker_rate` from the start.
        flow.excitation[k] = (
            parameters.taker_rate * parameters.clustering[k] / parameters.clustering_decay[k]
        )
    _schedule_taker(market, parameters)


@kernel
def _schedule_taker(market, parameters):
    """Draw the time of the next arrival.

    The intensity is a base rate plus exponentials that decay until the next arrival. Each part
    alone has a first arrival that can be drawn exactly, and the earliest one is next (Dassios and
    Zhao 2013).
    """
    gap = exponential(market.taker_words)
    if parameters.taker_rate == 0.0:
        market.next_taker = math.inf
        return
    gap /= parameters.base_rate
    for k in range(parameters.n_clustering):
        # This part causes a Poisson number of arrivals with mean `caused`, possibly none.
        caused = market.flow.excitation[k]
        draw = exponential(market.taker_words)
        if draw < caused:
            gap = min(gap, -math.log1p(-draw / caused) / parameters.clustering_decay[k])
    market.next_taker = market.time + gap


@kernel
def _excite(flow, parameters, since_last):
    """Let the excitation decay over `since_last` seconds, and add what the new arrival causes."""
    for k in range(parameters.n_clustering):
        decayed = flow.excitation[k] * math.exp(-parameters.clustering_decay[k] * since_last)
        flow.excitation[k] = decayed + parameters.clustering[k]


@kernel
def _metaorder_length(words, parameters):
    """Draw the number of orders of a metaorder: a power law with an upper limit.

    P(L >= l) = (l^-a - c) / (1 - c) with c = (longest + 1)^-a; see `theory.lillo_mike_farmer`.
    """
    longest = parameters.longest_metaorder
    if longest == 1:
        return 1
    cut = (longest + 1.0) ** -parameters.metaorder_exponent
    survival = 1.0 - (1.0 - cut) * uniform(words)
    return min(longest, int(survival ** (-1.0 / parameters.metaorder_exponent)))


@kernel
def taker_event(market, parameters):
    """Let one taker arrive and trade up to its limit."""
    flow = market.flow
    words = market.taker_words
    flip_draw = uniform(words)
    kind_draw = uniform(words)
    side_draw = uniform(words)
    tolerance = exponential(words) * parameters.taker_tolerance
    informed = kind_draw < flow.p_informed
    naive = informed and flow.informed_kind == InformedKind.NAIVE
    size = geometric_size(
        words, parameters.naive_size_scale if naive else parameters.taker_size_scale
    )
    # The bias is a telegraph process. Between two arrivals it changes sign with this probability.
    since_last = market.time - flow.last_arrival
    flow.last_arrival = market.time
    # It is at most the mean number of changes, so the exponential is rarely computed.
    changes = parameters.imbalance_flip_rate * since_last
    if flip_draw < changes and flip_draw < -0.5 * math.expm1(-2.0 * changes):
        flow.bias = -flow.bias
    _excite(flow, parameters, since_last)
    length = _metaorder_length(words, parameters)
    _schedule_taker(market, parameters)

    if informed and not naive:
        _informed_order(market, parameters, size)
        return
    if flow.orders_left == 0:
        flow.orders_left = length
        flow.metaorder_side = BID if side_draw < 0.5 * (1.0 + flow.bias * flow.imbalance) else ASK
        flow.metaorder_tolerance = tolerance
    flow.orders_left -= 1
    mid = public_mid(market, parameters)
    tolerance = flow.metaorder_tolerance
    limit = mid + tolerance if flow.metaorder_side == BID else mid - tolerance
    kind = TakerKind.NAIVE_INFORMED if naive else TakerKind.NOISE
    take(market, parameters, flow.metaorder_side, limit, size, kind, mid)


@kernel
def acting_signal(market):
    """Return what informed takers act on: the signal, or the decoy for decoy-informed takers."""
    return market.decoy if market.flow.informed_kind == InformedKind.DECOY else market.signal


@kernel
def justified_price(market, parameters, signal):
    """Return the value of the asset to a trader who acts on `signal`: V + edge s [ticks]."""
    return market.efficient_price + parameters.edge_per_signal * signal


@kernel
def _informed_order(market, parameters, size):
    """Trade in the direction of the signal if it exceeds the threshold, with limit V + edge s.

    Decoy-informed takers act on the decoy in the same way.
    """
    signal = acting_signal(market)
    kind = (
        TakerKind.DECOY_INFORMED
        if market.flow.informed_kind == InformedKind.DECOY
        else TakerKind.INFORMED
    )
    if abs(signal) <= parameters.signal_threshold:
        return
    side = BID if signal > 0.0 else ASK
    limit = justified_price(market, parameters, signal)
    if not parameters.informed_price_limit:
        limit = math.inf if side == BID else -math.inf
    take(market, parameters, side, limit, size, kind, public_mid(market, parameters))


@kernel
def snipe(market, parameters):
    """Take the quotes of the agent that V has crossed (`MarketConfig.sniping`)."""
    for side in range(2):
        slot = market.quotes.slot[1 - side]
        if slot == NO_ORDER:
            continue
        value = market.efficient_price
        key = market.book.orders[slot].key
        if (side == BID and value > -key) or (side == ASK and value < key):
            mid = public_mid(market, parameters)
            take(market, parameters, side, value, _ALL_LOTS, TakerKind.SNIPER, mid)


@kernel
def take(market, parameters, side, limit, size, kind, mid):
    """Match an immediate-or-cancel order, book the agent's fills, extend the flow and the tape.

    `mid` is the current public mid [ticks]. With `MarketConfig.refill`, the lots that a background
    order loses return at once, behind all orders at this price.
    """
    if side == BID:
        limit_price = int(math.floor(min(limit, float(_ANY_PRICE))))
    else:
        limit_price = int(math.ceil(max(limit, -float(_ANY_PRICE))))
    book = market.book
    lots = lots_at_price = own_lots = 0
    last_price = 0
    slot = first_to_trade(book, side, limit_price)
    while size > 0 and slot != NO_ORDER:
        order = book.orders[slot]
        price = price_key(1 - side, order.key)
        own = order.owner == AGENT
        traded = trade(book, slot, size)
        if price != last_price and lots_at_price > 0:
            note_trade(market, last_price, lots_at_price, own_lots, side, kind)
            lots_at_price = own_lots = 0
        last_price = price
        lots += traded
        lots_at_price += traded
        size -= traded
        if own:
            own_lots += traded
            mark_to(market.account, mid)
            fee = maker_fee(parameters, market.account, price)
            settle_fill(market.account, 1 - side, price, traded, fee)
            note_fill(market, price, traded, 1 - side, mid, kind)
            if order.lots == 0:
                market.quotes.slot[1 - side] = NO_ORDER
        elif kind == TakerKind.AGENT:
            mark_to(market.account, mid)
            settle_take(market.account, side, price, traded, taker_fee(parameters, price))
        elif parameters.refill and kind != TakerKind.SNIPER:
            _refill(book, 1 - side, slot, traded)
        slot = first_to_trade(book, side, limit_price)
    if lots > 0:
        note_trade(market, last_price, lots_at_price, own_lots, side, kind)
        if kind != TakerKind.AGENT:
            market.features.step_flow += lots if side == BID else -lots
            market.features.step_volume += lots


@kernel
def _refill(book, side, slot, lots):
    """Let lots that a background order has lost return to the back of its queue.

    They are a new order. If that would take a slot that is kept for the agent, they join the last
    background order at this price.
    """
    order = book.orders[slot]
    if order.lots == 0 or book.n_live < book.live.shape[0] - RESERVED_ORDERS:
        add(book, side, price_key(side, order.key), lots, PUBLIC)
        return
    last = np.int64(book.levels[side, find_level(book, side, order.key)].tail)
    if book.orders[last].owner == AGENT:
        last = np.int64(book.orders[last].older)
    enlarge(book, last, lots)


@kernel
def flatten(market, parameters):
    """Close the agent's position with a market order, as far as the book allows.

    The order is reduce-only: its size is the inventory at arrival. The agent's own quote on that
    side of the book is cancelled first, so that the agent does not trade with itself. The trades
    are on the tape, but not in the observed order flow.
    """
    inventory = market.account.inventory
    if inventory > 0:
        withdraw(market, BID)
        mid = public_mid(market, parameters)
        take(market, parameters, ASK, -math.inf, inventory, TakerKind.AGENT, mid)
        _keep_within_limit(market, parameters, ASK)
    elif inventory < 0:
        withdraw(market, ASK)
        mid = public_mid(market, parameters)
        take(market, parameters, BID, math.inf, -inventory, TakerKind.AGENT, mid)
        _keep_within_limit(market, parameters, BID)


@kernel
def _keep_within_limit(market, parameters, side):
    """Take lots off the agent's quote so that its fill cannot exceed `max_inventory`."""
    slot = market.quotes.slot[side]
    if slot == NO_ORDER:
        return
    inventory = market.account.inventory
    room = parameters.max_inventory + (inventory if side == ASK else -inventory)
    extra = market.book.orders[slot].lots - room
    if extra > 0:
        reduce(market.book, slot, extra)


@kernel
def note_trade(market, price, lots, own_lots, side, kind):
    """Write a trade on the tape. It replaces the oldest one.

    It is not read here: the tape is rarely in the cache.
    """
    trade = market.tape[market.n_trades % TAPE_ROWS]
    market.n_trades += 1
    trade.time = market.time
    trade.price = price
    trade.lots = lots
    trade.own_lots = own_lots
    trade.side = side
    trade.kind = kind


@kernel
def note_fill(market, price, lots, agent_side, mid, kind):
    """Describe one of the agent's fills, with hidden state, in `market.new_fills`."""
    row = market.new_fills[market.n_new_fills]
    market.n_new_fills += 1
    row.time = market.time
    row.side = agent_side
    row.price = price
    row.lots = lots
    row.mid = mid
    row.efficient_price = market.efficient_price
    row.signal = market.signal
    row.taker = kind
    row.lots_ahead_at_arrival = market.quotes.lots_ahead_at_arrival[agent_side]
    row.waited = market.time - market.quotes.placed_at[agent_side]
    row.inventory = market.account.inventory
