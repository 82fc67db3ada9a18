"""The rules quote their formulas, computed from the market's own account and clock."""

import math
import pickle
from collections.abc import Callable
from functools import partial
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
from mm_gym.core.layout import Obs
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.theory import avellaneda_stoikov as theory
from mm_gym.theory import cartea_jaimungal, gueant_lehalle_fernandez_tapia
from mm_gym.theory.dealer_bellman import DealerProblem, policy_value

SESSION = {"session_steps": 60, "max_inventory": 8}
N_MARKETS = 16


def moments_of_a_session(
    agent: Any, config: MarketConfig
) -> list[tuple[npt.NDArray[np.float32], Any, Any]]:
    """Observations, inventories [lots] and time left [s] of 16 markets quoted by the agent."""
    env: Any = gymnasium.make_vec(
        "MarketMaking-v0", num_envs=N_MARKETS, **config.to_dict()
    ).unwrapped
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
    agent: Any,
    config: MarketConfig,
    formula: Callable[[int, float], tuple[float, float]],
    n_inside: int,
) -> None:
    """The agent's actions are the formula's offsets on the scale of actions, clipped at its ends.

    At least `n_inside` offsets are not clipped. They agree to 1e-5 of `max_offset`, the precision
    of 32-bit actions.
    """
    inside = 0
    for observations, inventories, time_left in moments_of_a_session(agent, config):
        actions = agent.predict(observations)[0]
        for action, inventory in zip(actions.tolist(), inventories.tolist(), strict=True):
            for scaled, offset in zip(action, formula(inventory, time_left), strict=True):
                cut = min(max(offset, 0.0), config.max_offset)
                assert ((scaled + 1.0) / 2.0) ** 3 * config.max_offset == pytest.approx(
                    cut, abs=1e-5 * config.max_offset
                )
                inside += cut == offset
    assert inside >= n_inside


def test_fixed_spread_quotes_its_half_spread_on_both_sides_for_any_inventory() -> None:
    config = configure("noise", **SESSION)
    check_offsets(
        make_agent("fixed_spread", config, half_spread=0.75),
        config,
        lambda q, t: (0.75, 0.75),
        1920,
    )


def test_inventory_skew_shifts_both_quotes_against_the_inventory() -> None:
    config = configure("informed", **SESSION)
    agent = make_agent("inventory_skew", config, half_spread=1.25, skew=0.5)
    # Long three lots: the bid is 1.25 + 1.5 below the mid. The ask is 1.25 - 1.5 above it, which is
    # clipped to the mid.
    check_offsets(agent, config, lambda q, t: (1.25 + 0.5 * q, 1.25 - 0.5 * q), 1500)


def test_adaptive_spread_widens_with_one_sided_flow_and_skews() -> None:
    """The flow is bought minus sold volume with a half-life of 50 s.

    Its unit is its standard deviation in noise, sqrt(taker_rate * 50 s / ln 2 / 2) arrivals.
    """
    config = configure("imbalanced", imbalance=0.9, taker_size=2.0, max_offset=10.0, **SESSION)
    agent = make_agent("adaptive_spread", config, half_spread=1.0, skew=0.25, widening=0.5)
    env: Any = gymnasium.make("MarketMaking-v0", **config.to_dict()).unwrapped
    observation, info = env.reset(seed=1)
    scale = 2.0 * math.sqrt(config.taker_rate * 50.0 / math.log(2.0) / 2.0)
    widest = 0.0
    for _ in range(config.session_steps):
        flow = env._markets.records["features"]["flow"][0, -1] / scale
        half_spread = 1.0 + 0.5 * min(abs(flow), 10.0)
        wanted = np.array(
            [half_spread + 0.25 * info["inventory"], half_spread - 0.25 * info["inventory"]]
        )
        action = agent.predict(observation)[0]
        np.testing.assert_allclose(
            10.0 * (0.5 * (action + 1.0)) ** 3, np.clip(wanted, 0.0, 10.0), atol=1e-4
        )
        widest = max(widest, half_spread)
        observation, _, _, _, info = env.step(action)
    assert widest > 1.5


