"""Judge makers on the benchmark suite: `mm_gym.TASKS`, fixed sessions, normalised scores with
intervals.

A contender is a rule, a trained maker, or several run folders of one learner that differ in their
training seed. In each task it is scored on the same sessions as everybody, which no training,
tuning or other evaluation uses:

    score = (objective - score of 0) / (score of 1 - score of 0)

0 is the best tuned rule that ignores the flow, 1 the strongest reference that is told every
parameter of the market. The reference scores define the scale and count as exact.

Objectives are estimated with a control variate (`Sessions.fair_objective`) where that lowers the
standard error, which is nearly everywhere: both estimates have the same mean, and the rows of
`suite.csv` hold both.

Scores over training seeds and over tasks are summed up by the interquartile mean, with 95 percent
intervals from a bootstrap over training seeds, stratified by task (Agarwal et al., 2021, "Deep
reinforcement learning at the edge of the statistical precipice", and their package rliable). Where
there is one seed, sessions are what is resampled: the mean of hundreds of sessions is normal with
its standard error, and is drawn anew from that.
"""

import csv
import glob
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from mm_gym.config import MarketConfig
from mm_gym.evaluation.rollout import Cell, Predicts, Sessions, run_cells, shown_name
from mm_gym.evaluation.statistics import CONFIDENCE, Estimate
from mm_gym.tasks import Task, find_task

Array = npt.NDArray[np.float64]

EPISODES = 512
"""Sessions of 1,000 decisions of each contender in each task, by default; see `sessions_in`."""
_DECISIONS = 1000
_FAMILY = 1937074537  # any fixed number: sessions of the suite are no sessions of training, tuning or other evaluations
SUITE_SEED = int(np.random.SeedSequence(0, spawn_key=(_FAMILY,)).generate_state(1)[0])
"""Seed of the suite's sessions, the same in every task."""

RESULTS_FILE, ABOUT_FILE = "suite.csv", "suite.json"
_RESAMPLES = 2000
_SEED = 20211206  # any fixed number: equal rows give equal intervals
_TRIMMED = 0.25  # at each end, by the interquartile mean

_LABELLED = re.compile(r"([\w.-]+)=(.+)")
_TASK = "{task}"


# --------------------------------------------------------------------------------------- contenders


@dataclass(frozen=True)
class Contender:
    """Who is judged: a label, and the names of the agents that are its training seeds."""

    label: str
    members: tuple[str, ...]
    """As the caller's function names agents. `{task}` stands for the task's name; `*`, `?` and `[`
    are wildcards in the path of a run folder."""

    def in_task(self, task: str) -> list[str]:
        """The names of its agents in a task.

        Raises:
            ValueError: if a wildcard finds nothing.
        """
        names = []
        for member in self.members:
            name = member.replace(_TASK, task)
            if not glob.has_magic(name):
                names.append(name)
                continue
            found = sorted(path for path in glob.glob(name) if Path(path).is_dir())
            if not found:
                raise ValueError(f"{name} names no run folder: expected at least one, got none")
            names += found
        return names


def parse_contenders(text: str) -> list[Contender]:
    """Contenders from a command line: comma-separated agents, or `LABEL=A+B+C` for training seeds
    of one learner.

    Raises:
        ValueError: if two have the same label.
    """
    contenders = []
    for part in text.split(","):
        labelled = _LABELLED.fullmatch(part.strip())
        if labelled is None:
            contenders.append(Contender(part.strip(), (part.strip(),)))
        else:
            members = tuple(member.strip() for member in labelled[2].split("+"))
            contenders.append(Contender(labelled[1], members))
    labels = [contender.label for contender in contenders]
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(
                f"two agents have the same label: expected different ones, got {label!r} twice"
            )
    return contenders


def sessions_in(task: Task, episodes: int = EPISODES) -> int:
    """Sessions in a task: so many of 1,000 decisions, or as many decisions in more sessions where
    they are shorter.

    Raises:
        ValueError: for a number below 1.
    """
    if episodes < 1:
        raise ValueError(
            f"episodes is out of range: expected a whole number, at least 1, got {episodes}"
        )
    return max(episodes, episodes * _DECISIONS // task.config.session_steps)


def choose_tasks(names: Sequence[str] | None, tasks: Mapping[str, Task]) -> list[Task]:
    """Tasks by name, all of them if no names are given.

    Raises:
        ConfigurationError: for an unknown name.
    """
    return [find_task(name, tasks) for name in (tasks if names is None else names)]


# ------------------------------------------------------------------------------------------ judging


@dataclass(frozen=True)
class Row:
    """What one agent earned in one task: a row of `suite.csv`. Money in ticks x lots a session."""

    agent: str
    """The contender's label."""
    task: str
    task_version: int
    seed: int
    """Which of the contender's training seeds, from 0."""
    run: str
    """The name of the agent itself."""
    objective: float
    """Mean objective, by the estimate with the smaller standard error."""
    standard_error: float
    estimate: str
    """`variance_reduced` or `plain`."""
    plain_objective: float
    """Mean objective, as it was earned."""
    plain_standard_error: float
    score: float
    """Normalised; NaN where the task has no reference scores."""
    score_standard_error: float
    fills: float
    """Mean number a session."""
    episodes: int
    mm_gym_version: str
    command: str


@dataclass
class Results:
    """What came out of a suite."""

    rows: list[Row] = field(default_factory=list)
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)
    """Contender's label and task: why the contender was not judged there."""


