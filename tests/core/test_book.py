"""The audit of the book: it accepts a valid record and finds each kind of fault.

Other tests rely on `audit`, so it must not accept an invalid book.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mm_gym.core import book as codes
from mm_gym.core import entry_points
from mm_gym.core.layout import ASK, BID, NO_ORDER, book_dtype

LEVELS, ORDERS = 4, 8


def an_empty_book() -> npt.NDArray[Any]:
    books = np.zeros(1, dtype=book_dtype(LEVELS, ORDERS))
    entry_points.book_clear(books)
    return books


def a_sound_book() -> npt.NDArray[Any]:
    #   bids (slots)    price   asks
    #                    103    5
    #                    102    3 4
    #   0                100
    #   1 2               99
    books = an_empty_book()
    for side, price in ((BID, 100), (BID, 99), (BID, 99), (ASK, 102), (ASK, 102), (ASK, 103)):
        entry_points.book_add(books, side, price, 5)
    return books


def test_a_valid_book_is_sound() -> None:
    assert entry_points.book_audit(an_empty_book()) == codes.SOUND
    assert entry_points.book_audit(a_sound_book()) == codes.SOUND


def _swap_levels(book: Any) -> None:
    book["levels"][BID][:2] = book["levels"][BID][:2][::-1].copy()


def _cross(book: Any) -> None:
    book["levels"][ASK]["key"][1] = book["orders"]["key"][[3, 4]] = -100


def _set(field: str, index: Any, column: str, value: int) -> Callable[[Any], None]:
    def change(book: Any) -> None:
        book[field][index][column] = value

    return change


def _place_beyond_the_last(book: Any) -> None:
    book["orders"][3]["place"], book["live"][6] = 6, 3


def _count(field: str, value: int) -> Callable[[Any], None]:
    def change(book: Any) -> None:
        book[field] = value

    return change


FAULTS: dict[str, tuple[Callable[[Any], None], int]] = {
    "levels out of order": (_swap_levels, codes.LEVELS_OUT_OF_ORDER),
    "one price at two levels": (_set("levels", (BID, 1), "key", 99), codes.LEVELS_OUT_OF_ORDER),
    "bid and ask at one price": (_cross, codes.BOOK_CROSSED),
    "a level without orders": (_set("levels", (BID, 1), "head", NO_ORDER), codes.EMPTY_LEVEL),
    "a level without a last order": (_set("levels", (BID, 1), "tail", NO_ORDER), codes.EMPTY_LEVEL),
    "a level that ends too early": (_set("levels", (BID, 0), "tail", 1), codes.BROKEN_QUEUE),
    "a queue cut short": (_set("orders", 1, "younger", NO_ORDER), codes.BROKEN_QUEUE),
    "a queue in a ring": (_set("orders", 2, "younger", 1), codes.BROKEN_QUEUE),
    "a wrong link to the older order": (_set("orders", 2, "older", 0), codes.BROKEN_QUEUE),
    "an order of the other side": (_set("orders", 3, "side", BID), codes.BROKEN_QUEUE),
    "an order at another price": (_set("orders", 3, "key", -101), codes.BROKEN_QUEUE),
    "an order without lots": (_set("orders", 3, "lots", 0), codes.BROKEN_QUEUE),
    "an order with other lots than its level": (
        _set("orders", 3, "lots", 6),
        codes.WRONG_LEVEL_SIZE,
    ),
    "two orders at one place of the pool": (_set("orders", 3, "place", 2), codes.BROKEN_POOL),
    "a place outside the pool": (_set("orders", 3, "place", 6), codes.BROKEN_POOL),
    "a place of a free slot": (_place_beyond_the_last, codes.BROKEN_POOL),
    "a place far outside the pool": (_set("orders", 3, "place", 2**30), codes.BROKEN_POOL),
    "a queue that leads out of the pool": (_set("orders", 1, "younger", 2**30), codes.BROKEN_QUEUE),
    "a level that leads out of the pool": (
        _set("levels", (ASK, 0), "head", -7),
        codes.BROKEN_QUEUE,
    ),
    "more levels than there is room for": (_count("n_levels", 2**40), codes.WRONG_COUNT),
    "fewer levels than none": (_count("n_levels", -1), codes.WRONG_COUNT),
    "more orders than there is room for": (_count("n_live", 2**40), codes.WRONG_COUNT),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_audit_finds_each_fault(name: str) -> None:
    plant, code = FAULTS[name]
    books = a_sound_book()
    plant(books[0])
    assert entry_points.book_audit(books) == code


def test_the_audit_finds_a_crossed_book_with_one_price_a_side() -> None:
    books = an_empty_book()
    for side, price in ((BID, 100), (ASK, 101)):
        entry_points.book_add(books, side, price, 5)
    assert entry_points.book_audit(books) == codes.SOUND
    books[0]["levels"][ASK]["key"][0] = books[0]["orders"]["key"][1] = -100
    assert entry_points.book_audit(books) == codes.BOOK_CROSSED


def test_the_audit_of_the_pool_finds_a_slot_that_is_free_twice_or_nowhere() -> None:
    books = a_sound_book()
    assert entry_points.book_audit_pool(books) == codes.SOUND
    for slot in (0, 7, -1, ORDERS, 2**30):
        books["live"][0, -2] = slot
        assert entry_points.book_audit(books) == codes.SOUND
        assert entry_points.book_audit_pool(books) == codes.BROKEN_POOL


def test_the_audit_finds_a_live_order_without_a_queue() -> None:
    books = a_sound_book()
    books["n_live"] += 1
    assert entry_points.book_audit(books) == codes.LOST_ORDER


@pytest.mark.parametrize("side", [BID, ASK])
def test_a_full_book_refuses_an_order_and_does_not_change(side: int) -> None:
    sign = 1 if side == BID else -1

    full_of_levels = an_empty_book()
    for price in range(LEVELS):
        assert entry_points.book_add(full_of_levels, side, sign * price, 1) != NO_ORDER
    before = full_of_levels.copy()
    assert entry_points.book_add(full_of_levels, side, sign * LEVELS, 1) == NO_ORDER
    assert full_of_levels.tobytes() == before.tobytes()
    # An order at an existing level still has room.
    assert entry_points.book_add(full_of_levels, side, 0, 1) != NO_ORDER

    full_of_orders = an_empty_book()
    for _ in range(ORDERS):
        assert entry_points.book_add(full_of_orders, side, 7, 1) != NO_ORDER
    before = full_of_orders.copy()
    assert entry_points.book_add(full_of_orders, side, 7, 1) == NO_ORDER
    assert full_of_orders.tobytes() == before.tobytes()
    assert entry_points.book_audit(full_of_orders) == codes.SOUND


def test_free_slots_are_reused_and_none_is_lost() -> None:
    books = an_empty_book()
    random = np.random.default_rng(0)
    resting: list[int] = []
    for _ in range(2_000):
        if len(resting) < ORDERS and random.random() < 0.6:
            resting.append(int(entry_points.book_add(books, BID, int(random.integers(LEVELS)), 1)))
        elif resting:
            entry_points.book_cancel(books, resting.pop(random.integers(len(resting))))
        assert entry_points.book_audit(books) == codes.SOUND
        n_live = int(books[0]["n_live"])
        assert sorted(books[0]["live"][:n_live].tolist()) == sorted(resting)
        assert sorted(books[0]["live"].tolist()) == list(range(ORDERS))
