"""The value of reading the flow: flow-agnostic rules, the exact filter and the oracle.

There is no published number for this market, so the reference is a sign. All agents have default
parameters and trade in the same sessions, so that differences are paired.
"""

from functools import partial

from agents import make_agent
from agents.rules import FLOW_AGNOSTIC
from mm_gym import configure
from mm_gym.evaluation.rollout import Cell, run_cells
from validation.row import Row, mean_row

SHARES = (0.2, 0.4, 0.6, 0.8)


def rows(sessions: int, seed: int) -> list[Row]:
    """Differences of the objective [ticks x lots per session] in noise and in informed flow.

    A session has 1,000 s.
    """
    episodes = max(64, sessions // 400)
    table = differences("noise", 0.0, episodes, seed)
    for share in SHARES:
        table += differences("informed", share, episodes, seed)
    return table


def differences(regime: str, p_informed: float, episodes: int, seed: int) -> list[Row]:
    """The filter minus each flow-agnostic rule, and the oracle minus the filter."""
    config = configure(regime, p_informed=p_informed)
    names = (*FLOW_AGNOSTIC, "glosten_milgrom", "oracle")
    cells = [Cell(name, partial(make_agent, name), config) for name in names]
    objective = {
        name: result.objective
        for name, result in zip(names, run_cells(cells, episodes, seed, horizons=()), strict=True)
    }
    market = regime if p_informed == 0.0 else f"{regime} at {p_informed:g}"
    wanted = "not below zero" if p_informed == 0.0 else "above zero"
    table = [
        mean_row(
            f"{market}: glosten_milgrom - {name}",
            0.0,
            objective["glosten_milgrom"] - objective[name],
            wanted,
            1,
        )
        for name in FLOW_AGNOSTIC
    ]
    oracle = objective["oracle"] - objective["glosten_milgrom"]
    return [
        *table,
        mean_row(f"{market}: oracle - glosten_milgrom", 0.0, oracle, "above zero", 1),
    ]
