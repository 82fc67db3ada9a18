"""The skill of makers whose exact objective is known."""

import dataclasses

import numpy as np
import pytest

from agents import AgentError, make_agent, name_agent
from agents.base import to_actions
from agents.learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from agents.tools.dealer_skill import Skill, dealer_problem, measure_skill
from mm_gym import MarketConfig, configure
from mm_gym.core.layout import Obs
from mm_gym.observations import inventory
from mm_gym.theory.dealer_bellman import best_constant_policy, policy_value, solve

MARKET = configure(**read_hyperparameters("ppo-dealer_skill")[ALGORITHM_PART]["env_kwargs"])


def agrees(found: Skill, exact: float) -> bool:
    """Whether both estimates are within four standard errors of the exact value.

    0.05 more are allowed for the rounding of half a tick.
    """
    assert abs(found.objective - exact) < 4.0 * found.standard_error + 0.05
    assert abs(found.simulated - exact) < 4.0 * found.simulated_error
    return found.standard_error < 0.3 * found.simulated_error


def test_the_market_is_that_of_the_paper() -> None:
    # lambda 10 a side, kappa 1, phi 0.5, alpha 0.001, T 1 in 100 steps, tick 0.01.
    problem = dealer_problem(MARKET)
    assert solve(problem).start_value == pytest.approx(
        627.7794, abs=2e-4
    )  # as in tests/theory/test_dealer_bellman.py
    assert best_constant_policy(problem).value == pytest.approx(566.950, abs=1e-3)


def test_constant_depths_have_the_value_of_the_dynamic_programme() -> None:
    problem = dealer_problem(MARKET)
    for depth in (134.0, 220.0):
        exact = policy_value(problem, depth, depth)[0, problem.max_inventory]
        assert agrees(
            measure_skill(name_agent(f"fixed_spread:half_spread={depth}"), MARKET, sessions=4096),
            exact,
        )


class Optimal:
    """Quotes the Bellman depths."""

    def __init__(self, config: MarketConfig) -> None:
        self.config = config
        self.best = solve(dealer_problem(config))

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        step = np.rint((1.0 - observation[:, Obs.TIME_LEFT]) * self.config.session_steps).astype(
            int
        )
        column = inventory(observation).astype(int) + self.config.max_inventory
        return to_actions(
            self.config, self.best.bid_depths[step, column], self.best.ask_depths[step, column]
        ), state


def test_the_optimum_has_a_skill_of_one_and_no_maker_has_more() -> None:
    found = measure_skill(Optimal, MARKET, sessions=2048)
    assert 0.9995 < found.skill <= 1.0
    assert agrees(found, found.bellman)


def test_a_market_that_the_programme_does_not_describe_is_refused() -> None:
    with pytest.raises(AgentError, match=r"expected makers='none', .*write --regime dealer"):
        measure_skill(lambda config: make_agent("fixed_spread", config), configure("noise"))
    with pytest.raises(AgentError, match=r"expected latency=0\.0, got 0\.001"):
        dealer_problem(dataclasses.replace(MARKET, latency=0.001))
