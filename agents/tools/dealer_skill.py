"""The skill of makers in the dealer market.

python -m agents.tools.dealer_skill AGENT ...

In this market the optimal objective is known exactly (`mm_gym.theory.dealer_bellman`), and so is
that of the best constant depths:

    skill = (J - J_constant) / (J_Bellman - J_constant)

J is the mean objective of the maker. The objective of a session has a large variance. The command
therefore estimates J from the regret of each decision, by the performance difference lemma. Let
V_n(q) be the Bellman value, and Q_n(q, depths) the value of quoting these depths once and optimal
ones afterwards. Then

    J = V_0(0) - E[sum over decisions n of V_n(q_n) - Q_n(q_n, depths_n)]

for any policy. No term of the sum is negative.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tyro
from gymnasium.utils import seeding
from rich.console import Console
from rich.table import Table

from mm_gym import MarketConfig, configure
from mm_gym.actions import to_offsets, to_ticks
from mm_gym.core.layout import Outcome
from mm_gym.evaluation.rollout import session_seeds
from mm_gym.markets import Markets
from mm_gym.theory.dealer_bellman import BellmanSolution, DealerProblem, best_constant_policy, solve

from ..base import AgentError
from ..invocation import run_module
from ..learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from ..registry import Agent, name_agent
from ..rules.bellman import dealer_problem as session_problem

_ON_A_TICK = 1e-4  # [ticks] prices nearer to a whole tick than this count as whole, as in the core
_SIMPLE = {
    "makers": "none",
    "signal_drift": 0.0,
    "p_informed": 0.0,
    "imbalance": 0.0,
    "taker_size": 1.0,
    "quote_size": 1,
    "latency": 0.0,
    "requote_threshold": 0.0,
    "maker_fee": 0.0,
    "sniping": False,
}
"""Fields of a market for which the dynamic programme is exact."""


@dataclass(frozen=True)
class Skill:
    """Objective of a maker in the dealer market, and its bounds [ticks x lots per session]."""

    objective: float
    """J, estimated from the regret of each decision."""
    standard_error: float
    """Standard error of the same."""
    simulated: float
    """Plain mean of the sessions' objectives. It has the same expectation and a larger error."""
    simulated_error: float
    """Standard error of the same."""
    constant: float
    """J of the best constant depths."""
    bellman: float
    """J of the optimum."""

    @property
    def skill(self) -> float:
        """1 for the exact optimum, 0 for the best constant depths."""
        return (self.objective - self.constant) / (self.bellman - self.constant)

    @property
    def skill_error(self) -> float:
        """Standard error of the skill."""
        return self.standard_error / (self.bellman - self.constant)


def dealer_problem(config: MarketConfig) -> DealerProblem:
    """The dynamic programme of a dealer market, in ticks.

    Raises:
        AgentError: if the programme is not exact for this market.
    """
    for name, wanted in _SIMPLE.items():
        if getattr(config, name) != wanted:
            raise AgentError(
                f"the exact value of this market is unknown: expected {name}={wanted!r}, "
                f"got {getattr(config, name)!r} "
                "(write --regime dealer, and do not change its order flow)"
            )
    return session_problem(config, config.max_inventory)


