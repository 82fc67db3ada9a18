"""Evaluate market makers: agents x regimes on paired seeds, experiments, the suite, replays."""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from mm_gym import TASKS, __version__
from mm_gym.evaluation import plans, suite
from mm_gym.evaluation.experiments import ExperimentRunner
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.replays import record_sessions
from mm_gym.evaluation.rollout import PRIVILEGED_MARK
from mm_gym.market_file import json_fields, read_market
from mm_gym.regimes import REPLAY, with_informed
from mm_gym.rendering.replay import MOST_MAKERS, write_replay
from mm_gym.reporting import artefacts, suite_files, suite_tables
from mm_gym.reporting.report import write_report
from mm_gym.reporting.text_tables import checks_table, markdown, text_table

from ..backends import parallel
from ..invocation import check_different, command_line, listed, option_name
from ..registry import name_agent
from .options import (
    OptionalBackend,
    OptionalFields,
    OptionalFloat,
    OptionalInt,
    OptionalPath,
    OptionalText,
    fields_of,
    refuse_without_effect,
)

_REPLAY_FILE = "replay.html"
_OUTPUT = " out overwrite"
_SESSIONS = " episodes jobs backend address" + _OUTPUT
_MARKETS = "agents regimes data market set p_informed seed"
_GRID = _MARKETS + " reference" + _SESSIONS
_MODES = {
    "replay": _MARKETS + _OUTPUT,
    "compare": "suite",
    "suite": "compare agents tasks" + _SESSIONS,
    "experiment": "negative_control seed" + _SESSIONS,
    "sweep": "values " + _GRID,
    "": _GRID,
}
"""The options that have an effect in each mode. The first mode that is named counts."""
_REPLAYED = {"agents": "inventory_skew,trained/mixed", "regimes": "informed"}
"""The defaults of --replay."""


@dataclass(frozen=True)
class Arguments:
    """Evaluate market makers on paired seeds, with 95 % intervals.

    The evaluation is agents x regimes, a sweep, an experiment, or the benchmark suite.
    --replay shows one session instead.
    """

    agents: str = (
        "random,fixed_spread,inventory_skew,avellaneda_stoikov,glosten_milgrom,trained/mixed"
    )
    """Comma-separated agents: rules, shipped makers trained/NAME, run folders.
    RULE:parameter=value sets a parameter. RULE:tuned takes the tuned parameters.
    best_rule:tuned is the tuned rule with the best objective in that market."""
    regimes: str = "noise,imbalanced,naive_informed,informed"
    """Comma-separated order-flow regimes. With --data: replay."""
    data: OptionalPath = None
    """File of exchange data for the regime replay. `python -m mm_gym.data convert` writes one."""
    market: OptionalPath = None
    """JSON file of a market to use in place of --regimes.
    `python -m mm_gym.data calibrate --out` writes one."""
    set: OptionalFields = ()
    """Other fields of the markets, such as latency=0.5, or data_start=0.7 for the end of --data."""
    p_informed: OptionalFloat = None
    """Share of informed takers, in the regimes that have them. Default: the regime's own."""
    sweep: OptionalText = None
    """Numeric field of the market to vary over --values, such as p_informed or latency."""
    values: str = "0,0.2,0.4,0.6,0.8,1"
    """Comma-separated values of the field that --sweep names."""
    reference: OptionalText = None
    """One of the agents. Adds the paired difference of each other agent from it."""
    experiment: OptionalText = None
    """Name of an experiment, or all. Runs it instead of agents x regimes."""
    negative_control: bool = False
    """Run the experiment's negative control, in which the cause of the effect is removed.
    Its checks should fail."""
    suite: bool = False
    """Evaluate on the benchmark suite (docs/explanation/benchmark.md).
    In --agents, LABEL=A+B+C names the training seeds of one learner.
    In a path, {task} is the task's name and * a wildcard: ppo=runs/ppo-{task}-seed*."""
    tasks: OptionalText = None
    """Comma-separated tasks of the suite. Default: all."""
    compare: OptionalText = None
    """Comma-separated suite.csv files, with --suite.
    Prints one table of all of them and runs nothing."""
    replay: bool = False
    """Record one session of up to four agents in one regime, the first session of --seed.
    Writes replay.html, to be opened in a browser, and each recording.
    Without --agents: inventory_skew,trained/mixed. Without --regimes: informed."""
    episodes: OptionalInt = None
    """Sessions (episodes) for each agent in each market. Default: 256, or 512 with --suite.
    The suite runs more of them where a session has fewer than 1,000 decisions."""
    seed: int = 0
    """Seed of the evaluation. All agents run on the same sessions. The suite has its own."""
    jobs: int = 1
    """Number of processes."""
    backend: OptionalBackend = None
    """Run them as a cluster of Ray or Dask. Results are the same."""
    address: OptionalText = None
    """Cluster to join, with --backend. All its cores are used.
    Default: a new one of --jobs processes on this machine."""
    out: OptionalPath = None
    """Folder to write. Default: a new folder in results/."""
    overwrite: bool = False
    """Replace earlier results in that folder."""


