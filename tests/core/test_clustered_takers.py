"""Takers with memory: Hawkes arrivals and metaorders, against their closed forms and real data.

The first tests use a dealer market in which every taker trades with the agent, as in
`test_takers_and_makers`.
"""

import functools
import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from mm_gym import ConfigurationError, configure
from mm_gym.core import entry_points
from mm_gym.core.layout import Outcome, TakerKind
from mm_gym.data import Description, describe, record_market
from mm_gym.data.hawkes import HawkesProcess
from mm_gym.regimes import REGIMES
from mm_gym.theory.lillo_mike_farmer import length_survival, mean_length, sign_autocorrelation
from tests.core.kit import assert_agrees, mean_and_error, started, step
from tests.core.test_takers_and_makers import _taker_stream, directions, takers_of

CLUSTERED = REGIMES["clustered"]
ARRIVALS = {name: CLUSTERED[name] for name in ("clustering", "clustering_half_lives")}
SPLITTING = {name: CLUSTERED[name] for name in ("longest_metaorder", "metaorder_exponent")}
LAGS = np.array([1, 2, 5, 10, 20])


# ---------------------------------------------------------------------------------------- arrivals


def process_of(rate: float) -> HawkesProcess:
    branching = np.array(CLUSTERED["clustering"])
    decay = math.log(2.0) / np.array(CLUSTERED["clustering_half_lives"])
    return HawkesProcess(np.array([rate * (1.0 - branching.sum())]), branching[None, None], decay)


def test_takers_arrive_as_the_hawkes_process_of_the_configuration() -> None:
    """Time-rescaled gaps are independent and exponential (Ogata 1988). Poisson's are not."""
    rate = 2.0
    times = takers_of(1, 20_000.0, taker_rate=rate, **ARRIVALS)[0]["time"]
    (residuals,) = process_of(rate).residuals(times, np.zeros(len(times), dtype=np.int64))
    residuals = residuals[100:]  # the first ones depend on what came before the start
    assert stats.kstest(residuals, "expon").pvalue > 1e-3
    assert_agrees(
        float(np.corrcoef(residuals[1:], residuals[:-1])[0, 1]),
        0.0,
        1.0 / math.sqrt(len(residuals)),
        "neighbouring residuals",
    )
    assert stats.kstest(np.diff(times) * rate, "expon").pvalue < 1e-9


def test_clustered_takers_are_as_many_as_poisson_takers_and_vary_more() -> None:
    """The mean is exact from the start. In the long run the variance is 1 / (1 - n)^2 as large."""
    rate, seconds, n = 2.0, 200.0, 1_000
    counts = np.array([len(rows) for rows in takers_of(n, seconds, taker_rate=rate, **ARRIVALS)])
    assert_agrees(counts.mean(), rate * seconds, counts.std(ddof=1) / math.sqrt(n), "mean count")
    early = takers_of(n, 2.0, seed=1, taker_rate=rate, **ARRIVALS)
    first = np.array([len(rows) for rows in early])
    assert_agrees(first.mean(), 2.0 * rate, first.std(ddof=1) / math.sqrt(n), "first seconds")
    dispersion = 1.0 / (1.0 - sum(CLUSTERED["clustering"])) ** 2
    error = dispersion * math.sqrt(2.0 / (n - 1))
    # 200 s are 140 times the longest half-life: the limit is reached to a few per cent.
    assert_agrees(0.97 * dispersion, counts.var(ddof=1) / counts.mean(), error, "dispersion")
    assert dispersion > 10.0


def test_the_same_seed_gives_the_same_clustered_arrivals_whatever_the_agent_does() -> None:
    streams = [
        _taker_stream(started(4, "clustered", seed=5, **fields), *quotes)
        for fields, quotes in (
            ({}, (2.0, 2.0)),
            ({"latency": 2.5, "sniping": True}, (0.0, 5.0)),
            ({"p_informed": 0.5}, (1.0, 1.0)),
            ({"makers": "none"}, (10.0, 0.0)),
        )
    ]
    for other in streams[1:]:
        assert streams[0] == other


