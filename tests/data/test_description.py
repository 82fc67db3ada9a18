"""Statistics of data: against a session worked out by hand, plain loops over the sample day, and
simulated markets with known rates. Standard errors are tested against textbook formulas."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from mm_gym import configure
from mm_gym.data import DataError, Description, Recording, describe, record_market
from mm_gym.data.blocks import jackknife
from mm_gym.data.description import trades

from .conftest import Session

# By hand, over 20 s. Spread: 3 ticks for 5 s, 2 for 3 s, 3 for 2 s, 5 for 10 s. Best bid: 100
# shares for 1 s, 300 for 2 s, 150 for 17 s. Best ask: 50, 40, 30, 50, 70 shares for 5, 1, 2, 2, 10
# s. Second bid: 30 for 20 s; second ask: 70, 50, 70, 0 for 5, 3, 2, 10 s. The mid moves by -0.5,
# +0.5 and +1 tick in the 19 s between whole seconds.
BEST = 100 + 600 + 2550 + 250 + 40 + 60 + 100 + 700
SECOND = 600 + 350 + 150 + 140
BY_HAND = {
    "limit_orders_bid": 2 / 20,
    "limit_orders_ask": 2 / 20,
    "trades_buys": 1 / 20,
    "trades_sells": 1 / 20,
    "hidden_executions": 1 / 20,
    "cancels_bid": 0.0,
    "cancels_ask": 2 / 20,
    "cancel_rate_best": 40 / BEST,
    "cancel_rate_in_view": 40 / (BEST + SECOND),
    "trade_size": 1.0,
    "trade_size_odd": 0.5,
    "trade_size_2": 0.5,
    "limit_order_size": 1.0,
    "limit_order_size_odd": 0.5,
    "limit_order_size_1": 0.25,
    "limit_order_size_2": 0.25,
    "hidden_volume": 25 / 225,
    "spread": (15 + 6 + 6 + 50) / 20,
    "spread_2": 3 / 20,
    "spread_3": 7 / 20,
    "spread_5": 10 / 20,
    "touch_size": BEST / 20 / 2 / 100,
    "volatility_1": math.sqrt(1.5 / 19),
    "kurtosis_1": 19 * (2 * 0.5**4 + 1.0) / 1.5**2,
}


def test_a_session_written_by_hand_has_the_figures_worked_out_by_hand(
    hand_session: Recording,
) -> None:
    found = describe(hand_session)
    assert {name: found[name].value for name in BY_HAND} == pytest.approx(BY_HAND)
    assert (found.duration, found.n_messages, found.n_levels, found.n_blocks) == (20.0, 11, 2, 4)
    assert (found.tick_size, found.first_mid) == (0.01, 10_001.5)


def test_sizes_are_in_lots_of_the_given_number_of_shares(hand_session: Recording) -> None:
    found = describe(hand_session, lot_size=50)
    assert found["trade_size"].value == pytest.approx(2.0)
    assert found["trade_size_1"].value == pytest.approx(0.5)
    assert found["touch_size"].value == pytest.approx(2.0 * BY_HAND["touch_size"])


def test_one_taker_s_executions_are_one_trade(hand_session: Recording) -> None:
    """The seller of rows 2 and 3 hits two orders at one time; the buyer of row 8 hits one."""
    assert trades(hand_session.messages).tolist() == [(34203.0, -1, 150, 2), (34210.0, 1, 50, 8)]


def test_a_figure_that_the_data_do_not_allow_is_nan(hand_session: Recording) -> None:
    found = describe(hand_session)
    for name in ("volatility_60", "sign_autocorrelation_1", "price_sensitivity"):
        assert math.isnan(found[name].value) or math.isnan(found[name].standard_error)


def test_data_without_duration_or_without_two_sides_are_refused(
    hand_session: Recording, session: Session
) -> None:
    with pytest.raises(DataError, match="too short: expected at least two messages at different"):
        describe(
            replace(
                hand_session,
                messages=hand_session.messages[2:4],
                order_book=hand_session.order_book[2:4],
            )
        )
    one_sided = session(
        "1,1,1,100,1000000,1\n9,1,2,100,1000000,1\n",
        "9999999999,0,1000000,100\n9999999999,0,1000000,200\n",
    )
    with pytest.raises(DataError, match="no mid price: expected at least one row with both"):
        describe(one_sided)
    with pytest.raises(
        DataError,
        match="lot_size=0 is out of range: expected a whole number of shares, at least 1, got 0",
    ):
        describe(hand_session, lot_size=0)


# ---------------------------------------------------------------------------------- standard errors


def test_the_jackknife_of_a_mean_is_the_textbook_s_standard_error() -> None:
    values = np.random.default_rng(1).exponential(size=20)
    value, error = jackknife(20, lambda kept: float(values[kept].mean()))
    assert value == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / math.sqrt(20))


def test_the_jackknife_of_a_ratio_is_that_of_the_delta_method() -> None:
    """The two agree to second order in the coefficient of variation: here to a few percent."""
    generator = np.random.default_rng(2)
    below = generator.normal(10.0, 1.0, 20)
    above = 3.0 * below + generator.normal(0.0, 1.0, 20)
    ratio = above.sum() / below.sum()
    delta = math.sqrt(20 / 19 * ((above - ratio * below) ** 2).sum()) / below.sum()
    _, error = jackknife(20, lambda kept: float(above[kept].sum() / below[kept].sum()))
    assert error == pytest.approx(delta, rel=0.05)


def test_the_standard_error_of_a_rate_is_that_of_a_poisson_count() -> None:
    """2.2 orders arrive per second and side for 1,000 s. A standard error from 20 blocks has a
    relative standard error of 16 percent."""
    found = describe(record_market(configure(), 1000.0, seed=5, n_levels=60))
    for side in ("bid", "ask"):
        error = found[f"limit_orders_{side}"].standard_error
        assert error == pytest.approx(math.sqrt(2.2 / 1000.0), rel=3.0 * 0.16)


# -------------------------------------------------------------------------------- simulated markets


@pytest.fixture(scope="module")
def simple_market() -> Description:
    """A market with a constant efficient price and takers who accept any price. So every rate is
    that of the configuration."""
    config = configure(
        volatility=0.0,
        signal_drift=0.0,
        taker_rate=0.6,
        taker_tolerance=math.inf,
        taker_size=2.0,
        maker_rate=2.0,
        maker_cancel_rate=0.25,
        maker_size=3.0,
    )
    return describe(record_market(config, 2000.0, seed=2, n_levels=60))


@pytest.mark.parametrize(
    "name, truth",
    [
        ("limit_orders_bid", 2.0),
        ("limit_orders_ask", 2.0),
        ("trades_buys", 0.3),
        ("trades_sells", 0.3),
        ("cancel_rate_in_view", 0.25),
        ("trade_size", 2.0),
        ("trade_size_1", 0.5),
        ("trade_size_2", 0.25),
        ("limit_order_size", 3.0),
        ("limit_order_size_1", 1 / 3),
        ("limit_order_size_2", 2 / 9),
        ("gap_variation", 1.0),
        ("sign_autocorrelation_1", 0.0),
        ("sign_autocorrelation_2", 0.0),
        ("sign_autocorrelation_5", 0.0),
        ("sign_autocorrelation_20", 0.0),
    ],
)
def test_a_simulated_market_shows_the_rates_it_was_configured_with(
    simple_market: Description, name: str, truth: float
) -> None:
    figure = simple_market[name]
    assert abs(figure.value - truth) < 3.0 * figure.standard_error
    assert figure.standard_error < max(0.1, 0.1 * truth)


def test_the_sensitivity_of_takers_to_the_spread_is_measured() -> None:
    """A share exp(-h / tolerance) of takers with exponential tolerance accepts the half-spread h.
    Market orders accept any spread, so their sensitivity is zero."""
    shy = describe(record_market(configure(taker_tolerance=2.0, taker_rate=2.0), 1500.0, seed=7))[
        "price_sensitivity"
    ]
    assert abs(shy.value - 1.0 / 2.0) < 3.0 * shy.standard_error
    assert shy.standard_error < 0.1
    bold = describe(record_market(configure(taker_tolerance=math.inf), 1500.0, seed=7))[
        "price_sensitivity"
    ]
    assert abs(bold.value) < 3.0 * bold.standard_error


# ----------------------------------------------------------------------------------- the sample day


@pytest.fixture(scope="module")
def goog_described(goog: Recording) -> Description:
    return describe(goog)


def loop_over_time(recording: Recording, value: Callable[[npt.NDArray[np.void]], float]) -> float:
    """The mean over time of what stands from one message to the next, as a loop."""
    total, length = 0.0, 0.0
    times = recording.messages["time"].tolist()
    for row, (now, then) in zip(recording.order_book[:-1], itertools.pairwise(times), strict=True):
        total += value(row) * (then - now)
        length += then - now
    return total / length


def test_the_day_s_spread_and_size_at_the_best_are_those_of_a_plain_loop(
    goog: Recording, goog_described: Description
) -> None:
    spread = loop_over_time(
        goog, lambda row: float(row["ask_price"][0] - row["bid_price"][0]) / 100.0
    )
    assert goog_described["spread"].value == pytest.approx(spread, rel=1e-6)
    size = loop_over_time(goog, lambda row: float(row["ask_size"][0] + row["bid_size"][0]) / 200.0)
    assert goog_described["touch_size"].value == pytest.approx(size, rel=1e-6)
    wide = loop_over_time(
        goog, lambda row: float(3300 <= row["ask_price"][0] - row["bid_price"][0] <= 6400)
    )
    assert goog_described["spread_33"].value == pytest.approx(wide, rel=1e-6)


def test_the_sign_autocorrelation_of_the_day_s_trades_is_numpy_s(
    goog: Recording, goog_described: Description
) -> None:
    signs, previous = [], None
    for time, kind, _, _, _, side in goog.messages.tolist():
        if kind == 4:
            if (time, side) != previous:
                signs.append(-side)
            previous = (time, side)
    for lag in (1, 2, 10):
        by_numpy = np.corrcoef(signs[:-lag], signs[lag:])[0, 1]
        assert goog_described[f"sign_autocorrelation_{lag}"].value == pytest.approx(by_numpy)
    for lag in (1, 2, 5):
        figure = goog_described[f"sign_autocorrelation_{lag}"]
        assert figure.value > 3.0 * figure.standard_error
    rates = goog_described["trades_buys"].value + goog_described["trades_sells"].value
    assert rates * goog.duration == pytest.approx(len(signs))


def test_the_day_s_one_second_volatility_is_that_of_a_plain_loop(
    goog: Recording, goog_described: Description
) -> None:
    times = goog.messages["time"].tolist()
    mids = (
        (goog.order_book["ask_price"][:, 0] + goog.order_book["bid_price"][:, 0]) / 200.0
    ).tolist()
    row, at, marks = 0, times[0], []
    while at < times[-1]:
        while row + 1 < len(times) and times[row + 1] <= at:
            row += 1
        marks.append(mids[row])
        at += 1.0
    moves = [later - earlier for earlier, later in itertools.pairwise(marks)]
    expected = math.sqrt(sum(move * move for move in moves) / len(moves))
    assert goog_described["volatility_1"].value == pytest.approx(expected, rel=1e-3)


def test_every_figure_of_the_samples_has_a_standard_error_or_is_nan(
    goog_described: Description, aapl: Recording
) -> None:
    described = describe(aapl)
    assert described.n_blocks == 9
    for description in (goog_described, described):
        for name, figure in description.figures.items():
            if math.isfinite(figure.value) and figure.value not in (0.0, 1.0):
                assert math.isfinite(figure.standard_error), name
                assert figure.standard_error > 0.0, name
    assert all(math.isfinite(figure.value) for figure in goog_described.figures.values())
    assert math.isnan(described["volatility_60"].value)  # 49 s do not hold a block of minutes
