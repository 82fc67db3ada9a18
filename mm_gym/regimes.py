"""The named order-flow regimes, as data: which fields of `MarketConfig` each one sets.

Signal, drift and volatility are the same in the first four and in `mixed`: they differ only in who sees the
signal and in which side the others take.
"""

from typing import Any

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
    # Nobody but the agent quotes, the mid is the efficient price, which is a plain random walk: with exponential
    # tolerance this is the model of Avellaneda and Stoikov (2008). No signal unless asked for.
    "dealer": {
        "makers": "none",
        "warm_up": 0.0,
        "signal_drift": 0.0,
        "close_out_cost": 0.0,
    },
}


def with_informed(regime: str, p_informed: float | None) -> dict[str, Any]:
    """`p_informed` as a keyword of `configure`, where it is given and the regime has informed takers."""
    has_informed = regime not in ("noise", "imbalanced")
    return {"p_informed": p_informed} if p_informed is not None and has_informed else {}
