"""Adverse selection in the dealer-like limit has a closed form. `validation.informed_flow` defines
the markets."""

import numpy as np
import pytest

from mm_gym.evaluation.metrics import against_mid
from mm_gym.theory import informed_flow
from validation import informed_flow as flow

EPISODES = 64


def test_adverse_moves_and_markouts_are_the_closed_forms_within_three_standard_errors() -> None:
    for row in flow.literal_rows(EPISODES, seed=1):
        if row.standard_error > 0.0:
            assert abs(row.distance) < 3.0, row
        else:
            assert row.ours == pytest.approx(row.reference, abs=5e-5), row


def test_the_maker_breaks_even_at_the_share_of_the_formula_to_ten_percent() -> None:
    break_even = float(informed_flow.break_even_share(flow.HALF_SPREAD, 5.0, **flow.SIGNAL))
    below, above = (
        flow.measured(flow.sessions_at(part * break_even, EPISODES, 0), 1)[1] for part in (0.9, 1.1)
    )
    assert below.low > 0.0
    assert above.high < 0.0


def test_the_effective_half_spread_is_that_of_the_formula() -> None:
    effective = against_mid(flow.sessions_at(0.3, EPISODES, 0)).effective_half_spread
    # Quotes are rounded outwards to the next tick, by at most one tick.
    assert np.all((effective >= flow.HALF_SPREAD - 1e-3) & (effective <= flow.HALF_SPREAD + 1.0))


def test_against_price_sensitive_takers_the_maker_earns_what_the_formula_predicts() -> None:
    signs = []
    for row in flow.price_sensitive_rows(1000, seed=0):
        if row.standard_error > 0.0:
            assert abs(row.distance) < 3.0, row
            signs.append(row.ours / row.standard_error)
        else:
            assert row.ours == pytest.approx(row.reference, abs=5e-5), row
    # From p = 0.3 up, half the break-even spread loses and one and a half times it earns.
    assert all(sign < -4.0 for sign in signs[3::3])
    assert all(sign > 4.0 for sign in signs[5::3])
