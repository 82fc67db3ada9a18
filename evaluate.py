"""Judge market makers: agents x regimes on paired seeds, and the post-mortem's experiments.

python evaluate.py
python evaluate.py --agents inventory_skew,runs/NAME --regimes noise,informed --p-informed 0.5
python evaluate.py --sweep p_informed --agents fixed_spread:half_spread=2,inventory_skew
python evaluate.py --experiment all
"""

import functools
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from agents import make_agent, parse_agent
from mm_gym import MarketConfig, configure
from mm_gym.config import ConfigurationError, nearest
from mm_gym.evaluation import artefacts, report
from mm_gym.evaluation.experiments import EXPERIMENTS, Finding, Laboratory
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.rollout import Cell, Predicts, run_cells
from mm_gym.evaluation.table import claims_table, summarise, text_table
from mm_gym.regimes import with_informed


@dataclass(frozen=True)
class Arguments:
    """Judge market makers: agents x regimes on paired seeds, with 95 percent intervals."""

    agents: str = "random,fixed_spread,inventory_skew,avellaneda_stoikov"
    """Rules or run folders, parted by commas; a rule takes parameters as name:parameter=value."""
    regimes: str = "noise,imbalanced,naive_informed,informed"
    """Order-flow regimes, parted by commas."""
    p_informed: float | None = None
    """Share of informed takers, in the regimes that have them; by default the regime's own."""
    sweep: str | None = None
    """A numeric field of the configuration to sweep over `values`, such as p_informed or latency."""
    values: str = "0,0.2,0.4,0.6,0.8,1"
    """Values of the swept field, parted by commas."""
    reference: str | None = None
    """One of the agents: the others' differences from it are given, paired, with their intervals."""
    experiment: str | None = None
    """An experiment of the post-mortem by name, or all, instead of agents x regimes."""
    twin: bool = False
    """Run the experiment's twin, from which the cause of the effect was taken out: it should not hold."""
    episodes: int = 256
    """Sessions for each agent in each market."""
    seed: int = 0
    """Seed of the evaluation; every agent lives through the same sessions."""
    jobs: int = 1
    """Processes to fan out over."""
    out: Path | None = None
    """Folder of the results; by default a fresh one in results/."""
    overwrite: bool = False
    """Replace the results in that folder."""


def main(arguments: Arguments) -> Path:
    """Run the evaluation, print its tables, and return the folder of its results."""
    console = Console()
    out = arguments.out or artefacts.fresh_folder(Path("results"), arguments.experiment or "evaluation")
    artefacts.check_free(out, arguments.overwrite)
    run = _experiments if arguments.experiment else _grid
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as bar:
        rows, entries, findings = run(arguments, bar)
    policies = {agent: map_policy(_name_agent(agent)(config), config) for agent, config in _policies(entries).items()}
    about = {
        "arguments": {
            key: str(value) if isinstance(value, Path) else value for key, value in asdict(arguments).items()
        },
        "versions": artefacts.package_versions(),
        "claims": [claim for finding in findings for claim in finding.plain_claims()],
        "configurations": {entry.label: entry.sessions.config.to_dict() for entry in entries},
    }
    command = " ".join(["python", *sys.argv])
    with artefacts.results_folder(out, arguments.overwrite) as folder:
        artefacts.write_summary(folder, rows, about)
        report.write_report(folder, out.name, entries, findings, rows, policies, command, about)
    for finding in findings:
        console.print(claims_table(finding))
    if not findings:
        console.print(text_table(rows))
        console.print(
            "PnL and objective in ticks x lots a session, |q| the mean absolute inventory,\n"
            "markout (against the mid) and adverse move (against V) 50 s after a fill."
        )
    console.print(f"Results: {out} (open {out / 'report.html'})", soft_wrap=True)
    return out


Ran = tuple[list[dict[str, Any]], list[report.Entry], list[Finding]]


def _grid(arguments: Arguments, bar: Progress) -> Ran:
    """Agents x regimes, or a sweep."""
    texts = [text.strip() for text in arguments.agents.split(",")]
    if arguments.reference is not None and arguments.reference not in texts:
        raise ConfigurationError(
            f"--reference {arguments.reference!r} is not among --agents; {nearest(arguments.reference, texts)}"
        )
    markets = _markets(arguments)
    cells = [Cell(text, _name_agent(text), config) for config, _ in markets for text in texts]
    for cell in cells:
        cell.make_agent(cell.config)  # an agent that cannot be made is found out now, not after the others have run
    task = bar.add_task("sessions", total=len(cells) * arguments.episodes)
    sessions = run_cells(
        cells, arguments.episodes, arguments.seed, arguments.jobs, on_batch=lambda n: bar.advance(task, n)
    )
    rows, entries = [], []
    for index, (config, swept) in enumerate(markets):
        here = dict(zip(texts, sessions[index * len(texts) :], strict=False))
        reference = here.get(arguments.reference) if arguments.reference else None
        for text, result in here.items():
            rows.append(summarise(text, result, reference) | swept)
            share = f" p = {config.p_informed:g}" if config.p_informed > 0.0 else ""
            more = "".join(f" {name} = {value:g}" for name, value in swept.items())
            entries.append(report.Entry(f"{text}, {config.regime}{share}{more}", text, result))
    return rows, entries, []


def _experiments(arguments: Arguments, bar: Progress) -> Ran:
    """One experiment of the post-mortem, or all."""
    chosen = list(EXPERIMENTS) if arguments.experiment == "all" else [str(arguments.experiment)]
    for name in chosen:
        if name not in EXPERIMENTS:
            raise ConfigurationError(f"experiment {name!r} is unknown; {nearest(name, [*EXPERIMENTS, 'all'])}")
    task = bar.add_task("sessions", total=None)
    laboratory = Laboratory(
        _name_agent,
        arguments.episodes,
        arguments.seed,
        arguments.jobs,
        on_batch=lambda n: bar.advance(task, n),
        effect=not arguments.twin,
    )
    rows, entries, findings = [], [], []
    for name in chosen:
        bar.update(task, description=name)
        finding = EXPERIMENTS[name](laboratory)
        findings.append(finding)
        for label, result in finding.sessions.items():
            rows.append({"experiment": name, "market": label} | summarise(finding.agents[label], result))
            entries.append(report.Entry(f"{name}: {label}", finding.agents[label], result))
    return rows, entries, findings


def _name_agent(text: str) -> functools.partial[Predicts]:
    """What makes the agent of this name, with its parameters."""
    name, parameters = parse_agent(text)
    return functools.partial(make_agent, name, **parameters)


def _markets(arguments: Arguments) -> list[tuple[MarketConfig, dict[str, float]]]:
    """The markets, and for each the value of the swept field if that has no column of its own."""
    regimes = [name.strip() for name in arguments.regimes.split(",")]
    settings: list[dict[str, float]] = [{}]
    if arguments.sweep is not None:
        settings = [{arguments.sweep: float(value)} for value in arguments.values.split(",")]
        if arguments.sweep == "p_informed" and arguments.regimes == Arguments.regimes:
            regimes = ["informed"]
    return [
        (
            configure(regime, **(with_informed(regime, arguments.p_informed) | setting)),
            {name: value for name, value in setting.items() if name != "p_informed"},
        )
        for regime in regimes
        for setting in settings
    ]


def _policies(entries: list[report.Entry]) -> dict[str, MarketConfig]:
    """Each agent, with the first market it quoted in."""
    return {entry.agent: entry.sessions.config for entry in reversed(entries)}


if __name__ == "__main__":
    try:
        main(tyro.cli(Arguments))
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")
