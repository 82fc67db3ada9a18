"""Hypothesis looks for decisions, resets, snapshots and restorations that break a market."""

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mm_gym.config import configure
from mm_gym.core.book import SOUND
from mm_gym.core.layout import Outcome
from mm_gym.markets import Markets
from mm_gym.regimes import REGIMES
from validation.audit.ledger import PROGRESS
from validation.audit.sessions import audited_steps

SMALL = {"session_steps": 40, "warm_up": 20.0, "quote_size": 3, "max_inventory": 4}
FIELDS: list[dict[str, Any]] = [
    {},
    {"latency": 2.5, "cancel_latency": 0.5, "requote_threshold": 1.0},
    {"taker_rate": 50.0, "taker_size": 50.0},  # empties the book
    {"maker_rate": 0.0},
    {"volatility": 300.0, "value_interval": 0.05},  # the price wanders
]


class OneMarket(RuleBasedStateMachine):
    """A market with every check after each event, beside one stepped as environments step it."""

    offsets = st.sampled_from([-1.0, -0.9, -0.5, 0.0, 1.0]) | st.floats(-1.0, 1.0, width=32)

    @initialize(regime=st.sampled_from(sorted(REGIMES)), fields=st.sampled_from(FIELDS))
    def start(self, regime: str, fields: dict[str, Any]) -> None:
        if "maker_rate" in fields and regime in ("dealer", "zero_intelligence"):
            fields = {}
        config = configure(regime, **{**SMALL, **fields})
        self.audited, self.plain = Markets(config, 1), Markets(config, 1)
        self.kept: list[Any] = []
        self.reset(0)

    @rule(seed=st.integers(0, 9))
    def reset(self, seed: int) -> None:
        for markets in (self.audited, self.plain):
            markets.start([np.random.default_rng(seed)])
        self.ended = False
        self.progress = np.zeros(1, PROGRESS)
        self.progress["every"] = 1

    @precondition(lambda self: not self.ended)
    @rule(bid=offsets, ask=offsets, takes=st.booleans(), n=st.sampled_from([1, 1, 5, 50]))
    def decide(self, bid: float, ask: float, takes: bool, n: int) -> None:
        actions = np.tile(np.array([[bid, ask, takes]], np.float32), (n, 1))
        before = int(self.progress["steps"][0])
        records, parameters = self.audited.records, self.audited.parameters
        fault = audited_steps(records, parameters, actions, 0.0, 10**9, self.progress)
        assert fault == SOUND
        for action in actions[: int(self.progress["steps"][0]) - before]:
            _, outcomes = self.plain.step(action[None])
        self.ended = bool(outcomes[0, Outcome.TERMINATED])

    @rule()
    def keep(self) -> None:
        state = {"ended": self.ended, "progress": self.progress}
        self.kept.append([markets.snapshot(state) for markets in (self.audited, self.plain)])

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        snapshots = data.draw(st.sampled_from(self.kept))
        for markets, snapshot in zip((self.audited, self.plain), snapshots, strict=True):
            state = markets.restore(snapshot, {"ended": bool, "progress": np.ndarray})
        self.ended, self.progress = state["ended"], state["progress"]

    @invariant()
    def both_markets_are_equal(self) -> None:
        assert self.audited.records.tobytes() == self.plain.records.tobytes()


TestOneMarket = OneMarket.TestCase
TestOneMarket.settings = settings(
    max_examples=50, stateful_step_count=25, deadline=None, derandomize=True
)
