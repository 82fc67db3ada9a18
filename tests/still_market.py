"""A dealer market in which nothing happens unless a test says so."""

import math
from typing import Any

import numpy.typing as npt

from mm_gym.markets import Markets
from tests.core.kit import started, step

# Only the agent quotes, the price stays at 10,000 ticks, and takers accept every price. They come
# when a test says so.
STILL: dict[str, Any] = {
    "volatility": 0.0,
    "taker_rate": 1e-9,
    "taker_tolerance": math.inf,
    "requote_threshold": 0.0,
}


def dealer(**fields: Any) -> Markets:
    return started(1, "dealer", fill_rows=50, path_rows=500, **STILL | fields)


def taker_at(markets: Markets, time: float) -> None:
    """Let the next taker come at this time [s]. The side is random."""
    markets.records["next_taker"] = time


def account(markets: Markets) -> Any:
    return markets.records[0]["account"]


def fills_after(markets: Markets, times: list[float], half_spread: float) -> npt.NDArray[Any]:
    """The fills of takers at these times, one a decision, with quotes at this half-spread."""
    for time in times:
        taker_at(markets, time)
        step(markets, half_spread, half_spread)
    return markets.recorded(0).fills
