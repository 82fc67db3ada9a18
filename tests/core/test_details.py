"""Details of the core that a deliberate fault showed to be untested."""

import math
import os
import signal
import time
import warnings
from typing import Any

import numpy as np
import pytest

from mm_gym.config import configure
from mm_gym.core.book import SOUND, add, audit, cancel
from mm_gym.core.layout import (
    AGENT,
    ASK,
    BID,
    MARKET_LEVELS,
    MARKET_ORDERS,
    NO_ORDER,
    PUBLIC,
    InformedKind,
    Obs,
    Outcome,
    TakerKind,
)
from mm_gym.core.makers import reschedule_makers, start_makers
from mm_gym.core.quotes import quote_lots, withdraw
from mm_gym.core.scales import column_of_inventory, inventory_of_column
from mm_gym.core.takers import flatten, take
from mm_gym.markets import Markets
from tests.core.kit import assert_agrees, start, started, step


def test_mixed_sessions_have_one_kind_of_flow_each_with_equal_shares() -> None:
    """Imbalanced sessions have no informed takers, and informed ones no imbalance."""
    n = 400
    config = configure("mixed", warm_up=0.0)
    flow = started(n, "mixed", warm_up=0.0).records["flow"]
    informed, imbalanced = flow["p_informed"] > 0.0, flow["imbalance"] > 0.0
    naive = flow["informed_kind"] == InformedKind.NAIVE
    assert not (informed & imbalanced).any()
    assert not (naive & ~informed).any()
    kinds = {
        "noise": ~informed & ~imbalanced,
        "imbalanced": imbalanced,
        "naive informed": naive,
        "informed": informed & ~naive,
    }
    for kind, sessions in kinds.items():
        assert_agrees(sessions.mean(), 0.25, (0.25 * 0.75 / n) ** 0.5, kind)
    # Shares are uniform up to the configured one: the variance of U is 1/12.
    for name, sessions in (("imbalance", imbalanced), ("p_informed", informed)):
        most = getattr(config, name)
        shares = flow[name][sessions] / most
        assert shares.max() <= 1.0
        assert_agrees(shares.mean(), 0.5, (1 / 12 / len(shares)) ** 0.5, name)
    assert_agrees((flow["bias"] == 1.0).mean(), 0.5, 0.5 / n**0.5, "bias")


def test_the_volatility_column_is_the_average_squared_move_per_second() -> None:
    """The half-life is 60 s, or 60 decisions if these are longer than a second."""
    for interval in (0.5, 2.5):
        markets = started(1, "noise", decision_interval=interval, warm_up=0.0)
        config = configure("noise", decision_interval=interval, warm_up=0.0)
        decay = 0.5 ** (interval / (60.0 * max(1.0, interval)))
        scale = float(markets.parameters["volatility_scale"][0])
        variance, mid = config.volatility**2, float(markets.records["mid"][0])
        for _ in range(20):
            before, mid = mid, float(step(markets)[0, Outcome.MID])
            variance = decay * variance + (1.0 - decay) * (mid - before) ** 2 / interval
            np.testing.assert_allclose(markets.records["features"]["variance"][0], variance)
        shown = float(markets.records["observation"][0, Obs.VOLATILITY])
        # The column is linear in the volatility, and zero at the configured one.
        expected = scale * (variance**0.5 - config.volatility)
        np.testing.assert_allclose(shown, expected, rtol=1e-5, atol=1e-6)


def test_the_last_step_pays_cost_and_impact_of_closing_the_position() -> None:
    """With q lots: cost |q| + impact q^2, and penalty x q^2 x interval as in every step."""
    fields = {"session_steps": 1, "close_out_cost": 2.0, "close_out_impact": 0.5}
    markets = started(
        1, "dealer", decision_interval=4.0, inventory_penalty=0.01, reward_scale=1.0, **fields
    )
    for clock in ("next_value", "next_taker", "next_maker"):
        markets.records[clock] = np.inf
    markets.records["account"]["inventory"] = -3
    markets.records["account"]["cash"] = 3.0 * markets.records["mid"] + 100.0
    outcome = step(markets, 15.0, 15.0)[0]
    assert outcome[Outcome.REWARD_CLOSE_OUT] == -(2.0 * 3 + 0.5 * 9)
    np.testing.assert_allclose(outcome[Outcome.REWARD_RISK], -0.01 * 9 * 4.0)
    np.testing.assert_allclose(outcome[Outcome.PNL], 100.0 - (2.0 * 3 + 0.5 * 9))


