"""The named order-flow regimes: the fields of `MarketConfig` that each one sets.

The regimes `noise`, `imbalanced`, `naive_informed`, `informed` and `mixed` have the same price
process. They differ in who sees the signal and in the side that uninformed takers choose.
"""

import math
from typing import Any

_PER_MINUTE = 1.0 / 60.0
_FARTHEST = 30  # [ticks] from 20 ticks on, spread and depth do not depend on this limit

REGIMES: dict[str, dict[str, Any]] = {
    # Symmetric uninformed flow.
    "noise": {},
    # Uninformed flow with a persistent hidden bias to one side.
    "imbalanced": {"imbalance": 0.4},
    # Some takers carry the label "informed" and trade larger sizes, but choose a random side.
    "naive_informed": {"p_informed": 0.3, "informed_kind": "naive"},
    # Some takers act on the signal that predicts the drift.
    "informed": {"p_informed": 0.3},
    # Each episode draws one of the four regimes above. The values are the largest ones drawn.
    "mixed": {"p_informed": 0.8, "imbalance": 0.6},
    # Only the agent quotes, and the mid is the efficient price, a random walk. With exponential
    # tolerance this is the model of Avellaneda and Stoikov (2008). There is no signal by default.
    "dealer": {
        "makers": "none",
        "warm_up": 0.0,
        "signal_drift": 0.0,
        "close_out_cost": 0.0,
        "requote_threshold": 0.0,  # the model has no queues, so a place in one has no value
    },
    # There is no efficient price. Unit orders arrive and cancel at rates by distance from the
    # opposite best quote, and the book alone makes the price. The rates are those of Cont, Stoikov
    # and Talreja (2010), table 1.
    "zero_intelligence": {
        "makers": "zero_intelligence",
        "decision_interval": 20.0,  # so that a session is a trading day of five and a half hours
        "warm_up": 1800.0,  # the deepest orders live for two minutes on average
        "signal_drift": 0.0,
        "max_offset": 4.0,  # the touch is mostly half a tick from the mid
        "volatility": 0.13,  # measured over a minute; only the observation's scales depend on it
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
    """`p_informed` as a keyword of `configure`.

    Args:
        regime: a key of `REGIMES`.
        p_informed: the share of informed takers; None keeps the regime's own share.

    Returns:
        An empty dictionary if the regime has no informed takers or `p_informed` is None.
    """
    has_informed = regime not in ("noise", "imbalanced", "zero_intelligence")
    return {"p_informed": p_informed} if p_informed is not None and has_informed else {}
