"""Lillo, Mike and Farmer (2005), Theory for long memory in supply and demand.

Traders split large orders (metaorders) into orders of one sign. If one metaorder after the other
is worked, the sign of two orders `lag` apart is the same if they belong to one metaorder, and
independent if not. With lengths L,

    C(lag) = E[max(L - lag, 0)] / E[L]

A power law P(L >= l) = l^-exponent gives C(lag) ~ lag^-(exponent - 1): long memory for an exponent
below 2, without any knowledge of the price. Here lengths have an upper limit, as in
`MarketConfig.longest_metaorder`, so that exponents of at most 1 are allowed too:

    P(L >= l) = (l^-exponent - c) / (1 - c),  l = 1, ..., longest,  c = (longest + 1)^-exponent

Lillo, F., Mike, S., Farmer, J. D. (2005). Physical Review E 71, 066122.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._shared import FloatArray, check_count, check_positive


def length_survival(exponent: float, longest: int) -> FloatArray:
    """Return P(L >= l) for l = 1, ..., longest, shape (longest,).

    Args:
        exponent: tail exponent of the lengths, positive.
        longest: largest length, a whole number of at least 1 [orders].
    """
    check_positive(exponent=exponent)
    check_count(longest=longest)
    cut = (longest + 1.0) ** -exponent
    return np.asarray((np.arange(1, longest + 1) ** -float(exponent) - cut) / (1.0 - cut))


def mean_length(exponent: float, longest: int) -> float:
    """Return the mean number of orders in a metaorder, E[L]."""
    return float(length_survival(exponent, longest).sum())


def sign_autocorrelation(lag: npt.ArrayLike, exponent: float, longest: int) -> FloatArray:
    """Return the autocorrelation of order signs, C(lag).

    Args:
        lag: whole numbers of at least 0, any shape [orders].
        exponent: tail exponent of the lengths, positive.
        longest: largest length, a whole number of at least 1 [orders].
    """
    survival = length_survival(exponent, longest)
    # The sum over l > lag of P(L >= l) is the mean of max(L - lag, 0).
    beyond = np.append(np.cumsum(survival[::-1])[::-1], 0.0)
    return np.asarray(beyond[np.minimum(np.asarray(lag), longest)] / beyond[0])
