"""Persistent imbalance without information: inventory drifts but is bounded, and the maker earns.

Negative control: no imbalance.
"""

from mm_gym.config import configure
from mm_gym.evaluation.experiments.runner import (
    ExperimentResult,
    ExperimentRunner,
    above,
    adverse_move,
    below,
    describe_sample,
    within,
)
from mm_gym.evaluation.metrics import against_mid, difference_over_fills
from mm_gym.evaluation.statistics import difference, mean

QUESTION = "Does persistent imbalance without information move the price against the maker?"
AGENT = "inventory_skew"
ADAPTIVE = "adaptive_spread"


def run(runner: ExperimentRunner) -> ExperimentResult:
    """Run the experiment, or its negative control if `runner.effect` is False."""
    noise, imbalanced = configure("noise"), configure("imbalanced")
    if not runner.effect:
        imbalanced = configure("imbalanced", imbalance=0.0)
    plan = {
        "noise": (AGENT, noise),
        "imbalanced": (AGENT, imbalanced),
        "noise, adaptive": (ADAPTIVE, noise),
        "imbalanced, adaptive": (ADAPTIVE, imbalanced),
    }
    sessions = runner.run(plan)
    calm, pressed = sessions["noise"], sessions["imbalanced"]
    sample = describe_sample(calm, pressed)
    effective = float(against_mid(pressed).effective_half_spread.mean())
    checks = [
        above("The maker still earns", mean(pressed.final_pnl), 0.0, "ticks x lots", sample),
        above(
            "Inventory is larger than under noise",
            difference(pressed.mean_abs_inventory, calm.mean_abs_inventory),
            0.0,
            "lots",
            sample,
        ),
        below(
            "Inventory stays bounded: its maximum is below half of max_inventory",
            mean(pressed.max_abs_inventory.astype(float)),
            0.5 * imbalanced.max_inventory,
            "lots",
            sample,
        ),
        above(
            "An adaptive maker's spread widens",
            difference(
                sessions["imbalanced, adaptive"].quoted_spread,
                sessions["noise, adaptive"].quoted_spread,
            ),
            0.05,
            "ticks",
            describe_sample(sessions["noise, adaptive"], sessions["imbalanced, adaptive"]),
        ),
        within(
            "The 20 s adverse move of the efficient price equals that under noise, to a tenth of "
            "the half-spread",
            difference_over_fills(
                pressed, adverse_move(pressed, 20.0), calm, adverse_move(calm, 20.0)
            ),
            0.1 * effective,
            "ticks",
            sample,
        ),
    ]
    return runner.result("imbalanced", QUESTION, plan, checks)
