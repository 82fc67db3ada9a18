"""The limit order book, compared with ladders written by hand.

In the ladders, bids are on the left and asks on the right. An order is `id:size`, and the oldest is
first.
"""

import copy
import doctest
import pickle
from typing import Any

import numpy as np
import pytest

import mm_gym.order_book
from mm_gym import LimitOrderBook
from mm_gym.order_book import OrderBookError
from tests.reference_book import SIDES, ReferenceBook, everything


def a_small_book() -> LimitOrderBook:
    #   bids          price   asks
    #                 103     5:10
    #                 102     3:2  4:4
    #   2:3           100
    #   1:5  6:1       99
    book = LimitOrderBook()
    book.submit("bid", 99, 5, order_id=1)
    book.submit("bid", 100, 3, order_id=2)
    book.submit("ask", 102, 2, order_id=3)
    book.submit("ask", 102, 4, order_id=4)
    book.submit("ask", 103, 10, order_id=5)
    book.submit("bid", 99, 1, order_id=6)
    return book


# --------------------------------------------------------------------------------- by example


def test_the_example_in_the_docstring_runs() -> None:
    results = doctest.testmod(mm_gym.order_book)
    assert results.attempted > 0
    assert results.failed == 0


def test_an_empty_book_has_no_levels_and_no_orders() -> None:
    book = LimitOrderBook()
    assert everything(book) == {
        "best": (None, None),
        "orders": 0,
        "bid levels": [],
        "ask levels": [],
    }
    assert book.queue("bid", 100) == []
    assert book.market("bid", 5) == []
    assert len(book) == 0


def test_levels_are_best_first_and_queues_are_oldest_first() -> None:
    book = a_small_book()
    assert (book.best_bid, book.best_ask) == (100, 102)
    assert book.levels("bid") == [(100, 3), (99, 6)]
    assert book.levels("ask") == [(102, 6), (103, 10)]
    assert book.levels("ask", 1) == [(102, 6)]
    assert book.levels("ask", 0) == []
    assert book.levels("ask", 9) == [(102, 6), (103, 10)]
    assert book.queue("bid", 99) == [(1, 5), (6, 1)]
    assert book.queue("ask", 102) == [(3, 2), (4, 4)]
    assert book.queue("ask", 99) == []
    assert len(book) == 6
    assert 6 in book
    assert 7 not in book


def test_a_market_order_takes_the_best_price_and_the_oldest_order_first() -> None:
    book = a_small_book()
    #   102     3:2  4:4   <- buys 7: order 3, order 4, and one lot of order 5
    #   103     5:10
    assert book.market("bid", 7) == [(3, 102, 2), (4, 102, 4), (5, 103, 1)]
    assert book.levels("ask") == [(103, 9)]
    assert book.levels("bid") == [(100, 3), (99, 6)]
    assert 3 not in book
    assert 5 in book


def test_a_market_order_to_sell_has_the_side_ask_and_takes_the_bids() -> None:
    book = a_small_book()
    assert book.market("ask", 6) == [(2, 100, 3), (1, 99, 3)]
    assert book.queue("bid", 99) == [(1, 2), (6, 1)]


def test_the_remainder_of_a_market_order_does_not_rest() -> None:
    book = a_small_book()
    assert sum(size for _, _, size in book.market("bid", 1000)) == 16
    assert book.best_ask is None
    assert book.levels("bid") == [(100, 3), (99, 6)]
    assert book.audit()


def test_a_limit_order_trades_up_to_its_price_and_its_remainder_rests() -> None:
    book = a_small_book()
    #   bids          price   asks                       bids          price   asks
    #                 103     5:10                                     103     5:10
    #                 102     3:2  4:4    buy 9 at 102   7:3           102
    #   2:3           100                      ->        2:3           100
    assert book.submit("bid", 102, 9, order_id=7) == (7, [(3, 102, 2), (4, 102, 4)])
    assert book.queue("bid", 102) == [(7, 3)]
    assert (book.best_bid, book.best_ask) == (102, 103)
    assert book.audit()


def test_a_limit_order_that_is_filled_at_once_never_rests_and_frees_its_id() -> None:
    book = a_small_book()
    assert book.submit("ask", 99, 4, order_id=7) == (7, [(2, 100, 3), (1, 99, 1)])
    assert 7 not in book
    assert book.submit("ask", 105, 1, order_id=7) == (7, [])


def test_fills_are_at_the_resting_orders_price() -> None:
    book = a_small_book()
    assert book.submit("ask", 1, 1, order_id=7)[1] == [(2, 100, 1)]


def test_an_order_that_is_partly_filled_keeps_its_place() -> None:
    book = a_small_book()
    book.market("bid", 1)
    book.submit("ask", 102, 8, order_id=7)
    assert book.queue("ask", 102) == [(3, 1), (4, 4), (7, 8)]


