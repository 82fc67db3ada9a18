"""Judge market makers: agents x regimes on paired seeds, with intervals.

python evaluate.py
python evaluate.py --agents inventory_skew,runs/NAME --regimes noise,informed --p-informed 0.5
python evaluate.py --sweep p_informed --agents fixed_spread:half_spread=2,inventory_skew
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
from mm_gym import configure
from mm_gym.evaluation import Cell, results_folder, run_cells, summarise, text_table, write_summary
from mm_gym.evaluation.artefacts import check_free, fresh_folder, package_versions
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
    episodes: int = 256
    """Sessions for each agent in each market."""
    seed: int = 0
    """Seed of the first session; session i has seed + i for every agent."""
    jobs: int = 1
    """Processes to fan out over."""
    out: Path | None = None
    """Folder of the results; by default a fresh one in results/."""
    overwrite: bool = False
    """Replace the results in that folder."""


def main(arguments: Arguments) -> Path:
    """Run the evaluation, print its table, and return the folder of its results."""
    console = Console()
    out = arguments.out or fresh_folder(Path("results"), "evaluation")
    check_free(out, arguments.overwrite)
    cells, swept = _cells(arguments)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("sessions", total=len(cells) * arguments.episodes)
        sessions = run_cells(
            cells,
            arguments.episodes,
            arguments.seed,
            arguments.jobs,
            on_batch=lambda n: bar.advance(task, n),
        )
    rows = [summarise(cell.agent, result) | extra for cell, result, extra in zip(cells, sessions, swept, strict=True)]
    with results_folder(out, arguments.overwrite) as folder:
        about = {
            "arguments": {
                key: str(value) if isinstance(value, Path) else value for key, value in asdict(arguments).items()
            },
            "configurations": [cell.config.to_dict() for cell in cells],
            "versions": package_versions(),
        }
        write_summary(folder, rows, about)
    console.print(text_table(rows))
    console.print(
        "PnL and objective in ticks x lots a session, |q| the mean absolute inventory,\n"
        "markout (against the mid) and adverse move (against V) 50 s after a fill."
    )
    console.print(f"Results: {out}", soft_wrap=True)
    return out


def _cells(arguments: Arguments) -> tuple[list[Cell], list[dict[str, Any]]]:
    """The cells, and for each the swept value if that has no column of its own."""
    regimes = [name.strip() for name in arguments.regimes.split(",")]
    if arguments.sweep is None:
        settings: list[dict[str, Any]] = [{}]
    else:
        settings = [{arguments.sweep: float(value)} for value in arguments.values.split(",")]
        if arguments.sweep == "p_informed" and arguments.regimes == Arguments.regimes:
            regimes = ["informed"]
    cells, swept = [], []
    for regime in regimes:
        for setting in settings:
            config = configure(regime, **with_informed(regime, arguments.p_informed), **setting)
            for text in arguments.agents.split(","):
                name, parameters = parse_agent(text)
                factory = functools.partial(make_agent, name, **parameters)
                factory(config)  # an agent that cannot be made is found out now, not after the others have run
                cells.append(Cell(text.strip(), factory, config))
                swept.append({key: value for key, value in setting.items() if key != "p_informed"})
    return cells, swept


if __name__ == "__main__":
    try:
        main(tyro.cli(Arguments))
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")
