"""The control variate has mean zero in every market and does not change the market."""

from typing import Any

import numpy as np
import pytest

from mm_gym.actions import from_ticks
from mm_gym.core import control_variate
from mm_gym.core.layout import Obs, Outcome
from tests.core.kit import assert_agrees, mean_and_error, offsets, start, started, step

MARKETS: dict[str, dict[str, Any]] = {
    "noise": {"regime": "noise"},
    "imbalanced with a fast bias": {
        "regime": "imbalanced",
        "imbalance": 0.9,
        "imbalance_flip_rate": 0.3,
    },
    "naive informed with larger orders": {
        "regime": "naive_informed",
        "p_informed": 0.6,
        "quote_size": 3,
    },
    "informed": {"regime": "informed", "p_informed": 0.6},
    "decoy": {"regime": "informed", "p_informed": 0.6, "informed_kind": "decoy"},
    "informed at any price": {
        "regime": "informed",
        "p_informed": 0.6,
        "informed_price_limit": False,
    },
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
    "clustered": {"regime": "clustered", "p_informed": 0.4},
    "clustered with a fast bias and larger orders": {
        "regime": "clustered",
        "imbalance": 0.9,
        "imbalance_flip_rate": 0.3,
        "taker_size": 2.0,
        "quote_size": 3,
    },
    "clustered without metaorders and refill": {
        "regime": "clustered",
        "imbalance": 0.9,
        "imbalance_flip_rate": 0.3,
        "longest_metaorder": 1,
        "refill": False,
    },
}
N, STEPS = 512, 200
CONTROL_VARIATE = Outcome.CONTROL_VARIATE


