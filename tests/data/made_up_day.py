"""Recordings to test with: samples of exchange data, and a made-up day."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mm_gym.data.events import EVENT, Source, convert
from tests.data.conftest import SAMPLES
from tests.data.slow_replay import ADD, BUY, CANCEL, EXECUTE, HALT, HIDDEN, REDUCE, SELL

NS = 1_000_000_000
AAPL = "AAPL_2012-06-21_34200000_35400000_message_50.csv"
GOOG = "GOOG_2012-06-21_34200000_57600000_message_1.csv"
FIELDS: dict[str, Any] = {
    "regime": "replay", "session_steps": 20, "warm_up": 5.0, "lot_size": 50, "latency": 0.3,
    "quote_size": 2, "max_offset": 12.0,
}  # fmt: skip


def sample(name: str) -> str:
    """The path of a sample."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the sample {name} is not in ../shared/data, and not part of the project")
    return str(path)


def made_up_day(
    path: Path, seconds: int = 120, seed: int = 0, strange: float = 0.0, spread: int = 1
) -> str:
    """Write a made-up recording with orders that come, go and trade at a few prices.

    Executions are those of a real queue: the oldest order at the best price is next. No new order
    is nearer than `spread` ticks to the other side. A share `strange` of the events are hidden
    executions, halts and executions of unknown orders.
    """
    random = np.random.default_rng(seed)
    queues: dict[int, dict[int, list[list[int]]]] = {BUY: {}, SELL: {}}
    rows = []

    def rest(side: int, price: int, order_id: int, size: int) -> None:
        queues[side].setdefault(price, []).append([order_id, size])
        rows.append((time, ADD, side, order_id, price, size))

    def take(side: int, price: int, place: int, size: int, kind: int) -> None:
        order = queues[side][price][place]
        rows.append((time, kind, side, order[0], price, size))
        order[1] -= size
        if order[1] == 0:
            queues[side][price].pop(place)
        if not queues[side][price]:
            del queues[side][price]

    time, n = 0, 0
    for side in (BUY, SELL):
        for depth in range(1, 9):
            n += 1
            rest(side, 1000 - side * depth, n, 900)
    while time < seconds * NS:
        time += int(random.exponential(0.05) * NS)
        side = int(random.choice([BUY, SELL]))
        prices = sorted(queues[side], key=lambda price: -side * price)
        draw = random.random()
        if draw < strange:
            kind = int(random.choice([HIDDEN, HALT, HALT, EXECUTE]))
            if kind == HALT:
                rows.append((time, HALT, 0, 0, 0, int(random.integers(2))))
            else:  # a hidden order, or one from before the recording
                price = prices[0] + int(random.integers(-1, 2))
                order_id = 0 if kind == HIDDEN else 10**6 + len(rows)
                rows.append((time, kind, side, order_id, price, int(random.integers(1, 200))))
        elif draw < 0.45 or len(prices) < 3:
            n += 1
            other = min(queues[-side], key=lambda price: -side * price)
            price = other - side * int(random.integers(spread, 7 + spread))
            rest(side, price, n, int(random.integers(1, 300)))
        elif draw < 0.8:
            price = int(random.choice(prices))
            place = int(random.integers(len(queues[side][price])))
            whole = queues[side][price][place][1]
            part = int(random.integers(1, whole + 1))
            take(side, price, place, part, CANCEL if part == whole else REDUCE)
        else:
            size = int(random.integers(1, 400))
            while size > 0 and queues[side][prices[0]]:
                traded = min(size, queues[side][prices[0]][0][1])
                take(side, prices[0], 0, traded, EXECUTE)
                size -= traded
                if prices[0] not in queues[side]:
                    break
    convert(Source("made up", 0.01, 1.0, iter([np.array(rows, EVENT)])), path)
    return str(path)