def measure_skill(
    make_agent: Callable[[MarketConfig], Agent],
    config: MarketConfig,
    sessions: int = 4096,
    seed: int = 0,
) -> Skill:
    """Measure the skill of a maker, in the sessions of `run_sessions` with this seed.

    Args:
        make_agent: makes the maker for a market.
        config: of a dealer market.
        sessions: number of them.
        seed: of the sessions.

    Raises:
        AgentError: if the dynamic programme is not exact for this market.
    """
    problem = dealer_problem(config)
    best = solve(problem)
    agent, markets = make_agent(config), Markets(config, sessions)
    observations, outcomes = markets.empty_results()
    generators = [seeding.np_random(int(one))[0] for one in session_seeds(seed, sessions)]
    markets.reset(np.arange(sessions), generators, observations, outcomes)
    regret, squares = np.zeros(sessions), np.zeros(sessions)
    state, starts = None, np.ones(sessions, np.bool_)
    for step in range(config.session_steps):
        actions, state = agent.predict(observations, state, starts)
        offsets = to_offsets("offsets", actions, sessions)
        lots, mid = outcomes[:, Outcome.INVENTORY].astype(int), outcomes[:, Outcome.MID]
        away = to_ticks(offsets, config.max_offset)
        bid_depths = mid - np.floor(mid - away[:, 0] + _ON_A_TICK)
        ask_depths = np.ceil(mid + away[:, 1] - _ON_A_TICK) - mid
        regret += best.values[step, lots + problem.max_inventory]
        regret -= _value_of_quoting(problem, best, step, lots, ask_depths, bid_depths)
        observations, outcomes = markets.step(offsets)
        squares += outcomes[:, Outcome.INVENTORY] ** 2
        starts[:] = False
    earned = (
        outcomes[:, Outcome.PNL] - config.inventory_penalty * config.decision_interval * squares
    )
    return Skill(
        objective=best.start_value - float(regret.mean()),
        standard_error=_standard_error(regret),
        simulated=float(earned.mean()),
        simulated_error=_standard_error(earned),
        constant=best_constant_policy(problem).value,
        bellman=best.start_value,
    )


def _value_of_quoting(
    problem: DealerProblem,
    best: BellmanSolution,
    step: int,
    lots: npt.NDArray[np.int64],
    ask_depths: npt.NDArray[np.float64],
    bid_depths: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Q: the value of quoting these depths now and optimal ones afterwards, shape (n,)."""
    bound = problem.max_inventory
    ask_chance = np.where(
        lots > -bound, problem.fill_probability(ask_depths, problem.buy_rate), 0.0
    )
    bid_chance = np.where(
        lots < bound, problem.fill_probability(bid_depths, problem.sell_rate), 0.0
    )
    value = ask_chance * ask_depths + bid_chance * bid_depths
    for sold, bought in ((0, 0), (0, 1), (1, 0), (1, 1)):
        chance = np.where(sold, ask_chance, 1.0 - ask_chance) * np.where(
            bought, bid_chance, 1.0 - bid_chance
        )
        after = np.clip(lots + bought - sold, -bound, bound)  # the chance is zero beyond
        penalty = problem.running_penalty * problem.decision_interval * after**2
        value += chance * (best.values[step + 1, after + bound] - penalty)
    return np.asarray(value)


def _standard_error(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def main(
    agents: tyro.conf.Positional[tuple[str, ...]], sessions: int = 4096, seed: int = 0
) -> None:
    """Print the skill of makers in the market of hyperparameters/ppo-dealer_skill.yml.

    Args:
        agents: Rules with parameters, trained makers or run folders.
        sessions: Number of sessions of each maker.
        seed: Seed of the sessions.
    """
    config = configure(**read_hyperparameters("ppo-dealer_skill")[ALGORITHM_PART]["env_kwargs"])
    table = Table(title=f"Skill in the dealer market, {sessions:,} sessions, J in units of price")
    for header in ("agent", "J", "simulated J", "J constant", "J Bellman", "skill"):
        table.add_column(header, justify="left" if header == "agent" else "right")
    for name in agents:
        found = measure_skill(name_agent(name), config, sessions, seed)
        money = config.tick_size
        table.add_row(
            name,
            f"{money * found.objective:.5f} ± {money * found.standard_error:.5f}",
            f"{money * found.simulated:.3f} ± {money * found.simulated_error:.3f}",
            f"{money * found.constant:.5f}",
            f"{money * found.bellman:.5f}",
            f"{found.skill:.4f} ± {found.skill_error:.4f}",
        )
    Console(width=120).print(table)
    print("± is one standard error.")


if __name__ == "__main__":
    run_module("tools.dealer_skill", main)
