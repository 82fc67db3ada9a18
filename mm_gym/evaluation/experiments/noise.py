"""Symmetric noise flow: the maker lives off the spread.

Twin: the flow is informed, so that what the maker holds is what it should not.
"""

import numpy as np

from mm_gym.evaluation.experiments.runner import (
    Check,
    ExperimentResult,
    ExperimentRunner,
    above,
    below,
    market,
    sample,
    within,
)
from mm_gym.evaluation.metrics import inventory_half_life, unrealised_pnl
from mm_gym.evaluation.rollout import Sessions
from mm_gym.evaluation.statistics import mean, of_sums, ratio

QUESTION = "Symmetric noise flow: does inventory hover around zero, PnL climb, and spread capture dominate?"
AGENT = "inventory_skew"
_QUARTERS = 4


def run(runner: ExperimentRunner) -> ExperimentResult:
    config = market("noise") if runner.effect else market("informed", p_informed=0.8)
    label = config.regime
    sessions = runner.run({label: (AGENT, config)})
    result = sessions[label]
    data = sample(result)
    shortest = 0.05 * config.session_length
    checks = [
        above("The maker earns", mean(result.final_pnl), 0.0, "ticks x lots", data),
        *_climb(result, data),
        within(
            "Inventory has no side: its mean is zero",
            mean(result.mean_inventory),
            0.25,
            "lots",
            data,
        ),
        below(
            "Inventory comes back: half of it is gone soon",
            inventory_half_life(result),
            shortest,
            "s",
            data,
        ),
        _spread_dominates(result, data),
        within(
            "Unrealised PnL at the close is small beside the PnL",
            ratio(np.abs(unrealised_pnl(result)), np.abs(result.final_pnl)),
            0.05,
            "of PnL",
            data,
        ),
    ]
    return ExperimentResult(
        "noise", QUESTION, checks, sessions, {label: AGENT}, effect=runner.effect
    )


def _climb(result: Sessions, data: str) -> list[Check]:
    """The PnL gained in each quarter of the session."""
    edges = np.linspace(0, result.pnl_path.shape[1] - 1, _QUARTERS + 1).astype(int)
    gains = np.diff(result.pnl_path[:, edges], axis=1)
    return [
        above(
            f"PnL climbs in quarter {quarter + 1} of the session",
            mean(gains[:, quarter]),
            0.0,
            "ticks x lots",
            data,
        )
        for quarter in range(_QUARTERS)
    ]


def _spread_dominates(result: Sessions, data: str) -> Check:
    share = of_sums(
        [result.inventory_pnl, result.spread_pnl], lambda inventory, spread: inventory / spread
    )
    return within(
        "Inventory PnL is less than a quarter of spread captured, in size",
        share,
        0.25,
        "of spread",
        data,
    )
