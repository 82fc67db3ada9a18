"""What exchange data say, and a market like them.

python -m mm_gym.data MESSAGE_FILE [ORDERBOOK_FILE] [--replay] [--compare]
"""

import argparse
import sys
from collections.abc import Sequence

from mm_gym.config import ConfigurationError, configure
from mm_gym.data.calibration import calibrate
from mm_gym.data.description import DataError, describe
from mm_gym.data.lobster import LobsterError, read
from mm_gym.data.replay import check_rows, replay
from mm_gym.data.simulation import record_market

_WIDTH = 80
_COMPARED = 3600.0  # [s] of each simulated market


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the files, print the tables, and end with the call that makes the calibrated market.

    Raises:
        LobsterError, DataError, ConfigurationError: if the files or arguments cannot be used.
    """
    given = _parser().parse_args(arguments)
    from rich.console import Console

    from mm_gym.data import tables

    console = Console(width=_WIDTH, highlight=False)
    recording = read(given.message_file, given.orderbook_file, given.tick)
    data = describe(recording, given.lot_size)
    console.print(tables.description_table(data), "")
    if given.replay:
        console.print(tables.replay_table(check_rows(recording), replay(recording)[1]), "")
    calibration = calibrate(data, given.signal_share)
    if given.compare:
        markets = {
            name: describe(
                record_market(config, _COMPARED, 0, data.n_levels, data.lot_size), data.lot_size
            )
            for name, config in (("default", configure()), ("calibrated", calibration.config))
        }
        console.print(tables.comparison_table(data, markets), "")
    console.print(tables.calibration_table(calibration))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mm_gym.data",
        description="What exchange data in LOBSTER's format say, and a market like them.",
    )
    parser.add_argument("message_file", metavar="MESSAGE_FILE")
    parser.add_argument(
        "orderbook_file",
        metavar="ORDERBOOK_FILE",
        nargs="?",
        help="by default the message file's name with orderbook in place of message",
    )
    parser.add_argument(
        "--tick",
        type=int,
        help="tick in 1/10,000 of the currency; by default what all prices share",
    )
    parser.add_argument("--lot-size", type=int, default=100, help="shares in a lot (default: 100)")
    parser.add_argument(
        "--signal-share",
        type=float,
        default=0.0,
        help="share of the price's variance that the signal predicts (default: 0)",
    )
    parser.add_argument(
        "--replay", action="store_true", help="replay the messages into the order book and compare"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="stylised facts of the default and the calibrated market beside the data's",
    )
    return parser


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as error:
        sys.exit(
            f"mm_gym.data: {error.name} is not installed; write pip install 'mm-gym[evaluate]'"
        )
    except (LobsterError, DataError, ConfigurationError) as error:
        sys.exit(f"mm_gym.data: {error}")