def test_clustering_does_not_change_the_price_path() -> None:
    paths = []
    for regime in ("noise", "clustered"):
        markets = started(4, regime, seed=2)
        paths.append([step(markets)[:, Outcome.EFFICIENT_PRICE].copy() for _ in range(50)])
    np.testing.assert_array_equal(*paths)


# --------------------------------------------------------------------------------------- metaorders


@pytest.mark.parametrize(
    "fields",
    [
        SPLITTING,
        {**SPLITTING, **ARRIVALS},
        {**SPLITTING, "p_informed": 0.4},
        {"longest_metaorder": 1000, "metaorder_exponent": 1.5},
    ],
    ids=["the regime's", "with clustered arrivals", "among informed takers", "long memory"],
)
def test_signs_have_the_autocorrelation_of_split_metaorders(fields: dict[str, Any]) -> None:
    """Lillo, Mike and Farmer (2005). Informed takers interrupt no metaorder."""
    rows = takers_of(128, 1_000.0, **({"p_informed": 0.0} | fields))
    signs = [directions(of_market[of_market["taker"] == TakerKind.NOISE]) for of_market in rows]
    longest, exponent = fields["longest_metaorder"], fields["metaorder_exponent"]
    for lag in LAGS:
        found = [(of_market[:-lag] * of_market[lag:]).mean() for of_market in signs]
        mean, error = mean_and_error(found)
        expected = float(sign_autocorrelation(lag, exponent, longest))
        assert_agrees(mean, expected, error, f"lag {lag}")
        assert error < 0.02


def test_orders_of_one_metaorder_share_a_tolerance() -> None:
    """So a metaorder trades all of its orders or none, and lengths are a power law with a limit.

    In a dealer market with a constant price a quote at 2 ticks is taken by exp(-2 / 3) of the
    metaorders.
    """
    takers = takers_of(200, 500.0, taker_rate=2.0, taker_tolerance=3.0, **SPLITTING)
    traded = np.array([len(rows) for rows in takers])
    mean, error = mean_and_error(traded / 1_000.0)
    assert_agrees(mean, math.exp(-2.0 / 3.0), error, "share of orders that trade")
    # With independent tolerances the variance of this share would be three times smaller.
    survival = length_survival(CLUSTERED["metaorder_exponent"], CLUSTERED["longest_metaorder"])
    squares = (survival * (2.0 * np.arange(1, len(survival) + 1) - 1.0)).sum()
    per_order = squares / mean_length(
        CLUSTERED["metaorder_exponent"], CLUSTERED["longest_metaorder"]
    )
    chance = math.exp(-2.0 / 3.0)
    # Var = rate x time x (chance (1 - chance) E[L^2] / E[L] + chance^2), for Poisson arrivals.
    expected = 1_000.0 * (chance * (1.0 - chance) * per_order + chance**2)
    assert_agrees(
        traded.var(ddof=1), expected, expected * math.sqrt(2.0 / (len(traded) - 1)), "variance"
    )
    assert per_order > 5.0


# ------------------------------------------------------------------------------------------- refill


def test_taken_lots_return_at_the_same_price_behind_the_others() -> None:
    markets = started(1, "clustered", taker_size=3.0, maker_size=2.0)
    market = markets.records[0]
    traded = 0
    for _ in range(8_000):
        before = _queues(market)
        n_trades = int(market["n_trades"])
        entry_points.audit_events(markets.records, markets.parameters, 1, markets.fill_rows)
        if int(market["n_trades"]) == n_trades:
            continue
        trade = market["tape"][n_trades % len(market["tape"])]
        assert int(market["n_trades"]) == n_trades + 1  # never beyond the best price
        queue = before.pop((1 - int(trade["side"]), int(trade["price"])))
        after = _queues(market)
        found = after.pop((1 - int(trade["side"]), int(trade["price"])))
        assert after == before
        left = int(trade["lots"])
        while left > 0:
            lots = min(left, queue[0])
            queue = [queue[0] - lots, *queue[1:]] if lots < queue[0] else queue[1:]
            queue, left = [*queue, lots], left - lots
        assert found == queue
        traded += 1
    assert traded > 200


