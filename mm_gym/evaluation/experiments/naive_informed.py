"""Takers who are labelled informed but have no information: the label has no effect.

Negative control: the takers are informed.
"""

from mm_gym.config import configure
from mm_gym.evaluation.experiments.runner import (
    ExperimentResult,
    ExperimentRunner,
    above,
    describe_sample,
    within,
)
from mm_gym.evaluation.metrics import direction_correlation
from mm_gym.evaluation.statistics import mean

QUESTION = "Does it matter that takers are labelled informed if they have no information?"
AGENT = "inventory_skew"
P_INFORMED = 0.8
_TOLERANCE = 0.03  # such a correlation explains a thousandth of the variance of later moves


def run(runner: ExperimentRunner) -> ExperimentResult:
    """Run the experiment, or its negative control if `runner.effect` is False."""
    config = configure("naive_informed", p_informed=P_INFORMED)
    if not runner.effect:
        config = configure("informed", p_informed=P_INFORMED)
    label = f"{config.regime}, p = {P_INFORMED:g}"
    plan = {label: (AGENT, config)}
    result = runner.run(plan)[label]
    sample = describe_sample(result)
    checks = [above("The maker earns", mean(result.final_pnl), 0.0, "ticks x lots", sample)]
    checks += [
        within(
            f"Fill direction is uncorrelated with the efficient price's move over {horizon:g} s",
            direction_correlation(result, index),
            _TOLERANCE,
            "correlation",
            sample,
        )
        for index, horizon in enumerate(result.horizons)
    ]
    return runner.result("naive_informed", QUESTION, plan, checks)
