"""What learning is worth: trained makers beside the best tuned rules, the filter and the oracle, as
Markdown.

python -m agents.tools.comparison runs/*-seed* > table.md

A run folder is a specialist in the market that it was trained on, or a generalist if that is
`mixed`. Every agent lives through the same sessions, which no training and no tuning saw. Rules are
chosen and tuned by what `agents.tuning` found on sessions of its own (`best_rule:tuned`), so
nothing is picked by the figures printed here. Objectives are without luck
(`Sessions.variance_reduced_objective`): of the same mean, with narrower intervals.
"""

import itertools
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import tyro
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from mm_gym import MarketConfig, configure
from mm_gym.evaluation.rollout import Cell, run_cells
from mm_gym.evaluation.statistics import Estimate, mean, of_sums

from ..command_line import run_command
from ..learned.run_folder import read_run
from ..registry import Agent, make_agent, name_agent
from ..rules import RULES
from ..rules.tuned import best_rule, read_tuned

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
OTHER_REGIMES = ("imbalanced", "naive_informed", "mixed")
FILTER, ORACLE = "glosten_milgrom:tuned", "oracle:tuned"
UNTOLD_FILTER = "glosten_milgrom told `mixed`"
"""The filter that knows of each market what a generalist may know: that it is one of those in
`mixed`."""
READS_FLOW = ("glosten_milgrom",)
"""Rules that infer the signal from the order flow."""
_RESAMPLES = 2000

Objectives = Mapping[str, npt.NDArray[np.float64]]
"""Of each session, by agent, in one market."""


@dataclass(frozen=True)
class Arguments:
    """Print what trained makers earn beside the best tuned rules, the exact filter and the
    oracle."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders that train.py has written."""
    episodes: int = 512
    """Sessions of each agent in each market."""
    seed: int = 0
    """Of the evaluation."""
    jobs: int = 1
    """Processes to fan out over."""


def main(arguments: Arguments) -> None:
    """Run every agent in every market, and print the tables."""
    trained = {str(folder): read_run(folder).config for folder in arguments.runs}
    markets = [_informed(share) for share in SHARES] + [
        configure(regime) for regime in OTHER_REGIMES
    ]
    any_generalist = any(home.mixed for home in trained.values())
    any_specialist = not all(home.mixed for home in trained.values())
    rules = [*_tuned_rules(), *([ORACLE] if any_specialist else [])]
    cells = [
        Cell(agent, name_agent(agent), market)
        for market in markets
        for agent in (
            *rules,
            *(run for run, home in trained.items() if _is_tested_in(home, market)),
        )
    ]
    if any_generalist:
        cells += [Cell(UNTOLD_FILTER, _untold_filter, market) for market in markets]
    console = Console(stderr=True)
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("sessions", total=len(cells) * arguments.episodes)
        done = run_cells(
            cells,
            arguments.episodes,
            arguments.seed,
            arguments.jobs,
            horizons=(),
            on_batch=lambda sessions: bar.advance(task, sessions),
        )
    objectives: dict[MarketConfig, dict[str, npt.NDArray[np.float64]]] = {
        market: {} for market in markets
    }
    fills: dict[tuple[str, MarketConfig], float] = {}
    for cell, sessions in zip(cells, done, strict=True):
        objectives[cell.config][cell.agent] = sessions.variance_reduced_objective
        fills[cell.agent, cell.config] = float(sessions.n_fills.mean())
    print(
        f"Printed by `{shlex.join(['python', '-m', 'agents.tools.comparison', *sys.argv[1:]])}`.\n"
    )
    if any_specialist:
        print_table(
            "Each specialist beside the best tuned rule of its market",
            specialists(objectives, trained, fills),
        )
        share = "Share of the oracle's advantage over the best rule that does not read the flow"
        print_table(share, shares(objectives, trained))
        print_table("Trained at p (rows), tested at p (columns)", transfer(objectives, trained))
    if any_generalist:
        print_table("The generalists, trained on `mixed`", generalists(objectives, trained))


