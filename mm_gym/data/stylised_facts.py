"""Stylised facts of order flow, with bootstrap intervals: one computation for every source.

A recording of an exchange and one of a simulated market (`record_market`) have the same form, so
the same code judges both. Trades are takers' orders: executions with one time stamp and side are
one trade (`description.trades`).

**Intervals** are 95 percent percentile intervals of a block bootstrap. One recording is cut into
20 blocks of equal length, and of several recordings each is a block. Blocks are drawn with
replacement. Each fact is a function of sums over blocks, so a resample costs a sum. The intraday
pattern counts as variation between blocks. Dependence beyond a block is neglected.

Cont (2001), Empirical properties of asset returns: stylized facts and statistical issues.
Bouchaud, Gefen, Potters and Wyart (2004), Fluctuations and response in financial markets, eq. (2)
(response) and eq. (8) (memory of signs).
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym.data.blocks import Array, Blocks, correlation, kurtosis, root_of_ratio, variation
from mm_gym.data.description import DataError, trades
from mm_gym.data.lobster import BUY, SELL, MessageType, Recording

SIGN_LAGS = (1, 2, 5, 10, 50, 100)  # [trades]
RESPONSE_LAGS = (1, 2, 5, 10, 50)  # [trades]
INTERVALS = (1, 5, 10, 30)  # [s] of the volatility signature
LONGEST = 60  # [s] the interval that the others are compared with
LEVELS = (1, 2, 5, 10)
AHEAD = (0.0, 1.0, 5.0, 25.0, 100.0)  # [lots] upper ends of the bins of queue positions
_RESAMPLES = 1000
_CONFIDENCE = (2.5, 97.5)  # [percent]
_FEWEST = 20  # orders in a bin of queue positions
_FEWEST_PER_LAG = 3  # pairs of trades, per trade of the lag
_DIGITS = 3  # significant digits of values whose quantiles are taken


class Fact(NamedTuple):
    """An estimate and its 95 percent interval; NaN if the recordings do not allow an estimate."""

    section: str
    label: str
    value: float
    low: float
    high: float


def stylised_facts(
    recordings: Sequence[Recording], lot_size: int = 100, seed: int = 0
) -> dict[str, Fact]:
    """Compute the facts of one recording, or of several sessions of one market.

    Args:
        recordings: at least one, each with at least two messages.
        lot_size: [shares] in a lot.
        seed: of the bootstrap.

    Returns:
        The facts by name. Names with a lag, a level or a bin end with its number.

    Raises:
        DataError: if there is no recording, or one has fewer than two messages.
    """
    shortest = min((len(recording) for recording in recordings), default=0)
    if shortest < 2:
        raise DataError(
            "the recordings are too short: expected at least one, each with two messages or more, "
            f"got {len(recordings)} with {shortest} or more"
        )
    seen = _Observations()
    for recording in recordings:
        seen.start(Blocks(recording.messages["time"], None if len(recordings) == 1 else 1))
        _observe(seen, recording, lot_size)
    facts = _Facts(seen, seed)
    for add in (_book_facts, _trade_facts, _price_facts, _order_facts):
        add(facts, seen)
    return facts.found


# ------------------------------------------------------------------------------------- observations


class _Observations:
    """Observations by name, each with the number of its block."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Array]] = {}
        self._first_block = self.n_blocks = 0

    def start(self, blocks: Blocks) -> None:
        """Begin a recording."""
        self._blocks, self._first_block = blocks, self.n_blocks
        self.n_blocks += blocks.n_blocks

    def add(self, name: str, time: Array, *columns: npt.NDArray[Any]) -> None:
        """Add observations: the time at which each begins, and its values. NaN are left out."""
        rows = np.column_stack([self._first_block + self._blocks.block_of(time), *columns])
        rows = rows.astype(np.float64)
        self._parts.setdefault(name, []).append(rows[~np.isnan(rows).any(axis=1)])

    def columns(self, name: str) -> tuple[npt.NDArray[np.int64], list[Array]]:
        """The blocks and the values of all observations of a name."""
        rows = np.concatenate(self._parts[name])
        return rows[:, 0].astype(np.int64), list(rows[:, 1:].T)

    def sums(self, name: str, function: Callable[..., Sequence[Any]], fewest: int = 1) -> Array:
        """Sums over blocks of functions of the columns, shape (n_blocks, number of sums).

        They are NaN if there are less than `fewest` observations.
        """
        block, columns = self.columns(name)
        if len(block) < fewest:
            return np.full((self.n_blocks, len(function(*columns))), np.nan)
        values = [np.broadcast_to(value, len(block)) for value in function(*columns)]
        return np.column_stack([np.bincount(block, v, minlength=self.n_blocks) for v in values])


