"""Statistics of exchange data: rates, sizes, spread, volatility and dependence of trades.

Each figure has a standard error from blocks of time (`mm_gym.data.blocks`). The intraday pattern
(busy at the open, quiet at noon) counts as variation between blocks, which makes the errors large.

**Trades.** The order of one taker may execute against several resting orders, with one message for
each. Consecutive executions of visible orders with the same side and time stamp count as one trade.
Hidden executions are counted separately, because they take nothing from the visible book.

**Cancel rates** are shares cancelled per resting share and second, because the rows show shares and
not orders. If the rate does not depend on the size of an order, it is also the rate per order.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize

from mm_gym.data.blocks import (
    Array,
    Blocks,
    correlation,
    jackknife,
    kurtosis,
    root_of_ratio,
    variation,
)
from mm_gym.data.lobster import BUY, PRICES_PER_CURRENCY_UNIT, SELL, MessageType, Recording
from mm_gym.errors import SentenceError

LAGS = (1, 2, 5, 10, 20, 50)  # [trades]
VOLATILITY_INTERVALS = (1.0, 10.0, 60.0)  # [s]
# Bin edges: above one edge, up to and including the next. One lot has a bin of its own.
_SPREAD_BINS = (0, 1, 2, 4, 8, 16, 32, 64)  # [ticks]
_SIZE_BINS = (1.0, 2.0, 5.0, 10.0)  # [lots]

TRADE = np.dtype([("time", "f8"), ("sign", "i8"), ("size", "i8"), ("row", "i8")])


class DataError(SentenceError):
    """Data or arguments that do not allow the figure or the calibration asked for."""


class Figure(NamedTuple):
    """An estimate and its standard error; NaN if the data do not allow an estimate."""

    section: str
    label: str
    unit: str
    value: float
    standard_error: float


@dataclass(frozen=True)
class Description:
    """The figures of one recording by name, and the recording's units and size."""

    figures: dict[str, Figure]
    duration: float
    """[s] From the first message to the last."""
    n_messages: int
    n_levels: int
    tick_size: float
    """[currency]"""
    lot_size: int
    """[shares]"""
    first_mid: float
    """[ticks]"""
    n_blocks: int
    """Number of blocks behind the standard errors."""

    def __getitem__(self, name: str) -> Figure:
        return self.figures[name]


