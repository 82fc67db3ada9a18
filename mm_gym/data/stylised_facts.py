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

from mm_gym.data.blocks import Array, Blocks, correlation, kurtosis, root_of_ratio, variation
from mm_gym.data.description import DataError
from mm_gym.data.flow_observations import (
    INTERVALS,
    LEVELS,
    LONGEST,
    RESPONSE_LAGS,
    SIGN_LAGS,
    Observations,
    observe,
)
from mm_gym.data.lobster import Recording

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
    seen = Observations()
    for recording in recordings:
        seen.start(Blocks(recording.messages["time"], None if len(recordings) == 1 else 1))
        observe(seen, recording, lot_size)
    facts = _Facts(seen, seed)
    for add in (_book_facts, _trade_facts, _price_facts, _order_facts):
        add(facts, seen)
    return facts.found


class _Facts:
    """Facts as functions of sums over blocks."""

    def __init__(self, seen: Observations, seed: int) -> None:
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


def _book_facts(facts: _Facts, seen: Observations) -> None:
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


def _trade_facts(facts: _Facts, seen: Observations) -> None:
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


def _price_facts(facts: _Facts, seen: Observations) -> None:
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


def _order_facts(facts: _Facts, seen: Observations) -> None:
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
