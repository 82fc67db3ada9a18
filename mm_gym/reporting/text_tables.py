"""Tables of an evaluation, for a terminal of 80 columns and as Markdown."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from mm_gym.config import FIELD_NAMES
from mm_gym.evaluation.experiments.runner import ExperimentResult
from mm_gym.evaluation.rollout import PRIVILEGED_MARK
from mm_gym.evaluation.summary import COLUMNS

_ENDS = ("", "_low", "_high")
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


def text_table(rows: Sequence[dict[str, Any]], reference: str | None = None) -> Group:
    """The summary's main columns for a terminal of 80 columns, one table per market.

    Args:
        rows: of the summary.
        reference: the agent from which the rows hold differences. They stand below each table.
    """
    parts: list[str | Table] = []
    for market, group in itertools.groupby(rows, lambda row: _market_title(row, rows)):
        members = list(group)
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for header, width in _TEXT_COLUMNS.items():
            left = header == "agent"
            table.add_column(
                header, width=width, justify="left" if left else "right", overflow="fold"
            )
        for row in members:
            low, high = row["final_pnl_low"], row["final_pnl_high"]
            table.add_row(
                escape(row["agent"]),
                f"{row['final_pnl']:.1f}",
                "-" if math.isnan(low) else f"{low:.0f} to {high:.0f}",
                f"{row['objective']:.1f}",
                f"{row['fills']:.0f}",
                f"{row['mean_abs_inventory']:.1f}",
                _figure(row["markout_50"], ".2f"),
                _figure(row["value_adverse_move_50"], ".2f"),
            )
        parts += [f"[bold]{market}[/bold]", table]
        for row in members:
            if reference is not None and row["agent"].removesuffix(PRIVILEGED_MARK) != reference:
                gap, low, high = (row[f"objective_vs_reference{end}"] for end in _ENDS)
                names = f"{row['agent']} less {reference}"
                parts.append(escape(f"{names}: {gap:.1f} [{low:.1f}, {high:.1f}]"))
    return Group(*parts)


def _figure(value: float, style: str) -> str:
    return "-" if math.isnan(value) else format(value, style)


def _market_title(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """The regime, its informed share, and any field that a sweep added to the row.

    A share of zero is shown if the regime has other shares in the table.
    """
    informed = any(other["p_informed"] > 0.0 for other in rows if other["regime"] == row["regime"])
    shown = {"p_informed": row["p_informed"]} if informed else {}
    shown |= {key: value for key, value in row.items() if key in FIELD_NAMES and key not in COLUMNS}
    return ", ".join([row["regime"], *(f"{key} = {value:g}" for key, value in shown.items())])


def checks_table(experiment: ExperimentResult) -> Group:
    """An experiment's checks for a terminal of 80 columns: verdict, sentence and estimate."""
    verdict = "every check holds" if experiment.holds else "does not hold"
    control = "" if experiment.effect else " (negative control)"
    parts: list[str | Table] = [
        f"[bold]{experiment.name}[/bold]{control}: {experiment.question} [bold]{verdict}[/bold]"
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for header, width in (("", 5), ("check", 44), ("estimate [95 %]", 26)):
        table.add_column(header, width=width, overflow="fold")
    for check in experiment.audit + experiment.checks:
        table.add_row(
            "[green]holds[/green]" if check.holds else "[red]no[/red]",
            escape(check.sentence),
            escape(f"{check.estimate} {check.unit}".strip()),
        )
    return Group(*parts, table, *(escape(note) for note in experiment.notes), "")


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


def markdown(
    rows: Sequence[dict[str, Any]], experiments: Sequence[ExperimentResult], command: str
) -> str:
    """The checks and the summary's main columns as Markdown, with the command that prints them."""
    lines = [f"Printed by `{command}`.", ""]
    for experiment in experiments:
        verdict = "every check holds" if experiment.holds else "**does not hold**"
        control = "" if experiment.effect else " (negative control)"
        lines += [f"## {experiment.name}{control}: {verdict}", "", experiment.question, ""]
        lines += ["| | check | estimate [95 %] | wanted | sample |", "|---|---|---|---|---|"]
        for check in experiment.audit + experiment.checks:
            mark = "holds" if check.holds else "**no**"
            estimate = f"{check.estimate} {check.unit}".strip()
            sentence = check.sentence.replace("|", "\\|")  # a bar would end the cell
            lines.append(f"| {mark} | {sentence} | {estimate} | {check.wanted} | {check.sample} |")
        lines += ["", *(f"{note}\n" for note in experiment.notes)]
    columns: tuple[tuple[str, str], ...] = _MARKDOWN_COLUMNS
    if rows and "objective_vs_reference" in rows[0]:
        columns += tuple((f"objective_vs_reference{end}", ".1f") for end in _ENDS)
    names = [name for name, _ in columns]
    lines += [
        "## Summary",
        "",
        "| agent | market | " + " | ".join(names) + " |",
        "|---" * (2 + len(names)) + "|",
    ]
    for row in rows:
        market = (
            f"{row['experiment']}: {row['market']}"
            if "experiment" in row
            else _market_title(row, rows)
        )
        figures = " | ".join(_figure(row[name], style) for name, style in columns)
        lines.append(f"| {row['agent']} | {market} | {figures} |")
    return "\n".join(lines) + "\n"
