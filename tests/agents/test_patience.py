"""Makers that leave their quotes where they rest: what stays, what moves, and that it is worth a place in the queue."""

import numpy as np
import pytest

from agents import make_agent, name_agent
from agents.base import AgentError, leave_resting
from agents.patience import PatientAgent
from mm_gym import MarketMakingVectorEnv, configure
from mm_gym.core.layout import Obs
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.statistics import difference

CONFIG = configure("noise")


def resting(bid: float | None, ask: float | None) -> np.ndarray:
    """One observation with quotes that rest at these offsets [ticks]."""
    row = np.zeros((1, len(Obs)), np.float32)
    for offset, column, size in ((bid, Obs.BID_OFFSET, Obs.BID_SIZE), (ask, Obs.ASK_OFFSET, Obs.ASK_SIZE)):
        row[0, column] = 1.0 if offset is None else offset / CONFIG.max_offset
        row[0, size] = 0.0 if offset is None else 1.0
    return row


@pytest.mark.parametrize(
    "bid, wanted, patience, kept",
    [
        (2.0, 1.5, 0.25, True),  # where the market would put it, to the middle of the tick
        (2.0, 1.9, 0.25, True),
        (2.0, 2.2, 0.25, True),  # a quarter of a tick beyond the tick
        (2.0, 2.3, 0.25, False),
        (2.0, 0.8, 0.25, True),
        (2.0, 0.7, 0.25, False),
        (2.0, 3.2, 1.25, True),
        (-0.5, 0.0, 5.0, False),  # the mid ran past it: no action says where it is
        (None, 14.9, 5.0, False),
    ],
)
def test_a_quote_stays_while_it_is_near_enough(bid: float | None, wanted: float, patience: float, kept: bool) -> None:
    got = leave_resting(CONFIG, resting(bid, None), np.array([[wanted, 3.3]]), patience)
    assert got[0, 0] == pytest.approx(bid if kept else wanted, abs=1e-6)
    assert got[0, 1] == 3.3


def test_in_a_market_near_quotes_stay_and_the_others_go_where_they_would() -> None:
    """Against the rule stated over prices: the environment's own orders before and after."""
    environment = MarketMakingVectorEnv(64, regime="noise")
    agent = make_agent("inventory_skew", environment.config, half_spread=1.03, skew=0.31, patience=0.42)
    plain = make_agent("inventory_skew", environment.config, half_spread=1.03, skew=0.31)
    seen, _ = environment.reset(seed=1)
    stayed = moved = 0
    for _ in range(50):
        quotes, _ = agent.predict(seen)
        wishes, _ = plain.predict(seen)
        half = 0.5 * environment.config.max_offset
        for column, size, side in ((Obs.BID_OFFSET, Obs.BID_SIZE, 0), (Obs.ASK_OFFSET, Obs.ASK_SIZE, 1)):
            rests = seen[:, column] * environment.config.max_offset
            wish = half * (1.0 + wishes[:, side])
            near = (seen[:, size] > 0) & (rests >= 0) & (rests > wish - 0.42) & (rests < wish + 1.42)
            np.testing.assert_allclose(half * (1.0 + quotes[:, side]), np.where(near, rests, wish), atol=1e-5)
            stayed, moved = stayed + near.sum(), moved + (~near).sum()
        seen, *_ = environment.step(quotes)
    assert min(stayed, moved) > 500


def test_any_agent_may_be_patient_and_rules_know_of_it() -> None:
    rule = make_agent("glosten_milgrom", CONFIG, half_spread=0.5, patience=0.3)
    assert rule.patience == 0.3  # so that its filter knows what it has in the book
    assert rule.half_spread == 0.5
    assert name_agent("glosten_milgrom:tuned:patience=0.5")(CONFIG).patience == 0.5
    trained = make_agent("trained/noise", CONFIG, patience=0.3)
    assert isinstance(trained, PatientAgent)
    assert not isinstance(make_agent("trained/noise", CONFIG, patience=0.0), PatientAgent)
    # One observation alone is answered as a batch of one.
    environment = MarketMakingVectorEnv(1, regime="noise")
    seen, _ = environment.reset(seed=0)
    np.testing.assert_array_equal(trained.predict(seen)[0][0], trained.predict(seen[0])[0])
    with pytest.raises(AgentError, match="patience=-1"):
        make_agent("inventory_skew", CONFIG, patience=-1)


def test_patience_is_worth_a_place_in_the_queue() -> None:
    """Twelve standard errors in noise; in the dealer market, where there is no queue, it can only cost."""
    for regime, sign in (("noise", 1.0), ("dealer", -1.0)):
        config = configure(regime, session_steps=300)
        patient, plain = (
            run_sessions(name_agent(f"inventory_skew{also}"), config, 256, seed=3).fair_objective
            for also in (":patience=0.5", "")
        )
        gain = difference(patient, plain)
        assert sign * (gain.low if sign > 0 else gain.high) > 0.0
