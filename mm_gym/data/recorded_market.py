"""Recorded events in the form that a market of the regime `replay` steps through.

The recorded flow does not depend on the agent. So the recorded orders run through the order book
once, when the file is first opened. Each event gets the place of its order in the queue, and each
price level gets the history of its size. A market then starts at any time without a replay from the
beginning, and all markets of a process share these arrays. Of large files they are kept in a file
beside the data (`recording_index`), which later runs open in milliseconds.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from mm_gym.core.layout import (
    ASK,
    BID,
    LARGEST_PRICE,
    LEVEL_CHANGE,
    PRICE_LEVEL,
    RECORDED_EVENT,
    RecordedKind,
)
from mm_gym.data.event_book import EventBook
from mm_gym.data.events import DataFileError, Events, Source, checked, load, read_events
from mm_gym.data.formats import open_file
from mm_gym.data.kernels import index_events
from mm_gym.data.recording_index import keep, kept, stamp

_CHUNK = 1 << 18  # rows that are indexed at once
_LARGEST_SIZE = 2**31 - 1  # [size units] of all orders at a price
_WORTH_KEEPING = 200_000  # events; fewer are indexed in a tenth of a second
_MOST_POINTS = 50_000  # of the time grid on which features are measured
_MOST_TICKS = 10**6  # of a median spread
_NS = 1e9
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RecordedMarket:
    """The events of one instrument, the places of its orders, and the history of its levels."""

    name: str
    """Name of the file."""
    events: npt.NDArray[Any]
    """Rows of `RECORDED_EVENT`, in order of time."""
    touch: npt.NDArray[np.int32]
    """Best keys of bids and asks, then the sizes there, after each event: shape (n, 4)."""
    levels: npt.NDArray[Any]
    """Rows of `PRICE_LEVEL`."""
    changes: npt.NDArray[Any]
    """Rows of `LEVEL_CHANGE`."""
    tick_size: float
    """[currency]"""
    digest: int
    """A number that other recordings have with a chance of 1 in 2^32."""
    trades: npt.NDArray[Any]
    """The visible executions among the events."""
    one_sided: npt.NDArray[np.int64]
    """First event of each time with an empty side of the book, and the first after it: (m, 2)."""
    figures: dict[str, float]
    """What `typical_fields` needs of the whole recording."""

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """What the kernels of `core.replay` take as `recording`."""
        return self.events, self.touch, self.levels, self.changes

    @property
    def span(self) -> tuple[int, int]:
        """[ns] Times of the first and the last event."""
        return int(self.events["time"][0]), int(self.events["time"][-1])

    @property
    def seconds(self) -> float:
        """[s] From the first event to the last."""
        return (self.span[1] - self.span[0]) / _NS

    def typical_fields(self, lot_size: int | None = None) -> dict[str, Any]:
        """Fields of `MarketConfig` that fit this market, so that its columns vary by about a unit.

        Args:
            lot_size: [size units] in a lot. Default: the most frequent size of a new order.

        Raises:
            DataFileError: if the book never has two sides.
        """
        known = self.figures
        if lot_size is None:
            lot_size = int(known["new_order"])
        if not known["spread"] > 0.0:
            raise DataFileError(
                f"{self.name} has no mid price: expected a time with both a bid and an ask, "
                "got none"
            )
        typical_spread = max(1.0, known["spread"])
        volatility = known["volatility"]
        volatility = max(volatility, 0.05 * typical_spread) if math.isfinite(volatility) else 1.0
        trades = self.trades
        touch_lots = known["touch"] / lot_size
        money = volatility / 0.6  # moves in units of those of the default market
        return {
            "lot_size": lot_size,
            "tick_size": self.tick_size,
            "initial_price": known["first_mid"],
            "volatility": volatility,
            "taker_rate": max(len(np.unique(trades["time"])), 1) / max(self.seconds, 1.0),
            "taker_size": max(1.0, float(trades["lots"].mean()) / lot_size) if len(trades) else 1.0,
            "maker_size": max(1.0, 0.5 * touch_lots),
            # Action 0, an eighth of it, is half of the typical spread: the touch.
            "max_offset": 4.0 * typical_spread,
            "close_out_cost": 0.5 * typical_spread,
            "reward_scale": 0.1 / money,
            "inventory_penalty": 0.001 * money,
            "risk_aversion": 0.001 / money,
        }

    def deviations(
        self, interval: float, half_lives: Sequence[float], volatility_half_life: float, lot: int
    ) -> dict[str, Any]:
        """Standard deviations of the features of the observation in this market.

        Args:
            interval: [s] between two observations.
            half_lives: [s] of the features of flow and mid moves.
            volatility_half_life: [s]
            lot: [size units] in a lot.

        Returns:
            `flow` and `move`, one figure per half-life; `activity_mean` and `activity`; `spread`;
            `volatility`. Figures that cannot be measured are NaN.
        """
        interval = max(interval, self.seconds / _MOST_POINTS)
        times, mid, spread = self._on_grid(interval)
        if not len(times):
            unknown = [math.nan] * len(half_lives)
            names = ("activity_mean", "activity", "spread", "volatility")
            return {"flow": unknown, "move": unknown} | dict.fromkeys(names, math.nan)
        trades = self.trades
        bins = np.searchsorted(times, (trades["time"] - self.span[0]) / _NS)
        taker = np.where(trades["side"] == ASK, 1.0, -1.0)
        flow, volume = (
            np.bincount(bins, weights=weights, minlength=len(times) + 1)[: len(times)]
            for weights in (taker * trades["lots"] / lot, trades["lots"] / lot)
        )
        found: dict[str, Any] = {"flow": [], "move": []}
        for half_life in half_lives:
            decay = 0.5 ** (interval / half_life)
            found["flow"].append(float(_decayed(flow, decay).std()))
            mean = mid[0] + (1.0 - decay) * _decayed(mid - mid[0], decay)
            found["move"].append(float((mid - mean).std()))
        activity = _decayed(volume, 0.5 ** (interval / half_lives[1]))
        decay = 0.5 ** (interval / volatility_half_life)
        variance = (1.0 - decay) * _decayed(np.diff(mid) ** 2 / interval, decay)
        return found | {
            "activity_mean": float(activity.mean()),
            "activity": float(activity.std()),
            "spread": float(spread.std()),
            "volatility": float(np.sqrt(np.maximum(variance, 0.0)).std())
            if len(variance)
            else math.nan,
        }

    def _on_grid(self, interval: float) -> tuple[Floats, Floats, Floats]:
        """Times [s] after the first event, and mid and spread [ticks], where there are two sides.

        A time without two sides has the mid and the spread of the last time with them.
        """
        times = np.arange(interval, self.seconds, interval)
        rows = np.searchsorted(self.events["time"], self.span[0] + times * _NS, side="right") - 1
        if len(self.one_sided):
            first, end = self.one_sided[np.searchsorted(self.one_sided[:, 0], rows, "right") - 1].T
            rows = np.where((first <= rows) & (rows < end), first - 1, rows)
        known = rows >= 0
        bid, ask = _prices(self.touch[rows[known]])
        return times[known], 0.5 * (bid + ask), ask - bid

    def volatility(self) -> float:
        """[ticks / sqrt(s)] Over ten seconds or more; NaN if it cannot be measured."""
        interval = max(10.0, self.seconds / _MOST_POINTS)
        moves = np.diff(self._on_grid(interval)[1])
        return float(np.sqrt(np.mean(moves**2) / interval)) if len(moves) else math.nan


def _prices(touch: npt.NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Best bid and best ask [ticks]."""
    return touch[:, BID].astype(np.float64), -touch[:, ASK].astype(np.float64)


