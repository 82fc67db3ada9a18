"""Takers and background makers, against the distributions of their arrivals, sizes and prices.

Most tests record every taker. They use a dealer market with large quotes and a constant price, in
which every taker accepts any price.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from mm_gym.core import entry_points
from mm_gym.core.layout import ASK, BID, NO_ORDER, Makers, Outcome, TakerKind
from mm_gym.markets import Markets
from tests.core.kit import FLOW_REGIMES, assert_agrees, mean_and_error, start, started, step
from tests.random_quotes import quote_near

EVERYBODY_TRADES: dict[str, Any] = {
    "taker_tolerance": np.inf,
    "signal_threshold": 0.0,
    "informed_price_limit": False,
    "volatility": 0.0,
    "quote_size": 10**6,
    "max_inventory": 10**9,
}


def takers_of(
    n_markets: int, seconds: float, *, seed: int = 0, **fields: Any
) -> list[npt.NDArray[Any]]:
    """Return the takers that arrive in each market, one row of `layout.FILL_ROW` per taker."""
    fields = {**EVERYBODY_TRADES, "taker_rate": 2.0, **fields}
    room = int(2.0 * fields["taker_rate"] * seconds + 100)
    markets = started(
        n_markets, "dealer", seed=seed, fill_rows=room, decision_interval=seconds, **fields
    )
    step(markets)
    assert markets.records["n_fill_rows"].max() < room
    return rows_by_market(markets)


def rows_by_market(markets: Markets) -> list[npt.NDArray[Any]]:
    """Return the recorded fills of each market."""
    return [
        rows[:n] for rows, n in zip(markets.fill_rows, markets.records["n_fill_rows"], strict=True)
    ]


def rows_of(markets: Markets) -> npt.NDArray[Any]:
    """Return the recorded fills of all markets in one array."""
    return np.concatenate(rows_by_market(markets))


def directions(rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return +1 for each taker that bought and -1 for each taker that sold."""
    return np.where(rows["side"] == ASK, 1, -1)


# ------------------------------------------------------------------------------------ arrivals


def test_takers_arrive_as_a_poisson_process_of_the_configured_rate() -> None:
    rate, seconds, n = 2.0, 100.0, 1_000
    takers = takers_of(n, seconds, taker_rate=rate)
    counts = np.array([len(rows) for rows in takers])
    expected = rate * seconds
    assert_agrees(counts.mean(), expected, math.sqrt(expected / n), "mean count")
    # For Poisson counts, (n - 1) x variance / mean is chi-squared with n - 1 degrees of freedom.
    assert_agrees(counts.var(ddof=1) / expected, 1.0, math.sqrt(2.0 / (n - 1)), "dispersion")
    # Given their number, the arrival times are uniform. The first gap is exponential.
    times = np.concatenate([rows["time"] for rows in takers])
    assert stats.kstest(times / seconds, "uniform").pvalue > 1e-3
    assert (
        stats.kstest([rows["time"][0] for rows in takers], "expon", args=(0.0, 1.0 / rate)).pvalue
        > 1e-3
    )
    gaps = np.diff(takers_of(1, 20_000.0, taker_rate=rate)[0]["time"])
    assert stats.kstest(gaps, "expon", args=(0.0, 1.0 / rate)).pvalue > 1e-3
    assert_agrees(
        float(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]),
        0.0,
        1.0 / math.sqrt(len(gaps)),
        "neighbouring gaps",
    )


def test_no_takers_arrive_at_rate_zero() -> None:
    assert [len(rows) for rows in takers_of(10, 100.0, taker_rate=0.0)] == [0] * 10


def _taker_stream(markets: Markets, bid: float, ask: float) -> list[bytes]:
    """Return the random words, the latest arrival and the next arrival at each of 300 decisions."""
    stream = []
    for _ in range(300):
        step(markets, bid, ask)
        records = markets.records
        for part in (
            records["taker_words"],
            records["flow"]["last_arrival"],
            records["next_taker"],
        ):
            stream.append(part.tobytes())
    return stream


