"""Fees, latencies and market orders against hand-worked cases, and the account's identity."""

import math
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from agents.base import Observations
from agents.rules.inventory_skew import InventorySkewAgent
from mm_gym import ConfigurationError, MarketConfig, configure
from mm_gym.actions import decided_offsets
from mm_gym.core.layout import ASK, BID, TakerKind
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.markets import Markets
from tests.core.kit import offsets, started, step

# Only the agent quotes, the price stays at 10,000 ticks, and takers accept every price. They come
# when a test says so.
STILL: dict[str, Any] = {
    "volatility": 0.0,
    "taker_rate": 1e-9,
    "taker_tolerance": math.inf,
    "requote_threshold": 0.0,
}


def dealer(**fields: Any) -> Markets:
    return started(1, "dealer", fill_rows=50, path_rows=500, **STILL | fields)


def taker_at(markets: Markets, time: float) -> None:
    """Let the next taker come at this time [s]. The side is random."""
    markets.records["next_taker"] = time


def account(markets: Markets) -> Any:
    return markets.records[0]["account"]


def fills_after(markets: Markets, times: list[float], half_spread: float) -> npt.NDArray[Any]:
    """The fills of takers at these times, one a decision, with quotes at this half-spread."""
    for time in times:
        taker_at(markets, time)
        step(markets, half_spread, half_spread)
    return markets.recorded(0).fills


# --------------------------------------------------------------------------------------------- fees


def test_a_fee_in_currency_is_converted_with_the_tick() -> None:
    """A rebate of 0.002 with a tick of 0.01 is 0.2 ticks a lot."""
    markets = dealer(fee_unit="currency", maker_fee=-0.002, tick_size=0.01)
    fills = fills_after(markets, [0.5, 1.5, 2.5], 2.0)
    assert len(fills) == 3
    assert account(markets)["fees"] == pytest.approx(-0.6, rel=1e-12)
    assert configure("dealer", tick_size=0.01).to_currency(-0.6) == pytest.approx(-0.006)


def test_a_proportional_fee_is_a_share_of_the_traded_value() -> None:
    """One basis point of 99.98 or 100.02 in currency, which is 1 % of it in ticks."""
    markets = dealer(fee_unit="notional", maker_fee=1e-4, tick_size=0.01)
    fills = fills_after(markets, [0.5, 1.5, 2.5, 3.5], 2.0)
    assert set(fills["price"]) == {9_998.0, 10_002.0}
    in_currency = (1e-4 * 0.01 * fills["price"] * fills["lots"]).sum()
    paid = configure("dealer", tick_size=0.01).to_currency(account(markets)["fees"])
    assert paid == pytest.approx(in_currency, rel=1e-12)


def test_a_proportional_fee_is_positive_at_a_negative_price() -> None:
    markets = dealer(fee_unit="notional", maker_fee=0.01, initial_price=-500.0)
    (fill,) = fills_after(markets, [0.5], 2.0)
    assert account(markets)["fees"] == pytest.approx(0.01 * abs(fill["price"]), rel=1e-12)


def test_the_fee_changes_at_the_volumes_of_the_tiers() -> None:
    """0.5 ticks up to a volume of 3 lots, 0.25 up to 5 lots, then a rebate of 0.125."""
    markets = dealer(maker_fee=0.5, fee_tier_lots=(3.0, 5.0), fee_tier_fees=(0.25, -0.125))
    paid = []
    for lot in range(7):
        fills_after(markets, [lot + 0.5], 2.0)
        paid.append(float(account(markets)["fees"]))
    assert np.diff(paid, prepend=0.0).tolist() == [0.5, 0.5, 0.5, 0.25, 0.25, -0.125, -0.125]


def test_a_fill_across_the_border_of_a_tier_pays_the_fee_of_the_volume_before_it() -> None:
    markets = dealer(quote_size=4, maker_fee=0.5, fee_tier_lots=(4.0,), fee_tier_fees=(0.0,))
    markets.records["account"]["lots_taken"] = 3  # market orders count as volume, too
    markets.parameters["taker_size_scale"] = 1e9  # a taker of many lots
    (fill,) = fills_after(markets, [0.5], 2.0)
    assert fill["lots"] == 4
    assert account(markets)["fees"] == 2.0
    fills_after(markets, [1.5], 2.0)
    assert account(markets)["fees"] == 2.0
    assert account(markets)["n_lots"] == 8


# ------------------------------------------------------------------------------------- cancellation


