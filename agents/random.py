"""Quotes drawn anew at each decision: the floor that any rule should beat."""

import numpy as np

from agents.base import Observations, QuotingAgent, Ticks
from mm_gym import MarketConfig


class RandomAgent(QuotingAgent):
    """Both offsets uniform on [0, max_offset], independent of everything.

    Args:
        config: of the market.
        seed: of its own generator, apart from the market's streams.
    """

    name = "random"

    def __init__(self, config: MarketConfig, seed: int = 0) -> None:
        super().__init__(config)
        self._generator = np.random.default_rng(seed)

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        drawn = self._generator.uniform(0.0, self.config.max_offset, size=(2, len(observations)))
        return drawn[0], drawn[1]
