"""Cont, Stoikov and Talreja (2010), A stochastic model for order book dynamics.

Unit orders come and go as independent Poisson processes whose rates hang on the distance from the
opposite best quote. While the spread is one tick, each best queue is a birth-death process: born at
lambda (limit orders at distance one), dying at mu + k theta (market orders and cancellations of k
orders). The mid moves when the first queue is empty.

Letters: lambda `limit_rate`, mu `market_rate`, theta `cancel_rate`, each per unit of time and side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_sylvester

from ._shared import FloatArray, check_count, check_not_negative, check_positive


def up_move_probability(
    bid_lots: npt.ArrayLike,
    ask_lots: npt.ArrayLike,
    *,
    limit_rate: float,
    market_rate: float,
    cancel_rate: float,
    longest_queue: int = 80,
) -> FloatArray:
    """Return the chance that the next move of the mid is up, at a spread of one tick (proposition
    3).

    The paper inverts Laplace transforms of first-passage times. The same probability solves a
    linear system: with Q the generator of one queue and P[b, a] the chance that the ask empties
    first, Q P + P Q' = -R, where R pays 1 at the rate at which an ask queue of one lot dies. Queues
    longer than `longest_queue` are cut off, which does not show in ten digits as long as few orders
    can gather: limit_rate well below longest_queue cancel_rate.

    Args:
        bid_lots: any shape, whole numbers from 1 up.
        ask_lots: any shape that broadcasts with it.
        limit_rate: lambda, not negative.
        market_rate: mu, not negative.
        cancel_rate: theta, positive.
        longest_queue: where the system is cut off.

    Returns:
        The probability, in the common shape.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_not_negative(limit_rate=limit_rate, market_rate=market_rate)
    check_positive(cancel_rate=cancel_rate)
    check_count(longest_queue=longest_queue)
    bid, ask = np.broadcast_arrays(np.asarray(bid_lots), np.asarray(ask_lots))
    for name, lots in (("bid_lots", bid), ("ask_lots", ask)):
        if not np.all((lots >= 1) & (lots <= longest_queue) & (lots == np.floor(lots))):
            raise ValueError(
                f"{name} came as {lots!r}; whole numbers from 1 to {longest_queue} are wanted."
            )
    lots = np.arange(1, longest_queue + 1)
    births = np.where(lots < longest_queue, limit_rate, 0.0)
    deaths = market_rate + cancel_rate * lots
    generator = np.diag(births[:-1], 1) + np.diag(deaths[1:], -1) - np.diag(births + deaths)
    paid = np.zeros((longest_queue, longest_queue))
    paid[:, 0] = deaths[0]
    probability = solve_sylvester(generator, generator.T, -paid)
    return np.asarray(probability[bid.astype(int) - 1, ask.astype(int) - 1])
