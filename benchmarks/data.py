"""How fast exchange data are read, converted, replayed into the order book, and traded in.

python -m benchmarks.data

The files are made up: a million orders that come and go near one price. Rates are per second of
processor time. Steps are those of 64 markets, in the regime `replay` with 25 events a second, as
AAPL had in 2012, and with 130, and in the regime `informed`.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console

from benchmarks.turns import processor_time, result_table
from mm_gym import MarketConfig, configure
from mm_gym.data.event_book import EventBook
from mm_gym.data.events import (
    BUY,
    SELL,
    EventKind,
    Events,
    Source,
    checked,
    convert,
    load,
    read_events,
)
from mm_gym.data.formats import open_file
from mm_gym.data.indexing import index, open_recorded_market
from mm_gym.markets import Markets

_LIVE = 500  # orders that are in the book at a time


def itch_file(path: Path, n: int) -> None:
    """Write n additions and n deletions of Nasdaq TotalView-ITCH 5.0."""
    rng = np.random.default_rng(0)
    ids = np.arange(1, n + 1)
    additions = np.zeros((n, 38), np.uint8)
    additions[:, 1], additions[:, 2], additions[:, 4] = 36, ord("A"), 7
    additions[:, 7:13] = _bytes(ids * 1000, 6)
    additions[:, 13:21] = _bytes(ids, 8)
    buys = rng.random(n) < 0.5
    additions[:, 21] = np.where(buys, ord("B"), ord("S"))
    additions[:, 25] = rng.integers(1, 100, n)
    additions[:, 26:34] = np.frombuffer(b"TEST    ", np.uint8)
    depth = rng.geometric(0.2, n)
    additions[:, 34:38] = _bytes(1_000_000 + 100 * np.where(buys, -depth, depth), 4)
    deletions = np.zeros((n, 21), np.uint8)
    deletions[:, 1], deletions[:, 2], deletions[:, 4] = 19, ord("D"), 7
    deletions[:, 7:13] = _bytes((ids + _LIVE) * 1000, 6)
    deletions[:, 13:21] = _bytes(ids, 8)
    directory = b"R" + (7).to_bytes(2, "big") + bytes(8) + b"TEST    " + b" " * 20
    start = b"S" + bytes(10) + b"O"
    with path.open("wb") as file:
        for message in (start, directory):
            file.write(len(message).to_bytes(2, "big") + message)
        file.write(additions[:_LIVE].tobytes())
        for first in range(0, n, _LIVE):  # blocks, with the orders of the block before deleted
            file.write(_alternating(additions[first + _LIVE :][:_LIVE], deletions[first:][:_LIVE]))


def _alternating(additions: np.ndarray, deletions: np.ndarray) -> bytes:
    """Additions and deletions by turns, and then the deletions that are left."""
    n = len(additions)
    pairs = np.concatenate([additions, deletions[:n]], axis=1)
    return pairs.tobytes() + deletions[n:].tobytes()


def _bytes(values: np.ndarray, length: int) -> np.ndarray:
    """The big-endian bytes of whole numbers, shape (n, length)."""
    return values.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 8 - length :]


def lobster_file(path: Path, events: np.ndarray) -> None:
    """Write events of kinds add and cancel as a LOBSTER message file."""
    kinds = np.where(events["kind"] == EventKind.ADD, 1, 3)
    with path.open("w") as file:
        for time_, kind, side, order_id, price, size in zip(
            events["time"] / 1e9,
            kinds,
            events["side"],
            events["order_id"],
            events["price"],
            events["size"],
            strict=True,
        ):
            file.write(f"{time_:.9f},{kind},{order_id},{size},{price},{side}\n")


def rate(n: int, action: Callable[[], object], turns: int) -> float:
    """Events per second of processor time, the best of several turns after one to warm up."""
    action()
    return n / min(processor_time(action) for _ in range(turns))


def recording(path: Path, rows: np.ndarray, per_second: int) -> None:
    """Write events as a recording with so many a second, and a tenth of the deletions executed."""
    slow = rows.copy()
    slow["time"] = np.arange(len(rows)) * (10**9 // per_second)
    cancelled = np.flatnonzero(rows["kind"] == EventKind.CANCEL)
    slow["kind"][cancelled[::10]] = EventKind.EXECUTE
    convert(Source("made up", 1e-4, 1.0, iter([slow])), path)


def _read(path: Path) -> Events:
    """The events of a file of any known format."""
    return read_events(path) if path.suffix == ".parquet" else load(open_file(path))


def step_rate(config: MarketConfig, turns: int, n: int = 64, steps: int = 200) -> float:
    """Agent steps per second of processor time of `n` markets, with quotes that stay."""
    markets = Markets(config, n)
    offsets = np.zeros((n, 2), np.float32)
    markets.start(np.random.default_rng(i) for i in range(n))
    return rate(n * steps, lambda: [markets.step(offsets) for _ in range(steps)], turns)


def main(events: int = 1_000_000, turns: int = 3, data: Path | None = None) -> None:
    """Measure the rates, and print a table.

    Args:
        events: Number of events of each file.
        turns: Number of turns.
        data: File of exchange data to step in. Default: a made-up one.
    """
    table = result_table(None, "measurement", "million/s", "target")
    with tempfile.TemporaryDirectory() as folder:
        itch, lobster, out = (
            Path(folder) / name for name in ("d.itch", "message.csv", "d.parquet")
        )
        itch_file(itch, events // 2)
        rows = load(open_file(itch)).rows
        assert set(np.unique(rows["side"])) == {BUY, SELL}
        lobster_file(lobster, rows)
        convert(open_file(itch), out)
        for name, target, action in (
            ("ITCH, read", "1", lambda: [len(chunk) for chunk in checked(open_file(itch))]),
            ("ITCH, converted to Parquet", "1", lambda: convert(open_file(itch), out)),
            ("LOBSTER, converted to Parquet", "1", lambda: convert(open_file(lobster), out)),
            ("Parquet, opened", "", lambda: read_events(out)),
            ("events into the book", "5", lambda: EventBook().apply(rows)),
            ("the same, ten levels after each", "", lambda: EventBook().apply(rows, 10)),
        ):
            table.add_row(name, f"{rate(len(rows), action, turns) / 1e6:.1f}", target)
        files = {"your recorded market": data} if data is not None else {}
        for per_second in () if files else (25, 130):
            path = Path(folder) / f"{per_second}.parquet"
            recording(path, rows, per_second)
            files[f"a recorded market, {per_second} events a second"] = path
        first = next(iter(files.values()))
        n = len(open_recorded_market(first).events)
        for name, action in (
            ("a recorded market, opened for the first time", lambda: index(_read(first), "")),
            ("the same, opened again", lambda: open_recorded_market(first)),
        ):
            table.add_row(name, f"{rate(n, action, turns) / 1e6:.1f}", "")
        steps = 200 * (turns + 1)
        generated = step_rate(configure("informed", session_steps=steps), turns)
        table.add_row("steps in generated markets", f"{generated / 1e6:.2f}", "")
        for name, path in files.items():
            steps_in = step_rate(configure("replay", data=str(path), session_steps=steps), turns)
            table.add_row(f"steps in {name}", f"{steps_in / 1e6:.2f}", f"{generated / 3e6:.2f}")
    Console(width=80).print(table)


if __name__ == "__main__":
    tyro.cli(main)
