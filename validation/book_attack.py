"""Millions of operations on the order book, compared with a slow book after each of them.

`attack` draws operations that are as hostile as a book can meet: a pool with few places, sizes from
one lot to 2^40, prices that wander, stay or are as far apart as possible, phases that fill the pool
and phases that empty it, reductions by too much, and queries of prices where nothing rests. The
slow book is a list of orders in the order of their arrival. It finds the best one by looking at all
of them.
"""

import numpy as np

from mm_gym.core.book import SOUND, add, audit, cancel, clear, find_level, lots_ahead, match, reduce
from mm_gym.core.kernel import FINGERPRINT, entry_point, kernel
from mm_gym.core.layout import BID, FILL, NO_ORDER, PUBLIC, book_dtype
from mm_gym.core.random import SEED_WORDS, WORDS_PER_STREAM, seed_stream, uniform

# Room for levels and orders, largest distance of a price from the centre, and largest step of the
# centre [ticks].
SHAPES = {
    "a few long queues": (8, 64, 2.0, 0.01),
    "a market": (64, 64, 8.0, 0.3),
    "hardly any room": (3, 6, 4.0, 0.1),
    "an order at every price": (64, 64, 5_000.0, 50.0),
    "prices as far apart as possible": (64, 64, 2.0**56, 2.0**50),
}
DIFFERENT_FILL = 100
DIFFERENT_REST = 101
DIFFERENT_LEVEL = 102
DIFFERENT_ROOM = 103
DIFFERENT_QUEUE = 104

# What an attack counts.
SEEN = ("fills", "refused", "emptied", "reduced", "cancelled")
_FILLS, _REFUSED, _EMPTIED, _REDUCED, _CANCELLED = range(len(SEEN))
_PHASE = 1_000  # operations in which the book fills, and then as many in which it empties


@kernel
def _best(slow, n, side):
    """Return the index of the order of `side` that trades first, or -1."""
    best = -1
    for index in range(n):
        if slow[index].side == side and (
            best < 0
            or (side == BID and slow[index].price > slow[best].price)
            or (side != BID and slow[index].price < slow[best].price)
        ):
            best = index
    return best


@kernel
def _remove(slow, n, index):
    """Remove an order. The others keep their order."""
    for later in range(index, n - 1):
        slow[later].side = slow[later + 1].side
        slow[later].price = slow[later + 1].price
        slow[later].lots = slow[later + 1].lots
        slow[later].slot = slow[later + 1].slot
    return n - 1


@kernel
def _level_of(slow, n, side, price):
    """Return the lots and the number of orders at a price."""
    lots, orders = np.int64(0), 0
    for index in range(n):
        if slow[index].side == side and slow[index].price == price:
            lots += slow[index].lots
            orders += 1
    return lots, orders


@kernel
def _differs(book, slow, n, price):
    """Compare the best levels, one other price and one queue with the slow book."""
    fault = audit(book)
    if fault != SOUND:
        return fault
    if book.n_live != n:
        return DIFFERENT_REST
    for side in range(2):
        sign = 1 if side == BID else -1
        best = _best(slow, n, side)
        n_levels = book.n_levels[side]
        if (best < 0) != (n_levels == 0):
            return DIFFERENT_LEVEL
        if best >= 0:
            level = book.levels[side, n_levels - 1]
            lots, _ = _level_of(slow, n, side, slow[best].price)
            if sign * level.key != slow[best].price or level.lots != lots:
                return DIFFERENT_LEVEL
            if level.head != slow[best].slot:
                return DIFFERENT_QUEUE
        index = find_level(book, side, sign * price)
        lots, _ = _level_of(slow, n, side, price)
        here = index < n_levels and book.levels[side, index].key == sign * price
        if (lots > 0) != here or (here and book.levels[side, index].lots != lots):
            return DIFFERENT_LEVEL
    if n > 0:
        last = slow[n - 1]
        lots, _ = _level_of(slow, n, last.side, last.price)
        if lots_ahead(book, last.slot) != lots - last.lots:
            return DIFFERENT_QUEUE
    return SOUND


@kernel
def _matches(book, slow, n, side, price, size, fills):
    """Match in both books. Return the lots left, the number of slow orders, and a fault."""
    left, n_fills = size, fills.shape[0]
    while n_fills == fills.shape[0]:
        left, n_fills = match(book, side, price, left, fills)
        for index in range(n_fills):
            best = _best(slow, n, 1 - side)
            if best < 0 or (
                fills[index].slot != slow[best].slot
                or fills[index].price != slow[best].price
                or fills[index].lots != min(size, slow[best].lots)
            ):
                return left, n, DIFFERENT_FILL
            size -= fills[index].lots
            slow[best].lots -= fills[index].lots
            if slow[best].lots == 0:
                n = _remove(slow, n, best)
    best = _best(slow, n, 1 - side)
    crosses = best >= 0 and (
        slow[best].price <= price if side == BID else slow[best].price >= price
    )
    if left != size or (left > 0 and crosses):
        return left, n, DIFFERENT_FILL
    return left, n, SOUND


