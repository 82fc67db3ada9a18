"""The map of an agent's quotes and its profiles, against the formulas of rules."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from agents import make_agent
from mm_gym import configure
from mm_gym.actions import from_ticks
from mm_gym.core.layout import Obs
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.observations import flows


def test_the_map_of_inventory_skew_is_its_formula_clipped_to_the_range_of_offsets() -> None:
    config = configure("noise", session_steps=40, max_offset=4.0)
    agent = make_agent("inventory_skew", config, half_spread=1.5, skew=0.25)
    lots = np.arange(-20, 21)
    policy = map_policy(agent, config, inventory=lots, flow=[-2.0, 0.0, 1.0])
    skewed = np.tile(0.25 * lots, (3, 1))
    np.testing.assert_allclose(policy.bid_offset, np.clip(1.5 + skewed, 0.0, 4.0), atol=1e-6)
    np.testing.assert_allclose(policy.ask_offset, np.clip(1.5 - skewed, 0.0, 4.0), atol=1e-6)
    assert {0.0, 4.0} <= set(policy.bid_offset.ravel().tolist())
    assert policy.deterministic


def test_the_map_of_adaptive_spread_widens_with_the_flow_whichever_its_sign() -> None:
    config = configure("noise", session_steps=40)
    agent = make_agent("adaptive_spread", config, half_spread=1.0, skew=0.0, widening=0.5)
    policy = map_policy(agent, config, inventory=[-3, 0, 3], flow=[-2.0, 0.0, 1.0])
    for offsets in (policy.bid_offset, policy.ask_offset):
        np.testing.assert_allclose(offsets, [[2.0] * 3, [1.0] * 3, [1.5] * 3], atol=1e-6)


def test_what_a_map_holds_fixed_is_the_mean_of_the_agents_own_observations() -> None:
    config = configure("informed", session_steps=30)
    agent = make_agent("inventory_skew", config)
    policy = map_policy(agent, config, seed=5)
    seen = []
    for market in range(8):
        env = gymnasium.make("MarketMaking-v0", regime="informed", session_steps=30)
        observation, _ = env.reset(seed=5 + market)
        for _ in range(30):
            seen.append(observation)
            observation, *_ = env.step(agent.predict(observation)[0])
    assert policy.n_observations == len(seen)
    np.testing.assert_allclose(
        policy.observation, np.mean(seen, axis=0, dtype=np.float64), rtol=1e-5, atol=1e-6
    )
    most = round(2.0 * np.sinh(np.abs(np.array(seen)[:, Obs.INVENTORY]).max() / 1.2))
    assert policy.inventory.tolist() == list(range(-max(5, most), max(5, most) + 1))


def test_a_map_shows_that_the_agent_quotes_at_random() -> None:
    config = configure("noise", session_steps=20)
    policy = map_policy(make_agent("random", config), config)
    assert not policy.deterministic
    assert (
        policy.bid_offset.shape
        == policy.ask_offset.shape
        == (len(policy.flow), len(policy.inventory))
    )


def test_a_map_beyond_the_bounds_of_the_observation_is_refused() -> None:
    config = configure("noise", session_steps=20, max_inventory=10)
    agent = make_agent("fixed_spread", config)
    with pytest.raises(
        ValueError, match=r"inventory is out of range: expected at most max_inventory=10 .* got 11"
    ):
        map_policy(agent, config, inventory=[-11, 0])
    with pytest.raises(
        ValueError, match=r"flow is out of range: expected at most 33\.3333 .* got 34"
    ):
        map_policy(agent, config, flow=[0.0, 34.0])


def test_quotes_are_averaged_over_the_recurrent_states_of_the_agents_sessions() -> None:
    config = configure("noise", session_steps=30)

    class Recurrent:
        """Quotes by its state, which differs between markets and grows with each decision."""

        def predict(
            self,
            observation: Any,
            state: Any = None,
            episode_start: Any = None,
            deterministic: bool = True,
        ):  # type: ignore[no-untyped-def]
            n = len(observation)
            held = np.arange(n, dtype=float)[:, None] * 0.01 if state is None else state
            return np.repeat(held, 2, axis=1).astype(np.float32), held + 0.01

    policy = map_policy(Recurrent(), config, inventory=[-1, 0, 1], flow=[0.0, 1.0])
    # The states of the eight markets start at 0 to 0.07 and grow by 0.01 per decision. Those of
    # every fourth decision are used. The mean is taken in ticks, after the map from actions.
    states = 0.01 * (np.arange(8)[:, None] + np.arange(1, 30, 4))
    expected = float(np.mean(config.max_offset * ((1.0 + states) / 2.0) ** 3))
    np.testing.assert_allclose(policy.bid_offset, np.full((2, 3), expected), rtol=1e-6)
    for profile in policy.profiles:
        np.testing.assert_allclose(
            profile.queried, np.full((2, len(profile.value)), expected), rtol=1e-6
        )
    assert policy.deterministic
    assert policy.recurrent_state == "as in sessions"


def test_an_agent_with_a_state_of_another_kind_is_queried_as_at_the_start() -> None:
    asked = []

    class Recurrent:
        def predict(
            self,
            observation: Any,
            state: Any = None,
            episode_start: Any = None,
            deterministic: bool = True,
        ):  # type: ignore[no-untyped-def]
            asked.append((state, episode_start))
            return np.zeros((len(observation), 2), np.float32), (np.zeros(3), np.zeros(3))

    policy = map_policy(Recurrent(), configure("noise", session_steps=5), inventory=[0], flow=[0.0])
    assert policy.recurrent_state == "as at the start of a session"
    for state, starts in asked[-2:]:
        assert state is None
        assert starts.all()


def test_the_profile_over_time_left_is_avellanedas_and_stoikovs_spread() -> None:
    config = configure("noise", session_steps=200)
    gamma, kappa, volatility = 0.002, 0.9, 1.5
    agent = make_agent(
        "avellaneda_stoikov", config, risk_aversion=gamma, fill_decay=kappa, volatility=volatility
    )
    _, _, time_left, _ = map_policy(agent, config).profiles
    assert time_left.axis == "time left [s]"
    assert 0.0 < time_left.value[0] < time_left.value[-1] <= 200.0
    # Avellaneda and Stoikov (2008), equation 30.
    spread = gamma * volatility**2 * time_left.value + 2.0 / gamma * np.log(1.0 + gamma / kappa)
    np.testing.assert_allclose(time_left.queried.sum(axis=0), spread, rtol=1e-5)


def test_profiles_vary_one_quantity_and_each_quotes_own_queue() -> None:
    config = configure("noise", session_steps=60)

    class Follows:
        """Offsets in ticks: 0.1 per lot ahead of the quote, 0.3 per lot ahead of the other quote,
        0.05 per lot of inventory, 0.2 per standard deviation of slow flow."""

        def predict(
            self,
            observation: Any,
            state: Any = None,
            episode_start: Any = None,
            deterministic: bool = True,
        ):  # type: ignore[no-untyped-def]
            common = 1.5 + 0.05 * 2.0 * np.sinh(observation[:, Obs.INVENTORY] / 1.2)
            common += 0.2 * flows(observation, Obs.FLOW_SLOW, config)
            ahead = (
                2.0 * config.maker_size * observation[:, [Obs.BID_QUEUE_AHEAD, Obs.ASK_QUEUE_AHEAD]]
            )
            depth = common[:, None] + 0.1 * ahead + 0.3 * ahead[:, ::-1]
            return from_ticks(depth, config.max_offset), None

    inventory, flow, time_left, queue = map_policy(Follows(), config).profiles
    for profile, slope in ((inventory, 0.05), (flow, 0.2), (time_left, 0.0), (queue, 0.1)):
        assert len(profile.value) > 3
        for queried in profile.queried:
            np.testing.assert_allclose(
                queried - queried[0], slope * (profile.value - profile.value[0]), atol=1e-5
            )
    for profile in (inventory, queue):
        np.testing.assert_array_equal(
            profile.value, np.arange(profile.value[0], profile.value[-1] + 1.0)
        )


def test_quoted_offsets_are_the_means_of_the_agents_own_decisions_by_bin() -> None:
    config = configure("informed", session_steps=60)
    agent = make_agent("inventory_skew", config, half_spread=2.0, skew=0.1)
    profile = map_policy(agent, config, seed=3).profiles[1]
    bins: list[list[tuple[float, float]]] = [[] for _ in range(12)]
    decisions = []
    for market in range(8):
        env = gymnasium.make("MarketMaking-v0", regime="informed", session_steps=60)
        observation, _ = env.reset(seed=3 + market)
        for _ in range(60):
            action = agent.predict(observation)[0]
            decisions.append(
                (
                    float(flows(observation, Obs.FLOW_MEDIUM, env.unwrapped.config)),
                    15.0 * ((1.0 + float(action[1])) / 2.0) ** 3,
                )
            )
            observation, *_ = env.step(action)
    both_sides = [flow for flow, _ in decisions for _ in range(2)]
    low, high = np.percentile(both_sides, [0.5, 99.5])
    for flow, offset in decisions:
        if low <= flow <= high:
            bins[min(11, int((flow - low) / (high - low) * 12))].append((flow, offset))
    assert any(len(of) < 20 for of in bins)
    assert any(len(of) >= 20 for of in bins)
    for of, seen, quoted in zip(bins, profile.seen[1], profile.quoted[1], strict=True):
        expected = np.mean(of, axis=0) if len(of) >= 20 else (np.nan, np.nan)
        np.testing.assert_allclose((seen, quoted), expected, rtol=1e-5)


def test_an_agent_that_estimates_the_signal_follows_the_flow_in_sessions_and_not_when_queried() -> (
    None
):
    config = configure("informed", p_informed=0.6, session_steps=300)

    def lean(name: str) -> list[float]:
        """How much larger the bid offset is after sales than after purchases, and the reverse for
        the ask."""
        # There is no skew, because inventory is correlated with the flow.
        agent = make_agent(name, config, skew=0.0)
        flow = map_policy(agent, config).profiles[1]
        assert np.ptp(flow.queried, axis=1).max() == 0.0
        bid, ask = (row[np.isfinite(row)] for row in flow.quoted)
        return [float(bid[0] - bid[-1]), float(ask[-1] - ask[0])]

    assert min(lean("glosten_milgrom")) > 2.0
    assert lean("inventory_skew") == pytest.approx([0.0, 0.0], abs=1e-6)


def test_the_profile_of_a_constant_quantity_has_one_value() -> None:
    dealer = configure("dealer")
    *_, queue = map_policy(make_agent("fixed_spread", dealer), dealer).profiles
    assert queue.value.tolist() == [0.0]
    assert queue.queried.shape == (2, 1)
    shortest = configure("noise", session_steps=1)
    for profile in map_policy(make_agent("fixed_spread", shortest), shortest).profiles:
        assert np.isnan(profile.quoted).all()  # eight decisions are too few
