"""The control variate: mean zero in every market, exact where nothing happens, and changing
nothing."""

from typing import Any

import numpy as np
import pytest

from mm_gym.actions import from_ticks
from mm_gym.core import control_variate
from mm_gym.core.layout import Obs, Outcome
from tests.core.kit import assert_agrees, mean_and_error, offsets, start, started, step

MARKETS: dict[str, dict[str, Any]] = {
    "noise": {"regime": "noise"},
    "imbalanced, flipping fast": {
        "regime": "imbalanced",
        "imbalance": 0.9,
        "imbalance_flip_rate": 0.3,
    },
    "labelled, larger orders": {"regime": "naive_informed", "p_informed": 0.6, "quote_size": 3},
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
}
N, STEPS = 512, 200
CONTROL_VARIATE = Outcome.CONTROL_VARIATE


def lived(fields: dict[str, Any], skew: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over a session of both terms of fills and of their number, shape (N,), for a maker who
    may lean."""
    markets = started(N, seed=5, variance_reduction=True, **(fields | {"session_steps": STEPS + 1}))
    unit = float(markets.records["parameters"]["max_offset"][0]) / 15.0
    edge, squares, fills = np.zeros((3, N))
    outcomes = step(markets)
    edge += markets.records["control_variate"]["edge"]
    squares += markets.records["control_variate"]["lots_squared"]
    for _ in range(STEPS - 1):
        lean = skew * outcomes[:, Outcome.INVENTORY]
        quotes = np.clip(unit * np.stack([1.0 + lean, 1.0 - lean], axis=1), 0.0, 15.0 * unit)
        _, outcomes = markets.step(from_ticks(quotes, 15.0 * unit))
        edge += markets.records["control_variate"]["edge"]
        squares += markets.records["control_variate"]["lots_squared"]
        fills += outcomes[:, Outcome.FILLS]
    return edge, squares, fills


@pytest.mark.parametrize("skew", [0.0, 0.3])
@pytest.mark.parametrize("name", MARKETS)
def test_both_terms_of_fills_have_mean_zero_in_every_market(name: str, skew: float) -> None:
    edge, squares, fills = lived(MARKETS[name], skew)
    assert fills.mean() > 5.0  # so that a rate wrong by a few per cent would show
    for what, total in (("edge", edge), ("lots squared", squares)):
        mean, error = mean_and_error(total)
        assert_agrees(mean, 0.0, error, f"{name}: {what}")


def test_a_rate_of_fills_that_forgets_who_stands_in_front_would_be_noticed() -> None:
    """What the test above can tell: in noise a tenth of the fills is many standard errors of the
    term."""
    edge, _, fills = lived(MARKETS["noise"], 0.3)
    _, error = mean_and_error(edge)
    assert 0.1 * fills.mean() * 1.0 > 4.0 * error  # [ticks] a fill earns about one


def test_where_nobody_trades_it_is_the_expectation_alone() -> None:
    """Dealer market, depths of 2 and 3 ticks: rate / 2 exp(-depth / tolerance) a side, each
    bringing its depth."""
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
    # From no inventory either fill makes one squared lot of it.
    np.testing.assert_allclose(
        markets.records["control_variate"]["lots_squared"][still], -rates.sum(), rtol=1e-12
    )
    # A fill brings its depth, less what could be expected until it came (and of the other side
    # until the end).
    of_the_filled = markets.records["control_variate"]["edge"][~still]
    assert (of_the_filled > 1.9).all()
    assert (of_the_filled < 5.0).all()


def test_what_inventory_stands_at_counts_for_its_square() -> None:
    """Long by two, the ask's fill takes three squared lots away and the bid's adds five."""
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
def test_totalis_moves_of_what_is_foreseen_marking_and_fills_and_marking_ends_with_the_session(
    price: float,
) -> None:
    penalty = 0.02
    markets = started(
        16, "informed", p_informed=0.6, session_steps=30, value_interval=0.3, inventory_penalty=penalty,
        variance_reduction=True, unwinding_time=price / penalty,
    )  # fmt: skip
    edge = markets.records["parameters"]["edge_per_signal"]
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

        total = before[:, Outcome.INVENTORY] * (foreseen(outcomes) - foreseen(before)) - marked(
            before
        )
        total += np.where(ended, 0.0, marked(outcomes))
        total += (
            markets.records["control_variate"]["edge"]
            - price * markets.records["control_variate"]["lots_squared"]
        )
        np.testing.assert_allclose(outcomes[:, CONTROL_VARIATE], total, atol=1e-9)
        before = outcomes
    assert np.abs(total).max() > 0.1


@pytest.mark.parametrize("rows", [0, 4000])
def test_to_count_changes_nothing_and_a_recorder_does_not_change_the_count(rows: int) -> None:
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
            taken = (
                outcomes[:, Outcome.REWARD] - 0.1 * our_outcomes[:, CONTROL_VARIATE]
            )  # reward_scale
            np.testing.assert_allclose(our_outcomes[:, Outcome.REWARD], taken, rtol=0.0, atol=1e-12)
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
    # And it is counted in this session as in the first.
    assert step(markets, 0.5, 0.5)[:, CONTROL_VARIATE].any()


@pytest.mark.parametrize("mean", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("ahead", [0, 1, 5])
@pytest.mark.parametrize("lots", [1, 3])
def test_the_lots_expected_of_a_taker_are_a_sum_over_all_sizes(
    mean: float, ahead: int, lots: int
) -> None:
    sizes = np.arange(1, 2000)
    chances = (1.0 / mean) * (1.0 - 1.0 / mean) ** (sizes - 1)
    expected = (chances * np.clip(sizes - ahead, 0, lots)).sum()
    assert control_variate._expected_lots(1.0 - 1.0 / mean, ahead, lots) == pytest.approx(
        expected, abs=1e-12
    )
