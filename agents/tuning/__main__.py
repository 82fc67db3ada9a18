"""Tune rule-based makers in each market. `RULE:tuned` and `best_rule:tuned` use the result.

python -m agents.tuning
python -m agents.tuning --agents inventory_skew,adaptive_spread --regimes informed --p-informed 0.5
python -m agents.tuning --backend dask --address tcp://HEAD:8786
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import tyro
from joblib import delayed, parallel_config
from rich.console import Console, Group
from rich.markup import escape
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from mm_gym import MarketConfig, configure
from mm_gym.evaluation.rollout import results_in_order

from ..backends import Backend, parallel
from ..invocation import check_different, command_line, listed, run_module
from ..rules.tuned import TUNED_FILE, Tuned, tuned_rule, write_tuned
from .search import Effort, search_space, tunable_rules, tune

_WITH_SHARES = ("informed", "clustered", "large_tick", "small_tick")


@dataclass(frozen=True)
class Arguments:
    """Find the best parameters of rule-based makers in each market, on separate sessions."""

    agents: str | None = None
    """Comma-separated rules. Default: every rule with a search space."""
    regimes: str = "noise,imbalanced,naive_informed,informed,mixed"
    """Comma-separated order-flow regimes."""
    p_informed: str = "0,0.2,0.3,0.4,0.6,0.8,1"
    """Comma-separated shares of informed takers in the regimes `informed`, `clustered`,
    `large_tick` and `small_tick`. Others have one share."""
    effort: tyro.conf.OmitArgPrefixes[Effort] = field(default_factory=Effort)
    out: Path = TUNED_FILE
    """File to update. Entries of other rules and markets stay."""
    only: str | None = None
    """Comma-separated parameters to search for. All others keep their values in the file. Default:
    all parameters."""
    jobs: int = 1
    """Number of processes. Each takes one rule in one market at a time."""
    backend: Backend | None = None
    """Run them as a cluster of Ray or Dask. Results are the same."""
    address: str | None = None
    """Cluster to join, with --backend. All its cores are used. Default: a new one of --jobs
    processes on this machine."""


def main(arguments: Arguments) -> list[Tuned]:
    """Tune every rule in every market, write each result at once, and print a table."""
    rules = tunable_rules() if arguments.agents is None else listed(arguments.agents)
    _check_options(arguments, rules)
    markets, effort = _markets(arguments), arguments.effort
    # Check all input before hours of work.
    for rule in rules:
        search_space(rule)
    write_tuned([], arguments.out)
    only = () if arguments.only is None else listed(arguments.only)
    searches = [(rule, config) for config in markets for rule in rules]
    # Read before anything is written, so that no search depends on another.
    previous = [tuned_rule(*search).parameters if only else None for search in searches]
    console, found = Console(), []
    with (
        parallel(arguments.backend, arguments.address, arguments.jobs) as jobs,
        Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar,
    ):
        here = jobs == 1
        advance = partial(
            bar.advance, bar.add_task("sessions", total=len(searches) * effort.all_sessions)
        )
        work = (
            delayed(_search)(rule, config, effort, advance if here else None, only, values)
            for (rule, config), values in zip(searches, previous, strict=True)
        )
        for tuned in results_in_order(jobs, work):
            # Another process does not know the command line.
            found.append(replace(tuned, command=command_line("agents.tuning")))
            write_tuned(found[-1:], arguments.out)
            if not here:
                advance(effort.all_sessions)
    console.print(_table(found))
    console.print(
        f"Mean objective over {effort.final_sessions} sessions, "
        "and its gain over the defaults [95 %]."
    )
    console.print(f"Written to {arguments.out}", soft_wrap=True)
    return found


def _search(
    rule: str,
    config: MarketConfig,
    effort: Effort,
    on_batch: Callable[[int], None] | None,
    only: Collection[str],
    previous: Mapping[str, float] | None,
) -> Tuned:
    """Tune one rule in one market, in this process."""
    with parallel_config("sequential"):  # Dask would send each trial to the cluster again
        return tune(rule, config, effort, on_batch, only, previous)


def _check_options(arguments: Arguments, rules: list[str]) -> None:
    regimes = listed(arguments.regimes)
    for option, names in (
        ("--agents", rules),
        ("--regimes", regimes),
        ("--p-informed", _shares(arguments.p_informed)),
        ("--only", [] if arguments.only is None else listed(arguments.only)),
    ):
        check_different(option, names)
    if arguments.p_informed != Arguments.p_informed and not set(_WITH_SHARES) & set(regimes):
        raise ValueError(
            "--p-informed has no effect without such a regime: expected one of "
            f"{', '.join(_WITH_SHARES)}, got {arguments.regimes} (leave --p-informed out)"
        )


def _markets(arguments: Arguments) -> list[MarketConfig]:
    markets = []
    for regime in listed(arguments.regimes):
        shares = (
            [{"p_informed": share} for share in _shares(arguments.p_informed)]
            if regime in _WITH_SHARES
            else [{}]
        )
        markets += [configure(regime, **share) for share in shares]
    return markets


def _table(found: list[Tuned]) -> Group:
    """One table per market, for a terminal of 80 columns."""
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


def _shares(text: str) -> list[float]:
    try:
        return [float(value) for value in listed(text)]
    except ValueError as error:
        raise ValueError(
            f"--p-informed cannot be read: expected comma-separated numbers, got {text!r} "
            "(write for example 0.2,0.4)"
        ) from error


if __name__ == "__main__":
    run_module("tuning", main, Arguments)