def open_recorded_market(path: str | Path) -> RecordedMarket:
    """Open a file of exchange data for the regime `replay`.

    Args:
        path: of a Parquet file that `convert` wrote, or of a file in another known format.

    Raises:
        DataFileError: if the file is missing, not in a known format, or cannot be replayed.
    """
    path = Path(path)
    try:
        source = stamp(path)
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
    except OSError as error:
        raise DataFileError(
            f"{path} cannot be read: expected a file of exchange data, got {error.strerror}"
        ) from error
    found = kept(path, source, _ARRAYS)
    if found is not None:
        arrays, about = found
        return RecordedMarket(name=path.name, **arrays, **about)
    market = index(read_events(path) if is_parquet else load(open_file(path)), path.name)
    if len(market.events) >= _WORTH_KEEPING:
        about = {name: getattr(market, name) for name in ("tick_size", "digest", "figures")}
        keep(path, source, {name: getattr(market, name) for name in _ARRAYS}, about)
    return market


def index(events: Events, name: str) -> RecordedMarket:
    """Run events through the order book and keep the places of orders and the sizes of levels.

    Args:
        events: of one instrument.
        name: of their file, for errors.

    Raises:
        DataFileError: if an event cannot be, or a price or a size is too large for a market.
    """
    for _ in checked(Source(name, events.price_unit, events.size_unit, iter([events.rows]))):
        pass
    for column, largest, unit in (
        ("price", LARGEST_PRICE * events.tick, "price units"),
        ("size", _LARGEST_SIZE, "size units"),
    ):
        found = int(np.abs(events.rows[column]).max())
        if found > largest:
            raise DataFileError(
                f"{name} has a {column} that is too large for a market: "
                f"expected at most {largest:,} {unit}, got {found:,}"
            )
    rows, touch = _Indexer().index(events)
    levels, changes = _level_histories(rows)
    if len(changes) and changes["lots"].max() > _LARGEST_SIZE:
        raise DataFileError(
            f"{name} has a queue that is too long for a market: "
            f"expected at most {_LARGEST_SIZE:,} size units, got {changes['lots'].max():,}"
        )
    compact = np.empty(len(changes), LEVEL_CHANGE)
    compact["event"], compact["lots"] = changes["event"], changes["lots"]
    sides = np.diff(rows["one_sided"], prepend=0, append=0)
    market = RecordedMarket(
        name,
        rows,
        touch,
        levels,
        compact,
        events.tick * events.price_unit,
        zlib.crc32(rows.view(np.uint8).data),
        rows[rows["kind"] == RecordedKind.TRADE],
        np.stack([np.flatnonzero(sides == 1), np.flatnonzero(sides == -1)], axis=1),
        {},
    )
    market.figures.update(_figures(rows, touch), volatility=market.volatility())
    return market


