"""What the closed forms have to be told of a market: how fast fills fall off with distance, and how
far prices go."""

import math

from mm_gym import MarketConfig

# In the default book the agent's fills fall off by this much a tick: other makers quote beside it,
# so they fall faster than the takers' tolerance alone would have it. Measured with `fixed_spread`
# from 0.5 to 2.5 ticks.
_BOOK_FILL_DECAY = 1.1  # [1/tick]


def fill_decay_of(config: MarketConfig) -> float:
    """k [1/tick] of the fill intensity A exp(-k depth).

    What the takers' tolerance implies in the dealer market, and a measured figure where other
    makers quote too.
    """
    return 1.0 / config.taker_tolerance if config.makers == "none" else _BOOK_FILL_DECAY


def long_run_volatility(config: MarketConfig) -> float:
    """[ticks / sqrt(s)] Of the efficient price over times long against the signal: sigma^2 + 2
    beta^2 / kappa."""
    return math.sqrt(config.volatility**2 + 2.0 * config.signal_drift**2 / config.signal_decay_rate)
