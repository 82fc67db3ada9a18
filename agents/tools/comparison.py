"""Compare trained makers with tuned rules, the exact filter and the oracle, as Markdown tables.

python -m agents.tools.comparison runs/*-seed* > table.md

A run that was trained in `mixed` is called a generalist, and a run that was trained in one market
is called a specialist. All agents trade in the same sessions, which are not used for training or
tuning. Rules are chosen and tuned by `agents.tuning` on other sessions (`best_rule:tuned`), so that
the figures printed here select nothing. Objectives are variance-reduced
(`Sessions.variance_reduced_objective`), which keeps their mean and narrows their intervals.
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

from ..invocation import run_module
from ..learned.run_folder import read_run
from ..registry import Agent, make_agent, name_agent
from ..rules import RULES
from ..rules.tuned import best_rule, read_tuned

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
OTHER_REGIMES = ("imbalanced", "naive_informed", "mixed")
FILTER, ORACLE = "glosten_milgrom:tuned", "oracle:tuned"
MIXED_FILTER = "glosten_milgrom (knows `mixed` only)"
"""The exact filter with the information of a generalist: the market is one of those in `mixed`. The
tuned rules have full information about the configuration of the market."""
READS_FLOW = ("glosten_milgrom",)
"""Rules that infer the signal from the order flow. The other rules are called flow-agnostic."""
_RESAMPLES = 2000

Objectives = Mapping[str, npt.NDArray[np.float64]]
"""Objectives of the sessions in one market, by agent."""


@dataclass(frozen=True)
class Arguments:
    """Compare trained makers with the best tuned rules, the exact filter and the oracle."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders of train.py."""
    episodes: int = 512
    """Number of sessions of each agent in each market."""
    seed: int = 0
    """Seed of the sessions."""
    jobs: int = 1
    """Number of processes."""


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
        cells += [Cell(MIXED_FILTER, _mixed_filter, market) for market in markets]
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
            "Specialists and the best tuned rule of each market",
            specialists(objectives, trained, fills),
        )
        share = "Share of the gap between the best flow-agnostic rule and the oracle"
        print_table(share, shares(objectives, trained))
        print_table("Trained at p (rows), tested at p (columns)", transfer(objectives, trained))
    if any_generalist:
        print_table("Generalists, trained in `mixed`", generalists(objectives, trained))


def print_table(title: str, lines: list[str]) -> None:
    """Print a heading and a table as Markdown."""
    print(f"### {title}\n", *lines, "", sep="\n")


