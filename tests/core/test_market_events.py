"""The book stays valid through all events of a market: it is audited after each.

The tests include empty books, wandering prices and full pools. Each test also checks that its
situation occurred.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mm_gym import REGIMES
from mm_gym.core import entry_points
from mm_gym.core.book import SOUND
from mm_gym.core.layout import BID, MARKET_LEVELS, MARKET_ORDERS, QUOTES_IN_FLIGHT, Outcome
from mm_gym.markets import Markets
from tests.core.kit import offsets, start, started, step


def assert_sound_events(markets: Markets, n: int) -> None:
    """Process `n` events of the first market and audit its book after each."""
    assert entry_points.audit_events(markets.records, markets.parameters, n, markets.fill_rows) == (
        n,
        SOUND,
    )


def assert_sound_books(markets: Markets) -> None:
    """Audit the books of all markets."""
    for i in range(len(markets)):
        book = np.ascontiguousarray(markets.records["book"][i : i + 1])
        assert entry_points.book_audit(book) == SOUND


def test_the_book_is_sound_after_each_of_a_million_events_of_the_default_market() -> None:
    markets = started()
    before = int(markets.records["book"]["n_events"][0])
    assert_sound_events(markets, 1_000_000)
    # Most events change an order. Takers without a counterpart change none.
    assert int(markets.records["book"]["n_events"][0]) - before > 800_000


@pytest.mark.parametrize("regime", REGIMES)
def test_the_book_is_sound_after_each_of_100_000_events_in_each_regime(regime: str) -> None:
    assert_sound_events(started(regime=regime, seed=1), 100_000)


# ------------------------------------------------------------------------------------- under stress


def _is_empty(book: Any) -> bool:
    return bool((book["n_levels"] == 0).any())


def _has_wandered(book: Any) -> bool:
    return abs(int(book["levels"][BID, max(0, book["n_levels"][BID] - 1)]["key"]) - 10_000) > 10_000


def _is_full(book: Any) -> bool:
    return bool(book["n_live"] >= MARKET_ORDERS - 2)


def _has_no_level_left(book: Any) -> bool:
    return bool((book["n_levels"] >= MARKET_LEVELS - 1).any())


def _is_large(book: Any) -> bool:
    return bool(book["n_live"] > MARKET_ORDERS / 3)


def _is_deep(book: Any) -> bool:
    return bool(book["levels"]["lots"].max() > 100_000)


# The largest ratio of the rates that the configuration allows.
MANY_MAKERS = {"maker_rate": 32.0, "maker_cancel_rate": 0.5}

STRESSES: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[Any], bool]]] = {
    # Fields of the configuration, parameters outside the range of the configuration, and the
    # situation that must occur.
    "takers empty the book": ({"taker_rate": 1_000.0, "taker_tolerance": np.inf}, {}, _is_empty),
    "large takers empty the book": ({"taker_size": 1e6, "maker_size": 1e3}, {}, _is_empty),
    "no background orders": ({"maker_rate": 0.0}, {}, _is_empty),
    "prices wander": ({"volatility": 3_000.0}, {}, _has_wandered),
    "prices drift": ({"signal_drift": 1_000.0, "signal_half_life": 1_000.0}, {}, _has_wandered),
    "as many makers as allowed": (MANY_MAKERS, {}, _is_large),
    "orders fill the pool": (
        {**MANY_MAKERS, "taker_rate": 0.1},
        {"maker_lifetime": 1e9, "maker_balance": 64e9},
        _is_full,
    ),
    "levels fill a side": (
        {
            **MANY_MAKERS,
            "maker_depth": 1e5,
            "taker_rate": 0.1,
            "volatility": 0.0,
            "signal_drift": 0.0,
        },
        {"maker_lifetime": 1e9, "maker_balance": 64e9},
        _has_no_level_left,
    ),
    "sizes are large": ({"maker_size": 1e5, "taker_size": 1e5}, {}, _is_deep),
    "zero depth": ({"maker_depth": 0.0, "value_interval": 0.01}, {}, _is_empty),
    "a time grid much finer than the flow": (
        {"value_interval": 1e-3, "volatility": 50.0},
        {},
        _is_empty,
    ),
}


@pytest.mark.parametrize("name", STRESSES)
def test_a_stressed_market_stays_sound(name: str) -> None:
    fields, parameters, stress = STRESSES[name]
    markets = started(seed=2, regime="informed", **fields)
    for parameter, value in parameters.items():
        markets.parameters[parameter] = value
    seen = 0
    for _ in range(1_000):
        assert_sound_events(markets, 200)
        seen += stress(markets.records["book"][0])
    assert seen > 10


# ----------------------------------------------------------------------------------- with the agent

AGENTS: dict[str, dict[str, Any]] = {
    "at once": {},
    "with less latency than an interval": {"latency": 0.4},
    "with more latency than an interval": {"latency": 7.3},
    "with the largest latency": {"latency": (QUOTES_IN_FLIGHT - 1) * 1.0},
    "in short intervals": {"decision_interval": 0.1, "latency": 0.3},
    "sniped": {"sniping": True, "volatility": 5.0, "latency": 1.5},
    "in large orders": {"quote_size": 50, "taker_size": 20.0, "max_inventory": 120},
    "at the edge of its inventory": {"max_inventory": 1, "taker_rate": 5.0},
    "as a dealer": {"regime": "dealer", "latency": 2.5, "sniping": True},
    "nearly alone": {"maker_rate": 0.01, "taker_rate": 3.0},
    "among as many makers as allowed": {**MANY_MAKERS, "latency": 0.5},
}


@pytest.mark.parametrize("name", AGENTS)
def test_the_book_is_sound_after_each_decision_of_an_agent_that_quotes(name: str) -> None:
    # With short intervals there is about one event between two audits. The offsets range from zero
    # to large ones.
    fields = {"regime": "informed", "decision_interval": 0.5, **AGENTS[name]}
    if fields.get("latency", 0.0) > 30.0:
        fields["decision_interval"] = 1.0
    markets = started(16, seed=3, **fields)
    random = np.random.default_rng(0)
    orders_of_agent = 0
    for _ in range(1_000):
        actions = np.clip(random.normal(-0.6, 0.4, (len(markets), 2)), -1.0, 1.0)
        markets.step(actions.astype(np.float32))
        assert_sound_books(markets)
        orders_of_agent += int((markets.records["quotes"]["slot"] >= 0).sum())
    assert orders_of_agent > 1_000
    assert (markets.records["account"]["n_fills"] > 0).all()


@pytest.mark.parametrize("name", ["at once", "sniped", "in large orders", "nearly alone"])
def test_the_book_is_sound_after_each_event_while_the_agent_quotes(name: str) -> None:
    markets = started(**{"regime": "informed", **AGENTS[name], "latency": 0.0})
    fills = 0
    for seed in range(300):
        start(markets, seed)
        before = int(step(markets, bid=seed % 3, ask=seed % 5)[0, Outcome.FILLS])
        assert_sound_events(markets, 1_000)
        fills += int(markets.records["account"]["n_fills"][0]) - before
    assert fills > 100


def test_quotes_under_way_never_exceed_their_room() -> None:
    markets = started(16, latency=(QUOTES_IN_FLIGHT - 1) * 0.1, decision_interval=0.1)
    most = 0
    for _ in range(500):
        step(markets)
        most = max(most, int(markets.records["quotes"]["n_in_flight"].max()))
    # With this latency a quote arrives at the time of a decision. Rounding decides their order.
    assert QUOTES_IN_FLIGHT - 1 <= most <= QUOTES_IN_FLIGHT


def test_equal_records_have_equal_futures() -> None:
    markets = started(4, regime="informed", latency=1.5, sniping=True)
    for _ in range(50):
        step(markets)
    checkpoint = markets.records.copy()
    first = [step(markets) for _ in range(100)]
    end = markets.records.tobytes()
    markets.records[...] = checkpoint
    np.testing.assert_array_equal(first, [step(markets) for _ in range(100)])
    assert markets.records.tobytes() == end
    assert offsets(markets, 2.0, 2.0).dtype == np.float32