def _queues(market: Any) -> dict[tuple[int, int], list[int]]:
    """Lots of each order by side and price, oldest first."""
    book, found = market["book"], {}
    for side in range(2):
        for level in book["levels"][side, : int(book["n_levels"][side])]:
            slot, queue = int(level["head"]), []
            while slot >= 0:
                queue.append(int(book["orders"][slot]["lots"]))
                slot = int(book["orders"][slot]["younger"])
            found[side, int(level["key"]) * (1 - 2 * side)] = queue
    return found


# --------------------------------------------------------------------------- what the flow predicts


@functools.cache
def responses(**fields: Any) -> dict[str, npt.NDArray[np.float64]]:
    """Sign of a second's flow times later moves of the mid and of V, means of each market.

    The agent's quotes are too far away to trade. Horizons are 1, 5, 20, 50 s after that second's
    start. Shape (markets, 4).
    """
    n, steps = 256, 400
    markets = started(n, "clustered", seed=9, max_offset=1e5, max_inventory=1, **fields)
    decay = markets.parameters["feature_decay"][0, 0]
    flow_before = markets.records["features"]["flow"][:, 0].copy()
    outcomes = markets.records["outcome"].copy()
    prices = {Outcome.MID: [outcomes[:, Outcome.MID]], Outcome.EFFICIENT_PRICE: []}
    prices[Outcome.EFFICIENT_PRICE].append(outcomes[:, Outcome.EFFICIENT_PRICE])
    flows = []
    for _ in range(steps):
        outcomes = step(markets, 1e5, 1e5)
        flow = markets.records["features"]["flow"][:, 0].copy()
        flows.append(np.sign(np.round(flow - decay * flow_before)))
        flow_before = flow
        for column, path in prices.items():
            path.append(outcomes[:, column].copy())
    signs = np.array(flows)
    found = {}
    for name, column in (("mid", Outcome.MID), ("value", Outcome.EFFICIENT_PRICE)):
        path = np.array(prices[column])
        found[name] = np.stack(
            [
                (signs[: steps - h] * (path[h:-1] - path[: steps - h])).mean(axis=0)
                for h in (1, 5, 20, 50)
            ],
            axis=1,
        )
    return found


def test_clustered_flow_without_information_predicts_neither_the_mid_nor_the_value() -> None:
    for name, of_markets in responses().items():
        for horizon, samples in zip((1, 5, 20, 50), of_markets.T, strict=True):
            mean, error = mean_and_error(samples)
            assert_agrees(mean, 0.0, error, f"{name} after {horizon} s")
            assert error < 0.05


def test_a_market_whose_book_refills_beyond_its_room_cannot_be_recorded() -> None:
    """Each trade with a part of a large order leaves one more order, until there is no slot."""
    config = configure("clustered", taker_rate=150.0, maker_rate=1.6, maker_size=250.0, warm_up=5.0)
    with pytest.raises(ConfigurationError, match="expected room for each order that refills it"):
        record_market(config, 60.0)


def test_without_refill_the_same_flow_empties_the_book_and_moves_the_mid() -> None:
    """The value does not follow, so that move is mechanical and returns."""
    found = responses(refill=False)
    mean, error = mean_and_error(found["mid"][:, 0])
    assert mean > 0.1
    assert mean > 10.0 * error
    for samples in found["value"].T:
        assert_agrees(*[mean_and_error(samples)[0], 0.0, mean_and_error(samples)[1]], "value")


