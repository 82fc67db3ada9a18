"""One price path, different outcomes: the information is in order flow, not in prices.

Negative control: the signal predicts nothing (`signal_drift=0`).
"""

import hashlib

import numpy as np

from mm_gym.config import configure
from mm_gym.evaluation.experiments.runner import (
    Check,
    ExperimentResult,
    ExperimentRunner,
    above,
    below,
    describe_sample,
)
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate, difference, mean

QUESTION = "How much can outcomes differ on bit-for-bit equal price paths?"
AGENT = "inventory_skew"


def run(runner: ExperimentRunner) -> ExperimentResult:
    """Run the experiment, or its negative control if `runner.effect` is False."""
    fields = {} if runner.effect else {"signal_drift": 0.0}
    plan = {
        "noise": (AGENT, configure("noise", **fields)),
        "imbalanced": (AGENT, configure("imbalanced", **fields)),
        "naive_informed, p = 0.8": (AGENT, configure("naive_informed", p_informed=0.8, **fields)),
        "informed, p = 0.8": (AGENT, configure("informed", p_informed=0.8, **fields)),
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
            describe_sample(result),
        )
        for label, result in list(sessions.items())[:-1]
    ]
    checks += [
        below(
            "The maker loses in informed, p = 0.8",
            mean(toxic.final_pnl),
            0.0,
            "ticks x lots",
            describe_sample(toxic),
        ),
        below(
            "On the same price path the maker earns less in informed, p = 0.8, than in noise",
            difference(toxic.final_pnl, quiet.final_pnl),
            0.0,
            "ticks x lots",
            describe_sample(quiet, toxic),
        ),
    ]
    notes = [
        f"SHA-256 of the efficient price paths in {label} (first 16 digits): {digest}"
        for label, digest in digests.items()
    ]
    audit = [_same(digests, describe_sample(*sessions.values()))]
    return runner.result("identical_prices", QUESTION, plan, checks, audit=audit, notes=notes)


def price_digest(sessions: Sessions) -> str:
    """A digest of the efficient price paths of all sessions (`Sessions.value_path`)."""
    return hashlib.sha256(np.ascontiguousarray(sessions.value_path).tobytes()).hexdigest()[:16]


def _same(digests: dict[str, str], sample: str) -> Check:
    different = float(len(set(digests.values())))
    return Check(
        "The price paths of all markets are bit for bit equal",
        Estimate(different, different, different),
        "digests",
        "1",
        different == 1.0,
        sample,
    )
