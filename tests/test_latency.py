"""Latencies of quotes and of cancellations: what a taker meets, and how they are distributed."""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from mm_gym import ConfigurationError, configure
from mm_gym.core.layout import ASK, BID
from tests.core.kit import started, step
from tests.still_market import STILL, dealer, taker_at


@pytest.mark.parametrize(
    ("latency", "cancel_latency", "time", "half_spread"),
    [
        (0.0, 0.5, 1.4, 2.0),  # the cancellation is overtaken by the taker
        (0.0, 0.5, 1.6, 5.0),  # new quotes wait for the cancellation, although they are faster
        (0.8, 0.5, 1.4, 2.0),
        (0.8, 0.5, 1.6, None),  # cancelled, and the new quotes are not there yet
        (0.8, 0.5, 1.9, 5.0),
        (0.8, 0.0, 1.1, None),  # at once
        (0.8, None, 1.6, 2.0),  # one message replaces the quotes
        (0.8, None, 1.9, 5.0),
    ],
)
def test_a_taker_meets_the_quotes_that_are_there_when_it_arrives(
    latency: float, cancel_latency: float | None, time: float, half_spread: float | None
) -> None:
    """Quotes at 2 ticks rest from 0.8 s or before. At 1 s the agent moves them to 5 ticks.

    time    0 s            1 s                       1.5 s       1.8 s         2 s
            quotes at 2    cancel, quotes at 5       cancelled   new quotes
                                           ^ a taker at 1.4 s trades at 2 ticks: too late
    """
    markets = dealer(latency=latency, cancel_latency=cancel_latency)
    step(markets, 2.0, 2.0)
    taker_at(markets, time)
    step(markets, 5.0, 5.0)
    fills = markets.recorded(0).fills
    assert [abs(fill["price"] - 10_000.0) for fill in fills] == (
        [] if half_spread is None else [half_spread]
    )


def test_no_message_overtakes_an_earlier_one() -> None:
    """Quotes need 1.7 s and cancellations 0.1 s, so a cancellation waits for the quotes before it.

    Quotes of decision k arrive at k + 1.7, and the cancellation of decision k, sent at k, not
    before the quotes of decision k - 1 at k + 0.7.
    """
    markets = dealer(latency=1.7, cancel_latency=0.1)
    for decision in range(6):
        step(markets, 2.0, 2.0)
        message = markets.records[0]["messages"][decision]
        assert message["arrival"] == pytest.approx(decision + 1.7)
        assert message["cancel_arrival"] == pytest.approx(0.1 if decision == 0 else decision + 0.7)


def test_a_cancellation_leaves_a_quote_that_rests_near_the_new_price() -> None:
    markets = dealer(latency=0.8, cancel_latency=0.2)
    step(markets, 2.0, 2.0)
    before = markets.records[0]["quotes"]["placed_at"].copy()
    step(markets, 2.0, 5.0)
    after = markets.records[0]["quotes"]["placed_at"]
    assert after[BID] == before[BID] == 0.8
    assert after[ASK] == 1.8


# ------------------------------------------------------------------------------- random latencies


def arrivals(
    n_steps: int = 100, half_spread: float = 2.0, **fields: Any
) -> npt.NDArray[np.float64]:
    """[s] Latencies of quotes and of cancellations, shape (decisions, markets, 2)."""
    interval = 10.0
    markets = started(64, "dealer", decision_interval=interval, **STILL | fields)
    found = []
    for decision in range(n_steps):
        step(markets, half_spread, half_spread)
        message = markets.records["messages"][:, decision % 64]
        found.append(
            np.stack([message["arrival"], message["cancel_arrival"]], axis=-1) - interval * decision
        )
    return np.array(found)


