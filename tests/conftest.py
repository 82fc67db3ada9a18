"""Fixtures of several tests: the order queues of a market, read from its record."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

# Tests and the programs that they start run in parallel. More threads of torch and of NumPy, which
# reads this when it is imported, would only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["SDL_VIDEODRIVER"] = "dummy"  # `render_mode="human"` works without a screen

import numba
import pytest

from mm_gym import configure
from mm_gym.core import entry_points
from mm_gym.core.layout import AGENT, ASK, BID, NO_ORDER
from mm_gym.markets import Markets


def pytest_sessionstart() -> None:
    """The first test of each worker compiles the functions that reset and step markets.

    With an empty cache, the second worker compiles another function first. Meanwhile the first one
    compiles those, and the second one finds them in the cache.
    """
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1" and not numba.config.DISABLE_JIT:
        markets = Markets(configure(), 1)
        arguments = (markets.records, markets.parameters, 1, markets.fill_rows)
        entry_points.audit_events.compile(tuple(map(numba.typeof, arguments)))


class Resting(NamedTuple):
    """A resting order."""

    lots: int
    own: bool  # the agent's
    slot: int


Queues = dict[int, list[Resting]]


def _read_queues(record: Any, side: str) -> Queues:
    """The orders at each price, oldest first, from the pool of orders and not from the levels."""
    number, sign = (BID, 1) if side == "bid" else (ASK, -1)
    book = record["book"]
    orders = book["orders"].tolist()
    names = book["orders"].dtype.names
    pool = {
        slot: dict(zip(names, orders[slot], strict=True))
        for slot in book["live"][: book["n_live"]].tolist()
    }
    queues: Queues = {}
    for slot, order in pool.items():
        if order["side"] != number or order["older"] != NO_ORDER:
            continue
        queue = queues[sign * order["key"]] = []
        while slot != NO_ORDER:
            queue.append(Resting(pool[slot]["lots"], pool[slot]["owner"] == AGENT, slot))
            slot = pool[slot]["younger"]
    return queues


@pytest.fixture(scope="session")
def read_queues() -> Callable[[Any, str], Queues]:
    """A function of a market's record and a side (`"bid"` or `"ask"`) that returns its queues."""
    return _read_queues
