"""Markets for experiments on the core: started from plain seeds, without Gymnasium."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.actions import from_ticks
from mm_gym.config import configure
from mm_gym.markets import Markets

FLOW_REGIMES = ("noise", "imbalanced", "naive_informed", "informed", "mixed")
"""Those that must share price paths and taker arrivals."""


def start(markets: Markets, seed: int) -> npt.NDArray[np.float64]:
    """Begin a session in every market; market i of seed n always begins alike. Returns the
    outcomes, a row each."""
    observations, outcomes = markets.empty_results()
    generators = [np.random.default_rng([seed, i]) for i in range(len(markets))]
    markets.reset(np.arange(len(markets)), generators, observations, outcomes)
    return outcomes


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
    """`n` markets of a regime, some fields overridden, at the start of a session."""
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
    """The action that asks every market for these offsets from the mid [ticks]."""
    ticks = np.broadcast_to(np.array([bid, ask]), (len(markets), 2))
    return from_ticks(ticks, float(markets.records["parameters"]["max_offset"][0]))


def step(markets: Markets, bid: float = 2.0, ask: float = 2.0) -> npt.NDArray[np.float64]:
    """One decision of every market, with quotes at these offsets [ticks]; the outcomes, a row
    each."""
    return markets.step(offsets(markets, bid, ask))[1]


def assert_agrees(estimate: float, expected: float, standard_error: float, what: str = "") -> None:
    """Within four standard errors, which chance alone leaves once in sixteen thousand; seeds are
    fixed."""
    distance = abs(estimate - expected) / standard_error
    assert standard_error > 0.0
    assert distance < 4.0, (
        f"{what}: {estimate} is {distance:.1f} standard errors ({standard_error}) from {expected}"
    )


def mean_and_error(samples: npt.ArrayLike) -> tuple[float, float]:
    """The mean of independent samples and its standard error."""
    values = np.asarray(samples, dtype=float)
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