def session_sums(fields: dict[str, Any], skew: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sums of `edge`, of `lots_squared` and of the number of fills over a session.

    Each has shape (N,). The maker shifts its quotes by `skew` ticks per lot of inventory.
    """
    markets = started(N, seed=5, variance_reduction=True, **(fields | {"session_steps": STEPS + 1}))
    unit = float(markets.parameters["max_offset"][0]) / 15.0
    edge, squares, fills = np.zeros((3, N))
    outcomes = step(markets)
    edge += markets.records["control_variate"]["edge"]
    squares += markets.records["control_variate"]["lots_squared"]
    for _ in range(STEPS - 1):
        shift = skew * outcomes[:, Outcome.INVENTORY]
        quotes = np.clip(unit * np.stack([1.0 + shift, 1.0 - shift], axis=1), 0.0, 15.0 * unit)
        _, outcomes = markets.step(from_ticks(quotes, 15.0 * unit))
        edge += markets.records["control_variate"]["edge"]
        squares += markets.records["control_variate"]["lots_squared"]
        fills += outcomes[:, Outcome.FILLS]
    return edge, squares, fills


@pytest.mark.parametrize("skew", [0.0, 0.3])
@pytest.mark.parametrize("name", MARKETS)
def test_the_terms_of_the_fills_have_mean_zero_in_every_market(name: str, skew: float) -> None:
    edge, squares, fills = session_sums(MARKETS[name], skew)
    assert fills.mean() > 5.0  # enough to detect a rate that is wrong by a few per cent
    for what, total in (("edge", edge), ("lots squared", squares)):
        mean, error = mean_and_error(total)
        assert_agrees(mean, 0.0, error, f"{name}: {what}")


def test_the_test_of_the_means_detects_a_fill_rate_that_is_off_by_a_tenth() -> None:
    # A fill earns about one tick, so a tenth of the fills is a tenth of their number in ticks.
    edge, _, fills = session_sums(MARKETS["noise"], 0.3)
    _, error = mean_and_error(edge)
    assert 0.1 * fills.mean() * 1.0 > 4.0 * error


def test_without_fills_the_terms_are_minus_their_expectations() -> None:
    # In the dealer market, the fill rate of a side is rate / 2 exp(-depth / tolerance). A fill
    # earns its depth: 2 ticks for the bid and 3 ticks for the ask.
    still_price = {"signal_drift": 0.0, "volatility": 0.0}
    markets = started(
        64, "dealer", taker_rate=0.05, taker_tolerance=4.0, variance_reduction=True, **still_price
    )
    outcomes = step(markets, 2.0, 3.0)
    still = outcomes[:, Outcome.FILLS] == 0.0
    rates = 0.025 * np.exp(-np.array([2.0, 3.0]) / 4.0)
    assert 50 < still.sum() < 64
    np.testing.assert_allclose(
        markets.records["control_variate"]["edge"][still], -(rates * [2.0, 3.0]).sum(), rtol=1e-12
    )
    # From zero inventory, a fill on either side changes the squared inventory by one.
    np.testing.assert_allclose(
        markets.records["control_variate"]["lots_squared"][still], -rates.sum(), rtol=1e-12
    )
    # A fill adds its depth. The expectations are small.
    with_fills = markets.records["control_variate"]["edge"][~still]
    assert (with_fills > 1.9).all()
    assert (with_fills < 5.0).all()


def test_the_change_of_the_squared_inventory_depends_on_the_inventory() -> None:
    # With an inventory of 2, a fill of the ask changes the squared inventory by -3, and a fill of
    # the bid changes it by +5.
    still_price = {"signal_drift": 0.0, "volatility": 0.0}
    markets = started(
        1, "dealer", taker_rate=0.05, taker_tolerance=4.0, variance_reduction=True, **still_price
    )
    markets.records["account"]["inventory"] = 2
    assert step(markets, 2.0, 3.0)[0, Outcome.FILLS] == 0.0
    bid, ask = 0.025 * np.exp(-np.array([2.0, 3.0]) / 4.0)
    np.testing.assert_allclose(
        markets.records["control_variate"]["lots_squared"], [-5.0 * bid + 3.0 * ask], rtol=1e-12
    )


@pytest.mark.parametrize("price", [0.0, 0.3])
def test_the_control_variate_is_the_sum_of_its_parts_and_its_potentials_end_at_zero(
    price: float,
) -> None:
    penalty = 0.02
    markets = started(
        16,
        "informed",
        p_informed=0.6,
        session_steps=30,
        value_interval=0.3,
        inventory_penalty=penalty,
        variance_reduction=True,
        unwinding_time=price / penalty,
    )
    edge = markets.parameters["edge_per_signal"]
    before = start(markets, 3)
    for number in range(30):
        outcomes = step(markets, 0.7, 0.7)
        ended = outcomes[:, Outcome.TERMINATED] > 0.0
        assert ended.all() == (number == 29)

        def full_information_price(at: np.ndarray) -> np.ndarray:
            return at[:, Outcome.EFFICIENT_PRICE] + edge * at[:, Outcome.SIGNAL]

        def potential(at: np.ndarray) -> np.ndarray:
            held = at[:, Outcome.INVENTORY]
            return held * (at[:, Outcome.MID] - full_information_price(at)) + price * held**2

        change = full_information_price(outcomes) - full_information_price(before)
        total = before[:, Outcome.INVENTORY] * change - potential(before)
        total += np.where(ended, 0.0, potential(outcomes))
        total += (
            markets.records["control_variate"]["edge"]
            - price * markets.records["control_variate"]["lots_squared"]
        )
        np.testing.assert_allclose(outcomes[:, CONTROL_VARIATE], total, atol=1e-9)
        before = outcomes
    assert np.abs(total).max() > 0.1


@pytest.mark.parametrize("rows", [0, 4000])
def test_variance_reduction_changes_only_the_reward_and_a_recorder_changes_nothing(
    rows: int,
) -> None:
    reduced = {"variance_reduction": True, "unwinding_time": 100.0}
    plain = started(8, "informed", p_informed=0.6, seed=1)
    counting = started(
        8, "informed", p_informed=0.6, seed=1, fill_rows=rows, path_rows=rows, **reduced
    )
    bare = started(8, "informed", p_informed=0.6, seed=1, **reduced)
    counts: list[np.ndarray] = []
    for _ in range(100):
        action = offsets(plain, 1.0, 1.0)
        seen, outcomes = plain.step(action)
        for markets in (counting, bare):
            ours, our_outcomes = markets.step(action)
            np.testing.assert_array_equal(ours, seen)
            others = [
                column for column in Outcome if column not in (Outcome.REWARD, CONTROL_VARIATE)
            ]
            np.testing.assert_array_equal(our_outcomes[:, others], outcomes[:, others])
            reward_scale = 0.1
            reduced_reward = (
                outcomes[:, Outcome.REWARD] - reward_scale * our_outcomes[:, CONTROL_VARIATE]
            )
            np.testing.assert_allclose(
                our_outcomes[:, Outcome.REWARD], reduced_reward, rtol=0.0, atol=1e-12
            )
            counts.append(our_outcomes[:, CONTROL_VARIATE])
        assert not outcomes[:, CONTROL_VARIATE].any()
        np.testing.assert_allclose(*counts[-2:], atol=1e-12)
        assert counts[-1].any()
    assert seen[:, Obs.INVENTORY].any()


def test_a_session_starts_with_a_control_variate_of_zero() -> None:
    markets = started(4, "noise", variance_reduction=True)
    for _ in range(5):
        assert step(markets, 0.5, 0.5)[:, CONTROL_VARIATE].any()
    outcomes = start(markets, 2)
    assert not outcomes[:, CONTROL_VARIATE].any()
    assert not outcomes[:, Outcome.REWARD].any()
    # It is computed in the second session too.
    assert step(markets, 0.5, 0.5)[:, CONTROL_VARIATE].any()


@pytest.mark.parametrize("mean", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("ahead", [0, 1, 5])
@pytest.mark.parametrize("lots", [1, 3])
def test_the_expected_lots_of_a_taker_equal_the_sum_over_all_sizes(
    mean: float, ahead: int, lots: int
) -> None:
    sizes = np.arange(1, 2000)
    probabilities = (1.0 / mean) * (1.0 - 1.0 / mean) ** (sizes - 1)
    expected = (probabilities * np.clip(sizes - ahead, 0, lots)).sum()
    assert control_variate._expected_lots(1.0 - 1.0 / mean, ahead, lots) == pytest.approx(
        expected, abs=1e-12
    )
