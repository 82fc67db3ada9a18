"""Parameters of the closed forms: the decay of fills with distance, and the volatility."""

import math

from mm_gym import MarketConfig

MOST = 1e6
"""Largest rate, decay, volatility or risk aversion of a closed form. The smallest is 1 / MOST."""

# Measured in the default book, with `fixed_spread` from 0.5 to 2.5 ticks. Competing makers make it
# larger than the takers' tolerance alone implies.
_BOOK_FILL_DECAY = 1.1  # [1/tick]


def fill_decay_of(config: MarketConfig) -> float:
    """k [1/tick] of the fill intensity A exp(-k depth).

    In the dealer market the takers' tolerance implies it. With other makers it is a measured value.
    """
    return 1.0 / config.taker_tolerance if config.makers == "none" else _BOOK_FILL_DECAY


def long_run_volatility(config: MarketConfig) -> float:
    """Volatility [ticks / sqrt(s)] of the efficient price over times much longer than the signal's.

    Its square is sigma^2 + 2 beta^2 / kappa.
    """
    return math.sqrt(config.volatility**2 + 2.0 * config.signal_drift**2 / config.signal_decay_rate)
