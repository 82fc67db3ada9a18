"""The agent's quotes, compared with a plain recomputation from the book before each decision."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import mm_gym
from mm_gym.core.layout import BID, NO_ORDER
from tests.quotes_kit import (
    SIDES,
    Book,
    ReadQueues,
    half_tick_offsets,
    read_book,
    started,
    to_action,
)

ON_TICK = 1e-4
"""[ticks] A price this close to a whole tick is on it, since actions are float32."""


@dataclass(frozen=True)
class Placed:
    """The quote of one side after new quotes arrive."""

    price: int | None
    """Its price, or None without a quote."""
    stays: bool
    """Whether it is the same order as before."""
    pushed: bool = False
    """Whether its price changed because of the agent's other quote, which stays."""


def expected_quotes(
    book: Book, wanted: tuple[float, float], room: dict[str, int], threshold: float
) -> dict[str, Placed]:
    """The agent's quotes after new ones with the prices `wanted` arrive.

    New quotes are rounded away from the mid to whole ticks. They differ from each other, and they
    do not cross the public book. A resting quote keeps its place if some price within the threshold
    of the wanted one is rounded to the resting price. A new quote does not meet a quote that stays.
    """
    outwards = {
        "bid": lambda price: math.floor(price + ON_TICK),
        "ask": lambda price: math.ceil(price - ON_TICK),
    }
    bid, ask = (outwards[side](price) for side, price in zip(SIDES, wanted, strict=True))
    rounded = {"bid": bid, "ask": ask}
    if bid == ask:
        bid, ask = bid - 1, ask + 1
    if book.best["ask"] is not None:
        bid = min(bid, book.best["ask"] - 1)
    if book.best["bid"] is not None:
        ask = max(ask, book.best["bid"] + 1)
    target = {"bid": bid, "ask": ask}
    stays = {}
    for side, price in zip(SIDES, wanted, strict=True):
        moved = price + target[side] - rounded[side]
        reached = {outwards[side](moved - threshold), outwards[side](moved + threshold)}
        own = book.own[side]
        stays[side] = room[side] > 0 and own is not None and min(reached) <= own[0] <= max(reached)
    placed = {}
    for side, other in (SIDES, SIDES[::-1]):
        own, beside = book.own[side], book.own[other]
        if room[side] <= 0:
            placed[side] = Placed(None, False)
        elif stays[side]:
            assert own is not None
            placed[side] = Placed(own[0], True)
        else:
            price = target[side]
            if stays[other]:
                assert beside is not None
                price = min(price, beside[0] - 1) if side == "bid" else max(price, beside[0] + 1)
            placed[side] = Placed(price, False, price != target[side])
    return placed


