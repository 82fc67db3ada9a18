"""The compiled book of events against `LimitOrderBook`, and on real data."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mm_gym.data.event_book import EventBook
from mm_gym.data.events import BUY, EVENT, SELL, EventKind, in_chunks, load
from mm_gym.data.formats import open_file
from mm_gym.data.lobster import SIDES, Side, order_book_dtype
from mm_gym.order_book import LimitOrderBook

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ADD, REDUCE, CANCEL, EXECUTE, HIDDEN, HALT = EventKind


def slow_rows(events: npt.NDArray[Any], n_levels: int) -> tuple[npt.NDArray[Any], LimitOrderBook]:
    """The best levels after each event, one event at a time."""
    book = LimitOrderBook()
    rows = np.zeros(len(events), order_book_dtype(n_levels))
    rows["ask_price"], rows["bid_price"] = 9_999_999_999, -9_999_999_999
    for row, (_, kind, number, order_id, price, size) in enumerate(events.tolist()):
        if kind == ADD and order_id not in book:
            side, other = SIDES[number], SIDES[-number]
            while (best := book.levels(other, 1)) and (
                best[0][0] <= price if side == "bid" else best[0][0] >= price
            ):
                for resting_id, _ in book.queue(other, best[0][0]):
                    book.cancel(resting_id)
            book.submit(side, price, size, order_id)
        elif kind in (REDUCE, CANCEL, EXECUTE) and order_id in book:
            rest = dict(book.queue(SIDES[number], price))[order_id]
            book.reduce(order_id, min(size, rest))
        for name in ("bid", "ask"):
            for level, (level_price, level_size) in enumerate(book.levels(name, n_levels)):
                rows[f"{name}_price"][row, level] = level_price
                rows[f"{name}_size"][row, level] = level_size
    return rows, book


def random_events(seed: int, n: int = 4000) -> npt.NDArray[Any]:
    """Additions, some of which cross, and reductions of live, dead and unknown orders."""
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT)
    live: list[tuple[int, int, int]] = []  # order id, side, price
    for row in range(n):
        if len(live) < 3 or rng.random() < 0.5:
            side = BUY if rng.random() < 0.5 else SELL
            price = int(1000 - side * rng.integers(-1, 40))
            order_id = int(rng.integers(1, 10**12))
            live.append((order_id, side, price))
            events[row] = (row, ADD, side, order_id, price, rng.integers(1, 10))
        elif rng.random() < 0.05:
            events[row] = (row, CANCEL, BUY, rng.integers(1, 10**12), 990, 1)
        elif rng.random() < 0.05:
            events[row] = (row, rng.choice([HIDDEN, HALT]), 0, 0, 0, 1)
        else:
            order_id, side, price = live[int(rng.integers(len(live)))]
            kind = rng.choice([REDUCE, CANCEL, EXECUTE])
            events[row] = (row, kind, side, order_id, price, rng.integers(1, 12))
    return events


@pytest.mark.parametrize("chunk", [1, 37, 10**6])
def test_random_events_give_the_rows_of_the_slow_book(chunk: int) -> None:
    for seed in range(3):
        events = random_events(seed)
        book = EventBook()
        rows = np.concatenate([book.apply(part, 5) for part in in_chunks(events, chunk)])
        expected, slow = slow_rows(events, 5)
        np.testing.assert_array_equal(rows, expected)
        assert len(book) == len(slow) > 5
        assert book.levels(100) == (slow.levels("bid"), slow.levels("ask"))
        assert book.n_removed > 20
        assert book.n_unknown > 20


def test_a_book_that_grows_loses_nothing() -> None:
    """More orders, levels and rows of the table than there is room for at first."""
    n = 60_000
    events = np.zeros(n, EVENT)
    events["kind"], events["side"], events["size"] = ADD, BUY, 2
    events["order_id"] = np.random.default_rng(0).permutation(n) * 977
    events["price"] = np.arange(n) % 5000
    book = EventBook()
    book.apply(events)
    assert len(book) == n
    bids, asks = book.levels(n)
    assert bids == [(price, 2 * n // 5000) for price in range(4999, -1, -1)]
    assert asks == []
    events["kind"] = CANCEL
    book.apply(events)
    assert len(book) == book.n_unknown == 0


def test_twenty_minutes_of_aapl_give_the_rows_of_the_slow_book() -> None:
    path = SAMPLES / "AAPL_2012-06-21_34200000_35400000_message_50.csv"
    if not path.exists():
        pytest.skip(f"the sample {path.name} is not in ../shared/data, and not part of the project")
    events = load(open_file(path)).rows
    book = EventBook()
    expected, _ = slow_rows(events, 10)
    np.testing.assert_array_equal(book.apply(events, 10), expected)
    assert book.n_removed == 0  # the exchange's book was never crossed
    assert book.n_unknown == 44  # events of orders from before the file


def test_the_side_of_a_level_is_that_of_its_orders() -> None:
    """One order a side, by hand."""
    events = np.array(
        [(0, ADD, BUY, 1, 99, 3), (1, ADD, SELL, 2, 101, 4), (2, EXECUTE, SELL, 2, 101, 1)], EVENT
    )
    book = EventBook()
    rows = book.apply(events, 1)
    side: Side
    for side, price, sizes in (("bid", 99, [3, 3, 3]), ("ask", 101, [0, 4, 3])):
        assert rows[f"{side}_size"][:, 0].tolist() == sizes
        assert rows[f"{side}_price"][2, 0] == price
    assert book.levels(2) == ([(99, 3)], [(101, 3)])
