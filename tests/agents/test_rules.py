"""The rules, against their formulas worked out from the market's own account and clock, not from the observation."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

import mm_gym
from agents import RULES, AgentError, make_agent, parse_agent, rules_for
from mm_gym import MarketConfig, configure
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.theory import avellaneda_stoikov as theory

SESSION = {"session_steps": 60, "max_inventory": 8}
N_MARKETS = 16


def moments_of_a_session(agent: Any, config: MarketConfig) -> list[tuple[npt.NDArray[np.float32], Any, Any]]:
    """Observations and, beside them, the inventories [lots] and the time left [s] of 16 markets quoted by the agent."""
    env: Any = gymnasium.make_vec("MarketMaking-v0", num_envs=N_MARKETS, **config.to_dict()).unwrapped
    observations, infos = env.reset(seed=3)
    moments = []
    for step in range(config.session_steps):
        time_left = (config.session_steps - step) * config.decision_interval
        moments.append((observations, infos["inventory"].copy(), time_left))
        observations, _, _, _, infos = env.step(agent.predict(observations)[0])
    inventories = np.array([inventory for _, inventory, _ in moments])
    assert inventories.min() < -1
    assert inventories.max() > 1
    return moments


def check_offsets(
    agent: Any, config: MarketConfig, formula: Callable[[int, float], tuple[float, float]], n_inside: int
) -> None:
    """The agent's actions are the formula's offsets on the scale of actions, cut at its ends.

    At least `n_inside` offsets are not cut: 32-bit actions then have them to 1e-5 of `max_offset`.
    """
    inside = 0
    for observations, inventories, time_left in moments_of_a_session(agent, config):
        actions = agent.predict(observations)[0]
        for action, inventory in zip(actions.tolist(), inventories.tolist(), strict=True):
            for scaled, offset in zip(action, formula(inventory, time_left), strict=True):
                cut = min(max(offset, 0.0), config.max_offset)
                assert (scaled + 1.0) / 2.0 * config.max_offset == pytest.approx(cut, abs=1e-5 * config.max_offset)
                inside += cut == offset
    assert inside >= n_inside


def test_fixed_spread_quotes_its_half_spread_on_both_sides_whatever_it_holds() -> None:
    config = configure("noise", **SESSION)
    check_offsets(make_agent("fixed_spread", config, half_spread=0.75), config, lambda q, t: (0.75, 0.75), 1920)


def test_inventory_skew_shifts_both_quotes_against_the_inventory() -> None:
    config = configure("informed", **SESSION)
    agent = make_agent("inventory_skew", config, half_spread=1.25, skew=0.5)
    # Long three lots: bid at 1.25 + 1.5 below the mid, ask at 1.25 - 1.5 above it, which is cut to the mid.
    check_offsets(agent, config, lambda q, t: (1.25 + 0.5 * q, 1.25 - 0.5 * q), 1500)


def test_adaptive_spread_widens_with_one_sided_flow_and_skews() -> None:
    """The flow is what takers bought minus what they sold, halved every 50 s, in units of its own spread in noise:
    sqrt(taker_rate * 50 s / ln 2 / 2) arrivals."""
    config = configure("imbalanced", imbalance=0.9, taker_size=2.0, max_offset=10.0, **SESSION)
    agent = make_agent("adaptive_spread", config, half_spread=1.0, skew=0.25, widening=0.5)
    env: Any = gymnasium.make("MarketMaking-v0", **config.to_dict()).unwrapped
    observation, info = env.reset(seed=1)
    scale = 2.0 * math.sqrt(config.taker_rate * 50.0 / math.log(2.0) / 2.0)
    widest = 0.0
    for _ in range(config.session_steps):
        flow = env._markets.records["features"]["flow"][0, -1] / scale
        half_spread = 1.0 + 0.5 * min(abs(flow), 5.0)
        wanted = np.array([half_spread + 0.25 * info["inventory"], half_spread - 0.25 * info["inventory"]])
        action = agent.predict(observation)[0]
        np.testing.assert_allclose(5.0 * (action + 1.0), np.clip(wanted, 0.0, 10.0), atol=1e-4)
        widest = max(widest, half_spread)
        observation, _, _, _, info = env.step(action)
    assert widest > 1.5


def test_avellaneda_stoikov_quotes_the_papers_formula_and_the_theorys() -> None:
    """In the dealer market sigma is the configured volatility and k one over the takers' tolerance."""
    gamma, sigma, k = 0.01, 0.5, 0.5
    config = configure("dealer", volatility=sigma, taker_tolerance=1.0 / k, **SESSION)
    agent = make_agent("avellaneda_stoikov", config, risk_aversion=gamma)

    def paper(inventory: int, time_left: float) -> tuple[float, float]:
        half_spread = 0.5 * gamma * sigma**2 * time_left + math.log(1.0 + gamma / k) / gamma
        shift = inventory * gamma * sigma**2 * time_left
        return half_spread + shift, half_spread - shift

    def depths(inventory: int, time_left: float) -> tuple[float, float]:
        quotes = theory.quote_depths(inventory, time_left, risk_aversion=gamma, volatility=sigma, fill_decay=k)
        return float(quotes.bid), float(quotes.ask)

    check_offsets(agent, config, paper, 1800)
    check_offsets(agent, config, depths, 1800)


