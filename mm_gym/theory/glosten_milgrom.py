"""Glosten and Milgrom (1985), Bid, ask and transaction prices with heterogeneously informed
traders.

The textbook case: the asset is worth V_H or V_L, a trader is informed with probability mu and then
trades in the right direction, otherwise buys or sells with probability 1/2. A competitive maker
asks what the asset is worth to somebody who has just seen a buy, and bids after a sell.

Letters: delta `probability_high`, mu `informed_share`, V_L `low`, V_H `high`, Delta = V_H - V_L,
m = 2 delta - 1. Prices may be in any unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from ._shared import FloatArray, check_share


class Quotes(NamedTuple):
    """Prices at which the maker neither earns nor loses on average, ask first."""

    ask: FloatArray
    bid: FloatArray


def quotes(
    probability_high: npt.ArrayLike,
    informed_share: npt.ArrayLike,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> Quotes:
    """Return the regret-free prices.

    ask = V_L + Delta delta (1 + mu) / (1 + mu m),  bid = V_L + Delta delta (1 - mu) / (1 - mu m)

    Args:
        probability_high: delta, the chance of V_H before the trade, any shape.
        informed_share: mu, at least 0 and below 1, any shape that broadcasts.
        low: V_L [price].
        high: V_H, above low [price].

    Returns:
        Quotes(ask, bid), each of the broadcast shape [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    if not high > low:
        raise ValueError(
            f"high came as {high!r} and low as {low!r}; high above low is wanted: write for example low=0.0, high=1.0."
        )
    return Quotes(
        ask=low + (high - low) * posterior(probability_high, informed_share, 1),
        bid=low + (high - low) * posterior(probability_high, informed_share, -1),
    )


def spread(
    probability_high: npt.ArrayLike,
    informed_share: npt.ArrayLike,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> FloatArray:
    """Return ask - bid, mu Delta at delta = 1/2 and less elsewhere.

    ask - bid = 4 Delta delta (1 - delta) mu / (1 - mu^2 m^2)

    Arguments, units and errors are those of `quotes`.
    """
    ask, bid = quotes(probability_high, informed_share, low=low, high=high)
    return ask - bid


def odds_factor(informed_share: npt.ArrayLike) -> FloatArray:
    """Return (1 + mu) / (1 - mu), by which a buy multiplies the odds of V_H; a sell divides.

    Args:
        informed_share: mu, at least 0 and below 1, any shape.

    Raises:
        ValueError: a share is outside [0, 1).
    """
    share = np.asarray(informed_share, dtype=np.float64)
    check_share(informed_share=informed_share)
    if np.any(share == 1):
        raise ValueError(
            f"informed_share came as {informed_share!r}; below 1 is wanted, since without "
            "uninformed traders no quote breaks even: write for example informed_share=0.99."
        )
    return (1.0 + share) / (1.0 - share)


def posterior(
    probability_high: npt.ArrayLike, informed_share: npt.ArrayLike, net_buys: npt.ArrayLike
) -> FloatArray:
    """Return the chance of V_H after a run of trades, by Bayes' rule.

    delta' / (1 - delta') = delta / (1 - delta) ((1 + mu) / (1 - mu))^(buys - sells)

    Only the number of buys less the number of sells matters, not their order.

    Args:
        probability_high: delta before the trades, any shape.
        informed_share: mu, at least 0 and below 1, any shape that broadcasts.
        net_buys: buys minus sells, any shape that broadcasts; 1 is one buy, -1 is one sell.

    Returns:
        The broadcast shape.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_share(probability_high=probability_high)
    evidence = np.asarray(net_buys, dtype=np.float64) * np.log(odds_factor(informed_share))
    # In logarithms a long run of buys cannot overflow; certainty is -inf or inf and stays so.
    return np.asarray(expit(logit(np.asarray(probability_high, dtype=np.float64)) + evidence))
