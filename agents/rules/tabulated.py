"""Rules whose depths are worked out once, for every decision of a session and every inventory, and
then looked up."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym import MarketConfig

from ..base import Observations, QuotingAgent, Ticks

_MOST_LOTS = 100  # a larger inventory is quoted for like this one


class TabulatedAgent(QuotingAgent):
    """Looks up its depths [ticks], in tables of shape (session_steps + 1, inventories): row n has n
    decisions left."""

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
    """The largest inventory that a table has a column for."""
    return min(config.max_inventory, _MOST_LOTS)


def tabulate(
    formula: Callable[..., Any], config: MarketConfig, **parameters: float
) -> tuple[Ticks, Ticks]:
    """Tables of bid and ask depths by one of `mm_gym.theory`'s `optimal_depths`, given its
    parameters."""
    return _tabulate(
        formula, most_lots(config), config.session_steps, config.decision_interval, **parameters
    )


@functools.lru_cache(maxsize=16)  # an evaluation makes an agent anew for each batch of sessions
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