def print_table(title: str, lines: list[str]) -> None:
    """With its heading, as Markdown."""
    print(f"### {title}\n", *lines, "", sep="\n")


def specialists(
    objectives: Mapping[MarketConfig, Objectives],
    trained: Mapping[str, MarketConfig],
    fills: Mapping[tuple[str, MarketConfig], float],
) -> list[str]:
    """A row for each run in its own market, and one for all training seeds of a market together."""
    table = _table(
        "market",
        "best tuned rule",
        "it earns",
        "trained run",
        "it earns",
        "difference [95 %]",
        "fills",
    )
    for market, here in objectives.items():
        rule = f"{best_rule(market).agent}:tuned"
        runs = _trained_in(trained, market)
        for name, chosen in _alone_and_together(runs).items():
            table += _row(
                _name(market),
                rule.removesuffix(":tuned"),
                f"{here[rule].mean():.1f}",
                name,
                f"{np.mean([here[run] for run in chosen]):.1f}",
                _gain(here, chosen, rule),
                f"{np.mean([fills[run, market] for run in chosen]):.0f}",
            )
    return table


def generalists(
    objectives: Mapping[MarketConfig, Objectives], trained: Mapping[str, MarketConfig]
) -> list[str]:
    """A column for each generalist, and one for all training seeds together: less the best tuned
    rule, which is told the market, and less `UNTOLD_FILTER`, market by market; and less each single
    rule on the average over all."""
    groups = _alone_and_together([run for run, config in trained.items() if config.mixed])
    columns = [f"{name} [95 %]" for name in groups]
    table: list[str] = []
    for told in (True, False):
        table += _table("market", "less", *columns)
        for market, here in objectives.items():
            rule = f"{best_rule(market).agent}:tuned" if told else UNTOLD_FILTER
            table += _row(
                _name(market), rule, *(_gain(here, runs, rule) for runs in groups.values())
            )
        table += [""]
    rules = (*_tuned_rules(), UNTOLD_FILTER)
    agents = (*rules, *itertools.chain(*groups.values()))
    means = {agent: _over_markets(objectives, agent) for agent in agents}
    table += _table("on the average over these markets less", *columns)
    for rule in rules:
        table += _row(rule, *(_gain(means, runs, rule) for runs in groups.values()))
    return table


def shares(
    objectives: Mapping[MarketConfig, Objectives], trained: Mapping[str, MarketConfig]
) -> list[str]:
    """(agent - best flow-blind rule) / (oracle - best flow-blind rule), where there is something to
    recover."""
    table = _table(
        "p",
        "best flow-blind rule",
        "it earns",
        "oracle",
        "exact filter",
        "PPO, mean of its seeds [95 %]",
    )
    for share in SHARES:
        market = _informed(share)
        here = objectives[market]
        blind = f"{_best_blind(market)}:tuned"
        runs = _trained_in(trained, market)
        learned = np.mean([here[run] for run in runs], axis=0) if runs else None
        table += _row(
            f"{share:g}",
            blind.removesuffix(":tuned"),
            f"{here[blind].mean():.1f}",
            f"{here[ORACLE].mean():.1f}",
            _percent(_recovered(here[FILTER], here[blind], here[ORACLE])),
            "" if learned is None else _percent(_recovered(learned, here[blind], here[ORACLE])),
        )
    return table


def transfer(
    objectives: Mapping[MarketConfig, Objectives], trained: Mapping[str, MarketConfig]
) -> list[str]:
    """Mean objective over training seeds and sessions, with intervals over both."""
    table = _table("trained at", *(f"{share:g}" for share in SHARES))
    for share in SHARES:
        runs = _trained_in(trained, _informed(share))
        if runs:
            cells = [
                over_seeds_and_sessions(
                    np.stack([objectives[_informed(tested)][run] for run in runs])
                )
                for tested in SHARES
            ]
            table += _row(f"{share:g} ({len(runs)} seeds)", *map(str, cells))
    return table