def _observe(seen: _Observations, recording: Recording, lot_size: int) -> None:
    messages, book = recording.messages, recording.order_book
    time = messages["time"]
    two_sided = (book["bid_size"][:, 0] > 0) & (book["ask_size"][:, 0] > 0)
    best = {BUY: book["bid_price"][:, 0], SELL: book["ask_price"][:, 0]}
    spread = np.where(two_sided, (best[SELL] - best[BUY]) / recording.tick_size, np.nan)
    mid = np.where(two_sided, 0.5 * (best[SELL] + best[BUY]) / recording.tick_size, np.nan)
    step = np.diff(time)
    seen.add("spread", time[:-1], step, spread[:-1])
    seen.add("empty", time[:-1], step, ~two_sided[:-1])
    for level in LEVELS:
        for name in ("bid_size", "ask_size"):
            known = level <= recording.n_levels
            size = book[name][:-1, level - 1] / lot_size if known else np.nan * step
            seen.add(f"size_{level}", time[:-1], step, size)
    for side in (BUY, SELL):
        changes = time[1:][np.diff(best[side]) != 0]
        seen.add("best_duration", changes[:-1], np.diff(changes))
    seen.add("message_gap", time[:-1], step)
    _observe_trades(seen, messages, mid, lot_size)
    _observe_moves(seen, time, mid)
    _observe_orders(seen, recording, best, lot_size)


def _observe_trades(
    seen: _Observations, messages: npt.NDArray[Any], mid: Array, lot_size: int
) -> None:
    executed = messages[messages["type"] == MessageType.VISIBLE_EXECUTION]
    seen.add("execution", executed["time"], executed["size"] / lot_size)
    found = trades(messages)
    time, sign = found["time"], found["sign"].astype(np.float64)
    seen.add("trade_gap", time[:-1], np.diff(time))
    before = np.where(found["row"] > 0, mid[found["row"] - 1], np.nan)
    for lag in SIGN_LAGS:
        n = max(0, len(found) - lag)
        seen.add(f"signs_{lag}", time[:n], sign[:n], sign[lag : lag + n])
    for lag in RESPONSE_LAGS:
        n = max(0, len(found) - lag)
        moves = sign[:n] * (before[lag : lag + n] - before[:n])
        seen.add(f"response_{lag}", time[:n], moves)


def _observe_moves(seen: _Observations, time: Array, mid: Array) -> None:
    """Moves of the mid from each whole second on, which overlap if they are longer than that."""
    grid = np.arange(np.ceil(time[0]), time[-1], 1.0)
    at = mid[np.searchsorted(time, grid, side="right") - 1]
    for interval in (*INTERVALS, LONGEST):
        seen.add(f"move_{interval}", grid[:-interval], at[interval:] - at[:-interval])
    returns = 1e4 * np.diff(np.log(at))
    seen.add("return", grid[:-1], returns)
    for lag in (1, 10):
        x, y = returns[:-lag], returns[lag:]
        seen.add(f"returns_{lag}", grid[: -lag - 1], x, y)
        seen.add(f"abs_returns_{lag}", grid[: -lag - 1], abs(x), abs(y))


