"""The limit order book gives the same results as `ReferenceBook`, which is slow and simple."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import mm_gym.order_book
from mm_gym import LimitOrderBook
from mm_gym.core.layout import ASK
from mm_gym.order_book import OrderBookError
from tests.reference_book import SIDES, ReferenceBook, everything


@pytest.mark.parametrize("filled", ["levels", "orders"])
def test_a_full_book_grows_and_every_queue_keeps_its_order(filled: str) -> None:
    levels, orders = mm_gym.order_book._LEVELS, mm_gym.order_book._ORDERS
    many = 4 * levels if filled == "levels" else orders + 10
    different_prices = many if filled == "levels" else 50
    book, reference = LimitOrderBook(), ReferenceBook()
    price = np.random.default_rng(0).permutation(many) % different_prices
    for order_id in range(many):
        for either in (book, reference):
            either.submit("ask", int(price[order_id]), 1 + order_id % 7, order_id)
    assert len(book._bounds[ASK]) >= 3 if filled == "levels" else book._n_orders > orders
    assert everything(book) == everything(reference)
    for order_id in range(0, many, 3):
        book.cancel(order_id)
        reference.cancel(order_id)
    assert book.market("bid", 3 * many) == reference.market("bid", 3 * many)
    assert everything(book) == everything(reference)
    assert book.audit()


class BothBooks(RuleBasedStateMachine):
    """Hypothesis searches for the shortest sequence of orders on which the two books differ."""

    ids = st.integers(-3, 8)
    prices = st.one_of(st.integers(-3, 3), st.sampled_from([-(2**60), 2**60]))
    sizes = st.integers(-1, 9)
    sides = st.sampled_from(SIDES)

    @initialize()
    def start(self) -> None:
        self.book, self.reference = LimitOrderBook(), ReferenceBook()

    def both(self, method: str, *arguments: Any) -> None:
        try:
            expected = getattr(self.reference, method)(*arguments)
        except ValueError:
            with pytest.raises(OrderBookError):
                getattr(self.book, method)(*arguments)
        else:
            assert getattr(self.book, method)(*arguments) == expected

    @rule(side=sides, price=prices, size=sizes, order_id=st.none() | ids)
    def submit(self, side: str, price: int, size: int, order_id: int | None) -> None:
        self.both("submit", side, price, size, order_id)

    @rule(side=sides, size=sizes)
    def market(self, side: str, size: int) -> None:
        self.both("market", side, size)

    @rule(order_id=ids, size=sizes)
    def reduce(self, order_id: int, size: int) -> None:
        self.both("reduce", order_id, size)

    @rule(order_id=ids)
    def cancel(self, order_id: int) -> None:
        self.both("cancel", order_id)

    @invariant()
    def they_are_equal(self) -> None:
        assert everything(self.book) == everything(self.reference)
        assert self.book.audit()


class SmallBlocks(BothBooks):
    """The same with blocks of two levels and a record that has to grow, so that both often do."""

    ids = st.integers(0, 30)
    prices = st.integers(-12, 12)

    @initialize()
    def start(self) -> None:
        self.sizes_before = mm_gym.order_book._LEVELS, mm_gym.order_book._ORDERS
        mm_gym.order_book._LEVELS, mm_gym.order_book._ORDERS = 2, 4
        super().start()

    def teardown(self) -> None:
        mm_gym.order_book._LEVELS, mm_gym.order_book._ORDERS = self.sizes_before


_SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
TestBothBooks = BothBooks.TestCase
TestBothBooks.settings = _SETTINGS
TestSmallBlocks = SmallBlocks.TestCase
TestSmallBlocks.settings = settings(_SETTINGS, max_examples=25, stateful_step_count=60)


def test_the_last_orders_of_many_blocks_are_found_from_both_ends() -> None:
    """Blocks that become empty are forgotten, wherever they are."""
    n = 6 * mm_gym.order_book._LEVELS
    for order in (range(n), range(n - 1, -1, -1), np.random.default_rng(1).permutation(n).tolist()):
        book = LimitOrderBook()
        for price in order:
            book.submit("bid", price, 1, price)
        assert book.levels("bid") == [(price, 1) for price in range(n - 1, -1, -1)]
        kept = range(0, n, n // 7)
        for price in order:
            if price not in kept:
                book.cancel(price)
        assert book.audit()
        assert book.market("ask", 3) == [(price, price, 1) for price in kept[:-4:-1]]
        assert book.levels("bid") == [(price, 1) for price in kept[-4::-1]]
        assert book.audit()


def random_operations(
    seed: int, n: int, typical_depth: float, wander: float, centre: int
) -> Iterator[tuple[Any, ...]]:
    """Draws for `n` operations: a kind in [0, 1), a side, a price, a size and the index of an id.

    Prices have an exponential distance from a centre that follows a random walk. Three in four are
    behind the centre, and one in four is beyond it.
    """
    random = np.random.default_rng(seed)
    sides = random.integers(0, 2, n)
    depths = random.exponential(typical_depth, n) * random.choice([1.0, 1.0, 1.0, -1.0], n)
    centres = np.cumsum(random.normal(0.0, wander, n)).round().astype(np.int64) + centre
    prices = centres + (np.where(sides == 0, -1, 1) * depths).round().astype(np.int64)
    return zip(
        random.random(n).tolist(),
        [SIDES[side] for side in sides],
        prices.tolist(),
        random.geometric(0.2, n).tolist(),
        random.integers(0, 400, n).tolist(),
        strict=True,
    )


MARKET_SHAPES = {
    "deep queues at a few prices": {"typical_depth": 1.5, "wander": 0.01, "centre": 0},
    "a market like that of the environment": {
        "typical_depth": 4.0,
        "wander": 0.1,
        "centre": 10_000,
    },
    "an order at nearly every price, all below zero": {
        "typical_depth": 500.0,
        "wander": 5.0,
        "centre": -(10**9),
    },
    "prices as far apart as possible": {
        "typical_depth": 2.0**54,
        "wander": 2.0**45,
        "centre": 0,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("seed, shape", list(enumerate(MARKET_SHAPES)))
def test_a_quarter_of_a_million_random_operations_agree_with_the_reference(
    seed: int, shape: str
) -> None:
    n, compared_after_each, compared_every = 250_000, 1_000, 500
    book, reference = LimitOrderBook(), ReferenceBook()
    ids = np.random.default_rng([seed, 1]).integers(-(2**63), 2**63, 400).tolist()
    ids = [3 * order_id for order_id in ids]  # some of them have more than 64 bits
    counts = dict.fromkeys(("resting", "crossing", "market", "reduce", "cancel"), 0)

    for done, (kind, side, price, size, index) in enumerate(
        random_operations(seed, n, **MARKET_SHAPES[shape])
    ):
        order_id = ids[index]
        if kind < 0.06:
            operation = "market"
            assert book.market(side, size) == reference.market(side, size)
        elif order_id not in reference:
            order_id_and_fills = reference.submit(side, price, size, order_id)
            operation = "crossing" if order_id_and_fills[1] else "resting"
            assert book.submit(side, price, size, order_id) == order_id_and_fills
        elif kind < 0.6:
            operation = "reduce"
            size = min(size, reference.size_of(order_id))
            book.reduce(order_id, size)
            reference.reduce(order_id, size)
        else:
            operation = "cancel"
            book.cancel(order_id)
            reference.cancel(order_id)
        counts[operation] += 1
        if done < compared_after_each or done % compared_every == 0:
            assert everything(book) == everything(reference), f"after operation {done}, {operation}"
            assert book.audit()

    assert everything(book) == everything(reference)
    assert book.audit()
    assert sum(counts.values()) == n
    assert min(counts.values()) > n // 50, counts
