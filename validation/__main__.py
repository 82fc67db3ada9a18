"""Compare this package with published and exact numbers, and print Markdown tables.

python -m validation > table.md

All sources take about half an hour on one core. `--only cartea_jaimungal` selects one source, and
`--sessions` reduces the number of sessions.
"""

import importlib
import shlex
from dataclasses import dataclass

import tyro

from agents.invocation import run_command
from mm_gym.argument_checks import check_count
from mm_gym.errors import nearest
from validation.row import markdown_table

SOURCES = {
    "avellaneda_stoikov": "Avellaneda and Stoikov (2008), table 1 and other risk aversions",
    "cartea_jaimungal": "Cartea, Jaimungal and Penalva (2015), section 10.2, and Bellman values",
    "cont_stoikov_talreja": "Cont, Stoikov and Talreja (2010), the zero-intelligence book",
    "informed_flow": "The informed flow of this project, in the dealer market",
    "reading_the_flow": "The value of reading the flow",
    "exchange_data": "Replay of exchange data",
}
"""Modules of this package, and their titles."""


@dataclass(frozen=True)
class Arguments:
    """Compare this package with published and exact numbers."""

    only: str | None = None
    """Name of one source. Default: all."""
    sessions: int = 100_000
    """Number of sessions of each row of Avellaneda and Stoikov. Other rows use a fraction of it."""
    seed: int = 0
    """Seed of all random numbers."""


def main(arguments: Arguments) -> None:
    """Print a section for each source.

    Raises:
        ValueError: if the source is unknown, or there are too few sessions.
    """
    if arguments.only is not None and arguments.only not in SOURCES:
        raise ValueError(
            f"source {arguments.only!r} is unknown: expected the name of a source, "
            f"got {arguments.only!r} ({nearest(arguments.only, SOURCES)})"
        )
    check_count("sessions", arguments.sessions, least=1000)
    for name, title in SOURCES.items():
        if arguments.only in (None, name):
            module = importlib.import_module(f"validation.{name}")
            rows = module.rows(arguments.sessions, arguments.seed)
            sampled = [row for row in rows if row.standard_error > 0.0 and row.sign == 0]
            within = sum(abs(row.distance) < 3.0 for row in sampled)
            print(f"## {title}\n\nPrinted by `{_command(name, arguments)}`.", end="")
            print(
                f" Within three standard errors: {within} of {len(sampled)}.\n" if sampled else "\n"
            )
            print(markdown_table(rows), flush=True)


def _command(name: str, arguments: Arguments) -> str:
    return shlex.join(
        ["python", "-m", "validation", "--only", name]
        + (
            []
            if arguments.sessions == Arguments.sessions
            else ["--sessions", str(arguments.sessions)]
        )
        + ([] if arguments.seed == Arguments.seed else ["--seed", str(arguments.seed)])
    )


if __name__ == "__main__":
    run_command("validation", lambda: main(tyro.cli(Arguments, prog="python -m validation")))