def test_avellaneda_stoikov_quotes_the_formula_of_the_paper_and_of_the_theory_module() -> None:
    """In the dealer market sigma is the configured volatility and k is 1 / `taker_tolerance`."""
    gamma, sigma, k = 0.01, 0.5, 0.5
    config = configure("dealer", volatility=sigma, taker_tolerance=1.0 / k, **SESSION)
    agent = make_agent("avellaneda_stoikov", config, risk_aversion=gamma)

    def paper(inventory: int, time_left: float) -> tuple[float, float]:
        half_spread = 0.5 * gamma * sigma**2 * time_left + math.log(1.0 + gamma / k) / gamma
        shift = inventory * gamma * sigma**2 * time_left
        return half_spread + shift, half_spread - shift

    def depths(inventory: int, time_left: float) -> tuple[float, float]:
        quotes = theory.quote_depths(
            inventory, time_left, risk_aversion=gamma, volatility=sigma, fill_decay=k
        )
        return float(quotes.bid), float(quotes.ask)

    check_offsets(agent, config, paper, 1800)
    check_offsets(agent, config, depths, 1800)


def test_avellaneda_stoikov_uses_the_long_run_volatility_of_the_price() -> None:
    """The variance per second of 2,560 moves over 1,000 s has a standard error of 2.8 percent.

    It is 1.6 percent below the limit of long times. Without the signal it would be about half.
    """
    config = configure("dealer", signal_drift=0.085, decision_interval=1000.0, session_steps=10)
    sessions = run_sessions(lambda config: make_agent("fixed_spread", config), config, 256, 0)
    moves = np.diff(sessions.value_path, axis=1)
    assert moves.size == 2560
    variance = moves.var() / 1000.0
    assert make_agent("avellaneda_stoikov", config).volatility ** 2 == pytest.approx(
        variance, rel=3.0 * 0.028 + 0.016
    )
    assert config.volatility**2 < 0.6 * variance


@pytest.mark.parametrize(
    "name, formula, given, parameters",
    [
        (
            "gueant_lehalle_fernandez_tapia",
            gueant_lehalle_fernandez_tapia.optimal_depths,
            {"risk_aversion": 0.1, "volatility": 0.5, "arrival_rate": 0.8},
            {"risk_aversion": 0.1, "volatility": 0.5, "arrival_rate": 0.8, "fill_decay": 0.5},
        ),
        (
            "cartea_jaimungal",
            cartea_jaimungal.optimal_depths,
            {"buy_rate": 0.7},
            {
                "buy_rate": 0.7,
                "sell_rate": 0.5,
                "fill_decay": 0.5,
                "running_penalty": 0.02,
                "terminal_penalty": 0.125,
            },
        ),
    ],
)
def test_tabulated_rules_quote_the_depths_of_the_theory_module_at_each_time(
    name: str, formula: Callable[..., Any], given: dict[str, float], parameters: dict[str, float]
) -> None:
    fields = {
        "taker_tolerance": 2.0,
        "inventory_penalty": 0.02,
        "close_out_impact": 0.125,
        "volatility": 0.5,
    }
    config = configure("dealer", **SESSION, **fields)

    def depths(inventory: int, time_left: float) -> tuple[float, float]:
        quotes = formula(inventory, time_left, max_inventory=config.max_inventory, **parameters)
        return float(quotes.bid), float(quotes.ask)

    check_offsets(make_agent(name, config, **given), config, depths, 1600)


# lambda 10 a side, kappa 1, phi 0.5, alpha 0.001, T 1 in 100 steps, with 100 ticks per unit of
# price. The mid is constant, which reduces the variance and changes no mean.
DEALER = configure(
    "dealer",
    taker_rate=20.0,
    taker_tolerance=100.0,
    decision_interval=0.01,
    value_interval=0.01,
    session_steps=100,
    inventory_penalty=50.0,
    close_out_impact=0.1,
    max_inventory=20,
    max_offset=1000.0,
    volatility=0.0,
)


