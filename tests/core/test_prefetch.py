"""The prefetched cache lines lie inside the record and contain what a step reads.

Single environments do not prefetch. The tests that compare batches with them show that a prefetch
changes no result.
"""

from typing import Any

import numpy as np
import pytest

from mm_gym.core.layout import BOOK_ROOMS, CACHE_LINE, FEATURES, MARKET, market_dtype
from mm_gym.core.prefetch import hot_lines


def at(name: str, record: np.dtype[Any] = MARKET) -> int:
    """Return the offset of a field [bytes]."""
    return int(record.fields[name][1])  # type: ignore[index]


@pytest.mark.parametrize("room", BOOK_ROOMS)
def test_each_line_lies_inside_the_record_and_occurs_once(room: tuple[int, int]) -> None:
    market = market_dtype(*room)
    lines = hot_lines(market)
    assert lines.min() >= 0
    assert lines.max() + CACHE_LINE <= market.itemsize
    assert len(np.unique(lines)) == len(lines)
    assert len(lines) * CACHE_LINE < 0.25 * market.itemsize  # most of the record is rarely used


@pytest.mark.parametrize(
    "offset",
    [
        at("time"),
        at("taker_words"),
        at("features") + at("last_mid", FEATURES),
        at("book") + at("n_levels", MARKET["book"]),
        at("book") + at("orders", MARKET["book"]),
    ],
)
def test_the_fields_that_every_step_reads_are_prefetched(offset: int) -> None:
    lines = hot_lines(MARKET)
    assert ((offset >= lines) & (offset < lines + CACHE_LINE)).any()
