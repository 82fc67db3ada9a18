"""The fill rule of recorded markets in queues worked out by hand.

`docs/explanation/recorded-markets.md` states the rule. Each case is run by the slow replay and by
the environment. A drawing shows the queue at the maker's price, the oldest order on the left:

    100: A5 me2 B4      orders A of 5 lots, the maker's of 2, and B of 4, at the price 100

The book before the maker comes, at second 1, is

    105: F9       asks
    100: A5       bids
     99: E9
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import mm_gym  # noqa: F401  (registers the environment)
from mm_gym.core.layout import BID
from mm_gym.core.scales import action_of_offset
from mm_gym.data.events import EVENT, Source, convert
from tests.data.slow_replay import (
    ADD,
    BUY,
    CANCEL,
    EXECUTE,
    HALT,
    HIDDEN,
    REDUCE,
    SELL,
    Fill,
    SlowReplay,
)

_NS = 1_000_000_000
A, B, C, E, F, G = range(1, 7)
_BOOK = [
    (0.0, ADD, BUY, E, 99, 9),
    (0.0, ADD, BUY, A, 100, 5),
    (0.0, ADD, SELL, F, 105, 9),
]
_SECONDS = 5
_FAR = 120  # the price of an ask that nothing reaches


@dataclass(frozen=True)
class Case:
    """A maker that wants the same quotes all the time, recorded events, and its fills."""

    name: str
    events: list[tuple]  # (second, kind, side, order, price, size)
    fills: list[tuple]  # (second, side, price, lots)
    bid: int = 100
    ask: int = _FAR
    lots: int = 2
    fields: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case(
        "cancel ahead",
        # 100: A5 me2 B4  ->  me2 B4  ->  me1 B4, and the record says B3
        [
            (1.1, ADD, BUY, B, 100, 4),
            (1.2, CANCEL, BUY, A, 100, 5),
            (1.3, EXECUTE, BUY, B, 100, 1),
        ],
        [(1.3, BUY, 100, 1)],
    ),
    Case(
        "cancel behind",
        # 100: A5 me2 B4 C3  ->  A5 me2 C3  ->  me2 C3  ->  C3, and the record is empty
        [
            (1.1, ADD, BUY, B, 100, 4),
            (1.2, ADD, BUY, C, 100, 3),
            (1.3, CANCEL, BUY, B, 100, 4),
            (1.4, EXECUTE, BUY, A, 100, 5),
            (1.5, EXECUTE, BUY, C, 100, 3),
        ],
        [(1.5, BUY, 100, 2)],
    ),
    Case(
        "partial cancel ahead",
        # 100: A5 me2 B4  ->  A2 me2 B4  ->  me2 B4  ->  me1 B4
        [
            (1.1, ADD, BUY, B, 100, 4),
            (1.2, REDUCE, BUY, A, 100, 3),
            (1.3, EXECUTE, BUY, A, 100, 2),
            (1.4, EXECUTE, BUY, B, 100, 1),
        ],
        [(1.4, BUY, 100, 1)],
    ),
    Case(
        "a deletion behind at our price moves nothing",
        # 100: A5 me2 B4  ->  A5 me2  ->  A1 me2: the taker met only A
        [
            (1.1, ADD, BUY, B, 100, 4),
            (1.2, CANCEL, BUY, B, 100, 4),
            (1.3, EXECUTE, BUY, A, 100, 4),
        ],
        [],
    ),
    Case(
        "a replaced order loses its place",
        # 100: A5 me2  ->  me2  ->  me2 A3  ->  A3
        [
            (1.1, CANCEL, BUY, A, 100, 5),
            (1.1, ADD, BUY, A, 100, 3),
            (1.2, EXECUTE, BUY, A, 100, 3),
        ],
        [(1.2, BUY, 100, 2)],
    ),
    Case(
        "an execution that ends exactly with our order",
        # 100: A5 me2 B2 C3  ->  C3: A5 and B2 were executed, of which B's lots are ours
        [
            (1.1, ADD, BUY, B, 100, 2),
            (1.1, ADD, BUY, C, 100, 3),
            (1.2, EXECUTE, BUY, A, 100, 5),
            (1.2, EXECUTE, BUY, B, 100, 2),
            (1.3, EXECUTE, BUY, C, 100, 3),  # our quote is gone, and no new one has come
        ],
        [(1.2, BUY, 100, 2)],
    ),
    Case(
        "an execution that leaves a part of our order, which keeps its place",
        # 100: A5 me2 B4  ->  me1 B4  (second 2: the quote stays)  ->  B4
        [
            (1.1, ADD, BUY, B, 100, 4),
            (1.2, EXECUTE, BUY, A, 100, 5),
            (1.2, EXECUTE, BUY, B, 100, 1),
            (2.2, EXECUTE, BUY, B, 100, 3),
        ],
        [(1.2, BUY, 100, 1), (2.2, BUY, 100, 1)],
    ),
    Case(
        "an execution that goes through our level",
        # 100: A5 me2         99: E9  ->  100: -    99: E8, of which one lot is ours at 100, and a
        #                                           second one when the next lot of E goes
        [
            (1.1, EXECUTE, BUY, A, 100, 5),
            (1.1, EXECUTE, BUY, E, 99, 1),
            (1.2, EXECUTE, BUY, E, 99, 4),
        ],
        [(1.1, BUY, 100, 1), (1.2, BUY, 100, 1)],
    ),
    Case(
        "a new quote joins at the end after a fill",
        # 100: A5 me2 B4  ->  B4  (second 2: B2 me2)  ->  me2
        [
            (1.1, ADD, BUY, B, 100, 4),
            (1.2, EXECUTE, BUY, A, 100, 5),
            (1.2, EXECUTE, BUY, B, 100, 2),
            (2.2, EXECUTE, BUY, B, 100, 2),
        ],
        [(1.2, BUY, 100, 2)],
    ),
    Case(
        "hidden executions: behind us at our price, before us at better prices",
        # 101: (hidden)       100: A5 me2 (hidden)
        [
            (1.1, HIDDEN, BUY, 0, 101, 3),
            (1.2, HIDDEN, BUY, 0, 100, 1),
            (1.3, HIDDEN, SELL, 0, 104, 3),
        ],
        [(1.2, BUY, 100, 1)],
    ),
    Case(
        "own order alone at a price",
        # 101: me2            100: A5  ->  101: -    100: A2, whose other three lots were executed:
        #                                            two by us
        [(1.2, EXECUTE, BUY, A, 100, 3)],
        [(1.2, BUY, 101, 2)],
        bid=101,
    ),
    Case(
        "a new order that crosses our quote trades with it",
        # 101: me2  <- a seller of one lot at 101, whom nobody else would have met
        [(1.2, ADD, SELL, G, 101, 1)],
        [(1.2, BUY, 101, 1)],
        bid=101,
    ),
    Case(
        "two aggressors in a row",
        # 100: A5 me2 B4  ->  me2 B4  ->  me1 B4  ->  B4
        [
            (1.1, ADD, BUY, B, 100, 4),
            (1.2, CANCEL, BUY, A, 100, 5),
            (1.3, EXECUTE, BUY, B, 100, 1),
            (1.4, EXECUTE, BUY, B, 100, 1),
            (1.5, EXECUTE, BUY, B, 100, 1),
        ],
        [(1.3, BUY, 100, 1), (1.4, BUY, 100, 1)],
    ),
    Case(
        "the same liquidity is never used twice",
        # 101: me3  <- seller G1 at 101 trades with us once. It rests in the record, at 101, and its
        # execution there is a buyer's: it does not touch our bid. The next seller is a new one.
        [
            (1.1, ADD, SELL, G, 101, 1),
            (1.2, EXECUTE, SELL, G, 101, 1),
            (1.3, ADD, SELL, B, 101, 1),
            (1.4, CANCEL, SELL, B, 101, 1),
        ],
        [(1.1, BUY, 101, 1), (1.3, BUY, 101, 1)],
        bid=101,
        lots=3,
    ),
    Case(
        "an order from before the recording is ahead of us",
        # 100: (X) A5 me2     99: (Y) E9: X and Y are unknown until they are executed
        [(1.1, EXECUTE, BUY, 91, 100, 4), (1.2, EXECUTE, BUY, 92, 99, 1)],
        [(1.2, BUY, 100, 1)],
    ),
    Case(
        "latency while the queue moves",
        # second 1.0: A5      1.5: A5 B4 me2 C3  ->  A5 me2 C3  ->  me2 C3  ->  C3
        [
            (1.2, ADD, BUY, B, 100, 4),
            (1.6, ADD, BUY, C, 100, 3),
            (1.7, CANCEL, BUY, B, 100, 4),
            (1.8, EXECUTE, BUY, A, 100, 5),
            (1.9, EXECUTE, BUY, C, 100, 2),
        ],
        [(1.9, BUY, 100, 2)],
        fields={"latency": 0.5},
    ),
    Case(
        "events at the moment of arrival come first",
        # second 1.5: A5 B4 me2  ->  me2: B was ahead
        [
            (1.5, ADD, BUY, B, 100, 4),
            (1.6, EXECUTE, BUY, A, 100, 5),
            (1.7, EXECUTE, BUY, B, 100, 4),
        ],
        [],
        fields={"latency": 0.5},
    ),
    Case(
        "halt: no fills, and the quote keeps its place",
        # 100: A5 me2 B4  ->  halt: A5 me2 B2  ->  trading: me2 B2  ->  B2
        [
            (1.1, ADD, BUY, B, 100, 4),
            (1.2, HALT, 0, 0, 0, 0),
            (1.3, EXECUTE, BUY, B, 100, 1),
            (1.3, HIDDEN, BUY, 0, 99, 1),
            (1.3, REDUCE, BUY, B, 100, 1),
            (2.5, HALT, 0, 0, 0, 1),
            (2.6, CANCEL, BUY, A, 100, 5),
            (2.7, EXECUTE, BUY, B, 100, 2),
        ],
        [(2.7, BUY, 100, 2)],
    ),
    Case(
        "post-only: a quote never crosses the recorded touch",
        # 101: G2 comes while our bid at 102 is under way, so it joins at 100: A5 me2
        [
            (1.2, ADD, SELL, G, 101, 2),
            (1.7, EXECUTE, BUY, A, 100, 5),
            (1.8, EXECUTE, BUY, E, 99, 1),
        ],
        [(1.8, BUY, 100, 1)],
        bid=102,
        fields={"latency": 0.5},
    ),
    Case(
        "asks work as bids do",
        # 105: F9 me2 B4  ->  me2 B4  ->  B4
        [
            (1.1, ADD, SELL, B, 105, 4),
            (1.2, REDUCE, SELL, F, 105, 3),
            (1.3, EXECUTE, SELL, F, 105, 6),
            (1.4, EXECUTE, SELL, B, 105, 4),
        ],
        [(1.4, SELL, 105, 2)],
        bid=80,
        ask=105,
    ),
    Case(
        "only whole lots are filled",
        # 100: A5 me6 B9, a lot is three units: four units of B are one lot and a third of one
        [
            (1.1, ADD, BUY, B, 100, 9),
            (1.2, CANCEL, BUY, A, 100, 5),
            (1.3, EXECUTE, BUY, B, 100, 2),
            (1.4, EXECUTE, BUY, B, 100, 2),
            (1.5, EXECUTE, BUY, B, 100, 5),
        ],
        [(1.4, BUY, 100, 1), (1.5, BUY, 100, 1)],
        fields={"lot_size": 3},
    ),
    Case(
        "the position limit shortens the next quote",
        # 100: A5 me2 B9  ->  B7  (second 2: B7 me1, as the limit is 3)  ->  me1 C4  ->  C4
        [
            (1.1, ADD, BUY, B, 100, 9),
            (1.2, CANCEL, BUY, A, 100, 5),
            (1.3, EXECUTE, BUY, B, 100, 2),
            (2.1, ADD, BUY, C, 100, 4),
            (2.2, EXECUTE, BUY, B, 100, 7),
            (2.3, EXECUTE, BUY, C, 100, 4),
        ],
        [(1.3, BUY, 100, 2), (2.3, BUY, 100, 1)],
        fields={"max_inventory": 3},
    ),
]


def rows(case: Case) -> np.ndarray:
    """The events of a case, with the book before and an event at the end, as rows of `EVENT`."""
    last = (_SECONDS, ADD, BUY, 99, 50, 1)
    found = np.zeros(len(_BOOK) + len(case.events) + 1, EVENT)
    for row, (second, kind, side, order_id, price, size) in zip(
        found, [*_BOOK, *case.events, last], strict=True
    ):
        row["time"], row["kind"], row["side"] = round(second * _NS), kind, side
        row["order_id"], row["price"], row["size"] = order_id, price, size
    return found


def by_slow_replay(case: Case) -> list[Fill]:
    """The fills by the slow replay: quotes at each whole second from the first on."""
    replay = SlowReplay(
        case.fields.get("lot_size", 1), case.lots, case.fields.get("max_inventory", 50)
    )
    delay = round(case.fields.get("latency", 0.0) * _NS)
    quotes = [second * _NS + delay for second in range(1, _SECONDS)]
    for event in rows(case):
        while quotes and quotes[0] < event["time"]:
            replay.quote(quotes.pop(0), case.bid, case.ask)
        replay.event(event)
    return replay.fills


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_slow_replay_has_the_fills_worked_out_by_hand(case: Case) -> None:
    expected = [Fill(round(second * _NS), *rest) for second, *rest in case.fills]
    assert by_slow_replay(case) == expected


def environment(path: Path, case: Case, **fields: Any) -> Any:
    """The environment of a case, whose only session starts at second 1."""
    return gymnasium.make(
        "MarketMaking-v0",
        regime="replay",
        data=str(path),
        warm_up=1.0,
        session_steps=_SECONDS - 1,
        max_offset=64.0,
        quote_size=case.lots,
        record=100,
        **({"lot_size": 1} | case.fields | fields),
    ).unwrapped


def offsets_to(env: Any, info: dict[str, Any], bid: int, ask: int) -> np.ndarray:
    """The action that quotes at these prices."""
    return np.array(
        [
            action_of_offset(distance, env.config.max_offset)
            for distance in (info["mid"] - bid, ask - info["mid"])
        ],
        np.float32,
    )


def test_the_environment_has_the_same_fills(tmp_path: Path) -> None:
    for number, case in enumerate(CASES):
        path = tmp_path / f"{number}.parquet"
        convert(Source("hand", 0.01, 1.0, iter([rows(case)])), path)
        env = environment(path, case)
        _, info = env.reset(seed=number)
        terminated = False
        while not terminated:
            action = offsets_to(env, info, case.bid, case.ask)
            _, _, terminated, _, info = env.step(action)
        found = [
            Fill(
                round((row["time"] + 1.0) * _NS),
                BUY if row["side"] == BID else SELL,
                int(row["price"]),
                int(row["lots"]),
            )
            for row in env.recorded().fills
        ]
        assert found == by_slow_replay(case), case.name