@kernel
def _enters(book, slow, n, side, price, size):
    """Add the order to both books. Return the number of slow orders, and a fault."""
    _, queue = _level_of(slow, n, side, price)
    room = n < book.live.shape[0] and (queue > 0 or book.n_levels[side] < book.levels.shape[1])
    slot = add(book, side, price, size, PUBLIC)
    if (slot != NO_ORDER) != room:
        return n, DIFFERENT_ROOM
    if room:
        slow[n].side = side
        slow[n].price = price
        slow[n].lots = size
        slow[n].slot = slot
        n += 1
    return n, SOUND


def _entry_points(fingerprint):
    @entry_point
    def attack_book(books, slow, fills, seed_words, spread, wander, n_operations, seen):
        """Run operations until one gives another result than the slow book.

        Returns the number of operations before it, and a code.
        """
        fingerprint  # noqa: B018
        book = books[0]
        words = np.zeros(WORDS_PER_STREAM, np.uint64)
        seed_stream(words, seed_words)
        clear(book)
        n = 0
        centre = 0.0
        limit = 2.0**60
        for done in range(n_operations):
            centre += wander * (2.0 * uniform(words) - 1.0)
            centre = min(max(centre, -limit), limit)
            side = 0 if uniform(words) < 0.5 else 1
            # Three in four prices are behind the centre.
            ahead = 1.0 if uniform(words) < 0.25 else -1.0
            distance = ahead * spread * uniform(words) ** 2
            price = centre + (distance if side == BID else -distance)
            if uniform(words) < 0.001:  # an extreme price, on either side
                price = limit if uniform(words) < 0.5 else -limit
            price = np.int64(min(max(np.floor(price), -limit), limit))
            size = np.int64(1) + np.int64(10.0 * uniform(words) ** 3)
            if uniform(words) < 0.01:
                size = np.int64(2.0 ** (40.0 * uniform(words)))
            kind = uniform(words)
            fault = SOUND
            before = n
            filling = done // _PHASE % 2 == 0
            if kind < (0.02 if filling else 0.1):  # a market order
                _, n, fault = _matches(
                    book, slow, n, side, np.int64(limit if side == BID else -limit), size, fills
                )
                seen[_FILLS] += before - n
                seen[_EMPTIED] += before > 0 and n == 0
            elif kind < (0.8 if filling else 0.4):  # a limit order
                left, n, fault = _matches(book, slow, n, side, price, size, fills)
                seen[_FILLS] += before - n
                if fault == SOUND and left > 0:
                    before = n
                    n, fault = _enters(book, slow, n, side, price, left)
                    seen[_REFUSED] += n == before
            elif n > 0:
                chosen = int(uniform(words) * n)
                slot = slow[chosen].slot
                if kind < 0.9:
                    seen[_REDUCED] += 1
                    reduce(book, slot, size)
                    slow[chosen].lots -= min(size, slow[chosen].lots)
                    if slow[chosen].lots == 0:
                        n = _remove(slow, n, chosen)
                else:
                    seen[_CANCELLED] += 1
                    cancel(book, slot)
                    n = _remove(slow, n, chosen)
            if fault == SOUND:
                fault = _differs(book, slow, n, price)
            if fault != SOUND:
                return done, fault
        return n_operations, SOUND

    return attack_book


_attack_book = _entry_points(FINGERPRINT)

_SLOW = np.dtype((np.record, [("side", "i8"), ("price", "i8"), ("lots", "i8"), ("slot", "i8")]))


def attack(shape: str, seed: int, n_operations: int) -> tuple[int, int, dict[str, int]]:
    """Run operations on an empty book of a shape.

    Args:
        shape: a key of `SHAPES`.
        seed: of the operations.
        n_operations: number of them.

    Returns:
        The number of operations before the first fault, its code, which is 0 without a fault, and
        how often each event of `SEEN` occurred: orders filled whole, orders refused for lack of
        room, market orders that emptied the book, reductions and cancellations. Codes below 10 are
        those of `mm_gym.core.book.audit`.
    """
    levels, orders, spread, wander = SHAPES[shape]
    books = np.zeros(1, book_dtype(levels, orders))
    slow = np.zeros(orders + 1, _SLOW)
    words = np.random.default_rng(seed).integers(0, 2**64, SEED_WORDS, np.uint64)
    seen = np.zeros(len(SEEN), np.int64)
    fills = np.zeros(4, FILL)
    done, fault = _attack_book(books, slow, fills, words, spread, wander, n_operations, seen)
    return int(done), int(fault), dict(zip(SEEN, seen.tolist(), strict=True))
