"""One stream of orders, in the forms that this project and its peers read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.data.events import BUY, EVENT, SELL, EventKind
from mm_gym.order_book import LimitOrderBook

MID = 10_000  # [ticks] price that orders are placed around
NANOSECONDS_APART = 1_000_000

# hftbacktest's market-by-order events and their flags, as in its documentation.
HFTBACKTEST_EVENT: np.dtype[Any] = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)
_ADD, _CANCEL, _MODIFY, _FILL = 10, 11, 12, 13
_EXCHANGE_AND_LOCAL, _BUY, _SELL = 3 << 30, 1 << 29, 1 << 28


@dataclass(frozen=True)
class Stream:
    """Requests to an order book, and what the exchange reports about them."""

    requests: list[tuple[int, int, int]]
    """Side (BUY or SELL), price and size of a new limit order. The k-th new order has the id k,
    from 1. Or 0, id and 0 to cancel an order that rests."""
    events: npt.NDArray[Any]
    """Rows of `EVENT`."""
    lots: int
    """[lots] traded."""


def stream(n: int, seed: int = 0) -> Stream:
    """Make up n requests: 5 in 10 rest, 1 in 10 takes, and 4 in 10 cancel.

    Prices stay near `MID`, so the book stays small, as it does near the touch of a liquid stock.
    """
    rng = np.random.default_rng(seed)
    book, live, orders = LimitOrderBook(), [], 0
    requests: list[tuple[int, int, int]] = []
    events: list[tuple[int, int, int, int, int, int]] = []
    resting: dict[int, tuple[int, int]] = {}  # id -> side, price
    sizes: dict[int, int] = {}
    lots = 0

    def report(kind: EventKind, order_id: int, size: int) -> None:
        side, price = resting[order_id]
        events.append((len(requests) * NANOSECONDS_APART, kind, side, order_id, price, size))
        sizes[order_id] -= size if kind != EventKind.ADD else 0

    for draw in rng.random(n):
        if draw < 0.4 and live:
            place = int(rng.integers(len(live)))
            live[place], live[-1] = live[-1], live[place]
            order_id = live.pop()
            requests.append((0, order_id, 0))
            book.cancel(order_id)
            report(EventKind.CANCEL, order_id, sizes[order_id])
            continue
        orders += 1
        side = BUY if rng.random() < 0.5 else SELL
        depth = -3 if draw > 0.9 else int(rng.geometric(0.2))
        price, size = MID - side * depth, int(rng.integers(1, 10))
        requests.append((side, price, size))
        _, fills = book.submit("bid" if side == BUY else "ask", price, size, order_id=orders)
        for maker, _, taken in fills:
            report(EventKind.EXECUTE, maker, taken)
            lots += taken
            if maker not in book:
                live.remove(maker)
        if orders in book:
            left = size - sum(taken for _, _, taken in fills)
            resting[orders], sizes[orders] = (side, price), left
            live.append(orders)
            report(EventKind.ADD, orders, left)
    return Stream(requests, np.array(events, EVENT), lots)


def hftbacktest_events(events: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same events for hftbacktest. As at Databento, a fill is followed by what it leaves.

    Args:
        events: rows of `EVENT` of kinds ADD, CANCEL and EXECUTE, shape (n,).

    Returns:
        Rows of `HFTBACKTEST_EVENT`. An execution takes two.
    """
    rows, sizes = [], {}
    for time, kind, side, order_id, price, size in events.tolist():
        flags = _EXCHANGE_AND_LOCAL | (_BUY if side == BUY else _SELL)

        def row(kind: int, size: int) -> None:
            rows.append((kind | flags, time, time, price, size, order_id, 0, 0.0))  # noqa: B023

        if kind == EventKind.ADD:
            sizes[order_id] = size
            row(_ADD, size)
        elif kind == EventKind.CANCEL:
            row(_CANCEL, size)
        else:
            sizes[order_id] -= size
            row(_FILL, size)
            row(_MODIFY if sizes[order_id] else _CANCEL, sizes[order_id] or size)
    return np.array(rows, HFTBACKTEST_EVENT)
