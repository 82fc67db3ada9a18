"""The layout of a market: one NumPy record and the names of its fields.

The whole state of one market is one element of a structured array: book, quotes, clocks, account,
features and random words. A copy of it is a checkpoint. Markets of one configuration share a record
of parameters, and a market holds its row number. Markets with equal records and equal parameters
have equal futures. Prices are whole ticks in the book and float ticks elsewhere. Times are in
seconds, sizes in lots, money in ticks x lots.

What each step reads comes first in the record, so that it takes few cache lines.
"""

import functools
from enum import IntEnum
from typing import Any

import numpy as np

from mm_gym.core.random import WORDS_PER_STREAM
from mm_gym.core.scales import TABULATED_OFFSETS

# Sides of the book. A taker that buys is on the bid side and trades with the asks.
BID = 0
ASK = 1

# Owners of resting orders.
PUBLIC = 0
AGENT = 1

NO_ORDER = -1

# Room in the book of a market: price levels a side, and orders on both sides. Background makers
# leave the last places free for the agent (see `makers`). `mm_gym.parameters.book_room` chooses
# the smallest class that suffices. The core is compiled anew for each class.
BOOK_ROOMS = ((112, 256), (2048, 4096))
MARKET_LEVELS, MARKET_ORDERS = BOOK_ROOMS[0]
# Orders in the book and levels on each side that background orders leave free for the agent's two
# quotes.
RESERVED_ORDERS, RESERVED_LEVELS = 2, 1

# [ticks] Largest absolute price in the book of a market. The sum of two prices fits into 32 bits.
# `mm_gym.config_checks` refuses a configuration whose prices could go further.
LARGEST_PRICE = 10**9

# [ticks] Largest distance from the opposite best price at which zero-intelligence makers place
# orders.
MAKER_DISTANCES = 64

# Numbers of resting orders for which the mean time between maker events is tabulated.
MAKER_GAPS = 128

# Largest number of quote updates under way to the exchange. It exceeds one when the latency is
# longer than the decision interval.
QUOTES_IN_FLIGHT = 64

# Largest number of exponentials in the self-excitation of takers.
CLUSTERING_KERNELS = 4

# Largest numbers of latencies to draw from, and of volumes at which the maker fee changes.
LATENCY_SAMPLES = 256
FEE_TIERS = 8

# The third number of an action asks for a market order if it is above this.
TAKE_ABOVE = 0.5

# Number of trades on the tape of a market.
TAPE_ROWS = 16

CACHE_LINE = 64  # [bytes]

# Half-lives of the features: signed flow and moves of the mid, and the volatility. They are in
# seconds, or in decisions if the decision interval is longer than one second.
FEATURE_HALF_LIVES = (2.0, 10.0, 50.0)
VOLATILITY_HALF_LIFE = 60.0


class Makers(IntEnum):
    """The kinds of background liquidity."""

    NONE = 0
    ANCHORED = 1
    ZERO_INTELLIGENCE = 2
    RECORDED = 3


class RecordedKind(IntEnum):
    """What a recorded event does to the book."""

    JOIN = 0
    """A new order joins its queue."""
    LEAVE = 1
    """An order loses lots without a trade."""
    TRADE = 2
    """An order loses lots to a taker."""
    HIDDEN = 3
    """A hidden order trades. The book does not change."""
    HALT = 4
    """Trading stops (0 lots) or starts again (1 lot)."""


class TakerKind(IntEnum):
    """The kind of a taker. The agent never observes it."""

    NOISE = 0
    NAIVE_INFORMED = 1
    INFORMED = 2
    DECOY_INFORMED = 3
    SNIPER = 4
    RECORDED = 5
    AGENT = 6  # a market order of the agent, on the tape only


INFORMED_TAKERS = (TakerKind.INFORMED, TakerKind.SNIPER)
"""Takers who act on information. Naive and decoy takers trade alike but have none."""


class InformedKind(IntEnum):
    """What informed takers act on: the signal, nothing (naive), or the decoy."""

    SIGNAL = 0
    NAIVE = 1
    DECOY = 2


class LatencyKind(IntEnum):
    """How latencies are drawn; see `MarketConfig.latency_kind`."""

    CONSTANT = 0
    EXPONENTIAL = 1
    EMPIRICAL = 2


class RewardKind(IntEnum):
    """The kinds of reward; see `MarketConfig.reward`."""

    PNL = 0
    INVENTORY_PENALTY = 1
    DAMPENED = 2
    CARA = 3