def _observe_orders(
    seen: _Observations, recording: Recording, best: dict[int, npt.NDArray[Any]], lot_size: int
) -> None:
    """Limit orders that were placed at the best price or better: what became of them.

    Executions happen at the best price, so a file of any number of levels has all of them. The
    cancellation of an order may be missing if it left the view before.
    """
    messages, book = recording.messages, recording.order_book
    side, price = messages["side"][1:], messages["price"][1:]
    best_before = np.where(side == BUY, best[BUY][:-1], best[SELL][:-1])
    queue = np.where(side == BUY, book["bid_size"][:-1, 0], book["ask_size"][:-1, 0])
    placed = messages["type"][1:] == MessageType.NEW_LIMIT_ORDER
    better = side * (price - best_before)
    rows = np.flatnonzero(placed & (better >= 0))
    ahead = np.where(better[rows] > 0, 0, queue[rows]) / lot_size
    orders = messages[1:][rows]

    ends = messages[np.isin(messages["type"], [2, 3, 4])]
    ids, first = np.unique(orders["order_id"], return_index=True)
    ends = ends[np.isin(ends["order_id"], ids)]
    of = first[np.searchsorted(ids, ends["order_id"])]
    hit = ends["type"] == MessageType.VISIBLE_EXECUTION
    filled = np.bincount(of[hit], minlength=len(orders)) > 0
    seen.add("fill", orders["time"], ahead, filled)

    left = np.bincount(of, ends["size"], minlength=len(orders))
    last = orders["time"].copy()
    np.maximum.at(last, of, ends["time"])
    ended = left >= orders["size"]
    lifetime = np.where(ended, last - orders["time"], np.nan)
    seen.add("lifetime", orders["time"], lifetime)
    seen.add("ended", orders["time"], ended)


# -------------------------------------------------------------------------------------------- facts


