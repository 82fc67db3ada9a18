"""Market orders of the agent against hand-worked cases, and the account's identity with them."""

import math
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from agents.base import Observations
from agents.rules.inventory_skew import InventorySkewAgent
from mm_gym import MarketConfig, configure
from mm_gym.actions import decided_offsets
from mm_gym.core.layout import ASK, BID, TakerKind
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.markets import Markets
from tests.core.kit import offsets, started, step
from tests.still_market import account, dealer, fills_after


def holding(lots: int, **fields: Any) -> Markets:
    """A market of book orders and no takers in which the agent holds `lots`, bought at the mid."""
    markets = started(
        1, "noise", fill_rows=50, path_rows=5000, taker_rate=0.0, maker_rate=9.0, **fields
    )
    step(markets, 15.0, 15.0)
    record = markets.records[0]
    record["account"]["inventory"] = lots
    record["account"]["cash"] = -lots * record["mid"]
    record["account"]["mark"] = record["mid"]
    return markets


def take(markets: Markets, half_spread: float = 15.0, ask: float = 1.0) -> None:
    """Quote at this half-spread and send a market order."""
    quotes = offsets(markets, half_spread, half_spread)
    markets.step(np.hstack([quotes, np.full((len(markets), 1), ask, np.float32)]))


def proceeds(markets: Markets, lots: int) -> float:
    """[ticks x lots] What selling (or, if negative, buying) takes from the book, level by level."""
    side = BID if lots > 0 else ASK
    book, money, left = markets.records[0]["book"], 0.0, abs(lots)
    for index in range(book["n_levels"][side] - 1, -1, -1):
        level = book["levels"][side, index]
        traded = min(left, int(level["lots"]))
        money += traded * int(level["key"])  # the price of a bid, minus the price of an ask
        left -= traded
    assert left == 0
    return money


@pytest.mark.parametrize("lots", [4, -4])
def test_a_market_order_walks_the_book_and_pays_the_taker_fee(lots: int) -> None:
    markets = holding(lots, taker_fee=0.25, maker_fee=-0.5)
    cash, mid = float(account(markets)["cash"]), float(markets.records[0]["mid"])
    money = proceeds(markets, lots)
    take(markets)
    after = account(markets)
    assert after["inventory"] == 0
    assert after["cash"] == cash + money - 0.25 * 4
    assert after["fees"] == 0.25 * 4
    assert after["spread_pnl"] == money - lots * mid < 0.0
    assert (after["n_fills"], after["n_lots"], after["lots_taken"]) == (0, 0, 4)
    assert len(markets.recorded(0).fills) == 0  # so it has no markout
    # The trades are on the tape, and not in the order flow that the agent observes.
    record = markets.records[0]
    trades = record["tape"][: record["n_trades"]]
    assert (trades["kind"] == TakerKind.AGENT).all()
    assert trades["lots"].sum() == 4
    assert (trades["side"] == (ASK if lots > 0 else BID)).all()
    assert not record["features"]["flow"].any()


def test_a_market_order_is_sent_above_one_half_only() -> None:
    for asked, held in ((0.5, 4), (0.51, 0), (-1.0, 4), (7.0, 0)):
        markets = holding(4)
        take(markets, ask=asked)
        assert account(markets)["inventory"] == held


