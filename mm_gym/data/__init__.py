"""Exchange data: what a real market did, in this package's words.

`lobster` reads LOBSTER files, `replay` drives them through the package's own order book,
`description` says what they show, each figure with its standard error, `calibration` makes a market
like it, and `simulation` writes a simulated market as an exchange would, so that both can be held
against the same measure.

python -m mm_gym.data MESSAGE_FILE
"""

from mm_gym.data.calibration import Calibration, calibrate
from mm_gym.data.description import DataError, Description, describe
from mm_gym.data.lobster import LobsterError, Recording, read, write
from mm_gym.data.replay import ReplayReport, RowReport, check_rows, replay
from mm_gym.data.simulation import record_market

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
    "write",
]
