"""One price path, radically different outcomes: information lives in order flow, not in prices.

Twin: the signal predicts nothing.
"""

import hashlib

import numpy as np

from mm_gym.evaluation.experiments.runner import (
    Claim,
    Finding,
    Laboratory,
    above,
    below,
    market,
    rests_on,
)
from mm_gym.evaluation.rollout import Sessions
from mm_gym.evaluation.statistics import Estimate, difference, mean

QUESTION = "The same prices to the last bit: how different can the outcomes be?"
AGENT = "inventory_skew"


def run(laboratory: Laboratory) -> Finding:
    fields = {} if laboratory.effect else {"signal_drift": 0.0}
    plan = {
        "noise": (AGENT, market("noise", **fields)),
        "imbalanced": (AGENT, market("imbalanced", **fields)),
        "naive_informed, p = 0.8": (AGENT, market("naive_informed", p_informed=0.8, **fields)),
        "informed, p = 0.8": (AGENT, market("informed", p_informed=0.8, **fields)),
    }
    sessions = laboratory.run(plan)
    digests = {label: price_digest(result) for label, result in sessions.items()}
    quiet, *_, toxic = sessions.values()
    claims = [
        above(
            f"The maker earns in {label}",
            mean(result.final_pnl),
            0.0,
            "ticks x lots",
            rests_on(result),
        )
        for label, result in list(sessions.items())[:-1]
    ]
    claims += [
        below(
            "It loses in informed, p = 0.8",
            mean(toxic.final_pnl),
            0.0,
            "ticks x lots",
            rests_on(toxic),
        ),
        below(
            "On the same path it earns less there than in noise",
            difference(toxic.final_pnl, quiet.final_pnl),
            0.0,
            "ticks x lots",
            rests_on(quiet, toxic),
        ),
    ]
    notes = [
        f"SHA-256 of the efficient price's paths in {label}: {digest}"
        for label, digest in digests.items()
    ]
    return Finding(
        "identical_prices",
        QUESTION,
        claims,
        sessions,
        dict.fromkeys(plan, AGENT),
        audit=[_same(digests, rests_on(*sessions.values()))],
        notes=notes,
        effect=laboratory.effect,
    )


def price_digest(sessions: Sessions) -> str:
    """A digest of the efficient price at the points of time that `Sessions` keeps of every
    session."""
    return hashlib.sha256(np.ascontiguousarray(sessions.value_path).tobytes()).hexdigest()[:16]


def _same(digests: dict[str, str], data: str) -> Claim:
    different = float(len(set(digests.values())))
    return Claim(
        "The price paths are the same array",
        Estimate(different, different, different),
        "digests",
        "1",
        different == 1.0,
        data,
    )
