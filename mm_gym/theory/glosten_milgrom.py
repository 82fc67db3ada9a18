"""Quotes against informed traders: the model of Glosten and Milgrom (1985).

Paper: Bid, ask and transaction prices in a specialist market with heterogeneously informed traders.
This is the textbook case. The asset is worth V_H or V_L. A trader is informed with probability mu
and then trades in the right direction. Other traders buy or sell with probability 1/2. The ask of a
competitive maker is the expected value of the asset after a buy, and its bid the expected value
after a sell.

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
    """Prices at which the maker breaks even on average, ask first [price]."""

    ask: FloatArray
    bid: FloatArray


def quotes(
    probability_high: npt.ArrayLike,
    informed_share: npt.ArrayLike,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> Quotes:
    """Return the break-even prices of a competitive maker.

    ask = V_L + Delta delta (1 + mu) / (1 + mu m),  bid = V_L + Delta delta (1 - mu) / (1 - mu m)

    Args:
        probability_high: delta, the probability of V_H before the trade, any shape.
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
            f"high={high!r} is out of range: expected a number above low={low!r}, got {high!r}"
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
    """Return ask - bid, which is largest at delta = 1/2 with the value mu Delta [price].

    ask - bid = 4 Delta delta (1 - delta) mu / (1 - mu^2 m^2)

    Arguments, units and errors are those of `quotes`.
    """
    ask, bid = quotes(probability_high, informed_share, low=low, high=high)
    return ask - bid


def odds_factor(informed_share: npt.ArrayLike) -> FloatArray:
    """Return (1 + mu) / (1 - mu). A buy multiplies the odds of V_H by it, a sell divides them.

    Args:
        informed_share: mu, at least 0 and below 1, any shape.

    Raises:
        ValueError: a share is outside [0, 1).
    """
    share = np.asarray(informed_share, dtype=np.float64)
    check_share(informed_share=informed_share)
    if np.any(share == 1):
        raise ValueError(
            f"informed_share={informed_share!r} is out of range: expected numbers below 1, since "
            f"no quote breaks even without uninformed traders, got {informed_share!r}"
        )
    return (1.0 + share) / (1.0 - share)


def posterior(
    probability_high: npt.ArrayLike, informed_share: npt.ArrayLike, net_buys: npt.ArrayLike
) -> FloatArray:
    """Return the probability of V_H after a sequence of trades, by Bayes' rule.

    delta' / (1 - delta') = delta / (1 - delta) ((1 + mu) / (1 - mu))^(buys - sells)

    It depends on the number of buys minus the number of sells, not on their order.

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
    # With logarithms, a long sequence of buys cannot overflow. A probability of 0 or 1 has the
    # logit -inf or inf and does not change.
    return np.asarray(expit(logit(np.asarray(probability_high, dtype=np.float64)) + evidence))
