"""The fills and the path of one session, and the room that a recorder needs for them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym.config import MarketConfig
from mm_gym.parameters import to_parameters
from mm_gym.recordings import open_recording

HORIZONS = (1.0, 5.0, 20.0, 50.0, 100.0)
"""[s] Times after a fill at which evaluations and replays look up the price."""

PATH_ROWS_PER_FILL = 10
"""Number of path rows that an environment has room for, per fill that it has room for."""

_FIRST_FILLS = 1024
_ROWS_PER_EVENT = 1.2  # path rows per expected event


class Recorded(NamedTuple):
    """The fills and the path of one session. They hold privileged information, for evaluation."""

    fills: npt.NDArray[Any]
    """One row of `layout.FILL_ROW` for each fill of the agent."""
    path: npt.NDArray[Any]
    """One row of `layout.PATH_ROW` for each change of public mid, efficient price or inventory."""

    def later_prices(
        self, end: float, horizons: Sequence[float] = HORIZONS
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Public mid and efficient price [ticks] at each horizon after each fill.

        Args:
            end: [s] until when the session was recorded.
            horizons: [s] after the fill.

        Returns:
            Two arrays of shape (fills, horizons), NaN where the horizon passes `end`.
        """
        later = self.fills["time"][:, None] + np.asarray(horizons)
        # The last row at or before that time holds the price in force.
        found = np.searchsorted(self.path["time"], later, side="right") - 1
        within = later <= end
        return (
            np.where(within, self.path["mid"][found], np.nan),
            np.where(within, self.path["efficient_price"][found], np.nan),
        )


def recorder_room(config: MarketConfig) -> tuple[int, int]:
    """Numbers of fill and path rows that suffice for most sessions of this configuration."""
    if config.makers == "recorded":
        recording = open_recording(config.data)
        events = config.session_length * len(recording.events) / max(1.0, recording.seconds)
        return _FIRST_FILLS, int(2.0 * _ROWS_PER_EVENT * events) + 256
    parameters, makers = to_parameters(config), 0.0
    if config.makers != "none":
        makers = float(parameters["maker_balance"] / parameters["maker_lifetime"])
    events = config.session_length * (config.taker_rate + makers + 1.0 / config.value_interval)
    return _FIRST_FILLS, int(_ROWS_PER_EVENT * events) + 256