def test_avellaneda_stoikov_takes_for_volatility_what_the_price_does_over_long_times() -> None:
    """Variance per second of 2,560 moves over 1,000 s: s.e. 2.8 percent, and 1.6 percent short of that over for ever.

    Without the signal's part it would be about half.
    """
    config = configure("dealer", signal_drift=0.085, decision_interval=1000.0, session_steps=10)
    sessions = run_sessions(lambda config: make_agent("fixed_spread", config), config, 256, 0)
    moves = np.diff(sessions.value_path, axis=1)
    assert moves.size == 2560
    variance = moves.var() / 1000.0
    assert make_agent("avellaneda_stoikov", config).volatility ** 2 == pytest.approx(variance, rel=3.0 * 0.028 + 0.016)
    assert config.volatility**2 < 0.6 * variance


def test_random_quotes_are_uniform_over_all_offsets_and_repeat_with_the_seed() -> None:
    """The mean of 20,000 uniform numbers has an s.e. of 1 / sqrt(12 * 20000) of their range."""
    config = configure("noise")
    observations = np.zeros((10_000, len(mm_gym.OBSERVATION_NAMES)), np.float32)
    actions = make_agent("random", config, seed=1).predict(observations)[0]
    np.testing.assert_array_equal(make_agent("random", config, seed=1).predict(observations)[0], actions)
    assert (make_agent("random", config, seed=2).predict(observations)[0] != actions).all()
    shares = (actions.ravel() + 1.0) / 2.0
    assert abs(shares.mean() - 0.5) < 3.0 / math.sqrt(12 * shares.size)
    assert abs((shares < 0.1).mean() - 0.1) < 3.0 * math.sqrt(0.1 * 0.9 / shares.size)


# ----------------------------------------------------------------------------------------- the interface


@pytest.fixture(scope="module")
def observations() -> npt.NDArray[np.float32]:
    """From the middle of sessions in which there were fills."""
    config = configure("noise", **SESSION)
    return moments_of_a_session(make_agent("fixed_spread", config, half_spread=0.5), config)[40][0]


