"""The summary of an evaluation: one row of plain values for each agent in each market."""

import math
from typing import Any

from mm_gym.evaluation.metrics import (
    FillMeasures,
    against_mid,
    against_value,
    inventory_half_life,
    inventory_pnl_of_fills,
    sharpe,
    with_informed_takers,
)
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import difference, mean, mean_over_fills
from mm_gym.recorded_fills import HORIZONS

_PARTS = ("spread_pnl", "inventory_pnl", "fees", "close_out")


def horizon_name(horizon: float) -> str:
    """A horizon [s] as column names have it: `50` for 50.0, `0.5` for 0.5."""
    return f"{horizon:g}"


def _measure_columns(prefix: str) -> list[str]:
    return [
        f"{prefix}{measure}_{horizon_name(horizon)}"
        for horizon in HORIZONS
        for measure in ("markout", "adverse_move", "adverse_fill_ratio")
    ]


COLUMNS = (
    "agent",
    "regime",
    "p_informed",
    "episodes",
    "final_pnl",
    "final_pnl_low",
    "final_pnl_high",
    "objective",
    "objective_low",
    "objective_high",
    *_PARTS,
    "fills",
    "mean_abs_inventory",
    "max_abs_inventory",
    "effective_half_spread",
    *_measure_columns(""),
    *_measure_columns("value_"),
    "value_effective_half_spread",
    "inventory_pnl_informed",
    "inventory_pnl_noise",
    "mean_inventory",
    "inventory_half_life",
    "sharpe",
    "quoted_spread",
    "share_at_touch",
    "fill_ratio",
    "total_fills",
)
"""Columns of the summary at the default horizons.

Money is in ticks x lots per session. Prices are in ticks. Intervals are 95 percent. `fills` is the
mean number per session and `total_fills` the number in all sessions.
"""


def summarise(agent: str, sessions: Sessions, reference: Sessions | None = None) -> dict[str, Any]:
    """The row of one agent in one market: plain values; NaN where there is no estimate.

    Args:
        agent: its name.
        sessions: what it did.
        reference: what another agent did in the same sessions. If given, the row ends with the
            paired differences of PnL and objective from it (`*_vs_reference`) and their intervals.

    Returns:
        The keys are `COLUMNS`, with the horizons of `sessions`.
    """
    pnl, objective = mean(sessions.final_pnl), mean(sessions.objective)
    row: dict[str, Any] = {
        "agent": agent,
        "regime": sessions.config.regime,
        "p_informed": sessions.config.p_informed,
        "episodes": len(sessions),
        "final_pnl": pnl.value,
        "final_pnl_low": pnl.low,
        "final_pnl_high": pnl.high,
        "objective": objective.value,
        "objective_low": objective.low,
        "objective_high": objective.high,
        **{part: float(getattr(sessions, part).mean()) for part in _PARTS},
        "fills": float(sessions.n_fills.mean()),
        "mean_abs_inventory": float(sessions.mean_abs_inventory.mean()),
        "max_abs_inventory": int(sessions.max_abs_inventory.max()),
    }
    mid, value = against_mid(sessions), against_value(sessions)
    row["effective_half_spread"] = _fill_mean(sessions, mid.effective_half_spread)
    row.update(_fill_row(sessions, mid, ""))
    row.update(_fill_row(sessions, value, "value_"))
    row["value_effective_half_spread"] = _fill_mean(sessions, value.effective_half_spread)
    of_fills, informed = inventory_pnl_of_fills(sessions), with_informed_takers(sessions)
    for name, chosen in (("informed", informed), ("noise", ~informed)):
        known = sessions.config.makers != "recorded"
        by_kind = float(of_fills[chosen].sum() / len(sessions)) if known else math.nan
        row[f"inventory_pnl_{name}"] = by_kind
    row["mean_inventory"] = float(sessions.mean_inventory.mean())
    row["inventory_half_life"] = inventory_half_life(sessions).value
    row["sharpe"] = sharpe(sessions)
    for name in ("quoted_spread", "share_at_touch", "fill_ratio"):
        row[name] = float(getattr(sessions, name).mean())
    row["total_fills"] = len(sessions.fills)
    if reference is not None:
        for name in ("final_pnl", "objective"):
            gap = difference(getattr(sessions, name), getattr(reference, name))
            row |= {
                f"{name}_vs_reference{end}": value
                for end, value in zip(("", "_low", "_high"), gap, strict=True)
            }
    return row


def _fill_mean(sessions: Sessions, measure: Any) -> float:
    return mean_over_fills(measure, sessions.fill_session, len(sessions)).value


def _fill_row(sessions: Sessions, measures: FillMeasures, prefix: str) -> dict[str, float]:
    row = {}
    for column, horizon in enumerate(sessions.horizons):
        name = horizon_name(horizon)
        row[f"{prefix}markout_{name}"] = _fill_mean(sessions, measures.markout[:, column])
        row[f"{prefix}adverse_move_{name}"] = _fill_mean(sessions, measures.adverse_move[:, column])
        row[f"{prefix}adverse_fill_ratio_{name}"] = _fill_mean(
            sessions, measures.adverse_fill[:, column]
        )
    return row
