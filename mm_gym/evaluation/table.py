"""The summary: one row per agent and market, with the columns that people and programs read."""

import itertools
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from mm_gym.config import FIELD_NAMES
from mm_gym.evaluation.experiments.laboratory import Finding
from mm_gym.evaluation.metrics import (
    FillMeasures,
    against_mid,
    against_value,
    inventory_half_life,
    inventory_pnl_of_fills,
    sharpe,
    with_informed_takers,
)
from mm_gym.evaluation.rollout import HORIZONS, Sessions
from mm_gym.evaluation.statistics import difference, mean, mean_over_fills

_PARTS = ("spread_pnl", "inventory_pnl", "fees", "close_out")


def horizon_name(horizon: float) -> str:
    """How a horizon [s] is written in a column's name: 50 for 50.0, 0.5 for 0.5."""
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
    "fills_rested_on",
)
"""Columns of the summary at the default horizons. Money in ticks x lots a session, prices in ticks,
intervals 95 %."""


def summarise(agent: str, sessions: Sessions, reference: Sessions | None = None) -> dict[str, Any]:
    """The row of one agent in one market: plain values, NaN where nothing was filled.

    With the sessions of a reference agent in the same market, the row ends with the paired
    differences of PnL and objective from it (`*_vs_reference`), with their intervals.
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
    row["inventory_pnl_informed"] = float(of_fills[informed].sum() / len(sessions))
    row["inventory_pnl_noise"] = float(of_fills[~informed].sum() / len(sessions))
    row["mean_inventory"] = float(sessions.mean_inventory.mean())
    row["inventory_half_life"] = inventory_half_life(sessions).value
    row["sharpe"] = sharpe(sessions)
    for name in ("quoted_spread", "share_at_touch", "fill_ratio"):
        row[name] = float(getattr(sessions, name).mean())
    row["fills_rested_on"] = len(sessions.fills)
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


_TEXT_COLUMNS = {
    "agent": 20,
    "PnL": 7,
    "95 %": 12,
    "objective": 9,
    "fills": 5,
    "|q|": 4,
    "markout": 7,
    "adverse": 7,
}


def text_table(rows: Sequence[dict[str, Any]]) -> Group:
    """The columns that fit a terminal of 80, market by market: what was earned, how surely, what
    followed the fills."""
    parts: list[str | Table] = []
    for market, members in itertools.groupby(rows, _market_title):
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for header, width in _TEXT_COLUMNS.items():
            left = header == "agent"
            table.add_column(
                header, width=width, justify="left" if left else "right", overflow="fold"
            )
        for row in members:
            table.add_row(
                escape(row["agent"]),
                f"{row['final_pnl']:.1f}",
                f"{row['final_pnl_low']:.0f} to {row['final_pnl_high']:.0f}",
                f"{row['objective']:.1f}",
                f"{row['fills']:.0f}",
                f"{row['mean_abs_inventory']:.1f}",
                f"{row['markout_50']:.2f}",
                f"{row['value_adverse_move_50']:.2f}",
            )
        parts += [f"[bold]{market}[/bold]", table]
    return Group(*parts)


def _market_title(row: dict[str, Any]) -> str:
    """The regime, its informed share, and any field that a sweep added to the row."""
    settings = {"p_informed": row["p_informed"]} if row["p_informed"] > 0.0 else {}
    settings |= {
        key: value for key, value in row.items() if key in FIELD_NAMES and key not in COLUMNS
    }
    return ", ".join([row["regime"], *(f"{key} = {value:g}" for key, value in settings.items())])


def claims_table(finding: Finding) -> Group:
    """An experiment's claims for a terminal of 80: whether each holds, and the figure it rests
    on."""
    verdict = "every claim holds" if finding.holds else "does not hold"
    twin = "" if finding.effect else " (twin: the effect removed)"
    parts: list[str | Table] = [
        f"[bold]{finding.name}[/bold]{twin}: {finding.question} [bold]{verdict}[/bold]"
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for header, width in (("", 5), ("claim", 44), ("figure [95 %]", 26)):
        table.add_column(header, width=width, overflow="fold")
    for claim in finding.audit + finding.claims:
        table.add_row(
            "[green]holds[/green]" if claim.holds else "[red]no[/red]",
            escape(claim.sentence),
            escape(f"{claim.estimate} {claim.unit}".strip()),
        )
    return Group(*parts, table, *(escape(note) for note in finding.notes), "")


_MARKDOWN_COLUMNS = (
    ("final_pnl", ".1f"),
    ("final_pnl_low", ".1f"),
    ("final_pnl_high", ".1f"),
    ("objective", ".1f"),
    ("spread_pnl", ".1f"),
    ("inventory_pnl", ".1f"),
    ("fills", ".0f"),
    ("mean_abs_inventory", ".2f"),
    ("effective_half_spread", ".2f"),
    ("markout_50", ".2f"),
    ("value_adverse_move_50", ".2f"),
    ("adverse_fill_ratio_50", ".3f"),
)


def markdown(rows: Sequence[dict[str, Any]], findings: Sequence[Finding], command: str) -> str:
    """Claims and the summary's main columns as Markdown, with the command that printed them."""
    lines = [f"Printed by `{command}`.", ""]
    for finding in findings:
        verdict = "every claim holds" if finding.holds else "**does not hold**"
        lines += [f"## {finding.name}: {verdict}", "", finding.question, ""]
        lines += ["| | claim | figure [95 %] | wanted | rests on |", "|---|---|---|---|---|"]
        for claim in finding.audit + finding.claims:
            mark = "holds" if claim.holds else "**no**"
            figure = f"{claim.estimate} {claim.unit}".strip()
            lines.append(
                f"| {mark} | {claim.sentence} | {figure} | {claim.wanted} | {claim.rests_on} |"
            )
        lines += ["", *(f"{note}\n" for note in finding.notes)]
    names = [name for name, _ in _MARKDOWN_COLUMNS]
    lines += [
        "## Summary",
        "",
        "| agent | market | " + " | ".join(names) + " |",
        "|---" * (2 + len(names)) + "|",
    ]
    for row in rows:
        market = (
            f"{row['experiment']}: {row['market']}" if "experiment" in row else _market_title(row)
        )
        figures = " | ".join(format(row[name], style) for name, style in _MARKDOWN_COLUMNS)
        lines.append(f"| {row['agent']} | {market} | {figures} |")
    return "\n".join(lines) + "\n"