def test_bellman_earns_the_exact_value_and_more_than_every_other_rule() -> None:
    """1,024 sessions give the mean of 628 ticks with a standard error of about 7.

    The paired difference to each other rule but one is above zero by three standard errors. The
    continuous formula of Cartea and Jaimungal is within a tick of the optimum, too near to
    distinguish by simulation. It is compared with its own exact value.
    """
    earned = {
        name: run_sessions(partial(make_agent, name), DEALER, 1024, 0).objective / 100.0
        for name in rules_for(DEALER)
    }
    best = earned.pop("bellman")
    error = best.std() / math.sqrt(len(best))
    assert error < 0.08
    assert abs(best.mean() - 6.277794) < 3.0 * error
    near = earned.pop("cartea_jaimungal")
    lots, left = np.arange(-20, 21), np.arange(100, 0, -1)[:, None] / 100.0
    theirs = cartea_jaimungal.optimal_depths(
        lots,
        left,
        buy_rate=10.0,
        sell_rate=10.0,
        fill_decay=1.0,
        running_penalty=0.5,
        terminal_penalty=0.001,
        max_inventory=20,
    )
    problem = DealerProblem(10.0, 10.0, 1.0, 0.5, 0.001, 0.01, 100)
    exact = policy_value(problem, np.maximum(theirs.ask, 0.0), np.maximum(theirs.bid, 0.0))[0, 20]
    assert 6.26 < exact < 6.277794
    assert abs(near.mean() - exact) < 3.0 * near.std() / math.sqrt(len(near))
    assert earned.keys() >= {
        "random", "fixed_spread", "inventory_skew", "adaptive_spread", "avellaneda_stoikov",
        "gueant_lehalle_fernandez_tapia", "glosten_milgrom",
    }  # fmt: skip
    for other in earned.values():
        gap = best - other
        assert gap.mean() > 3.0 * gap.std() / math.sqrt(len(gap))


@pytest.mark.parametrize("fields", [{"regime": "noise"}, {"regime": "dealer", "p_informed": 0.2}])
def test_bellman_refuses_a_market_that_its_equation_does_not_describe(
    fields: dict[str, Any],
) -> None:
    config = configure(**fields)
    assert "bellman" not in rules_for(config)
    with pytest.raises(
        AgentError, match=r"expected a dealer market .*\(write --regimes dealer or configure"
    ):
        make_agent("bellman", config)


def test_glosten_milgrom_quotes_its_margin_around_the_value_given_a_buyer_or_a_seller() -> None:
    """The value given a buyer is the mean of V + edge s, with signals weighted by their buyer rate.

    The rates are those at the resting quotes, which the agent sent one decision earlier.
    """
    config = configure("informed", p_informed=0.6, session_steps=50)
    agent: Any = make_agent("glosten_milgrom", config, half_spread=1.25, skew=0.125)
    env: Any = gymnasium.make("MarketMaking-v0", **config.to_dict()).unwrapped
    observation, info = env.reset(seed=2)
    state = None
    worths = []
    for step in range(config.session_steps):
        before = agent.filter.start(observation[None]) if state is None else state
        action, state = agent.predict(observation, state)
        edge = config.edge_per_signal * (
            1.0 - 0.5 ** ((config.session_steps - step) / config.signal_half_life)
        )
        offsets = []
        for side, takers in zip(
            (1.0, -1.0), agent.filter.takers(state, before.quotes), strict=True
        ):
            wanted = sum(
                weight * rate * (gap + edge * signal)
                for weight, rate, gap, signal in zip(
                    state.weight[0, 0],
                    takers[0, 0],
                    state.gap[0, 0],
                    agent.filter.signals,
                    strict=True,
                )
            ) / (state.weight[0, 0] @ takers[0, 0])
            worths.append(wanted)
            offsets.append(1.25 + side * (wanted - 0.125 * info["inventory"]))
        ask, bid = np.clip(offsets, 0.0, config.max_offset)
        np.testing.assert_allclose(
            config.max_offset * (0.5 * (1.0 + action)) ** 3, [bid, ask], atol=1e-4
        )
        observation, _, _, _, info = env.step(action)
    assert np.ptp(worths) > 1.0