# Kernels write `Obs.INVENTORY.value`: before 0.68, numba takes no member of an enumeration as an
# index of an array.
class Obs(IntEnum):
    """Columns of the observation."""

    INVENTORY = 0
    SPREAD = 1
    FLOW_FAST = 2
    FLOW_MEDIUM = 3
    FLOW_SLOW = 4
    MID_MOVE_FAST = 5
    MID_MOVE_MEDIUM = 6
    MID_MOVE_SLOW = 7
    BOOK_IMBALANCE = 8
    ACTIVITY = 9
    BID_OFFSET = 10
    ASK_OFFSET = 11
    BID_QUEUE_AHEAD = 12
    ASK_QUEUE_AHEAD = 13
    BID_SIZE = 14
    ASK_SIZE = 15
    VOLATILITY = 16
    TIME_LEFT = 17


OBSERVATION_NAMES = tuple(column.name.lower() for column in Obs)
OBSERVATION_CLIP = 10.0
OBSERVATION_FAR = 25.0  # an inventory of 1e9 lots gives 24.86 in its column

# Lowest and highest value of each column, in the order of `Obs`.
_WIDE, _SIGNED, _COUNT, _SHARE, _SIZE, _BALANCE = (
    (-OBSERVATION_FAR, OBSERVATION_FAR),
    (-OBSERVATION_CLIP, OBSERVATION_CLIP),
    (0.0, OBSERVATION_FAR),
    (0.0, 1.0),
    (0.0, 2.0),
    (-1.0, 1.0),
)
OBSERVATION_BOUNDS = (
    _WIDE, _COUNT, _SIGNED, _SIGNED, _SIGNED, _SIGNED, _SIGNED, _SIGNED, _BALANCE, _WIDE,
    _SIGNED, _SIGNED, _COUNT, _COUNT, _SIZE, _SIZE, _WIDE, _SHARE,
)  # fmt: skip


class Outcome(IntEnum):
    """Columns of what a step returns beside the observation."""

    REWARD = 0
    TERMINATED = 1
    PNL = 2
    CASH = 3
    INVENTORY = 4
    MID = 5
    SPREAD = 6
    EFFICIENT_PRICE = 7
    SIGNAL = 8
    FILLS = 9
    OBJECTIVE = 10
    REWARD_WEALTH = 11
    REWARD_RISK = 12
    REWARD_CLOSE_OUT = 13
    CONTROL_VARIATE = 14


def _record(fields: list[Any]) -> np.dtype[Any]:
    # With np.record, the same attribute access works compiled and with NUMBA_DISABLE_JIT=1. A field
    # must not have the name of an attribute of np.record, such as `size`.
    return np.dtype((np.record, fields))


# Numba finds the compiled code for an array many times faster if the dtype is the same object.
@functools.cache
def book_dtype(levels: int, orders: int, compact: bool = False) -> np.dtype[Any]:
    """Return the dtype of a book with room for `levels` prices a side and `orders` orders.

    A compact book has prices and sizes of 32 bits and takes half of the memory. A configuration
    bounds what a simulated market needs. An exchange may send any integers.
    """
    number = "i4" if compact else "i8"
    link = "i2" if compact and orders < 2**15 else "i4"
    level = _record(
        [
            ("key", number),  # [ticks] price for bids, -price for asks: a larger key is better
            ("head", link),  # slot of the oldest order
            ("tail", link),  # slot of the youngest order
            ("lots", "i8"),
        ]
    )
    order = _record(
        [
            ("key", number),
            ("lots", number),
            ("older", link),
            ("younger", link),
            ("place", link),  # index of this order's slot in `live`
            ("side", "i1"),
            ("owner", "i1"),
        ]
    )
    return _record(
        [
            ("n_events", "i8"),  # additions, reductions, cancellations and fills since the start
            ("n_levels", "i8", (2,)),
            ("n_live", "i8"),
            ("levels", level, (2, levels)),  # ascending key: the best level is the last one
            # The last slot stays empty, see `book._withdraw`.
            ("orders", order, (orders + 1,)),
            ("live", link, (orders,)),  # used slots in any order, then free slots
        ]
    )


# A fill of a resting order, as `book.match` returns it.
FILL = _record([("slot", "i8"), ("price", "i8"), ("lots", "i8")])

# Seeded random streams of a market: efficient price, takers, makers and decoy. That of latencies is
# seeded from the takers' words.
STREAMS = 4

