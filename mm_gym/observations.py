"""The observation space, and conversions of its columns to ticks, lots and seconds.

`layout.Obs` names the columns. Functions take observations of shape (..., columns).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mm_gym.config import MarketConfig
from mm_gym.core.layout import OBSERVATION_BOUNDS, Obs
from mm_gym.core.scales import column_of_inventory, inventory_of_column, offset_of_action
from mm_gym.parameters import market_column_unit, to_parameters

_QUOTES = [Obs.BID_OFFSET, Obs.ASK_OFFSET]
_SIZES = [Obs.BID_SIZE, Obs.ASK_SIZE]


def observation_space() -> spaces.Box:
    """The observation space of one market, with the columns of `mm_gym.OBSERVATION_NAMES`."""
    low, high = np.array(OBSERVATION_BOUNDS, dtype=np.float32).T
    return spaces.Box(low.copy(), high.copy(), dtype=np.float32)


def inventory(observations: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """[lots] The inventory, shape (...). It is exact up to 100,000 lots."""
    return np.asarray(
        np.rint(inventory_of_column(observations[..., Obs.INVENTORY].astype(np.float64)))
    )


def inventory_column(lots: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The column `inventory` for inventories [lots] of any shape."""
    return np.asarray(column_of_inventory(np.asarray(lots, dtype=np.float64)))


def time_left(observations: npt.NDArray[Any], config: MarketConfig) -> npt.NDArray[np.float64]:
    """[s] The time until the close, shape (...)."""
    return np.asarray(observations[..., Obs.TIME_LEFT].astype(np.float64) * config.session_length)


def spread(observations: npt.NDArray[Any], config: MarketConfig) -> npt.NDArray[np.float64]:
    """[ticks] The public spread, shape (...)."""
    return np.asarray(
        observations[..., Obs.SPREAD].astype(np.float64)
        / float(to_parameters(config)["spread_scale"])
    )


def flows(
    observations: npt.NDArray[Any], columns: Obs | tuple[Obs, ...], config: MarketConfig
) -> npt.NDArray[np.float64]:
    """[standard deviations of noise flow] Columns of recent signed flow, shape (..., columns)."""
    return np.asarray(observations[..., columns].astype(np.float64) / market_column_unit(config))


def quote_offsets(observations: npt.NDArray[Any], config: MarketConfig) -> npt.NDArray[np.float64]:
    """[ticks] Distances of the agent's resting bid and ask from the public mid, shape (..., 2).

    A distance is `max_offset` where no quote rests, and negative where the mid has moved beyond the
    quote.
    """
    return np.asarray(
        offset_of_action(observations[..., _QUOTES].astype(np.float64), config.max_offset)
    )


def quote_lots(observations: npt.NDArray[Any], config: MarketConfig) -> npt.NDArray[np.float64]:
    """[lots] Unfilled sizes of the agent's resting bid and ask, shape (..., 2); 0 without one."""
    return np.rint(0.5 * observations[..., _SIZES].astype(np.float64) * config.quote_size)
