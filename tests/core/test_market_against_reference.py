"""The compiled market against `ReferenceMarket`, which is slow and simple, decision by decision.

Each case has rules that few markets have, so that a short run meets every rule of the core.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from mm_gym.actions import from_ticks
from mm_gym.config import MarketConfig, configure
from mm_gym.core.layout import STREAMS, TAPE_ROWS
from mm_gym.core.random import SEED_WORDS
from mm_gym.markets import Markets
from tests.reference_market import ReferenceMarket

# Differences of rounding grow with each trade: the makers' clock is stretched by more orders less.
STEPS = 40 if numba.config.DISABLE_JIT else 80  # without the compiler, as in `validation.mutants`

BUSY: dict[str, Any] = {"warm_up": 3.0, "taker_rate": 2.0, "session_steps": 1000}
CASES: dict[str, dict[str, Any]] = {
    "noise": {},
    "sweeps": {
        "taker_size": 6.0,
        "maker_size": 2.0,
        "quote_size": 4,
        "max_inventory": 9,
        "volatility": 2.0,
        "sniping": True,
    },
    "market orders and slow cancellations": {
        "regime": "informed",
        "p_informed": 0.6,
        "signal_threshold": 0.3,
        "latency": 0.8,
        "cancel_latency": 0.5,
        "latency_kind": "exponential",
        "takes": 0.2,
        "taker_fee": 0.3,
        "quote_size": 2,
        "max_inventory": 4,
    },
    "zero intelligence": {
        "regime": "zero_intelligence",
        "warm_up": 100.0,
        "decision_interval": 5.0,
        "taker_rate": 0.1,
        "max_offset": 6.0,
        "takes": 0.05,
        "reward": "dampened",
    },
    "clustered metaorders": {
        "regime": "clustered",
        "imbalance": 0.5,
        "imbalance_flip_rate": 0.3,
        "p_informed": 0.2,
        "variance_reduction": True,
        "taker_size": 2.0,
        "quote_size": 2,
    },
    "dealer": {
        "regime": "dealer",
        "warm_up": 0.0,
        "volatility": 1.5,
        "sniping": True,
        "latency": 2.3,
        "requote_threshold": 1.2,
        "reward": "cara",
        "risk_aversion": 0.05,
        "takes": 0.1,
        "variance_reduction": True,
        "session_steps": 25,
        "close_out_cost": 0.7,
        "close_out_impact": 0.2,
    },
    "naive takers and tiers of fees": {
        "regime": "naive_informed",
        "fee_unit": "notional",
        "maker_fee": 2e-5,
        "taker_fee": 3e-5,
        "fee_tier_lots": (4.0, 12.0),
        "fee_tier_fees": (1e-5, -2e-5),
        "variance_reduction": True,
        "takes": 0.1,
        "quote_size": 3,
        "reward": "pnl",
    },
    "decoy": {
        "regime": "informed",
        "informed_kind": "decoy",
        "p_informed": 0.7,
        "signal_threshold": 0.2,
        "informed_price_limit": False,
        "taker_tolerance": 0.0,
        "variance_reduction": True,
        "session_steps": 30,
        "value_interval": 0.3,
    },
    "informed": {
        "regime": "informed",
        "p_informed": 0.8,
        "signal_threshold": 0.2,
        "signal_drift": 0.5,
        "variance_reduction": True,
        "latency_kind": "empirical",
        "latency_samples": (0.1, 0.4, 2.5),
        "cancel_latency_samples": (0.05, 0.3, 1.2),
        "reward": "dampened",
    },
    "hardly any makers": {
        "regime": "imbalanced",
        "imbalance": 0.9,
        "maker_rate": 0.15,
        "maker_cancel_rate": 0.4,
        "decision_interval": 2.5,
        "variance_reduction": True,
        "requote_threshold": 0.0,
    },
    "one price a side": {
        "maker_rate": 0.1,
        "maker_cancel_rate": 0.1,
        "volatility": 4.0,
        "decision_interval": 8.0,
        "latency": 6.0,
        "session_steps": 40,
    },
    "late market orders": {
        "volatility": 5.0,
        "latency_kind": "empirical",
        "latency_samples": (2.5,),
        "cancel_latency_samples": (0.2,),
        "decision_interval": 2.0,
        "takes": 0.5,
        "quote_size": 3,
        "max_inventory": 4,
        "taker_rate": 4.0,
        "taker_size": 2.0,
        "session_steps": 40,
    },
    "no makers": {"maker_rate": 0.0, "requote_threshold": 0.0, "taker_size": 3.0},
    "mixed, with huge orders": {
        "regime": "mixed",
        "initial_price": -3.25,
        "maker_depth": 0.8,
        "taker_size": 30.0,
        "quote_size": 40,
        "max_inventory": 200,
        "rows": (3, 10),
    },
    "large tick": {"regime": "large_tick", "warm_up": 3.0, "quote_size": 5},
}


@pytest.mark.parametrize("name", CASES)
def test_every_decision_has_the_results_of_the_reference(
    name: str, read_queues: Callable[..., Any]
) -> None:
    fields = {"regime": "noise", **BUSY, **CASES[name]}
    takes, reduced = fields.pop("takes", 0.0), fields.pop("variance_reduction", False)
    rows = fields.pop("rows", (2_000, 20_000))
    config = configure(**fields)
    markets = Markets(config, 1, *rows, variance_reduction=reduced)
    seed = sum(name.encode())
    use_up(markets, dataclasses.replace(config, max_offset=2.0 * config.max_offset))
    words = np.random.default_rng(seed).integers(
        0, 2**64, size=STREAMS * SEED_WORDS, dtype=np.uint64
    )
    observations, outcomes = markets.start([np.random.default_rng(seed)])
    with np.errstate(over="ignore"):  # random words overflow
        reference = ReferenceMarket(markets.parameters[0], words)
    assert_equal(markets, reference, observations[0], outcomes[0], read_queues)
    random = np.random.default_rng(seed)
    action = np.zeros(3, np.float32)
    for step in range(min(STEPS, config.session_steps)):
        if step % 3 != 1:  # some quotes are repeated, so that they can stay
            action[:2] = np.clip(random.normal(-0.3, 0.4, 2), -1.1, 1.1)
        if step % 4 == 0:  # half ticks, which leave nothing to rounding
            action[:2] = from_ticks(random.integers(0, 8, 2) / 2.0, config.max_offset)
        if step % 9 == 8:  # beyond the range of actions
            action[:2] = random.choice([-1.1, 1.1, 1.5], 2)
        action[2] = random.random() < takes
        observations, outcomes = markets.step(action[None])
        with np.errstate(over="ignore"):
            reference.step(action)
        assert_equal(markets, reference, observations[0], outcomes[0], read_queues)
    fills = [tuple(fill.values()) for fill in reference.fills]
    assert markets.records["n_fill_rows"] == len(fills) > 3
    assert markets.records["n_path_rows"] == len(reference.path) or rows[1] < len(reference.path)
    close(markets.fill_rows[0, : len(fills)].tolist(), fills[: rows[0]])
    n_path = min(rows[1], len(reference.path))
    close(markets.path_rows[0, :n_path].tolist(), reference.path[:n_path])


def use_up(markets: Markets, config: MarketConfig) -> None:
    """Play some decisions of a session of another configuration, of which nothing may remain."""
    markets.reset(np.arange(1), [np.random.default_rng(0)], *markets.empty_results(), config)
    for step in range(60):
        markets.step(np.full((1, 3), -0.6 + 0.02 * (step % 12), np.float32))
        # It holds a position. The last quotes are still under way, and their cancellation is not.
        separate = markets.parameters_of(0)["separate_cancels"]
        held = markets.records["account"]["inventory"][0]
        if step >= 12 and held and (not separate or markets.records["quotes"]["cancelled"][0]):
            return


def close(found: Any, expected: Any) -> None:
    """The compiled code rounds in another order."""
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-9, atol=1e-9)


def assert_equal(
    markets: Markets,
    reference: ReferenceMarket,
    observation: Any,
    outcome: Any,
    read_queues: Callable[..., Any],
) -> None:
    """Compare everything that a decision shows or leaves behind."""
    record, account, flow = markets.records[0], reference.account, reference.flow
    for number, side in enumerate(("bid", "ask")):
        queues = {
            price: [(order.lots, order.own) for order in queue]
            for price, queue in read_queues(record, side).items()
        }
        prices = {order.price for order in reference.orders if order.side == number}
        assert queues == {
            price: [(order.lots, order.own) for order in reference.queue(number, price)]
            for price in prices
        }
    seen, expected = reference.results
    np.testing.assert_allclose(observation, seen, rtol=1e-6, atol=1e-6)
    close(outcome, expected)
    first = max(0, len(reference.trades) - TAPE_ROWS)
    assert record["n_trades"] == len(reference.trades)
    rows = [record["tape"][k % TAPE_ROWS].tolist() for k in range(first, len(reference.trades))]
    close(rows, reference.trades[first:])
    quotes = record["quotes"]
    arrival = reference._next_message()
    for what, theirs in {
        "next_maker": reference.next_maker,
        "next_taker": reference.next_taker,
        "next_value": reference.next_value,
    }.items():
        close(record[what], theirs)
    close(quotes["arrival"], arrival)
    for what in ("placed_at", "lots_ahead_at_arrival", "time_at_touch", "entered_lots"):
        close(quotes[what], getattr(reference, what))
    for what in ("bias", "p_informed", "imbalance", "orders_left"):
        close(record["flow"][what], getattr(flow, what))
    for what in vars(account):
        close(record["account"][what], getattr(account, what))
    if markets.parameters["variance_reduction"][0]:
        terms = record["control_variate"]
        ours = reference.control_variate
        close([terms["edge"], terms["lots_squared"]], [ours.edge, ours.lots_squared])
    assert record["book"]["n_events"] == reference.n_events
    assert math.isfinite(outcome.sum())