def specialists(
    objectives: Mapping[MarketConfig, Objectives],
    trained: Mapping[str, MarketConfig],
    fills: Mapping[tuple[str, MarketConfig], float],
) -> list[str]:
    """A row for each run in its own market, and one for all training seeds of a market."""
    table = _table(
        "market",
        "best tuned rule",
        "its objective",
        "trained run",
        "its objective",
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
    """Differences of generalists to rules: a column for each run, and one for all training seeds.

    The first table compares them in each market with the best tuned rule, which has full
    information about the market. The second one compares them with `MIXED_FILTER`. The third one
    compares averages over all markets with each single rule.
    """
    groups = _alone_and_together([run for run, config in trained.items() if config.mixed])
    columns = [f"{name} [95 %]" for name in groups]
    table: list[str] = []
    for full_information in (True, False):
        table += _table("market", "difference to", *columns)
        for market, here in objectives.items():
            rule = f"{best_rule(market).agent}:tuned" if full_information else MIXED_FILTER
            table += _row(
                _name(market), rule, *(_gain(here, runs, rule) for runs in groups.values())
            )
        table += [""]
    rules = (*_tuned_rules(), MIXED_FILTER)
    agents = (*rules, *itertools.chain(*groups.values()))
    means = {agent: _over_markets(objectives, agent) for agent in agents}
    table += _table("average over these markets, difference to", *columns)
    for rule in rules:
        table += _row(rule, *(_gain(means, runs, rule) for runs in groups.values()))
    return table


def shares(
    objectives: Mapping[MarketConfig, Objectives], trained: Mapping[str, MarketConfig]
) -> list[str]:
    """(agent - best flow-agnostic rule) / (oracle - best flow-agnostic rule), for each share p."""
    table = _table(
        "p",
        "best flow-agnostic rule",
        "its objective",
        "oracle",
        "exact filter",
        "PPO, mean over seeds [95 %]",
    )
    for share in SHARES:
        market = _informed(share)
        here = objectives[market]
        agnostic = f"{_best_flow_agnostic(market)}:tuned"
        runs = _trained_in(trained, market)
        learned = np.mean([here[run] for run in runs], axis=0) if runs else None
        table += _row(
            f"{share:g}",
            agnostic.removesuffix(":tuned"),
            f"{here[agnostic].mean():.1f}",
            f"{here[ORACLE].mean():.1f}",
            _percent(_share_of_gap(here[FILTER], here[agnostic], here[ORACLE])),
            ""
            if learned is None
            else _percent(_share_of_gap(learned, here[agnostic], here[ORACLE])),
        )
    return table


def transfer(
    objectives: Mapping[MarketConfig, Objectives], trained: Mapping[str, MarketConfig]
) -> list[str]:
    """Mean objective of specialists in the markets of other shares, over seeds and sessions."""
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
    """Groups of runs by label: each run alone, and all of them together.

    The label is the name of the folder, or its path if two folders have the same name.
    """
    together = {f"all {len(runs)} seeds": runs} if len(runs) > 1 else {}
    names = [Path(run).name for run in runs]
    if len(set(names)) < len(runs):
        names = runs
    return {name: [run] for name, run in zip(names, runs, strict=True)} | together


def _gain(objectives: Objectives, runs: list[str], rule: str) -> str:
    """Mean difference of the runs to the rule. For several seeds the interval covers both."""
    gains = np.stack([objectives[run] - objectives[rule] for run in runs])
    return str(mean(gains[0]) if len(runs) == 1 else over_seeds_and_sessions(gains))


def over_seeds_and_sessions(objectives: npt.NDArray[np.float64]) -> Estimate:
    """The mean, with a bootstrap interval over training seeds and sessions.

    All seeds share their sessions, so that sessions are resampled jointly.

    Args:
        objectives: shape (seeds, sessions).
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


def _share_of_gap(
    agent: npt.NDArray[np.float64],
    agnostic: npt.NDArray[np.float64],
    oracle: npt.NDArray[np.float64],
) -> Estimate:
    return of_sums([agent - agnostic, oracle - agnostic], lambda gain, gap: gain / gap)


def _mixed_filter(config: MarketConfig) -> Agent:
    return make_agent(FILTER, configure("mixed"))


def _tuned_rules() -> list[str]:
    """Names of the tuned rules that are not privileged."""
    tuned = {entry.agent for entry in read_tuned()}
    return [
        f"{name}:tuned" for name, rule in RULES.items() if name in tuned and not rule.privileged
    ]


def _best_flow_agnostic(market: MarketConfig) -> str:
    """The flow-agnostic rule with the highest objective in tuning."""
    return best_rule(market, but=READS_FLOW).agent


def _informed(share: float) -> MarketConfig:
    return configure("informed", p_informed=share) if share > 0.0 else configure("noise")


def _trained_in(trained: Mapping[str, MarketConfig], market: MarketConfig) -> list[str]:
    return [run for run, config in trained.items() if config == market and not market.mixed]


def _is_tested_in(home: MarketConfig, market: MarketConfig) -> bool:
    """Whether a run of market `home` is evaluated in this market.

    Generalists are evaluated in all markets, specialists in their own. Specialists of a share of
    informed takers are evaluated at all shares.
    """
    shares = [_informed(share) for share in SHARES]
    return home.mixed or home == market or (home in shares and market in shares)


def _over_markets(
    objectives: Mapping[MarketConfig, Objectives], agent: str
) -> npt.NDArray[np.float64]:
    """The mean over markets of each session. The markets share their random numbers."""
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
    run_module("tools.comparison", main, Arguments)