@pytest.mark.parametrize("name", rules_for(configure("noise")))
def test_predict_takes_one_observation_or_many_and_stays_in_the_action_space(
    name: str, observations: npt.NDArray[np.float32]
) -> None:
    config = configure("noise", **SESSION)
    space = gymnasium.make("MarketMaking-v0").action_space
    many, state = make_agent(name, config).predict(observations, state=None, episode_start=np.ones(16, np.bool_))
    assert (state is not None) == (name == "glosten_milgrom")
    assert many.shape == (N_MARKETS, 2)
    assert many.dtype == np.float32
    assert all(action in space for action in many)
    one, _ = make_agent(name, config).predict(observations[5])
    assert one in space
    one_of_one, _ = make_agent(name, config).predict(observations[5:6])
    np.testing.assert_array_equal(one_of_one, one[None])
    if name != "random":  # which draws for as many as there are
        np.testing.assert_array_equal(many[5], one)


@pytest.mark.parametrize("name", rules_for(configure("noise")))
def test_an_agent_pickles_and_goes_on_as_it_would_have(name: str, observations: npt.NDArray[np.float32]) -> None:
    agent = make_agent(name, configure("noise", **SESSION))
    agent.predict(observations)
    copy = pickle.loads(pickle.dumps(agent))
    np.testing.assert_array_equal(copy.predict(observations)[0], agent.predict(observations)[0])


@pytest.mark.parametrize("name", rules_for(configure("noise")))
def test_stable_baselines3_evaluates_every_rule(name: str) -> None:
    """Its `evaluate_policy` finds the rewards that a loop of our own finds."""

    def fresh() -> Any:
        env = Monitor(gymnasium.make("MarketMaking-v0", regime="mixed", session_steps=30))
        env.reset(seed=5)
        return env

    config = configure("mixed", session_steps=30)
    rewards, lengths = evaluate_policy(
        make_agent(name, config), fresh(), n_eval_episodes=3, return_episode_rewards=True
    )
    assert lengths == [30, 30, 30]

    env, agent, expected = fresh(), make_agent(name, config), []
    for _ in range(3):
        observation, ended, total, state = env.reset()[0], False, 0.0, None
        while not ended:
            actions, state = agent.predict(observation[None], state=state)
            observation, reward, ended, _, _ = env.step(actions[0])
            total += reward
        expected.append(total)
    assert rewards == pytest.approx(expected, abs=1e-5)  # Monitor rounds to six places
    assert len(set(expected)) == 3


# ----------------------------------------------------------------------------------------------- errors


def test_a_name_with_parameters_is_taken_apart() -> None:
    assert parse_agent("inventory_skew") == ("inventory_skew", {})
    assert parse_agent(" fixed_spread:half_spread=2 ") == ("fixed_spread", {"half_spread": 2.0})
    assert parse_agent("inventory_skew:half_spread=1.5: skew =1e-1") == (
        "inventory_skew",
        {"half_spread": 1.5, "skew": 0.1},
    )


@pytest.mark.parametrize("text", ["fixed_spread:half_spread", "fixed_spread:half_spread=", "fixed_spread:2.0=wide"])
def test_a_parameter_that_is_no_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(AgentError, match=r"is no parameter; write for example fixed_spread:half_spread=2\.0"):
        parse_agent(text)


@pytest.mark.parametrize(
    "name, meant",
    [("inventory_scew", "inventory_skew"), ("fixed-spread", "fixed_spread"), ("avellaneda", "avellaneda_stoikov")],
)
def test_an_unknown_agent_is_refused_and_the_nearest_named(name: str, meant: str) -> None:
    with pytest.raises(AgentError, match=f"agent '{name}' is no rule and no run folder; did you mean '{meant}'"):
        make_agent(name, configure("noise"))


def test_an_agent_like_none_is_refused_and_all_are_named() -> None:
    with pytest.raises(AgentError) as raised:
        make_agent("runs/nowhere", configure("noise"))
    assert all(name in str(raised.value) for name in RULES)


def test_an_unknown_parameter_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(AgentError, match="inventory_skew has no parameter 'scew'; did you mean 'skew'"):
        make_agent("inventory_skew", configure("noise"), scew=0.1)
    with pytest.raises(AgentError, match="fixed_spread has no parameter 'skew'; known are half_spread"):
        make_agent("fixed_spread", configure("noise"), skew=0.1)
