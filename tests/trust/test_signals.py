"""A signal does not wait for long compiled calls: they are divided into calls of few markets."""

import itertools
import signal
from typing import Any

import numpy as np
import pytest

from mm_gym import configure
from mm_gym.core import entry_points
from mm_gym.markets import _EVENTS_PER_CALL, Markets
from tests.core.kit import offsets, start

# 8 expected events a decision and 480 in a warm-up: 2 markets a step, and 1 a reset.
BUSY = configure("noise", maker_rate=0.75, taker_rate=1.0, value_interval=0.25, warm_up=60.0)
N = 7


class Calls:
    """An entry point that notes the markets of each call, and sends a signal in one of them."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, signal_at: int = -1) -> None:
        self._entry_point = getattr(entry_points, name)
        self._numbers = itertools.count()
        self._signal_at = signal_at
        self.sizes: list[int] = []
        monkeypatch.setattr(entry_points, name, self)

    def __call__(self, records: Any, parameters: Any, given: Any, *others: Any) -> None:
        self.sizes.append(len(given))  # actions, or numbers of markets
        self._entry_point(records, parameters, given, *others)
        if next(self._numbers) == self._signal_at:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mm_gym.markets._EVENTS_PER_CALL", 20)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.usefixtures("divided")
def test_divided_calls_give_the_results_of_one_call(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    resets, steps = Calls("reset_many", monkeypatch), Calls("step_many", monkeypatch)
    markets = Markets(BUSY, N, threads=threads)
    start(markets, 3)
    assert resets.sizes == [1] * N
    single = [Markets(BUSY, 1) for _ in range(N)]
    for i, market in enumerate(single):
        market.start([np.random.default_rng([3, i])])
    for _ in range(5):
        steps.sizes.clear()
        observations, outcomes = markets.step(offsets(markets, 2.0, 3.0))
        assert sorted(steps.sizes) == [1, 2, 2, 2]
        for i, market in enumerate(single):
            alone = market.step(offsets(market, 2.0, 3.0))
            np.testing.assert_array_equal(observations[i], alone[0][0])
            np.testing.assert_array_equal(outcomes[i], alone[1][0])


@pytest.mark.parametrize("name", ["reset_many", "step_many"])
@pytest.mark.usefixtures("divided")
def test_ctrl_c_ends_a_step_or_a_reset_after_the_call_at_work(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    markets = Markets(BUSY, N)
    start(markets, 0)
    calls = Calls(name, monkeypatch, signal_at=1)
    with pytest.raises(KeyboardInterrupt):
        start(markets, 0) if name == "reset_many" else markets.step(offsets(markets, 2.0, 2.0))
    assert len(calls.sizes) == 2


@pytest.mark.usefixtures("divided")
def test_after_ctrl_c_no_thread_works_on_markets_that_start_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    markets, expected = Markets(BUSY, 40, threads=3), Markets(BUSY, 40)
    start(markets, 0)
    with monkeypatch.context() as patched:
        Calls("step_many", patched, signal_at=3)
        with pytest.raises(KeyboardInterrupt):
            markets.step(offsets(markets, 2.0, 2.0))
    start(markets, 1)
    start(expected, 1)
    for _ in range(5):
        results = markets.step(offsets(markets, 2.0, 2.0))
        for one, other in zip(results, expected.step(offsets(expected, 2.0, 2.0)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_longest_legal_reset_has_one_market_a_call_and_the_longest_step_three() -> None:
    longest = configure(
        "noise", taker_rate=1e6, maker_rate=0.0, value_interval=1.0,
        decision_interval=0.999, warm_up=2.99, session_steps=1,
    )  # fmt: skip
    markets = Markets(longest, 100)
    assert max(share.stop - share.start for share in markets._shares) == 3
    assert markets._resets_per_call == 1
    assert _EVENTS_PER_CALL == 3_000_000