@pytest.mark.parametrize("inventory", [-2, 2])
def test_a_market_order_of_the_agent_reduces_a_position_of_either_sign(inventory: int) -> None:
    markets = started(1, "noise", seed=3)
    markets.records["account"]["inventory"] = inventory
    for clock in ("next_value", "next_taker", "next_maker"):
        markets.records[clock] = np.inf
    markets.step(np.array([[1.0, 1.0, 1.0]], np.float32))
    account = markets.records["account"][0]
    assert account["lots_taken"] == 2
    assert account["inventory"] == 0
    assert np.sign(account["cash"]) == np.sign(inventory)


def test_the_dealer_market_has_no_public_spread() -> None:
    assert step(started(1, "dealer"))[0, Outcome.SPREAD] == 0.0


@pytest.mark.parametrize("now", [0, 3, 40, 200])
def test_the_time_to_the_next_maker_event_is_inverse_to_the_total_rate(now: int) -> None:
    """2 x maker_rate of orders, and maker_cancel_rate of each resting order, the agent's too."""
    markets = started(1, "noise", maker_rate=2.0, maker_cancel_rate=0.5)
    market = markets.records[0]
    market["time"], market["next_maker"] = 10.0, 14.0
    market["n_priced"], market["book"]["n_live"] = 12, now
    reschedule_makers(market, markets.parameters[0])
    assert market["n_priced"] == now
    rate_then, rate_now = 2 * 2.0 + 12 * 0.5, 2 * 2.0 + now * 0.5
    np.testing.assert_allclose(market["next_maker"], 10.0 + 4.0 * rate_then / rate_now)


@pytest.mark.parametrize("depth", [3.0, 1e5])
def test_makers_leave_two_orders_and_a_level_on_each_side_to_the_agent(depth: float) -> None:
    """Orders at a rate of 1,000 a second that are never cancelled fill the pool, or all levels."""
    markets = started(1, "noise", warm_up=0.0, maker_depth=depth, taker_rate=0.0, volatility=0.0)
    markets.parameters["maker_lifetime"], markets.parameters["maker_balance"] = 1e9, 1e12
    markets.parameters["maker_gap"] = 1e-3
    reset = markets.empty_results()
    markets.reset(np.arange(1), [np.random.default_rng(3)], *reset)
    start_makers(markets.records[0], markets.parameters[0])
    step(markets, 1.0, 1.0)
    book = markets.records["book"][0]
    quoting = (markets.records["quotes"]["slot"][0] >= 0).sum()
    assert quoting == 2
    if depth == 3.0:
        assert book["n_live"] == MARKET_ORDERS - 2
    else:
        assert book["n_levels"].tolist() == [MARKET_LEVELS - 1] * 2


def test_an_inventory_has_the_column_of_the_documentation_and_back() -> None:
    lots = np.array([-1000.0, -65.0, -2.0, 0.0, 1.0, 64.0, 10**6])
    columns = 1.2 * np.arcsinh(lots / 2.0)
    np.testing.assert_allclose(column_of_inventory(lots), columns, rtol=1e-12)
    np.testing.assert_allclose(inventory_of_column(columns), lots, rtol=1e-9)


def resting(inventory: int, **fields: Any) -> tuple[Any, Any]:
    """The record and the parameters of a market with an inventory and quotes near the mid."""
    markets = started(1, "noise", seed=3, **fields)
    for clock in ("next_value", "next_taker", "next_maker"):
        markets.records[clock] = np.inf
    markets.records["account"]["inventory"] = inventory
    step(markets, 0.5, 0.5)
    market = markets.records[0]
    assert (market["quotes"]["slot"] != NO_ORDER).all()
    return market, markets.parameters[0]


@pytest.mark.parametrize("inventory", [-2, 2])
def test_a_market_order_of_the_agent_does_not_trade_with_its_own_quote(inventory: int) -> None:
    """The own quotes are the best of both sides. The other one stays."""
    market, parameters = resting(inventory)
    side = BID if inventory > 0 else ASK
    flatten(market, parameters)
    assert (market["account"]["inventory"], market["account"]["lots_taken"]) == (0, 2)
    assert market["account"]["n_fills"] == 0
    assert market["quotes"]["slot"][side] == NO_ORDER
    assert market["quotes"]["slot"][1 - side] != NO_ORDER


@pytest.mark.parametrize("inventory", [-3, 3])
@pytest.mark.parametrize("lots", [1, 2])
def test_after_a_market_order_no_quote_can_exceed_the_limit(inventory: int, lots: int) -> None:
    """With 3 lots, a quote of 8 lots ends at -5. After a sale of 1 or 2 lots it would end beyond.

    The other side of the book holds only so many lots.
    """
    market, parameters = resting(inventory, quote_size=8, max_inventory=5)
    side = BID if inventory > 0 else ASK
    assert quote_lots(market, 1 - side) == 8
    withdraw(market, side)
    resting_lots = market["book"]["levels"]["lots"][side, : market["book"]["n_levels"][side]].sum()
    away = -math.inf if side == BID else math.inf
    take(market, parameters, 1 - side, away, resting_lots - lots, TakerKind.NOISE, market["mid"])
    flatten(market, parameters)
    assert abs(market["account"]["inventory"]) == 3 - lots
    assert quote_lots(market, 1 - side) == 8 - lots


