"""A half-spread that widens with one-sided recent flow, and a skew against the inventory."""

import numpy as np

from mm_gym import MarketConfig
from mm_gym.core.layout import Obs
from mm_gym.observations import flows

from ..base import HALF_SPREADS, WIDEST, Observations, QuotingAgent, Range, Ticks


class AdaptiveSpreadAgent(QuotingAgent):
    """Widens the half-spread by `widening` [ticks] per standard deviation of slow signed flow.

    half-spread = half_spread + widening |flow|, bid offset = half-spread + skew q, ask offset =
    half-spread - skew q. The flow is the slowest one observed, in standard deviations of noise
    flow.

    Args:
        config: of the market.
        half_spread: [ticks] without signed flow.
        skew: [ticks / lot]
        widening: [ticks] per standard deviation of the flow.
    """

    name = "adaptive_spread"
    search_space = {
        "half_spread": HALF_SPREADS,
        "skew": Range(0.003, 3.0, log=True),
        "widening": Range(0.0, 2.0),
    }
    limits = {
        "half_spread": (0.0, WIDEST),
        "skew": (-WIDEST, WIDEST),
        "widening": (-WIDEST, WIDEST),
    }

    def __init__(
        self,
        config: MarketConfig,
        half_spread: float = 1.25,
        skew: float = 0.1,
        widening: float = 0.25,
    ) -> None:
        super().__init__(config)
        self.half_spread = half_spread
        self.skew = skew
        self.widening = widening

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        flow = np.abs(flows(observations, Obs.FLOW_SLOW, self.config))
        half_spread = self.half_spread + self.widening * flow
        shift = self.skew * self.inventory(observations)
        return half_spread + shift, half_spread - shift
