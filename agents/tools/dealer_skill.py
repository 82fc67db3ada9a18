"""How much of what can be learned in the dealer market a maker has learned: python -m
agents.tools.dealer_skill AGENT ...

There the best that any maker can do is known exactly (`mm_gym.theory.dealer_bellman`), and so is
the best that one without skill can, who quotes the same depths always:

    skill = (J - J_constant) / (J_Bellman - J_constant)

J is the maker's mean objective. What a session earns is mostly luck, so J is not measured by that
but by what the maker gives away: with V_n(q) the Bellman value and Q_n(q, depths) that of quoting
these depths once and the best ones from then on, J = V_0(0) - E[sum over decisions of V_n(q_n) -
Q_n(q_n, depths_n)], for any policy. No term is negative.
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
from ..command_line import run_command
from ..learned.hyperparameters import ALGORITHM_PART, read_hyperparameters
from ..registry import Agent, name_agent
from ..rules.bellman import dealer_problem as session_problem

_ON_A_TICK = 1e-4  # as in docs/model.md: prices nearer to a whole tick than this count as on it
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
"""What has to hold of a market for the dynamic programme to be its own."""


@dataclass(frozen=True)
class Skill:
    """What a maker earns in the dealer market, in ticks x lots a session, and between which
    bounds."""

    objective: float
    """J, from what the maker gives away."""
    standard_error: float
    simulated: float
    """The plain mean of the sessions' objectives, with far more noise: it has to agree."""
    simulated_error: float
    constant: float
    bellman: float

    @property
    def skill(self) -> float:
        """1 is the exact optimum, 0 the best constant depths."""
        return (self.objective - self.constant) / (self.bellman - self.constant)

    @property
    def skill_error(self) -> float:
        """Standard error of the skill."""
        return self.standard_error / (self.bellman - self.constant)


def dealer_problem(config: MarketConfig) -> DealerProblem:
    """The dynamic programme of a dealer market, in ticks.

    Raises:
        AgentError: for a market that is not that of the programme.
    """
    for name, wanted in _SIMPLE.items():
        if getattr(config, name) != wanted:
            raise AgentError(
                f"{name}={getattr(config, name)!r} came, the exact value is known for {wanted!r}; write "
                "--regime dealer, and leave the rest of the flow as it is"
            )
    return session_problem(config, config.max_inventory)


def measure_skill(
    make_agent: Callable[[MarketConfig], Agent],
    config: MarketConfig,
    sessions: int = 4096,
    seed: int = 0,
) -> Skill:
    """The skill of a maker, over sessions that `run_sessions` would run with this seed.

    Raises:
        AgentError: for a market that is not that of the programme.
    """
    problem = dealer_problem(config)
    best = solve(problem)
    agent, markets = make_agent(config), Markets(config, sessions)
    observations, outcomes = markets.empty_results()
    generators = [seeding.np_random(int(one))[0] for one in session_seeds(seed, sessions)]
    markets.reset(np.arange(sessions), generators, observations, outcomes)
    given_away, squares = np.zeros(sessions), np.zeros(sessions)
    state, starts = None, np.ones(sessions, np.bool_)
    for step in range(config.session_steps):
        actions, state = agent.predict(observations, state, starts)
        offsets = to_offsets("offsets", actions, sessions)
        lots, mid = outcomes[:, Outcome.INVENTORY].astype(int), outcomes[:, Outcome.MID]
        away = to_ticks(offsets, config.max_offset)
        bid_depths = mid - np.floor(mid - away[:, 0] + _ON_A_TICK)
        ask_depths = np.ceil(mid + away[:, 1] - _ON_A_TICK) - mid
        given_away += best.values[step, lots + problem.max_inventory]
        given_away -= _value_of_quoting(problem, best, step, lots, ask_depths, bid_depths)
        observations, outcomes = markets.step(offsets)
        squares += outcomes[:, Outcome.INVENTORY] ** 2
        starts[:] = False
    earned = (
        outcomes[:, Outcome.PNL] - config.inventory_penalty * config.decision_interval * squares
    )
    return Skill(
        objective=best.start_value - float(given_away.mean()),
        standard_error=_standard_error(given_away),
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
    """Q: quote these depths now, and the best ones from then on; shape (n,)."""
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
        after = np.clip(lots + bought - sold, -bound, bound)  # beyond, the chance is zero
        penalty = problem.running_penalty * problem.decision_interval * after**2
        value += chance * (best.values[step + 1, after + bound] - penalty)
    return np.asarray(value)


def _standard_error(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def main(
    agents: tyro.conf.Positional[tuple[str, ...]], sessions: int = 4096, seed: int = 0
) -> None:
    """Print the skill of makers in the market of
    agents/training/hyperparameters/ppo-dealer_skill.yml.

    Args:
        agents: rules with their parameters, trained makers or run folders.
        sessions: for each.
        seed: of the sessions.
    """
    config = configure(**read_hyperparameters("ppo-dealer_skill")[ALGORITHM_PART]["env_kwargs"])
    table = Table(title=f"Skill in the dealer market, {sessions:,} sessions, money in price units")
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
    print("± one standard error")


if __name__ == "__main__":
    run_command(
        "agents.tools.dealer_skill",
        lambda: tyro.cli(main, prog="python -m agents.tools.dealer_skill"),
    )