def _alone_and_together(runs: list[str]) -> dict[str, list[str]]:
    """Each run by its folder's name, or by its whole path where folders share a name, and all of
    them."""
    together = {f"all {len(runs)} seeds": runs} if len(runs) > 1 else {}
    names = [Path(run).name for run in runs]
    if len(set(names)) < len(runs):
        names = runs
    return {name: [run] for name, run in zip(names, runs, strict=True)} | together


def _gain(objectives: Objectives, runs: list[str], rule: str) -> str:
    """What the runs earn more than the rule, on the mean; of several seeds with an interval over
    both."""
    gains = np.stack([objectives[run] - objectives[rule] for run in runs])
    return str(mean(gains[0]) if len(runs) == 1 else over_seeds_and_sessions(gains))


def over_seeds_and_sessions(objectives: npt.NDArray[np.float64]) -> Estimate:
    """The mean of shape (seeds, sessions), and an interval that resamples training seeds and
    sessions alike.

    The same sessions were lived through with every seed, so they are resampled together.
    """
    generator = np.random.default_rng(0)
    n_seeds, n_sessions = objectives.shape
    seeds = generator.integers(n_seeds, size=(_RESAMPLES, n_seeds))
    weights = (
        generator.multinomial(n_sessions, np.full(n_sessions, 1.0 / n_sessions), _RESAMPLES)
        / n_sessions
    )
    by_seed = weights @ objectives.T
    low, high = np.percentile(np.take_along_axis(by_seed, seeds, axis=1).mean(axis=1), [2.5, 97.5])
    return Estimate(float(objectives.mean()), float(low), float(high))


def _recovered(
    agent: npt.NDArray[np.float64], blind: npt.NDArray[np.float64], oracle: npt.NDArray[np.float64]
) -> Estimate:
    return of_sums(
        [agent - blind, oracle - blind], lambda gained, all_there_is: gained / all_there_is
    )


def _untold_filter(config: MarketConfig) -> Agent:
    return make_agent(FILTER, configure("mixed"))


def _tuned_rules() -> list[str]:
    """Names of the tuned rules, but for those that cheat."""
    tuned = {entry.agent for entry in read_tuned()}
    return [
        f"{name}:tuned" for name, rule in RULES.items() if name in tuned and not rule.privileged
    ]


def _best_blind(market: MarketConfig) -> str:
    """The tuned rule that did best on tuning sessions of those that do not read the flow."""
    return best_rule(market, but=READS_FLOW).agent


def _informed(share: float) -> MarketConfig:
    return configure("informed", p_informed=share) if share > 0.0 else configure("noise")


def _trained_in(trained: Mapping[str, MarketConfig], market: MarketConfig) -> list[str]:
    return [run for run, config in trained.items() if config == market and not market.mixed]


def _is_tested_in(home: MarketConfig, market: MarketConfig) -> bool:
    """A generalist everywhere, a specialist at home and, if that is a share of informed takers, at
    the others."""
    shares = [_informed(share) for share in SHARES]
    return home.mixed or home == market or (home in shares and market in shares)


def _over_markets(
    objectives: Mapping[MarketConfig, Objectives], agent: str
) -> npt.NDArray[np.float64]:
    """Of each session the mean over the markets: they share their random numbers."""
    means: npt.NDArray[np.float64] = np.mean([here[agent] for here in objectives.values()], axis=0)
    return means


def _name(market: MarketConfig) -> str:
    return (
        f"{market.regime} at {market.p_informed:g}"
        if market.regime == "informed"
        else market.regime
    )


def _percent(estimate: Estimate) -> str:
    return "{:.0f} % [{:.0f}, {:.0f}]".format(*(100.0 * figure for figure in estimate))


def _table(*headers: str) -> list[str]:
    return [*_row(*headers), *_row("---", *itertools.repeat("---:", len(headers) - 1))]


def _row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


if __name__ == "__main__":
    run_command(
        "agents.tools.comparison",
        lambda: main(tyro.cli(Arguments, prog="python -m agents.tools.comparison")),
    )
