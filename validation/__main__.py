"""Print how this package stands to published and exact numbers, as Markdown: python -m validation >
table.md

Everything takes about half an hour on one core; `--only cartea_jaimungal` takes one source,
`--sessions` fewer.
"""

import importlib
import shlex
import sys
from dataclasses import dataclass

import tyro

from mm_gym.config import nearest
from validation.row import markdown_table

SOURCES = {
    "avellaneda_stoikov": "Avellaneda and Stoikov (2008), Table 1 and its siblings",
    "cartea_jaimungal": "Cartea, Jaimungal and Penalva (2015), section 10.2, and the exact Bellman value",
    "cont_stoikov_talreja": "Cont, Stoikov and Talreja (2010), the zero-intelligence book",
    "informed_flow": "This project's informed flow, in the dealer market",
    "reading_the_flow": "What reading the flow is worth",
    "exchange_data": "Exchange data, replayed",
}
"""Modules of this package, and what they are about."""


@dataclass(frozen=True)
class Arguments:
    """Print how this package stands to published and exact numbers."""

    only: str | None = None
    """One source, by the name of its module."""
    sessions: int = 100_000
    """Of each simulated row of Avellaneda and Stoikov's table; other rows take their share."""
    seed: int = 0
    """Of everything random."""


def main(arguments: Arguments) -> None:
    """Print a section for each source.

    Raises:
        ValueError: for an unknown source, or too few sessions.
    """
    if arguments.only is not None and arguments.only not in SOURCES:
        raise ValueError(
            f"source {arguments.only!r} is unknown; {nearest(arguments.only, SOURCES)}"
        )
    if arguments.sessions < 1000:
        raise ValueError(f"sessions={arguments.sessions} came; write a whole number from 1000 up")
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
    try:
        main(tyro.cli(Arguments, prog="python -m validation"))
    except (ValueError, OSError) as error:
        sys.exit(f"validation: {error}")
