"""Compute the reference scores of the suite, 0 and 1 in each task, and write mm_gym/tasks.json.

python -m agents.tools.reference_scores --jobs 2
python -m agents.tools.reference_scores --quick --tasks short-session --out tasks.json

Most tasks:
    0 is the best flow-agnostic rule: `fixed_spread`, `inventory_skew` or a closed form, tuned for
    the task. It is chosen on tuning sessions and scored on the suite's sessions.
    (`adaptive_spread` widens when recent flow is one-sided, so it is not flow-agnostic.) 1 is the
    exact filter, `glosten_milgrom`, which knows every parameter of the market, tuned in the same
    way.

Dealer tasks:
    All takers are uninformed and the closed forms are nearly optimal. 0 is the best constant depth
    and 1 the Bellman value. Both are exact (`mm_gym.theory.dealer_bellman`).

`zero-intelligence`, `large-tick` and tasks with clustered takers:
    No bound is known. In the first there is no efficient price to filter. In `large-tick` the
    filter is exact, but its quotes move and lose their places in the queue, so that a rule which
    stays at the touch earns more. With clustered takers the filter takes arrivals for a Poisson
    process and signs for independent, so it is not exact. 1 is the best known maker, from
    `adaptive_spread`, the filter and `--makers`. If none is better than 0 by three standard errors,
    1 stays undefined.
"""

import dataclasses
import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from mm_gym import TASKS, Task
from mm_gym.evaluation.rollout import Cell, run_cells
from mm_gym.evaluation.suite import SUITE_SEED, choose_tasks, mean_objective, sessions_in
from mm_gym.files import replace_file
from mm_gym.market_file import json_fields
from mm_gym.reference_scores import REFERENCES_FILE, Reference, read_references
from mm_gym.reporting.artefacts import package_versions
from mm_gym.theory.dealer_bellman import best_constant_depth, solve

from ..invocation import listed, run_module
from ..registry import name_agent
from ..rules import FLOW_AGNOSTIC
from ..rules.bellman import dealer_problem
from ..tuning.search import Effort, tune

FILTER = "glosten_milgrom"
"""The filter that knows every parameter of the market. It is exact unless takers are clustered."""
OTHERS = ("adaptive_spread", FILTER)
"""Further candidates for the best known maker, in tasks without a known bound."""

_HALF_A_TICK = 0.5  # rounding to whole ticks moves a quote outwards by this much on average
_SURE = 3.0  # [standard errors] the smallest significant gap between 0 and 1

# Sessions of 1,000 decisions.
EFFORT = Effort(trials=40, sessions=48, finalists=4, final_sessions=256)
QUICK = Effort(trials=2, sessions=8, finalists=1, final_sessions=8)
SESSIONS, QUICK_SESSIONS = 2048, 64


@dataclass(frozen=True)
class Arguments:
    """Tune and run the reference makers of the suite, and write their scores."""

    tasks: str | None = None
    """Comma-separated tasks. Default: all. The scores of other tasks stay in the file."""
    makers: str = ""
    """Comma-separated TASK=AGENT, such as zero-intelligence=runs/NAME: further candidates in tasks
    without a known bound."""
    jobs: int = 1
    """Number of processes."""
    effort: tyro.conf.OmitArgPrefixes[Effort] = EFFORT
    """Size of each tuning. Scores always use the sessions of the suite."""
    quick: bool = False
    """Use few trials and sessions, to try the command out. Needs --out."""
    out: Path = REFERENCES_FILE
    """File to write."""


@dataclass(frozen=True)
class _Candidate:
    """An agent with its score on the suite's sessions."""

    task: str
    rule: str
    """The rule, or the name of a maker that was not tuned."""
    tuning_objective: float
    """[ticks x lots] Objective on tuning sessions. NaN if it was not tuned."""
    reference: Reference


def main(arguments: Arguments) -> dict[str, Any]:
    """Score every task, write each result at once, print a table, and return the entries."""
    if arguments.quick and arguments.out == REFERENCES_FILE:
        raise ValueError(
            "--quick scores are not final: expected --out with another file, "
            f"got {REFERENCES_FILE.name} (write --out FILE)"
        )
    tasks = choose_tasks(None if arguments.tasks is None else listed(arguments.tasks), TASKS)
    makers = _makers(arguments.makers)
    effort = QUICK if arguments.quick else arguments.effort
    sessions = QUICK_SESSIONS if arguments.quick else SESSIONS
    entries = _kept(arguments.out)
    write_references(entries, arguments.out)  # fails before the work if it cannot be written
    work = [
        delayed(_run)(task.name, agent, agent in (*FLOW_AGNOSTIC, *OTHERS), effort, sessions)
        for task in tasks
        for agent in (*_rules(task), *makers.get(task.name, ()))
    ]
    command = shlex.join(["python", "-m", "agents.tools.reference_scores", *sys.argv[1:]])
    console, open_ends = Console(), []
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as bar:
        progress = bar.add_task("makers", total=len(work))
        done = iter(Parallel(arguments.jobs, return_as="generator")(work))
        for task in tasks:
            candidates = []
            for _ in (*_rules(task), *makers.get(task.name, ())):
                candidates.append(next(done))
                bar.advance(progress)
            zero, one = exact_references(task) if exact(task) else choose_references(candidates)
            if one is None:
                open_ends.append(task.name)
            # Another process may have written other tasks meanwhile.
            entries = _kept(arguments.out)
            entries[task.name] = entry(task, zero, one, candidates, command)
            write_references(entries, arguments.out)
    console.print(_table({task.name: entries[task.name] for task in tasks}))
    for name in open_ends:
        console.print(
            f"{name}: no maker is better than 0 by {_SURE:g} standard errors, so 1 is undefined "
            "(see --makers).",
            soft_wrap=True,
        )
    console.print(
        f"Mean objective ± one standard error over {sessions} sessions of 1,000 decisions."
    )
    console.print(f"Written to {arguments.out}", soft_wrap=True)
    return entries


