"""Symmetric noise flow: the maker earns the spread.

Negative control: the flow is informed, so inventory tends to lose.
"""

import numpy as np

from mm_gym.config import configure
from mm_gym.evaluation.experiments.runner import (
    Check,
    ExperimentResult,
    ExperimentRunner,
    above,
    below,
    describe_sample,
    within,
)
from mm_gym.evaluation.metrics import inventory_half_life, unrealised_pnl
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import mean, of_sums, ratio

QUESTION = (
    "Under symmetric noise flow, does inventory stay around zero, does PnL grow, and is most of it "
    "spread capture?"
)
AGENT = "inventory_skew"
_QUARTERS = 4


def run(runner: ExperimentRunner) -> ExperimentResult:
    """Run the experiment, or its negative control if `runner.effect` is False."""
    config = configure("noise") if runner.effect else configure("informed", p_informed=0.8)
    label = config.regime
    plan = {label: (AGENT, config)}
    result = runner.run(plan)[label]
    sample = describe_sample(result)
    shortest = 0.05 * config.session_length
    checks = [
        above("The maker earns", mean(result.final_pnl), 0.0, "ticks x lots", sample),
        *_growth(result, sample),
        within(
            "Mean inventory is zero",
            mean(result.mean_inventory),
            0.25,
            "lots",
            sample,
        ),
        below(
            "Inventory reverts: its half-life is a small part of the session",
            inventory_half_life(result),
            shortest,
            "s",
            sample,
        ),
        _spread_dominates(result, sample),
        within(
            "Unrealised PnL at the close is small relative to PnL",
            ratio(np.abs(unrealised_pnl(result)), np.abs(result.final_pnl)),
            0.05,
            "of PnL",
            sample,
        ),
    ]
    return runner.result("noise", QUESTION, plan, checks)


def _growth(result: Sessions, sample: str) -> list[Check]:
    """PnL grows in each quarter of the session."""
    edges = np.linspace(0, result.pnl_path.shape[1] - 1, _QUARTERS + 1).astype(int)
    gains = np.diff(result.pnl_path[:, edges], axis=1)
    return [
        above(
            f"PnL grows in quarter {quarter + 1} of the session",
            mean(gains[:, quarter]),
            0.0,
            "ticks x lots",
            sample,
        )
        for quarter in range(_QUARTERS)
    ]


def _spread_dominates(result: Sessions, sample: str) -> Check:
    share = of_sums(
        [result.inventory_pnl, result.spread_pnl], lambda inventory, spread: inventory / spread
    )
    return within(
        "Inventory PnL is less than a quarter of the spread captured, in absolute value",
        share,
        0.25,
        "of spread",
        sample,
    )
