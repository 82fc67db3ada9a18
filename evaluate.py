"""Judge market makers: agents x regimes on paired seeds, and the post-mortem's experiments.

python evaluate.py
python evaluate.py --agents inventory_skew,runs/NAME --regimes noise,informed --p-informed 0.5
python evaluate.py --sweep p_informed --agents fixed_spread:half_spread=2,inventory_skew
python evaluate.py --experiment all
python evaluate.py --suite --agents inventory_skew:tuned,ppo=runs/a+runs/b+runs/c
python evaluate.py --suite --compare results/a/suite.csv,results/b/suite.csv
"""

import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from agents import name_agent
from mm_gym import TASKS, __version__
from mm_gym.evaluation import plans, suite
from mm_gym.evaluation.experiments import ExperimentRunner
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.rollout import PRIVILEGED_MARK
from mm_gym.reporting import artefacts, suite_files, suite_tables
from mm_gym.reporting.report import write_report
from mm_gym.reporting.text_tables import checks_table, markdown, text_table


@dataclass(frozen=True)
class Arguments:
    """Judge market makers: agents x regimes on paired seeds, with 95 percent intervals."""

    agents: str = (
        "random,fixed_spread,inventory_skew,avellaneda_stoikov,glosten_milgrom,trained/mixed"
    )
    """Rules or run folders, parted by commas; a rule takes parameters as name:parameter=value, or
    what tuning found for the market as name:tuned; best_rule:tuned is the rule that did best
    there."""
    regimes: str = "noise,imbalanced,naive_informed,informed"
    """Order-flow regimes, parted by commas."""
    p_informed: float | None = None
    """Share of informed takers, in the regimes that have them; by default the regime's own."""
    sweep: str | None = None
    """A numeric field of the configuration to sweep over `values`, such as p_informed or
    latency."""
    values: str = "0,0.2,0.4,0.6,0.8,1"
    """Values of the swept field, parted by commas."""
    reference: str | None = None
    """One of the agents: the others' differences from it are given, paired, with their
    intervals."""
    experiment: str | None = None
    """An experiment of the post-mortem by name, or all, instead of agents x regimes."""
    negative_control: bool = False
    """Run the experiment's control, from which the cause of the effect was taken out: it should not
    hold."""
    suite: bool = False
    """Judge on the benchmark suite (docs/benchmark.md). In --agents, LABEL=A+B+C are training seeds
    of one learner, {task} is the task's name, and * a wildcard in the path of run folders:
    ppo=runs/ppo-{task}-seed*."""
    tasks: str | None = None
    """Comma-separated tasks of the suite. Default: all."""
    compare: str | None = None
    """With --suite: comma-separated suite.csv files of earlier runs. Prints one table of all and
    runs nothing."""
    episodes: int | None = None
    """Sessions for each agent in each market. Default: 256, or 512 with --suite, of 1,000 decisions
    each: where sessions are shorter there are more."""
    seed: int = 0
    """Seed of the evaluation; every agent lives through the same sessions. The suite has sessions
    of its own."""
    jobs: int = 1
    """Processes to fan out over."""
    out: Path | None = None
    """Folder of the results; by default a fresh one in results/."""
    overwrite: bool = False
    """Replace the results in that folder."""


def main(arguments: Arguments) -> Path | None:
    """Run the evaluation, print its tables, and return the folder of its results."""
    console = Console()
    if arguments.suite or arguments.tasks is not None or arguments.compare is not None:
        return _suite(arguments, console)
    out = arguments.out or artefacts.fresh_folder(
        Path("results"), arguments.experiment or "evaluation"
    )
    with artefacts.results_folder(
        out, arguments.overwrite
    ) as folder:  # found out now if it cannot be written
        bars = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*bars, console=console) as bar:
            results = _run(arguments, bar)
        _write(folder, out.name, results, arguments)
    for experiment in results.experiments:
        console.print(checks_table(experiment))
    if not results.experiments:
        console.print(text_table(results.rows))
        console.print(
            "PnL and objective in ticks x lots a session, |q| the mean absolute inventory,\n"
            "markout (against the mid) and adverse move (against V) 50 s after a fill."
        )
    console.print(f"Results: {out} (open {out / 'report.html'})", soft_wrap=True)
    return out


