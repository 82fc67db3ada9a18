"""Which observations a maker uses: permutation importance of observation columns.

python -m agents.tools.ablation runs/NAME

A column is permuted among markets at the same time. It keeps its distribution but carries no
information. The cost is the loss in the objective.
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

from ..invocation import run_module
from ..learned.history_features import HistoryAgent
from ..learned.run_folder import read_run
from ..registry import Agent, make_agent, trained_folder

GROUPS: dict[str, tuple[Obs, ...]] = {
    "all flow": (Obs.FLOW_FAST, Obs.FLOW_MEDIUM, Obs.FLOW_SLOW),
    "all mid moves": (Obs.MID_MOVE_FAST, Obs.MID_MOVE_MEDIUM, Obs.MID_MOVE_SLOW),
    "own quotes": (Obs.BID_OFFSET, Obs.ASK_OFFSET, Obs.BID_SIZE, Obs.ASK_SIZE),
    "queue positions": (Obs.BID_QUEUE_AHEAD, Obs.ASK_QUEUE_AHEAD),
    **{column.name.lower(): (column,) for column in Obs if column != Obs.TIME_LEFT},
}
"""Columns that are permuted together. Similar columns can replace each other if permuted alone. The
time left is left out, because it is equal in all markets."""


@dataclass(frozen=True)
class Arguments:
    """Print what each observation of a trained maker contributes to its objective."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder of train.py, or a shipped maker such as trained/mixed."""
    episodes: int = 256
    """Number of sessions per column, in the market of the training."""
    seed: int = 0
    """Seed of the sessions."""


HISTORY = "history"
"""The group of the history features (`agents.learned.history_features`), for agents with them."""


class OthersHistory:
    """An agent that gets the history of another market.

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
        """Actions of the agent with permuted history, for at least two observations.

        The returned state is not permuted.
        """
        _, own = self._agent.predict(observation, state, episode_start, deterministic)
        others = None if state is None else np.roll(state, 1, axis=0)
        return self._agent.predict(observation, others, episode_start, deterministic)[0], own


class Shuffled:
    """An agent that gets some columns from another market at the same time.

    Args:
        config: of the market.
        name: of the agent.
        columns: to permute together.
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
        """Actions of the agent with permuted columns, for at least two observations."""
        shuffled = observation.copy()
        # A rotation leaves no market its own columns.
        shift = int(self._generator.integers(1, len(observation)))
        shuffled[:, self._columns] = np.roll(observation[:, self._columns], shift, axis=0)
        return self._agent.predict(shuffled, state, episode_start, deterministic)


def ablate(
    name: str, config: MarketConfig, episodes: int, seed: int, on_batch: Any = None
) -> dict[str, Estimate]:
    """The cost of permuting each group of `GROUPS` and `HISTORY`, largest first.

    It is a paired difference of variance-reduced objectives [ticks x lots per session].

    Args:
        name: of the agent.
        config: of the market.
        episodes: number of sessions.
        seed: of the sessions.
        on_batch: called after each batch with its number of sessions, to show progress.
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
    """Whether an agent has history features."""
    return isinstance(make_agent(name, config), HistoryAgent)


def main(arguments: Arguments) -> dict[str, Estimate]:
    """Measure the cost of every group, and print a table."""
    if arguments.episodes < 2:
        raise ValueError(
            f"episodes={arguments.episodes} is out of range: expected at least 2, because columns "
            f"are permuted among sessions, got {arguments.episodes}"
        )
    config = read_run(trained_folder(str(arguments.run))).config
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
    table.add_column("permuted columns")
    table.add_column(escape("cost [95 %]"), justify="right")
    for group, cost in costs.items():
        table.add_row(group, escape(f"{cost.value:.1f} [{cost.low:.1f}, {cost.high:.1f}]"))
    console.print(table)
    console.print(
        f"Loss of objective [ticks x lots per session], paired over {arguments.episodes} sessions.",
        markup=False,
    )
    return costs


if __name__ == "__main__":
    run_module("tools.ablation", main, Arguments)