def test_the_oracle_earns_more_than_the_filter_and_the_filter_more_than_any_other_rule() -> None:
    """Paired differences of the objective over 64 sessions are three standard errors above zero."""
    config = configure("informed", p_informed=0.4, session_steps=300)
    earned = {
        name: run_sessions(partial(make_agent, name), config, 64, 0).objective
        for name in ("oracle", *rules_for(config))
    }
    known, inferred = earned.pop("oracle"), earned.pop("glosten_milgrom")
    for more, less in [(known, inferred), *((inferred, other) for other in earned.values())]:
        gap = more - less
        assert gap.mean() > 3.0 * gap.std() / math.sqrt(len(gap))


def test_only_privileged_agents_are_shown_the_signal() -> None:
    config = configure("informed", session_steps=5)
    shown: list[tuple[Any, ...]] = []

    class Spy(RULES["fixed_spread"]):  # type: ignore[misc]
        def predict_knowing(self, *arguments: Any) -> Any:
            shown.append(arguments)
            return self.predict(arguments[0])[0]

    class Privileged(Spy):
        privileged = True

    plain, privileged = run_sessions(Spy, config, 3), run_sessions(Privileged, config, 3)
    assert len(shown) == config.session_steps
    np.testing.assert_array_equal(plain.objective, privileged.objective)
    for observations, signal, gap in shown:
        assert observations.shape == (3, len(mm_gym.OBSERVATION_NAMES))
        assert signal.shape == gap.shape == (3,)
    gaps = np.array([gap for _, _, gap in shown])
    np.testing.assert_allclose(gaps.T, (plain.value_path - plain.mid_path)[:, :-1], atol=1e-9)


def test_the_oracle_quotes_around_the_true_value_and_refuses_observations_alone(
    observations: npt.NDArray[np.float32],
) -> None:
    config = configure("informed", **SESSION)
    oracle: Any = make_agent("oracle", config, half_spread=3.0, skew=0.5)
    start = np.zeros((1, len(mm_gym.OBSERVATION_NAMES)), np.float32)
    start[0, Obs.INVENTORY], start[0, Obs.TIME_LEFT] = (
        1.2 * math.asinh(2 / 2),
        20.0 / config.session_length,
    )
    # Half of the edge remains after a half-life, so the value is 0.25 + 0.5 edge. Two lots of
    # inventory move both quotes down by 1.
    action = oracle.predict_knowing(start, np.array([1.0]), np.array([0.25]))[0]
    worth = 0.25 + 0.5 * config.edge_per_signal
    wanted = np.array([3.0 + 1.0 - worth, 3.0 - 1.0 + worth])
    np.testing.assert_allclose(config.max_offset * (0.5 * (1.0 + action)) ** 3, wanted, atol=1e-5)
    assert "oracle" in RULES
    assert "oracle" not in rules_for(config)
    with pytest.raises(
        AgentError, match=r"the oracle cannot quote from observations: .*write python evaluate\.py"
    ):
        oracle.predict(observations)


def test_random_quotes_are_uniform_over_all_offsets_and_repeat_with_the_seed() -> None:
    """The mean of 20,000 uniform numbers has a standard error of 1 / sqrt(12 * 20000)."""
    config = configure("noise")
    observations = np.zeros((10_000, len(mm_gym.OBSERVATION_NAMES)), np.float32)
    actions = make_agent("random", config, seed=1).predict(observations)[0]
    np.testing.assert_array_equal(
        make_agent("random", config, seed=1).predict(observations)[0], actions
    )
    assert (make_agent("random", config, seed=2).predict(observations)[0] != actions).all()
    shares = ((actions.ravel() + 1.0) / 2.0) ** 3
    assert abs(shares.mean() - 0.5) < 3.0 / math.sqrt(12 * shares.size)
    assert abs((shares < 0.1).mean() - 0.1) < 3.0 * math.sqrt(0.1 * 0.9 / shares.size)


