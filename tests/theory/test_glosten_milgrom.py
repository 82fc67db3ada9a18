"""Glosten and Milgrom (1985), against Bayes' rule applied to the joint probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from mm_gym.theory import glosten_milgrom as paper

CASES = [(0.7, 0.3), (0.5, 0.3), (0.2, 0.9), (0.95, 0.05), (0.5, 0.0)]


def probabilities(delta: float, mu: float) -> dict[tuple[str, str], float]:
    """Return the joint probability of each value and trade, from the definition of the model."""
    return {
        ("high", "buy"): delta * (mu + (1 - mu) / 2),
        ("high", "sell"): delta * (1 - mu) / 2,
        ("low", "buy"): (1 - delta) * (1 - mu) / 2,
        ("low", "sell"): (1 - delta) * (mu + (1 - mu) / 2),
    }


def test_the_quotes_equal_the_reference() -> None:
    ask, bid = paper.quotes(0.7, 0.3)
    assert ask == pytest.approx(0.8125, abs=1e-12)
    assert bid == pytest.approx(0.556818, abs=5e-7)


@pytest.mark.parametrize("delta, mu", CASES)
def test_each_quote_is_the_expected_value_given_its_trade(delta: float, mu: float) -> None:
    low, high = 95.0, 103.0
    ask, bid = paper.quotes(delta, mu, low=low, high=high)
    joint = probabilities(delta, mu)
    for trade, price in (("buy", ask), ("sell", bid)):
        up, down = joint["high", trade], joint["low", trade]
        assert price == pytest.approx((up * high + down * low) / (up + down), rel=1e-12)


@pytest.mark.parametrize("delta, mu", CASES)
def test_the_quotes_and_the_spread_equal_the_formulas_of_the_paper(delta: float, mu: float) -> None:
    low, width, m = 10.0, 4.0, 2 * delta - 1
    ask, bid = paper.quotes(delta, mu, low=low, high=low + width)
    assert ask == pytest.approx(low + width * delta * (1 + mu) / (1 + mu * m))
    assert bid == pytest.approx(low + width * delta * (1 - mu) / (1 - mu * m))
    expected = 4 * width * delta * (1 - delta) * mu / (1 - mu**2 * m**2)
    assert paper.spread(delta, mu, low=low, high=low + width) == pytest.approx(expected, abs=1e-12)


def test_at_even_odds_the_spread_is_the_informed_share_of_the_range() -> None:
    shares = np.array([0.0, 0.1, 0.3, 0.9])
    np.testing.assert_allclose(paper.spread(0.5, shares, low=2.0, high=7.0), 5.0 * shares)


def test_each_buy_multiplies_the_odds_and_each_sell_divides_them() -> None:
    odds = 0.7 / 0.3
    for net_buys in (-3, -1, 0, 1, 4):
        after = paper.posterior(0.7, 0.3, net_buys)
        assert after / (1 - after) == pytest.approx(odds * (1.3 / 0.7) ** net_buys)
    assert paper.odds_factor(0.3) == pytest.approx(1.3 / 0.7)


def test_the_posterior_of_a_sequence_is_bayes_rule_trade_by_trade() -> None:
    belief, mu = 0.4, 0.25
    for trade in ("buy", "buy", "sell", "buy"):
        joint = probabilities(belief, mu)
        belief = joint["high", trade] / (joint["high", trade] + joint["low", trade])
    assert paper.posterior(0.4, mu, 2) == pytest.approx(belief)


def test_the_posterior_is_a_martingale_that_converges_to_the_value() -> None:
    # The posterior moves from delta to the ask or to the bid, and its mean stays delta.
    ask, bid = paper.quotes(0.7, 0.3)
    joint = probabilities(0.7, 0.3)
    buy = joint["high", "buy"] + joint["low", "buy"]
    assert buy * ask + (1 - buy) * bid == pytest.approx(0.7)

    random = np.random.default_rng(1985)
    net_buys = (2 * (random.random((1000, 400)) < 0.65) - 1).sum(
        axis=1
    )  # the value is high, mu = 0.3
    beliefs = paper.posterior(0.5, 0.3, net_buys)
    assert np.mean(beliefs > 0.999) > 0.99


def test_certainty_stays_certain_and_long_sequences_do_not_overflow() -> None:
    np.testing.assert_array_equal(paper.posterior([0.0, 1.0], 0.3, [50, -50]), [0.0, 1.0])
    np.testing.assert_allclose(paper.posterior(0.5, 0.9, [-10_000, 10_000]), [0.0, 1.0])


def test_an_argument_out_of_range_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"probability_high=1.2 is out of range: .* from 0 to 1"):
        paper.quotes(1.2, 0.3)
    with pytest.raises(ValueError, match=r"informed_share=1.0 is out of range: .* below 1"):
        paper.spread(0.5, 1.0)
    with pytest.raises(ValueError, match=r"informed_share=-0.1 is out of range"):
        paper.posterior(0.5, -0.1, 1)
    with pytest.raises(
        ValueError, match=r"high=1.0 is out of range: expected a number above low=1.0"
    ):
        paper.quotes(0.5, 0.3, low=1.0, high=1.0)
