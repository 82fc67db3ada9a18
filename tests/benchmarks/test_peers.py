"""The work that the peers share: what they are fed, and how a checkout is imported."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import peer_checkouts
from benchmarks.peer_checkouts import CheckoutError, abides_environment, mbt_gym_environment
from benchmarks.peer_feeds import Stream, hftbacktest_events, stream
from mm_gym.data.event_book import EventBook
from mm_gym.data.events import BUY, EventKind, load
from mm_gym.data.formats import open_file
from tests.reference_book import ReferenceBook

REQUESTS = 4_000


@pytest.fixture(scope="module")
def orders() -> Stream:
    return stream(REQUESTS, seed=3)


def test_the_events_of_a_stream_are_what_the_slow_book_does_with_its_requests(
    orders: Stream,
) -> None:
    slow, lots, new = ReferenceBook(), 0, 0
    for side, price, size in orders.requests:
        if side == 0:
            slow.cancel(price)
        else:
            new += 1
            _, fills = slow.submit("bid" if side == BUY else "ask", price, size, new)
            lots += sum(taken for _, _, taken in fills)
    book = EventBook()
    book.apply(orders.events)
    assert (book.n_unknown, book.n_removed) == (0, 0)
    assert book.levels(100) == (slow.levels("bid", 100), slow.levels("ask", 100))
    executed = orders.events[orders.events["kind"] == EventKind.EXECUTE]
    assert executed["size"].sum() == lots == orders.lots > REQUESTS / 10
    assert len(orders.requests) == REQUESTS


def test_hftbacktests_events_mean_the_same(orders: Stream, tmp_path: Path) -> None:
    rows = hftbacktest_events(orders.events)
    assert rows.dtype.itemsize == 64
    plain = np.zeros(len(rows), [(name, rows.dtype[name]) for name in rows.dtype.names or ()])
    for name in plain.dtype.names or ():
        plain[name] = rows[name]
    np.savez(tmp_path / "feed.npz", data=plain)
    read = load(open_file(tmp_path / "feed.npz")).rows
    for name in ("kind", "side", "order_id", "size"):
        np.testing.assert_array_equal(read[name], orders.events[name])
    np.testing.assert_array_equal(read["price"], orders.events["price"] * 10**9)


@pytest.mark.parametrize(
    "environment", [lambda folder: mbt_gym_environment(folder, 1), abides_environment]
)
def test_a_folder_that_is_no_checkout_is_named(environment: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckoutError, match="is missing: expected a folder of the checkout"):
        environment(tmp_path / "none")


def test_the_stand_in_for_pomegranate_samples_the_mixture() -> None:
    """The mean of 20,000 samples, within four of its standard errors of the closed form."""
    text = (
        '{"weights": [0.6, 0.4], "distributions": ['
        '{"name": "LogNormalDistribution", "parameters": [2.0, 0.5]},'
        '{"name": "NormalDistribution", "parameters": [100.0, 0.15]}]}'
    )
    mixture = peer_checkouts._Mixture.from_json(text)
    random_state = np.random.RandomState(0)
    sizes = np.array([mixture.sample(random_state) for _ in range(20_000)])
    error = sizes.std() / np.sqrt(len(sizes))
    assert abs(sizes.mean() - (0.6 * np.exp(2.0 + 0.125) + 0.4 * 100.0)) < 4.0 * error
    assert error < 0.5
