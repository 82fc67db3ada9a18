"""The exact optimum of the dealer market, from the Bellman equation.

`mm_gym.theory.dealer_bellman` states and solves the equation.
"""

import functools
import math

import numpy as np

from mm_gym import MarketConfig
from mm_gym.theory.dealer_bellman import DealerProblem, solve

from ..base import AgentError, Ticks
from .tabulated import TabulatedAgent, most_lots

# The environment rounds quotes to whole ticks. On average that moves a quote outwards by this much.
_HALF_A_TICK = 0.5


class BellmanAgent(TabulatedAgent):
    """Maximises the expected objective where no other maker quotes and all takers are uninformed.

    Depths are real numbers, because the mid of the dealer market lies between two ticks. Half a
    tick is subtracted to allow for the rounding of quotes.

    Args:
        config: of the market.

    Raises:
        AgentError: if the market is no such dealer market.
    """

    name = "bellman"

    def __init__(self, config: MarketConfig) -> None:
        if not self.suits(config):
            raise AgentError(
                "bellman cannot quote in this market: expected a dealer market with uninformed "
                "takers of finite tolerance, quotes of one lot and no latency, got "
                f"makers={config.makers!r}, p_informed={config.p_informed:g}, "
                f"quote_size={config.quote_size}, latency={config.mean_latency:g}, "
                f"taker_rate={config.taker_rate:g}, taker_tolerance={config.taker_tolerance:g} "
                "(write --regimes dealer or configure('dealer'))"
            )
        bid, ask = _tables(dealer_problem(config, most_lots(config)))
        super().__init__(config, bid, ask)

    @classmethod
    def suits(cls, config: MarketConfig) -> bool:
        """Whether the equation describes this market."""
        return (
            config.makers == "none"
            and config.p_informed == 0.0
            and config.taker_rate > 0.0
            and 0.0 < config.taker_tolerance < math.inf
            and config.quote_size == 1
            and config.mean_latency == 0.0
        )


def dealer_problem(config: MarketConfig, max_inventory: int) -> DealerProblem:
    """The Bellman problem of one session of the market, in ticks, seconds and lots."""
    return DealerProblem(
        buy_rate=0.5 * config.taker_rate,
        sell_rate=0.5 * config.taker_rate,
        fill_decay=1.0 / config.taker_tolerance,
        running_penalty=config.inventory_penalty,
        terminal_penalty=config.close_out_impact,
        close_out_cost=config.close_out_cost,
        decision_interval=config.decision_interval,
        steps=config.session_steps,
        max_inventory=max_inventory,
        max_depth=config.max_offset,
    )


@functools.lru_cache(maxsize=8)  # an evaluation makes a new agent for each batch of sessions
def _tables(problem: DealerProblem) -> tuple[Ticks, Ticks]:
    solution = solve(problem)
    # The solution counts decisions from the start, a table counts those left. With none left there
    # are no quotes.
    none = np.full((1, len(solution.inventories)), np.inf)
    bid, ask = (
        np.concatenate([none, depths[::-1] - _HALF_A_TICK])
        for depths in (solution.bid_depths, solution.ask_depths)
    )
    return bid, ask
