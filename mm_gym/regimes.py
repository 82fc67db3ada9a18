"""The named order-flow regimes, as data: which fields of `MarketConfig` each one sets.

Signal, drift and volatility are the same in the first four and in `mixed`: they differ only in who
sees the signal and in which side the others take.
"""

import math
from typing import Any

_PER_MINUTE = 1.0 / 60.0
_FARTHEST = 30  # [ticks] from 20 up, spread and depth do not depend on where arrivals end

REGIMES: dict[str, dict[str, Any]] = {
    # Symmetric uninformed flow.
    "noise": {},
    # Uninformed flow with a persistent hidden side bias.
    "imbalanced": {"imbalance": 0.4},
    # A share of takers is labelled informed and trades larger, on a random side.
    "naive_informed": {"p_informed": 0.3, "informed_kind": "naive"},
    # A share of takers acts on the signal that predicts the drift.
    "informed": {"p_informed": 0.3},
    # Each episode draws one of the four above; the figures are the upper ends of what it draws.
    "mixed": {"p_informed": 0.8, "imbalance": 0.6},
    # Nobody but the agent quotes, the mid is the efficient price, which is a plain random walk:
    #     with exponential
    # tolerance this is the model of Avellaneda and Stoikov (2008). No signal unless asked for.
    "dealer": {
        "makers": "none",
        "warm_up": 0.0,
        "signal_drift": 0.0,
        "close_out_cost": 0.0,
        "requote_threshold": 0.0,  # as in the model, where nobody queues
    },
    # No value at all: unit orders come and go at rates by distance from the opposite best, as Cont,
    # Stoikov and Talreja (2010, table 1) estimated them; the book alone makes the price.
    "zero_intelligence": {
        "makers": "zero_intelligence",
        "decision_interval": 20.0,  # a session is a trading day of five and a half hours
        "warm_up": 1800.0,  # the deepest orders live for two minutes
        "signal_drift": 0.0,
        "max_offset": 4.0,  # the touch is half a tick from the mid most of the time
        "volatility": 0.13,  # measured, over a minute; nothing but the scale of observations depends on it
        "taker_rate": 2.0 * 0.94 * _PER_MINUTE,
        "taker_tolerance": math.inf,
        "limit_order_rates": tuple(
            rate * _PER_MINUTE
            for rate in (
                1.85,
                1.51,
                1.09,
                0.88,
                0.77,
                *(1.92 / i**0.52 for i in range(6, _FARTHEST + 1)),
            )
        ),
        "cancel_rates": tuple(rate * _PER_MINUTE for rate in (0.71, 0.81, 0.68, 0.56, 0.47)),
    },
}


def with_informed(regime: str, p_informed: float | None) -> dict[str, Any]:
    """`p_informed` as a keyword of `configure`, where it is given and the regime has informed
    takers."""
    has_informed = regime not in ("noise", "imbalanced", "zero_intelligence")
    return {"p_informed": p_informed} if p_informed is not None and has_informed else {}