@pytest.mark.parametrize(
    ("latency", "cancel_latency", "time", "half_spread"),
    [
        (0.0, 0.5, 1.4, 2.0),  # the cancellation is overtaken by the taker
        (0.0, 0.5, 1.6, 5.0),  # new quotes wait for the cancellation, although they are faster
        (0.8, 0.5, 1.4, 2.0),
        (0.8, 0.5, 1.6, None),  # cancelled, and the new quotes are not there yet
        (0.8, 0.5, 1.9, 5.0),
        (0.8, 0.0, 1.1, None),  # at once
        (0.8, None, 1.6, 2.0),  # one message replaces the quotes
        (0.8, None, 1.9, 5.0),
    ],
)
def test_a_taker_meets_the_quotes_that_are_there_when_it_arrives(
    latency: float, cancel_latency: float | None, time: float, half_spread: float | None
) -> None:
    """Quotes at 2 ticks rest from 0.8 s or before. At 1 s the agent moves them to 5 ticks.

    time    0 s            1 s                       1.5 s       1.8 s         2 s
            quotes at 2    cancel, quotes at 5       cancelled   new quotes
                                           ^ a taker at 1.4 s trades at 2 ticks: too late
    """
    markets = dealer(latency=latency, cancel_latency=cancel_latency)
    step(markets, 2.0, 2.0)
    taker_at(markets, time)
    step(markets, 5.0, 5.0)
    fills = markets.recorded(0).fills
    assert [abs(fill["price"] - 10_000.0) for fill in fills] == (
        [] if half_spread is None else [half_spread]
    )


def test_no_message_overtakes_an_earlier_one() -> None:
    """Quotes need 1.7 s and cancellations 0.1 s, so a cancellation waits for the quotes before it.

    Quotes of decision k arrive at k + 1.7, and the cancellation of decision k, sent at k, not
    before the quotes of decision k - 1 at k + 0.7.
    """
    markets = dealer(latency=1.7, cancel_latency=0.1)
    for decision in range(6):
        step(markets, 2.0, 2.0)
        message = markets.records[0]["messages"][decision]
        assert message["arrival"] == pytest.approx(decision + 1.7)
        assert message["cancel_arrival"] == pytest.approx(0.1 if decision == 0 else decision + 0.7)


def test_a_cancellation_leaves_a_quote_that_rests_near_the_new_price() -> None:
    markets = dealer(latency=0.8, cancel_latency=0.2)
    step(markets, 2.0, 2.0)
    before = markets.records[0]["quotes"]["placed_at"].copy()
    step(markets, 2.0, 5.0)
    after = markets.records[0]["quotes"]["placed_at"]
    assert after[BID] == before[BID] == 0.8
    assert after[ASK] == 1.8


# ------------------------------------------------------------------------------ random latencies


def arrivals(
    n_steps: int = 100, half_spread: float = 2.0, **fields: Any
) -> npt.NDArray[np.float64]:
    """[s] Latencies of quotes and of cancellations, shape (decisions, markets, 2)."""
    interval = 10.0
    markets = started(64, "dealer", decision_interval=interval, **STILL | fields)
    found = []
    for decision in range(n_steps):
        step(markets, half_spread, half_spread)
        message = markets.records["messages"][:, decision % 64]
        found.append(
            np.stack([message["arrival"], message["cancel_arrival"]], axis=-1) - interval * decision
        )
    return np.array(found)


def test_exponential_latencies_have_their_distribution() -> None:
    """6,400 draws of each. A correct sampler fails a test once in 10,000 seeds; this seed is fixed.

    The Kolmogorov-Smirnov bound is 0.028, so a mean 10 % off fails. Quotes arrive after the
    cancellation, so their latency is the larger of two independent draws.
    """
    found = arrivals(latency=0.4, cancel_latency=0.3, latency_kind="exponential")
    cancels, quotes = found[..., 1].ravel(), found[..., 0].ravel()
    assert stats.kstest(cancels, stats.expon(scale=0.3).cdf).pvalue > 1e-4
    larger = lambda x: -np.expm1(-x / 0.4) * -np.expm1(-x / 0.3)  # noqa: E731
    assert stats.kstest(quotes, larger).pvalue > 1e-4
    assert stats.kstest(cancels, stats.expon(scale=0.3 * 1.1).cdf).pvalue < 1e-4
    alone = arrivals(latency=0.4, latency_kind="exponential")[..., 0]
    assert stats.kstest(alone.ravel(), stats.expon(scale=0.4).cdf).pvalue > 1e-4
    correlation = stats.pearsonr(alone[:-1].ravel(), alone[1:].ravel())
    assert correlation.pvalue > 1e-4


