"""Judge makers on the benchmark suite: `mm_gym.TASKS`, on fixed sessions.

A contender is a rule, a trained maker, or several run folders of one learner that differ in their
training seed. Each task scores every contender on the same sessions. No training, tuning or other
evaluation uses these sessions.

    score = (objective - score of 0) / (score of 1 - score of 0)

0 is the best tuned flow-agnostic rule. 1 is the strongest reference that is told every parameter
of the market. The reference scores define the scale and count as exact.

A control variate estimates the objective (`Sessions.variance_reduced_objective`) wherever that lowers the
standard error. Both estimates have the same mean. The rows of `suite.csv` hold both.
"""

import glob
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mm_gym.config import MarketConfig
from mm_gym.evaluation.rollout import Cell, Predicts, Sessions, run_cells, shown_name
from mm_gym.tasks import Task, find_task

Array = npt.NDArray[np.float64]

EPISODES = 512
"""Sessions of 1,000 decisions of each contender in each task, by default; see `sessions_in`."""
_DECISIONS = 1000
_FAMILY = 1937074537  # any fixed number: sessions of the suite are no sessions of training, tuning or other evaluations
SUITE_SEED = int(np.random.SeedSequence(0, spawn_key=(_FAMILY,)).generate_state(1)[0])
"""Seed of the suite's sessions, the same in every task."""


_LABELLED = re.compile(r"([\w.-]+)=(.+)")
_TASK = "{task}"


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
        _standard_error(sessions.objective),
        task.normalise(objective),
        task.normalise_error(error),
        float(sessions.n_fills.mean()),
    )


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
