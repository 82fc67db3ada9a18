"""Cont, Stoikov and Talreja (2010), A stochastic model for order book dynamics.

Orders of one lot arrive and are cancelled as independent Poisson processes. Their rates depend on
the distance from the opposite best price. At a spread of one tick, each best queue is a birth-death
process: a queue of k orders has the birth rate lambda (limit orders at distance one) and the death
rate mu + k theta (market orders and cancellations). The mid moves when one of the queues is empty.

Letters: lambda `limit_rate`, mu `market_rate`, theta `cancel_rate`, each per unit of time on each
side.
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
    """Return the probability that the next move of the mid is up (proposition 3).

    The spread is one tick. The paper inverts Laplace transforms of first-passage times. Here the
    same probability solves a linear system. Let Q be the generator of one queue and P[b, a] the
    probability that the ask queue empties first. Then Q P + P Q' = -R, where R holds the death rate
    of an ask queue of one lot in its first column. Queues are truncated at `longest_queue`. The
    result is correct to ten digits if limit_rate is well below longest_queue x cancel_rate.

    Args:
        bid_lots: length of the bid queue, whole numbers of at least 1, any shape [lots].
        ask_lots: length of the ask queue, any shape that broadcasts with bid_lots [lots].
        limit_rate: lambda, not negative [1 / time].
        market_rate: mu, not negative [1 / time].
        cancel_rate: theta, positive [1 / time].
        longest_queue: length at which queues are truncated [lots].

    Returns:
        The broadcast shape.

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
                f"{name} is out of range: expected whole numbers from 1 to {longest_queue}, "
                f"got {lots!r}"
            )
    lots = np.arange(1, longest_queue + 1)
    births = np.where(lots < longest_queue, limit_rate, 0.0)
    deaths = market_rate + cancel_rate * lots
    generator = np.diag(births[:-1], 1) + np.diag(deaths[1:], -1) - np.diag(births + deaths)
    paid = np.zeros((longest_queue, longest_queue))
    paid[:, 0] = deaths[0]
    probability = solve_sylvester(generator, generator.T, -paid)
    return np.asarray(probability[bid.astype(int) - 1, ask.astype(int) - 1])
