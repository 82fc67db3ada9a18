"""This project beside other simulators, on the same work and in turns.

make bench-peers
make bench-peers ARGS="--mbt-gym ../mbt_gym --abides-gym ../abides-jpmc-public"

Rates are per second of processor time, so other jobs on the machine disturb them little. A ratio is
the median over pairs of consecutive turns. Compilation is not counted.
"""

import contextlib
import importlib.metadata
import logging
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import tyro
from numba import njit
from rich.console import Console
from rich.progress import track

import mm_gym
from benchmarks.peer_checkouts import ARRIVALS, STEPS, abides_environment, mbt_gym_environment
from benchmarks.peer_feeds import HFTBACKTEST_EVENT, MID, Stream, hftbacktest_events, stream
from benchmarks.steps import quotes, single_rate
from benchmarks.turns import in_turns, processor_time, result_table
from mm_gym.data.event_book import EventBook
from mm_gym.data.events import BUY

PEERS = ("hftbacktest", "lightmatchingengine", "gymnasium")
LOOK_EVERY = 100_000_000  # [ns] of the feed between two looks of the strategy at hftbacktest's book


@dataclass(frozen=True)
class Comparison:
    """Two measurements of the same work."""

    peer: str
    work: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    """Ours over theirs."""
    not_simulated: str
    """What is in one of the two only."""


def rate(n: float, work: Callable[[], object]) -> float:
    """How many per second of processor time, if `work` does n of them."""
    return n / processor_time(work)


# --------------------------------------------------------------------------------------- the peers


def feed_replay(feed: Stream, turns: int) -> Comparison:
    """hftbacktest's replay of market-by-order events, and ours.

    Raises:
        AssertionError: if the books differ at the end.
    """
    from hftbacktest import BacktestAsset, ROIVectorMarketDepthBacktest
    from hftbacktest.types import event_dtype

    assert event_dtype == HFTBACKTEST_EVENT, f"hftbacktest's events have the type {event_dtype}"
    rows = hftbacktest_events(feed.events)
    asset = (
        BacktestAsset()
        .data(rows)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .l3_fifo_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(1.0)
        .lot_size(1.0)
        .roi_lb(MID - 1000.0)
        .roi_ub(MID + 1000.0)
    )

    @njit
    def run(backtest: Any) -> tuple[int, int, float, float]:
        while backtest.elapse(LOOK_EVERY) == 0:
            pass
        depth = backtest.depth(0)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        return bid, ask, depth.bid_qty_at_tick(bid), depth.ask_qty_at_tick(ask)

    ends: list[Any] = [None, None]

    def theirs() -> float:
        backtest = ROIVectorMarketDepthBacktest([asset])
        result = rate(len(feed.events), lambda: ends.__setitem__(0, run(backtest)))
        backtest.close()
        return result

    def ours() -> float:
        book = EventBook()
        result = rate(len(feed.events), lambda: book.apply(feed.events))
        ((bid, bid_size),), ((ask, ask_size),) = book.levels(1)
        ends[1] = (bid, ask, bid_size, ask_size)
        return result

    medians = in_turns(ours, theirs, turns)
    assert ends[0] == ends[1], f"the books differ at the end: {ends}"
    return Comparison(
        "hftbacktest",
        f"replay of {len(feed.events):,} market-by-order events",
        "events/s",
        *medians,
        "hftbacktest keeps two books, the exchange's and the trader's, and simulates latency; no "
        "recorded order reacts to the trader's. Our measurement has the book only.",
    )


def matching(orders: Stream, turns: int) -> Comparison:
    """lightmatchingengine and `LimitOrderBook`, called from Python once for each request.

    Raises:
        AssertionError: if they trade other quantities than the stream says.
    """
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine

    def theirs() -> float:
        engine, lots = LightMatchingEngine(), 0

        def run() -> None:
            nonlocal lots
            for side, price, size in orders.requests:
                if side == 0:
                    engine.cancel_order(price, "")
                else:
                    _, trades = engine.add_order("", price, size, 1 if side == BUY else 2)
                    lots += sum(trade.trade_qty for trade in trades)

        result = rate(len(orders.requests), run)
        assert lots == 2 * orders.lots, f"lightmatchingengine traded {lots / 2} lots"  # both sides
        return result

    def ours() -> float:
        book, lots, new = mm_gym.LimitOrderBook(), 0, 0

        def run() -> None:
            nonlocal lots, new
            for side, price, size in orders.requests:
                if side == 0:
                    book.cancel(price)
                else:
                    new += 1
                    _, fills = book.submit("bid" if side == BUY else "ask", price, size, new)
                    lots += sum(taken for _, _, taken in fills)

        result = rate(len(orders.requests), run)
        assert lots == orders.lots, f"LimitOrderBook traded {lots} lots"
        return result

    return Comparison(
        "lightmatchingengine",
        f"{len(orders.requests):,} requests from Python, one call each",
        "requests/s",
        *in_turns(ours, theirs, turns),
        "lightmatchingengine checks neither prices nor sizes, and cannot reduce an order. Each of "
        "our calls crosses from Python into compiled code, which costs more than the matching.",
    )


