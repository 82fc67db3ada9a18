"""The order book: price-time priority over one record.

Each side is a list of price levels sorted so that the best is last; each level is a queue of
orders, oldest first. Levels hold their price, so no price can alias another however far the market
wanders, and an empty side is a list of length zero. Near the touch, where nearly all events are,
insertion moves a handful of levels.

    levels[BID]:  ... 97  98  99 | 101  102  103 ...  :levels[ASK]
                              ^best  ^best

Prices are stored as keys, `price` for bids and `-price` for asks: larger is better on both sides,
and one rule serves both.
"""

import numpy as np

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import NO_ORDER

_NEAR = (
    8  # levels looked through one by one before bisecting: most events are this close to the touch
)

# `audit` codes, in the order in which they are looked for.
SOUND = 0
LEVELS_OUT_OF_ORDER = 1
BOOK_CROSSED = 2
EMPTY_LEVEL = 3
BROKEN_QUEUE = 4
WRONG_LEVEL_SIZE = 5
LOST_ORDER = 6
BROKEN_POOL = 7


@kernel
def clear(book):
    """An empty book; every slot free."""
    book.n_levels[0] = 0
    book.n_levels[1] = 0
    book.n_live = 0
    book.n_fills = 0
    book.n_events = 0
    for slot in range(book.live.shape[0]):
        book.live[slot] = slot


@kernel
def price_key(side, price):
    """Price to key, and key to price: the map is its own inverse."""
    return price - 2 * side * price


@kernel
def find_level(book, side, key):
    """Index of the first level whose key is at least `key`; the number of levels if there is
    none."""
    levels = book.levels
    high = book.n_levels[side]
    low = max(0, high - _NEAR)
    while high > low:
        if levels[side, high - 1].key < key:
            return high
        high -= 1
    low = 0
    while low < high:
        middle = (low + high) >> 1
        if levels[side, middle].key < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _copy_level(levels, side, source, target):
    levels[side, target].key = levels[side, source].key
    levels[side, target].lots = levels[side, source].lots
    levels[side, target].head = levels[side, source].head
    levels[side, target].tail = levels[side, source].tail


@kernel
def add(book, side, price, size, owner):
    """Rest an order at the back of its queue; its slot, or NO_ORDER if the pool or the levels are
    full.

    The caller has made sure that the price does not cross the other side.
    """
    n_live = book.n_live
    if n_live == book.orders.shape[0]:
        return NO_ORDER
    key = price_key(side, price)
    n_levels = book.n_levels[side]
    index = find_level(book, side, key)
    slot = book.live[n_live]
    if index == n_levels or book.levels[side, index].key != key:
        if n_levels == book.levels.shape[1]:
            return NO_ORDER
        for target in range(n_levels, index, -1):
            _copy_level(book.levels, side, target - 1, target)
        book.n_levels[side] = n_levels + 1
        level = book.levels[side, index]
        level.key = key
        level.lots = size
        level.head = slot
        level.tail = slot
        older = NO_ORDER
    else:
        level = book.levels[side, index]
        older = level.tail
        book.orders[older].younger = slot
        level.tail = slot
        level.lots += size
    order = book.orders[slot]
    order.key = key
    order.lots = size
    order.older = older
    order.younger = NO_ORDER
    order.side = side
    order.owner = owner
    order.place = n_live
    book.n_live = n_live + 1
    book.n_events += 1
    return slot


@kernel
def _withdraw(book, slot, size):
    """Take lots out of a resting order, and the order out of the book when none are left."""
    order = book.orders[slot]
    side = order.side
    index = find_level(book, side, order.key)
    level = book.levels[side, index]
    level.lots -= size
    order.lots -= size
    book.n_events += 1
    if order.lots > 0:
        return
    if order.older == NO_ORDER:
        level.head = order.younger
    else:
        book.orders[order.older].younger = order.younger
    if order.younger == NO_ORDER:
        level.tail = order.older
    else:
        book.orders[order.younger].older = order.older
    if level.head == NO_ORDER:
        n_levels = book.n_levels[side] - 1
        for target in range(index, n_levels):
            _copy_level(book.levels, side, target + 1, target)
        book.n_levels[side] = n_levels
    # The last live slot takes the freed one's place, and the freed one is the next to be used.
    last = book.n_live - 1
    moved = book.live[last]
    book.live[order.place] = moved
    book.orders[moved].place = order.place
    book.live[last] = slot
    book.n_live = last


@kernel
def cancel(book, slot):
    """Take an order out of the book."""
    _withdraw(book, slot, book.orders[slot].lots)


@kernel
def reduce(book, slot, size):
    """Take lots out of an order; it keeps its place in the queue. All of its lots, or more, cancel
    it."""
    _withdraw(book, slot, min(size, book.orders[slot].lots))


@kernel
def match(book, side, limit_price, size):
    """Trade up to `size` lots against the other side, best price first and oldest order first.

    Buys (`side` is BID) at no more than the limit, sells at no less. Fills are left in
    `book.fills`; returns the lots that found no counterpart. A match fills each resting order at
    most once, so they always fit.
    """
    other = 1 - side
    worst_key = price_key(other, limit_price)
    book.n_fills = 0
    while size > 0 and book.n_levels[other] > 0:
        level = book.levels[other, book.n_levels[other] - 1]
        if level.key < worst_key:
            break
        slot = level.head
        order = book.orders[slot]
        traded = min(size, order.lots)
        fill = book.fills[book.n_fills]
        fill.owner = order.owner
        fill.slot = slot
        fill.price = price_key(other, order.key)
        fill.lots = traded
        book.n_fills += 1
        size -= traded
        _withdraw(book, slot, traded)
    return size


@kernel
def lots_ahead(book, slot):
    """Lots that stand before this order in its queue."""
    ahead = np.int64(0)
    older = book.orders[slot].older
    while older != NO_ORDER:
        ahead += book.orders[older].lots
        older = book.orders[older].older
    return ahead


@kernel
def audit(book):
    """Check every invariant of the book; SOUND, or the code of the first that is broken."""
    seen = 0
    for side in range(2):
        for index in range(book.n_levels[side]):
            level = book.levels[side, index]
            if index > 0 and book.levels[side, index - 1].key >= level.key:
                return LEVELS_OUT_OF_ORDER
            if level.head == NO_ORDER or level.tail == NO_ORDER:
                return EMPTY_LEVEL
            lots = np.int64(0)
            older = NO_ORDER
            slot = level.head
            while slot != NO_ORDER:
                order = book.orders[slot]
                if (
                    order.older != older
                    or order.side != side
                    or order.key != level.key
                    or order.lots <= 0
                    or seen >= book.n_live
                ):
                    return BROKEN_QUEUE
                if not 0 <= order.place < book.n_live or book.live[order.place] != slot:
                    return BROKEN_POOL
                lots += order.lots
                seen += 1
                older = slot
                slot = order.younger
            if older != level.tail:
                return BROKEN_QUEUE
            if lots != level.lots:
                return WRONG_LEVEL_SIZE
    if seen != book.n_live:
        return LOST_ORDER
    if book.n_levels[0] > 0 and book.n_levels[1] > 0:
        best_bid = book.levels[0, book.n_levels[0] - 1].key
        best_ask = -book.levels[1, book.n_levels[1] - 1].key
        if best_bid >= best_ask:
            return BOOK_CROSSED
    return SOUND
