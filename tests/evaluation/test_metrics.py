"""The measures: against a worked example and against each other, and the account's identity."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from agents import RULES, make_agent
from mm_gym import REGIMES, configure
from mm_gym.core.layout import ASK, BID, FILL_ROW, TakerKind
from mm_gym.evaluation import rollout
from mm_gym.evaluation.metrics import (
    against_mid,
    against_value,
    by_session,
    difference_over_fills,
    direction_correlation,
    inventory_half_life,
    inventory_pnl_of_fills,
    sharpe,
    taker_direction,
    unrealised_pnl,
    with_informed_takers,
)
from mm_gym.evaluation.rollout import Cell, run_cells, run_sessions
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate
from mm_gym.evaluation.summary import summarise

NAN = float("nan")

# One session, four fills. Takers sell at 99, buy at 102 and 101, sell at 98; two horizons.
#
#   taker     D    p     m     m+h1   m+h2  |  D(p-m)   D(m+h - m)      D(p - m+h)
#   sells    -1    99   100     99    100   |    1       1     0         0     1
#   buys     +1   102   100    100    103   |    2       0     3         2    -1
#   buys     +1   101   100.5   99     -    |    0.5    -1.5   -         2     -
#   sells    -1    98   100    101     -    |    2      -1     -         3     -
FILLS = [
    {"time": 1.0, "side": BID, "price": 99.0, "lots": 1, "mid": 100.0, "taker": TakerKind.NOISE},
    {
        "time": 2.0,
        "side": ASK,
        "price": 102.0,
        "lots": 3,
        "mid": 100.0,
        "taker": TakerKind.INFORMED,
    },
    {
        "time": 8.5,
        "side": ASK,
        "price": 101.0,
        "lots": 1,
        "mid": 100.5,
        "taker": TakerKind.NAIVE_INFORMED,
    },
    {"time": 9.0, "side": BID, "price": 98.0, "lots": 2, "mid": 100.0, "taker": TakerKind.SNIPER},
]
LATER = [[99.0, 100.0], [100.0, 103.0], [99.0, NAN], [101.0, NAN]]


@pytest.fixture
def example() -> Sessions:
    """The session above: V lies a quarter tick above the mid throughout; the last mid is 97."""
    fills = np.zeros(len(FILLS), dtype=FILL_ROW)
    for row, fill in zip(fills, FILLS, strict=True):
        for name, value in fill.items():
            row[name] = value
        row["efficient_price"] = fill["mid"] + 0.25
    a_real_one = run_sessions(
        partial(make_agent, "fixed_spread"), configure("noise", session_steps=4), 1
    )
    return replace(
        a_real_one,
        horizons=(1.0, 5.0),
        fills=fills,
        fill_session=np.zeros(len(FILLS), dtype=np.int64),
        later_mid=np.array(LATER),
        later_value=np.array(LATER) + 0.25,
        final_mid=np.array([97.0]),
    )


def test_the_measures_of_the_worked_example(example: Sessions) -> None:
    measures = against_mid(example)
    np.testing.assert_array_equal(taker_direction(example), [-1, 1, 1, -1])
    np.testing.assert_array_equal(measures.effective_half_spread, [1.0, 2.0, 0.5, 2.0])
    np.testing.assert_array_equal(
        measures.adverse_move, [[1.0, 0.0], [0.0, 3.0], [-1.5, NAN], [-1.0, NAN]]
    )
    np.testing.assert_array_equal(
        measures.markout, [[0.0, 1.0], [2.0, -1.0], [2.0, NAN], [3.0, NAN]]
    )
    # A tie counts one half.
    np.testing.assert_array_equal(
        measures.adverse_fill, [[1.0, 0.5], [0.5, 1.0], [0.0, NAN], [0.0, NAN]]
    )


def test_against_v_the_half_spread_differs_and_with_it_the_markout(example: Sessions) -> None:
    """V is a quarter tick above the mid. A taker's buy earns a quarter less, and a sell a quarter
    more. Moves are the same."""
    measures = against_value(example)
    np.testing.assert_array_equal(measures.effective_half_spread, [1.25, 1.75, 0.25, 2.25])
    np.testing.assert_array_equal(measures.adverse_move, against_mid(example).adverse_move)
    np.testing.assert_array_equal(
        measures.markout, [[0.25, 1.25], [1.75, -1.25], [1.75, NAN], [3.25, NAN]]
    )


def test_the_summary_has_the_means_over_the_fills_whose_horizon_is_before_the_close(
    example: Sessions,
) -> None:
    row = summarise("a", example)
    assert row["effective_half_spread"] == 5.5 / 4
    assert row["value_effective_half_spread"] == 5.5 / 4
    assert (row["markout_1"], row["adverse_move_1"], row["adverse_fill_ratio_1"]) == (
        7.0 / 4,
        -1.5 / 4,
        1.5 / 4,
    )
    assert (row["markout_5"], row["adverse_move_5"], row["adverse_fill_ratio_5"]) == (
        0.0,
        1.5,
        0.75,
    )
    assert row["value_markout_5"] == 0.0


def test_inventory_pnl_by_fill_of_the_worked_example(example: Sessions) -> None:
    """-D n (m_T - m) with m_T = 97, and its sums over fills with informed takers and all others."""
    np.testing.assert_array_equal(inventory_pnl_of_fills(example), [-3.0, 9.0, 3.5, -6.0])
    # Naive takers have no information, snipers do.
    np.testing.assert_array_equal(with_informed_takers(example), [False, True, False, True])
    np.testing.assert_array_equal(by_session(example, inventory_pnl_of_fills(example)), [3.5])
    row = summarise("a", example)
    assert (row["inventory_pnl_informed"], row["inventory_pnl_noise"]) == (3.0, 0.5)


def test_unrealised_pnl_of_the_worked_example(example: Sessions) -> None:
    """Long 1 at 99. Selling 3 crosses zero: short 2 at 102. Selling 1 more: short 3 at
    (2 x 102 + 101) / 3. Buying 2 leaves the cost: short 1, marked at 97."""
    assert unrealised_pnl(example) == pytest.approx([-(97.0 - 305.0 / 3.0)])


def test_half_life_and_sharpe_of_made_up_sessions(example: Sessions) -> None:
    # Each decision interval of 2 s keeps 80 percent of the inventory: 0.8^(t/2) = 1/2.
    held = replace(
        example,
        config=configure("noise", decision_interval=2.0),
        inventory=10.0 * 0.8 ** np.arange(40.0)[None],
        final_pnl=np.array([4.0, 6.0, 8.0]),
    )
    assert inventory_half_life(held).value == pytest.approx(2.0 * math.log(0.5) / math.log(0.8))
    assert sharpe(held) == 6.0 / 2.0


# --------------------------------------------------------------------------------- of real sessions


@pytest.fixture(scope="module")
def informed() -> Sessions:
    config = configure("informed", session_steps=300, p_informed=0.6)
    return run_sessions(partial(make_agent, "inventory_skew"), config, 24)


def test_markout_is_the_half_spread_less_the_adverse_move_exactly(informed: Sessions) -> None:
    """It holds for every fill and horizon. The markout is also the PnL of a maker who trades out at
    the later price."""
    for measures, later in (
        (against_mid(informed), informed.later_mid),
        (against_value(informed), informed.later_value),
    ):
        direction = np.where(informed.fills["side"] == ASK, 1.0, -1.0)
        traded_out = direction[:, None] * (informed.fills["price"][:, None] - later)
        np.testing.assert_array_equal(
            measures.markout, measures.effective_half_spread[:, None] - measures.adverse_move
        )
        np.testing.assert_allclose(measures.markout, traded_out, atol=1e-9)
        assert (~np.isnan(measures.markout)).sum() > 1000
    # Mids are multiples of half a tick, so the arithmetic against them is exact.
    direction = taker_direction(informed)[:, None]
    exact = direction * (informed.fills["price"][:, None] - informed.later_mid)
    np.testing.assert_array_equal(against_mid(informed).markout, exact)


def test_the_correlation_of_the_side_taken_with_later_moves_is_that_of_numpy(
    informed: Sessions,
) -> None:
    """NumPy subtracts the means, which are small relative to the standard deviations."""
    estimate = direction_correlation(informed, 3)
    move = informed.later_value[:, 3] - informed.fills["efficient_price"]
    known = ~np.isnan(move)
    direction = taker_direction(informed)[known]
    about_zero = (direction * move[known]).mean() / math.sqrt((move[known] ** 2).mean())
    assert estimate.value == pytest.approx(about_zero)
    assert estimate.value == pytest.approx(np.corrcoef(direction, move[known])[0, 1], abs=0.05)
    assert 0.0 < estimate.low < estimate.value < estimate.high


def test_a_difference_over_fills_is_that_of_the_means_and_paired(informed: Sessions) -> None:
    """The difference from itself is exactly zero in every resample. That from another agent is the
    difference of means."""
    measure = against_mid(informed).markout[:, 2]
    assert difference_over_fills(informed, measure, informed, measure) == Estimate(0.0, 0.0, 0.0)
    other = run_sessions(
        partial(make_agent, "fixed_spread", half_spread=3.0), informed.config, len(informed)
    )
    other_measure = against_mid(other).markout[:, 2]
    found = difference_over_fills(informed, measure, other, other_measure)
    assert found.value == pytest.approx(np.nanmean(measure) - np.nanmean(other_measure))
    assert found.low < found.value < found.high


# ------------------------------------------------------------------------------------- the identity


@pytest.mark.parametrize("fee", [0.125, -0.25])
def test_the_account_is_an_identity_in_every_session_of_every_agent_and_regime(fee: float) -> None:
    """Final PnL = spread captured + inventory PnL - fees - close-out, and each part follows from
    the fills.

    Prices are multiples of 1/2 and fees of 1/8, so floating-point arithmetic is exact. The
    exception is the dealer market, where the mid is V.
    """
    cells: list[Cell] = []
    for regime in REGIMES:
        config = configure(
            regime,
            session_steps=150,
            quote_size=3,
            maker_fee=fee,
            close_out_cost=0.5,
            close_out_impact=0.125,
        )
        cells += [
            Cell(name, partial(make_agent, name), config)
            for name in RULES
            if RULES[name].suits(config)
        ]
    for cell, sessions in zip(cells, run_cells(cells, episodes=6), strict=True):
        tolerance: dict[str, Any] = {
            "rtol": 0.0,
            "atol": 1e-6 if cell.config.makers == "none" else 0.0,
        }
        parts = sessions.spread_pnl + sessions.inventory_pnl - sessions.fees - sessions.close_out
        np.testing.assert_allclose(sessions.final_pnl, parts, **tolerance)
        # A slow book, and long queues of which most defaults quote far behind.
        fewest = {"zero_intelligence": 1, "large_tick": 0}.get(cell.config.regime, 21)
        assert sessions.n_fills.sum() >= fewest
        for session in range(len(sessions)):
            spread, fees, cash, inventory = 0.0, 0.0, 0.0, 0
            for fill in sessions.fills[sessions.fill_session == session]:
                bought = int(fill["lots"]) if fill["side"] == BID else -int(fill["lots"])
                spread += bought * (fill["mid"] - fill["price"])
                fees += fee * abs(bought)
                cash -= bought * fill["price"]
                inventory += bought
                assert inventory == fill["inventory"]
            close_out = 0.5 * abs(inventory) + 0.125 * inventory**2
            found = [
                getattr(sessions, name)[session]
                for name in ("spread_pnl", "fees", "close_out", "final_pnl")
            ]
            final = cash + inventory * sessions.final_mid[session] - fees - close_out
            np.testing.assert_allclose(found, [spread, fees, close_out, final], **tolerance)
        np.testing.assert_allclose(
            by_session(sessions, inventory_pnl_of_fills(sessions)),
            sessions.inventory_pnl,
            atol=1e-6,
        )


def test_the_objective_is_the_pnl_less_the_price_of_inventory_held(informed: Sessions) -> None:
    held = [(lots**2).sum() * 0.001 * 1.0 for lots in informed.inventory]
    np.testing.assert_allclose(informed.objective, informed.final_pnl - held, atol=1e-9)


def test_a_sole_maker_is_always_at_the_touch_and_one_far_from_the_mid_hardly_ever() -> None:
    dealer = configure("dealer", session_steps=50, taker_rate=0.0)
    book = configure("noise", session_steps=200)
    near, far = (partial(make_agent, "fixed_spread", half_spread=offset) for offset in (1.0, 10.0))
    assert run_sessions(near, dealer, 2).share_at_touch == pytest.approx([1.0, 1.0])
    assert (run_sessions(far, book, 2).share_at_touch < 0.05).all()
    assert run_sessions(far, book, 2).quoted_spread == pytest.approx([20.0, 20.0])


def test_measures_do_not_depend_on_where_prices_begin() -> None:
    """A market a thousand ticks higher is the same market."""
    configs = [
        configure("informed", session_steps=100, initial_price=price)
        for price in (10_000.0, 11_024.0)
    ]
    low, high = (
        run_sessions(partial(make_agent, "inventory_skew"), config, 4) for config in configs
    )
    for measure in ("effective_half_spread", "adverse_move", "markout", "adverse_fill"):
        np.testing.assert_array_equal(
            getattr(against_mid(high), measure), getattr(against_mid(low), measure)
        )
    np.testing.assert_array_equal(high.final_pnl, low.final_pnl)


def test_a_session_whose_parts_do_not_sum_to_its_pnl_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Tampered(rollout.Markets):
        def step(self, offsets: Any) -> Any:
            done = super().step(offsets)
            self.records["account"]["fees"][1] += 1.0  # a tick that nobody paid
            return done

    monkeypatch.setattr(rollout, "Markets", Tampered)
    with pytest.raises(
        AssertionError, match=r"account of session 1 of a batch is wrong: expected .*, got "
    ):
        run_sessions(
            partial(make_agent, "fixed_spread"), configure("noise", session_steps=20), episodes=3
        )
