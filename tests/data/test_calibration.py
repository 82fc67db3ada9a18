"""Calibration: it recovers a simulated market. For the sample day it matches the matched figures
and differs where the model has to."""

import json
import math

import gymnasium
import numpy as np
import pytest

import mm_gym
from mm_gym import ConfigurationError, configure
from mm_gym.data import (
    Calibration,
    DataError,
    Description,
    Recording,
    calibrate,
    describe,
    record_market,
)
from mm_gym.data.comparison import shortfalls

KNOWN = configure(
    signal_drift=0.0,
    volatility=0.4,
    taker_rate=1.5,
    taker_tolerance=3.0,
    taker_size=2.0,
    maker_rate=2.0,
    maker_cancel_rate=0.25,
    maker_depth=3.0,
    maker_size=3.0,
)


@pytest.fixture(scope="module")
def known_described() -> Description:
    """Statistics of a recording of forty minutes of a market with a known configuration."""
    return describe(record_market(KNOWN, 2400.0, seed=12, n_levels=40))


@pytest.fixture(scope="module")
def known_calibrated(known_described: Description) -> Calibration:
    return calibrate(known_described)


@pytest.mark.parametrize(
    "field, relative_error",
    [
        # Measured: three standard errors, as `describe` gives them for 40 minutes. The data show
        # executed sizes. About seven percent of the lots that takers want are beyond the price that
        # they accept.
        ("taker_tolerance", 3 * 0.1),
        ("taker_size", 3 * 0.015 + 0.07),
        ("maker_rate", 3 * 0.012),
        ("maker_size", 3 * 0.01),
        # Matched: the error of the data, and as much again of the simulation.
        ("taker_rate", 3 * math.sqrt(2.0) * 0.035),
        ("maker_cancel_rate", 3 * math.sqrt(2.0) * 0.02),
        ("maker_depth", 3 * math.sqrt(2.0) * 0.02),
    ],
)
def test_the_calibration_of_a_simulated_market_finds_its_configuration(
    known_calibrated: Calibration, field: str, relative_error: float
) -> None:
    assert getattr(known_calibrated.config, field) == pytest.approx(
        getattr(KNOWN, field), rel=relative_error
    )


def test_volatility_is_found_except_for_the_bounce_of_the_mid(
    known_calibrated: Calibration, known_described: Description
) -> None:
    """The mid's own noise adds to the price's variance: a little over a minute, as much again over
    a second."""
    figure = known_described["volatility_60"]
    assert known_calibrated.config.volatility == pytest.approx(figure.value, rel=1e-3)
    assert (
        KNOWN.volatility - 3.0 * figure.standard_error
        < known_calibrated.config.volatility
        < 1.6 * KNOWN.volatility
    )
    assert known_described["volatility_1"].value > 1.6 * KNOWN.volatility


def test_the_tick_and_the_price_level_are_those_of_the_data(
    known_calibrated: Calibration, known_described: Description
) -> None:
    assert known_calibrated.config.tick_size == 0.01
    assert known_calibrated.config.initial_price == pytest.approx(
        known_described.first_mid, abs=1.0
    )


def test_equal_data_give_equal_markets(
    known_described: Description, known_calibrated: Calibration
) -> None:
    assert calibrate(known_described) == known_calibrated


def test_a_field_that_the_user_sets_is_taken_as_it_is(known_described: Description) -> None:
    config = calibrate(
        known_described,
        signal_share=0.5,
        regime="informed",
        p_informed=0.4,
        maker_depth=5.0,
        session_steps=70,
    ).config
    assert (config.regime, config.p_informed, config.maker_depth, config.session_steps) == (
        "informed",
        0.4,
        5.0,
        70,
    )
    assert config.signal_drift > 0.0


@pytest.mark.parametrize("half_life", [2.0, 20.0, 500.0])
def test_a_signal_of_the_chosen_share_leaves_the_variance_of_moves_as_measured(
    known_described: Description, half_life: float
) -> None:
    """The drift's variance over a minute, as a double sum of the signal's autocovariance exp(-kappa
    |u - v|)."""
    config = calibrate(
        known_described, signal_share=0.6, signal_half_life=half_life, maker_depth=3.0
    ).config
    times = (np.arange(2000) + 0.5) * 60.0 / 2000
    covariance = np.exp(-math.log(2.0) / half_life * np.abs(times[:, None] - times))
    from_signal = config.signal_drift**2 * covariance.mean() * 60.0**2
    total = 60.0 * known_described["volatility_60"].value ** 2
    assert from_signal / total == pytest.approx(0.6, rel=0.01)
    assert (from_signal + 60.0 * config.volatility**2) / total == pytest.approx(1.0, rel=0.01)


def test_without_a_choice_there_is_no_signal_and_the_notes_say_why(
    known_calibrated: Calibration,
) -> None:
    assert known_calibrated.config.signal_drift == 0.0
    assert known_calibrated.config.p_informed == 0.0
    assert any("do not show the signal" in note for note in known_calibrated.notes)


def test_the_configuration_goes_into_gymnasium_make_as_it_is(known_calibrated: Calibration) -> None:
    fields = json.loads(json.dumps(known_calibrated.config.to_dict()))
    env = gymnasium.make(mm_gym.ENVIRONMENT_ID, **fields)
    assert env.unwrapped.config == known_calibrated.config  # type: ignore[attr-defined]
    env.reset(seed=0)
    info = env.step(np.zeros(2, np.float32))[-1]
    assert info["mid"] == pytest.approx(known_calibrated.config.initial_price, abs=30.0)