def test_without_a_market_order_the_format_is_that_of_offsets() -> None:
    plain, three = (
        gymnasium.make_vec("MarketMaking-v0", num_envs=4, regime="informed", action=action)
        for action in ("offsets", "quotes_and_take")
    )
    assert three.single_action_space == gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
    generator = np.random.default_rng(0)
    plain.reset(seed=0), three.reset(seed=0)
    for _ in range(100):
        actions = generator.uniform(-1.0, 0.5, (4, 3)).astype(np.float32)
        for ours, theirs in zip(
            plain.step(actions[:, :2])[:2], three.step(actions)[:2], strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_the_agent_does_not_trade_with_its_own_quote() -> None:
    """Its bid at the best price is cancelled, and the order trades with the bids behind it."""
    markets = holding(3, quote_size=5)
    markets.step(np.array([[-1.0, 1.0]], np.float32))
    record = markets.records[0]
    own = record["quotes"]["slot"][BID]
    best = record["book"]["levels"][BID, record["book"]["n_levels"][BID] - 1]
    assert record["book"]["orders"][own]["key"] == best["key"]
    take(markets, 15.0)
    assert account(markets)["inventory"] == 0
    assert account(markets)["n_lots"] == 0


def test_a_market_order_that_arrives_late_never_opens_a_position() -> None:
    """It is reduce-only: its size is the inventory at arrival, not that of the decision."""
    markets = started(32, "noise", quote_size=5, taker_rate=3.0, latency=1.5, fill_rows=9999)
    generator = np.random.default_rng(0)
    before, took = markets.records["account"]["lots_taken"].copy(), 0
    for _ in range(200):
        quotes = generator.uniform(-1.0, 0.0, (32, 2)).astype(np.float32)
        markets.step(np.hstack([quotes, np.ones((32, 1), np.float32)]))
        now = markets.records["account"]
        took += int((now["lots_taken"] > before).sum())
        before = now["lots_taken"].copy()
    # Fills after the arrival are of one decision at most. Without market orders it is up to 50.
    assert np.abs(markets.records["account"]["inventory"]).max() <= 20
    assert took > 1000


def test_in_the_dealer_market_a_market_order_finds_nothing() -> None:
    markets = dealer()
    fills_after(markets, [0.5], 2.0)
    held = int(account(markets)["inventory"])
    take(markets)
    assert account(markets)["inventory"] == held != 0


COSTS: list[dict[str, Any]] = [
    {"maker_fee": -0.25, "taker_fee": 0.375},
    {"fee_tier_lots": (50.0,), "fee_tier_fees": (-0.5,), "latency": 0.4, "sniping": True},
    {"latency": 0.3, "cancel_latency": 0.6, "latency_kind": "exponential"},
    {"latency_kind": "empirical", "latency_samples": (0.1, 2.5), "taker_fee": 0.125},
]


@pytest.mark.parametrize("regime", ["noise", "informed", "zero_intelligence", "large_tick"])
@pytest.mark.parametrize("fields", COSTS, ids=str)
def test_final_pnl_is_spread_plus_inventory_pnl_minus_fees_minus_close_out_with_market_orders(
    regime: str, fields: dict[str, Any]
) -> None:
    """To the last tick: prices are multiples of 1/2 and fees binary fractions."""
    markets = started(
        8, regime, fill_rows=3000, path_rows=30_000, quote_size=3, close_out_cost=0.5, **fields
    )
    generator = np.random.default_rng(1)
    for _ in range(200):
        actions = generator.uniform(-1.0, 0.6, (8, 3)).astype(np.float32)
        outcomes = markets.step(actions)[1]
    book = markets.records["account"]
    assert (book["lots_taken"] > 0).all()
    wealth = book["cash"] + book["inventory"] * book["mark"]
    np.testing.assert_array_equal(wealth, book["spread_pnl"] + book["inventory_pnl"] - book["fees"])
    np.testing.assert_array_equal(outcomes[:, 2], wealth)
    for market in range(8):
        fills, path = markets.recorded(market)
        signed = np.where(fills["side"] == BID, 1, -1) * fills["lots"]
        assert fills["lots"].sum() == book["n_lots"][market]
        assert len(fills) == book["n_fills"][market]
        # What fills do not explain of the inventory, market orders do.
        assert abs(book["inventory"][market] - signed.sum()) <= book["lots_taken"][market]
        # A sniper trades in the same event in which the mid moves.
        if not fields.get("sniping"):
            moves = math.fsum(np.diff(path["mid"]) * path["inventory"][1:])
            assert moves == book["inventory_pnl"][market]


def test_the_position_stays_within_its_limit_after_market_orders() -> None:
    """A quote sized for the position before the market order keeps its place and loses lots."""
    markets = started(
        32, "noise", quote_size=9, max_inventory=5, taker_rate=3.0, requote_threshold=20.0
    )
    generator = np.random.default_rng(3)
    reached = 0
    for _ in range(300):
        actions = np.hstack([np.full((32, 2), -0.5), generator.uniform(0.0, 0.6, (32, 1))])
        markets.step(actions.astype(np.float32))
        reached = max(reached, int(np.abs(markets.records["account"]["inventory"]).max()))
    assert reached == 5


# -------------------------------------------------------------------------- environments and agents


def test_all_environments_take_the_same_market_orders() -> None:
    sb3 = pytest.importorskip("mm_gym.sb3")
    fields: dict[str, Any] = {
        "regime": "informed", "action": "quotes_and_take", "taker_fee": 0.3,
        "latency": 0.5, "latency_kind": "exponential",
    }  # fmt: skip
    many: Any = gymnasium.make_vec("MarketMaking-v0", num_envs=2, **fields)
    ones = [gymnasium.make("MarketMaking-v0", **fields) for _ in range(2)]
    batch = sb3.MarketMakingVecEnv(2, **fields)
    assert batch.action_space == ones[0].action_space == many.single_action_space
    batch.seed(5)
    batch.reset(), many.reset(seed=5)
    for seed, one in enumerate(ones, 5):
        one.reset(seed=seed)
    generator = np.random.default_rng(0)
    for _ in range(150):
        actions = generator.uniform(-1.0, 1.0, (2, 3)).astype(np.float32)
        seen, rewards, *_ = many.step(actions)
        alone = [one.step(action) for one, action in zip(ones, actions, strict=True)]
        np.testing.assert_array_equal(seen, [result[0] for result in alone])
        np.testing.assert_array_equal(rewards, [result[1] for result in alone])
        np.testing.assert_array_equal(batch.step(actions)[0], seen)
    assert (many.unwrapped._markets.records["account"]["lots_taken"] > 0).all()


class StopsOut(InventorySkewAgent):
    """Flattens with a market order from `stop` lots on."""

    def __init__(self, config: MarketConfig, stop: int) -> None:
        super().__init__(config, skew=0.0)
        self.stop = stop

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        quotes, state = super().predict(observation, state)
        takes = np.abs(self.inventory(observation)) >= self.stop
        return np.hstack([quotes, takes[:, None].astype(np.float32)]), state


def test_an_agent_that_takes_is_evaluated() -> None:
    """The stop bounds the inventory, and the fees and the spread of its orders are in the PnL."""
    config = configure("informed", p_informed=0.6, taker_fee=0.25, session_steps=400)
    sessions = run_sessions(lambda config: StopsOut(config, 6), config, 16, 0)
    without = run_sessions(lambda config: StopsOut(config, 1000), config, 16, 0)
    assert sessions.max_abs_inventory.max() <= 10 < without.max_abs_inventory.max()
    assert (sessions.lots_taken > 0).mean() >= 0.5
    assert not without.lots_taken.any()
    np.testing.assert_array_equal(sessions.fees, 0.25 * sessions.lots_taken)
    parts = sessions.spread_pnl + sessions.inventory_pnl - sessions.fees - sessions.close_out
    np.testing.assert_array_equal(sessions.final_pnl, parts)


def test_decisions_have_two_or_three_columns() -> None:
    assert decided_offsets(np.zeros((4, 2)), 4).shape == (4, 2)
    assert decided_offsets(np.zeros((4, 3)), 4).shape == (4, 3)
    with pytest.raises(ValueError, match=r"expected \(4, 2\), a bid and an ask .*\(4, 5\)"):
        decided_offsets(np.zeros((4, 5)), 4)
    with pytest.raises(ValueError, match=r"not finite: expected three numbers"):
        decided_offsets(np.full((1, 3), np.nan), 1)
