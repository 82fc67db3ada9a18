"""Avellaneda and Stoikov (2008), High-frequency trading in a limit order book: the closed-form quotes as a rule."""

import math

from agents.base import Observations, QuotingAgent, Range, Ticks
from mm_gym import MarketConfig
from mm_gym.theory.avellaneda_stoikov import quote_depths

# In the default book the agent's fills fall off by this much a tick: other makers quote beside it, so they fall
# faster than the takers' tolerance alone would have it. Measured with `fixed_spread` from 0.5 to 2.5 ticks.
_BOOK_FILL_DECAY = 1.1  # [1/tick]


class AvellanedaStoikovAgent(QuotingAgent):
    """Quotes around the reservation price of an exponential-utility maker, to the session's end.

    Args:
        config: of the market.
        risk_aversion: gamma [1 / (ticks x lots)].
        volatility: sigma [ticks / sqrt(s)]; by default the long-run volatility of the configured price, which the
            signal's drift adds to.
        fill_decay: k [1/tick]; by default what the takers' tolerance implies in the dealer market, and a measured
            figure where other makers quote too.
    """

    name = "avellaneda_stoikov"
    search_space = {"risk_aversion": Range(1e-6, 1e-2, log=True), "fill_decay": Range(0.05, 5.0, log=True)}

    def __init__(
        self,
        config: MarketConfig,
        risk_aversion: float = 1e-4,
        volatility: float | None = None,
        fill_decay: float | None = None,
    ) -> None:
        super().__init__(config)
        self.risk_aversion = risk_aversion
        self.volatility = _long_run_volatility(config) if volatility is None else volatility
        if fill_decay is None:
            fill_decay = 1.0 / config.taker_tolerance if config.makers == "none" else _BOOK_FILL_DECAY
        self.fill_decay = fill_decay

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        depths = quote_depths(
            self.inventory(observations),
            self.time_left(observations),
            risk_aversion=self.risk_aversion,
            volatility=self.volatility,
            fill_decay=self.fill_decay,
        )
        return depths.bid, depths.ask


def _long_run_volatility(config: MarketConfig) -> float:
    """Variance of the efficient price per second over times long against the signal: sigma^2 + 2 beta^2 / kappa."""
    return math.sqrt(config.volatility**2 + 2.0 * config.signal_drift**2 / config.signal_decay_rate)
