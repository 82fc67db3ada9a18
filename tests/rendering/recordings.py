"""Recordings that the tests of recordings and replays share."""

import functools
from typing import Any

import numpy as np

from agents import make_agent
from mm_gym import configure
from mm_gym.evaluation.replays import record_sessions
from mm_gym.rendering.recording import DECISION, FILL, PATH, TRADE, Recording

UNKNOWN = -1  # kind of taker in data without hidden state
MAKERS = ("fixed_spread", "inventory_skew", "oracle")


@functools.cache
def recorded(regime: str = "informed", steps: int = 150, seed: int = 3) -> tuple[Recording, ...]:
    """A session of each maker on the same flow."""
    agents = {name: functools.partial(make_agent, name) for name in MAKERS}
    return tuple(record_sessions(agents, configure(regime, session_steps=steps), seed))


def by_hand(**fields: Any) -> Recording:
    """A recording of three decisions and two fills without hidden state, written by hand."""
    decisions = np.zeros(3, DECISION)
    decisions["time"] = [0.0, 10.0, 20.0]
    decisions["step"] = [0, 1, 2]
    decisions["mid"] = [100.0, 101.0, 98.0]
    decisions["efficient_price"] = decisions["signal"] = np.nan
    decisions["inventory"] = [0, 2, 1]
    decisions["quote_price"] = [[0, 0], [99, 103], [0, 0]]
    decisions["quote_lots"] = [[0, 0], [2, 1], [0, 0]]
    decisions["quote_lots_ahead"][1] = [5, 0]
    decisions["level_price"][1, :, 0] = [99, 103]
    decisions["level_lots"][1, :, 0] = [9, 1]
    fills = np.zeros(2, FILL)
    fills["time"] = [4.0, 12.5]
    fills["side"] = [0, 1]  # the agent buys, and sells
    fills["price"] = [99.0, 103.0]
    fills["lots"] = [2, 1]
    fills["mid"] = [100.0, 101.0]
    fills["efficient_price"] = fills["signal"] = np.nan
    fills["taker"] = UNKNOWN
    fills["waited"] = [4.0, 2.5]
    fills["inventory"] = [2, 1]
    path = np.zeros(4, PATH)
    path["time"] = [0.0, 4.5, 9.0, 15.0]
    path["mid"] = [100.0, 102.0, 101.0, 98.0]
    path["efficient_price"] = np.nan
    trades = np.zeros(2, TRADE)
    trades["time"], trades["price"], trades["lots"] = [4.0, 12.5], [99, 103], [2, 1]
    trades["side"], trades["kind"] = [1, 0], UNKNOWN
    values = {
        "label": "by hand",
        "seed": None,
        "config": None,
        "decisions": decisions,
        "fills": fills,
        "path": path,
        "trades": trades,
    }
    return Recording(**{**values, **fields})
