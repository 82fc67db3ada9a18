"""Exchange data: reading, replay, statistics, and calibration of a market to them.

`formats` reads the formats of exchanges and vendors, and `events` holds what they have in common.
`lobster` reads LOBSTER files together with their order book. `replay` applies them to this
package's order book. `description` computes statistics with standard errors, and `calibration` fits
a market to them. `stylised_facts` computes the facts by which order flow is judged, with bootstrap
intervals. `simulation` records a simulated market in the same form, so that both are
measured in the same way.

    python -m mm_gym.data describe MESSAGE_FILE
"""

from mm_gym.data.calibration import Calibration, calibrate
from mm_gym.data.description import DataError, Description, describe
from mm_gym.data.lobster import LobsterError, Recording, read, write
from mm_gym.data.replay import ReplayReport, RowReport, check_rows, replay
from mm_gym.data.simulation import record_market
from mm_gym.data.stylised_facts import stylised_facts

__all__ = [
    "Calibration",
    "DataError",
    "Description",
    "LobsterError",
    "Recording",
    "ReplayReport",
    "RowReport",
    "calibrate",
    "check_rows",
    "describe",
    "read",
    "record_market",
    "replay",
    "stylised_facts",
    "write",
]