# Regimes differ in their takers, which no rule of quoting depends on. Only `dealer` has no makers.
@pytest.mark.parametrize(
    ("regime", "quote_size", "threshold"),
    [
        ("noise", 1, 0.0), ("imbalanced", 4, 0.0), ("naive_informed", 1, 0.3),
        ("informed", 4, 0.3), ("mixed", 1, 2.0), ("noise", 4, 2.0),
        ("dealer", 1, 0.0), ("dealer", 4, 0.3), ("dealer", 4, 2.0),
    ],
)  # fmt: skip
def test_every_decision_places_quotes_as_the_rules_say(
    regime: str, quote_size: int, threshold: float, read_queues: ReadQueues
) -> None:
    """Prices, sizes and places in the queue are recomputed from the book before each decision."""
    env = started(
        regime=regime, quote_size=quote_size, max_inventory=6, taker_rate=2.0, taker_size=1.5,
        maker_depth=2.0, requote_threshold=threshold,
    )  # fmt: skip
    market = env._markets.records[0]
    quotes = market["quotes"]
    kept_in_queue = kept_elsewhere = entered_behind = partial_kept = not_quoted = 0
    for step, offsets in enumerate(half_tick_offsets(env, seed=1, steps=800, largest=4.0)):
        book, mid, inventory = (
            read_book(env, read_queues),
            float(market["mid"]),
            int(market["account"]["inventory"]),
        )
        placed_at, rows_before = quotes["placed_at"].copy(), len(env.recorded().fills)
        env.step(to_action(env, *offsets))

        after = read_book(env, read_queues)
        fills = env.recorded().fills[rows_before:]
        room = {"bid": 6 - inventory, "ask": 6 + inventory}
        expected = expected_quotes(book, (mid - offsets[0], mid + offsets[1]), room, threshold)
        unmoved = expected_quotes(book, (mid - offsets[0], mid + offsets[1]), room, 0.0)
        for number, side in enumerate(SIDES):
            price, old, new = expected[side].price, book.own[side], after.own[side]
            taken = fills[fills["side"] == number]
            lots = min(quote_size, room[side])
            if lots == 0:
                assert new is None
                assert len(taken) == 0
                not_quoted += 1
                continue
            if expected[side].stays:
                # It keeps its place, with its unfilled lots.
                lots = old[1].lots
                assert quotes["placed_at"][number] == placed_at[number]
                if new is not None:
                    assert new[1].slot == old[1].slot
                kept_in_queue += 1
                kept_elsewhere += not unmoved[side].stays
                partial_kept += lots < min(quote_size, room[side])
            else:
                # It joins the back of its new queue, at the time of the decision.
                ahead = book.public[side].get(price, 0)
                assert quotes["placed_at"][number] == float(step)
                assert quotes["lots_ahead_at_arrival"][number] == ahead
                entered_behind += ahead > 0
            assert all(taken["price"] == price)
            left = lots - int(taken["lots"].sum())
            assert (new[1].lots if new else 0) == left
            if new is not None:
                assert new[0] == price
        both = [after.own[side] for side in SIDES]
        assert None in both or both[0][0] < both[1][0]
    assert kept_in_queue > 80
    assert not_quoted > 20
    assert entered_behind > 80 or regime == "dealer"
    assert partial_kept > 20 or quote_size == 1
    # With a threshold, quotes also stay at prices where no new quote would be placed.
    assert kept_elsewhere > {0.0: -1, 0.3: 30, 2.0: 200}[threshold]
    assert kept_elsewhere == 0 or threshold > 0.0


@pytest.mark.parametrize("latency", [0.0, 1.5])
@pytest.mark.parametrize("threshold", [0.3, 2.0, 5.0])
def test_a_new_quote_does_not_meet_a_quote_that_stays(
    threshold: float, latency: float, read_queues: ReadQueues
) -> None:
    """There are no other orders and no takers, and the mid moves past quotes that stay."""
    env = started(
        regime="dealer", volatility=1.5, value_interval=0.9, taker_rate=0.0, latency=latency,
        requote_threshold=threshold,
    )  # fmt: skip
    market = env._markets.records[0]
    room = {"bid": 50, "ask": 50}
    asked: list[tuple[float, float]] = []
    pushed = both_stay = 0
    book = read_book(env, read_queues)
    for step, offsets in enumerate(half_tick_offsets(env, seed=6, steps=1500, largest=1.5)):
        mid = float(market["mid"])
        asked.append((mid - offsets[0], mid + offsets[1]))
        env.step(to_action(env, *offsets))
        after = read_book(env, read_queues)
        if step >= math.floor(latency):
            expected = expected_quotes(book, asked[step - math.floor(latency)], room, threshold)
            for side in SIDES:
                new = after.own[side]
                assert new is not None
                assert new[0] == expected[side].price
                pushed += expected[side].pushed
            bid, ask = after.own["bid"], after.own["ask"]
            assert bid is not None
            assert ask is not None
            assert bid[0] < ask[0]
            both_stay += expected["bid"].stays and expected["ask"].stays
        book = after
    assert pushed > {0.3: 0, 2.0: 40, 5.0: 20}[threshold]
    assert both_stay > 20