def test_empirical_latencies_are_drawn_from_the_list() -> None:
    """Each with equal probability; a value that is twice in the list, twice as often."""
    found = arrivals(
        latency_kind="empirical",
        latency_samples=(0.5, 0.75, 1.0, 1.0),
        cancel_latency_samples=(0.125, 0.25),
    )
    for column, values, shares in (
        (0, [0.5, 0.75, 1.0], [0.25, 0.25, 0.5]),
        (1, [0.125, 0.25], [0.5, 0.5]),
    ):
        seen, counts = np.unique(found[..., column].round(9), return_counts=True)
        assert seen.tolist() == values
        assert stats.chisquare(counts, np.array(shares) * counts.sum()).pvalue > 1e-4


def test_latencies_are_the_same_whatever_the_agent_does() -> None:
    fields = {"latency": 0.4, "cancel_latency": 0.3, "latency_kind": "exponential"}
    near, far = (arrivals(20, half_spread, **fields) for half_spread in (2.0, 9.0))
    np.testing.assert_array_equal(near, far)


def test_random_latencies_change_no_other_draw() -> None:
    """Signal, price and the arrivals of takers are those of the same seed without latency."""
    clocks: list[list[Any]] = []
    delays: dict[str, Any] = {
        "latency": 0.4, "cancel_latency": 0.3, "latency_kind": "exponential",
    }  # fmt: skip
    for fields in ({}, delays):
        markets = started(4, "noise", **fields)
        names = ["efficient_price", "signal", "next_taker"]
        clocks.append([])
        for _ in range(40):
            step(markets, 3.0, 3.0)
            clocks[-1].append([markets.records[name].copy() for name in names])
    np.testing.assert_array_equal(*clocks)


def test_a_long_draw_is_cut_where_messages_would_not_fit() -> None:
    """At most 63 decisions are under way, and the order of their arrival is that of sending."""
    markets = started(16, "noise", latency=6.3, latency_kind="exponential", cancel_latency=6.3)
    most = 0
    for _ in range(400):
        step(markets)
        quotes = markets.records["quotes"]
        most = max(most, int(quotes["n_in_flight"].max()))
        assert (quotes["last_arrival"] <= markets.records["time"] + 63.0).all()
    assert 8 <= most <= 63


# ------------------------------------------------------------------------------------ market orders


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


def test_a_checkpoint_holds_the_messages_under_way() -> None:
    env: Any = gymnasium.make(
        "MarketMaking-v0", action="quotes_and_take", latency=3.0, latency_kind="exponential",
        cancel_latency=1.0,
    ).unwrapped  # fmt: skip
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 3)).astype(np.float32)
    for action in actions[:30]:
        env.step(action)
    snapshot = env.snapshot()
    first = [env.step(action)[0] for action in actions[30:]]
    env.restore(snapshot)
    np.testing.assert_array_equal(first, [env.step(action)[0] for action in actions[30:]])


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


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latency_kind": "normal"}, "latency_kind='normal' is not offered"),
        ({"latency_kind": "empirical"}, "has no latencies: .* latency_samples, got"),
        ({"latency_samples": (0.5,)}, "latency_samples has no effect: .* got 'constant'"),
        (
            {"latency_kind": "empirical", "latency_samples": (0.5,), "latency": 1.0},
            "latency=1 contradicts latency_kind='empirical'",
        ),
        ({"latency_kind": "exponential", "latency": 6.4}, "too long .* at most 6.3 decision"),
        ({"cancel_latency": 64.0}, "cancel_latency=64 is too long"),
        ({"cancel_latency": -1.0}, "cancel_latency=-1.0 is out of range"),
        ({"fee_unit": "dollars"}, "fee_unit='dollars' is not offered"),
        ({"fee_tier_lots": (5.0,)}, "do not match: .* got 1 volumes and 0 fees"),
        ({"fee_tier_lots": (5.0, 5.0), "fee_tier_fees": (0.0, 0.0)}, "is not ascending"),
        ({"fee_tier_lots": (-1.0,), "fee_tier_fees": (0.0,)}, "fee_tier_lots has a volume"),
        ({"fee_tier_lots": 5.0}, "fee_tier_lots is not a sequence of volumes"),
    ],
)
def test_a_wrong_field_is_one_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configure(**fields)