def main(arguments: Arguments) -> Path | None:
    """Run the evaluation, print its tables, and return the folder of the results.

    Returns:
        The folder, or None if nothing was run (`--compare`).

    Raises:
        ValueError: if an agent, a market or another argument cannot be used.
        OSError: if the folder cannot be written.
    """
    _check_options(arguments)
    console = Console()
    if arguments.replay:
        return _replay(arguments, console)
    if arguments.suite:
        return _suite(arguments, console)
    out = arguments.out or artefacts.fresh_folder(
        Path("results"), arguments.experiment or "evaluation"
    )
    # The folder comes first, so that a place without write access is an error at once.
    with artefacts.results_folder(out, arguments.overwrite) as folder:
        with _parallel(arguments) as jobs, _progress(console) as progress:
            results = _run(arguments, progress, jobs)
        _write(folder, out.name, results, arguments)
    for experiment in results.experiments:
        console.print(checks_table(experiment))
    if not results.experiments:
        console.print(text_table(results.rows, arguments.reference))
        console.print(
            "PnL, objective: ticks x lots per session. |q|: mean absolute inventory [lots].\n"
            "Markout (against the mid) and adverse move (of V): 50 s after a fill [ticks]."
            + ("\nLess: paired difference of objectives [95 %]." if arguments.reference else ""),
            markup=False,
        )
    console.print(f"Results: {out} (open {out / 'report.html'})", soft_wrap=True)
    return out


def _parallel(arguments: Arguments) -> AbstractContextManager[int | None]:
    return parallel(arguments.backend, arguments.address, arguments.jobs)


def _progress(console: Console) -> Progress:
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _replay(arguments: Arguments, console: Console) -> Path:
    """Record one session of each agent and write the page that replays them."""
    chosen = arguments.agents != Arguments.agents
    names = listed(arguments.agents if chosen else _REPLAYED["agents"])
    regimes = _regimes(arguments, _REPLAYED["regimes"])
    for option, given, most in (("--agents", names, MOST_MAKERS), ("--regimes", regimes, 1)):
        if len(given) > most:
            raise ValueError(
                f"{option} names too many for --replay: expected at most {most}, got {len(given)}"
            )
    ((config, _),) = _planned(arguments, regimes)
    out = arguments.out or artefacts.fresh_folder(Path("results"), "replay")
    with artefacts.results_folder(out, arguments.overwrite) as folder:
        agents = {name: name_agent(name) for name in names}
        with console.status("recording"):
            recordings = record_sessions(agents, config, arguments.seed)
        title = f"{' and '.join(names)}: {config.regime}, seed {arguments.seed}"
        write_replay(folder / _REPLAY_FILE, recordings, title)
        for name, recording in zip(agents, recordings, strict=True):
            recording.save(folder / (re.sub(r"[^\w.=-]+", "-", name).strip("-") + ".npz"))
    for recording in recordings:
        console.print(
            f"{recording.label}: PnL {recording.decisions['pnl'][-1]:+.1f} ticks x lots, "
            f"{len(recording.fills)} fills",
            markup=False,
            highlight=False,
        )
    console.print(f"Replay: {out} (open {out / _REPLAY_FILE} in a browser)", soft_wrap=True)
    return out


