"""The tape of a market, compared with the lots that disappear from its book at each event."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mm_gym import REGIMES
from mm_gym.core import entry_points
from mm_gym.core.layout import ASK, BID, TAPE_ROWS, TakerKind
from tests.core.kit import start, started, step


def trades_since(record: Any, first: int) -> list[Any]:
    """Return the trades of a market from the one with number `first` on, oldest first."""
    assert record["n_trades"] - first <= TAPE_ROWS
    return [record["tape"][k % TAPE_ROWS].copy() for k in range(first, int(record["n_trades"]))]


def lots_by_price(record: Any, read_queues: Callable[..., Any]) -> Counter[tuple[int, int, bool]]:
    """Return the lots at each place: side and price, of all orders or of the agent's (True)."""
    lots: Counter[tuple[int, int, bool]] = Counter()
    for side, name in ((BID, "bid"), (ASK, "ask")):
        for price, queue in read_queues(record, name).items():
            lots[side, price, False] = sum(order.lots for order in queue)
            lots[side, price, True] = sum(order.lots for order in queue if order.own)
    return lots


@pytest.mark.parametrize("regime", REGIMES)
def test_trades_are_the_lots_that_takers_remove_from_the_book(
    regime: str, read_queues: Callable[..., Any]
) -> None:
    # Large orders trade at several prices, and trade parts of the quotes.
    # Lots that return at once would hide what was taken.
    markets = started(
        regime=regime, seed=3, taker_rate=2.0, taker_size=4.0, quote_size=5, refill=False
    )
    step(markets, 1.0, 1.0)
    record = markets.records[0]
    orders = swept = own = 0
    kinds: set[TakerKind] = set()
    flow = float(record["features"]["step_flow"])
    for _ in range(1_000):
        before, n_before = lots_by_price(record, read_queues), int(record["n_trades"])
        taker_at = float(record["next_taker"])
        entry_points.audit_events(markets.records, markets.parameters, 1, markets.fill_rows)
        trades = trades_since(record, n_before)
        if record["time"] != taker_at:
            assert trades == []
            continue
        removed = before - lots_by_price(record, read_queues)
        # A buyer takes the cheapest asks first, a seller the highest bids.
        buys = {side for side, _, _ in removed} == {ASK}
        prices = sorted({price for _, price, _ in removed}, reverse=not buys)
        side, taken = (BID, ASK) if buys else (ASK, BID)
        expected = [
            (taker_at, price, removed[taken, price, False], removed[taken, price, True], side)
            for price in prices
        ]
        assert [tuple(row)[:5] for row in trades] == expected
        own += sum(own_lots for _, _, _, own_lots, _ in expected)
        orders += bool(trades)
        swept += len(trades) > 1
        flow += sum(lots for _, _, lots, _, _ in expected) * (1 if buys else -1)
        kinds |= {TakerKind(row["kind"]) for row in trades}
    assert flow == record["features"]["step_flow"]
    if regime == "dealer":  # one order a side, and nobody quotes again between two decisions
        assert own > 0
    else:
        assert orders > 10
        assert swept > 2 or regime == "large_tick"  # its queues are longer than orders
    if regime == "noise":
        assert own > 0
        assert kinds == {TakerKind.NOISE}


@pytest.mark.parametrize(
    "regime, kinds",
    [
        ("noise", {TakerKind.NOISE}),
        ("naive_informed", {TakerKind.NOISE, TakerKind.NAIVE_INFORMED}),
        ("informed", {TakerKind.NOISE, TakerKind.INFORMED, TakerKind.SNIPER}),
    ],
)
def test_where_only_the_agent_quotes_the_trades_are_its_fills(
    regime: str, kinds: set[TakerKind]
) -> None:
    markets = started(
        regime=regime, seed=1, fill_rows=10_000, makers="none", sniping=True, quote_size=3
    )
    record = markets.records[0]
    trades: list[Any] = []
    for _ in range(900):
        first = int(record["n_trades"])
        step(markets, 1.0, 1.0)
        trades += trades_since(record, first)
    fills = markets.fill_rows[0, : int(record["n_fill_rows"])]
    assert len(trades) == record["n_trades"] > 200
    for mine, theirs in {
        "time": "time",
        "price": "price",
        "lots": "lots",
        "own_lots": "lots",
        "kind": "taker",
    }.items():
        np.testing.assert_array_equal([row[mine] for row in trades], fills[theirs])
    np.testing.assert_array_equal([row["side"] for row in trades], 1 - fills["side"])
    assert kinds <= {TakerKind(row["kind"]) for row in trades}


def test_a_new_session_starts_with_an_empty_tape() -> None:
    markets = started(seed=1)
    for _ in range(50):
        step(markets)
    assert markets.records["n_trades"][0] > TAPE_ROWS
    start(markets, 2)
    assert markets.records["n_trades"][0] == 0
    fresh = started(seed=2)
    for _ in range(10):
        step(markets)
        step(fresh)
    assert trades_since(markets.records[0], 0) == trades_since(fresh.records[0], 0) != []