def test_exponential_latencies_have_their_distribution() -> None:
    """6,400 draws of each. A correct sampler fails a test once in 10,000 seeds; this seed is fixed.

    The Kolmogorov-Smirnov bound is 0.028, so a mean 10 % off fails. Quotes arrive after the
    cancellation, so their latency is the larger of two independent draws.
    """
    found = arrivals(latency=0.4, cancel_latency=0.3, latency_kind="exponential")
    cancels, quotes = found[..., 1].ravel(), found[..., 0].ravel()
    assert stats.kstest(cancels, stats.expon(scale=0.3).cdf).pvalue > 1e-4
    larger = lambda x: -np.expm1(-x / 0.4) * -np.expm1(-x / 0.3)  # noqa: E731
    assert stats.kstest(quotes, larger).pvalue > 1e-4
    assert stats.kstest(cancels, stats.expon(scale=0.3 * 1.1).cdf).pvalue < 1e-4
    alone = arrivals(latency=0.4, latency_kind="exponential")[..., 0]
    assert stats.kstest(alone.ravel(), stats.expon(scale=0.4).cdf).pvalue > 1e-4
    correlation = stats.pearsonr(alone[:-1].ravel(), alone[1:].ravel())
    assert correlation.pvalue > 1e-4


def test_empirical_latencies_are_drawn_from_the_list() -> None:
    """Each with equal probability; a value that is twice in the list, twice as often."""
    found = arrivals(
        latency_kind="empirical",
        latency_samples=(0.5, 0.75, 1.0, 1.0),
        cancel_latency_samples=(0.125, 0.25),
    )
    for column, values, shares in (
        (0, [0.5, 0.75, 1.0], [0.25, 0.25, 0.5]),
        (1, [0.125, 0.25], [0.5, 0.5]),
    ):
        seen, counts = np.unique(found[..., column].round(9), return_counts=True)
        assert seen.tolist() == values
        assert stats.chisquare(counts, np.array(shares) * counts.sum()).pvalue > 1e-4


def test_latencies_are_the_same_whatever_the_agent_does() -> None:
    fields = {"latency": 0.4, "cancel_latency": 0.3, "latency_kind": "exponential"}
    near, far = (arrivals(20, half_spread, **fields) for half_spread in (2.0, 9.0))
    np.testing.assert_array_equal(near, far)


def test_random_latencies_change_no_other_draw() -> None:
    """Signal, price and the arrivals of takers are those of the same seed without latency."""
    clocks: list[list[Any]] = []
    delays: dict[str, Any] = {
        "latency": 0.4, "cancel_latency": 0.3, "latency_kind": "exponential",
    }  # fmt: skip
    for fields in ({}, delays):
        markets = started(4, "noise", **fields)
        names = ["efficient_price", "signal", "next_taker"]
        clocks.append([])
        for _ in range(40):
            step(markets, 3.0, 3.0)
            clocks[-1].append([markets.records[name].copy() for name in names])
    np.testing.assert_array_equal(*clocks)


def test_a_long_draw_is_cut_where_messages_would_not_fit() -> None:
    """At most 63 decisions are under way, and the order of their arrival is that of sending."""
    markets = started(16, "noise", latency=6.3, latency_kind="exponential", cancel_latency=6.3)
    most = 0
    for _ in range(400):
        step(markets)
        quotes = markets.records["quotes"]
        most = max(most, int(quotes["n_in_flight"].max()))
        assert (quotes["last_arrival"] <= markets.records["time"] + 63.0).all()
    assert 8 <= most <= 63


def test_a_checkpoint_holds_the_messages_under_way() -> None:
    env: Any = gymnasium.make(
        "MarketMaking-v0", action="quotes_and_take", latency=3.0, latency_kind="exponential",
        cancel_latency=1.0,
    ).unwrapped  # fmt: skip
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 3)).astype(np.float32)
    for action in actions[:30]:
        env.step(action)
    snapshot = env.snapshot()
    first = [env.step(action)[0] for action in actions[30:]]
    env.restore(snapshot)
    np.testing.assert_array_equal(first, [env.step(action)[0] for action in actions[30:]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latency_kind": "normal"}, "latency_kind='normal' is not offered"),
        ({"latency_kind": "empirical"}, "has no latencies: .* latency_samples, got"),
        ({"latency_samples": (0.5,)}, "latency_samples has no effect: .* got 'constant'"),
        (
            {"latency_kind": "empirical", "latency_samples": (0.5,), "latency": 1.0},
            "latency=1 contradicts latency_kind='empirical'",
        ),
        ({"latency_kind": "exponential", "latency": 6.4}, "too long .* at most 6.3 decision"),
        ({"cancel_latency": 64.0}, "cancel_latency=64 is too long"),
        ({"cancel_latency": -1.0}, "cancel_latency=-1.0 is out of range"),
    ],
)
def test_a_wrong_latency_is_one_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configure(**fields)