def _figures(rows: npt.NDArray[Any], touch: npt.NDArray[np.int32]) -> dict[str, float]:
    """The most frequent size of a new order, sizes at the touch, first mid and median spread."""
    sizes, counts = np.unique(rows["lots"][rows["kind"] == RecordedKind.JOIN], return_counts=True)
    lasts = np.diff(rows["time"], append=rows["time"][-1]) / _NS
    lasts[rows["one_sided"] == 1] = 0.0
    quoted = lasts > 0.0
    bid, ask = _prices(touch[quoted])
    return {
        "new_order": float(sizes[np.argmax(counts)]),
        "touch": float(touch[:, 2:].mean()),
        "first_mid": float(0.5 * (bid + ask)[0]) if quoted.any() else math.nan,
        "spread": _weighted_median(ask - bid, lasts[quoted]) if quoted.any() else math.nan,
    }


class _Indexer(EventBook):
    """A book that keeps the place of each order in its queue."""

    def __init__(self) -> None:
        super().__init__()
        self._added = np.zeros(len(self._ids), np.int64)

    def index(self, events: Events) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Apply events. Return rows of `RECORDED_EVENT`, and the touch after each."""
        pieces, touches = [], []
        done, n_before = 0, 0
        while done < len(events.rows):
            out = np.zeros(_CHUNK, RECORDED_EVENT)
            touch = np.zeros((_CHUNK, 4), np.int32)
            n_done, n = index_events(
                self._books, events.rows[done:], self._table, self._ids, self._added,
                events.tick, n_before, out, touch,
            )  # fmt: skip
            done += n_done
            n_before += n
            pieces.append(out[:n])
            touches.append(touch[:n])
            if done < len(events.rows) and n < _CHUNK - 1:
                self._make_room()
                more = np.zeros(len(self._ids) - len(self._added), np.int64)
                self._added = np.concatenate([self._added, more])
        rows = np.concatenate(pieces)
        halts = np.where(rows["kind"] == RecordedKind.HALT, np.arange(len(rows)), -1)
        latest = np.maximum.accumulate(halts)
        rows["halted"] = (latest >= 0) & (rows["lots"][latest] == 0)
        touch = np.concatenate(touches)
        rows["one_sided"] = (touch[:, 2:] == 0).any(axis=1)
        return rows, touch


def _level_histories(rows: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Rows of `PRICE_LEVEL`, and the size of each level after each event there.

    The sizes are 64-bit, in rows of (event, level, lots).
    """
    events = np.flatnonzero(rows["place"] >= 0)
    keys = rows["key"][events].astype(np.int64)
    # Bids before asks, and keys in order. 32-bit keys leave room for the side above them.
    place = (rows["side"][events].astype(np.int64) << 33) + keys
    order = np.argsort(place, kind="stable")
    events, place = events[order], place[order]
    kinds, lots = rows["kind"][events], rows["lots"][events].astype(np.int64)
    starts = np.ones(len(events), np.bool_)
    starts[1:] = place[1:] != place[:-1]
    first = np.flatnonzero(starts)
    sizes = np.cumsum(np.where(kinds == RecordedKind.JOIN, lots, -lots))
    before = np.concatenate([[0], sizes[first[1:] - 1]]) if len(first) else sizes
    level = np.cumsum(starts) - 1
    levels = np.zeros(len(first), PRICE_LEVEL)
    levels["first"], levels["end"] = first, np.append(first[1:], len(events))
    levels["key"], levels["side"] = rows["key"][events[first]], rows["side"][events[first]]
    changes = np.zeros(len(events), np.dtype([("event", "i8"), ("level", "i8"), ("lots", "i8")]))
    changes["event"], changes["level"] = events, level
    changes["lots"] = sizes - before[level] if len(first) else sizes
    return levels, changes


def _decayed(steps: npt.NDArray[Any], decay: float) -> Floats:
    """The sum of steps of which each loses the share 1 - decay with every later one."""
    return np.asarray(lfilter([1.0], [1.0, -decay], steps))


def _weighted_median(values: Floats, weights: Floats) -> float:
    """The weighted median of whole numbers."""
    lowest = values.min()
    above = np.minimum(values - lowest, _MOST_TICKS).astype(np.int64)
    total = np.cumsum(np.bincount(above, weights))
    return float(lowest + np.searchsorted(total, 0.5 * total[-1]))


_ARRAYS = {
    "events": RECORDED_EVENT,
    "touch": np.dtype(np.int32),
    "levels": PRICE_LEVEL,
    "changes": LEVEL_CHANGE,
    "trades": RECORDED_EVENT,
    "one_sided": np.dtype(np.int64),
}
"""Fields of `RecordedMarket` that are kept in a file."""