def _suite(arguments: Arguments, console: Console) -> Path | None:
    """Judge on the benchmark suite, or print results of earlier runs beside each other."""
    _check_suite(arguments)
    if arguments.compare is not None:
        results = suite_files.compare([Path(name) for name in _names(arguments.compare)], TASKS)
        judged = {row.task for row in results.rows}
        tasks = suite.choose_tasks([name for name in TASKS if name in judged], TASKS)
        console.print(suite_tables.text_table(results, tasks))
        return None
    tasks = suite.choose_tasks(None if arguments.tasks is None else _names(arguments.tasks), TASKS)
    out = arguments.out or artefacts.fresh_folder(Path("results"), "suite")
    with artefacts.results_folder(out, arguments.overwrite) as folder:
        bars = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*bars, console=console) as bar:
            progress = bar.add_task("sessions", total=None)
            results = suite.run_suite(
                name_agent,
                suite.parse_contenders(arguments.agents),
                tasks,
                version=__version__,
                command=shlex.join(["python", *sys.argv]),
                episodes=suite.EPISODES if arguments.episodes is None else arguments.episodes,
                jobs=arguments.jobs,
                on_batch=lambda done, total: bar.update(progress, advance=done, total=total),
            )
        about = {"arguments": _plain(arguments), "versions": artefacts.package_versions()}
        suite_files.write_suite(folder, results, tasks, about)
    console.print(suite_tables.text_table(results, tasks))
    console.print(f"Results: {out} (send in {out / suite_files.RESULTS_FILE})", soft_wrap=True)
    return out


def _check_suite(arguments: Arguments) -> None:
    """Refuse what means nothing beside --suite, so that nobody believes that it was done."""
    if not arguments.suite:
        name = "tasks" if arguments.tasks is not None else "compare"
        raise ValueError(f"--{name} came alone: expected --suite beside it, got none")
    meaningless = [
        "regimes",
        "p_informed",
        "sweep",
        "values",
        "reference",
        "experiment",
        "negative_control",
        "seed",
    ]
    beside = "--suite"
    if arguments.compare is not None:
        meaningless += ["agents", "tasks", "episodes", "jobs", "out", "overwrite"]
        beside = "--compare"
    for name in meaningless:
        value = getattr(arguments, name)
        if value != getattr(Arguments, name):
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"{option} means nothing beside {beside}: expected none, got {option} {value}"
            )


def _plain(arguments: Arguments) -> dict[str, object]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(arguments).items()
    }


def _write(folder: Path, title: str, results: plans.Results, arguments: Arguments) -> None:
    about = {
        "arguments": _plain(arguments),
        "versions": artefacts.package_versions(),
        "checks": [
            check for experiment in results.experiments for check in experiment.plain_checks()
        ],
        "configurations": {
            entry.label: entry.sessions.config.to_dict() for entry in results.entries
        },
    }
    # What an agent that cheats quotes is no function of an observation.
    observing = [
        entry for entry in reversed(results.entries) if not entry.agent.endswith(PRIVILEGED_MARK)
    ]
    first_markets = {entry.agent: entry.sessions.config for entry in observing}
    policies = {
        name: map_policy(name_agent(name)(config), config) for name, config in first_markets.items()
    }
    command = shlex.join(["python", *sys.argv])
    artefacts.write_summary(folder, results.rows, about)
    (folder / "summary.md").write_text(markdown(results.rows, results.experiments, command))
    write_report(
        folder, title, results.entries, results.experiments, results.rows, policies, command, about
    )


def _run(arguments: Arguments, bar: Progress) -> plans.Results:
    task = bar.add_task("sessions", total=None)
    if arguments.experiment is not None:
        runner = ExperimentRunner(
            name_agent,
            _episodes(arguments),
            arguments.seed,
            arguments.jobs,
            on_batch=lambda done: bar.advance(task, done),
            effect=not arguments.negative_control,
        )
        return plans.run_experiments([arguments.experiment], runner)
    regimes = arguments.regimes
    if regimes == Arguments.regimes and arguments.sweep == "p_informed":
        regimes = "informed"  # the only one of them in which the share means something
    return plans.run_grid(
        name_agent,
        _names(arguments.agents),
        plans.plan_markets(
            _names(regimes), arguments.p_informed, arguments.sweep, _values(arguments)
        ),
        arguments.reference,
        _episodes(arguments),
        arguments.seed,
        arguments.jobs,
        on_batch=lambda done, total: bar.update(task, advance=done, total=total),
    )


def _episodes(arguments: Arguments) -> int:
    return 256 if arguments.episodes is None else arguments.episodes


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _values(arguments: Arguments) -> list[float]:
    try:
        return [float(value) for value in _names(arguments.values)]
    except ValueError as error:
        raise ValueError(
            f"--values {arguments.values} came, numbers were wanted ({error}); write for example 0,0.5,1"
        ) from None


if __name__ == "__main__":
    try:
        main(tyro.cli(Arguments))
    except (ValueError, OSError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        sys.exit(2)
