"""The post-mortem's experiments, by name, one per file. Each ends in checks; each has a control with
the effect removed.

experiment = EXPERIMENTS["informed"](ExperimentRunner(name_agent))
"""

from collections.abc import Callable

from mm_gym.evaluation.experiments import (
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
    "naive_informed": naive_informed.run,
    "informed": informed.run,
    "information_matched": information_matched.run,
    "identical_prices": identical_prices.run,
    "latency": latency.run,
}

__all__ = ["EXPERIMENTS", "Check", "ExperimentResult", "ExperimentRunner"]
