"""The order book: price-time priority on one record. Prices are whole ticks, sizes are lots.

Each side is an array of price levels, sorted so that the best level is last. Each level is a queue
of orders, oldest first. A level stores its price, so the range of prices is unlimited. An empty
side has zero levels. Most events are near the touch, where an insertion moves only a few levels.

    levels[BID]:  ... 97  98  99 | 101  102  103 ...  :levels[ASK]
                              ^best  ^best

A price is stored as a key: `price` for bids and `-price` for asks. A larger key is a better price
on both sides, so the same code serves both.
"""

import numpy as np

from mm_gym.core.copying import copy_level
from mm_gym.core.kernel import hot_kernel, kernel
from mm_gym.core.layout import NO_ORDER

# Levels compared at once before bisection. Most events are this close to the touch.
_NEAR = 8

# Codes that `audit` returns.
SOUND = 0
LEVELS_OUT_OF_ORDER = 1
BOOK_CROSSED = 2
EMPTY_LEVEL = 3
BROKEN_QUEUE = 4
WRONG_LEVEL_SIZE = 5
LOST_ORDER = 6
BROKEN_POOL = 7
WRONG_COUNT = 8


@kernel
def clear(book):
    """Empty the book and free every slot."""
    book.n_levels[0] = 0
    book.n_levels[1] = 0
    book.n_live = 0
    book.n_events = 0
    for slot in range(book.live.shape[0]):
        book.live[slot] = slot


@kernel
def price_key(side, price):
    """Convert a price to a key, or a key to a price. The conversion is its own inverse."""
    return -price if side else price


@hot_kernel
def _at(index):
    """Return an index that is not negative as an unsigned number.

    It saves the compiler the handling of negative indices.
    """
    return np.uintp(index)


@hot_kernel
def _ones(bits):
    """Return the number of bits that are set. The compiler makes one instruction of it."""
    number = 0
    while bits:
        bits &= bits - 1
        number += 1
    return number


@kernel
def find_level(book, side, key):
    """Return the index of the first level with at least this key, or the number of levels."""
    levels = book.levels
    n_levels = book.n_levels[_at(side)]
    near = min(_NEAR, levels.shape[1])
    first = max(0, n_levels - near)
    # One bit for each place has no branch that the processor could mispredict. Places beyond the
    # last level are read and do not count. Keys ascend, so the bits that are set come first.
    bits = np.int64(0)
    for place in range(near):
        bits |= np.int64(levels[_at(side), _at(first + place)].key < key) << place
    below = _ones(bits & ((1 << (n_levels - first)) - 1))
    low = 0
    high = first
    if below > 0 or high == 0:
        return first + below
    while low < high:
        middle = (low + high) >> 1
        if levels[_at(side), _at(middle)].key < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def add(book, side, price, size, owner):
    """Add an order at the back of its queue and return its slot.

    The price must not cross the other side. Returns NO_ORDER if there is no room for another order
    or another level.
    """
    n_live = book.n_live
    if n_live == book.live.shape[0]:
        return NO_ORDER
    key = price_key(side, price)
    n_levels = book.n_levels[side]
    index = find_level(book, side, key)
    slot = np.int64(book.live[_at(n_live)])
    level = book.levels[_at(side), _at(min(index, book.levels.shape[1] - 1))]
    if index == n_levels or level.key != key:
        if n_levels == book.levels.shape[1]:
            return NO_ORDER
        for target in range(n_levels, index, -1):
            copy_level(book.levels, side, target - 1, target)
        book.n_levels[side] = n_levels + 1
        level.key = key
        level.lots = size
        level.head = slot
        older = NO_ORDER
    else:
        older = int(level.tail)
        book.orders[_at(older)].younger = slot
        level.lots += size
    level.tail = slot
    order = book.orders[_at(slot)]
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
def _withdraw(book, side, index, slot, size):
    """Remove lots from an order of level `index`. Remove the order when no lots are left."""
    order = book.orders[_at(slot)]
    level = book.levels[_at(side), _at(index)]
    level.lots -= size
    order.lots -= size
    book.n_events += 1
    if order.lots > 0:
        return
    # Without a neighbour, the link NO_ORDER leads to the spare slot, the last one. A branch here
    # would often be mispredicted.
    older, younger = np.int64(order.older), np.int64(order.younger)
    book.orders[older].younger = younger
    book.orders[younger].older = older
    head = younger if older == NO_ORDER else np.int64(level.head)
    level.head = head
    level.tail = older if younger == NO_ORDER else np.int64(level.tail)
    if head == NO_ORDER:
        n_levels = book.n_levels[_at(side)] - 1
        for target in range(index, n_levels):
            copy_level(book.levels, side, target + 1, target)
        book.n_levels[_at(side)] = n_levels
    # `live` lists the used slots before the free ones. The last used slot moves to the place of the
    # freed slot, and the next order will use the freed slot.
    last = book.n_live - 1
    moved = book.live[_at(last)]
    book.live[_at(order.place)] = moved
    book.orders[_at(moved)].place = order.place
    book.live[_at(last)] = slot
    book.n_live = last