def test_takers_who_accept_any_price_get_an_infinite_tolerance_and_a_note() -> None:
    described = describe(
        record_market(
            configure(taker_tolerance=math.inf, taker_rate=0.5), 600.0, seed=4, n_levels=40
        )
    )
    found = calibrate(described)
    assert math.isinf(found.config.taker_tolerance)
    assert any("market orders" in note for note in found.notes)
    assert found.config.taker_rate == pytest.approx(
        0.5, rel=0.25
    )  # 300 takers: 3 s.e. are 17 percent


def test_the_number_of_orders_is_limited_to_what_a_market_holds_with_a_note() -> None:
    """One order per second with a mean lifetime of 50 s makes 50 per side. Twice the arrivals make
    100, and the limit is 64."""
    config = configure(
        maker_rate=1.0, maker_cancel_rate=0.02, warm_up=300.0, volatility=0.05, signal_drift=0.0
    )
    crowded = describe(record_market(config, 700.0, seed=6, n_levels=100))
    figures = {**crowded.figures}
    for name in ("limit_orders_bid", "limit_orders_ask"):
        figures[name] = figures[name]._replace(value=2.0 * figures[name].value)
    found = calibrate(Description(**{**vars(crowded), "figures": figures}))
    assert found.config.maker_rate / found.config.maker_cancel_rate <= 64.0
    assert any("more resting orders than a market holds" in note for note in found.notes)


@pytest.mark.parametrize(
    "share, fields, error, sentence",
    [
        (
            1.0,
            {},
            DataError,
            "signal_share=1.0 is out of range: expected a number from 0 to below 1, got 1.0",
        ),
        (math.nan, {}, DataError, "signal_share=nan is out of range"),
        (0.0, {"taker_rat": 1.0}, ConfigurationError, "did you mean 'taker_rate'"),
        (0.0, {"taker_size": 0.5}, ConfigurationError, "out of range"),
        (0.0, {"makers": "none"}, DataError, "cannot be calibrated: expected makers='anchored'"),
    ],
)
def test_invalid_arguments_are_refused(
    known_described: Description,
    share: float,
    fields: dict[str, float],
    error: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(error, match=sentence):
        calibrate(known_described, share, **fields)


def test_data_in_which_nobody_trades_are_refused() -> None:
    quiet = describe(record_market(configure(taker_rate=0.0), 30.0))
    with pytest.raises(DataError, match="do not allow a calibration: expected trades, got none"):
        calibrate(quiet)


# ----------------------------------------------------------------------------------- the sample day


@pytest.fixture(scope="module")
def goog_round_trip(goog: Recording) -> tuple[Description, Calibration, Description]:
    """The day's figures, the calibrated market, and the figures of that market."""
    data = describe(goog)
    calibration = calibrate(data)
    return data, calibration, describe(record_market(calibration.config, 4000.0, seed=12))


def test_the_market_of_the_sample_day_trades_and_quotes_as_the_day_does(
    goog_round_trip: tuple[Description, Calibration, Description],
) -> None:
    """Matched on 400 steps of 64 markets, and measured on another for 4,000 s: about 1,000
    trades."""
    data, _, market = goog_round_trip
    trades = [
        sum(figures[f"trades_{side}"].value for side in ("buys", "sells"))
        for figures in (data, market)
    ]
    assert trades[1] == pytest.approx(trades[0], rel=0.15)
    for name, tolerance in (("spread", 0.15), ("price_sensitivity", 0.2), ("volatility_60", 0.3)):
        assert market[name].value == pytest.approx(data[name].value, rel=tolerance), name


def test_the_market_of_the_sample_day_differs_where_the_model_has_to_and_reports_it(
    goog_round_trip: tuple[Description, Calibration, Description],
) -> None:
    """Signs of independent takers have no autocorrelation, and trades do not cluster. Sizes are
    whole lots. Background makers at random depths make the mid bounce: over one second it moves up
    to two and a half times as much as the day's."""
    data, calibration, market = goog_round_trip
    assert data["sign_autocorrelation_1"].value > 0.5
    assert abs(market["sign_autocorrelation_1"].value) < 0.15
    assert data["gap_variation"].value > 2.0
    assert market["gap_variation"].value == pytest.approx(1.0, abs=0.2)
    assert (
        1.2 * data["volatility_1"].value
        < market["volatility_1"].value
        < 2.5 * data["volatility_1"].value
    )
    reported = " ".join(shortfalls(data, market))
    for words in ("not autocorrelated", "do not cluster", "whole lots"):
        assert words in reported
    assert shortfalls(market, market) == []
    notes = " ".join(calibration.notes)
    assert "taker_size is 1 lot, the smallest size, because the mean is 0.83 lots of" in notes
    assert "best level only" in notes


def test_smaller_lots_keep_the_sizes_of_the_sample(goog: Recording) -> None:
    found = calibrate(describe(goog, lot_size=10)).config
    assert found.taker_size == pytest.approx(8.3, abs=0.3)
    assert found.maker_size == pytest.approx(8.2, abs=0.4)


def test_the_short_sample_of_ten_levels_gives_a_market_with_notes(
    aapl: Recording,
) -> None:
    found = calibrate(describe(aapl))
    notes = " ".join(found.notes)
    for words in (
        "49 s long",
        "more resting orders than a market holds",
        "limited to 0.25 half-spreads",
        "within 10 levels",
    ):
        assert words in notes
    for matched in found.matched:
        assert matched.market == pytest.approx(matched.data, rel=0.3), matched.name