# A configuration in the form that the kernels use. Most fields are those of `MarketConfig`, which
# documents them; `mm_gym.parameters` computes the others. Tables come last, the used ones first.
PARAMETERS = _record(
    [
        ("decision_interval", "f8"),
        ("session_steps", "i8"),
        ("warm_up_steps", "i8"),
        ("delayed", "i8"),  # whether messages of the agent take time
        ("separate_cancels", "i8"),  # whether cancellations are messages of their own
        ("latency_kind", "i8"),
        ("latency", "f8"),
        ("cancel_latency", "f8"),
        ("longest_latency", "f8"),
        ("n_latency_samples", "i8"),
        ("n_cancel_latency_samples", "i8"),
        ("initial_price", "f8"),
        ("value_interval", "f8"),
        ("signal_decay", "f8"),
        ("signal_noise", "f8"),
        ("value_per_signal", "f8"),
        ("value_signal_noise", "f8"),
        ("value_own_noise", "f8"),
        ("edge_per_signal", "f8"),
        ("taker_rate", "f8"),
        ("p_informed", "f8"),
        ("informed_kind", "i8"),
        ("imbalance", "f8"),
        ("imbalance_flip_rate", "f8"),
        # Self-excitation: number of exponentials, rate of arrivals that no other one caused [1/s],
        # and for each exponential the arrivals that one arrival causes and the decay rate [1/s].
        ("n_clustering", "i8"),
        ("base_rate", "f8"),
        ("clustering", "f8", (CLUSTERING_KERNELS,)),
        ("clustering_decay", "f8", (CLUSTERING_KERNELS,)),
        ("metaorder_exponent", "f8"),
        ("longest_metaorder", "i8"),
        ("refill", "i8"),
        ("taker_tolerance", "f8"),
        ("taker_size_scale", "f8"),  # see `random.geometric_size`
        ("naive_size_scale", "f8"),
        # A geometric size exceeds k lots with probability miss^k.
        ("taker_size_miss", "f8"),
        ("naive_size_miss", "f8"),
        ("signal_threshold", "f8"),
        ("informed_price_limit", "i8"),
        ("mixed", "i8"),
        ("makers", "i8"),
        ("variance_reduction", "i8"),  # whether the reward is reduced by the control variate
        ("inventory_price", "f8"),  # [ticks / lot] per squared inventory, in the control variate
        # [s] Mean time until a background order is cancelled. For zero intelligence, the shortest
        # one at any distance.
        ("maker_lifetime", "f8"),
        ("maker_balance", "f8"),  # number of orders at which arrivals and cancellations balance
        ("maker_depth", "f8"),
        ("maker_size_scale", "f8"),
        ("sniping", "i8"),
        ("quote_size", "i8"),
        ("max_inventory", "i8"),
        ("max_offset", "f8"),
        ("maker_fee", "f8"),  # [ticks], or a share of the price with `fee_of_notional`
        ("taker_fee", "f8"),
        ("fee_of_notional", "i8"),
        ("n_fee_tiers", "i8"),
        ("close_out_cost", "f8"),
        ("close_out_impact", "f8"),
        ("requote_threshold", "f8"),
        ("reward", "i8"),
        ("reward_scale", "f8"),
        ("inventory_penalty", "f8"),
        ("dampening", "f8"),
        ("risk_aversion", "f8"),
        ("feature_decay", "f8", (len(FEATURE_HALF_LIVES),)),
        ("volatility_decay", "f8"),
        ("volatility", "f8"),
        ("flow_scale", "f8", (len(FEATURE_HALF_LIVES),)),
        ("move_scale", "f8", (len(FEATURE_HALF_LIVES),)),
        ("spread_scale", "f8"),
        ("activity_mean", "f8"),
        ("activity_scale", "f8"),
        ("queue_scale", "f8"),
        ("volatility_scale", "f8"),
        ("lot_size", "i8"),  # [size units] of recorded data
        # [ns] Sessions of recorded data start between these times.
        ("earliest_start", "i8"),
        ("latest_start", "i8"),
        ("recording", "i8"),  # digest of the recorded data
        # [s] Mean time between maker events, by number of resting orders.
        ("maker_gap", "f8", (MAKER_GAPS,)),
        ("actions", "f8", (TABULATED_OFFSETS,)),  # see `scales.tabulated_actions`
        # Both by distance from the opposite best price: the cumulative share of limit orders, and
        # the cancellation rate as a share of the largest one.
        ("limit_order_share", "f8", (MAKER_DISTANCES,)),
        ("cancel_share", "f8", (MAKER_DISTANCES,)),
        ("fee_tier_lots", "f8", (FEE_TIERS,)),
        ("fee_tier_fees", "f8", (FEE_TIERS,)),
        ("latency_samples", "f8", (LATENCY_SAMPLES,)),
        ("cancel_latency_samples", "f8", (LATENCY_SAMPLES,)),
    ]
)