def run_suite(
    name_agent: Callable[[str], Callable[[MarketConfig], Predicts]],
    contenders: Sequence[Contender],
    tasks: Sequence[Task],
    *,
    version: str,
    command: str = "",
    episodes: int = EPISODES,
    jobs: int | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> Results:
    """Judge every contender in every task that it suits.

    Args:
        name_agent: turns the name of an agent into what makes it.
        contenders: who is judged.
        tasks: in which.
        version: of mm_gym, for the rows.
        command: that was typed, for the rows.
        episodes: of each agent in each task, as of `sessions_in`; the first so many of the suite's
            sessions.
        jobs: processes to fan out over, as of `run_cells`.
        on_batch: called with the number of sessions done and the number of all.

    Raises:
        ValueError: if a contender suits none of the tasks (the reason is the first task's), or if
            `run_cells` does.
    """
    numbers = {task.name: sessions_in(task, episodes) for task in tasks}
    results, cells = Results(), []
    shown: dict[str, str] = {}  # by label, of those who can be made somewhere
    for task in tasks:
        for contender in contenders:
            # What cannot be made is found out now, not after others have run.
            try:
                made = [
                    _cell(name_agent, name, task.config) for name in contender.in_task(task.name)
                ]
            except ValueError as error:
                results.left_out[contender.label, task.name] = str(error)
                continue
            shown[contender.label] = shown_name(contender.label, made[0].make_agent(task.config))
            cells += [(contender.label, task, seed, cell) for seed, cell in enumerate(made)]
    for contender in contenders:
        if contender.label not in shown:
            raise ValueError(results.left_out[contender.label, tasks[0].name])
    results.left_out = {
        (shown[label], task): reason for (label, task), reason in results.left_out.items()
    }
    total = sum(numbers[task.name] for _, task, _, _ in cells)
    # One at a time: the records of thousands of sessions would not fit into memory together.
    for label, task, seed, cell in cells:
        sessions = run_cells(
            [cell],
            numbers[task.name],
            SUITE_SEED,
            jobs,
            horizons=(),
            on_batch=None if on_batch is None else lambda done: on_batch(done, total),
        )[0]
        figures = _figures(task, sessions)
        results.rows.append(
            Row(
                shown[label],
                task.name,
                task.version,
                seed,
                cell.agent,
                *figures,
                len(sessions),
                version,
                command,
            )
        )
    return results


def _cell(
    name_agent: Callable[[str], Callable[[MarketConfig], Predicts]], name: str, config: MarketConfig
) -> Cell:
    make = name_agent(name)
    make(config)
    return Cell(name, make, config)


def mean_objective(sessions: Sessions) -> tuple[float, float, str]:
    """Mean objective and its standard error, by the estimate with the smaller one, and that
    estimate's name."""
    plain, reduced = (
        (float(values.mean()), _standard_error(values))
        for values in (sessions.objective, sessions.fair_objective)
    )
    return (*reduced, "variance_reduced") if reduced[1] < plain[1] else (*plain, "plain")


def _figures(
    task: Task, sessions: Sessions
) -> tuple[float, float, str, float, float, float, float, float]:
    objective, error, estimate = mean_objective(sessions)
    return (
        objective,
        error,
        estimate,
        float(sessions.objective.mean()),
        _standard_error(sessions.objective),
        task.normalise(objective),
        task.normalise_error(error),
        float(sessions.n_fills.mean()),
    )


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


# --------------------------------------------------------------------------------------- statistics


def interquartile_mean(scores: npt.ArrayLike) -> Array:
    """The mean of the middle half, along the last axis: a quarter of the scores, rounded down, is
    left out each end."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=-1)
    out = int(_TRIMMED * ordered.shape[-1])
    return np.asarray(ordered[..., out : ordered.shape[-1] - out].mean(axis=-1))


def interquartile_estimate(scores: Sequence[Array], errors: Sequence[Array]) -> Estimate:
    """The interquartile mean over all tasks and seeds, and its 95 percent interval.

    Args:
        scores: of each task, its seeds' scores, shape (seeds,).
        errors: their standard errors, of use where a task has one seed.
    """
    value = float(interquartile_mean(np.concatenate(scores)))
    resampled = interquartile_mean(np.concatenate(_resampled(scores, errors), axis=1))
    if not np.isfinite(resampled).all():
        return Estimate(value, math.nan, math.nan)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(resampled, [tail, 100.0 - tail])
    return Estimate(value, float(low), float(high))


def _resampled(scores: Sequence[Array], errors: Sequence[Array]) -> list[Array]:
    """Each task's scores again and again, shape (resamples, seeds): seeds drawn with replacement,
    within the task."""
    rng = np.random.default_rng(_SEED)
    drawn = []
    for of_task, of_errors in zip(scores, errors, strict=True):
        n = len(of_task)
        if n > 1:
            drawn.append(of_task[rng.integers(0, n, (_RESAMPLES, n))])
        else:
            drawn.append(of_task + of_errors * rng.standard_normal((_RESAMPLES, 1)))
    return drawn


@dataclass(frozen=True)
class Summary:
    """A contender in one task, or over all its tasks. NaN where there is nothing to estimate a
    figure from."""

    agent: str
    task: str
    """Empty: over all tasks."""
    tasks: int
    seeds: int
    """Training seeds in a task; over all tasks the largest number."""
    objective: float
    """[ticks x lots] Mean over seeds; NaN over all tasks, where it means nothing."""
    standard_error: float
    """[ticks x lots] Of the objective, over sessions."""
    interquartile_mean: Estimate
    """Of the normalised scores."""
    mean: float
    """Of the normalised scores."""
    spread: float
    """Standard deviation between training seeds: of the objective [ticks x lots] in a task; over
    all tasks, of the normalised score, root mean square over tasks. NaN with one seed."""
    fills: float
    """Mean number a session."""

    def plain(self) -> dict[str, Any]:
        """The same as JSON holds it; a figure that is missing is None."""
        estimate = self.interquartile_mean
        values = {
            name: value for name, value in vars(self).items() if name != "interquartile_mean"
        } | {
            "interquartile_mean": estimate.value,
            "interquartile_mean_low": estimate.low,
            "interquartile_mean_high": estimate.high,
        }
        return {name: None if _missing(value) else value for name, value in values.items()}


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Every contender in every task, task by task, and then over all tasks that have reference
    scores."""
    by_task = _grouped(rows, lambda row: (row.task, row.agent))
    summaries = [_in_task(members) for members in by_task.values()]
    for agent, members in _grouped(rows, lambda row: row.agent).items():
        scored = [row for row in members if not math.isnan(row.score)]
        if scored:
            summaries.append(
                _over_all(agent, list(_grouped(scored, lambda row: row.task).values()))
            )
    return summaries


def _in_task(members: Sequence[Row]) -> Summary:
    objectives = np.array([row.objective for row in members])
    return Summary(
        agent=members[0].agent,
        task=members[0].task,
        tasks=1,
        seeds=len(members),
        objective=float(objectives.mean()),
        standard_error=math.sqrt(sum(row.standard_error**2 for row in members)) / len(members),
        interquartile_mean=interquartile_estimate(*_scores([members])),
        mean=float(np.mean([row.score for row in members])),
        spread=_deviation(objectives),
        fills=float(np.mean([row.fills for row in members])),
    )


def _over_all(agent: str, tasks: Sequence[Sequence[Row]]) -> Summary:
    scores, errors = _scores(tasks)
    deviations = np.array([_deviation(of_task) for of_task in scores])
    repeated = deviations[~np.isnan(deviations)]
    return Summary(
        agent=agent,
        task="",
        tasks=len(tasks),
        seeds=max(map(len, tasks)),
        objective=math.nan,
        standard_error=math.nan,
        interquartile_mean=interquartile_estimate(scores, errors),
        mean=float(np.mean([of_task.mean() for of_task in scores])),
        spread=float(np.sqrt((repeated**2).mean())) if len(repeated) else math.nan,
        fills=float(np.mean([np.mean([row.fills for row in of_task]) for of_task in tasks])),
    )


def _scores(tasks: Sequence[Sequence[Row]]) -> tuple[list[Array], list[Array]]:
    return (
        [np.array([row.score for row in members]) for members in tasks],
        [np.array([row.score_standard_error for row in members]) for members in tasks],
    )


def _deviation(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def _grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


# ------------------------------------------------------------------------------------------- tables


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


_NOTE = """Objective in ticks x lots a session, ± one standard error. IQM: interquartile
mean of the normalised scores, with its 95 % interval. Spread: standard
deviation between training seeds, of the objective in a task, of the score over
all tasks. Over all tasks, compare only agents judged in the same tasks."""


def text_table(results: Results, tasks: Sequence[Task]) -> Group:
    """For a terminal of 80: a table for each task, one over all tasks, and the reasons of what was
    left out."""
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
    """Why agents were left out: for each agent its tasks and the reason in the first of them."""
    tasks: dict[str, list[str]] = {}
    for label, task in left_out:
        tasks.setdefault(label, []).append(task)
    return [
        escape(f"- {label} in {', '.join(names)}: {left_out[label, names[0]]}")
        for label, names in tasks.items()
    ]


def tasks_markdown(tasks: Iterable[Task]) -> str:
    """The tasks as a Markdown table, for docs/benchmark.md: what each asks, and its
    configuration."""
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


# ------------------------------------------------------------------------------------------- files


_COLUMNS = tuple(Row.__dataclass_fields__)
_WHOLE = ("task_version", "seed", "episodes")
_TEXT = ("agent", "task", "run", "estimate", "mm_gym_version", "command")
_MAY_BE_MISSING = ("standard_error", "plain_standard_error", "score", "score_standard_error")


def write_suite(
    folder: Path, results: Results, tasks: Sequence[Task], about: Mapping[str, Any]
) -> None:
    """Write `suite.csv`, the rows, and `suite.json`: the same, their summaries, the scales and what
    made them.

    Args:
        folder: to write into.
        results: of `run_suite`.
        tasks: that were run.
        about: plain values: arguments, versions.
    """
    plain = [
        {name: None if _missing(value) else value for name, value in vars(row).items()}
        for row in results.rows
    ]
    with (folder / RESULTS_FILE).open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=_COLUMNS)
        writer.writeheader()
        writer.writerows(plain)
    scales = {
        task.name: {
            "version": task.version,
            "zero": None if task.zero is None else vars(task.zero),
            "one": None if task.one is None else vars(task.one),
        }
        for task in tasks
    }
    whole = {
        **about,
        "seed": SUITE_SEED,
        "tasks": scales,
        "rows": plain,
        "summaries": [summary.plain() for summary in summarise(results.rows)],
        "left_out": [
            {"agent": label, "task": task, "reason": reason}
            for (label, task), reason in results.left_out.items()
        ],
    }
    (folder / ABOUT_FILE).write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n")


def read_suite(path: Path, tasks: Mapping[str, Task]) -> list[Row]:
    """The rows of a `suite.csv`, with scores by the reference scores of these tasks.

    Raises:
        ValueError: if it is no such file, or a row is of another version of a task.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                got = ", ".join(reader.fieldnames or ())
                raise ValueError(
                    f"{path} has other columns: expected {', '.join(_COLUMNS)}, got {got!r}"
                )
            rows = [_row(plain, f"{path}, line {reader.line_num}", tasks) for plain in reader]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read: expected a suite.csv, got {type(error).__name__}: {error}"
        ) from None
    if not rows:
        raise ValueError(f"{path} is empty: expected at least one row, got none")
    return rows


def _row(plain: Mapping[str, Any], where: str, tasks: Mapping[str, Task]) -> Row:
    values: dict[str, Any] = {}
    for name in _COLUMNS:
        text = plain[name]
        if text is None or None in plain:
            raise ValueError(
                f"{where} is damaged: expected {len(_COLUMNS)} values, got another number"
            )
        if name in _TEXT:
            if not text.isprintable():
                raise ValueError(
                    f"{where} is damaged: expected printable text in {name}, got {text!r}"
                )
            values[name] = text
            continue
        try:
            values[name] = (
                int(text) if name in _WHOLE else _number(text, missing=name in _MAY_BE_MISSING)
            )
        except ValueError:
            raise ValueError(
                f"{where} is damaged: expected a number in {name}, got {text!r}"
            ) from None
    try:
        task = find_task(values["task"], tasks)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if values["task_version"] != task.version:
        raise ValueError(
            f"{where} is of another version of the task {task.name!r}: expected version {task.version}, got "
            f"{values['task_version']}"
        )
    values["score"] = task.normalise(values["objective"])
    values["score_standard_error"] = task.normalise_error(values["standard_error"])
    return Row(**values)


def _number(text: str, missing: bool) -> float:
    if missing and text == "":
        return math.nan
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def compare(paths: Sequence[Path], tasks: Mapping[str, Task]) -> Results:
    """The rows of several `suite.csv` together; an agent that is in more than one is named with its
    folder.

    Raises:
        ValueError: as of `read_suite`.
    """
    files = [(path, read_suite(path, tasks)) for path in paths]
    labels = [label for _, rows in files for label in {row.agent for row in rows}]
    results = Results()
    for path, rows in files:
        for row in rows:
            label = f"{row.agent} [{path.parent}]" if labels.count(row.agent) > 1 else row.agent
            results.rows.append(Row(**{**vars(row), "agent": label}))
    return results


def _missing(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
