"""Find the best parameters of rule-based makers in each market, for `name:tuned` and
`best_rule:tuned`.

python -m agents.tuning
python -m agents.tuning --agents inventory_skew,adaptive_spread --regimes informed --p-informed 0.5
"""

from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import tyro
from rich.console import Console, Group
from rich.markup import escape
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from mm_gym import MarketConfig, configure

from ..command_line import run_command
from ..rules.tuned import TUNED_FILE, Tuned, write_tuned
from .search import Effort, search_space, tunable_rules, tune


@dataclass(frozen=True)
class Arguments:
    """Find the best parameters of rule-based makers in each market, on sessions that no evaluation
    sees."""

    agents: str | None = None
    """Rules, parted by commas; by default all that declare a search space."""
    regimes: str = "noise,imbalanced,naive_informed,informed,mixed"
    """Order-flow regimes, parted by commas."""
    p_informed: str = "0,0.2,0.3,0.4,0.6,0.8,1"
    """Shares of informed takers in the regime `informed`, parted by commas; the others have their
    own."""
    effort: tyro.conf.OmitArgPrefixes[Effort] = field(default_factory=Effort)
    out: Path = TUNED_FILE
    """File to put what is found into; what stands there of other rules and markets stays."""
    only: str | None = None
    """Parameters to search for, parted by commas, the others staying as they were found before; by
    default all."""


def main(arguments: Arguments) -> list[Tuned]:
    """Tune every rule in every market, write down each as it is found, and print a table."""
    rules = tunable_rules() if arguments.agents is None else _names(arguments.agents)
    markets = _markets(arguments)
    for rule in rules:  # what cannot be done is found out now, not after hours
        search_space(rule)
    write_tuned([], arguments.out)
    only = () if arguments.only is None else _names(arguments.only)
    console, found = Console(), []
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(
            "sessions", total=len(rules) * len(markets) * arguments.effort.all_sessions
        )
        for config in markets:
            for rule in rules:
                found.append(
                    tune(rule, config, arguments.effort, lambda done: bar.advance(task, done), only)
                )
                write_tuned(found[-1:], arguments.out)
    console.print(_table(found))
    console.print(
        f"Mean objective of {arguments.effort.final_sessions} sessions, and its gain over the defaults [95 %]."
    )
    console.print(f"Written to {arguments.out}", soft_wrap=True)
    return found


def _markets(arguments: Arguments) -> list[MarketConfig]:
    markets = []
    for regime in _names(arguments.regimes):
        shares = (
            [{"p_informed": share} for share in _shares(arguments.p_informed)]
            if regime == "informed"
            else [{}]
        )
        markets += [configure(regime, **share) for share in shares]
    return markets


def _table(found: list[Tuned]) -> Group:
    """Market by market, for a terminal of 80."""
    parts: list[str | Table] = []
    for (regime, share), entries in groupby(found, lambda entry: (entry.regime, entry.p_informed)):
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for header, width in (
            ("agent", 20),
            ("parameters", 26),
            ("objective", 9),
            ("gain [95 %]", 20),
        ):
            figure = header not in ("agent", "parameters")
            table.add_column(
                escape(header), width=width, justify="right" if figure else "left", overflow="fold"
            )
        for entry in entries:
            parameters = "\n".join(
                f"{name} = {value:.4g}" for name, value in entry.parameters.items()
            )
            gain = f"{entry.gain:z.1f} [{entry.gain_low:z.1f}, {entry.gain_high:z.1f}]"
            table.add_row(
                entry.agent, parameters or "defaults", f"{entry.objective:z.1f}", escape(gain)
            )
        parts += [f"[bold]{regime}{f', p_informed = {share:g}' if share else ''}[/bold]", table]
    return Group(*parts)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _shares(text: str) -> list[float]:
    try:
        return [float(value) for value in _names(text)]
    except ValueError as error:
        raise ValueError(
            f"--p-informed {text} came, numbers were wanted ({error}); write for example 0.2,0.4"
        ) from None


if __name__ == "__main__":
    run_command("agents.tuning", lambda: main(tyro.cli(Arguments, prog="python -m agents.tuning")))
