"""Traders who are only labelled informed: the label means nothing.

Twin: the label is true.
"""

from mm_gym.evaluation.experiments.runner import (
    ExperimentResult,
    ExperimentRunner,
    above,
    market,
    sample,
    within,
)
from mm_gym.evaluation.metrics import direction_correlation
from mm_gym.evaluation.statistics import mean

QUESTION = "Takers who are only labelled informed: does the label matter?"
AGENT = "inventory_skew"
P_INFORMED = 0.8
_TOLERANCE = (
    0.03  # a correlation of this size explains a thousandth of the variance of what follows
)


def run(runner: ExperimentRunner) -> ExperimentResult:
    config = market("naive_informed", p_informed=P_INFORMED)
    if not runner.effect:
        config = market("informed", p_informed=P_INFORMED)
    label = f"{config.regime}, p = {P_INFORMED:g}"
    sessions = runner.run({label: (AGENT, config)})
    result = sessions[label]
    data = sample(result)
    checks = [above("The maker earns", mean(result.final_pnl), 0.0, "ticks x lots", data)]
    checks += [
        within(
            f"Fill direction says nothing about the efficient price {horizon:g} s later",
            direction_correlation(result, index),
            _TOLERANCE,
            "correlation",
            data,
        )
        for index, horizon in enumerate(result.horizons)
    ]
    return ExperimentResult(
        "naive_informed", QUESTION, checks, sessions, {label: AGENT}, effect=runner.effect
    )
