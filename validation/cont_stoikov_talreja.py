"""The zero-intelligence book of Cont, Stoikov and Talreja (2010), on the environment's book.

The probability that the next move of the mid is up is known exactly
(`mm_gym.theory.cont_stoikov_talreja`). Spread and depths have no closed form. Their reference is
`_reference_book`, a second, simple implementation of the model.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from numba import njit

from mm_gym import MarketConfig, configure
from mm_gym.core.entry_points import book_add, book_clear
from mm_gym.core.layout import ASK, BID, Outcome
from mm_gym.markets import Markets
from mm_gym.theory.cont_stoikov_talreja import up_move_probability
from validation.markets import error_of_share
from validation.row import Row

QUEUES = range(1, 6)
DISTANCES = 5
PUBLISHED_SPREADS = (0.742, 0.188, 0.051, 0.0145)
PUBLISHED_MEAN_SPREAD = 1.36
_MINUTE = 60.0


def rows(sessions: int, seed: int) -> list[Row]:
    """Moves of the mid from each pair of queues, then spread and depths over hours of trading."""
    table = [
        row for bid in QUEUES for ask in QUEUES for row in move_rows(bid, ask, sessions // 25, seed)
    ]
    return table + book_rows(hours=sessions / 100.0, seed=seed)


def move_rows(bid_lots: int, ask_lots: int, sessions: int, seed: int) -> list[Row]:
    """The share of upward first moves of the mid, from these queues at a spread of one tick."""
    config = configure(
        "zero_intelligence",
        decision_interval=_MINUTE,
        session_steps=10**6,
        warm_up=0.0,
        max_offset=1e3,
    )
    exact = up_move_probability(
        bid_lots,
        ask_lots,
        limit_rate=config.limit_order_rates[0],
        market_rate=config.taker_rate / 2.0,
        cancel_rate=config.cancel_rates[0],
    )
    share = up_share(
        config, bid_lots, ask_lots, sessions, np.random.SeedSequence([seed, bid_lots, ask_lots])
    )
    what = f"P(next move is up), {bid_lots} lots at the bid and {ask_lots} at the ask"
    return [Row(what, float(exact), share, error_of_share(float(exact), sessions))]


def up_share(
    config: MarketConfig, bid_lots: int, ask_lots: int, n: int, seeds: np.random.SeedSequence
) -> float:
    """Simulate n books from these queues until the mid moves. Returns the share of upward moves.

    The next tick of each side has a deep queue.
    """
    markets = Markets(config, n, path_rows=256)
    markets.start(np.random.default_rng(stream) for stream in seeds.spawn(n))
    price = int(config.initial_price)
    template = np.ascontiguousarray(markets.records["book"][:1])
    book_clear(template)
    for side, best, lots in ((BID, price, bid_lots), (ASK, price + 1, ask_lots)):
        for _ in range(lots):
            book_add(template, side, best, 1)
        for _ in range(20):  # keeps both sides from becoming empty
            book_add(template, side, best + (-1 if side == BID else 1), 1)
    markets.records["book"] = template[0]
    markets.records["n_path_rows"] = 0
    start = price + 0.5
    moved = np.zeros(n, dtype=bool)
    far = np.ones((n, 2), dtype=np.float32)
    while not moved.all():
        markets.step(far)
        moved = np.array([_first_move(markets, i, start) != 0.0 for i in range(n)])
    return float(np.mean([_first_move(markets, i, start) > 0.0 for i in range(n)]))


def _first_move(markets: Markets, i: int, start: float) -> float:
    """The first move of the mid away from its start [ticks], or 0 if it has not moved."""
    path = markets.path_rows[i, : markets.records["n_path_rows"][i]]["mid"]
    moves = path[path != start] - start
    return float(moves[0]) if len(moves) else 0.0


def book_rows(hours: float, seed: int) -> list[Row]:
    """Time averages of spread and depths, against the paper and the reference simulation."""
    config = configure("zero_intelligence")
    ours = environment_averages(config, hours, 64, seed)
    theirs = reference_averages(config, hours, 16, seed)
    names = ["mean spread"]
    names += [f"time at a spread of {ticks}" for ticks in range(1, len(PUBLISHED_SPREADS) + 1)]
    published = (PUBLISHED_MEAN_SPREAD, *PUBLISHED_SPREADS)
    # Published figures have two or three digits, so half a unit of the last digit is an error.
    table = [
        Row(
            name,
            figure,
            mean,
            math.hypot(error, 0.5 * 10.0 ** -_digits(figure)),
            "published, rounded",
        )
        for name, figure, (mean, error) in zip(names, published, _means(ours), strict=False)
    ]
    names += [f"mean depth at distance {distance} [lots]" for distance in range(1, DISTANCES + 1)]
    for name, (mean, error), (slow, slow_error) in zip(
        names, _means(ours), _means(theirs), strict=True
    ):
        table.append(Row(name, slow, mean, math.hypot(error, slow_error), "reference simulation"))
    return table


def _digits(figure: float) -> int:
    return len(str(figure).split(".")[1])


def _means(averages: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    """Mean and standard error over independent books, a pair per column."""
    errors = averages.std(axis=0, ddof=1) / math.sqrt(len(averages))
    return list(zip(averages.mean(axis=0).tolist(), errors.tolist(), strict=True))


def environment_averages(
    config: MarketConfig, hours: float, n: int, seed: int
) -> npt.NDArray[np.float64]:
    """Mean spread, shares of time at spreads 1 to 4, and mean depths at distances 1 to 5.

    The books are sampled at every decision. The agent's quotes are too far out to trade.

    Args:
        config: of the market.
        hours: of market time, summed over all books.
        n: number of books.
        seed: of the books.

    Returns:
        One row per book.
    """
    steps = max(1, round(hours * 3600.0 / (config.decision_interval * n)))
    markets = Markets(
        configure(**{**config.to_dict(), "session_steps": 10**9, "max_offset": 1e3}), n
    )
    markets.start(np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(n))
    far = np.ones((n, 2), dtype=np.float32)
    sums = np.zeros((n, 1 + len(PUBLISHED_SPREADS) + DISTANCES))
    for _ in range(steps):
        _, outcomes = markets.step(far)
        spread = outcomes[:, Outcome.SPREAD]
        sums[:, 0] += spread
        for ticks in range(1, len(PUBLISHED_SPREADS) + 1):
            sums[:, ticks] += spread == ticks
        sums[:, 1 + len(PUBLISHED_SPREADS) :] += depth_profile(markets.records)
    return sums / steps


def depth_profile(records: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Depth [lots] at 1, 2, ... ticks from the opposite best price, mean of both sides.

    It includes the agent's orders. There is one row per market.
    """
    book = records["book"]
    keys, lots, n_levels = book["levels"]["key"], book["levels"]["lots"], book["n_levels"]
    rows = np.arange(len(records))
    best = [keys[rows, side, n_levels[:, side] - 1] for side in (BID, ASK)]
    depth = np.zeros((len(records), DISTANCES))
    for side in (BID, ASK):
        distance = -best[1 - side][:, None] - keys[:, side]
        resting = np.arange(keys.shape[2]) < n_levels[:, side, None]
        for column in range(DISTANCES):
            depth[:, column] += 0.5 * np.where(
                resting & (distance == column + 1), lots[:, side], 0
            ).sum(axis=1)
    return depth