def test_with_a_threshold_of_zero_a_quote_moves_whenever_its_price_changes_and_only_then(
    read_queues: ReadQueues,
) -> None:
    """The mid stays at 10,000, and a quote moves exactly if its rounded price changes."""
    env = started(
        regime="dealer",
        volatility=0.0,
        taker_rate=0.0,
        max_offset=10.0,
        requote_threshold=0.0,
        session_steps=1000,
    )
    market = env._markets.records[0]
    generator = np.random.default_rng(0)
    before = None
    moved = 0
    for step, offset in enumerate(generator.uniform(1.0, 4.0, 400)):
        env.step(to_action(env, offset, offset))
        bid = read_book(env, read_queues).own["bid"]
        assert bid is not None
        assert bid[0] == math.floor(10_000 - offset)
        if before is not None:
            assert (market["quotes"]["placed_at"][BID] == step) == (bid[0] != before)
            moved += bid[0] != before
        before = bid[0]
    assert 100 < moved < 380


@pytest.mark.parametrize("threshold", [0.3, 1.0, 2.0])
def test_a_larger_threshold_moves_a_quote_less_often_and_never_leaves_it_further_away(
    threshold: float, read_queues: ReadQueues
) -> None:
    """A bid that stays is at most the threshold nearer, or a tick and the threshold further away.

    Distances are from the mid, relative to the requested one.
    """
    env = started(
        regime="dealer", volatility=0.0, taker_rate=0.0, max_offset=10.0,
        requote_threshold=threshold, session_steps=1000,
    )  # fmt: skip
    market = env._markets.records[0]
    further = []
    moves = 0
    for step, offset in enumerate(np.random.default_rng(0).uniform(1.0, 6.0, 600)):
        env.step(to_action(env, offset, 9.0))
        bid = read_book(env, read_queues).own["bid"]
        assert bid is not None
        further.append((10_000 - bid[0]) - offset)
        moves += market["quotes"]["placed_at"][BID] == step
    assert -threshold - 1e-3 <= min(further) < -threshold + 0.2
    assert 1.0 + threshold - 0.2 < max(further) <= 1.0 + threshold + 1e-3
    # Offsets in a range of 1 + 2 thresholds leave the bid in place, out of a range of 5 ticks.
    assert moves / 600 < 1.0 - 0.6 * (1.0 + 2.0 * threshold) / 5.0


def test_lots_ahead_of_a_quote_that_stays_never_grow_and_those_behind_it_do(
    read_queues: ReadQueues,
) -> None:
    """A bid stays at 9,998 ticks, and other orders there arrive and are cancelled."""
    env = started(volatility=0.0, signal_drift=0.0, maker_size=2.0, max_inventory=10_000)
    market = env._markets.records[0]
    column = mm_gym.OBSERVATION_NAMES.index("bid_queue_ahead")
    entered, before, behind = -1.0, 0, 0
    shrank = grew = 0
    for _ in range(1500):
        observation = env.step(to_action(env, market["mid"] - 9998.0, 8.0))[0]
        queue = read_queues(market, "bid").get(9998, [])
        place = next((index for index, order in enumerate(queue) if order.own), None)
        if place is None:
            continue
        ahead, after = (
            sum(order.lots for order in part) for part in (queue[:place], queue[place + 1 :])
        )
        # The unit of the column is two orders of the mean size.
        assert observation[column] == np.float32(min(25.0, ahead / 4.0))
        if market["quotes"]["placed_at"][BID] == entered:
            assert ahead <= before
            shrank += ahead < before
            grew += after > behind
        entered, before, behind = float(market["quotes"]["placed_at"][BID]), ahead, after
    assert shrank > 50
    assert grew > 50


