"""Helpers for tests of the core: markets that start from plain seeds, without Gymnasium."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.actions import from_ticks
from mm_gym.config import configure
from mm_gym.markets import Markets

FLOW_REGIMES = ("noise", "imbalanced", "naive_informed", "informed", "mixed")
"""Regimes with the same price path and the same taker arrivals."""


def start(markets: Markets, seed: int) -> npt.NDArray[np.float64]:
    """Start a session in every market and return the outcomes, one row per market.

    The start of market i depends only on `seed` and i.
    """
    return markets.start(np.random.default_rng([seed, i]) for i in range(len(markets)))[1]


def started(
    n: int = 1,
    regime: str = "noise",
    *,
    seed: int = 0,
    fill_rows: int = 0,
    path_rows: int = 0,
    variance_reduction: bool = False,
    unwinding_time: float | None = None,
    **fields: Any,
) -> Markets:
    """Return `n` markets of a regime, with other `fields`, at the start of a session."""
    markets = Markets(
        configure(regime, **fields),
        n,
        fill_rows,
        path_rows,
        variance_reduction=variance_reduction,
        unwinding_time=unwinding_time,
    )
    start(markets, seed)
    return markets


def offsets(markets: Markets, bid: float, ask: float) -> npt.NDArray[np.float32]:
    """Return the actions that quote at these offsets from the mid in every market [ticks]."""
    ticks = np.broadcast_to(np.array([bid, ask]), (len(markets), 2))
    return from_ticks(ticks, float(markets.parameters["max_offset"][0]))


def step(markets: Markets, bid: float = 2.0, ask: float = 2.0) -> npt.NDArray[np.float64]:
    """Step every market with quotes at these offsets [ticks]. Return the outcomes, one row each."""
    return markets.step(offsets(markets, bid, ask))[1]


def assert_agrees(estimate: float, expected: float, standard_error: float, what: str = "") -> None:
    """Assert that an estimate is within four standard errors of its expectation.

    A correct estimate fails with probability 1 / 16,000. Seeds are fixed, so a test that passes
    always passes.
    """
    distance = abs(estimate - expected) / standard_error
    assert standard_error > 0.0
    assert distance < 4.0, (
        f"{what}: {estimate} is {distance:.1f} standard errors ({standard_error}) from {expected}"
    )


def mean_and_error(samples: npt.ArrayLike) -> tuple[float, float]:
    """Return the mean of independent samples and its standard error."""
    values = np.asarray(samples, dtype=float)
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
