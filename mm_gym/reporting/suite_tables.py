"""Tables of the suite for a terminal of 80 columns, and the list of tasks as Markdown."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from mm_gym.evaluation.suite import Results
from mm_gym.evaluation.suite_scores import Summary, summarise
from mm_gym.tasks import Task

_TASK_COLUMNS = {
    "agent": 21,
    "objective": 9,
    "±": 5,
    "IQM": 6,
    "95 %": 14,
    "mean": 6,
    "spread": 6,
    "fills": 5,
}
_ALL_COLUMNS = {
    "agent": 21,
    "tasks": 5,
    "seeds": 5,
    "IQM": 6,
    "95 %": 14,
    "mean": 6,
    "spread": 6,
    "fills": 5,
}

_NOTE = """Objective: ticks x lots per session, ± one standard error. IQM: interquartile
mean of the normalised scores, with its 95 % interval. Spread: standard
deviation between training seeds, of the objective in a task and of the score
over all tasks. Over all tasks, compare only agents with the same tasks."""


def text_table(results: Results, tasks: Sequence[Task]) -> Group:
    """A table for each task, one over all tasks, and why agents were left out.

    The tables fit a terminal of 80 columns.
    """
    summaries = summarise(results.rows)
    agents = list(
        dict.fromkeys(
            [*(row.agent for row in results.rows), *(label for label, _ in results.left_out)]
        )
    )
    parts: list[str | Table] = []
    for task in tasks:
        found = {summary.agent: summary for summary in summaries if summary.task == task.name}
        table = _empty_table(_TASK_COLUMNS)
        for agent in agents:
            if agent in found:
                table.add_row(*_task_cells(found[agent]))
            elif (agent, task.name) in results.left_out:
                table.add_row(escape(agent), *["-"] * (len(_TASK_COLUMNS) - 1))
        parts += [f"[bold]{escape(task.name)}[/bold]{_scale(task)}", table]
    over_all = [summary for summary in summaries if summary.task == ""]
    if over_all:
        table = _empty_table(_ALL_COLUMNS)
        for summary in over_all:
            table.add_row(
                escape(summary.agent),
                f"{summary.tasks}",
                f"{summary.seeds}",
                *_score_cells(summary, ".3f"),
                f"{summary.fills:.0f}",
            )
        parts += ["[bold]All tasks[/bold]", table]
    parts += _reasons(results.left_out)
    parts.append(_NOTE)
    return Group(*parts)


def _empty_table(columns: Mapping[str, int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for header, width in columns.items():
        table.add_column(
            header, width=width, justify="left" if header == "agent" else "right", overflow="fold"
        )
    return table


def _scale(task: Task) -> str:
    if task.zero is None or task.one is None:
        return " (no reference scores yet)"
    return f": 0 is {task.zero.score:.1f}, 1 is {task.one.score:.1f}"


def _task_cells(summary: Summary) -> list[str]:
    return [
        escape(summary.agent),
        f"{summary.objective:.1f}",
        _figure(summary.standard_error, ".1f"),
        *_score_cells(summary, ".1f"),
        f"{summary.fills:.0f}",
    ]


def _score_cells(summary: Summary, spread: str) -> list[str]:
    estimate = summary.interquartile_mean
    interval = "-" if math.isnan(estimate.low) else f"{estimate.low:.2f}, {estimate.high:.2f}"
    return [_score(estimate.value), interval, _score(summary.mean), _figure(summary.spread, spread)]


def _score(value: float) -> str:
    return _figure(value, ".3f" if abs(value) < 9.9995 else ".1f")


def _figure(value: float, style: str) -> str:
    return "-" if math.isnan(value) else format(value, style)


def _reasons(left_out: Mapping[tuple[str, str], str]) -> list[str]:
    """For each agent that was left out: the tasks, and the reason in the first of them."""
    tasks: dict[str, list[str]] = {}
    for label, task in left_out:
        tasks.setdefault(label, []).append(task)
    return [
        escape(f"- {label} in {', '.join(names)}: {left_out[label, names[0]]}")
        for label, names in tasks.items()
    ]


def tasks_markdown(tasks: Iterable[Task]) -> str:
    """The tasks as a Markdown table for the benchmark page: description and configuration."""
    lines = ["| task | version | what it asks | configuration |", "|---|---:|---|---|"]
    for task in tasks:
        fields = ", ".join(
            [
                f"`{task.config.regime}`",
                *(f"`{name}={_short(v)}`" for name, v in task.fields().items()),
            ]
        )
        lines.append(f"| `{task.name}` | {task.version} | {task.description} | {fields} |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