@pytest.mark.parametrize(
    ("regime", "threshold"),
    [
        ("noise", 0.0), ("informed", 0.3), ("noise", 2.0), ("dealer", 0.3), ("dealer", 2.0),
        ("zero_intelligence", 0.0), ("zero_intelligence", 2.0),
    ],
)  # fmt: skip
def test_quotes_that_arrive_late_are_placed_by_the_same_rules_in_the_book_at_arrival(
    regime: str, threshold: float, read_queues: ReadQueues
) -> None:
    """The wanted prices are those of a decision 1.5 intervals ago; the book is the present one.

    Decisions are so close together that other events between them are rare. After a public order or
    a fill the book at the arrival is not known, so the test skips that decision.
    """
    interval = {"zero_intelligence": 1.0}.get(regime, 0.05)
    env = started(
        regime=regime, latency=1.5 * interval, decision_interval=interval, warm_up=400 * interval,
        max_offset=8.0, requote_threshold=threshold, volatility=3.0, value_interval=1.0,
        maker_depth=1.5,
    )  # fmt: skip
    market = env._markets.records[0]
    asked: list[tuple[float, float]] = []
    looked_at = stayed = kept_elsewhere = 0
    for step, offsets in enumerate(half_tick_offsets(env, seed=4, steps=1200, largest=3.0)):
        book = read_book(env, read_queues)
        mid, inventory = float(market["mid"]), int(market["account"]["inventory"])
        asked.append((mid - offsets[0], mid + offsets[1]))
        placed_at = market["quotes"]["placed_at"].copy()
        *_, info = env.step(to_action(env, *offsets))
        after = read_book(env, read_queues)
        if step == 0 or info["fills"] > 0 or after.public != book.public:
            continue
        room = {"bid": 50 - inventory, "ask": 50 + inventory}
        expected = expected_quotes(book, asked[step - 1], room, threshold)
        unmoved = expected_quotes(book, asked[step - 1], room, 0.0)
        looked_at += 1
        for number, side in enumerate(SIDES):
            new = after.own[side]
            assert (None if new is None else new[0]) == expected[side].price
            if expected[side].stays:
                assert market["quotes"]["placed_at"][number] == placed_at[number]
                stayed += 1
                kept_elsewhere += not unmoved[side].stays
            else:
                assert market["quotes"]["placed_at"][number] == pytest.approx(
                    (step + 0.5) * interval
                )
    assert looked_at > 300
    assert stayed > 100
    assert kept_elsewhere > {0.0: -1, 0.3: 30, 2.0: 100}[threshold]


@pytest.mark.parametrize("latency", [0.0, 0.25, 0.999, 1.0, 2.5, 63.0])
def test_every_fill_is_at_the_quotes_that_had_arrived_by_then(latency: float) -> None:
    """Quotes of decision k, at time k, are live from k + latency to k + 1 + latency.

    The mid stays at 10,000. Takers arrive often and accept any price, so that fills happen at all
    times.
    """
    env = started(
        regime="dealer", latency=latency, volatility=0.0, taker_rate=20.0, taker_tolerance=math.inf,
        max_inventory=10**6, max_offset=64.0,
    )  # fmt: skip
    # Both offsets change at every decision.
    offsets = [(1.0 + step % 50, 2.0 + (step * 3) % 53) for step in range(300)]
    for pair in offsets:
        env.step(to_action(env, *pair))
    rows = env.recorded().fills
    decision = np.floor(rows["time"] - latency).astype(int)
    assert decision.min() >= 0
    expected = [
        10_000 - offsets[k][0] if side == BID else 10_000 + offsets[k][1]
        for k, side in zip(decision, rows["side"], strict=True)
    ]
    np.testing.assert_array_equal(rows["price"], expected)
    # The time of the fill minus the time that the quote waited is its time of arrival.
    np.testing.assert_allclose(rows["time"] - rows["waited"], decision + latency, atol=1e-9)
    # There are 20 takers in a second, so nearly every quote is taken.
    assert len(rows) > 0.95 * 2 * (300 - latency)


def test_old_quotes_stay_in_the_book_and_in_the_observation_until_the_new_ones_arrive(
    read_queues: ReadQueues,
) -> None:
    env = started(regime="dealer", latency=2.5, volatility=0.0, taker_rate=0.0, max_offset=10.0)
    market = env._markets.records[0]
    column = mm_gym.OBSERVATION_NAMES.index("bid_offset")
    seen = []
    for step in range(8):
        observation, *_ = env.step(to_action(env, 1.0 + step, 1.0 + step))
        seen.append(round(float(10.0 * (0.5 + 0.5 * observation[column]) ** 3), 5))
        own = read_book(env, read_queues).own["bid"]
        assert (own is None) == (market["quotes"]["slot"][BID] == NO_ORDER)
        assert 10.0 if own is None else 10_000 - own[0] == seen[-1]
        assert market["quotes"]["n_in_flight"] == min(step + 1, 2)
    # No quote rests in the first 2.5 s, and the column is 1, which means max_offset. After that,
    # the quotes of 2.5 s before rest.
    assert seen == [10.0, 10.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
