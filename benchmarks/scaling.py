"""How cost grows with markets, agents, days and processes.

python -m benchmarks.scaling

Cost is processor time, so other jobs on the machine disturb it little. A slope is the exponent b of
`cost = a * n ** b`, fitted by least squares to the logarithms of the medians: 1 is proportional to
n. Below the measurements stand costs of larger work, computed from them and not measured.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import gymnasium
import numpy as np
import tyro
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from rich.console import Console
from rich.progress import track

from agents import make_agent
from benchmarks.peer_feeds import stream
from benchmarks.turns import processor_time, result_table
from mm_gym import LimitOrderBook, configure
from mm_gym.data.event_book import EventBook
from mm_gym.evaluation.rollout import SESSIONS_AT_ONCE, Cell, run_cells
from mm_gym.markets import Markets

AGENTS = ("inventory_skew", "fixed_spread", "glosten_milgrom", "trained/mixed")
SESSION = 200  # decisions
N_EVENTS = 100_000
DAY = 23_400  # [s] from 9:30 to 16:00, one decision a second


@dataclass(frozen=True)
class Growth:
    """The processor time of work of several sizes."""

    what: str
    sizes: list[int]
    seconds: list[float]
    """Medians."""
    unit: str
    """Of one piece of work."""
    pieces: float
    """Number of them in one unit of size."""

    @property
    def slope(self) -> float:
        """The exponent of a power law."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)[0])

    @property
    def each(self) -> float:
        """[s] of one piece, in the largest work."""
        return self.seconds[-1] / (self.sizes[-1] * self.pieces)


def growth(
    what: str,
    sizes: Sequence[int],
    unit: str,
    pieces: float,
    work: Callable[[int], float],
    turns: int,
) -> Growth:
    """Measure work of each size, in turns. One turn warms up."""
    taken = [[work(size) for size in sizes] for _ in range(turns + 1)][1:]
    medians = [statistics.median(column) for column in zip(*taken, strict=True)]
    return Growth(what, list(sizes), medians, unit, pieces)


def steps(markets: int) -> float:
    """Some decisions in each of a batch of markets."""
    environment = gymnasium.make_vec("MarketMaking-v0", num_envs=markets)
    environment.reset(seed=0)
    actions = np.zeros((markets, 2), np.float32)
    return processor_time(lambda: [environment.step(actions) for _ in range(SESSION)])


def evaluation(agents: Sequence[str], session_steps: int) -> float:
    """One batch of sessions of each agent."""
    return processor_time(lambda: run_cells(cells(agents, session_steps), SESSIONS_AT_ONCE, jobs=1))


def cells(agents: Sequence[str], session_steps: int) -> list[Cell]:
    """These agents in the default market."""
    config = configure(session_steps=session_steps)
    return [Cell(name, partial(make_agent, name), config) for name in agents]


