"""Random quotes at each decision: the lower bound for any rule."""

import zlib

import numpy as np

from mm_gym import MarketConfig

from ..base import Observations, QuotingAgent, Ticks


class RandomAgent(QuotingAgent):
    """Both offsets uniform on [0, max_offset], independent of everything.

    Args:
        config: of the market.
        seed: of its own generator, which is independent of the market's random streams.
    """

    name = "random"

    def __init__(self, config: MarketConfig, seed: int = 0) -> None:
        super().__init__(config)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(
                f"seed={seed!r} is out of range: expected a whole number, at least 0, got {seed!r} "
                "(write for example random:seed=1)"
            )
        self._seed = seed
        self._generator: np.random.Generator | None = None

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        if self._generator is None:
            # The first observations are part of the seed, so that agents in different sessions draw
            # different quotes.
            first_sight = zlib.crc32(np.ascontiguousarray(observations).tobytes())
            self._generator = np.random.default_rng([self._seed, first_sight])
        drawn = self._generator.uniform(0.0, self.config.max_offset, size=(2, len(observations)))
        return drawn[0], drawn[1]