# Where a session of recorded data is.
RECORDED = _record(
    [
        ("origin", "i8"),  # [ns] recorded time of the start of the session
        ("cursor", "i8"),  # number of the next event
        ("joined", "i8", (2,)),  # the cursor when the agent's order joined its queue
        # The taker of the latest trade: its time [ns], the side of its resting orders, and the mid
        # before its first trade.
        ("sweep_time", "i8"),
        ("sweep_side", "i8"),
        ("sweep_mid", "f8"),
    ]
)

# The order flow of this session. The regime `mixed` draws it at each reset.
FLOW = _record(
    [
        ("p_informed", "f8"),
        ("imbalance", "f8"),
        ("informed_kind", "i8"),
        ("bias", "f8"),  # +1 or -1: the imbalance favours buyers or sellers
        ("last_arrival", "f8"),  # [s] time of the latest taker
        # Arrivals still to be caused by past ones through each exponential, at the latest arrival.
        ("excitation", "f8", (CLUSTERING_KERNELS,)),
        # The metaorder at work: its orders left, side and tolerance [ticks].
        ("orders_left", "i8"),
        ("metaorder_side", "i8"),
        ("metaorder_tolerance", "f8"),
    ]
)

QUOTES = _record(
    [
        ("slot", "i8", (2,)),  # the agent's order on each side, or NO_ORDER
        ("placed_at", "f8", (2,)),
        ("lots_ahead_at_arrival", "i8", (2,)),
        ("entered_lots", "i8"),  # sum over all orders of the agent so far
        ("time_at_touch", "f8", (2,)),  # [s] at the best price; counted only while recording
        ("n_in_flight", "i8"),
        ("cancelled", "i8"),  # whether the cancellation before the oldest quotes has arrived
        ("arrival", "f8"),  # [s] of the next message at the exchange, infinity without any
        ("last_arrival", "f8"),  # [s] of the latest message; no later one arrives before it
    ]
)

# What the agent sends at a decision.
MESSAGE = _record(
    [
        ("price", "f8", (2,)),  # [ticks] not yet rounded to whole ticks
        ("cancel_arrival", "f8"),  # [s]
        ("arrival", "f8"),  # [s] of the quotes and the market order
        ("takes", "i1"),  # whether a market order flattens the inventory
    ]
)

ACCOUNT = _record(
    [
        ("cash", "f8"),
        ("inventory", "i8"),
        ("mark", "f8"),  # the mid at which inventory PnL was last settled
        ("spread_pnl", "f8"),
        ("inventory_pnl", "f8"),
        ("fees", "f8"),
        ("close_out", "f8"),
        ("n_fills", "i8"),
        ("n_lots", "i8"),  # traded by the agent's quotes
        ("lots_taken", "i8"),  # by the agent's market orders
        ("wealth", "f8"),  # at the last decision
        ("inventory_pnl_at_decision", "f8"),
        ("n_fills_at_decision", "i8"),
        ("objective", "f8"),  # sum of all parts of the reward so far, unscaled
    ]
)

FEATURES = _record(
    [
        ("step_flow", "f8"),  # signed lots taken since the last decision
        ("step_volume", "f8"),
        ("flow", "f8", (len(FEATURE_HALF_LIVES),)),
        ("mean_mid", "f8", (len(FEATURE_HALF_LIVES),)),
        ("activity", "f8"),
        ("variance", "f8"),
        ("last_mid", "f8"),
        ("spread", "f8"),  # [ticks] public spread at the latest observation
        # The values in the latest observation. A column is computed only when its value changes.
        ("shown_inventory", "i8"),
        ("shown_offset", "f8", (2,)),
    ]
)

# Terms of the control variate since the last decision; see `control_variate`.
CONTROL_VARIATE = _record(
    [
        # Sums over the agent's fills, minus their expectations.
        ("edge", "f8"),  # [ticks x lots] value of the fills at F = V + edge s
        ("lots_squared", "f8"),  # [lots^2] change of the squared inventory
        # The state at the last decision.
        ("inventory", "f8"),
        ("foreseen_price", "f8"),  # [ticks] F
        ("mispricing", "f8"),  # [ticks x lots] potential of the shaping
    ]
)

