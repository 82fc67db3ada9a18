"""How the mid of a book follows the efficient price V, measured in simulation."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym import MarketConfig
from mm_gym.core.layout import Outcome
from mm_gym.markets import Markets

Array = npt.NDArray[np.float64]

LEAST_VARIANCE = 1e-12  # [ticks^2] avoids a division by zero where the price stands still
_DECISIONS, _MARKETS = 250, 64  # of the simulation
_QUANTILES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.96, 0.99)  # of the spread: the ends of the rows


class MidResponse(NamedTuple):
    """A linear model of the mid's move over a decision, with one row of coefficients per spread.

    move of the mid = to_gap (V - mid before) + to_move (move of V) + noise.
    """

    spreads: Array
    """[ticks] Boundaries between the rows, in the spread after the move, shape (rows - 1,)."""
    coefficients: Array
    """to_gap, to_move and the variance of the noise [ticks^2], shape (rows, 3)."""


@functools.lru_cache(maxsize=32)
def mid_response(config: MarketConfig) -> MidResponse:
    """Fit the model by least squares to sessions of the market without the agent.

    Background orders rest until V crosses them, so the mid lags V. The lag grows with the spread.
    In the dealer market the mid equals V.
    """
    if config.makers == "none":
        return MidResponse(np.empty(0), np.array([[1.0, 1.0, 0.0]]))
    markets = Markets(dataclasses.replace(config, session_steps=_DECISIONS), _MARKETS)
    _, outcomes = markets.start(np.random.default_rng([_DECISIONS, i]) for i in range(_MARKETS))
    widest = np.ones((len(markets), 2), np.float32)  # quotes that nobody trades with
    seen = [outcomes, *(markets.step(widest)[1] for _ in range(_DECISIONS))]
    value, mid, spread = (
        np.array([row[:, column] for row in seen])
        for column in (Outcome.EFFICIENT_PRICE, Outcome.MID, Outcome.SPREAD)
    )
    causes = np.stack([(value - mid)[:-1].ravel(), np.diff(value, axis=0).ravel()], axis=1)
    moves, spreads = np.diff(mid, axis=0).ravel(), spread[1:].ravel()
    ends = np.unique(np.quantile(spreads, _QUANTILES))
    ends = ends[ends < spreads.max()]  # no row is empty
    rows = np.searchsorted(ends, spreads)
    coefficients = []
    for row in range(len(ends) + 1):
        here = rows == row
        fitted = np.linalg.lstsq(causes[here], moves[here])[0]
        noise = ((moves[here] - causes[here] @ fitted) ** 2).mean()
        coefficients.append([*fitted, noise + LEAST_VARIANCE])
    return MidResponse(ends, np.array(coefficients))