def _suite(arguments: Arguments, console: Console) -> Path | None:
    """Evaluate on the benchmark suite, or print the results of earlier runs in one table."""
    if arguments.compare is not None:
        results = suite_files.compare([Path(name) for name in listed(arguments.compare)], TASKS)
        evaluated = {row.task for row in results.rows}
        tasks = suite.choose_tasks([name for name in TASKS if name in evaluated], TASKS)
        console.print(suite_tables.text_table(results, tasks))
        return None
    tasks = suite.choose_tasks(None if arguments.tasks is None else listed(arguments.tasks), TASKS)
    out = arguments.out or artefacts.fresh_folder(Path("results"), "suite")
    with artefacts.results_folder(out, arguments.overwrite) as folder:
        with _parallel(arguments) as jobs, _progress(console) as progress:
            bar = progress.add_task("sessions", total=None)
            results = suite.run_suite(
                name_agent,
                suite.parse_contenders(arguments.agents),
                tasks,
                version=__version__,
                command=command_line(),
                episodes=suite.EPISODES if arguments.episodes is None else arguments.episodes,
                jobs=jobs,
                on_batch=lambda done, total: progress.update(bar, advance=done, total=total),
            )
        about = {"arguments": _plain(arguments), "versions": artefacts.package_versions()}
        suite_files.write_suite(folder, results, tasks, about)
    console.print(suite_tables.text_table(results, tasks))
    console.print(f"Results: {out} (send in {out / suite_files.RESULTS_FILE})", soft_wrap=True)
    return out


def _check_options(arguments: Arguments) -> None:
    """Refuse options that have no effect together, and lists that name something twice."""
    mode = next(
        mode
        for mode in _MODES
        if not mode or (getattr(arguments, mode) and (mode != "compare" or arguments.suite))
    )
    refuse_without_effect(arguments, mode, _MODES)
    for name in ("agents", "regimes", "tasks", "compare"):
        given = getattr(arguments, name)
        check_different(option_name(name), [] if given is None else listed(given))
    check_different("--values", _values(arguments))
    if arguments.overwrite and arguments.out is None:
        raise ValueError(
            "--overwrite has no effect alone: expected --out with it, got none (write --out too)"
        )
    if arguments.market is not None and arguments.regimes != Arguments.regimes:
        raise ValueError(
            "--regimes has no effect with --market: expected none, got "
            f"{arguments.regimes} (leave it out)"
        )
    if arguments.data is not None and (
        arguments.market is not None or REPLAY not in _regimes(arguments)
    ):
        other = "--market" if arguments.market is not None else f"--regimes {arguments.regimes}"
        raise ValueError(
            f"--data has no effect with {other}: expected the regime replay, got {arguments.data} "
            "(leave one of them out)"
        )
    if arguments.reference is not None and len(listed(arguments.agents)) == 1:
        raise ValueError(
            "--reference has no effect with one agent: expected two agents or more, got "
            f"{arguments.agents}"
        )
    if arguments.p_informed is not None:
        if arguments.sweep == "p_informed":
            raise ValueError(
                "--p-informed has no effect with --sweep p_informed: expected none, got "
                f"{arguments.p_informed:g} (leave it out)"
            )
        regimes = _regimes(arguments)
        if arguments.market is None and not any(
            with_informed(regime, arguments.p_informed) for regime in regimes
        ):
            raise ValueError(
                f"--p-informed has no effect in {', '.join(regimes)}: expected a regime with "
                f"informed takers, got {arguments.p_informed:g} (leave it out)"
            )


