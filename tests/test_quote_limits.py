"""Quotes do not cross the book, exceed the position limit, or move the public mid."""

import math
from typing import Any

import numpy as np
import pytest

import mm_gym
from tests.quotes_kit import (
    REGIMES,
    SIDES,
    ReadQueues,
    half_tick_offsets,
    read_book,
    started,
    to_action,
)

ANCHORED = tuple(regime for regime in REGIMES if regime != "dealer")


# -------------------------------------------------------------------------------- post-only, bounds


@pytest.mark.parametrize(
    "policy",
    {
        "zero offsets": lambda step: (0.0, 0.0),
        "alternating": lambda step: (0.0, 9.0) if step % 2 else (9.0, 0.0),
        "one side only": lambda step: (0.0, 10.0),
        "leaping": lambda step: (float(step * 7 % 11), float(step * 4 % 11)),
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("latency", [0.0, 0.7])
@pytest.mark.parametrize("regime", REGIMES)
def test_quotes_cross_neither_the_book_nor_each_other(
    regime: str, latency: float, policy: Any, read_queues: ReadQueues
) -> None:
    """For extreme actions in a narrow book, with a mean depth of 0.3 ticks."""
    env = started(regime=regime, latency=latency, maker_depth=0.3, quote_size=2)
    n_fills = 0
    for step in range(150):
        *_, info = env.step(to_action(env, *policy[1](step)))
        book = {side: read_queues(env._markets.records[0], side) for side in SIDES}
        if book["bid"] and book["ask"]:
            assert max(book["bid"]) < min(book["ask"])
        n_fills += info["fills"]
    # The agent is always the resting side, so each of its fills is recorded.
    assert n_fills == len(env.recorded().fills) > 0


@pytest.mark.parametrize("quote_size", [1, 2, 5])
@pytest.mark.parametrize("regime", REGIMES)
def test_the_position_reaches_its_limit_and_never_exceeds_it(regime: str, quote_size: int) -> None:
    """Neither between decisions, nor if the limit is not a multiple of the size."""
    env = started(
        regime=regime, quote_size=quote_size, max_inventory=3, taker_rate=5.0, taker_size=2.0
    )
    generator = np.random.default_rng(3)
    for step in range(600):
        side = (step // 40) % 2  # 40 decisions on each side, to reach both limits
        offsets = (0.5, 6.0) if side else (6.0, 0.5)
        *_, info = env.step(
            to_action(env, *offsets) if generator.random() < 0.8 else generator.uniform(-1, 1, 2)
        )
        assert abs(info["inventory"]) <= 3
    rows = env.recorded().fills
    assert len(rows) > 100
    assert (rows["inventory"].min(), rows["inventory"].max()) == (-3, 3)


def test_a_side_at_the_limit_is_not_quoted_until_a_decision_below_the_limit() -> None:
    env = started(regime="dealer", max_inventory=2, taker_rate=3.0)
    names = mm_gym.OBSERVATION_NAMES
    at_bound = 0
    for _ in range(400):
        inventory, rows = (
            int(env._markets.records[0]["account"]["inventory"]),
            len(env.recorded().fills),
        )
        observation, *_ = env.step(to_action(env, 1.0, 1.0))
        fills = env.recorded().fills[rows:]
        for number, side in enumerate(SIDES):
            if inventory == (2, -2)[number]:
                at_bound += 1
                assert not (fills["side"] == number).any()
                assert observation[names.index(f"{side}_size")] == 0.0
                assert observation[names.index(f"{side}_offset")] == 1.0
    assert at_bound > 50


# ----------------------------------------------------------------------------------- the public mid


@pytest.mark.parametrize(
    "fields", [{}, {"maker_rate": 0.25, "quote_size": 3}], ids=["default", "sparse"]
)
@pytest.mark.parametrize("regime", ANCHORED)
def test_mid_and_spread_are_those_of_the_book_without_the_agents_orders(
    regime: str, fields: dict[str, Any], read_queues: ReadQueues
) -> None:
    env = started(regime=regime, **fields)
    column = mm_gym.OBSERVATION_NAMES.index("book_imbalance")
    alone = half_empty = inside = 0
    for offsets in half_tick_offsets(env, seed=5, steps=1000, largest=3.0):
        observation, *_, info = env.step(to_action(env, *offsets))
        book = read_book(env, read_queues)
        bid, ask = book.best["bid"], book.best["ask"]
        if bid is not None and ask is not None:
            assert info["mid"] == (bid + ask) / 2
            assert info["spread"] == ask - bid
        else:
            half_empty += 1
            # The last mid is kept, and moves only as far as the remaining side demands.
            assert bid is None or info["mid"] >= bid
            assert ask is None or info["mid"] <= ask
            assert info["spread"] == 2 * env.config.max_offset
        lots = [0 if best is None else book.public[side][best] for side, best in book.best.items()]
        assert observation[column] == np.float32((lots[0] - lots[1]) / max(1, sum(lots)))
        for side in SIDES:
            own, best = book.own[side], book.best[side]
            alone += own is not None and own[0] not in book.public[side]
            inside += (
                own is not None
                and best is not None
                and (own[0] > best if side == "bid" else own[0] < best)
            )
    # The agent's own orders would often have changed the mid.
    assert inside > 200
    assert alone > 200
    assert half_empty > 20 or not fields


def test_in_the_dealer_market_the_mid_is_the_efficient_price() -> None:
    env = started(regime="dealer")
    for _ in range(50):
        *_, info = env.step(np.array([-0.9, -0.8], np.float32))
        assert info["mid"] == info["efficient_price"]
        assert info["spread"] == 0.0


# ----------------------------------------------------------------------------------------- rounding


@pytest.mark.parametrize("initial_price", [10_000.0, 10_000.5])
@pytest.mark.parametrize("max_offset", [2.5, 3.3, 7.0, 10.0, 100.0])
def test_offsets_in_float32_are_rounded_to_the_right_ticks(
    max_offset: float, initial_price: float, read_queues: ReadQueues
) -> None:
    """The price does not move. In float32, an offset of 1.5 ticks may become 1.5000001 ticks."""
    env = started(
        regime="dealer",
        initial_price=initial_price,
        max_offset=max_offset,
        volatility=0.0,
        taker_rate=0.0,
    )
    for half_ticks in range(1, int(2 * max_offset) + 1):
        offset = half_ticks / 2
        env.step(to_action(env, offset, offset))
        book = read_book(env, read_queues)
        assert book.own["bid"] is not None
        assert book.own["ask"] is not None
        assert book.own["bid"][0] == math.floor(initial_price - offset)
        assert book.own["ask"][0] == math.ceil(initial_price + offset)


def test_the_largest_action_quotes_at_the_largest_offset(read_queues: ReadQueues) -> None:
    env = started(max_offset=7.5, requote_threshold=0.0)
    for _ in range(100):
        mid = env._markets.records[0]["mid"]
        env.step(np.ones(2, np.float32))
        book = read_book(env, read_queues)
        for side, expected in (("bid", math.floor(mid - 7.5)), ("ask", math.ceil(mid + 7.5))):
            assert book.own[side] is None or book.own[side][0] == expected
