"""Exchange data on the command line: describe, calibrate, facts, replay, convert and export.

python -m mm_gym.data describe MESSAGE_FILE
python -m mm_gym.data facts MESSAGE_FILE
python -m mm_gym.data calibrate MESSAGE_FILE --out market.json
python -m mm_gym.data replay MESSAGE_FILE
python -m mm_gym.data convert FILE day.parquet --symbol AAPL
python -m mm_gym.data export message.csv --regime informed
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from mm_gym.command import run_command
from mm_gym.config import MarketConfig, configure
from mm_gym.data.blocks import Blocks
from mm_gym.data.calibration import calibrate
from mm_gym.data.description import describe
from mm_gym.data.events import convert
from mm_gym.data.formats import FORMATS, open_file
from mm_gym.data.lobster import Recording, order_book_of, read, read_messages, write
from mm_gym.data.replay import check_rows, rebuild, replay
from mm_gym.data.simulation import record_market
from mm_gym.data.stylised_facts import Fact, stylised_facts
from mm_gym.market_file import read_market, write_market
from mm_gym.regimes import REGIMES

_WIDTH = 80
_LEVELS = 10  # per side of a rebuilt book
_COMPARED = 3600.0  # [s] of each simulated market
_LEAST = {"tick": 1, "levels": 1, "lot_size": 1, "sessions": 1, "seed": 0}
"""The smallest value of each whole number on the command line."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and print what it found.

    Args:
        arguments: of the command line. Default: `sys.argv`.

    Raises:
        ValueError: if a file is not in its format, the data do not allow what is asked for, or a
            configuration is out of range.
        OSError: if a file cannot be written.
    """
    given = _parser().parse_args(arguments)
    for name, least in _LEAST.items():
        value = getattr(given, name, None)
        if value is not None and value < least:
            raise ValueError(
                f"--{name.replace('_', '-')} is out of range: expected a whole number, at least "
                f"{least}, got {value}"
            )
    from rich.console import Console

    given.run(given, Console(width=_WIDTH, highlight=False))


def _describe(given: argparse.Namespace, console: Any) -> None:
    from mm_gym.data import tables

    console.print(tables.description_table(describe(_recording(given), given.lot_size)))


def _calibrate(given: argparse.Namespace, console: Any) -> None:
    from mm_gym.data import tables

    data = describe(_recording(given), given.lot_size)
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
    if given.out is not None:
        write_market(calibration.config, given.out)
        console.print(f"\nMarket: {given.out}", soft_wrap=True)


def _facts(given: argparse.Namespace, console: Any) -> None:
    from mm_gym.data import tables

    found: dict[str, dict[str, Fact]] = {}
    notes: list[str] = []
    compared = {}
    with console.status("Facts") as status:
        for path in given.message_files:
            name = path.name.split("_")[0]
            status.update(name)
            recording = _recording(argparse.Namespace(**vars(given), message_file=path))
            found[name] = stylised_facts([recording], given.lot_size)
            seconds = recording.duration / Blocks(recording.messages["time"]).n_blocks
            notes.append(f"Intervals of {name}: block bootstrap, blocks of {seconds:.0f} s.")
            compared[f"{name} calibrated"] = name
            config = calibrate(describe(recording, given.lot_size)).config
            found[f"{name} calibrated"] = _session_facts(config, given)
        for regime in given.regimes.split(",") if given.regimes else []:
            status.update(regime)
            try:
                found[regime] = _session_facts(configure(regime), given)
            except ValueError as error:  # a market without background makers or without its data
                if regime not in REGIMES:
                    raise
                notes.append(f"{regime} is left out: {error}.")
    notes.append(
        f"Markets: {given.sessions} sessions without an agent, seeds from {given.seed}. Their "
        "intervals: bootstrap over sessions."
    )
    console.print(tables.facts_tables(found, compared), *notes, sep="\n")
    if given.out is not None:
        with given.out.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["source", "fact", *Fact._fields])
            writer.writerows(
                [n, f, *fact] for n, facts in found.items() for f, fact in facts.items()
            )
        console.print(f"Facts: {given.out}", soft_wrap=True)


def _session_facts(config: MarketConfig, given: argparse.Namespace) -> dict[str, Fact]:
    """The facts of sessions of a market, one seed each."""
    seconds = config.session_length if given.seconds is None else given.seconds
    recordings = [
        record_market(config, seconds, given.seed + session, _LEVELS, given.lot_size)
        for session in range(given.sessions)
    ]
    return stylised_facts(recordings, given.lot_size)


def _replay(given: argparse.Namespace, console: Any) -> None:
    from mm_gym.data import tables

    order_book_file = _order_book_file(given)
    recording = _recording(given)
    if order_book_file is None:
        console.print(
            f"{len(recording)} messages are applied to an empty book. Nothing is compared, because "
            "there is no order book file."
        )
    else:
        console.print(tables.replay_table(check_rows(recording), replay(recording)[1]))


def _convert(given: argparse.Namespace, console: Any) -> None:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    source = open_file(given.file, given.format, given.symbol)
    columns = SpinnerColumn(), TextColumn("{task.completed:,.0f} events"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        n = convert(source, given.out, lambda done: progress.update(bar, completed=done))
    console.print(f"{n:,} events: {given.out}", soft_wrap=True)


def _export(given: argparse.Namespace, console: Any) -> None:
    if given.market is not None and given.regime is not None:
        raise ValueError(
            f"--regime has no effect with --market: expected none, got {given.regime} "
            "(leave one of them out)"
        )
    order_book_file = order_book_of(given.message_file)
    config = (
        configure(given.regime or "noise") if given.market is None else read_market(given.market)
    )
    recording = record_market(config, given.seconds, given.seed, given.levels, given.lot_size)
    write(recording, given.message_file, order_book_file)
    console.print(
        f"{len(recording):,} messages: {given.message_file} and {order_book_file}", soft_wrap=True
    )


def _order_book_file(given: argparse.Namespace) -> Path | None:
    """The order book file: the one that is named, else the one beside the message file, if any."""
    if given.orderbook_file is not None:
        return Path(given.orderbook_file)
    if "message" not in given.message_file.name:
        return None
    beside = order_book_of(given.message_file)
    return beside if beside.exists() else None


def _recording(given: argparse.Namespace) -> Recording:
    order_book_file = _order_book_file(given)
    if order_book_file is not None:
        if given.levels is not None:
            raise ValueError(
                f"--levels has no effect with an order book file: expected none, got "
                f"{given.levels} beside {order_book_file} (leave it out)"
            )
        return read(given.message_file, order_book_file, given.tick)
    return rebuild(read_messages(given.message_file), given.levels or _LEVELS, given.tick)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(
            f"the command line is wrong: expected what {self.prog} --help shows, got {message}"
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m mm_gym.data", description="Read, describe and convert exchange data."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    lobster = []
    for name, run, text in (
        ("describe", _describe, "statistics of LOBSTER files, with standard errors"),
        ("calibrate", _calibrate, "a market with the statistics of LOBSTER files"),
        ("replay", _replay, "apply the messages to the order book and compare it with the rows"),
    ):
        added = command(name, run, text)
        added.add_argument("message_file", metavar="MESSAGE_FILE", type=Path)
        added.add_argument(
            "orderbook_file",
            metavar="ORDERBOOK_FILE",
            nargs="?",
            type=Path,
            help="default: the message file's name with orderbook in place of message; without "
            "such a file, the book is rebuilt from the messages",
        )
        lobster.append(added)
    added = command("facts", _facts, "stylised facts of files, calibrated markets and regimes")
    added.add_argument(
        "message_files",
        metavar="MESSAGE_FILE",
        nargs="*",
        type=Path,
        help="LOBSTER files, each with the market that is calibrated to it",
    )
    added.add_argument(
        "--regimes",
        default=",".join(REGIMES),
        help="comma-separated; default: all; '' for none",
    )
    added.add_argument("--sessions", type=int, default=20, help="of each market (default: 20)")
    added.add_argument("--seconds", type=float, help="of each session; default: the market's own")
    added.add_argument("--seed", type=int, default=0, help="of the first session (default: 0)")
    added.add_argument("--out", type=Path, help="CSV file with all facts and intervals")
    added.set_defaults(orderbook_file=None, levels=None)
    lobster.append(added)

    for added in lobster:
        added.add_argument(
            "--tick",
            type=int,
            help="tick in 1/10,000 of the currency; default: the largest step that divides all "
            "prices",
        )
    for added in lobster[:3]:
        added.add_argument(
            "--levels",
            type=int,
            help=f"levels per side of a rebuilt book (default: {_LEVELS})",
        )
    for added in (lobster[0], lobster[1], lobster[3]):
        added.add_argument(
            "--lot-size", type=int, default=100, help="shares per lot (default: 100)"
        )
    lobster[1].add_argument(
        "--signal-share",
        type=float,
        default=0.0,
        help="share of the variance of price moves that the signal explains (default: 0)",
    )
    lobster[1].add_argument(
        "--compare",
        action="store_true",
        help="compare stylised facts of the data with the default and the calibrated market",
    )
    lobster[1].add_argument(
        "--out", type=Path, help="JSON file for the market, to use with --market"
    )

    added = command("convert", _convert, "write any format as a Parquet file of events")
    added.add_argument("file", metavar="FILE", type=Path)
    added.add_argument("out", metavar="OUT", type=Path, help="such as day.parquet")
    added.add_argument(
        "--format",
        choices=list(FORMATS),
        help="default: found from the file. "
        + "; ".join(f"{name}: {text}" for name, text in FORMATS.items()),
    )
    added.add_argument("--symbol", help="the instrument, in files with several")

    added = command("export", _export, "simulate a market and write LOBSTER files of it")
    added.add_argument(
        "message_file",
        metavar="MESSAGE_FILE",
        type=Path,
        help="with message in its name; the order book file gets orderbook in its place",
    )
    added.add_argument("--regime", choices=list(REGIMES), help="default: noise")
    added.add_argument("--market", type=Path, help="JSON file of `calibrate --out`, for --regime")
    added.add_argument("--seconds", type=float, default=3600.0, help="default: 3600")
    added.add_argument("--seed", type=int, default=0, help="default: 0")
    added.add_argument("--levels", type=int, default=_LEVELS, help="levels per side (default: 10)")
    added.add_argument("--lot-size", type=int, default=100, help="shares per lot (default: 100)")
    return parser


def _command() -> None:
    try:
        main()
    except ModuleNotFoundError as error:
        raise ValueError(
            f"a package is missing: expected {error.name} to be installed, got none "
            "(write pip install 'mm-gym[data]')"
        ) from error


if __name__ == "__main__":
    run_command("mm_gym.data", _command)
