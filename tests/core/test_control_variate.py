"""Luck (`core.luck`): mean zero in every market, exact where nothing happens, and changing nothing."""

from typing import Any

import numpy as np
import pytest

from mm_gym.core import luck
from mm_gym.core.layout import Obs, Outcome
from tests.core.laboratory import assert_agrees, mean_and_error, offsets, start, started, step

MARKETS: dict[str, dict[str, Any]] = {
    "noise": {"regime": "noise"},
    "imbalanced, flipping fast": {"regime": "imbalanced", "imbalance": 0.9, "imbalance_flip_rate": 0.3},
    "labelled, larger orders": {"regime": "naive_informed", "p_informed": 0.6, "quote_size": 3},
    "informed": {"regime": "informed", "p_informed": 0.6},
    "decoy": {"regime": "informed", "p_informed": 0.6, "informed_kind": "decoy"},
    "informed at any price": {"regime": "informed", "p_informed": 0.6, "informed_price_limit": False},
    "sizes, latency and snipers": {
        "regime": "informed",
        "p_informed": 0.5,
        "taker_size": 2.0,
        "quote_size": 3,
        "latency": 0.5,
        "sniping": True,
    },
    "V moves between decisions": {"regime": "informed", "p_informed": 0.6, "value_interval": 0.3},
    "dealer": {"regime": "dealer", "taker_rate": 1.0},
    "mixed": {"regime": "mixed"},
    "zero intelligence": {"regime": "zero_intelligence"},
}
N, STEPS = 512, 200
LUCK = Outcome.LUCK