def reference_averages(
    config: MarketConfig, hours: float, n: int, seed: int
) -> npt.NDArray[np.float64]:
    """The same figures of `_reference_book`, as exact time averages."""
    limits, cancels = np.array(config.limit_order_rates), np.array(config.cancel_rates)
    seconds = hours * 3600.0 / n
    seeds = np.random.SeedSequence([seed, 1]).generate_state(n)
    return np.array(
        [
            reference_book(limits, cancels, config.taker_rate / 2.0, seconds, config.warm_up, word)
            for word in seeds
        ]
    )


def _reference_book(
    limits: npt.NDArray[np.float64],
    cancels: npt.NDArray[np.float64],
    market_rate: float,
    seconds: float,
    warm_up: float,
    seed: int,
) -> npt.NDArray[np.float64]:
    """The model as in the paper: lots on a grid of prices. Each event sums all rates again."""
    np.random.seed(seed)  # noqa: NPY002
    rungs = 400
    bids = np.zeros(rungs, np.int64)
    asks = np.zeros(rungs, np.int64)
    # The initial book is deep enough that no side becomes empty during the warm-up.
    bids[rungs // 2 - 9 : rungs // 2 + 1] = 5
    asks[rungs // 2 + 1 : rungs // 2 + 11] = 5
    totals = np.zeros(10)
    time = -warm_up
    while True:
        best_bid = 0
        for price in range(rungs):
            if bids[price] > 0:
                best_bid = price
        best_ask = rungs - 1
        for price in range(rungs - 1, -1, -1):
            if asks[price] > 0:
                best_ask = price
        # The order of the events: new bids, new asks, cancelled bids, cancelled asks, market sell,
        # market buy.
        rates = np.zeros(4 * rungs + 2)
        for price in range(rungs):
            distance = best_ask - price
            if 1 <= distance <= len(limits):
                rates[price] = limits[distance - 1]
            if bids[price] > 0:
                rates[2 * rungs + price] = bids[price] * cancels[min(distance, len(cancels)) - 1]
            distance = price - best_bid
            if 1 <= distance <= len(limits):
                rates[rungs + price] = limits[distance - 1]
            if asks[price] > 0:
                rates[3 * rungs + price] = asks[price] * cancels[min(distance, len(cancels)) - 1]
        rates[4 * rungs] = market_rate
        rates[4 * rungs + 1] = market_rate
        cumulative = np.cumsum(rates)
        wait = np.random.exponential(1.0 / cumulative[-1])  # noqa: NPY002
        lasts = min(time + wait, seconds) - max(time, 0.0)
        if lasts > 0.0:
            spread = best_ask - best_bid
            totals[0] += spread * lasts
            if spread <= 4:
                totals[spread] += lasts
            for distance in range(1, 6):
                totals[4 + distance] += (
                    0.5 * (bids[best_ask - distance] + asks[best_bid + distance]) * lasts
                )
        time += wait
        if time >= seconds:
            return totals / seconds
        event = np.searchsorted(cumulative, np.random.random() * cumulative[-1], side="right")  # noqa: NPY002
        if event < rungs:
            bids[event] += 1
        elif event < 2 * rungs:
            asks[event - rungs] += 1
        elif event < 3 * rungs:
            bids[event - 2 * rungs] -= 1
        elif event < 4 * rungs:
            asks[event - 3 * rungs] -= 1
        elif event == 4 * rungs:
            bids[best_bid] -= 1
        else:
            asks[best_ask] -= 1


reference_book = cast("Callable[..., npt.NDArray[np.float64]]", njit(_reference_book))
