"""One price path, radically different outcomes: information lives in order flow, not in prices.

Twin: the signal predicts nothing.
"""

import hashlib

import numpy as np

from mm_gym.evaluation.experiments.runner import (
    Check,
    ExperimentResult,
    ExperimentRunner,
    above,
    below,
    market,
    sample,
)
from mm_gym.evaluation.rollout import Sessions
from mm_gym.evaluation.statistics import Estimate, difference, mean

QUESTION = "The same prices to the last bit: how different can the outcomes be?"
AGENT = "inventory_skew"


def run(runner: ExperimentRunner) -> ExperimentResult:
    fields = {} if runner.effect else {"signal_drift": 0.0}
    plan = {
        "noise": (AGENT, market("noise", **fields)),
        "imbalanced": (AGENT, market("imbalanced", **fields)),
        "naive_informed, p = 0.8": (AGENT, market("naive_informed", p_informed=0.8, **fields)),
        "informed, p = 0.8": (AGENT, market("informed", p_informed=0.8, **fields)),
    }
    sessions = runner.run(plan)
    digests = {label: price_digest(result) for label, result in sessions.items()}
    quiet, *_, toxic = sessions.values()
    checks = [
        above(
            f"The maker earns in {label}",
            mean(result.final_pnl),
            0.0,
            "ticks x lots",
            sample(result),
        )
        for label, result in list(sessions.items())[:-1]
    ]
    checks += [
        below(
            "It loses in informed, p = 0.8",
            mean(toxic.final_pnl),
            0.0,
            "ticks x lots",
            sample(toxic),
        ),
        below(
            "On the same path it earns less there than in noise",
            difference(toxic.final_pnl, quiet.final_pnl),
            0.0,
            "ticks x lots",
            sample(quiet, toxic),
        ),
    ]
    notes = [
        f"SHA-256 of the efficient price's paths in {label}: {digest}"
        for label, digest in digests.items()
    ]
    return ExperimentResult(
        "identical_prices",
        QUESTION,
        checks,
        sessions,
        dict.fromkeys(plan, AGENT),
        audit=[_same(digests, sample(*sessions.values()))],
        notes=notes,
        effect=runner.effect,
    )


def price_digest(sessions: Sessions) -> str:
    """A digest of the efficient price at the points of time that `Sessions` keeps of every
    session."""
    return hashlib.sha256(np.ascontiguousarray(sessions.value_path).tobytes()).hexdigest()[:16]


def _same(digests: dict[str, str], data: str) -> Check:
    different = float(len(set(digests.values())))
    return Check(
        "The price paths are the same array",
        Estimate(different, different, different),
        "digests",
        "1",
        different == 1.0,
        data,
    )
