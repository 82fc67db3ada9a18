"""The named order-flow regimes: the fields of `MarketConfig` that each one sets.

The regimes `noise`, `imbalanced`, `naive_informed`, `informed` and `mixed` have the same price
process. They differ in who sees the signal and in the side that uninformed takers choose.
"""

import math
from typing import Any

REPLAY = "replay"
"""The regime of recorded data. Its fields come from the file, so it is no key of `REGIMES`."""

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
    # Uninformed flow with memory: takers arrive in bursts, and metaorders are split into runs on
    # one side. Targets: the dependence of GOOG's trades on 21 June 2012, and the volume and spread
    # of `noise`. Lots that are taken return, so that this flow does not move the mid.
    "clustered": {
        "clustering": (0.35, 0.35),
        "clustering_half_lives": (0.02, 1.0),
        "longest_metaorder": 16,
        "metaorder_exponent": 0.85,
        "maker_rate": 1.6,
        "refill": True,
    },
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
    # A stock whose tick is large for its volatility: the spread is one tick most of the time, and
    # the queues at the touch are long, so the place in the queue is the skill. A lot is 100 shares.
    # Targets: a one-tick spread 76 % of the time or more and 10,000 shares at the touch (INTC, MSFT
    # in 2012), and a volatility of 0.23 ticks / sqrt(s) (1.3 % a day at 27 dollars).
    "large_tick": {
        "initial_price": 2_700.0,
        "volatility": 0.15,
        "signal_drift": 0.025,
        "taker_size": 6.0,
        "naive_taker_size": 18.0,
        "taker_tolerance": 1.0,
        "maker_rate": 4.0,
        "maker_cancel_rate": 0.2,
        "maker_depth": 0.25,
        "maker_size": 9.0,
        "warm_up": 40.0,
        "max_offset": 2.0,
        "close_out_cost": 0.5,
        "reward_scale": 0.3,
        "inventory_penalty": 0.0003,
    },
    # A stock whose tick is small: the spread is many ticks and most prices hold one order, so the
    # price is the skill. A lot is 50 shares. Targets: GOOG on 21 June 2012, with a spread of 27
    # ticks on average over time, 3.9 ticks / sqrt(s) over a minute, 0.25 trades a second, and a
    # trade rate that falls by a factor e per 6 ticks of half-spread.
    "small_tick": {
        "initial_price": 58_000.0,
        "volatility": 2.7,
        "signal_drift": 0.47,
        "taker_rate": 1.2,
        "taker_size": 1.6,
        "naive_taker_size": 4.8,
        "taker_tolerance": 7.0,
        "maker_rate": 1.0,
        "maker_cancel_rate": 0.1,
        "maker_depth": 44.0,
        "maker_size": 1.6,
        "warm_up": 50.0,
        "max_offset": 72.0,
        "close_out_cost": 13.0,
        "reward_scale": 0.0125,
        "inventory_penalty": 0.008,
    },
}


def with_informed(regime: str, p_informed: float | None) -> dict[str, Any]:
    """`p_informed` as a keyword of `configure`.

    Args:
        regime: a key of `REGIMES`, or `replay`.
        p_informed: the share of informed takers; None keeps the regime's own share.

    Returns:
        An empty dictionary if the regime has no informed takers or `p_informed` is None.
    """
    has_informed = regime not in ("noise", "imbalanced", "zero_intelligence", REPLAY)
    return {"p_informed": p_informed} if p_informed is not None and has_informed else {}
