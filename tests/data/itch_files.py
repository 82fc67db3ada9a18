"""ITCH 5.0 files for tests, written message by message with `struct` and read by `itchfeed`."""

import struct
from io import BytesIO
from typing import Any

import numpy as np
from itch.parser import MessageParser

STOCKS = {"AAPL": 7, "GOOG": 9}


def head(kind: str, locate: int, time: int) -> bytes:
    return kind.encode() + struct.pack(">HH", locate, 0) + time.to_bytes(6, "big")


def framed(message: bytes) -> bytes:
    return struct.pack(">H", len(message)) + message


def directory(stock: str) -> bytes:
    return head("R", STOCKS[stock], 1) + stock.ljust(8).encode() + b" " * 20


def day(seed: int, n: int = 3000) -> bytes:
    """Random but lawful messages of two stocks, with all types that change a book."""
    rng = np.random.default_rng(seed)
    messages = [head("S", 0, 0) + b"O", *map(directory, STOCKS)]
    live: dict[int, list[Any]] = {}  # order id -> [locate, shares]
    last_id, time = 0, 1000
    for _ in range(n):
        time += int(rng.integers(0, 10**6))
        locate = int(rng.choice(list(STOCKS.values())))
        stock = next(name for name, number in STOCKS.items() if number == locate)
        shares, price = int(rng.integers(1, 500)), int(rng.integers(1, 10**6)) * 100
        kind = str(rng.choice(list("AAFFECXDUPHQ")))
        side = rng.choice([b"B", b"S"])
        if kind in "AF":
            last_id += int(rng.integers(1, 2**33))
            live[last_id] = [locate, shares]
            messages.append(
                head(kind, locate, time)
                + struct.pack(">QcI8sI", last_id, side, shares, stock.ljust(8).encode(), price)
                + (b"NSDQ" if kind == "F" else b"")
            )
        elif kind in "ECXDU" and live:
            order_id = int(rng.choice(list(live)))
            locate, rest = live[order_id]
            taken = int(rng.integers(1, rest + 1))
            start = head(kind, locate, time) + struct.pack(">Q", order_id)
            if kind == "U":
                last_id += 1
                messages.append(start + struct.pack(">QII", last_id, shares, price))
                live[last_id] = [locate, shares]
            elif kind == "D":
                messages.append(start)
            elif kind == "E":
                messages.append(start + struct.pack(">IQ", taken, 1))
            elif kind == "C":
                messages.append(start + struct.pack(">IQcI", taken, 1, b"Y", price))
            else:
                messages.append(start + struct.pack(">I", taken))
            live[order_id][1] -= taken
            if kind in "DU" or live[order_id][1] == 0:
                del live[order_id]
        elif kind == "P":
            messages.append(
                head("P", locate, time)
                + struct.pack(">QcI8sIQ", 0, side, shares, stock.ljust(8).encode(), price, 1)
            )
        elif kind == "H":
            state = rng.choice([b"T", b"H"])
            messages.append(head("H", locate, time) + stock.ljust(8).encode() + state + b"     ")
        elif kind == "Q":
            messages.append(
                head("Q", locate, time)
                + struct.pack(">Q8sIQc", shares, stock.ljust(8).encode(), price, 1, b"O")
            )
    return b"".join(map(framed, messages))


def slow_events(content: bytes, stock: str) -> list[tuple[int, ...]]:
    """The events of one stock by `itchfeed` and a dictionary: (time, kind, side, id, price, size).

    Kinds are those of `EventKind`: 0 add, 1 reduce, 2 cancel, 3 execute, 4 hidden, 5 halt.
    """
    orders: dict[int, list[int]] = {}  # id -> [side, price, rest]
    events: list[tuple[int, ...]] = []
    for message in MessageParser().parse_file(BytesIO(content)):
        if message.stock_locate != STOCKS[stock]:
            continue
        kind, time = message.message_type.decode(), message.timestamp
        order_id = getattr(message, "order_reference_number", 0)
        if kind in "AF":
            side = 1 if message.buy_sell_indicator == b"B" else -1
            orders[order_id] = [side, message.price, message.shares]
            events.append((time, 0, side, order_id, message.price, message.shares))
        elif kind in "EC":
            side, price, _ = orders[order_id]
            orders[order_id][2] -= message.executed_shares
            events.append((time, 3, side, order_id, price, message.executed_shares))
        elif kind == "X":
            side, price, rest = orders[order_id]
            gone = message.cancelled_shares
            orders[order_id][2] -= gone
            events.append((time, 2 if gone == rest else 1, side, order_id, price, gone))
        elif kind == "D":
            side, price, rest = orders.pop(order_id)
            events.append((time, 2, side, order_id, price, rest))
        elif kind == "U":
            side, price, rest = orders.pop(order_id)
            events.append((time, 2, side, order_id, price, rest))
            new_id = message.new_order_reference_number
            orders[new_id] = [side, message.price, message.shares]
            events.append((time, 0, side, new_id, message.price, message.shares))
        elif kind == "P":
            side = 1 if message.buy_sell_indicator == b"B" else -1
            events.append((time, 4, side, 0, message.price, message.shares))
        elif kind == "H":
            events.append((time, 5, 0, 0, 0, int(message.trading_state == b"T")))
    return events
