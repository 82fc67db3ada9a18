"""The expected number of orders in the book of a market, and of events to simulate.

They are computed from the fields of a configuration, since its checks need them before it exists.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import MAKER_DISTANCES


def by_distance(rates: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Rates at the distances 1, 2, ... `MAKER_DISTANCES` [ticks]; the last one applies beyond."""
    return np.array(rates)[np.minimum(np.arange(MAKER_DISTANCES), len(rates) - 1)]


def resting_orders(fields: Mapping[str, Any]) -> float:
    """Mean number of background orders on each side of the book, without takers."""
    if fields["makers"] == "zero_intelligence":
        arrivals = np.array(fields["limit_order_rates"])
        cancels = by_distance(fields["cancel_rates"])[: len(arrivals)]
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.nansum(arrivals / cancels))
    if fields["makers"] == "anchored":
        return float(fields["maker_rate"] / fields["maker_cancel_rate"])
    return 0.0


def most_resting(orders: int) -> int:
    """Largest mean number of background orders on each side for a book with room for `orders`.

    It leaves as much room again for the fluctuations.
    """
    return orders // 4


def expected_event_rate(fields: Mapping[str, Any]) -> float:
    """[1/s] Expected number of simulated events, apart from those of the agent.

    Background orders count twice, since each leaves the book again. With `refill` each lot of a
    taker may be a trade of its own, because the lots of a short queue return and trade again.

    Args:
        fields: of `MarketConfig`, checked.
    """
    makers = {
        "anchored": 2.0 * fields["maker_rate"],
        "zero_intelligence": 2.0 * sum(fields["limit_order_rates"]),
    }.get(fields["makers"], 0.0)
    flips = fields["imbalance_flip_rate"] if fields["imbalance"] > 0.0 else 0.0
    takers = fields["taker_rate"]
    if fields["refill"]:
        naive = fields["informed_kind"] == "naive"
        takers *= max(fields["taker_size"], fields["naive_taker_size"] if naive else 1.0)
    return float(takers + flips + 2.0 * makers + 1.0 / fields["value_interval"])
