"""Compiled readers of binary feeds, the table of live orders that they keep, and a book of events.

The kernels and all that they call are in this one file or in the core, so Numba's cache notices
every change.

A feed's messages about an order that is in the book (executions, cancellations, replacements) leave
out what was said when it was added. The table holds side, price and rest of every live order. It is
a hash table with open addressing: linear probing, and deletion by shifting back, so that no marks
of deleted orders remain (Knuth, The Art of Computer Programming 3, section 6.4, algorithm R).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from mm_gym.core.book import add, price_key, reduce
from mm_gym.core.cache import enable_cache
from mm_gym.core.kernel import FINGERPRINT, entry_point
from mm_gym.core.layout import ASK, BID, NO_ORDER, PUBLIC, RecordedKind
from mm_gym.data.events import EventKind

ORDER = np.dtype(
    [
        ("order_id", "i8"),
        ("price", "i8"),
        ("size", "i8"),
        ("filled", "i8"),  # reported as filled, and not yet taken from the rest by the feed
        ("side", "i1"),
        ("live", "i1"),
    ]
)
STATE = np.dtype(
    [
        ("n_orders", "i8"),
        ("trade_size", "i8"),  # of the latest trade message, less the fills that followed it
        ("trade_price", "i8"),
        ("trade_side", "i1"),
        ("fault_id", "i8"),
    ]
)

SLOT = np.dtype([("order_id", "i8"), ("slot", "i4"), ("live", "i1")])
"""A row of the table from order ids to slots of the book."""

# What a scan ends with.
DONE, MORE, UNKNOWN_ORDER, KNOWN_ORDER, TOO_MUCH, BAD_LENGTH = range(6)
FAULTS = {
    UNKNOWN_ORDER: "an order that was added before",
    KNOWN_ORDER: "an order id that is not in use",
    TOO_MUCH: "at most the rest of the order",
    BAD_LENGTH: "a message as long as its type says",
}
"""What was expected, for each fault."""

_A, _B, _C, _D, _E, _F, _H, _M, _P, _R, _T, _U, _X = b"ABCDEFHMPRTUX"
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
_ADD, _REDUCE, _CANCEL, _EXECUTE, _HIDDEN, _HALT = (int(kind) for kind in EventKind)
_JOIN, _LEAVE, _TRADE, _UNSEEN, _STOP = (int(kind) for kind in RecordedKind)


def empty_table(capacity: int = 1 << 16, row: np.dtype[Any] = ORDER) -> npt.NDArray[Any]:
    """A table without orders.

    Args:
        capacity: a power of two.
        row: type of its rows, with the fields `order_id` and `live`.
    """
    return np.zeros(capacity, row)


def roomy(table: npt.NDArray[Any], n_orders: int) -> npt.NDArray[Any]:
    """The table, or one of four times the size with the same orders if it is over a third full."""
    if 3 * n_orders < len(table):
        return table
    larger = empty_table(4 * len(table), table.dtype)
    _rehash(table, larger)
    return larger


@enable_cache
@njit
def _home(order_id, capacity):
    """The place where an order is looked for first: Fibonacci hashing."""
    mixed = (np.uint64(order_id) * _GOLDEN) >> np.uint64(20)
    return np.int64(mixed & np.uint64(capacity - 1))


@enable_cache
@njit
def _find(table, order_id):
    """The place of an order, or of the free row where it belongs."""
    place = _home(order_id, table.shape[0])
    while table[place].live and table[place].order_id != order_id:
        place = (place + 1) & (table.shape[0] - 1)
    return place


@enable_cache
@njit
def _rehash(table, larger):
    for index in range(table.shape[0]):
        if table[index].live:
            larger[_find(larger, table[index].order_id)] = table[index]


@enable_cache
@njit
def _insert(table, state, place, order_id, side, price, size):
    row = table[place]
    row.order_id, row.side, row.price, row.size = order_id, side, price, size
    row.filled, row.live = 0, 1
    state[0].n_orders += 1


@enable_cache
@njit
def _remove(table, state, place):
    """Delete an order and count it."""
    state[0].n_orders -= 1
    _delete(table, place)


@enable_cache
@njit
def _delete(table, place):
    """Free a row. Later orders of the same run move up, so that all can still be found."""
    last = table.shape[0] - 1
    free, place = place, (place + 1) & last
    while table[place].live:
        home = _home(table[place].order_id, table.shape[0])
        if ((place - home) & last) >= ((place - free) & last):
            table[free] = table[place]
            free = place
        place = (place + 1) & last
    table[free].live = 0


@enable_cache
@njit
def _put(out, n, time, kind, side, order_id, price, size):
    row = out[n]
    row.time, row.kind, row.side = time, kind, side
    row.order_id, row.price, row.size = order_id, price, size
    return n + 1


# ------------------------------------------------------------------------------------------ ITCH


@enable_cache
@njit
def _big_endian(data, first, length):
    value = 0
    for index in range(first, first + length):
        value = (value << 8) | data[index]
    return value


@enable_cache
@njit
def scan_itch(data, lengths, locate, table, state, out):
    """Read messages of Nasdaq TotalView-ITCH 5.0, each after its length in two bytes.

    Args:
        data: bytes from the start of a message on.
        lengths: the length of each message type, 0 for an unknown type, shape (256,).
        locate: the number of the stock whose messages are read.
        table: live orders.
        state: one row of `STATE`.
        out: receives the events. Its last two rows are never needed.

    Returns:
        Why the scan ended, the number of bytes read, and the number of events.
    """
    at, n = 0, 0
    while n + 2 <= out.shape[0] and 3 * state[0].n_orders < table.shape[0]:
        if at + 2 > data.shape[0]:
            return DONE, at, n
        length = _big_endian(data, at, 2)
        if at + 2 + length > data.shape[0]:
            return DONE, at, n
        first = at + 2
        kind = data[first] if length > 0 else 0
        if length == 0 or (lengths[kind] and length != lengths[kind]):
            return BAD_LENGTH, at, n
        # Every message that is read below has an order id or a stock, up to byte 19.
        if length < 19 or _big_endian(data, first + 1, 2) != locate:
            at = first + length
            continue
        time = _big_endian(data, first + 5, 6)
        order_id = _big_endian(data, first + 11, 8)
        state[0].fault_id = order_id
        if kind == _A or kind == _F:
            side = 1 if data[first + 19] == _B else -1
            size, price = _big_endian(data, first + 20, 4), _big_endian(data, first + 32, 4)
            place = _find(table, order_id)
            if table[place].live:
                return KNOWN_ORDER, at, n
            _insert(table, state, place, order_id, side, price, size)
            n = _put(out, n, time, _ADD, side, order_id, price, size)
        elif kind == _E or kind == _C or kind == _X or kind == _D:
            place = _find(table, order_id)
            order = table[place]
            if not order.live:
                return UNKNOWN_ORDER, at, n
            size = order.size if kind == _D else _big_endian(data, first + 19, 4)
            if size > order.size:
                return TOO_MUCH, at, n
            if kind == _E or kind == _C:
                what = _EXECUTE
            else:
                what = _REDUCE if size < order.size else _CANCEL
            n = _put(out, n, time, what, order.side, order_id, order.price, size)
            order.size -= size
            if order.size == 0:
                _remove(table, state, place)
        elif kind == _U:
            place = _find(table, order_id)
            if not table[place].live:
                return UNKNOWN_ORDER, at, n
            side = table[place].side
            n = _put(out, n, time, _CANCEL, side, order_id, table[place].price, table[place].size)
            _remove(table, state, place)
            new_id = _big_endian(data, first + 19, 8)
            size, price = _big_endian(data, first + 27, 4), _big_endian(data, first + 31, 4)
            place = _find(table, new_id)
            if table[place].live:
                state[0].fault_id = new_id
                return KNOWN_ORDER, at, n
            _insert(table, state, place, new_id, side, price, size)
            n = _put(out, n, time, _ADD, side, new_id, price, size)
        elif kind == _P:
            side = 1 if data[first + 19] == _B else -1
            size, price = _big_endian(data, first + 20, 4), _big_endian(data, first + 32, 4)
            n = _put(out, n, time, _HIDDEN, side, 0, price, size)
        elif kind == _H:
            trading = 1 if data[first + 19] == _T else 0
            n = _put(out, n, time, _HALT, 0, 0, 0, trading)
        at = first + length
    return MORE, at, n


# ----------------------------------------------------------------------------- market by order


@enable_cache
@njit
def scan_mbo(messages, table, state, out):
    """Read market-by-order messages in Databento's convention.

    A fill (F) leaves the book as it is. The cancellation (C) or modification (M) that follows takes
    the filled size from the order. Here the fill itself does so, and that cancellation or
    modification is left out. A trade (T) without fills for all of its size met hidden orders.
    Orders that were in the book before the file began are known only from what happens to them.

    Args:
        messages: rows with the fields time, action, side, order_id, price, size and last.
        table: live orders.
        state: one row of `STATE`.
        out: receives the events.

    Returns:
        Why the scan ended, the number of messages read, and the number of events.
    """
    n = 0
    for index in range(messages.shape[0]):
        if n + 3 > out.shape[0] or 3 * (state[0].n_orders + 1) >= table.shape[0]:
            return MORE, index, n
        message = messages[index]
        action, order_id, size = message.action, message.order_id, message.size
        price, side, time = message.price, message.side, message.time
        state[0].fault_id = order_id
        place = _find(table, order_id)
        order = table[place]
        if action == _A:
            if order.live:
                return KNOWN_ORDER, index, n
            _insert(table, state, place, order_id, side, price, size)
            n = _put(out, n, time, _ADD, side, order_id, price, size)
        elif action == _T:
            state[0].trade_size, state[0].trade_price = size, price
            state[0].trade_side = -side  # of the resting order; the message has the taker's
        elif action == _F:
            state[0].trade_size = max(0, state[0].trade_size - size)
            if order.live:
                taken = min(size, order.size - order.filled)
                if taken > 0:
                    n = _put(out, n, time, _EXECUTE, order.side, order_id, order.price, taken)
                order.filled += taken
            else:  # it was in the book before the file began
                n = _put(out, n, time, _EXECUTE, side, order_id, price, size)
                _insert(table, state, place, order_id, side, price, size)
                order.filled = size
        elif action == _C:
            if order.live:
                open_size = order.size - order.filled  # what our events have left of it
                gone = max(0, min(size - order.filled, open_size))
                if gone > 0:
                    what = _CANCEL if gone == open_size else _REDUCE
                    n = _put(out, n, time, what, order.side, order_id, order.price, gone)
                order.filled = max(0, order.filled - size)
                order.size = open_size - gone + order.filled
                if order.size == 0:
                    _remove(table, state, place)
            else:  # it was in the book before the file began
                n = _put(out, n, time, _CANCEL, side, order_id, price, size)
        elif action == _M:
            if not order.live:
                _insert(table, state, place, order_id, side, price, size)
                n = _put(out, n, time, _ADD, side, order_id, price, size)
            else:
                open_size = order.size - order.filled
                if price == order.price and side == order.side and size <= open_size:
                    if size < open_size:
                        n = _put(out, n, time, _REDUCE, side, order_id, price, open_size - size)
                else:
                    if open_size > 0:
                        n = _put(
                            out, n, time, _CANCEL, order.side, order_id, order.price, open_size
                        )
                    n = _put(out, n, time, _ADD, side, order_id, price, size)
                order.side, order.price, order.size, order.filled = side, price, size, 0
        elif action == _R:
            # One order per call: the message is read again until the table is empty.
            for row in range(table.shape[0]):
                if table[row].live:
                    gone = table[row]
                    if gone.size > gone.filled:
                        n = _put(
                            out, n, time, _CANCEL, gone.side, gone.order_id, gone.price,
                            gone.size - gone.filled,
                        )  # fmt: skip
                    _remove(table, state, row)
                    return MORE, index, n
        if message.last and state[0].trade_size > 0:
            n = _put(
                out, n, time, _HIDDEN, state[0].trade_side, 0, state[0].trade_price,
                state[0].trade_size,
            )  # fmt: skip
            state[0].trade_size = 0
    return DONE, messages.shape[0], n


# ------------------------------------------------------------------------------ a book of events


def _event_book(fingerprint):
    @entry_point
    def apply_events(books, events, table, ids, counts, rows):
        """Apply events to a book.

        Events of orders that are not in the book change nothing. A new order that would trade with
        orders in the book removes these.

        Args:
            books: one record of `layout.book_dtype`.
            events: rows of `events.EVENT`.
            table: rows of `SLOT`.
            ids: order id of each slot of the book.
            counts: receives the number of events of unknown orders, and of orders removed by a new
                one that would trade with them.
            rows: receives the best levels after each event, or is empty.

        Returns:
            The number of events applied. They are fewer than there are if the book or the table
            needs more room.
        """
        fingerprint  # noqa: B018
        book = books[0]
        for index in range(events.shape[0]):
            event = events[index]
            if event.kind == _ADD:
                if 3 * book.n_live >= table.shape[0]:
                    return index
                side = BID if event.side > 0 else ASK
                place = _find(table, event.order_id)
                if table[place].live:
                    counts[0] += 1
                else:
                    counts[1] += _make_way(book, table, ids, side, event.price)
                    slot = add(book, side, event.price, event.size, PUBLIC)
                    if slot == NO_ORDER:
                        return index
                    place = _find(table, event.order_id)  # `_make_way` may have moved rows
                    table[place].order_id, table[place].slot = event.order_id, slot
                    table[place].live = 1
                    ids[slot] = event.order_id
            elif event.kind == _REDUCE or event.kind == _CANCEL or event.kind == _EXECUTE:
                place = _find(table, event.order_id)
                if table[place].live:
                    slot = table[place].slot
                    gone = event.size >= book.orders[slot].lots
                    reduce(book, slot, event.size)
                    if gone:
                        _delete(table, place)
                else:
                    counts[0] += 1
            if rows.shape[0] > 0:
                _show(book, rows[index])
        return events.shape[0]

    @entry_point
    def index_events(books, events, table, ids, added, tick, n_before, out, touch):
        """Apply events to a book as `apply_events` does, and write what each of them does to it.

        Args:
            books: one record of `layout.book_dtype`, with prices in ticks.
            events: rows of `events.EVENT`.
            table: rows of `SLOT`.
            ids: order id of each slot of the book.
            added: number of the event that added the order of each slot.
            tick: [price units]
            n_before: number of the first row of `out`, counted from the first event of all.
            out: receives rows of `layout.RECORDED_EVENT`.
            touch: receives best keys and sizes of both sides after each row, shape (n, 4). Sizes
                of empty sides are 0.

        Returns:
            The number of events done and the number of rows. Events are left if `out` is full, or
            if the book or the table needs more room.
        """
        fingerprint  # noqa: B018
        book = books[0]
        n = 0
        for index in range(events.shape[0]):
            event = events[index]
            if n == out.shape[0] or 3 * book.n_live >= table.shape[0]:
                return index, n
            side = BID if event.side > 0 else ASK
            key = event.price if side == BID else -event.price
            row = out[n]
            row.time, row.side, row.lots = event.time, side, event.size
            row.place = -1
            if event.kind == _ADD:
                if table[_find(table, event.order_id)].live:
                    continue
                crossed = _first_crossed(book, side, key // tick)
                while crossed != NO_ORDER and n < out.shape[0] - 1:
                    # The crossed order leaves, and the event is looked at again.
                    row = out[n]
                    row.time, row.side, row.kind = event.time, 1 - side, _LEAVE
                    row.key, row.lots = book.orders[crossed].key, book.orders[crossed].lots
                    row.place = added[crossed]
                    _delete(table, _find(table, ids[crossed]))
                    reduce(book, crossed, row.lots)
                    _write_touch(book, touch[n])
                    n += 1
                    crossed = _first_crossed(book, side, key // tick)
                if crossed != NO_ORDER:
                    return index, n
                row = out[n]
                row.time, row.side, row.lots = event.time, side, event.size
                slot = add(book, side, event.price // tick, event.size, PUBLIC)
                if slot == NO_ORDER:
                    return index, n
                place = _find(table, event.order_id)
                table[place].order_id, table[place].slot = event.order_id, slot
                table[place].live = 1
                ids[slot], added[slot] = event.order_id, n_before + n
                row.kind, row.key, row.place = _JOIN, key // tick, n_before + n
            elif event.kind == _HALT:
                row.kind, row.key, row.lots = _STOP, 0, event.size
            elif event.kind == _HIDDEN:
                # The worst price that is at least as good: a quote there comes first.
                row.kind, row.key = _UNSEEN, -(-key // tick)
            else:
                place = _find(table, event.order_id)
                if table[place].live:
                    slot = table[place].slot
                    row.lots = min(event.size, book.orders[slot].lots)
                    row.key, row.place = book.orders[slot].key, added[slot]
                    if row.lots == book.orders[slot].lots:
                        _delete(table, place)
                    reduce(book, slot, row.lots)
                elif event.kind == _EXECUTE:
                    row.key = key // tick
                else:
                    continue
                row.kind = _TRADE if event.kind == _EXECUTE else _LEAVE
            _write_touch(book, touch[n])
            n += 1
        return events.shape[0], n

    return apply_events, index_events


@enable_cache
@njit
def _first_crossed(book, side, key):
    """The slot of the next order that a new one at this key would trade with, or NO_ORDER."""
    n_levels = book.n_levels[1 - side]
    if n_levels == 0 or book.levels[1 - side, n_levels - 1].key < -key:
        return NO_ORDER
    return book.levels[1 - side, n_levels - 1].head


@enable_cache
@njit
def _write_touch(book, row):
    for side in range(2):
        n_levels = book.n_levels[side]
        row[2 + side] = 0
        if n_levels > 0:
            level = book.levels[side, n_levels - 1]
            row[side], row[2 + side] = level.key, level.lots


@enable_cache
@njit
def _make_way(book, table, ids, side, price):
    """Remove the orders that a new order would trade with, and return their number."""
    other = 1 - side
    worst_key = price_key(other, price)
    removed = 0
    while book.n_levels[other] > 0:
        level = book.levels[other, book.n_levels[other] - 1]
        if level.key < worst_key:
            break
        slot = level.head
        _delete(table, _find(table, ids[slot]))
        reduce(book, slot, book.orders[slot].lots)
        removed += 1
    return removed


@enable_cache
@njit
def _show(book, row):
    """Write the best levels of both sides, best first. Empty levels stay as they are."""
    for depth in range(min(book.n_levels[BID], row.bid_price.shape[0])):
        level = book.levels[BID, book.n_levels[BID] - 1 - depth]
        row.bid_price[depth], row.bid_size[depth] = level.key, level.lots
    for depth in range(min(book.n_levels[ASK], row.ask_price.shape[0])):
        level = book.levels[ASK, book.n_levels[ASK] - 1 - depth]
        row.ask_price[depth], row.ask_size[depth] = -level.key, level.lots


apply_events, index_events = _event_book(FINGERPRINT)
