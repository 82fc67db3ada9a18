"""Cont, Stoikov and Talreja (2010): the probability that one of two queues empties first."""

import numpy as np
import pytest

from mm_gym.theory.cont_stoikov_talreja import up_move_probability

RATES = {"limit_rate": 1.85, "market_rate": 0.94, "cancel_rate": 0.71}  # per minute


def test_the_probabilities_equal_the_reference() -> None:
    published = [
        [0.5000, 0.3352, 0.2590, 0.2158, 0.1878],
        [0.6648, 0.5000, 0.4069, 0.3479, 0.3072],
        [0.7410, 0.5931, 0.5000, 0.4366, 0.3906],
    ]
    ours = up_move_probability(np.arange(1, 4)[:, None], np.arange(1, 6), **RATES)
    np.testing.assert_allclose(ours, published, atol=5e-5)


def test_with_market_orders_alone_it_is_the_probability_to_win_a_series_of_coin_flips() -> None:
    # Each market order removes one lot from either queue with probability 1/2.
    ours = up_move_probability(
        [1, 1, 2], [2, 3, 3], limit_rate=0.0, market_rate=1.0, cancel_rate=1e-12
    )
    np.testing.assert_allclose(ours, [0.25, 0.125, 5.0 / 16.0], atol=1e-9)


def test_the_probability_agrees_with_a_simulation_of_the_queues() -> None:
    generator = np.random.default_rng(0)
    n, wins = 4000, 0
    for _ in range(n):
        queues = [2, 4]  # bid, ask
        while min(queues) > 0:
            rates = [RATES["limit_rate"]] * 2 + [
                RATES["market_rate"] + RATES["cancel_rate"] * lots for lots in queues
            ]
            event = generator.choice(4, p=np.array(rates) / sum(rates))
            queues[event % 2] += 1 if event < 2 else -1
        wins += queues[1] == 0
    exact = float(up_move_probability(2, 4, **RATES))
    # The standard error is 0.8 percentage points.
    assert abs(wins / n - exact) < 4.0 * np.sqrt(exact * (1.0 - exact) / n)


@pytest.mark.parametrize("lots", [0, 1.5, 81])
def test_an_impossible_queue_length_is_an_error(lots: float) -> None:
    with pytest.raises(
        ValueError, match="bid_lots is out of range: expected whole numbers from 1 to 80"
    ):
        up_move_probability(lots, 1, **RATES)