def exact(task: Task) -> bool:
    """Whether the optimum of the task is known exactly."""
    return task.config.makers == "none"


def exact_references(task: Task) -> tuple[Reference, Reference]:
    """0 and 1 in a dealer market: the best constant depth and the Bellman value."""
    problem = dealer_problem(task.config, task.config.max_inventory)
    constant = best_constant_depth(problem)
    depth = max(0.0, constant.depth - _HALF_A_TICK)
    return (
        Reference(f"fixed_spread:half_spread={depth:.4g}", constant.value, 0.0, 0),
        Reference("bellman", solve(problem).start_value, 0.0, 0),
    )


def choose_references(candidates: Sequence[_Candidate]) -> tuple[Reference, Reference | None]:
    """0 and 1 of a task: the flow-agnostic rule that tuning chooses, and the best other maker.

    1 is None if it is not significantly better than 0.
    """
    zero = max(
        (one for one in candidates if one.rule in FLOW_AGNOSTIC),
        key=lambda one: one.tuning_objective,
    ).reference
    others = [one.reference for one in candidates if one.rule not in FLOW_AGNOSTIC]
    best = max(others, key=lambda one: one.score)
    gap = best.score - zero.score
    return zero, best if gap > _SURE * math.hypot(
        best.standard_error, zero.standard_error
    ) else None


def entry(
    task: Task,
    zero: Reference,
    one: Reference | None,
    candidates: Sequence[_Candidate],
    command: str,
) -> dict[str, Any]:
    """The entry of a task in the file."""
    return {
        "version": task.version,
        "config": json_fields(task.config),
        "zero": zero,
        "one": one,
        "candidates": [dataclasses.asdict(candidate.reference) for candidate in candidates],
        "command": command,
        "versions": package_versions(),
    }


def empty_entry(task: Task) -> dict[str, Any]:
    """The entry of a task without scores."""
    return {"version": task.version, "zero": None, "one": None}


def write_references(entries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write the file. Tasks without an entry are written without scores."""
    tasks = {name: entries.get(name, empty_entry(task)) for name, task in TASKS.items()}
    text = json.dumps(
        {"seed": SUITE_SEED, "tasks": tasks}, default=dataclasses.asdict, indent=1, allow_nan=False
    )
    replace_file(path, f"{text}\n".encode())


def _kept(path: Path) -> dict[str, dict[str, Any]]:
    """Existing entries of the file, for tasks in their current version."""
    if not path.exists():
        return {}
    return {
        name: found
        for name, found in read_references(path).items()
        if name in TASKS and found["version"] == TASKS[name].version
    }


def _rules(task: Task) -> tuple[str, ...]:
    if exact(task):
        return ()
    return (*FLOW_AGNOSTIC, *(OTHERS if _unbounded(task) else (FILTER,)))


def _unbounded(task: Task) -> bool:
    """Whether no filter bounds it: there is no price to filter, takers have a memory, or queues
    are long."""
    config = task.config
    memory = bool(config.clustering) or config.longest_metaorder > 1
    return memory or config.makers == "zero_intelligence" or config.regime == "large_tick"


def _makers(text: str) -> dict[str, list[str]]:
    makers: dict[str, list[str]] = {}
    for part in filter(None, listed(text)):
        name, _, agent = part.partition("=")
        (task,) = choose_tasks([name], TASKS)
        if not agent or not _unbounded(task):
            raise ValueError(
                "--makers cannot be used: expected TASK=AGENT with a task whose bound is not known"
                f", got {part!r} (write for example zero-intelligence=runs/NAME)"
            )
        name_agent(agent)(task.config)
        makers.setdefault(name, []).append(agent)
    return makers


def _run(name: str, agent: str, tuned: bool, effort: Effort, sessions: int) -> _Candidate:
    """Tune a rule for a task if `tuned`, and score the agent on the suite's sessions."""
    task, objective, text = TASKS[name], math.nan, agent
    if tuned:
        effort = dataclasses.replace(
            effort,
            sessions=sessions_in(task, effort.sessions),
            final_sessions=sessions_in(task, effort.final_sessions),
        )
        # The filter is eight times as slow as the other rules, and its score has little noise.
        if agent == FILTER:
            effort = dataclasses.replace(
                effort, trials=min(effort.trials, 24), finalists=min(effort.finalists, 3)
            )
        found = tune(agent, task.config, effort)
        objective = found.objective
        text = ":".join([agent, *(f"{key}={value:.4g}" for key, value in found.parameters.items())])
    cell = Cell(text, name_agent(text), task.config)
    sessions = sessions_in(task, sessions)
    score, error, _ = mean_objective(run_cells([cell], sessions, SUITE_SEED, horizons=())[0])
    return _Candidate(name, agent, objective, Reference(text, score, error, sessions))


def _table(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """A table for a terminal of 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for header, width in (("task", 25), ("", 1), ("score", 16), ("agent", 35)):
        table.add_column(header, width=width, overflow="fold")
    for name, found in entries.items():
        for end, label in (("zero", "0"), ("one", "1")):
            reference = found[end]
            score = (
                "-"
                if reference is None
                else f"{reference.score:.2f} ± {reference.standard_error:.2f}"
            )
            table.add_row(
                name if end == "zero" else "",
                label,
                score,
                "-" if reference is None else reference.agent,
            )
    return table


if __name__ == "__main__":
    run_module("tools.reference_scores", main, Arguments)
