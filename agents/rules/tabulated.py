"""Rules that look up their depths in a table by decision and inventory."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym import MarketConfig

from ..base import Observations, QuotingAgent, Ticks

_MOST_LOTS = 100  # larger inventories use the quotes of this one


class TabulatedAgent(QuotingAgent):
    """Looks up its depths in tables.

    Args:
        config: of the market.
        bid: [ticks] Depths, shape (session_steps + 1, inventories). Row n holds those with n
            decisions left.
        ask: [ticks] Likewise.
    """

    def __init__(self, config: MarketConfig, bid: Ticks, ask: Ticks) -> None:
        super().__init__(config)
        self.bid = bid
        self.ask = ask

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        most = self.bid.shape[1] // 2
        column = np.clip(self.inventory(observations), -most, most).astype(np.int64) + most
        left = np.rint(self.time_left(observations) / self.config.decision_interval).astype(
            np.int64
        )
        return self.bid[left, column], self.ask[left, column]


def most_lots(config: MarketConfig) -> int:
    """The largest inventory [lots] that has a column in the table."""
    return min(config.max_inventory, _MOST_LOTS)


def tabulate(
    formula: Callable[..., Any], config: MarketConfig, **parameters: float
) -> tuple[Ticks, Ticks]:
    """Tables of bid and ask depths [ticks].

    Args:
        formula: an `optimal_depths` of `mm_gym.theory`.
        config: of the market.
        **parameters: of the formula.
    """
    return _tabulate(
        formula, most_lots(config), config.session_steps, config.decision_interval, **parameters
    )


@functools.lru_cache(maxsize=16)  # an evaluation makes a new agent for each batch of sessions
def _tabulate(
    formula: Callable[..., Any],
    max_inventory: int,
    steps: int,
    interval: float,
    **parameters: float,
) -> tuple[Ticks, Ticks]:
    lots: npt.NDArray[np.int64] = np.arange(-max_inventory, max_inventory + 1)
    time_left = np.arange(steps + 1)[:, None] * interval
    depths = formula(lots, time_left, max_inventory=max_inventory, **parameters)
    return depths.bid, depths.ask
