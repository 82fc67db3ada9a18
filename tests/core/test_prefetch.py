"""The prefetched cache lines lie inside the record and contain what a step reads.

Single environments do not prefetch. The tests that compare batches with them show that a prefetch
changes no result.
"""

import numpy as np
import pytest

from mm_gym.core.layout import BOOK, FEATURES, MARKET, PARAMETERS
from mm_gym.core.prefetch import _LINE, _LINES

BOOK_AT, PARAMETERS_AT, FEATURES_AT = (
    MARKET.fields[name][1] for name in ("book", "parameters", "features")
)


def test_each_line_lies_inside_the_record_and_occurs_once() -> None:
    assert _LINES.min() >= 0
    assert _LINES.max() + _LINE <= MARKET.itemsize
    assert len(np.unique(_LINES)) == len(_LINES)
    assert len(_LINES) * _LINE < 0.2 * MARKET.itemsize  # most of the record is rarely used


@pytest.mark.parametrize(
    "offset",
    [
        MARKET.fields["time"][1],
        MARKET.fields["taker_words"][1],
        FEATURES_AT + FEATURES.fields["last_mid"][1],
        PARAMETERS_AT + PARAMETERS.fields["taker_rate"][1],
        PARAMETERS_AT + PARAMETERS.fields["volatility_scale"][1],
        BOOK_AT + BOOK.fields["n_levels"][1],
        BOOK_AT + BOOK.fields["orders"][1],
    ],
)
def test_the_fields_that_every_step_reads_are_prefetched(offset: int) -> None:
    assert ((offset >= _LINES) & (offset < _LINES + _LINE)).any()
