"""Statistics of exchange data, and a market calibrated to them.

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
    """Read the files, print the tables, and print the call that makes the calibrated market.

    Args:
        arguments: of the command line. Default: `sys.argv`.

    Raises:
        LobsterError: if a file is missing or not in LOBSTER's format.
        DataError: if the data do not allow a calibration.
        ConfigurationError: if the calibrated configuration is out of range.
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
        description="Statistics of exchange data in LOBSTER's format, and a market calibrated to "
        "them.",
    )
    parser.add_argument("message_file", metavar="MESSAGE_FILE")
    parser.add_argument(
        "orderbook_file",
        metavar="ORDERBOOK_FILE",
        nargs="?",
        help="default: the message file's name with orderbook in place of message",
    )
    parser.add_argument(
        "--tick",
        type=int,
        help="tick in 1/10,000 of the currency; default: the largest step that divides all prices",
    )
    parser.add_argument("--lot-size", type=int, default=100, help="shares per lot (default: 100)")
    parser.add_argument(
        "--signal-share",
        type=float,
        default=0.0,
        help="share of the variance of price moves that the signal explains (default: 0)",
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="apply the messages to the order book and compare it with the file's rows",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="compare stylised facts of the data with the default and the calibrated market",
    )
    return parser


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as error:
        sys.exit(
            f"mm_gym.data: a package is missing: expected {error.name} to be installed, got none "
            "(write pip install 'mm-gym[evaluate]')"
        )
    except (LobsterError, DataError, ConfigurationError) as error:
        sys.exit(f"mm_gym.data: {error}")
