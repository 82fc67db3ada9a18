"""Persistent flow without information: it has runs of one sign, and predicts nothing.

The control for each figure is the same market with Poisson arrivals of single orders. Negative
control: the flow itself is that control.

The efficient price shows whether flow has information. The mid alone would not: takers accept a
distance from the mid, so a quote trades more often while the mid is displaced towards it. The mid
then returns, in favour of the maker. Bursts take a quote at any displacement, so it returns less.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

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
from mm_gym.evaluation.metrics import against_mid, difference_over_fills
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import difference, mean, mean_over_fills, of_sums

QUESTION = (
    "Does persistent flow without information move the price against the maker, "
    "and does a maker notice that it has none?"
)
AGENT = "inventory_skew"
ADAPTIVE = "adaptive_spread"
SHARES = (0.0, 0.4, 0.8)
POISSON: dict[str, Any] = {
    "clustering": (),
    "clustering_half_lives": (),
    "longest_metaorder": 1,
}
"""Fields of the control: Poisson arrivals of single orders."""
_HORIZONS = (1.0, 5.0, 20.0)


def run(runner: ExperimentRunner) -> ExperimentResult:
    """Run the experiment, or its negative control if `runner.effect` is False."""
    fields: dict[str, Any] = {} if runner.effect else POISSON
    control, clustered = configure("clustered", **POISSON), configure("clustered", **fields)
    plan = {f"p = {p:g}": (AGENT, configure("clustered", p_informed=p, **fields)) for p in SHARES}
    plan |= {
        "Poisson": (AGENT, control),
        "Poisson, adaptive": (ADAPTIVE, control),
        "p = 0, adaptive": (ADAPTIVE, clustered),
    }
    sessions = runner.run(plan)
    calm, persistent = sessions["Poisson"], sessions["p = 0"]
    sample = describe_sample(persistent, calm)
    signs = np.sign(persistent.net_flow)
    pairs = [(signs[:, :-1] * signs[:, 1:]).sum(axis=1), np.abs(signs[:, 1:]).sum(axis=1)]
    checks = [
        above(
            "The flow of neighbouring seconds has the same sign (autocorrelation)",
            of_sums(pairs, lambda products, n: products / n),
            0.05,
            "",
            sample,
        ),
        above("The maker earns", mean(persistent.final_pnl), 0.0, "ticks x lots", sample),
        *_no_information(persistent, calm, sample),
        *_dial([sessions[f"p = {p:g}"] for p in SHARES]),
        above(
            "An adaptive maker's spread widens all the same",
            difference(
                sessions["p = 0, adaptive"].quoted_spread,
                sessions["Poisson, adaptive"].quoted_spread,
            ),
            0.05,
            "ticks",
            describe_sample(sessions["p = 0, adaptive"], sessions["Poisson, adaptive"]),
        ),
    ]
    return runner.result("clustered", QUESTION, plan, checks)


def _no_information(persistent: Sessions, calm: Sessions, sample: str) -> list[Check]:
    """Adverse moves are those of Poisson flow, and no mid moves against the maker."""
    tolerance = 0.1 * float(against_mid(calm).effective_half_spread.mean())
    sessions = persistent.fill_session, len(persistent)
    harmless = [
        below(
            f"The mid does not move against the maker in {horizon:g} s",
            mean_over_fills(_move_of_mid(persistent, horizon), *sessions),
            0.0,
            "ticks",
            sample,
        )
        for horizon in _HORIZONS
    ]
    return harmless + [
        within(
            f"The {horizon:g} s adverse move of the {what} equals that of Poisson flow, to a tenth "
            "of the half-spread",
            difference_over_fills(persistent, move(persistent, horizon), calm, move(calm, horizon)),
            tolerance,
            "ticks",
            sample,
        )
        for what, move in (("mid", _move_of_mid), ("efficient price", adverse_move))
        for horizon in _HORIZONS
    ]


def _move_of_mid(sessions: Sessions, horizon: float) -> npt.NDArray[np.float64]:
    return against_mid(sessions).adverse_move[:, sessions.horizons.index(horizon)]


def _dial(sweep: list[Sessions]) -> list[Check]:
    """The 50 s adverse move grows with the share of informed takers."""
    return [
        above(
            f"The 50 s adverse move grows from p = {low:g} to {high:g}",
            difference_over_fills(after, adverse_move(after), before, adverse_move(before)),
            0.0,
            "ticks",
            describe_sample(before, after),
        )
        for low, high, before, after in zip(SHARES, SHARES[1:], sweep, sweep[1:], strict=False)
    ]