# What a recorder stores of each of the agent's fills, for evaluation only.
FILL_ROW = _record(
    [
        ("time", "f8"),
        ("side", "i8"),  # of the agent's order
        ("price", "f8"),
        ("lots", "i8"),
        ("mid", "f8"),  # just before the taker arrived, without the agent's orders
        ("efficient_price", "f8"),
        ("signal", "f8"),
        ("taker", "i8"),  # a TakerKind
        ("lots_ahead_at_arrival", "i8"),
        ("waited", "f8"),  # [s] since the order joined its queue
        ("inventory", "i8"),  # after the fill
    ]
)

# The latest trades. An order that trades at several prices is one trade at each price.
TRADE = _record(
    [
        ("time", "f8"),
        ("price", "i4"),
        ("lots", "i4"),  # summed over the resting orders at this price
        ("own_lots", "i4"),  # of these, the lots of the agent's order
        ("side", "i1"),  # of the taker: BID if it bought
        ("kind", "i1"),  # a TakerKind
    ]
)


@functools.cache
def market_dtype(levels: int, orders: int) -> np.dtype[Any]:
    """Return the dtype of a market whose book has this room.

    A record is a whole number of cache lines, so that all records of an array lie alike in them.
    """
    fields = _record(
        [
            ("time", "f8"),
            ("next_value", "f8"),
            ("next_taker", "f8"),
            ("next_maker", "f8"),
            ("n_priced", "i4"),  # number of resting orders on which `next_maker` is based
            ("configuration", "i4"),  # row of the market's parameters
            ("efficient_price", "f8"),
            ("signal", "f8"),
            ("mid", "f8"),
            ("start", "f8"),
            ("steps", "i8"),
            ("value_ticks", "i8"),
            ("n_new_fills", "i8"),  # fills of the agent in the latest event
            ("n_trades", "i8"),  # of the session so far, without its warm-up
            ("value_words", "u8", (WORDS_PER_STREAM,)),
            ("taker_words", "u8", (WORDS_PER_STREAM,)),
            ("maker_words", "u8", (WORDS_PER_STREAM,)),
            ("flow", FLOW),
            ("quotes", QUOTES),
            ("account", ACCOUNT),
            ("features", FEATURES),
            ("control_variate", CONTROL_VARIATE),
            ("observation", "f4", (len(Obs),)),
            ("outcome", "f8", (len(Outcome),)),
            ("book", book_dtype(levels, orders, compact=True)),
            # What few steps read.
            ("recorded", RECORDED),
            ("decoy", "f8"),  # a process with the law of the signal that predicts nothing
            ("decoy_words", "u8", (WORDS_PER_STREAM,)),
            ("n_fill_rows", "i8"),
            ("n_path_rows", "i8"),
            ("new_fills", FILL_ROW, (2,)),  # one order a side, and an event may fill both
            ("tape", TRADE, (TAPE_ROWS,)),  # a ring: trade k, from 0, is in row k % TAPE_ROWS
            ("latency_words", "u8", (WORDS_PER_STREAM,)),
            # Under way to the exchange. A ring: decision k is in row k % QUOTES_IN_FLIGHT.
            ("messages", MESSAGE, (QUOTES_IN_FLIGHT,)),
        ]
    )
    size = -(-fields.itemsize // CACHE_LINE) * CACHE_LINE
    padding = ("padding", "u1", (size - fields.itemsize,))
    return _record([(name, fields[name]) for name in fields.names or ()] + [padding])


MARKET = market_dtype(MARKET_LEVELS, MARKET_ORDERS)

# A recorded event, with what it does to the book. Sizes are in size units of the data.
RECORDED_EVENT = _record(
    [
        ("time", "i8"),  # [ns]
        ("key", "i4"),  # of a hidden order: the worst key that is at least as good
        ("lots", "i4"),
        ("place", "i4"),  # number of the event with which the order joined its queue; -1: unknown
        ("kind", "i1"),  # a RecordedKind
        ("side", "i1"),  # of the resting order
        ("halted", "i1"),  # whether trading is halted after the event
        ("one_sided", "i1"),  # whether a side of the book is empty after the event
    ]
)

# The history of the price levels: `PRICE_LEVEL` has one row for each price at which orders rested,
# bids first and worst keys first. Its rows `first` to `end` of `LEVEL_CHANGE` are the sizes there.
PRICE_LEVEL = _record([("first", "i8"), ("end", "i8"), ("key", "i4"), ("side", "i4")])
LEVEL_CHANGE = _record([("event", "i4"), ("lots", "i4")])

# What a recorder stores at each change of the public mid, the efficient price or the inventory.
PATH_ROW = _record([("time", "f8"), ("mid", "f8"), ("efficient_price", "f8"), ("inventory", "i8")])
