"""A constant half-spread on both sides."""

import numpy as np

from mm_gym import MarketConfig

from ..base import HALF_SPREADS, WIDEST, Observations, QuotingAgent, Ticks


class FixedSpreadAgent(QuotingAgent):
    """Quotes `half_spread` [ticks] on either side of the public mid, for any inventory."""

    name = "fixed_spread"
    search_space = {"half_spread": HALF_SPREADS}
    limits = {"half_spread": (0.0, WIDEST)}

    def __init__(self, config: MarketConfig, half_spread: float = 1.5) -> None:
        super().__init__(config)
        self.half_spread = half_spread

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        offset = np.full(len(observations), self.half_spread)
        return offset, offset
