"""Judge market makers: agents x regimes on paired seeds, and the post-mortem's experiments.

python evaluate.py
python evaluate.py --agents inventory_skew,runs/NAME --regimes noise,informed --p-informed 0.5
python evaluate.py --sweep p_informed --agents fixed_spread:half_spread=2,inventory_skew
python evaluate.py --experiment all
"""

import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from agents import name_agent
from mm_gym.evaluation import artefacts, plans
from mm_gym.evaluation.experiments import Laboratory
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.report import write_report
from mm_gym.evaluation.rollout import CHEATS
from mm_gym.evaluation.table import claims_table, markdown, text_table


@dataclass(frozen=True)
class Arguments:
    """Judge market makers: agents x regimes on paired seeds, with 95 percent intervals."""

    agents: str = "random,fixed_spread,inventory_skew,avellaneda_stoikov,glosten_milgrom,trained/mixed"
    """Rules or run folders, parted by commas; a rule takes parameters as name:parameter=value, or what tuning found for
    the market as name:tuned; best_rule:tuned is the rule that did best there."""
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
    with artefacts.results_folder(out, arguments.overwrite) as folder:  # found out now if it cannot be written
        bars = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*bars, console=console) as bar:
            results = _run(arguments, bar)
        _write(folder, out.name, results, arguments)
    for finding in results.findings:
        console.print(claims_table(finding))
    if not results.findings:
        console.print(text_table(results.rows))
        console.print(
            "PnL and objective in ticks x lots a session, |q| the mean absolute inventory,\n"
            "markout (against the mid) and adverse move (against V) 50 s after a fill."
        )
    console.print(f"Results: {out} (open {out / 'report.html'})", soft_wrap=True)
    return out


def _write(folder: Path, title: str, results: plans.Results, arguments: Arguments) -> None:
    about = {
        "arguments": {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(arguments).items()
        },
        "versions": artefacts.package_versions(),
        "claims": [claim for finding in results.findings for claim in finding.plain_claims()],
        "configurations": {entry.label: entry.sessions.config.to_dict() for entry in results.entries},
    }
    # What an agent that cheats quotes is no function of an observation.
    observing = [entry for entry in reversed(results.entries) if not entry.agent.endswith(CHEATS)]
    first_markets = {entry.agent: entry.sessions.config for entry in observing}
    policies = {name: map_policy(name_agent(name)(config), config) for name, config in first_markets.items()}
    command = shlex.join(["python", *sys.argv])
    artefacts.write_summary(folder, results.rows, about)
    (folder / "summary.md").write_text(markdown(results.rows, results.findings, command))
    write_report(folder, title, results.entries, results.findings, results.rows, policies, command, about)


def _run(arguments: Arguments, bar: Progress) -> plans.Results:
    task = bar.add_task("sessions", total=None)
    if arguments.experiment is not None:
        laboratory = Laboratory(
            name_agent,
            arguments.episodes,
            arguments.seed,
            arguments.jobs,
            on_batch=lambda done: bar.advance(task, done),
            effect=not arguments.twin,
        )
        return plans.run_experiments([arguments.experiment], laboratory)
    regimes = arguments.regimes
    if regimes == Arguments.regimes and arguments.sweep == "p_informed":
        regimes = "informed"  # the only one of them in which the share means something
    return plans.run_grid(
        name_agent,
        _names(arguments.agents),
        plans.plan_markets(_names(regimes), arguments.p_informed, arguments.sweep, _values(arguments)),
        arguments.reference,
        arguments.episodes,
        arguments.seed,
        arguments.jobs,
        on_batch=lambda done, total: bar.update(task, advance=done, total=total),
    )


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