def _plain(arguments: Arguments) -> dict[str, object]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(arguments).items()
    }


def _write(folder: Path, title: str, results: plans.Results, arguments: Arguments) -> None:
    """Write the tables, the pictures and the report into the folder."""
    about = {
        "arguments": _plain(arguments),
        "versions": artefacts.package_versions(),
        "checks": [
            check for experiment in results.experiments for check in experiment.plain_checks()
        ],
        "configurations": {
            entry.label: json_fields(entry.sessions.config) for entry in results.entries
        },
    }
    # The quotes of a privileged agent are no function of the observation: it has no policy map.
    observing = [
        entry for entry in reversed(results.entries) if not entry.agent.endswith(PRIVILEGED_MARK)
    ]
    first_markets = {entry.agent: entry.sessions.config for entry in observing}
    policies = {
        name: map_policy(name_agent(name)(config), config) for name, config in first_markets.items()
    }
    command = command_line()
    artefacts.write_summary(folder, results.rows, about)
    (folder / "summary.md").write_text(markdown(results.rows, results.experiments, command))
    write_report(
        folder, title, results.entries, results.experiments, results.rows, policies, command, about
    )


def _run(arguments: Arguments, progress: Progress, jobs: int | None) -> plans.Results:
    """Run the sessions of an experiment or of agents x regimes."""
    bar = progress.add_task("sessions", total=None)
    if arguments.experiment is not None:
        runner = ExperimentRunner(
            name_agent,
            _episodes(arguments),
            arguments.seed,
            jobs,
            on_batch=lambda done: progress.advance(bar, done),
            effect=not arguments.negative_control,
        )
        return plans.run_experiments([arguments.experiment], runner)
    # Only in `informed` does the share change the information.
    default = "informed" if arguments.sweep == "p_informed" else Arguments.regimes
    return plans.run_grid(
        name_agent,
        listed(arguments.agents),
        _planned(arguments, _regimes(arguments, default), arguments.sweep, _values(arguments)),
        arguments.reference,
        _episodes(arguments),
        arguments.seed,
        jobs,
        on_batch=lambda done, total: progress.update(bar, advance=done, total=total),
    )


def _regimes(arguments: Arguments, default: str = Arguments.regimes) -> list[str]:
    """The regimes of --regimes; else that of --data, or the default."""
    if arguments.regimes != Arguments.regimes:
        return listed(arguments.regimes)
    return [REPLAY] if arguments.data is not None else listed(default)


def _planned(
    arguments: Arguments,
    regimes: Sequence[str],
    sweep: str | None = None,
    values: Sequence[float] = (),
) -> list[plans.Market]:
    """The markets of the evaluation.

    Raises:
        ValueError: if --set names a field that another option sets, or a field cannot be used.
    """
    fields = fields_of(arguments)
    for name, option in (("regime", "--regimes"), (sweep, "--sweep")):
        if name in fields and (name != "p_informed" or arguments.p_informed is None):
            raise ValueError(
                f"--set {name}=... contradicts {option}: expected one of them, got {fields[name]}"
            )
    if arguments.p_informed is not None:
        del fields["p_informed"]  # it is for the regimes that have informed takers
    return plans.plan_markets(
        regimes,
        arguments.p_informed,
        sweep,
        values,
        None if arguments.market is None else read_market(arguments.market),
        fields,
        None if arguments.data is None else str(arguments.data),
    )


def _episodes(arguments: Arguments) -> int:
    return 256 if arguments.episodes is None else arguments.episodes


def _values(arguments: Arguments) -> list[float]:
    try:
        return [float(value) for value in listed(arguments.values)]
    except ValueError:
        raise ValueError(
            "--values cannot be read: expected comma-separated numbers such as 0,0.5,1, "
            f"got {arguments.values!r}"
        ) from None
