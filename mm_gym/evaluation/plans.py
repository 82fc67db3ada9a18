"""What an evaluation runs: agents in markets, a sweep over a field, or the post-mortem's
experiments.

Agents are named by strings and made by a function that the caller brings, since this package knows
no agents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mm_gym.config import ConfigurationError, MarketConfig, configure, nearest
from mm_gym.evaluation.experiments import EXPERIMENTS, ExperimentResult, ExperimentRunner
from mm_gym.evaluation.experiments.runner import AgentNamer
from mm_gym.evaluation.rollout import Cell, Sessions, run_cells, shown_name
from mm_gym.evaluation.summary import summarise
from mm_gym.regimes import with_informed

Market = tuple[MarketConfig, dict[str, float]]
"""A market, and the value of the swept field if that has no column of its own."""


_DEFAULTS = configure().to_dict()


@dataclass(frozen=True)
class Entry:
    """One agent in one market."""

    label: str
    """Its name where it stands alone, such as `inventory_skew, informed, p = 0.4`."""
    agent: str
    sessions: Sessions


@dataclass
class Results:
    """What came out: rows for tables, entries for pictures, and the experiments of experiments."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    experiments: list[ExperimentResult] = field(default_factory=list)


def plan_markets(
    regimes: Sequence[str],
    p_informed: float | None = None,
    sweep: str | None = None,
    values: Sequence[float] = (),
) -> list[Market]:
    """The markets of an evaluation: each regime, or each regime at each value of the swept field.

    Raises:
        ConfigurationError: for an unknown regime or field, or a value out of range.
    """
    if sweep is not None and not isinstance(_DEFAULTS.get(sweep, 0.0), (int, float)):
        raise ConfigurationError(
            f"{sweep!r} cannot be swept, it is no number that varies; write for example p_informed or latency"
        )
    settings: list[dict[str, float]] = (
        [{}] if sweep is None else [{sweep: value} for value in values]
    )
    return [
        (
            configure(regime, **(with_informed(regime, p_informed) | setting)),
            {name: value for name, value in setting.items() if name != "p_informed"},
        )
        for regime in regimes
        for setting in settings
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
    """Every agent in every market, with differences from a reference agent if one is named.

    Args:
        on_batch: called with the number of sessions done and the number of all.

    Raises:
        ConfigurationError: if the reference is none of the agents.
    """
    if reference is not None and reference not in agents:
        raise ConfigurationError(
            f"the reference {reference!r} is none of the agents; {nearest(reference, agents)}"
        )
    cells = [Cell(agent, name_agent(agent), config) for config, _ in markets for agent in agents]
    # An agent that cannot be made is found out now, not after the others have run.
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
    """Experiments by name; `all` is all of them.

    Raises:
        ConfigurationError: for an unknown name.
    """
    for name in names:
        if name not in (*EXPERIMENTS, "all"):
            raise ConfigurationError(
                f"experiment {name!r} is unknown; {nearest(name, [*EXPERIMENTS, 'all'])}"
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
