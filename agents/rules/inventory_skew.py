"""A half-spread and a skew against the inventory: the usual first rule of a trading desk."""

from mm_gym import MarketConfig

from ..base import HALF_SPREADS, WIDEST, Observations, QuotingAgent, Range, Ticks


class InventorySkewAgent(QuotingAgent):
    """Shifts both quotes down by `skew` [ticks] for each lot of inventory.

    bid offset = half_spread + skew q, ask offset = half_spread - skew q.
    """

    name = "inventory_skew"
    search_space = {"half_spread": HALF_SPREADS, "skew": Range(0.003, 3.0, log=True)}
    limits = {"half_spread": (0.0, WIDEST), "skew": (-WIDEST, WIDEST)}

    def __init__(self, config: MarketConfig, half_spread: float = 1.5, skew: float = 0.1) -> None:
        super().__init__(config)
        self.half_spread = half_spread
        self.skew = skew

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        shift = self.skew * self.inventory(observations)
        return self.half_spread + shift, self.half_spread - shift
