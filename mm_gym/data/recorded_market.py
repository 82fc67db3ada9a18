"""A recorded market: its events, and what they say about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from mm_gym.core.layout import ASK, BID, RecordedKind
from mm_gym.data.events import DataFileError

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


def figures(rows: npt.NDArray[Any], touch: npt.NDArray[np.int32]) -> dict[str, float]:
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


def _decayed(steps: npt.NDArray[Any], decay: float) -> Floats:
    """The sum of steps of which each loses the share 1 - decay with every later one."""
    return np.asarray(lfilter([1.0], [1.0, -decay], steps))


def _weighted_median(values: Floats, weights: Floats) -> float:
    """The weighted median of whole numbers."""
    lowest = values.min()
    above = np.minimum(values - lowest, _MOST_TICKS).astype(np.int64)
    total = np.cumsum(np.bincount(above, weights))
    return float(lowest + np.searchsorted(total, 0.5 * total[-1]))