def lived(fields: dict[str, Any], skew: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over a session of both figures of fills' luck and of the fills, shape (N,), for a maker who may lean."""
    markets = started(N, seed=5, **(fields | {"session_steps": STEPS + 1}))
    markets.count_luck()
    unit = markets.records["rules"]["max_offset"][0] / 15.0
    edge, squares, fills = np.zeros((3, N))
    outcomes = step(markets)
    edge += markets.records["luck"]["edge"]
    squares += markets.records["luck"]["lots_squared"]
    for _ in range(STEPS - 1):
        lean = skew * outcomes[:, Outcome.INVENTORY]
        quotes = np.clip(unit * np.stack([1.0 + lean, 1.0 - lean], axis=1), 0.0, 15.0 * unit)
        _, outcomes = markets.step((2.0 * quotes / (15.0 * unit) - 1.0).astype(np.float32))
        edge += markets.records["luck"]["edge"]
        squares += markets.records["luck"]["lots_squared"]
        fills += outcomes[:, Outcome.FILLS]
    return edge, squares, fills


@pytest.mark.parametrize("skew", [0.0, 0.3])
@pytest.mark.parametrize("name", MARKETS)
def test_luck_has_mean_zero_in_every_market(name: str, skew: float) -> None:
    edge, squares, fills = lived(MARKETS[name], skew)
    assert fills.mean() > 5.0  # so that a rate wrong by a few per cent would show
    for what, luck_ in (("edge", edge), ("lots squared", squares)):
        mean, error = mean_and_error(luck_)
        assert_agrees(mean, 0.0, error, f"{name}: {what}")


def test_a_rate_of_fills_that_forgets_who_stands_in_front_would_be_noticed() -> None:
    """What the test above can tell: in noise a tenth of the fills is many standard errors of the luck."""
    edge, _, fills = lived(MARKETS["noise"], 0.3)
    _, error = mean_and_error(edge)
    assert 0.1 * fills.mean() * 1.0 > 4.0 * error  # [ticks] a fill earns about one


def test_where_nobody_trades_it_is_the_expectation_alone() -> None:
    """Dealer market, depths of 2 and 3 ticks: rate / 2 exp(-depth / tolerance) a side, each bringing its depth."""
    markets = started(64, "dealer", taker_rate=0.05, taker_tolerance=4.0, signal_drift=0.0, volatility=0.0)
    markets.count_luck()
    outcomes = step(markets, 2.0, 3.0)
    still = outcomes[:, Outcome.FILLS] == 0.0
    rates = 0.025 * np.exp(-np.array([2.0, 3.0]) / 4.0)
    assert 50 < still.sum() < 64
    np.testing.assert_allclose(markets.records["luck"]["edge"][still], -(rates * [2.0, 3.0]).sum(), rtol=1e-12)
    # From no inventory either fill makes one squared lot of it.
    np.testing.assert_allclose(markets.records["luck"]["lots_squared"][still], -rates.sum(), rtol=1e-12)
    # A fill brings its depth, less what could be expected until it came (and of the other side until the end).
    luck_of_the_filled = markets.records["luck"]["edge"][~still]
    assert (luck_of_the_filled > 1.9).all()
    assert (luck_of_the_filled < 5.0).all()


def test_what_inventory_stands_at_counts_for_its_square() -> None:
    """Long by two, the ask's fill takes three squared lots away and the bid's adds five."""
    markets = started(1, "dealer", taker_rate=0.05, taker_tolerance=4.0, signal_drift=0.0, volatility=0.0)
    markets.count_luck()
    markets.records["account"]["inventory"] = 2
    assert step(markets, 2.0, 3.0)[0, Outcome.FILLS] == 0.0
    bid, ask = 0.025 * np.exp(-np.array([2.0, 3.0]) / 4.0)
    np.testing.assert_allclose(markets.records["luck"]["lots_squared"], [-5.0 * bid + 3.0 * ask], rtol=1e-12)


@pytest.mark.parametrize("price", [0.0, 0.3])
def test_luck_is_moves_of_what_is_foreseen_marking_and_fills_and_marking_ends_with_the_session(price: float) -> None:
    markets = started(16, "informed", p_informed=0.6, session_steps=30, value_interval=0.3)
    markets.count_luck(price)
    edge = markets.records["rules"]["edge_per_signal"]
    before = start(markets, 3)
    for number in range(30):
        outcomes = step(markets, 0.7, 0.7)
        ended = outcomes[:, Outcome.TERMINATED] > 0.0
        assert ended.all() == (number == 29)

        def foreseen(at: np.ndarray) -> np.ndarray:
            return at[:, Outcome.EFFICIENT_PRICE] + edge * at[:, Outcome.SIGNAL]

        def marked(at: np.ndarray) -> np.ndarray:
            held = at[:, Outcome.INVENTORY]
            return held * (at[:, Outcome.MID] - foreseen(at)) + price * held**2

        luck_ = before[:, Outcome.INVENTORY] * (foreseen(outcomes) - foreseen(before)) - marked(before)
        luck_ += np.where(ended, 0.0, marked(outcomes))
        luck_ += markets.records["luck"]["edge"] - price * markets.records["luck"]["lots_squared"]
        np.testing.assert_allclose(outcomes[:, LUCK], luck_, atol=1e-9)
        before = outcomes
    assert np.abs(luck_).max() > 0.1


@pytest.mark.parametrize("rows", [0, 4000])
def test_to_count_changes_nothing_and_a_recorder_does_not_change_the_count(rows: int) -> None:
    plain = started(8, "informed", p_informed=0.6, seed=1)
    counting = started(8, "informed", p_informed=0.6, seed=1, fill_rows=rows, path_rows=rows)
    bare = started(8, "informed", p_informed=0.6, seed=1)
    counting.count_luck(0.1)
    bare.count_luck(0.1)
    counts: list[np.ndarray] = []
    for _ in range(100):
        action = offsets(plain, 1.0, 1.0)
        seen, outcomes = plain.step(action)
        for markets in (counting, bare):
            ours, our_outcomes = markets.step(action)
            np.testing.assert_array_equal(ours, seen)
            np.testing.assert_array_equal(our_outcomes[:, :LUCK], outcomes[:, :LUCK])
            counts.append(our_outcomes[:, LUCK])
        assert not outcomes[:, LUCK].any()
        np.testing.assert_allclose(*counts[-2:], atol=1e-12)
        assert counts[-1].any()
    assert seen[:, Obs.INVENTORY].any()


def test_a_session_that_starts_has_had_no_luck() -> None:
    markets = started(4, "noise")
    markets.count_luck()
    for _ in range(5):
        assert step(markets, 0.5, 0.5)[:, LUCK].any()
    assert not start(markets, 2)[:, LUCK].any()
    assert (markets.records["luck"]["counted"] == 1).all()


@pytest.mark.parametrize("mean", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("ahead", [0, 1, 5])
@pytest.mark.parametrize("lots", [1, 3])
def test_the_lots_expected_of_a_taker_are_a_sum_over_all_sizes(mean: float, ahead: int, lots: int) -> None:
    sizes = np.arange(1, 2000)
    chances = (1.0 / mean) * (1.0 - 1.0 / mean) ** (sizes - 1)
    expected = (chances * np.clip(sizes - ahead, 0, lots)).sum()
    assert luck._expected_lots(1.0 - 1.0 / mean, ahead, lots) == pytest.approx(expected, abs=1e-12)
