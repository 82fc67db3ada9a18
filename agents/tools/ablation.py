"""Which observations a maker uses: what it loses when a column is shuffled among markets, so that
it says nothing.

python -m agents.tools.ablation runs/NAME
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from mm_gym import MarketConfig
from mm_gym.core.layout import Obs
from mm_gym.evaluation.rollout import Cell, run_cells
from mm_gym.evaluation.statistics import Estimate, difference

from ..command_line import run_command
from ..learned.history_features import HistoryAgent
from ..learned.run_folder import read_run
from ..registry import Agent, make_agent

GROUPS: dict[str, tuple[Obs, ...]] = {
    "all flow": (Obs.FLOW_FAST, Obs.FLOW_MEDIUM, Obs.FLOW_SLOW),
    "all mid moves": (Obs.MID_MOVE_FAST, Obs.MID_MOVE_MEDIUM, Obs.MID_MOVE_SLOW),
    "own quotes": (Obs.BID_OFFSET, Obs.ASK_OFFSET, Obs.BID_SIZE, Obs.ASK_SIZE),
    "queue places": (Obs.BID_QUEUE_AHEAD, Obs.ASK_QUEUE_AHEAD),
    **{column.name.lower(): (column,) for column in Obs if column != Obs.TIME_LEFT},
}
"""What is shuffled together: columns that say nearly the same stand in for one another alone. Time
left is the same in all sessions at any time, so to shuffle it among them would change nothing."""


@dataclass(frozen=True)
class Arguments:
    """Shuffle each observation of a trained maker among markets, and see what that costs."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder that train.py has written."""
    episodes: int = 256
    """Sessions for each column, in the market that it was trained on."""
    seed: int = 0
    """Of the evaluation."""


HISTORY = "history"
"""History features (`agents.learned.history_features`) are one group more, of agents that have
them."""


class OthersHistory:
    """An agent that is handed the history of another market at the same time.

    Args:
        config: of the market.
        name: of an agent with history features.
    """

    def __init__(self, config: MarketConfig, name: str) -> None:
        self._agent: Agent = make_agent(name, config)

    def predict(
        self,
        observation: npt.NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """As the agent's own, for at least two observations. The state is each market's own."""
        _, own = self._agent.predict(observation, state, episode_start, deterministic)
        others = None if state is None else np.roll(state, 1, axis=0)
        return self._agent.predict(observation, others, episode_start, deterministic)[0], own


class Shuffled:
    """An agent whose columns come each from another market at the same time: as usual alone, but
    unrelated to the rest.

    Args:
        config: of the market.
        name: of the agent.
        columns: what is shuffled, together.
    """

    def __init__(self, config: MarketConfig, name: str, columns: tuple[Obs, ...]) -> None:
        self._agent: Agent = make_agent(name, config)
        self._columns = list(columns)
        self._generator = np.random.default_rng(0)

    def predict(
        self,
        observation: npt.NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """As the agent's own, for at least two observations."""
        shuffled = observation.copy()
        # By a random number of places, so that no market keeps its own.
        shift = int(self._generator.integers(1, len(observation)))
        shuffled[:, self._columns] = np.roll(observation[:, self._columns], shift, axis=0)
        return self._agent.predict(shuffled, state, episode_start, deterministic)


def ablate(
    name: str, config: MarketConfig, episodes: int, seed: int, on_batch: Any = None
) -> dict[str, Estimate]:
    """What shuffling costs of the objective [ticks x lots a session], by group of `GROUPS` and
    `HISTORY`, dearest first.

    Differences are paired and without luck.
    """
    cells = [Cell("whole", partial(make_agent, name), config)]
    cells += [
        Cell(group, partial(Shuffled, name=name, columns=columns), config)
        for group, columns in GROUPS.items()
    ]
    if has_history(name, config):
        cells.append(Cell(HISTORY, partial(OthersHistory, name=name), config))
    whole, *others = run_cells(cells, episodes, seed, horizons=(), on_batch=on_batch)
    costs = {
        cell.agent: difference(whole.variance_reduced_objective, other.variance_reduced_objective)
        for cell, other in zip(cells[1:], others, strict=True)
    }
    return dict(sorted(costs.items(), key=lambda item: -item[1].value))


def has_history(name: str, config: MarketConfig) -> bool:
    """Whether an agent has history features, which can be swapped among markets."""
    return isinstance(make_agent(name, config), HistoryAgent)


def main(arguments: Arguments) -> dict[str, Estimate]:
    """Ablate, and print a table."""
    if arguments.episodes < 2:
        raise ValueError(
            f"episodes={arguments.episodes} came; columns are shuffled among sessions: write 2 or more"
        )
    config = read_run(arguments.run).config
    console = Console()
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        cells = 1 + len(GROUPS) + has_history(str(arguments.run), config)
        task = bar.add_task("sessions", total=cells * arguments.episodes)
        costs = ablate(
            str(arguments.run),
            config,
            arguments.episodes,
            arguments.seed,
            lambda n: bar.advance(task, n),
        )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("shuffled among markets")
    table.add_column(escape("costs [95 %]"), justify="right")
    for group, cost in costs.items():
        table.add_row(group, escape(f"{cost.value:.1f} [{cost.low:.1f}, {cost.high:.1f}]"))
    console.print(table)
    console.print(
        f"ticks x lots of the objective a session, paired over {arguments.episodes} sessions"
    )
    return costs


if __name__ == "__main__":
    run_command(
        "agents.tools.ablation",
        lambda: main(tyro.cli(Arguments, prog="python -m agents.tools.ablation")),
    )