def test_a_reduced_order_keeps_its_place_and_a_new_order_joins_the_back() -> None:
    book = a_small_book()
    book.reduce(1, 4)
    assert book.queue("bid", 99) == [(1, 1), (6, 1)]
    book.cancel(1)
    book.submit("bid", 99, 1, order_id=1)
    assert book.queue("bid", 99) == [(6, 1), (1, 1)]


def test_reducing_by_all_lots_removes_the_order() -> None:
    book = a_small_book()
    book.reduce(2, 3)
    assert 2 not in book
    assert book.best_bid == 99


@pytest.mark.parametrize(
    "cancelled, left", [(1, [(2, 1), (3, 1)]), (2, [(1, 1), (3, 1)]), (3, [(1, 1), (2, 1)])]
)
def test_cancelling_closes_the_gap_in_the_queue(
    cancelled: int, left: list[tuple[int, int]]
) -> None:
    book = LimitOrderBook()
    for order_id in (1, 2, 3):
        book.submit("ask", 7, 1, order_id=order_id)
    book.cancel(cancelled)
    assert book.queue("ask", 7) == left
    assert book.market("bid", 3) == [(order_id, 7, 1) for order_id, _ in left]


def test_new_ids_skip_the_ids_of_resting_orders() -> None:
    book = LimitOrderBook()
    book.submit("bid", 10, 1, order_id=2)
    assert [book.submit("bid", 10, 1)[0] for _ in range(3)] == [1, 3, 4]


def test_copies_and_pickles_of_a_book_are_equal_and_independent() -> None:
    book = a_small_book()
    before = everything(book)
    for copied in (copy.deepcopy(book), pickle.loads(pickle.dumps(book))):
        assert everything(copied) == before
        assert copied.market("bid", 7) == [(3, 102, 2), (4, 102, 4), (5, 103, 1)]
        assert copied.audit()
        assert everything(book) == before


# -------------------------------------------------------------------------- any ids, any prices


@pytest.mark.parametrize(
    "order_id", [0, -1, -(2**63) - 1, 2**63, 2**200, np.int64(-5), np.uint64(2**64 - 1)]
)
def test_any_whole_number_is_an_id(order_id: int) -> None:
    book = LimitOrderBook()
    assert book.submit("bid", 10, 4, order_id=order_id) == (order_id, [])
    book.reduce(order_id, 1)
    assert book.queue("bid", 10) == [(int(order_id), 3)]
    assert book.market("ask", 1) == [(int(order_id), 10, 1)]
    book.cancel(order_id)
    assert order_id not in book


def test_prices_may_be_negative_huge_and_far_apart() -> None:
    #   bids      price      asks
    #             2**60      5:1
    #             2**60-1    4:1
    #   3:1       0
    #   2:1       -1
    #   1:1       -2**60
    book = LimitOrderBook()
    for order_id, (side, price) in enumerate(
        [("bid", -(2**60)), ("bid", -1), ("bid", 0), ("ask", 2**60 - 1), ("ask", 2**60)], start=1
    ):
        assert book.submit(side, price, 1, order_id) == (order_id, [])
    assert book.levels("bid") == [(0, 1), (-1, 1), (-(2**60), 1)]
    assert book.levels("ask") == [(2**60 - 1, 1), (2**60, 1)]
    assert book.market("bid", 9) == [(4, 2**60 - 1, 1), (5, 2**60, 1)]
    assert book.market("ask", 9) == [(3, 0, 1), (2, -1, 1), (1, -(2**60), 1)]


def test_numpy_integers_are_whole_numbers_too() -> None:
    book = LimitOrderBook()
    book.submit("bid", np.int32(10), np.int8(3), np.int16(4))
    assert book.market("ask", np.uint8(1)) == [(4, 10, 1)]
    book.reduce(np.int64(4), np.int64(1))
    assert book.levels("bid", np.int64(1)) == [(10, 1)]


def test_the_size_of_a_level_does_not_overflow_at_the_largest_order_size() -> None:
    largest = mm_gym.order_book._LARGEST_SIZE
    book, reference = LimitOrderBook(), ReferenceBook()
    for order_id in range(20):
        for either in (book, reference):
            either.submit("bid", 10, largest, order_id)
    assert book.levels("bid") == reference.levels("bid")
    assert book.market("ask", largest) == reference.market("ask", largest)
    assert everything(book) == everything(reference)


# ------------------------------------------------------------------------------------- refusals