# ------------------------------------------------------------------------------------ the interface


@pytest.fixture(scope="module")
def observations() -> npt.NDArray[np.float32]:
    """Observations in the middle of sessions with fills."""
    config = configure("noise", **SESSION)
    return moments_of_a_session(make_agent("fixed_spread", config, half_spread=0.5), config)[40][0]


@pytest.mark.parametrize("name", rules_for(configure("noise")))
def test_predict_takes_one_observation_or_many_and_stays_in_the_action_space(
    name: str, observations: npt.NDArray[np.float32]
) -> None:
    config = configure("noise", **SESSION)
    space = gymnasium.make("MarketMaking-v0").action_space
    many, state = make_agent(name, config).predict(
        observations, state=None, episode_start=np.ones(16, np.bool_)
    )
    assert (state is not None) == (name == "glosten_milgrom")
    assert many.shape == (N_MARKETS, 2)
    assert many.dtype == np.float32
    assert all(action in space for action in many)
    one, _ = make_agent(name, config).predict(observations[5])
    assert one in space
    one_of_one, _ = make_agent(name, config).predict(observations[5:6])
    np.testing.assert_array_equal(one_of_one, one[None])
    if name != "random":  # its draws depend on the number of observations
        np.testing.assert_array_equal(many[5], one)


@pytest.mark.parametrize("name", rules_for(configure("noise")))
def test_a_pickled_agent_continues_like_the_original(
    name: str, observations: npt.NDArray[np.float32]
) -> None:
    agent = make_agent(name, configure("noise", **SESSION))
    agent.predict(observations)
    copy = pickle.loads(pickle.dumps(agent))
    np.testing.assert_array_equal(copy.predict(observations)[0], agent.predict(observations)[0])


@pytest.mark.parametrize("name", rules_for(configure("noise")))
def test_stable_baselines3_evaluates_every_rule(name: str) -> None:
    """Its `evaluate_policy` returns the same rewards as a plain loop."""

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


# ------------------------------------------------------------------------------------------- errors


def test_a_name_with_parameters_is_parsed() -> None:
    assert parse_agent("inventory_skew") == ("inventory_skew", {})
    assert parse_agent(" fixed_spread:half_spread=2 ") == ("fixed_spread", {"half_spread": 2.0})
    assert parse_agent("inventory_skew:half_spread=1.5: skew =1e-1") == (
        "inventory_skew",
        {"half_spread": 1.5, "skew": 0.1},
    )


@pytest.mark.parametrize(
    "text", ["fixed_spread:half_spread", "fixed_spread:half_spread=", "fixed_spread:2.0=wide"]
)
def test_a_parameter_that_is_no_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        AgentError,
        match=r"expected parameter=number .* \(write for example fixed_spread:half_spread=2\.0\)",
    ):
        parse_agent(text)


@pytest.mark.parametrize(
    "name, meant",
    [
        ("inventory_scew", "inventory_skew"),
        ("fixed-spread", "fixed_spread"),
        ("avellaneda", "avellaneda_stoikov"),
    ],
)
def test_an_unknown_agent_is_refused_and_the_nearest_named(name: str, meant: str) -> None:
    with pytest.raises(
        AgentError,
        match=rf"agent '{name}' is unknown: expected .*, got '{name}' \(did you mean '{meant}'",
    ):
        make_agent(name, configure("noise"))


def test_a_name_near_to_no_agent_is_refused_and_all_agents_are_named() -> None:
    with pytest.raises(AgentError) as raised:
        make_agent("runs/nowhere", configure("noise"))
    assert all(name in str(raised.value) for name in RULES)


def test_an_unknown_parameter_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(
        AgentError,
        match=r"inventory_skew has no parameter 'scew': expected .* \(did you mean 'skew'",
    ):
        make_agent("inventory_skew", configure("noise"), scew=0.1)
    with pytest.raises(
        AgentError, match="fixed_spread has no parameter 'skew': expected half_spread, got 'skew'"
    ):
        make_agent("fixed_spread", configure("noise"), skew=0.1)
