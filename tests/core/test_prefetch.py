"""What is asked for ahead lies in the record, and is what a decision reads.

That it changes nothing is held by the tests of the batch against single environments, for which
nothing is asked ahead.
"""

import numpy as np
import pytest

from mm_gym.core.layout import BOOK, FEATURES, MARKET, PARAMETERS
from mm_gym.core.prefetch import _LINE, _LINES

BOOK_AT, PARAMETERS_AT, FEATURES_AT = (
    MARKET.fields[name][1] for name in ("book", "parameters", "features")
)


def test_no_line_lies_outside_the_record_or_is_asked_for_twice() -> None:
    assert _LINES.min() >= 0
    assert _LINES.max() + _LINE <= MARKET.itemsize
    assert len(np.unique(_LINES)) == len(_LINES)
    assert len(_LINES) * _LINE < 0.2 * MARKET.itemsize  # most of it is room that is seldom used


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
def test_what_every_decision_reads_is_asked_for(offset: int) -> None:
    assert ((offset >= _LINES) & (offset < _LINES + _LINE)).any()
