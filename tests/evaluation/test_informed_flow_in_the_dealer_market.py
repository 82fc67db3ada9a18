"""In the dealer-like limit the measured adverse selection is a closed form's: `mm_gym.theory.informed_flow`.

No background makers, informed takers who pay any price, a fixed half-spread, quotes deep enough for all. The
market is that of the check in the ground truth (beta sd(s) = 0.02, kappa = 0.5, threshold one sd, h = 0.01) with
a tick of 1e-5, so that rounding quotes to ticks is a thousandth of the half-spread; V's own noise is a tenth of the
check's, since no mean depends on it and a smaller one makes the test sharper.
"""

import functools
import math

import numpy as np
import pytest

from agents import make_agent
from mm_gym import configure
from mm_gym.evaluation import Sessions, run_sessions
from mm_gym.evaluation.metrics import against_mid
from mm_gym.evaluation.statistics import Estimate, mean_over_fills
from mm_gym.theory import informed_flow

HORIZONS = (1.0, 5.0, 20.0)
HALF_SPREAD = 1000.0
SIGNAL = {"signal_drift": 2000.0, "signal_decay": 0.5, "threshold": 1.0}
BREAK_EVEN = float(informed_flow.break_even_share(HALF_SPREAD, 5.0, **SIGNAL))


@functools.cache
def sessions(p_informed: float) -> Sessions:
    config = configure(
        "dealer",
        p_informed=p_informed,
        signal_drift=SIGNAL["signal_drift"],
        signal_half_life=math.log(2.0) / SIGNAL["signal_decay"],
        signal_threshold=SIGNAL["threshold"],
        volatility=500.0,
        informed_price_limit=False,
        taker_tolerance=math.inf,
        quote_size=1000,
        max_inventory=10**6,
        max_offset=10_000.0,
        value_interval=1.0,
        decision_interval=1.0,
        session_steps=1000,
    )
    agent = functools.partial(make_agent, "fixed_spread", half_spread=HALF_SPREAD)
    return run_sessions(agent, config, episodes=64, seed=0, horizons=HORIZONS)


def standard_errors_away(estimate: Estimate, exact: float) -> float:
    return (estimate.value - exact) / ((estimate.high - estimate.low) / 3.92)


@pytest.mark.parametrize("p_informed", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("column", range(len(HORIZONS)))
def test_adverse_move_and_markout_are_the_closed_form_within_three_standard_errors(
    p_informed: float, column: int
) -> None:
    result = sessions(p_informed)
    measured = against_mid(result)
    adverse = mean_over_fills(measured.adverse_move[:, column], result.fill_session, len(result))
    markout = mean_over_fills(measured.markout[:, column], result.fill_session, len(result))
    exact_adverse = float(informed_flow.adverse_move(p_informed, HORIZONS[column], **SIGNAL))
    exact_markout = float(informed_flow.markout(HALF_SPREAD, p_informed, HORIZONS[column], **SIGNAL))
    assert abs(standard_errors_away(adverse, exact_adverse)) < 3.0
    assert abs(standard_errors_away(markout, exact_markout)) < 3.0


def test_the_maker_breaks_even_at_the_share_that_the_formula_says_and_not_a_tenth_beside_it() -> None:
    def markout(p_informed: float) -> Estimate:
        result = sessions(p_informed)
        return mean_over_fills(against_mid(result).markout[:, 1], result.fill_session, len(result))

    assert pytest.approx(0.4066, abs=5e-5) == BREAK_EVEN
    assert abs(standard_errors_away(markout(BREAK_EVEN), 0.0)) < 3.0
    assert markout(0.9 * BREAK_EVEN).low > 0.0
    assert markout(1.1 * BREAK_EVEN).high < 0.0


def test_the_quotes_stand_where_the_formula_has_them() -> None:
    effective = against_mid(sessions(0.3)).effective_half_spread
    # Rounded outwards to the next tick, at most one.
    assert np.all((effective >= HALF_SPREAD - 1e-3) & (effective <= HALF_SPREAD + 1.0))
