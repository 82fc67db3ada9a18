"""Evaluate makers on the benchmark suite: `mm_gym.TASKS`, on fixed sessions.

A contender is a rule, a trained maker, or several run folders of one learner that differ in their
training seed. Each task scores every contender on the same sessions. No training, tuning or other
evaluation uses these sessions.

    score = (objective - score of 0) / (score of 1 - score of 0)

0 is the best tuned flow-agnostic rule: a rule that does not react to order flow. 1 is the strongest
reference that knows every parameter of the market. The reference scores define the scale and count
as exact.

The objective is estimated with a control variate (`Sessions.variance_reduced_objective`) where that
lowers the standard error. Both estimates have the same mean. The rows of `suite.csv` hold both.
"""

import glob
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mm_gym import display
from mm_gym.argument_checks import check_count
from mm_gym.config import MarketConfig
from mm_gym.evaluation.rollout import Cell, Predicts, run_cells, shown_name
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import standard_error
from mm_gym.tasks import Task, find_task

EPISODES = 512
"""Default number of sessions per contender and task, at 1,000 decisions each; see `sessions_in`."""
_DECISIONS = 1000
# An arbitrary constant. It keeps the suite's sessions apart from those of training and tuning.
_FAMILY = 1937074537
SUITE_SEED = int(np.random.SeedSequence(0, spawn_key=(_FAMILY,)).generate_state(1)[0])
"""Seed of the suite's sessions, the same in every task."""

_LABELLED = re.compile(r"([\w.-]+)=(.+)")
_TASK = "{task}"


@dataclass(frozen=True)
class Contender:
    """A label, and the agents that are evaluated under it: one per training seed."""

    label: str
    members: tuple[str, ...]
    """Names of agents. `{task}` stands for the task's name. `*`, `?` and `[` are wildcards in the
    path of a run folder."""

    def in_task(self, task: str) -> list[str]:
        """The names of the contender's agents in a task.

        Raises:
            ValueError: if a wildcard matches no run folder.
        """
        names = []
        for member in self.members:
            name = member.replace(_TASK, task)
            if not glob.has_magic(name):
                names.append(name)
                continue
            found = sorted(path for path in glob.glob(name) if Path(path).is_dir())
            if not found:
                raise ValueError(f"{name} matches no run folder: expected at least one, got none")
            names += found
        return names


def parse_contenders(text: str) -> list[Contender]:
    """Parse contenders from a command line.

    Args:
        text: comma-separated agents, or `LABEL=A+B+C` for the training seeds of one learner.

    Raises:
        ValueError: if two contenders have the same label.
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
                f"two agents have the same label: expected distinct labels, got {label!r} twice"
            )
    return contenders


def sessions_in(task: Task, episodes: int = EPISODES) -> int:
    """Number of sessions in a task.

    A task with sessions of less than 1,000 decisions gets more sessions, so that the number of
    decisions is `1000 * episodes`.

    Raises:
        ValueError: if `episodes` is below 1.
    """
    check_count("episodes", episodes)
    return max(episodes, episodes * _DECISIONS // task.config.session_steps)


def choose_tasks(names: Sequence[str] | None, tasks: Mapping[str, Task]) -> list[Task]:
    """Tasks by name; all tasks if `names` is None.

    Raises:
        ConfigurationError: for an unknown name.
    """
    return [find_task(name, tasks) for name in (tasks if names is None else names)]


@dataclass(frozen=True)
class Row:
    """What one agent earned in one task: a row of `suite.csv`.

    Money is in ticks x lots per session.
    """

    agent: str
    """The contender's label."""
    task: str
    task_version: int
    seed: int
    """Index of the contender's training seed, from 0."""
    run: str
    """The agent's name."""
    objective: float
    """Mean objective, by the estimate with the smaller standard error."""
    standard_error: float
    """Of the objective."""
    estimate: str
    """`variance_reduced` or `plain`: which estimate `objective` is."""
    plain_objective: float
    """Mean objective, without a control variate."""
    plain_standard_error: float
    score: float
    """Normalised objective; NaN if the task has no reference scores."""
    score_standard_error: float
    fills: float
    """Mean number per session."""
    episodes: int
    """Number of sessions."""
    mm_gym_version: str
    command: str


@dataclass
class Results:
    """The results of a suite."""

    rows: list[Row] = field(default_factory=list)
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)
    """Contender's label and task -> the reason why the contender was not evaluated there."""

    def _repr_html_(self) -> str:
        """The rows as a table, for notebooks."""
        rows = [
            (row.agent, row.task, row.seed, row.objective, row.standard_error, row.score, row.fills)
            for row in self.rows
        ]
        heads = ("agent", "task", "seed", "objective", "standard error", "score", "fills")
        return display.table(heads, rows)


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
    """Evaluate every contender in every task that it suits.

    Args:
        name_agent: turns an agent's name into the function that makes it.
        contenders: to evaluate.
        tasks: to evaluate them in.
        version: of mm_gym, for the rows.
        command: the command line, for the rows.
        episodes: see `sessions_in`. A smaller number takes the first of the suite's sessions.
        jobs: number of processes; see `run_cells`.
        on_batch: called after each batch with its number of sessions and the total number.

    Raises:
        ValueError: if a contender suits no task (with the reason of the first task), or if
            `run_cells` raises it.
    """
    numbers = {task.name: sessions_in(task, episodes) for task in tasks}
    results, cells = Results(), []
    shown: dict[str, str] = {}  # label -> shown name, of contenders that suit at least one task
    for task in tasks:
        for contender in contenders:
            # Making each agent here reports one that cannot be made before any session runs.
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
    # One cell at a time, because the records of all sessions together may not fit into memory.
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
    """Mean objective by the estimate with the smaller standard error.

    Returns:
        The mean, its standard error, and the name of the estimate: `variance_reduced` or `plain`.
    """
    plain, reduced = (
        (float(values.mean()), standard_error(values))
        for values in (sessions.objective, sessions.variance_reduced_objective)
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
        standard_error(sessions.objective),
        task.normalise(objective),
        task.normalise_error(error),
        float(sessions.n_fills.mean()),
    )
