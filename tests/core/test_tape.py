"""The tape of a market, compared with the lots that disappear from its book at each event."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mm_gym import REGIMES
from mm_gym.core import entry_points
from mm_gym.core.layout import ASK, BID, TAPE_ROWS, TakerKind
from mm_gym.markets import Markets
from tests.core.kit import start, started, step

SIDES = {"bid": BID, "ask": ASK}


def trades_since(record: Any, first: int) -> list[Any]:
    """Return the trades of a market from the one with number `first` on, oldest first."""
    assert record["n_trades"] - first <= TAPE_ROWS
    return [record["tape"][k % TAPE_ROWS].copy() for k in range(first, int(record["n_trades"]))]


def lots_by_price(record: Any, read_queues: Callable[..., Any]) -> Counter[tuple[str, int]]:
    """Return the lots that rest at each price of each side."""
    return Counter(
        {
            (side, price): sum(order.lots for order in queue)
            for side in SIDES
            for price, queue in read_queues(record, side).items()
        }
    )


@pytest.mark.parametrize("regime", REGIMES)
def test_trades_are_the_lots_that_takers_remove_from_the_book(
    regime: str, read_queues: Callable[..., Any]
) -> None:
    # Wide quotes of several lots, so that a taker can trade at several prices and leave a rest.
    markets = started(regime=regime, seed=3, taker_rate=2.0, taker_size=4.0, quote_size=5)
    step(markets, 1.0, 1.0)
    record = markets.records[0]
    orders = swept = 0
    kinds: set[TakerKind] = set()
    flow = float(record["features"]["step_flow"])
    for _ in range(1_000):
        before, n_before = lots_by_price(record, read_queues), int(record["n_trades"])
        taker_at = float(record["next_taker"])
        entry_points.audit_events(markets.records, 1, markets.fill_rows)
        trades = trades_since(record, n_before)
        if record["time"] != taker_at:
            assert trades == []
            continue
        removed = before - lots_by_price(record, read_queues)
        for row in trades:
            assert (row["time"], row["side"]) == (taker_at, trades[0]["side"])
        # A buyer takes the cheapest asks first, a seller the highest bids.
        buys = bool(trades) and trades[0]["side"] == BID
        book_side = "ask" if buys else "bid"
        on_tape = [((book_side, int(row["price"])), int(row["lots"])) for row in trades]
        assert on_tape == sorted(removed.items(), reverse=not buys)
        orders += bool(trades)
        swept += len(trades) > 1
        flow += sum(int(row["lots"]) for row in trades) * (1 if buys else -1)
        kinds |= {TakerKind(row["kind"]) for row in trades}
    assert flow == record["features"]["step_flow"]
    if regime == "dealer":  # one order a side, and nobody quotes again between two decisions
        assert orders > 0
    else:
        assert orders > 10
        assert swept > 2
    if regime == "noise":
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
    for mine, theirs in (("time", "time"), ("price", "price"), ("lots", "lots"), ("kind", "taker")):
        np.testing.assert_array_equal([row[mine] for row in trades], fills[theirs])
    np.testing.assert_array_equal([row["side"] for row in trades], 1 - fills["side"])
    assert kinds <= {TakerKind(row["kind"]) for row in trades}


def test_a_new_session_starts_a_new_tape_with_the_trades_of_its_warm_up() -> None:
    markets = started(seed=1)
    first: Markets = started(seed=2)
    for _ in range(50):
        step(markets)
    assert markets.records["n_trades"][0] > TAPE_ROWS
    start(markets, 2)
    fresh, reused = first.records[0], markets.records[0]
    assert 0 < reused["n_trades"] == fresh["n_trades"]
    first_kept = max(0, int(fresh["n_trades"]) - TAPE_ROWS)
    assert trades_since(reused, first_kept) == trades_since(fresh, first_kept)
    assert all(row["time"] <= 0.0 for row in trades_since(reused, first_kept))
