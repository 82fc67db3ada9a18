"""The post-mortem's experiments by name, one per file.

Each experiment ends in checks. Each has a negative control: the same experiment without the cause
of the effect, in which the checks of the effect should fail.

    result = EXPERIMENTS["informed"](ExperimentRunner(name_agent))
"""

from collections.abc import Callable

from mm_gym.evaluation.experiments import (
    clustered,
    identical_prices,
    imbalanced,
    information_matched,
    informed,
    latency,
    naive_informed,
    noise,
)
from mm_gym.evaluation.experiments.runner import Check, ExperimentResult, ExperimentRunner

EXPERIMENTS: dict[str, Callable[[ExperimentRunner], ExperimentResult]] = {
    "noise": noise.run,
    "imbalanced": imbalanced.run,
    "clustered": clustered.run,
    "naive_informed": naive_informed.run,
    "informed": informed.run,
    "information_matched": information_matched.run,
    "identical_prices": identical_prices.run,
    "latency": latency.run,
}

__all__ = ["EXPERIMENTS", "Check", "ExperimentResult", "ExperimentRunner"]