def trades(messages: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The trades of a recording: takers' orders that executed against visible orders.

    Returns:
        Rows of `TRADE`: time [s], sign (+1 for a taker's buy, -1 for a sell), size [shares], and
        the row of the first message.
    """
    rows = np.flatnonzero(messages["type"] == MessageType.VISIBLE_EXECUTION)
    hits = messages[rows]
    starts = np.ones(len(hits), dtype=np.bool_)
    starts[1:] = (np.diff(hits["time"]) > 0.0) | (np.diff(hits["side"]) != 0)
    found = np.zeros(int(starts.sum()), dtype=TRADE)
    found["time"], found["sign"], found["row"] = (
        hits["time"][starts],
        -hits["side"][starts],
        rows[starts],
    )
    if len(found):
        found["size"] = np.add.reduceat(hits["size"], np.flatnonzero(starts))
    return found


def describe(recording: Recording, lot_size: int = 100) -> Description:
    """Compute the figures of a recording.

    Args:
        recording: of an exchange, or of a simulated market (`record_market`).
        lot_size: [shares] in a lot.

    Raises:
        DataError: if the lot size is out of range, the recording has no duration, or its book never
            has two sides.
    """
    if not isinstance(lot_size, (int, np.integer)) or lot_size < 1:
        raise DataError(
            f"lot_size={lot_size!r} is out of range: expected a whole number of shares, at least "
            f"1, got {lot_size!r} (write for example 100)"
        )
    if len(recording) < 2 or recording.duration <= 0.0:
        raise DataError(
            "the recording is too short: expected at least two messages at different times, "
            f"got {len(recording)} within {recording.duration if len(recording) else 0.0:g} s"
        )
    measure = _Measure(recording, lot_size)
    if not measure.two_sided.any():
        raise DataError(
            "the recording has no mid price: expected at least one row with both a bid and an ask, "
            "got none"
        )
    for section, add_figures in (
        ("Rates", measure.rates),
        ("Sizes", measure.sizes),
        ("Spread and depth", measure.book),
        ("Price", measure.prices),
        ("Dependence of trades", measure.dependence),
    ):
        measure.section = section
        add_figures()
    return Description(
        measure.figures,
        recording.duration,
        len(recording),
        recording.n_levels,
        recording.tick_size / PRICES_PER_CURRENCY_UNIT,
        lot_size,
        float(measure.mid[measure.two_sided][0]),
        measure.n_blocks,
    )


class _Measure(Blocks):
    """The figures of one recording, added section by section."""

    def __init__(self, recording: Recording, lot_size: int) -> None:
        super().__init__(recording.messages["time"])
        self.figures: dict[str, Figure] = {}
        self.section = ""
        self.messages, self.lot_size = recording.messages, lot_size
        self.n_levels = recording.n_levels
        self.trades = trades(self.messages)
        order_book = recording.order_book
        self.resting = {
            side: (order_book[f"{name}_price"], order_book[f"{name}_size"])
            for side, name in ((BUY, "bid"), (SELL, "ask"))
        }
        (bid, bid_size), (ask, ask_size) = self.resting[BUY], self.resting[SELL]
        self.two_sided = (bid_size[:, 0] > 0) & (ask_size[:, 0] > 0)
        self.mid = np.where(
            self.two_sided, 0.5 * (bid[:, 0] + ask[:, 0]) / recording.tick_size, np.nan
        )
        self.spread = np.where(
            self.two_sided, (ask[:, 0] - bid[:, 0]) / recording.tick_size, np.nan
        )
        self.seconds = self.integral(np.ones(len(self.time)))

    def add(
        self, name: str, label: str, unit: str, sums: list[Array], function: Callable[..., float]
    ) -> None:
        """Add a figure to the present section: a function of sums over blocks."""
        self.figures[name] = Figure(self.section, label, unit, *self.estimate(sums, function))

    def add_ratio(self, name: str, label: str, unit: str, above: Array, below: Array) -> None:
        """Add a ratio of two sums over blocks."""
        self.add(name, label, unit, [above, below], lambda a, b: a / b)

    def rates(self) -> None:
        """Rates of limit orders, trades and cancellations."""
        kind, side = self.messages["type"], self.messages["side"]
        cancels = np.isin(kind, [MessageType.PARTIAL_CANCELLATION, MessageType.DELETION])
        for number, name in ((BUY, "bid"), (SELL, "ask")):
            chosen = (kind == MessageType.NEW_LIMIT_ORDER) & (side == number)
            self._rate(f"limit_orders_{name}", f"limit orders, {name}", self.time[chosen])
        for number, name in ((1, "buys"), (-1, "sells")):
            chosen = self.trades["sign"] == number
            self._rate(f"trades_{name}", f"trades, taker {name}", self.trades["time"][chosen])
        hidden = self.time[kind == MessageType.HIDDEN_EXECUTION]
        self._rate("hidden_executions", "executions of hidden orders", hidden)
        for number, name in ((BUY, "bid"), (SELL, "ask")):
            chosen = cancels & (side == number)
            self._rate(f"cancels_{name}", f"cancellations, {name}", self.time[chosen])
        self._cancel_rate("cancel_rate_best", "cancel rate of shares at the best", cancels, 1)
        if self.n_levels > 1:
            label = f"cancel rate of shares in {self.n_levels} levels"
            self._cancel_rate("cancel_rate_in_view", label, cancels, self.n_levels)

    def _rate(self, name: str, label: str, time: Array) -> None:
        """Add a number of events per second."""
        self.add_ratio(name, label, "1/s", self.total(time), self.seconds)

    def _cancel_rate(
        self, name: str, label: str, cancels: npt.NDArray[np.bool_], n_levels: int
    ) -> None:
        """Shares cancelled in the best `n_levels` levels per share resting there and second."""
        shares, exposure = np.zeros(self.n_blocks), np.zeros(self.n_blocks)
        for number, (price, size) in self.resting.items():
            shown = size[:-1, n_levels - 1] > 0
            worst = np.where(shown, price[:-1, n_levels - 1], -number * np.iinfo(np.int64).max)
            counted = cancels[1:] & (self.messages["side"][1:] == number)
            counted &= number * self.messages["price"][1:] >= number * worst
            shares += self.total(self.time[1:][counted], self.messages["size"][1:][counted])
            exposure += self.integral(size[:, :n_levels].sum(axis=1))
        self.add_ratio(name, label, "1/s", shares, exposure)

    def sizes(self) -> None:
        """Sizes of trades and limit orders."""
        enters = self.messages[self.messages["type"] == MessageType.NEW_LIMIT_ORDER]
        for name, label, events in (
            ("trade", "trade", self.trades),
            ("limit_order", "limit order", enters),
        ):
            lots, time = events["size"] / self.lot_size, events["time"]
            number = self.total(time)
            shares = self.total(time, lots)
            self.add_ratio(f"{name}_size", f"{label}, mean", "lots", shares, number)
            for bin_name, bin_label, chosen in _size_bins(lots):
                full_name, counted = f"{name}_size_{bin_name}", self.total(time[chosen])
                self.add_ratio(full_name, f"{label}, {bin_label}", "share", counted, number)
        hidden = self.messages[self.messages["type"] == MessageType.HIDDEN_EXECUTION]
        hidden_shares = self.total(hidden["time"], hidden["size"])
        everything = hidden_shares + self.total(self.trades["time"], self.trades["size"])
        label = "volume executed against hidden orders"
        self.add_ratio("hidden_volume", label, "share", hidden_shares, everything)

    def book(self) -> None:
        """Spread and size at the best prices, as means over time."""
        quoted = self.integral(self.two_sided)
        self.add_ratio("spread", "spread, mean", "ticks", self.integral(self.spread), quoted)
        for low, high in zip(_SPREAD_BINS, (*_SPREAD_BINS[1:], math.inf), strict=True):
            chosen = (self.spread > low) & (self.spread <= high)
            label = f"spread above {low}" if high == math.inf else f"spread {_range(low + 1, high)}"
            stood = self.integral(chosen)
            self.add_ratio(f"spread_{low + 1}", label, "share of time", stood, quoted)
        touch = (self.resting[BUY][1][:, 0] + self.resting[SELL][1][:, 0]) / (2.0 * self.lot_size)
        resting = self.integral(touch)
        self.add_ratio("touch_size", "size at the best price", "lots", resting, self.seconds)

    def prices(self) -> None:
        """Moves of the mid, and the sensitivity of trades to the spread."""
        sums_of: dict[float, list[Array]] = {}
        for interval in VOLATILITY_INTERVALS:
            grid = np.arange(self.time[0], self.time[-1], interval)
            moves = np.diff(self.mid[np.searchsorted(self.time, grid, side="right") - 1])
            # Blocks shorter than the interval hold at most one move, too few for a standard error.
            known = ~np.isnan(moves) & (interval <= self.edges[1] - self.edges[0])
            start = grid[:-1][known]
            squares, length = self.total(start, moves[known] ** 2), interval * self.total(start)
            name, label = f"volatility_{interval:g}", f"volatility of the mid over {interval:g} s"
            sums_of[interval] = [squares, length]
            self.add(name, label, "ticks/sqrt(s)", sums_of[interval], root_of_ratio)
            if interval == 1.0:
                sums = [self.total(start), squares, self.total(start, moves[known] ** 4)]
                self.add("kurtosis_1", "kurtosis of moves over 1 s (normal: 3)", "", sums, kurtosis)
        sums = [*sums_of[VOLATILITY_INTERVALS[0]], *sums_of[VOLATILITY_INTERVALS[-1]]]
        label = "volatility over 1 s / over 60 s"
        self.add("bounce", label, "", sums, lambda a, b, c, d: root_of_ratio(a * d, b * c))
        self._price_sensitivity()

    def _price_sensitivity(self) -> None:
        """Add k of the trade rate A exp(-k h) at half-spread h, by Poisson maximum likelihood.

        Each block has its own A. So a busy open with a wide spread does not bias k.
        """
        rows = self.trades["row"][self.trades["row"] > 0]
        rows = rows[self.two_sided[rows - 1]]
        spreads = np.unique(self.spread[self.two_sided])
        counts = np.zeros((self.n_blocks, len(spreads)))
        np.add.at(
            counts,
            (self.block_of(self.time[rows]), np.searchsorted(spreads, self.spread[rows - 1])),
            1.0,
        )
        exposure = np.stack([self.integral(self.spread == spread) for spread in spreads], axis=1)
        half = 0.5 * spreads
        usable = (counts.sum(axis=1) > 0) & (exposure.sum(axis=1) > 0)
        counts, exposure = counts[usable], exposure[usable]
        estimate = jackknife(
            len(counts), lambda kept: _decay_rate(counts[kept], exposure[kept], half)
        )
        label = "trades fall as exp(-k half-spread)"
        self.figures["price_sensitivity"] = Figure(self.section, label, "1/tick", *estimate)

    def dependence(self) -> None:
        """Dependence of trades: gaps between them, and the autocorrelation of their signs."""
        gap, started = np.diff(self.trades["time"]), self.trades["time"][:-1]
        sums = [self.total(started, weights) for weights in (np.ones_like(gap), gap, gap**2)]
        label = "gaps between trades, sd / mean (Poisson: 1)"
        self.add("gap_variation", label, "", sums, variation)
        sign, time = self.trades["sign"].astype(np.float64), self.trades["time"]
        for lag in LAGS:
            x, y, at = sign[:-lag], sign[lag:], time[:-lag]
            if 4 * lag > len(sign):
                x, y, at = x[:0], y[:0], at[:0]  # too few pairs for an estimate
            sums = [
                self.total(at, weights) for weights in (np.ones_like(x), x, y, x * y, x * x, y * y)
            ]
            label = f"trade signs, lag {lag}"
            self.add(f"sign_autocorrelation_{lag}", label, "correlation", sums, correlation)


def _decay_rate(counts: Array, exposure: Array, half: Array) -> float:
    """The k of maximum likelihood, shape (blocks, spreads) for counts and exposure.

    There the mean half-spread of trades equals its expectation under a rate of A exp(-k h).
    """
    if len(counts) == 0:
        return math.nan
    n = counts.sum(axis=1)
    target = float((counts * half).sum())
    middle = float(half.mean())

    def excess(k: float) -> float:
        weights = exposure * np.exp(-k * (half - middle))
        return float((n * (weights * half).sum(axis=1) / weights.sum(axis=1)).sum()) - target

    largest = 30.0 / max(1.0, float(np.ptp(half)))
    if excess(-largest) * excess(largest) >= 0.0:
        return math.nan
    return float(optimize.brentq(excess, -largest, largest))


def _size_bins(lots: Array) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    bins = [("odd", "under 1 lot", lots < 1.0), ("1", "1 lot", lots == 1.0)]
    for low, high in itertools.pairwise(_SIZE_BINS):
        bins.append((f"{high:g}", f"above {low:g} to {high:g} lots", (lots > low) & (lots <= high)))
    top = _SIZE_BINS[-1]
    return [*bins, ("larger", f"above {top:g} lots", lots > top)]


def _range(low: int, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