def test_after_a_fill_in_clustered_flow_the_value_stays_and_the_mid_returns() -> None:
    """A quote trades more often while the mid is displaced towards it.

    So the mid moves in favour of the maker afterwards. Without drift the value is a martingale.
    """
    horizons, seconds = (1.0, 5.0, 20.0), 400
    markets = started(128, "clustered", seed=11, fill_rows=1_000, path_rows=8_000, signal_drift=0.0)
    for _ in range(seconds):
        step(markets, 1.5, 1.5)
    moves = []
    for market in range(len(markets)):
        recorded = markets.recorded(market)
        sign = directions(recorded.fills)[:, None]
        later = recorded.later_prices(float(seconds), horizons)
        moves.append(
            [
                np.nanmean(sign * (prices - recorded.fills[name][:, None]), axis=0)
                for name, prices in zip(("mid", "efficient_price"), later, strict=True)
            ]
        )
    for column, horizon in enumerate(horizons):
        of_mid, of_value = np.array(moves)[:, :, column].T
        mean, error = mean_and_error(of_value)
        assert_agrees(mean, 0.0, error, f"value after {horizon} s")
        assert error < 0.01 * math.sqrt(3.0 * horizon)
        mean, error = mean_and_error(of_mid)
        assert mean < (-4.0 * error if horizon < 20.0 else 0.0)


def test_informed_takers_in_clustered_flow_predict_more_the_more_they_are() -> None:
    growth = [responses(p_informed=share)["value"][:, 2] for share in (0.0, 0.3, 0.6, 0.9)]
    for fewer, more in itertools.pairwise(growth):
        mean, error = mean_and_error(more - fewer)
        assert mean > 4.0 * error


# ---------------------------------------------------------------------------------------- real data


@functools.cache
def simulated() -> Description:
    return describe(record_market(configure("clustered"), 5_000.0, seed=3))


# GOOG, 21 June 2012: `python -m mm_gym.data describe`, with its standard errors.
GOOG = {
    "sign_autocorrelation_1": (0.634, 0.018),
    "sign_autocorrelation_2": (0.455, 0.029),
    "sign_autocorrelation_5": (0.189, 0.030),
    "sign_autocorrelation_10": (0.050, 0.024),
    "gap_variation": (2.30, 0.22),
}


@pytest.mark.parametrize("name", GOOG)
def test_trades_depend_on_each_other_as_in_a_real_day(name: str) -> None:
    """The simulated figure lies in the 95 % interval of the day."""
    value, error = GOOG[name]
    assert abs(simulated()[name].value - value) < 1.96 * error
    assert simulated()[name].standard_error < 1.5 * error


def test_clustered_flow_has_the_volume_of_noise() -> None:
    noise = describe(record_market(configure("noise"), 2_500.0, seed=3))
    for found in ("trades_buys", "trades_sells"):
        difference = simulated()[found].value - noise[found].value
        error = math.hypot(simulated()[found].standard_error, noise[found].standard_error)
        assert_agrees(difference, 0.0, error, found)
        assert error < 0.1 * noise[found].value


# ------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"clustering": (0.5, 0.5)}, r"explodes: expected a sum below 1, got 1"),
        ({"clustering": (0.5,)}, "does not match .*: expected 1 half-lives, got 2"),
        ({"clustering": (0.1,) * 5}, "too long: expected at most 4 branching ratios.*, got 5"),
        ({"clustering": 0.5}, "is not a sequence of branching"),
        (
            {"clustering": (-0.1, 0.5)},
            "branching ratio that is out of range: .* to 1, got -0.1",
        ),
        ({"clustering_half_lives": (0.0, 1.0)}, "expected numbers from 1e-06 to 1e.06, got 0"),
        ({"longest_metaorder": 0}, "expected a whole number from 1 to 100000, got 0"),
        ({"metaorder_exponent": 0.0}, "expected a number from 0.01 to 100, got 0"),
        ({"taker_size": 1e6}, "has too many events: expected at most 1,000,000"),
        ({"refill": 1}, "is not a switch: expected True or False, got 1"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        configure("clustered", **fields)
