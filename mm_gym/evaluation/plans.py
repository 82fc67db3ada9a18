"""What an evaluation runs: a grid of agents and markets, or the post-mortem's experiments.

Agents are named by strings. The caller passes the function that makes an agent from its name,
because this package imports no agents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mm_gym import display
from mm_gym.config import MarketConfig, configure
from mm_gym.errors import ConfigurationError, nearest
from mm_gym.evaluation.experiments import EXPERIMENTS, ExperimentResult, ExperimentRunner
from mm_gym.evaluation.experiments.runner import AgentNamer
from mm_gym.evaluation.rollout import Cell, run_cells, shown_name
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.summary import summarise
from mm_gym.regimes import REPLAY, with_informed

Market = tuple[MarketConfig, dict[str, float]]
"""A market, and the value of the swept field if the summary has no column for it."""

_DEFAULTS = configure().to_dict()
_SHOWN = {
    "fills": "fills",
    "mean_abs_inventory": "mean |inventory|",
    "markout_50": "markout, 50 s",
    "value_adverse_move_50": "adverse move of V, 50 s",
}
"""Columns of the summary that a notebook shows, and their headings."""


@dataclass(frozen=True)
class Entry:
    """One agent in one market."""

    label: str
    """Agent and market, such as `inventory_skew, informed, p = 0.4`."""
    agent: str
    sessions: Sessions


@dataclass
class Results:
    """The results of an evaluation."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of the summary, for tables."""
    entries: list[Entry] = field(default_factory=list)
    """For pictures."""
    experiments: list[ExperimentResult] = field(default_factory=list)

    def _repr_html_(self) -> str:
        """The main columns of the summary, for notebooks."""
        checks = "".join(experiment._repr_html_() for experiment in self.experiments)
        rows = [
            [entry.label, *(_interval(row, name) for name in ("final_pnl", "objective"))]
            + [row[name] for name in _SHOWN]
            for entry, row in zip(self.entries, self.rows, strict=True)
        ]
        heads = ["agent, market", "final PnL [95 %]", "objective [95 %]", *_SHOWN.values()]
        return checks + display.table(heads, rows)


def _interval(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.1f} [{row[f'{name}_low']:.1f}, {row[f'{name}_high']:.1f}]"


def plan_markets(
    regimes: Sequence[str],
    p_informed: float | None = None,
    sweep: str | None = None,
    values: Sequence[float] = (),
    base: MarketConfig | None = None,
    fields: Mapping[str, Any] = MappingProxyType({}),
    data: str | None = None,
) -> list[Market]:
    """The markets of an evaluation: each regime, or each regime at each value of the swept field.

    Args:
        regimes: keys of `mm_gym.REGIMES`, or `replay`.
        base: a market to use in place of the regimes.
        fields: other fields of all markets.
        data: field of the regime `replay`.
        p_informed: share of informed takers, in the regimes that have them. None keeps the
            regime's own.
        sweep: a numeric field of `MarketConfig`, or None.
        values: of the swept field.

    Raises:
        ConfigurationError: for an unknown regime or field, or a value out of range.
    """
    if sweep is not None and not isinstance(_DEFAULTS.get(sweep, 0.0), (int, float)):
        raise ConfigurationError(
            f"{sweep!r} cannot be swept: expected a numeric field, got {sweep!r} "
            "(write for example p_informed or latency)"
        )
    swept: list[dict[str, float]] = [{}] if sweep is None else [{sweep: value} for value in values]
    if base is not None:
        share = {} if p_informed is None else {"p_informed": p_informed}
        return [
            (configure(**(base.to_dict() | share | dict(fields) | field_value)), dict(field_value))
            for field_value in swept
        ]
    return [
        (
            configure(
                regime,
                **({"data": data} if regime == REPLAY and data is not None else {}),
                **(with_informed(regime, p_informed) | dict(fields) | field_value),
            ),
            {name: value for name, value in field_value.items() if name != "p_informed"},
        )
        for regime in regimes
        for field_value in swept
    ]


def run_grid(
    name_agent: AgentNamer,
    agents: Sequence[str],
    markets: Sequence[Market],
    reference: str | None = None,
    episodes: int = 256,
    seed: int = 0,
    jobs: int | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> Results:
    """Run every agent in every market.

    Args:
        name_agent: turns an agent's name into the function that makes it.
        agents: names.
        markets: see `plan_markets`.
        reference: one of the agents. If given, rows hold the paired differences from it.
        episodes: number of sessions per agent and market.
        seed: of the evaluation.
        jobs: number of processes; see `run_cells`.
        on_batch: called after each batch with its number of sessions and the total number.

    Raises:
        ConfigurationError: if the reference is not one of the agents.
    """
    if reference is not None and reference not in agents:
        raise ConfigurationError(
            f"the reference is unknown: expected one of the agents, got {reference!r}; "
            f"{nearest(reference, agents)}"
        )
    cells = [Cell(agent, name_agent(agent), config) for config, _ in markets for agent in agents]
    # Making each agent once here reports an agent that cannot be made before any session runs.
    shown = {cell.agent: shown_name(cell.agent, cell.make_agent(cell.config)) for cell in cells}
    total = len(cells) * episodes
    sessions = run_cells(
        cells,
        episodes,
        seed,
        jobs,
        on_batch=None if on_batch is None else lambda done: on_batch(done, total),
    )
    results = Results()
    for index, (config, swept) in enumerate(markets):
        here = dict(zip(agents, sessions[index * len(agents) :], strict=False))
        compared_with = here[reference] if reference is not None else None
        share = f", p = {config.p_informed:g}" if config.p_informed > 0.0 else ""
        market = (
            config.regime
            + share
            + "".join(f", {name} = {value:g}" for name, value in swept.items())
        )
        for agent, result in here.items():
            results.rows.append(summarise(shown[agent], result, compared_with) | swept)
            results.entries.append(Entry(f"{shown[agent]}, {market}", shown[agent], result))
    return results


def run_experiments(names: Sequence[str], runner: ExperimentRunner) -> Results:
    """Run experiments by name; `all` runs every experiment.

    Args:
        names: keys of `EXPERIMENTS`, or `all`.
        runner: runs the agents in the markets.

    Raises:
        ConfigurationError: for an unknown name.
    """
    for name in names:
        if name not in (*EXPERIMENTS, "all"):
            raise ConfigurationError(
                f"experiment is unknown: expected {', '.join(EXPERIMENTS)} or all, got {name!r}; "
                f"{nearest(name, [*EXPERIMENTS, 'all'])}"
            )
    results = Results()
    for name in EXPERIMENTS if "all" in names else names:
        experiment = EXPERIMENTS[name](runner)
        results.experiments.append(experiment)
        for label, result in experiment.sessions.items():
            agent = experiment.agents[label]
            results.rows.append({"experiment": name, "market": label} | summarise(agent, result))
            results.entries.append(Entry(f"{name}: {label}", agent, result))
    return results