@kernel
def reduce(book, slot, size):
    """Remove lots from an order, which keeps its place in the queue.

    Removing all of its lots, or more, cancels the order.
    """
    order = book.orders[_at(slot)]
    side = np.int64(order.side)
    index = find_level(book, side, order.key)
    _withdraw(book, side, index, slot, min(size, np.int64(order.lots)))


@kernel
def enlarge(book, slot, size):
    """Add lots to an order, which keeps its place in the queue."""
    order = book.orders[_at(slot)]
    side = np.int64(order.side)
    order.lots += size
    book.levels[_at(side), _at(find_level(book, side, order.key))].lots += size
    book.n_events += 1


@kernel
def cancel(book, slot):
    """Remove an order from the book."""
    reduce(book, slot, np.int64(book.orders[_at(slot)].lots))


@kernel
def first_to_trade(book, side, limit_price):
    """Return the slot of the resting order that an incoming one trades with next, or NO_ORDER.

    The best price trades first, and the oldest order at that price. An incoming order on the BID
    side buys at `limit_price` or less, one on the ASK side sells at `limit_price` or more.
    """
    other = 1 - side
    n_levels = book.n_levels[other]
    if n_levels == 0:
        return NO_ORDER
    level = book.levels[_at(other), _at(n_levels - 1)]
    if level.key < price_key(other, limit_price):
        return NO_ORDER
    return np.int64(level.head)


@kernel
def trade(book, slot, size):
    """Trade up to `size` lots with the order that `first_to_trade` returned. Return the lots."""
    order = book.orders[_at(slot)]
    traded = min(size, np.int64(order.lots))
    side = np.int64(order.side)
    _withdraw(book, side, book.n_levels[side] - 1, slot, traded)
    return traded


@kernel
def match(book, side, limit_price, size, fills):
    """Trade up to `size` lots against the other side, order by order.

    Stops when `fills`, an array of `layout.FILL`, is full. Returns the lots left over and the
    number of fills.
    """
    for index in range(fills.shape[0]):
        slot = first_to_trade(book, side, limit_price)
        if size == 0 or slot == NO_ORDER:
            return size, index
        fill = fills[index]
        fill.slot = slot
        fill.price = price_key(1 - side, book.orders[slot].key)
        fill.lots = trade(book, slot, size)
        size -= fill.lots
    return size, fills.shape[0]


@kernel
def lots_ahead(book, slot):
    """Return the lots before this order in its queue."""
    ahead = np.int64(0)
    older = book.orders[slot].older
    while older != NO_ORDER:
        ahead += book.orders[older].lots
        older = book.orders[older].older
    return ahead


@kernel
def audit_side(book, side):
    """Check the levels and queues of a side. Return SOUND or a code, and the number of orders."""
    n_slots = book.live.shape[0]
    seen = 0
    if not (0 <= book.n_levels[side] <= book.levels.shape[1] and 0 <= book.n_live <= n_slots):
        return WRONG_COUNT, seen
    for index in range(book.n_levels[side]):
        level = book.levels[side, index]
        if index > 0 and book.levels[side, index - 1].key >= level.key:
            return LEVELS_OUT_OF_ORDER, seen
        if level.head == NO_ORDER or level.tail == NO_ORDER:
            return EMPTY_LEVEL, seen
        lots = np.int64(0)
        older = NO_ORDER
        slot = level.head
        while slot != NO_ORDER:
            if not 0 <= slot < n_slots:
                return BROKEN_QUEUE, seen
            order = book.orders[slot]
            if (
                order.older != older
                or order.side != side
                or order.key != level.key
                or order.lots <= 0
                or seen >= book.n_live
            ):
                return BROKEN_QUEUE, seen
            if not 0 <= order.place < book.n_live or book.live[order.place] != slot:
                return BROKEN_POOL, seen
            lots += order.lots
            seen += 1
            older = slot
            slot = order.younger
        if older != level.tail:
            return BROKEN_QUEUE, seen
        if lots != level.lots:
            return WRONG_LEVEL_SIZE, seen
    return SOUND, seen


@kernel
def audit(book):
    """Check the invariants of the book. Return SOUND or the code of the first violation found.

    Whatever the record holds, nothing outside of it is read.
    """
    seen = 0
    for side in range(2):
        fault, n_orders = audit_side(book, side)
        if fault != SOUND:
            return fault
        seen += n_orders
    if seen != book.n_live:
        return LOST_ORDER
    if book.n_levels[0] > 0 and book.n_levels[1] > 0:
        best_bid = book.levels[0, book.n_levels[0] - 1].key
        best_ask = -book.levels[1, book.n_levels[1] - 1].key
        if best_bid >= best_ask:
            return BOOK_CROSSED
    return SOUND


@kernel
def audit_pool(book):
    """Check that `live` lists every slot once. Return SOUND or BROKEN_POOL.

    Together with `audit` this is all that the functions of this module rely on.
    """
    n_slots = book.live.shape[0]
    listed = np.zeros(n_slots, np.bool_)
    for place in range(n_slots):
        slot = book.live[place]
        if not 0 <= slot < n_slots or listed[slot]:
            return BROKEN_POOL
        listed[slot] = True
    return SOUND
