"""The zero-intelligence book of Cont, Stoikov and Talreja (2010).

References are exact probabilities, published values and a slow independent implementation.
"""

import numpy as np
import pytest

from mm_gym import configure
from mm_gym.core.layout import ASK, BID, Outcome
from mm_gym.errors import ConfigurationError
from mm_gym.theory.cont_stoikov_talreja import up_move_probability
from tests.core.kit import assert_agrees, offsets, started, step
from validation import cont_stoikov_talreja as paper


@pytest.mark.parametrize("bid_lots, ask_lots", [(1, 1), (1, 4), (3, 2), (5, 3)])
def test_the_probability_of_an_up_move_agrees_with_the_exact_solution(
    bid_lots: int, ask_lots: int
) -> None:
    (row,) = paper.move_rows(bid_lots, ask_lots, sessions=2000, seed=0)  # s.e. 1 point
    assert_agrees(row.ours, row.reference, row.standard_error, row.what)


def test_other_rates_at_the_touch_give_the_probabilities_of_those_rates() -> None:
    # If the rates at distance one were not used, the share would be that of the default rates.
    per_minute = {"limit_rate": 4.0, "market_rate": 0.94, "cancel_rate": 0.71}
    busy = configure(
        "zero_intelligence",
        decision_interval=60.0,
        session_steps=10**6,
        warm_up=0.0,
        max_offset=1e3,
        limit_order_rates=(per_minute["limit_rate"] / 60.0, 1.5 / 60.0),
        cancel_rates=(per_minute["cancel_rate"] / 60.0, 0.5 / 60.0),
    )
    exact = float(up_move_probability(1, 5, **per_minute))  # 0.28
    share = paper.up_share(busy, 1, 5, 2000, np.random.SeedSequence(0))
    error = np.sqrt(exact * (1.0 - exact) / 2000)
    assert_agrees(share, exact, error)
    assert share - 0.1878 > 6.0 * error  # the probability at the default rates


def test_spread_and_depths_agree_with_the_paper_and_with_the_slow_implementation() -> None:
    for row in paper.book_rows(hours=150.0, seed=0):
        assert_agrees(row.ours, row.reference, row.standard_error, row.what)


def test_the_orders_alone_move_the_price_without_a_drift() -> None:
    markets = started(64, "zero_intelligence")
    first = markets.records["mid"].copy()
    for _ in range(200):
        outcomes = step(markets, 1e9, 1e9)
        # There is no price process: the efficient price is the mid.
        np.testing.assert_array_equal(
            outcomes[:, Outcome.EFFICIENT_PRICE], outcomes[:, Outcome.MID]
        )
        assert not outcomes[:, Outcome.SIGNAL].any()
    moves = markets.records["mid"] - first
    assert moves.std() > 2.0
    assert_agrees(moves.mean(), 0.0, moves.std(ddof=1) / 8.0)


def test_orders_do_not_cross_the_agents_quotes_and_do_not_depend_on_them() -> None:
    markets = started(32, "zero_intelligence", decision_interval=1.0)
    for _ in range(300):
        markets.step(offsets(markets, 0.0, 0.0))
        book = markets.records["book"]
        rows = np.arange(len(markets))
        best = [
            book["levels"]["key"][rows, side, book["n_levels"][:, side] - 1] for side in (BID, ASK)
        ]
        assert (best[BID] < -best[ASK]).all()
    # In an otherwise empty book, bids arrive at a distance from the mid, not from the agent's ask.
    lone = started(
        200,
        "zero_intelligence",
        warm_up=0.0,
        taker_rate=0.0,
        decision_interval=1.0,
        limit_order_rates=(0.05,),
    )
    lone.step(offsets(lone, 15.0, 15.0))
    for _ in range(20):
        lone.step(offsets(lone, 15.0, 15.0))
    levels = lone.records["book"]
    second_best = [
        key
        for i in range(200)
        for key in levels["levels"]["key"][i, BID, : levels["n_levels"][i, BID]]
    ]
    public = [key for key in second_best if key > 10_000 - 15]
    assert len(public) > 100
    # The mid moves by a few ticks. A distance from the agent's ask would give lower prices.
    assert min(public) >= 10_000 - 5


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"limit_order_rates": ()}, "has no limit_order_rates"),
        ({"cancel_rates": ()}, "has no cancel_rates"),
        ({"p_informed": 0.3}, "has no efficient price: expected 0, got 0.3"),
        ({"signal_drift": 0.1}, "has no efficient price: expected 0, got 0.1"),
        ({"limit_order_rates": 3.0}, "is not a sequence of rates: .*, got 3.0"),
        ({"limit_order_rates": ("a",)}, "is not a sequence of rates"),
        ({"cancel_rates": (0.1, -0.1)}, "out of range"),
        ({"cancel_rates": (0.1,) * 65}, "too long: expected at most 64 rates .*, got 65"),
        ({"limit_order_rates": (20.0,)}, "overfills the book: expected at most 1024 .*, got 1690"),
        ({"cancel_rates": (0.01, 0.0)}, "overfills the book: expected at most 1024 .*, got inf"),
    ],
)
def test_impossible_rates_are_an_error(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configure("zero_intelligence", **fields)


def test_rates_survive_a_round_trip_through_json() -> None:
    config = configure("zero_intelligence")
    as_json = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in config.to_dict().items()
    }
    assert configure(**as_json) == config