@pytest.mark.parametrize("own_is_last", [False, True])
def test_in_a_full_book_refilled_lots_join_the_last_background_order(own_is_last: bool) -> None:
    """A taker of 2 lots meets background orders of 5, 5 and 5 lots, and leaves 3, 5 and 7.

    The agent's order keeps its lots behind them, and two slots stay free for the agent.
    """
    market, parameters = resting(0, refill=True)
    book = market["book"]
    for side in (BID, ASK):
        withdraw(market, side)
    while book["n_levels"][BID]:
        cancel(book, book["levels"][BID, book["n_levels"][BID] - 1]["head"])
    price = -int(book["levels"][ASK, book["n_levels"][ASK] - 1]["key"]) - 1
    slots = [add(book, BID, price, 5, PUBLIC) for _ in range(3)]
    own = add(book, BID, price, 1, AGENT) if own_is_last else NO_ORDER
    market["quotes"]["slot"][BID] = own
    while book["n_live"] < MARKET_ORDERS - 2:
        add(book, BID, price - 100, 1, PUBLIC)
    take(market, parameters, ASK, -math.inf, 2, TakerKind.NOISE, market["mid"])
    assert [int(book["orders"][slot]["lots"]) for slot in slots] == [3, 5, 7]
    assert book["levels"][BID, 1]["lots"] == 15 + own_is_last
    assert (book["n_live"], market["quotes"]["slot"][BID]) == (MARKET_ORDERS - 2, own)
    assert audit(book) == SOUND


def test_takers_arrive_at_any_rate_but_zero() -> None:
    for rate in (0.0, 0.5, 1.0):
        next_taker = started(4, "noise", taker_rate=rate, warm_up=0.0).records["next_taker"]
        assert np.isfinite(next_taker).all() == (rate > 0.0)


def test_recording_the_fills_does_not_change_the_variance_reduced_rewards() -> None:
    """Sessions with and without a record of fills run in loops of their own."""
    plain, recorded = (
        started(2, "informed", variance_reduction=True, warm_up=2.0, fill_rows=n, path_rows=n)
        for n in (0, 400)
    )
    for _ in range(15):
        np.testing.assert_array_equal(step(plain, 0.5, 0.5), step(recorded, 0.5, 0.5))
    assert recorded.records["account"]["n_fills"].sum() > 2


def test_the_size_column_counts_in_whole_quotes_of_lots() -> None:
    markets = started(1, "noise", quote_size=2)
    markets.parameters["lot_size"] = 5  # recorded markets count in size units of the data
    step(markets)
    lots = quote_lots(markets.records[0], BID)
    assert lots > 0
    assert markets.records["observation"][0, Obs.BID_SIZE] == np.float32(2.0 * lots / (2 * 5))


@pytest.mark.parametrize("regime", ["informed", "clustered", "dealer"])
def test_a_session_after_another_one_is_that_of_a_new_market(regime: str) -> None:
    """Nothing that a session leaves in the record reaches the next one."""
    fields = {"latency": 0.3, "session_steps": 40} if regime == "informed" else {}
    used, new = (started(2, regime, variance_reduction=True, **fields) for _ in range(2))
    for k in range(40):
        step(used, 0.5 + k % 3, 1.5 - k % 3)
    assert (used.records["account"]["n_fills"] > 0).all()
    for markets in (used, new):
        start(markets, 7)
    for name in ("account", "features", "outcome", "observation"):
        left, right = used.records[name], new.records[name]
        for field in left.dtype.names or (...,):
            np.testing.assert_array_equal(left[field], right[field], err_msg=f"{name} {field}")
    for k in range(20):
        first, second = (step(markets, 0.5 + k % 3, 1.5 - k % 3) for markets in (used, new))
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(used.records["observation"], new.records["observation"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_markets_with_threads_step_in_a_forked_child() -> None:
    """Threads do not survive a fork, so the child must not wait for those of its parent."""
    config = configure("noise", warm_up=1.0)
    markets = Markets(config, 4, threads=2)
    markets.start([np.random.default_rng(i) for i in range(4)])
    actions = np.zeros((4, 2), np.float32)
    markets.step(actions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: a fork with threads
        child = os.fork()
    if child == 0:
        markets.step(actions)
        os._exit(17)
    done, status, end = 0, 0, time.monotonic() + 60.0
    while not done and time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done, "the child still waits after 60 s"
    assert os.waitstatus_to_exitcode(status) == 17