def replay(events: int) -> float:
    """A recorded day of this many events, into the order book."""
    rows = np.tile(some_events(), events // N_EVENTS)
    return processor_time(lambda: EventBook().apply(rows))


def orders_at(prices: Callable[[int], Any]) -> Callable[[int], float]:
    """One order at each of n prices of a `LimitOrderBook`, and the cancellation of each."""

    def work(n: int) -> float:
        book = LimitOrderBook()
        each = prices(n).tolist()
        return processor_time(
            lambda: (
                [book.submit("bid", price, 1, price) for price in each],
                [book.cancel(price) for price in each],
            )
        )

    return work


@cache
def some_events() -> Any:
    """`N_EVENTS` events."""
    return stream(N_EVENTS).events[:N_EVENTS]


def batch_elsewhere(seed: int) -> tuple[int, float]:
    """One batch of sessions in another process.

    Returns:
        The process, and its processor time since it began [s].
    """
    run_cells(cells(AGENTS[:1], SESSION), SESSIONS_AT_ONCE, seed, jobs=1)
    return os.getpid(), time.process_time()


def processes(n: int, batches: int) -> float:
    """Processor time of all of n new processes that share batches, their start included [s]."""
    done = Parallel(n, batch_size=1)(delayed(batch_elsewhere)(seed) for seed in range(batches))
    get_reusable_executor().shutdown(wait=True)  # so that the next call starts new ones
    last: dict[int, float] = {}
    for process, seconds in done:
        last[process] = max(seconds, last.get(process, 0.0))
    return sum(last.values())


def main(turns: int = 3, batches: int = 16) -> None:
    """Measure how cost grows, and print tables.

    Args:
        turns: Number of turns.
        batches: Batches of sessions that processes share.
    """
    console = Console(width=100)
    n_agents = len(AGENTS)
    work: list[Callable[[], Growth]] = [
        lambda: growth(
            f"markets in make_vec, {SESSION} decisions each",
            [64, 256, 1024, 4096],
            "decision",
            SESSION,
            steps,
            turns,
        ),
        lambda: growth(
            f"copies of {AGENTS[0]}, {SESSIONS_AT_ONCE} sessions each",
            [1, 2, 4],
            "decision",
            SESSIONS_AT_ONCE * SESSION,
            lambda n: evaluation(AGENTS[:1] * n, SESSION),
            turns,
        ),
        lambda: growth(
            f"length of a session [decisions], {SESSIONS_AT_ONCE} sessions",
            [SESSION, 4 * SESSION, 16 * SESSION],
            "decision",
            SESSIONS_AT_ONCE,
            lambda n: evaluation(AGENTS[:1], n),
            turns,
        ),
        lambda: growth(
            "recorded events into the order book",
            [N_EVENTS, 10 * N_EVENTS, 100 * N_EVENTS],
            "event",
            1,
            replay,
            turns,
        ),
        *(
            lambda name=name, prices=prices: growth(  # type: ignore[misc]
                f"price levels of LimitOrderBook, {name}",
                [1_000, 10_000, 100_000],
                "order and its cancellation",
                1,
                orders_at(prices),
                turns,
            )
            for name, prices in (
                ("each worse than all others", lambda n: np.arange(n, 0, -1)),
                ("in random order", np.random.default_rng(0).permutation),
            )
        ),
    ]
    found = [one() for one in track(work, "measuring", transient=True, console=console)]
    title = f"Measured: processor time, medians of {turns} turns"
    table = result_table(title, "growing", "sizes", "seconds", "slope", "cost of one piece")
    for one in found:
        table.add_row(
            one.what,
            ", ".join(f"{size:,}" for size in one.sizes),
            ", ".join(f"{seconds:.3g}" for seconds in one.seconds),
            f"{one.slope:.2f}",
            f"{1e6 * one.each:.3g} µs per {one.unit}",
        )
    console.print(table)

    by_agent = {name: evaluation([name], SESSION) for name in AGENTS for _ in range(2)}
    title = f"Measured: {SESSIONS_AT_ONCE} sessions of {SESSION} decisions"
    table = result_table(title, "agent", "µs per decision")
    for name, seconds in by_agent.items():
        table.add_row(name, f"{1e6 * seconds / (SESSIONS_AT_ONCE * SESSION):.3g}")
    console.print(table)

    here = sum(processor_time(lambda: batch_elsewhere(0)) for _ in range(batches))
    ones = processes(2, batches), processes(4, batches)
    start = (ones[1] - ones[0]) / 2
    title = f"Measured: {batches} batches, processor time of all processes together"
    headers = ("this process", "2 new processes", "4 new processes", "start of one")
    table = result_table(title, *headers, texts=0)
    table.add_row(*(f"{seconds:.3g} s" for seconds in (here, *ones, start)))
    console.print(table)

    decision = statistics.mean(by_agent.values()) / (SESSIONS_AT_ONCE * SESSION)
    table = result_table(
        "Extrapolated from the slopes and costs above, NOT measured", "work", "cost"
    )
    markets = found[0]
    many = markets.seconds[-1] * (100_000 / markets.sizes[-1]) ** markets.slope / SESSION
    table.add_row("one decision in each of 100,000 markets, processor time", f"{many:.3g} s")
    table.add_row(
        "records of 100,000 markets, memory",
        f"{100_000 * Markets(configure(), 1).records.itemsize / 1e9:.3g} GB",
    )
    year = 250 * n_agents * DAY * decision
    table.add_row(f"250 days of {DAY:,} decisions, {n_agents} agents, 1 seed", f"{year:.3g} s")
    for machines in (1, 16):
        cores = 16 * machines
        wall = 64 * year / cores + start
        table.add_row(
            f"  64 seeds of it on {machines} machine(s) of 16 cores, wall time", f"{wall:,.0f} s"
        )
    table.add_row(
        "one recorded day of 400 million events, replayed",
        f"{400e6 * found[3].each:.3g} s",
    )
    console.print(table)
    console.print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}. Wall time assumes that every core "
        "is free and always has work.",
        highlight=False,
    )


if __name__ == "__main__":
    tyro.cli(main)