def dealers(checkout: Path, markets: int, turns: int) -> Comparison:
    """mbt_gym's market of Avellaneda and Stoikov, and regime `dealer`, as batches."""
    environment = mbt_gym_environment(checkout, markets)
    dealer = gymnasium.make_vec(
        "MarketMaking-v0",
        num_envs=markets,
        regime="dealer",
        taker_rate=2.0 * ARRIVALS,
        session_steps=STEPS,
    )
    no_offset, actions = np.zeros((markets, 2)), quotes(markets)

    def theirs() -> float:
        environment.reset()
        return rate(STEPS * markets, lambda: [environment.step(no_offset) for _ in range(STEPS)])

    def ours() -> float:
        dealer.reset(seed=0)
        return rate(STEPS * markets, lambda: [dealer.step(actions) for _ in range(STEPS)])

    return Comparison(
        "mbt_gym",
        f"{markets:,} markets of Avellaneda and Stoikov, {2 * ARRIVALS:g} takers a decision",
        "decisions/s",
        *in_turns(ours, theirs, turns),
        "mbt_gym has no order book, no ticks, and at most one taker at each side between two "
        "decisions; it observes cash, inventory, time and price.",
    )


def agent_based(checkout: Path, decisions: int, turns: int) -> Comparison:
    """ABIDES-gym's daily investor, and our default market."""
    with _quiet():
        environment = abides_environment(checkout)
    ours = gymnasium.make("MarketMaking-v0").unwrapped

    def theirs() -> float:
        with _quiet():
            environment.reset()
            before = environment.kernel.ttl_messages
            result = rate(1.0, lambda: [environment.step(1) for _ in range(decisions)])
            return result * (environment.kernel.ttl_messages - before)

    def events() -> int:
        return int(ours.snapshot().records["book"]["n_events"][0])

    def own() -> float:
        ours.reset(seed=0)
        before, action = events(), quotes(1)[0]
        result = rate(1.0, lambda: [ours.step(action) for _ in range(800)])
        return result * (events() - before)

    return Comparison(
        "ABIDES-gym",
        "messages between agents and exchange there, changes of the order book here; one market",
        "a second",
        *in_turns(own, theirs, turns),
        "ABIDES simulates each background trader with a latency of its own, and its own memory; "
        "our background makers and takers are stochastic processes.",
    )


def cart_pole(steps: int, turns: int) -> Comparison:
    """One market of `gymnasium.make`, and CartPole, with resets."""
    return Comparison(
        "CartPole-v1",
        "one environment of gymnasium.make",
        "steps/s",
        *in_turns(
            lambda: single_rate("MarketMaking-v0", steps),
            lambda: single_rate("CartPole-v1", steps),
            turns,
        ),
        "CartPole is four equations of motion: it has no market.",
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings or log messages of a peer."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


# --------------------------------------------------------------------------------------- the table


def main(
    mbt_gym: Path | None = None,
    abides_gym: Path | None = None,
    turns: int = 7,
    requests: int = 100_000,
) -> None:
    """Measure this project beside its peers, and print a table.

    Args:
        mbt_gym: Checkout of mbt_gym (github.com/JJJerome/mbt_gym). Default: left out.
        abides_gym: Checkout of ABIDES (github.com/jpmorganchase/abides-jpmc-public). Default: left
            out.
        turns: Number of turns.
        requests: Number of requests to an order book.
    """
    console = Console(width=100)
    orders = stream(requests)
    work: list[Callable[[], Comparison]] = [
        lambda: feed_replay(orders, turns),
        lambda: matching(orders, turns),
        lambda: cart_pole(20_000, turns),
    ]
    if mbt_gym is not None:
        work += [lambda n=n: dealers(mbt_gym, n, turns) for n in (1_000, 10_000)]
    if abides_gym is not None:
        work.append(lambda: agent_based(abides_gym, 30, turns))
    results = [one() for one in track(work, "measuring", transient=True, console=console)]
    title = f"Medians of {turns} turns, per second of processor time"
    table = result_table(title, "peer", "work", "unit", "mm_gym", "peer", "ratio", texts=3)
    for one in results:
        figures = (f"{one.ours:,.0f}", f"{one.theirs:,.0f}", f"{one.ratio:.3g}")
        table.add_row(one.peer, one.work, one.unit, *figures)
    console.print(table)
    for peer, text in {one.peer: one.not_simulated for one in results}.items():
        console.print(f"{peer}: {text}", highlight=False)
    for name, path in (("mbt_gym", mbt_gym), ("ABIDES-gym", abides_gym)):
        if path is None:
            option = "--" + name.lower().replace("_", "-")
            console.print(
                f"{name} was left out, because no checkout was given (write {option} FOLDER).",
                highlight=False,
            )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS)
    console.print(
        f"mm_gym {mm_gym.__version__}, {versions}, Python {platform.python_version()}; "
        f"{os.cpu_count()} cores of {_processor()}, load {os.getloadavg()[0]:.1f}",
        highlight=False,
    )


def _processor() -> str:
    """The name of the processor, where the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    tyro.cli(main)