class _Facts:
    """Facts as functions of sums over blocks."""

    def __init__(self, seen: _Observations, seed: int) -> None:
        self.found: dict[str, Fact] = {}
        self._seen, self._section = seen, ""
        n = seen.n_blocks
        # Row 0 is the data: every block once.
        drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), _RESAMPLES)
        self._weights = np.vstack([np.ones(n), drawn])

    def section(self, title: str) -> None:
        """Begin a section."""
        self._section = title

    def add(self, name: str, label: str, sums: Array, function: Callable[..., Any]) -> None:
        """Add a fact.

        Args:
            name: of the fact.
            label: in the table.
            sums: over each block, shape (n_blocks, k).
            function: takes k arrays, one element per resample.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(function(*(self._weights @ sums).T), np.float64)
        low, high = np.nan, np.nan
        if self._seen.n_blocks > 1 and not np.isnan(values[1:]).all():
            low, high = np.nanpercentile(values[1:], _CONFIDENCE)
        self.found[name] = Fact(self._section, label, float(values[0]), float(low), float(high))

    def quantile(self, name: str, label: str, of: str, share: float) -> None:
        """Add a quantile: the smallest value up to which `share` of the weight lies.

        Args:
            name: of the fact.
            label: in the table.
            of: name of observations with a weight and a value, or a value alone.
            share: of the weight.
        """
        block, columns = self._seen.columns(of)
        weights = columns[0] if len(columns) > 1 else np.ones(len(block))
        bins, at = np.unique(_rounded(columns[-1]), return_inverse=True)
        sums = np.zeros((self._seen.n_blocks, len(bins)))
        np.add.at(sums, (block, at), weights)

        def quantile(*mass: Array) -> Any:
            if not mass:
                return np.full(len(self._weights), np.nan)
            below = np.cumsum(mass, axis=0)
            reached = below >= share * below[-1]
            return np.where(below[-1] > 0.0, bins[reached.argmax(axis=0)], np.nan)

        self.add(name, label, sums, quantile)


def _rounded(values: Array) -> Array:
    """Values with three significant digits, so that there are few different ones."""
    size = np.floor(np.log10(np.where(values > 0.0, values, 1.0)))
    scale = 10.0 ** (_DIGITS - 1 - size)
    rounded: Array = np.rint(values * scale) / scale
    return rounded


def _mean(n: Array, total: Array) -> Array:
    return total / n


def _rate(n: Array, duration: Array) -> Array:
    return n / duration


def _pair(x: Array, y: Array) -> tuple[Any, ...]:
    return 1.0, x, y, x * y, x * x, y * y


def _book_facts(facts: _Facts, seen: _Observations) -> None:
    facts.section("Spread [ticks]")
    facts.add("spread", "mean", seen.sums("spread", lambda w, x: (w, w * x)), _mean)
    for percent in (10, 50, 90):
        label = "median" if percent == 50 else f"{percent} % quantile"
        facts.quantile(f"spread_{percent}", label, "spread", percent / 100)
    one = seen.sums("spread", lambda w, x: (w, w * (x == 1.0)))
    facts.add("spread_one_tick", "one tick, share", one, _mean)
    empty = seen.sums("empty", lambda w, x: (w, w * x))
    facts.add("empty_side", "empty side, share", empty, _mean)

    facts.section("Depth [lots]")
    for level in LEVELS:
        sums = seen.sums(f"size_{level}", lambda w, x: (w, w * x))
        facts.add(f"size_{level}", f"level {level}, mean", sums, _mean)
    facts.quantile("size_1_median", "level 1, median", "size_1", 0.5)


def _trade_facts(facts: _Facts, seen: _Observations) -> None:
    facts.section("Arrivals (Poisson: sd/mean of the gaps is 1)")
    for name in ("message", "trade"):
        gaps = seen.sums(f"{name}_gap", lambda x: (1.0, x, x * x))
        facts.add(f"{name}_rate", f"{name}s [1/s]", gaps[:, :2], _rate)
        facts.add(f"{name}_variation", "gaps, sd/mean", gaps, variation)
    facts.section("Executions [lots]")
    facts.add("execution", "mean", seen.sums("execution", lambda x: (1.0, x)), _mean)
    facts.quantile("execution_median", "median", "execution", 0.5)

    facts.section("Signs of trades, autocorrelation")
    for lag in SIGN_LAGS:
        sums = seen.sums(f"signs_{lag}", _pair, _FEWEST_PER_LAG * lag)
        facts.add(f"sign_{lag}", f"lag {lag}", sums, correlation)

    facts.section("Response of the mid to a trade [mean spreads]")
    spread = seen.sums("spread", lambda w, x: (w, w * x))
    for lag in RESPONSE_LAGS:
        moves = seen.sums(f"response_{lag}", lambda x: (1.0, x), _FEWEST_PER_LAG * lag)
        facts.add(
            f"response_{lag}",
            f"after {lag} trade{'s' if lag > 1 else ''}",
            np.hstack([moves, spread]),
            lambda n, moved, time, spreads: moved / n * time / spreads,
        )


def _price_facts(facts: _Facts, seen: _Observations) -> None:
    facts.section("Volatility signature (random walk: ratios of 1)")
    squares = {
        interval: seen.sums(f"move_{interval}", lambda x: (x * x, 1.0)) * (1.0, interval)
        for interval in (*INTERVALS, LONGEST)
    }
    label = f"{LONGEST} s [ticks/√s]"
    facts.add("volatility", label, squares[LONGEST], root_of_ratio)
    for interval in INTERVALS:
        facts.add(
            f"signature_{interval}",
            f"{interval} s / {LONGEST} s",
            np.hstack([squares[interval], squares[LONGEST]]),
            lambda a, b, c, d: root_of_ratio(a * d, b * c),
        )
    facts.section("Moves of the mid over 1 s (normal: kurtosis 3)")
    moments = seen.sums("return", lambda x: (1.0, x**2, x**4))
    facts.add("return_sd", "sd [bp]", moments[:, 1::-1], root_of_ratio)
    facts.add("return_kurtosis", "kurtosis", moments, kurtosis)
    for name, label in (
        ("returns_1", "autocorrelation"),
        ("abs_returns_1", "of sizes, 1 s"),
        ("abs_returns_10", "of sizes, 10 s"),
    ):
        facts.add(name, label, seen.sums(name, _pair), correlation)


def _order_facts(facts: _Facts, seen: _Observations) -> None:
    facts.section("Lifetime of orders placed at the best price [s]")
    for percent in (25, 50, 75):
        label = "median" if percent == 50 else f"{percent} % quantile"
        facts.quantile(f"lifetime_{percent}", label, "lifetime", percent / 100)
    facts.add("ended", "end seen, share", seen.sums("ended", lambda x: (1.0, x)), _mean)
    facts.section("Lifetime of a best price [s]")
    sums = seen.sums("best_duration", lambda x: (1.0, x))
    facts.add("best_duration", "mean", sums, _mean)

    facts.section("Fill probability by lots ahead")
    block, (ahead, filled) = seen.columns("fill")
    bins = np.searchsorted(AHEAD, ahead)
    labels = ["none", f"up to {AHEAD[1]:g}"]
    labels += [f"{low:g} to {high:g}" for low, high in itertools.pairwise(AHEAD[1:])]
    for number, label in enumerate([*labels, f"above {AHEAD[-1]:g}"]):
        chosen = bins == number
        sums = np.column_stack(
            [
                np.bincount(block[chosen], weights, minlength=seen.n_blocks)
                for weights in (None, filled[chosen])
            ]
        )
        enough = 1.0 if chosen.sum() >= _FEWEST else np.nan
        facts.add(f"fill_{number}", label, sums * enough, _mean)
