"""The scales of actions, observations and rewards, measured in the markets.

Expected values are written out here and not taken from `mm_gym.core.scales`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

import mm_gym
from agents import make_agent
from mm_gym import observations
from mm_gym.actions import from_ticks, to_offsets, to_ticks
from mm_gym.core.layout import NO_ORDER, Obs

REGIMES = tuple(mm_gym.REGIMES)
ACTION_FORMATS = ("offsets", "spread_skew", "discrete")
N = 32
CONSTANT = {
    # Only the agent quotes there, and the public spread is zero.
    "dealer": {"spread", "book_imbalance", "bid_queue_ahead", "ask_queue_ahead"},
}


def zero(action_format: str, n: int) -> Any:
    """Action 0 for n markets."""
    return np.zeros(n, np.int64) if action_format == "discrete" else np.zeros((n, 2), np.float32)


# ----------------------------------------------------------------------------- the scale of actions


@pytest.mark.parametrize(
    ("action", "share"),
    [(-1.0, 0.0), (-0.5, 1 / 64), (0.0, 1 / 8), (0.2, 0.216), (0.5, 27 / 64), (1.0, 1.0)],
)
@pytest.mark.parametrize("max_offset", [0.1, 4.0, 15.0, 1e6])
def test_an_action_is_a_cubic_share_of_max_offset(
    action: float, share: float, max_offset: float
) -> None:
    """offset = max_offset ((1 + a) / 2)^3, at values with simple cubes."""
    assert to_ticks(action, max_offset) == pytest.approx(share * max_offset, rel=1e-12, abs=1e-12)
    assert from_ticks(share * max_offset, max_offset) == pytest.approx(action, abs=1e-6)


@pytest.mark.parametrize("max_offset", [0.1, 4.0, 7.5, 15.0, 1000.0])
def test_the_scale_is_monotone_and_has_an_inverse(max_offset: float) -> None:
    actions = np.linspace(-1.0, 1.0, 2001, dtype=np.float32)
    ticks = to_ticks(actions, max_offset)
    assert (np.diff(ticks) > 0.0).all()
    assert (ticks[0], ticks[-1]) == (0.0, max_offset)
    np.testing.assert_allclose(from_ticks(ticks, max_offset), actions, atol=1e-6)


@pytest.mark.parametrize("max_offset", [4.0, 15.0])
def test_ticks_become_actions_and_ticks_again(max_offset: float) -> None:
    """The error is at most 1e-6 ticks, although actions near 1 have a spacing of 6e-8."""
    ticks = np.linspace(0.0, max_offset, 10_001)
    again = to_ticks(from_ticks(ticks, max_offset), max_offset)
    np.testing.assert_allclose(again, ticks, rtol=0.0, atol=1e-6)


def test_offsets_and_actions_beyond_their_ranges_are_clipped() -> None:
    np.testing.assert_array_equal(from_ticks([-3.0, 0.0, 15.0, 99.0], 15.0), [-1.0, -1.0, 1.0, 1.0])
    np.testing.assert_array_equal(to_ticks([-7.0, -1.0, 1.0, 7.0], 15.0), [0.0, 0.0, 15.0, 15.0])


# ---------------------------------------------------------------------------- where action 0 quotes


@functools.cache
def half_spreads(regime: str) -> npt.NDArray[np.float64]:
    """[ticks] Half of the public spread at each decision of 32 sessions, with distant quotes."""
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=N, regime=regime)
    batch.reset(seed=0)
    far = np.ones((N, 2), np.float32)
    return (
        np.array(
            [batch.step(far)[4]["spread"] for _ in range(batch.unwrapped.config.session_steps)]
        )
        / 2.0
    )


@pytest.mark.parametrize("action_format", ACTION_FORMATS)
@pytest.mark.parametrize("regime", REGIMES)
def test_action_zero_is_close_to_the_touch(regime: str, action_format: Any) -> None:
    """Its offset is within half a tick of the mean half-spread.

    The mean distance at a decision is less than a tick. Measured: the offset is 1.875 ticks and the
    half-spread 1.67 to 1.93; in zero intelligence 0.5 and 0.68. Standard errors are below 0.04
    ticks. In the dealer market nobody else quotes, and a share exp(-1.875 / 3) of takers accepts
    the offset. Where the tick is small, the offset is 9 ticks and the half-spread 13.2.
    """
    config = mm_gym.configure(regime)
    bid, ask = to_ticks(to_offsets(action_format, zero(action_format, 1), 1)[0], config.max_offset)
    assert bid == ask == pytest.approx(config.max_offset / 8.0, rel=1e-6)
    if regime == "dealer":
        assert np.exp(-bid / config.taker_tolerance) > 0.5
        return
    distance = bid - half_spreads(regime)
    of_sessions = distance.mean(axis=0)
    if regime == "small_tick":
        assert of_sessions.std(ddof=1) / np.sqrt(N) < 0.2
        assert -0.4 < distance.mean() / half_spreads(regime).mean() < 0.0
        return
    assert of_sessions.std(ddof=1) / np.sqrt(N) < 0.04
    assert abs(distance.mean()) < 0.5
    assert np.abs(distance).mean() < 1.0


@pytest.mark.parametrize("action_format", ACTION_FORMATS)
def test_an_untrained_policy_that_explores_trades(action_format: str) -> None:
    """It has at least 50 fills in a session of noise. Measured: 231 for the format `offsets`.

    The mean action is 0 and the standard deviation is 1. A discrete policy chooses uniformly.
    """
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=N, regime="noise", action=action_format)
    generator = np.random.default_rng(0)
    batch.reset(seed=0)
    fills = np.zeros(N)
    for _ in range(batch.unwrapped.config.session_steps):
        if action_format == "discrete":
            actions = generator.integers(0, 64, N)
        else:
            actions = np.clip(generator.normal(size=(N, 2)), -1.0, 1.0).astype(np.float32)
        fills += batch.step(actions)[4]["fills"]
    assert fills.std(ddof=1) / np.sqrt(N) < 4.0
    assert fills.mean() >= 50.0
    assert fills.min() >= 25.0


# ------------------------------------------------------------------- columns fed back as actions


@pytest.mark.parametrize("threshold", [0.0, 0.3])
@pytest.mark.parametrize("regime", REGIMES)
def test_the_columns_of_the_quotes_as_an_action_keep_both_quotes_in_place(
    regime: str, threshold: float
) -> None:
    """The order and its time of entry stay the same for offsets from 0 to `max_offset`."""
    env = gymnasium.make(
        "MarketMaking-v0", regime=regime, requote_threshold=threshold, session_steps=2000
    ).unwrapped
    config = env.config
    generator = np.random.default_rng(5)
    observation, _ = env.reset(seed=1)
    market = env._markets.records[0]
    kept = [0, 0]
    nearest, farthest = np.inf, 0.0
    for step in range(1500):
        if step % 5 == 0:  # new quotes over the whole range
            observation, *_ = env.step(generator.uniform(-1.0, 1.0, 2).astype(np.float32))
            continue
        slots = market["quotes"]["slot"].tolist()
        places = market["quotes"]["placed_at"].copy()
        inventory = int(market["account"]["inventory"])
        keys = [market["book"]["orders"][slot]["key"] if slot != NO_ORDER else 0 for slot in slots]
        # Offsets of bid and ask, from their prices.
        offsets = [market["mid"] - keys[0], -keys[1] - market["mid"]]
        room = [inventory < config.max_inventory, inventory > -config.max_inventory]
        observation, *_ = env.step(observation[[Obs.BID_OFFSET, Obs.ASK_OFFSET]])
        for side in range(2):
            if (
                slots[side] == NO_ORDER
                or not 0.0 <= offsets[side] <= config.max_offset
                or not room[side]
            ):
                continue
            if offsets[0] == 0.0 or offsets[1] == 0.0:
                continue  # a quote at the mid may have to move away from the other quote
            assert market["quotes"]["placed_at"][side] == places[side]
            assert market["quotes"]["slot"][side] in (slots[side], NO_ORDER)
            kept[side] += 1
            nearest, farthest = min(nearest, offsets[side]), max(farthest, offsets[side])
    assert min(kept) > 300
    assert nearest <= 0.5
    assert farthest > 0.9 * config.max_offset


@pytest.mark.parametrize("regime", REGIMES)
def test_conversions_of_columns_agree_with_the_record(regime: str) -> None:
    env = gymnasium.make("MarketMaking-v0", regime=regime, quote_size=3, taker_size=1.5).unwrapped
    generator = np.random.default_rng(2)
    env.reset(seed=0)
    market, config = env._markets.records[0], env.config
    for step in range(1, 301):
        observation, *_, info = env.step(generator.uniform(-1.0, 0.2, 2).astype(np.float32))
        for side in range(2):
            slot = market["quotes"]["slot"][side]
            order = market["book"]["orders"][slot]
            price = (order["key"], -order["key"])[side]
            expected = (
                (info["mid"] - price, price - info["mid"])[side]
                if slot != NO_ORDER
                else config.max_offset
            )
            seen = observations.quote_offsets(observation, config)[side]
            if abs(observation[Obs.BID_OFFSET + side]) < 10.0:
                assert seen == pytest.approx(expected, abs=2e-5)
            assert observations.quote_lots(observation, config)[side] == (
                order["lots"] if slot != NO_ORDER else 0
            )
        assert observations.inventory(observation) == info["inventory"]
        if observation[Obs.SPREAD] < 25.0:
            assert observations.spread(observation, config) == pytest.approx(
                info["spread"], abs=1e-5
            )
        left = (config.session_steps - step) * config.decision_interval
        assert observations.time_left(observation, config) == pytest.approx(left, rel=1e-6)


# ---------------------------------------------------------------------------------------- inventory


def test_every_inventory_survives_single_precision_exactly() -> None:
    lots = np.arange(-100_000, 100_001)
    seen = np.zeros((len(lots), len(Obs)), np.float32)
    seen[:, Obs.INVENTORY] = 1.2 * np.arcsinh(lots / 2.0)
    np.testing.assert_array_equal(observations.inventory(seen), lots)
    np.testing.assert_allclose(
        observations.inventory_column(lots), 1.2 * np.arcsinh(lots / 2.0), rtol=1e-12
    )


def test_the_column_of_inventory_is_its_asinh_and_shows_one_lot() -> None:
    """1.2 asinh(1 / 2) = 0.58, and the fifth lot still changes the column by 0.2."""
    env = gymnasium.make("MarketMaking-v0", max_inventory=10**9, taker_rate=0.0).unwrapped
    env.reset(seed=0)
    market = env._markets.records[0]
    shown = {}
    for lots in (*range(-5, 6), 99_999, -100_000, 10**9):
        market["account"]["inventory"] = lots
        shown[lots] = env.step(np.ones(2, np.float32))[0][Obs.INVENTORY]
        assert shown[lots] == np.float32(1.2 * np.arcsinh(lots / 2.0))
    steps = np.diff([shown[lots] for lots in range(-5, 6)])
    assert (steps[4:6] > 0.4).all()
    assert (steps[1:9] > 0.2).all()


# -------------------------------------------------------------------- columns and rewards, measured


class Measured(NamedTuple):
    """Statistics of 32 sessions."""

    columns: npt.NDArray[np.float64]
    """Standard deviation of each column over all decisions."""
    reward: float
    """Mean absolute reward of a decision."""
    standard_error: float
    """Standard error of that mean. Sessions are independent."""


# The rule's defaults, 1.5 ticks and 0.1 ticks per lot, as shares of the default `max_offset`.
SCALED = ("large_tick", "small_tick")


def inventory_skew(batch: Any) -> Callable[[Any], Any]:
    config = batch.unwrapped.config
    parameters = (
        {"half_spread": config.max_offset / 10.0, "skew": config.max_offset / 150.0}
        if config.regime in SCALED
        else {}
    )
    agent = make_agent("inventory_skew", config, **parameters)
    return lambda observation: agent.predict(observation)[0]


def random_quotes(batch: Any) -> Callable[[Any], Any]:
    batch.action_space.seed(3)
    return lambda observation: batch.action_space.sample()


POLICIES = {"inventory_skew": inventory_skew, "random": random_quotes}


@functools.cache
def measured(regime: str, policy: str) -> Measured:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=N, regime=regime)
    act = POLICIES[policy](batch)
    observation, _ = batch.reset(seed=1)
    seen, paid = [], []
    for _ in range(batch.unwrapped.config.session_steps):
        seen.append(observation)
        observation, rewards, *_ = batch.step(act(observation))
        paid.append(np.abs(rewards))
    sessions = np.mean(paid, axis=0)
    deviations = np.concatenate(seen).std(axis=0, dtype=np.float64)
    return Measured(deviations, float(sessions.mean()), float(sessions.std(ddof=1) / np.sqrt(N)))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("regime", REGIMES)
def test_every_column_varies_by_about_one_unit(regime: str, policy: str) -> None:
    """Its standard deviation over 32,000 decisions is from 0.2 to 3."""
    varies = dict(
        zip(mm_gym.OBSERVATION_NAMES, measured(regime, policy).columns.tolist(), strict=True)
    )
    constant = {name for name, deviation in varies.items() if deviation == 0.0}
    assert constant == CONSTANT.get(regime, set())
    wrong = {name: deviation for name, deviation in varies.items() if not 0.2 <= deviation <= 3.0}
    assert set(wrong) == constant, wrong


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("regime", REGIMES)
def test_rewards_are_of_order_one_a_decision(regime: str, policy: str) -> None:
    """The mean absolute reward is between 0.02 and 2.

    Measured: 0.04 to 0.2 for `inventory_skew` and 0.17 to 0.8 for random quotes. The standard error
    is at most a tenth of that.
    """
    result = measured(regime, policy)
    assert result.standard_error < 0.15 * result.reward
    assert result.reward - 4.0 * result.standard_error > 0.02
    assert result.reward + 4.0 * result.standard_error < 2.0
