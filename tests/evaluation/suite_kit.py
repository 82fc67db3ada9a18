"""Small tasks, results of the suite on them, and rows with chosen figures."""

from types import MappingProxyType
from typing import Any

from rich.console import Console

from agents import name_agent
from mm_gym import Task, configure
from mm_gym.evaluation.suite import Results, Row, parse_contenders, run_suite
from mm_gym.reference_scores import Reference
from mm_gym.reporting.suite_tables import text_table


def a_task(name: str, zero: float = 10.0, one: float = 30.0, **fields: Any) -> Task:
    fields = {"session_steps": 20} | fields
    references = (Reference("low", zero, 0.1, 64), Reference("high", one, 0.1, 64))
    return Task(name, 1, "A task.", configure(fields.pop("regime", "noise"), **fields), *references)


NOISE, INFORMED = (
    a_task("noise"),
    a_task("informed-40", 0.0, 8.0, regime="informed", p_informed=0.4),
)
DEALER = a_task("dealer", regime="dealer")
SMALL = MappingProxyType({task.name: task for task in (NOISE, INFORMED, DEALER)})


def judge(text: str, *tasks: Task, episodes: int = 1, **others: Any) -> Results:
    return run_suite(
        name_agent, parse_contenders(text), tasks, version="0", episodes=episodes, **others
    )


def a_row(**values: Any) -> Row:
    usual: dict[str, Any] = {
        "agent": "ppo",
        "task": "noise",
        "task_version": 1,
        "seed": 0,
        "run": "runs/ppo",
        "objective": 20.0,
        "standard_error": 1.0,
        "estimate": "plain",
        "plain_objective": 20.0,
        "plain_standard_error": 1.0,
        "score": 0.5,
        "score_standard_error": 0.05,
        "fills": 12.0,
        "episodes": 64,
        "mm_gym_version": "0",
        "command": "python evaluate.py",
    }
    return Row(**(usual | values))


def printed(results: Results, tasks: Any) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(text_table(results, tasks))
    return capture.get()
