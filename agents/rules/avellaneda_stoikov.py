"""Closed-form quotes of Avellaneda and Stoikov (2008).

High-frequency trading in a limit order book, Quantitative Finance 8(3).
"""

from mm_gym import MarketConfig
from mm_gym.theory.avellaneda_stoikov import quote_depths

from ..base import Observations, QuotingAgent, Range, Ticks
from .fill_intensity import MOST, fill_decay_of, long_run_volatility


class AvellanedaStoikovAgent(QuotingAgent):
    """Quotes around the reservation price of a maker with exponential utility.

    The horizon is the end of the session.

    Args:
        config: of the market.
        risk_aversion: gamma [1 / (ticks x lots)].
        volatility: sigma [ticks / sqrt(s)]. Default: `long_run_volatility` of the market.
        fill_decay: k [1/tick]. Default: `fill_decay_of` the market.
    """

    name = "avellaneda_stoikov"
    search_space = {
        "risk_aversion": Range(1e-6, 1e-2, log=True),
        "fill_decay": Range(0.05, 5.0, log=True),
    }
    limits = {
        "risk_aversion": (0.0, MOST),
        "volatility": (0.0, MOST),
        "fill_decay": (1.0 / MOST, MOST),
    }

    def __init__(
        self,
        config: MarketConfig,
        risk_aversion: float = 1e-4,
        volatility: float | None = None,
        fill_decay: float | None = None,
    ) -> None:
        super().__init__(config)
        self.risk_aversion = risk_aversion
        self.volatility = long_run_volatility(config) if volatility is None else volatility
        self.fill_decay = fill_decay_of(config) if fill_decay is None else fill_decay

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        depths = quote_depths(
            self.inventory(observations),
            self.time_left(observations),
            risk_aversion=self.risk_aversion,
            volatility=self.volatility,
            fill_decay=self.fill_decay,
        )
        return depths.bid, depths.ask
