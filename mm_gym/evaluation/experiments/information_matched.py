"""Two markets with the same flow statistics, of which only one has informed takers.

In the other market the takers act in the same way on a decoy: a second signal with the same
distribution that predicts nothing. Informed takers have no price limit in either market, so every
order trades in both. The audit checks that volume, imbalance and sign autocorrelation match.

Negative control: the signal predicts nothing in either market (`signal_drift=0`).
"""

from typing import Any

import numpy as np

from mm_gym.config import configure
from mm_gym.evaluation.experiments.runner import (
    Check,
    ExperimentResult,
    ExperimentRunner,
    above,
    adverse_move,
    below,
    describe_sample,
    within,
)
from mm_gym.evaluation.metrics import difference_over_fills
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate, difference, fill_sums, of_sums

QUESTION = (
    "Do two flows with the same volume, imbalance and sign autocorrelation have the same outcome "
    "if only one is informed?"
)
AGENT = "inventory_skew"
P_INFORMED = 0.6
_LAGS = (1, 5, 20, 50)  # [decisions]


def run(runner: ExperimentRunner) -> ExperimentResult:
    """Run the experiment, or its negative control if `runner.effect` is False."""
    fields = {"p_informed": P_INFORMED, "informed_price_limit": False}
    if not runner.effect:
        fields["signal_drift"] = 0.0
    plan = {
        "informed": (AGENT, configure("informed", **fields)),
        "decoy": (AGENT, configure("informed", informed_kind="decoy", **fields)),
    }
    sessions = runner.run(plan)
    informed, decoy = sessions["informed"], sessions["decoy"]
    sample = describe_sample(informed, decoy)
    checks = [
        below(
            "The maker earns less from informed flow than from the same flow without information",
            difference(informed.final_pnl, decoy.final_pnl),
            0.0,
            "ticks x lots",
            sample,
        ),
        above(
            "The 50 s adverse move is larger after informed flow",
            difference_over_fills(informed, adverse_move(informed), decoy, adverse_move(decoy)),
            0.0,
            "ticks",
            sample,
        ),
        within(
            "The 50 s adverse move after decoy flow is less than a quarter of that after informed "
            "flow, in absolute value",
            _adverse_share(decoy, informed),
            0.25,
            "of informed",
            sample,
        ),
    ]
    audit = _audit(informed, decoy, sample)
    return runner.result("information_matched", QUESTION, plan, checks, audit=audit)


def _audit(informed: Sessions, decoy: Sessions, sample: str) -> list[Check]:
    """Volume, imbalance and sign autocorrelation of the two flows are equal within tolerance."""
    volume = of_sums(
        [informed.volume.sum(axis=1), decoy.volume.sum(axis=1)], lambda a, b: a / b - 1.0
    )
    imbalance = difference(_imbalance(informed), _imbalance(decoy))
    checks = [
        within("Same volume (relative difference)", volume, 0.05, "", sample),
        within(
            "Same imbalance, |net| / gross per minute (difference)", imbalance, 0.05, "", sample
        ),
    ]
    checks += [
        within(
            f"Same sign autocorrelation at lag {lag} s (difference)",
            _sign_difference(informed, decoy, lag),
            0.05,
            "",
            sample,
        )
        for lag in _LAGS
    ]
    return checks


def _imbalance(sessions: Sessions) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean of |net| / gross flow over blocks of one minute, per session, shape (n,)."""
    block = max(1, round(60.0 / sessions.config.decision_interval))
    n_blocks = max(1, sessions.volume.shape[1] // block)
    shape = (len(sessions), n_blocks, -1)
    net = sessions.net_flow[:, : n_blocks * block].reshape(shape).sum(axis=2)
    gross = sessions.volume[:, : n_blocks * block].reshape(shape).sum(axis=2)
    return np.asarray((np.abs(net) / np.maximum(gross, 1.0)).mean(axis=1))


def _sign_difference(informed: Sessions, decoy: Sessions, lag: int) -> Estimate:
    sums: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    for sessions in (informed, decoy):
        signs = np.sign(sessions.net_flow)
        sums += [(signs[:, :-lag] * signs[:, lag:]).sum(axis=1), (signs[:, :-lag] ** 2).sum(axis=1)]
    return of_sums(sums, lambda a, n, b, m: a / n - b / m)


def _adverse_share(part: Sessions, whole: Sessions) -> Estimate:
    """The ratio of the 50 s adverse moves of two markets, paired by session."""
    sums = [
        *fill_sums(adverse_move(part), part.fill_session, len(part)),
        *fill_sums(adverse_move(whole), whole.fill_session, len(whole)),
    ]
    return of_sums(sums, lambda a, n, b, m: (a / n) / (b / m))
