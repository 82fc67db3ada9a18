"""The exact optimum of the dealer market: the Bellman equation of `mm_gym.theory.dealer_bellman`,
solved, as a rule."""

import functools
import math

import numpy as np

from mm_gym import MarketConfig
from mm_gym.theory.dealer_bellman import DealerProblem, solve

from ..base import AgentError, Ticks
from .tabulated import TabulatedAgent, most_lots

_HALF_A_TICK = (
    0.5  # by which the environment's rounding to whole ticks moves a quote outwards, on average
)


class BellmanAgent(TabulatedAgent):
    """Quotes what maximises the expected objective when nobody else quotes and nobody who takes
    knows anything.

    Depths are chosen free, not on whole ticks, since in the dealer market the mid lies anywhere
    between two; half a tick is taken off for the environment's rounding.

    Args:
        config: of the market.

    Raises:
        AgentError: if the market is not of that kind.
    """

    name = "bellman"

    def __init__(self, config: MarketConfig) -> None:
        if not self.suits(config):
            raise AgentError(
                f"bellman was asked to quote with makers={config.makers!r}, p_informed={config.p_informed:g}, "
                f"quote_size={config.quote_size}, latency={config.latency:g}, taker_rate={config.taker_rate:g}, "
                f"taker_tolerance={config.taker_tolerance:g}; the dealer market was wanted, with uninformed takers of "
                "a finite tolerance, quotes of one lot and no latency: write --regimes dealer or configure('dealer')"
            )
        bid, ask = _tables(dealer_problem(config, most_lots(config)))
        super().__init__(config, bid, ask)

    @classmethod
    def suits(cls, config: MarketConfig) -> bool:
        """Whether the market is the one that the equation describes."""
        return (
            config.makers == "none"
            and config.p_informed == 0.0
            and config.taker_rate > 0.0
            and 0.0 < config.taker_tolerance < math.inf
            and config.quote_size == 1
            and config.latency == 0.0
        )


def dealer_problem(config: MarketConfig, max_inventory: int) -> DealerProblem:
    """The market's session as the Bellman equation has it, in ticks, seconds and lots."""
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


@functools.lru_cache(maxsize=8)  # an evaluation makes an agent anew for each batch of sessions
def _tables(problem: DealerProblem) -> tuple[Ticks, Ticks]:
    solution = solve(problem)
    # Row n of the solution is n decisions after the start, row n of a table n before the end, where
    # none is left.
    none = np.full((1, len(solution.inventories)), np.inf)
    bid, ask = (
        np.concatenate([none, depths[::-1] - _HALF_A_TICK])
        for depths in (solution.bid_depths, solution.ask_depths)
    )
    return bid, ask