REFUSALS: list[tuple[str, tuple[Any, ...], str]] = [
    (
        "submit",
        ("buy", 10, 1),
        r"side='buy' is not offered: expected 'bid' to buy or 'ask' to sell, got",
    ),
    ("submit", (0, 10, 1), r"side=0 is not offered"),
    (
        "submit",
        ("bid", 10.0, 1),
        r"price=10\.0 is not a whole number: expected a whole .*, got 10\.0",
    ),
    ("submit", ("bid", float("nan"), 1), r"price=nan is not a whole number: expected"),
    ("submit", ("bid", "10", 1), r"price='10' is not a whole number: expected"),
    ("submit", ("bid", True, 1), r"price=True is not a whole number: expected"),
    ("submit", ("bid", None, 1), r"price=None is not a whole number: expected"),
    (
        "submit",
        ("bid", 2**60 + 1, 1),
        r"price=1152921504606846977 is out of range: expected a whole number from",
    ),
    ("submit", ("bid", -(2**80), 1), r"price=-1208925819614629174706176 is out of range"),
    ("submit", ("bid", 10, 0), r"size=0 is out of range: expected a whole number from 1 .*, got 0"),
    ("submit", ("bid", 10, -1), r"size=-1 is out of range"),
    ("submit", ("bid", 10, 2**64), r"size=18446744073709551616 is out of range"),
    ("submit", ("bid", 10, 1.0), r"size=1\.0 is not a whole number: expected"),
    (
        "submit",
        ("bid", 104, 1, 1),
        r"order_id=1 rests in the book already: expected an unused id, got 1",
    ),
    (
        "submit",
        ("bid", 10, 1, 1.5),
        r"order_id=1\.5 is not a whole number: expected a whole number or None, got 1\.5",
    ),
    ("submit", ("bid", 10, 1, "7"), r"order_id='7' is not a whole number"),
    ("submit", ("bid", 10, 1, False), r"order_id=False is not a whole number"),
    ("market", ("Bid", 1), r"side='Bid' is not offered"),
    ("market", ("bid", 0), r"size=0 is out of range"),
    ("market", ("bid", 1.5), r"size=1\.5 is not a whole number"),
    ("reduce", (7, 1), r"order 7 does not rest in the book: expected the id of .*, got 7"),
    ("reduce", (1, 6), r"order 1 is smaller than that: .* at most 5 lots, got 6 \(write cancel"),
    ("reduce", (1, 0), r"size=0 is out of range"),
    ("reduce", (1, -1), r"size=-1 is out of range"),
    ("reduce", (1, 2.0), r"size=2\.0 is not a whole number"),
    ("reduce", (1, 5.0), r"size=5\.0 is not a whole number"),  # although the order has 5 lots
    ("reduce", (6, True), r"size=True is not a whole number"),
    ("cancel", (7,), r"order 7 does not rest in the book"),
    ("cancel", ("1",), r"order '1' does not rest"),
    ("cancel", (None,), r"order None does not rest"),
    ("levels", ("both",), r"side='both' is not offered"),
    ("levels", ("bid", -1), r"n=-1 is out of range: expected a whole number from 0"),
    ("levels", ("bid", 1.0), r"n=1\.0 is not a whole number"),
    ("queue", (None, 99), r"side=None is not offered"),
    ("queue", ("bid", 99.0), r"price=99\.0 is not a whole number"),
]


@pytest.mark.parametrize("method, arguments, message", REFUSALS)
def test_a_wrong_order_is_refused_and_changes_nothing(
    method: str, arguments: tuple[Any, ...], message: str
) -> None:
    book = a_small_book()
    before = everything(book)
    with pytest.raises(OrderBookError, match=message):
        getattr(book, method)(*arguments)
    assert everything(book) == before
    assert book.audit()
    assert book.submit("bid", 1, 1)[0] == 7  # the refused order has used no id


@pytest.mark.parametrize("gone", ["filled", "cancelled", "reduced away"])
def test_an_order_that_no_longer_rests_is_unknown(gone: str) -> None:
    book = a_small_book()
    {"filled": lambda: book.market("ask", 3), "cancelled": lambda: book.cancel(2)}.get(
        gone, lambda: book.reduce(2, 3)
    )()
    with pytest.raises(OrderBookError, match="order 2 does not rest"):
        book.cancel(2)
    with pytest.raises(OrderBookError, match="order 2 does not rest"):
        book.reduce(2, 1)


def test_an_order_book_error_is_a_value_error() -> None:
    assert issubclass(OrderBookError, ValueError)


def test_lots_are_conserved() -> None:
    # Each entered lot rests, was traded against another lot, or was removed.
    book = LimitOrderBook()
    random = np.random.default_rng(5)
    entered, removed, traded = 0, 0, 0
    for _ in range(5_000):
        side = SIDES[random.integers(2)]
        size = int(random.integers(1, 30))
        draw = random.random()
        if draw < 0.6:
            _, fills = book.submit(side, int(random.integers(90, 111)), size)
            entered += size
        elif draw < 0.8:
            fills = book.market(side, size)
            entered += sum(lots for _, _, lots in fills)
        else:
            fills = []
            best = book.best_bid if side == "bid" else book.best_ask
            if best is not None:
                order_id, resting = book.queue(side, best)[-1]
                size = min(size, resting)
                book.reduce(order_id, size)
                removed += size
        traded += sum(lots for _, _, lots in fills)
    resting = sum(lots for side in SIDES for _, lots in book.levels(side))
    assert min(entered, removed, traded, resting) > 0
    assert entered == resting + 2 * traded + removed