def test_the_same_seed_gives_the_same_arrivals_in_every_regime_whatever_the_agent_does() -> None:
    streams = [_taker_stream(started(4, regime, seed=5), 2.0, 2.0) for regime in FLOW_REGIMES]
    streams.append(_taker_stream(started(4, "informed", seed=5, informed_kind="decoy"), 2.0, 2.0))
    streams.append(
        _taker_stream(started(4, "informed", seed=5, latency=2.5, sniping=True), 0.0, 5.0)
    )
    streams.append(_taker_stream(started(4, "dealer", seed=5, warm_up=20.0), 10.0, 0.0))
    for other in streams[1:]:
        assert streams[0] == other
    another = _taker_stream(started(4, seed=6), 2.0, 2.0)
    assert not set(another) & set(streams[0])


# ---------------------------------------------------------------------------- kinds of takers


@pytest.mark.parametrize("p_informed", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("informed_kind, label", [("signal", 2), ("naive", 1), ("decoy", 3)])
def test_the_share_of_the_informed_is_p_informed(
    p_informed: float, informed_kind: str, label: int
) -> None:
    rows = np.concatenate(
        takers_of(20, 1_000.0, p_informed=p_informed, informed_kind=informed_kind)
    )
    labelled = rows["taker"] == label
    assert set(rows["taker"]) <= {label, TakerKind.NOISE}
    if p_informed in (0.0, 1.0):
        assert labelled.all() == labelled.any() == bool(p_informed)
    else:
        error = math.sqrt(p_informed * (1.0 - p_informed) / len(rows))
        assert_agrees(labelled.mean(), p_informed, error)
        # The kinds are independent: after an informed taker the share is the same.
        assert_agrees(labelled[1:][labelled[:-1]].mean(), p_informed, error / math.sqrt(p_informed))


def test_the_sizes_are_geometric_with_the_configured_means() -> None:
    rows = np.concatenate(
        takers_of(
            20, 1_000.0, p_informed=0.5, informed_kind="naive", taker_size=2.0, naive_taker_size=5.0
        )
    )
    for kind, mean in ((TakerKind.NOISE, 2.0), (TakerKind.NAIVE_INFORMED, 5.0)):
        sizes = rows["lots"][rows["taker"] == kind]
        law = stats.geom(1.0 / mean)
        assert_agrees(sizes.mean(), mean, law.std() / math.sqrt(len(sizes)))
        edges = np.append(np.arange(0.5, 8.0), np.inf)
        counts, expected = np.histogram(sizes, edges)[0], len(sizes) * np.diff(law.cdf(edges))
        assert stats.chisquare(counts, expected).pvalue > 1e-3


# -------------------------------------------------------------------------------- sides


@pytest.mark.parametrize("imbalance", [0.0, 0.4, 1.0])
def test_the_favoured_side_has_its_share(imbalance: float) -> None:
    fields = {
        **EVERYBODY_TRADES,
        "imbalance": imbalance,
        "imbalance_flip_rate": 0.0,
        "taker_rate": 2.0,
    }
    markets = started(200, "dealer", fill_rows=1_000, decision_interval=200.0, **fields)
    step(markets)
    bias = markets.records["flow"]["bias"]
    assert set(bias) == {-1.0, 1.0}
    assert_agrees(
        (bias > 0.0).mean(), 0.5, 0.5 / math.sqrt(len(bias)), "markets that favour buyers"
    )
    with_bias = np.concatenate(
        [sign * directions(rows) for sign, rows in zip(bias, rows_by_market(markets), strict=True)]
    )
    if imbalance == 1.0:
        assert (with_bias == 1).all()
    else:
        # The favoured side has a share of (1 + imbalance) / 2, so the mean sign is the imbalance.
        assert_agrees(with_bias.mean(), imbalance, math.sqrt((1.0 - imbalance**2) / len(with_bias)))


@pytest.mark.parametrize("imbalance", [0.0, 0.6])
def test_the_correlation_of_the_signs_is_that_of_a_telegraph_process(imbalance: float) -> None:
    # With flip rate r, the bias has the correlation exp(-2 r t) over a time t. The time of k
    # Poisson arrivals of rate a is gamma distributed, so the mean correlation is (a / (a + 2 r))^k.
    rate, flip_rate, lags = 1.0, 0.02, (1, 5, 20, 60)
    takers = takers_of(
        400, 1_000.0, imbalance=imbalance, imbalance_flip_rate=flip_rate, taker_rate=rate
    )
    for lag in lags:
        products = [float((signs[lag:] * signs[:-lag]).mean()) for signs in map(directions, takers)]
        estimate, error = mean_and_error(products)
        assert_agrees(
            estimate, imbalance**2 * (rate / (rate + 2.0 * flip_rate)) ** lag, error, f"lag {lag}"
        )


@pytest.mark.parametrize("informed_kind, label", [("signal", 2), ("naive", 1), ("decoy", 3)])
def test_only_informed_takers_trade_with_the_signal(informed_kind: str, label: int) -> None:
    takers = takers_of(400, 100.0, p_informed=0.5, imbalance=0.4, informed_kind=informed_kind)

    def sums_with_signal(informed: bool) -> list[int]:
        # A market is one sample, since signal and bias are constant over many arrivals.
        signs = [directions(rows) * np.sign(rows["signal"]) for rows in takers]
        return [
            sign[(rows["taker"] == label) == informed].sum()
            for sign, rows in zip(signs, takers, strict=True)
        ]

    uninformed, error = mean_and_error(sums_with_signal(informed=False))
    assert_agrees(uninformed, 0.0, error, "the uninformed")
    if informed_kind == "signal":
        assert sums_with_signal(informed=True) == [
            (rows["taker"] == label).sum() for rows in takers
        ]
    else:
        informed, error = mean_and_error(sums_with_signal(informed=True))
        assert_agrees(informed, 0.0, error, informed_kind)


# ---------------------------------------------------------------------------- prices


@pytest.mark.parametrize("bid, ask", [(1.0, 0.0), (1.0, 1.0), (5.0, 2.0)])
def test_uninformed_takers_accept_an_exponential_distance_from_the_mid(
    bid: float, ask: float
) -> None:
    # In the dealer market of Avellaneda and Stoikov, the fill rate of each side is
    # rate / 2 exp(-offset / tolerance).
    rate, tolerance, seconds, n = 2.0, 3.0, 100.0, 400
    fields = {**EVERYBODY_TRADES, "taker_tolerance": tolerance, "taker_rate": rate}
    markets = started(n, "dealer", fill_rows=500, decision_interval=seconds, **fields)
    step(markets, bid, ask)
    rows = rows_of(markets)
    for offset, side in ((bid, BID), (ask, ASK)):
        expected = n * seconds * rate / 2.0 * math.exp(-offset / tolerance)
        assert_agrees((rows["side"] == side).sum(), expected, math.sqrt(expected), f"side {side}")


@pytest.mark.parametrize("threshold", [0.0, 1.0, 2.0])
def test_informed_takers_do_not_trade_while_the_signal_is_weak(threshold: float) -> None:
    rate, seconds, n = 2.0, 20.0, 2_000
    takers = takers_of(n, seconds, taker_rate=rate, p_informed=1.0, signal_threshold=threshold)
    assert min(np.abs(rows["signal"]).min() for rows in takers if len(rows)) > threshold
    # A standard normal is beyond the threshold for this share of the time.
    estimate, error = mean_and_error([len(rows) for rows in takers])
    assert_agrees(estimate, rate * seconds * 2.0 * stats.norm.sf(threshold), error)


@pytest.mark.parametrize("regime", ["informed", "dealer"])
def test_informed_takers_trade_up_to_the_efficient_price_plus_edge(regime: str) -> None:
    markets = started(
        64,
        regime,
        seed=1,
        fill_rows=5_000,
        p_informed=0.8,
        taker_rate=3.0,
        signal_drift=0.11,
        signal_threshold=0.5,
    )
    random = np.random.default_rng(0)
    for _ in range(300):
        markets.step(quote_near(random, high=7.5, shape=(64, 2)))
    rows = np.concatenate(
        [
            rows[:n]
            for rows, n in zip(markets.fill_rows, markets.records["n_fill_rows"], strict=True)
        ]
    )
    rows = rows[rows["taker"] == TakerKind.INFORMED]
    edge = markets.parameters["edge_per_signal"][0] * np.abs(rows["signal"])
    beyond_value = directions(rows) * (rows["price"] - rows["efficient_price"])
    assert len(rows) > 1_000
    assert (directions(rows) == np.sign(rows["signal"])).all()
    assert (np.abs(rows["signal"]) > 0.5).all()
    assert (beyond_value <= edge + 1e-9).all()
    assert (beyond_value > 0.5 * edge).mean() > 0.05  # the limit is binding


def test_without_the_price_limit_informed_takers_accept_any_price() -> None:
    markets = started(
        16,
        "dealer",
        fill_rows=1_000,
        p_informed=1.0,
        informed_price_limit=False,
        max_offset=1_000.0,
        signal_drift=0.11,
    )
    for _ in range(300):
        step(markets, 1_000.0, 1_000.0)
    assert (markets.records["n_fill_rows"] > 0).all()
    limited = started(
        16, "dealer", fill_rows=1_000, p_informed=1.0, max_offset=1_000.0, signal_drift=0.11
    )
    for _ in range(50):
        step(limited, 1_000.0, 1_000.0)
    assert not (limited.records["n_fill_rows"] > 0).any()


def test_snipers_take_the_whole_quotes_that_the_efficient_price_has_crossed() -> None:
    fields = {
        "volatility": 3.0,
        "taker_rate": 0.0,
        "quote_size": 3,
        "max_inventory": 10**6,
        "fill_rows": 10_000,
    }
    for regime in ("noise", "dealer"):
        markets = started(32, regime, seed=2, sniping=True, **fields)
        for _ in range(300):
            step(markets, 1.0, 1.0)
            for record in markets.records:
                for side, sign in ((BID, 1), (ASK, -1)):
                    slot = record["quotes"]["slot"][side]
                    if slot != NO_ORDER:
                        assert (
                            record["book"]["orders"][slot]["key"]
                            <= sign * record["efficient_price"]
                        )
        rows = rows_of(markets)
        assert len(rows) > 1_000
        assert (rows["taker"] == TakerKind.SNIPER).all()
        assert (rows["lots"] == 3).all()
        # The agent loses: it trades at a worse price than V.
        assert (directions(rows) * (rows["efficient_price"] - rows["price"]) > 0.0).all()


# --------------------------------------------------------------------------- background makers


def _public_best(record: Any, side: int) -> int | None:
    """Return the key of the best level with a public order, or None if there is none."""
    book, own = record["book"], record["quotes"]["slot"][side]
    for index in range(int(book["n_levels"][side]) - 1, -1, -1):
        level = book["levels"][side, index]
        if not level["head"] == level["tail"] == own:
            return int(level["key"])
    return None


def test_background_orders_rest_behind_the_efficient_price_and_are_pulled_when_it_crosses() -> None:
    markets = started(regime="informed", seed=4, volatility=2.0)
    record = markets.records[0]
    pulled = 0
    for _ in range(20_000):
        live, ticks = int(record["book"]["n_live"]), int(record["value_ticks"])
        entry_points.audit_events(markets.records, markets.parameters, 1, markets.fill_rows)
        value = float(record["efficient_price"])
        for side, sign in ((BID, 1), (ASK, -1)):
            best = _public_best(record, side)
            assert best is None or best <= sign * value
        pulled += int(record["value_ticks"]) > ticks and int(record["book"]["n_live"]) < live
    assert pulled > 500


def test_background_makers_never_trade_with_the_agents_stale_quotes() -> None:
    # Without takers and snipers nobody trades.
    markets = started(16, seed=4, volatility=2.0, taker_rate=0.0, latency=3.0, quote_size=5)
    random = np.random.default_rng(0)
    crossed = 0
    for _ in range(500):
        markets.step(quote_near(random, high=3.75, shape=(16, 2)))
        for record in markets.records:
            value = float(record["efficient_price"])
            for side, sign in ((BID, 1), (ASK, -1)):
                best = _public_best(record, side)
                slot = record["quotes"]["slot"][side]
                assert best is None or best <= sign * value
                if slot == NO_ORDER:  # the first quotes are still under way
                    continue
                crossed += record["book"]["orders"][slot]["key"] > sign * value
    assert crossed > 500
    assert (markets.records["account"]["n_fills"] == 0).all()
    assert (markets.records["account"]["cash"] == 0.0).all()


QUIET: dict[str, Any] = {"volatility": 0.0, "signal_drift": 0.0, "taker_rate": 0.0}


def _resting_lots(n_samples: int, **fields: Any) -> npt.NDArray[np.int64]:
    """Return background lots after the warm-up, by sample, side and ticks behind the nearest tick.

    The price is constant and there are no takers. Each side is therefore an M/M/infinity queue.
    """
    markets = started(500, **{**QUIET, **fields})
    lots = np.zeros((n_samples, 2, 200), np.int64)
    for first in range(0, n_samples, 500):
        start(markets, 1_000 + first)
        for sample, record in enumerate(markets.records, start=first):
            for side, sign in ((BID, 1), (ASK, -1)):
                nearest = math.floor(sign * float(record["efficient_price"]))
                levels = record["book"]["levels"][side, : int(record["book"]["n_levels"][side])]
                lots[sample, side, nearest - levels["key"]] = levels["lots"]
    return lots


@pytest.mark.parametrize("warm_up", [2.0, 60.0])
def test_the_number_of_resting_orders_is_that_of_an_infinite_server_queue(warm_up: float) -> None:
    n, rate, cancel_rate = 2_000, 2.2, 0.3
    orders = _resting_lots(n, warm_up=warm_up, maker_rate=rate, maker_cancel_rate=cancel_rate).sum(
        axis=2
    )
    # From an empty book, the number of orders on a side is Poisson at any time t, with mean
    # rate / cancel_rate (1 - exp(-cancel_rate t)).
    mean = rate / cancel_rate * -math.expm1(-cancel_rate * warm_up)
    for side in (BID, ASK):
        assert_agrees(orders[:, side].mean(), mean, math.sqrt(mean / n), "mean")
        assert_agrees(
            orders[:, side].var(ddof=1) / mean, 1.0, math.sqrt(2.0 / (n - 1)), "dispersion"
        )
    correlation = float(np.corrcoef(orders.T)[0, 1])
    assert_agrees(correlation, 0.0, 1.0 / math.sqrt(n), "correlation of the sides")


@pytest.mark.parametrize("initial_price", [10_000.0, 10_000.25, -3.75])
def test_orders_rest_at_an_exponential_depth_behind_the_efficient_price(
    initial_price: float,
) -> None:
    n, rate, cancel_rate, depth = 2_000, 2.2, 0.3, 3.0
    lots = _resting_lots(
        n,
        warm_up=60.0,
        initial_price=initial_price,
        maker_rate=rate,
        maker_cancel_rate=cancel_rate,
        maker_depth=depth,
    )
    for side, sign in ((BID, 1), (ASK, -1)):
        # Let f be the distance from V to the nearest tick behind it. An order at depth d rests k
        # ticks behind that tick for d from k - 1 + f to k + f.
        fraction = sign * initial_price - math.floor(sign * initial_price)
        edges = np.maximum(0.0, np.arange(-1.0, 10.0) + fraction)
        expected = n * rate / cancel_rate * -np.diff(np.exp(-edges / depth))
        counts = lots[:, side, : len(expected)].sum(axis=0)
        assert counts[expected == 0.0].sum() == 0
        some = expected > 0.0
        # Counts at different ticks are independent and Poisson.
        statistic = float(((counts[some] - expected[some]) ** 2 / expected[some]).sum())
        assert stats.chi2.sf(statistic, some.sum()) > 1e-3


def test_the_sizes_of_background_orders_have_the_configured_mean() -> None:
    n, rate, cancel_rate, size = 2_000, 2.2, 0.3, 4.0
    lots = _resting_lots(
        n, warm_up=60.0, maker_rate=rate, maker_cancel_rate=cancel_rate, maker_size=size
    )
    estimate, error = mean_and_error(lots.sum(axis=(1, 2)))
    assert_agrees(estimate, 2.0 * rate / cancel_rate * size, error)


def test_in_the_dealer_market_only_the_agent_quotes() -> None:
    markets = started(8, "dealer", seed=3)
    assert (markets.parameters["makers"] == Makers.NONE).all()
    assert (markets.records["book"]["n_live"] == 0).all()
    for _ in range(100):
        outcomes = step(markets)
        quoting = (markets.records["quotes"]["slot"] != NO_ORDER).sum(axis=1)
        np.testing.assert_array_equal(markets.records["book"]["n_live"], quoting)
        np.testing.assert_array_equal(
            outcomes[:, Outcome.MID], outcomes[:, Outcome.EFFICIENT_PRICE]
        )
