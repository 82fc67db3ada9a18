"""Table 1 of Avellaneda and Stoikov (2008), and the same at other gamma, in the dealer market.

The paper fills an order with probability lambda dt, an event-driven market with probability 1 -
exp(-lambda dt). The references are exact for the simulated dynamics: `exact_moments` with fill
probability "exponential" at the paper's dt, and with "continuous" in the limit. Neither the
environment nor the reference quotes beyond the mid.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from agents.base import QuotingAgent
from agents.rules.avellaneda_stoikov import AvellanedaStoikovAgent
from agents.rules.fixed_spread import FixedSpreadAgent
from mm_gym import MarketConfig
from mm_gym.theory import avellaneda_stoikov as paper
from mm_gym.theory._shared import Depths, FloatArray
from mm_gym.theory.strategy_moments import FillProbability, exact_moments
from validation.markets import TICKS, dealer_market, play
from validation.row import Row, deviation_row, mean_row

ARRIVAL_RATE, FILL_DECAY, VOLATILITY, HORIZON = 140.0, 1.5, 2.0, 1.0
PAPER_STEPS = 200
SMALL_STEPS = 50_000
PUBLISHED = {
    (0.1, "inventory"): (64.8925, 6.5432, 2.9268),
    (0.1, "symmetric"): (68.2228, 13.4558, 8.3994),
}
"""The paper's mean and standard deviation of the profit, and standard deviation of the final
inventory, by gamma and strategy."""


def rows(sessions: int, seed: int) -> list[Row]:
    """Computed rows of the paper's dynamics, and simulated rows at its dt and at dt / 250."""
    table = computed_rows()
    cases = [(0.1, PAPER_STEPS, sessions)]
    cases += [(gamma, PAPER_STEPS, sessions) for gamma in (0.01, 0.5, 1.0)]
    cases += [(0.1, SMALL_STEPS, sessions // 25)]
    for index, (gamma, steps, n) in enumerate(cases):
        for strategy in ("inventory", "symmetric"):
            table += simulated_rows(gamma, strategy, steps, n, (seed, index))
    return table


def computed_rows() -> list[Row]:
    """`exact_moments` with the paper's own fill probability."""
    table = []
    for (gamma, strategy), published in PUBLISHED.items():
        moments = _moments(gamma, strategy, PAPER_STEPS, "literal", at_mid=False)
        for name, theirs, ours in zip(_NAMES, published, moments, strict=True):
            table.append(
                Row(f"gamma {gamma:g}, {strategy}, dt 0.005 literal: {name}", theirs, ours)
            )
    return table


def simulated_rows(
    gamma: float, strategy: str, steps: int, sessions: int, seed: tuple[int, ...]
) -> list[Row]:
    """A strategy in the environment. With `SMALL_STEPS` the reference is continuous time."""
    # Parameters of agents are in ticks.
    if strategy == "inventory":
        maker: Callable[[MarketConfig], QuotingAgent] = partial(
            AvellanedaStoikovAgent,
            risk_aversion=gamma / TICKS,
            volatility=VOLATILITY * TICKS,
            fill_decay=FILL_DECAY / TICKS,
        )
    else:
        maker = partial(FixedSpreadAgent, half_spread=_half_spread(gamma) * TICKS)
    config = dealer_market(
        arrival_rate=ARRIVAL_RATE,
        fill_decay=FILL_DECAY,
        volatility=VOLATILITY,
        horizon=HORIZON,
        steps=steps,
    )
    ends = play(maker, config, sessions, seed)
    limit = steps == SMALL_STEPS
    mean, deviation, inventory = _moments(
        gamma, strategy, steps, "continuous" if limit else "exponential"
    )
    what = f"gamma {gamma:g}, {strategy}, dt {HORIZON / steps:g}"
    note = "limit dt to 0" if limit else "event-driven"
    return [
        mean_row(f"{what}: {_NAMES[0]}", mean, ends.profit, note),
        deviation_row(f"{what}: {_NAMES[1]}", deviation, ends.profit, note),
        deviation_row(f"{what}: {_NAMES[2]}", inventory, ends.inventory, note),
    ]


_NAMES = ("mean profit", "sd of profit", "sd of final inventory")


def _half_spread(gamma: float) -> float:
    return paper.average_half_spread(
        HORIZON,
        risk_aversion=gamma,
        volatility=VOLATILITY,
        fill_decay=FILL_DECAY,
        steps=PAPER_STEPS,
    )


def _moments(
    gamma: float,
    strategy: str,
    steps: int,
    fill_probability: FillProbability,
    at_mid: bool = True,
) -> tuple[float, float, float]:
    if strategy == "inventory":
        free = paper.inventory_strategy(
            risk_aversion=gamma, volatility=VOLATILITY, fill_decay=FILL_DECAY
        )
    else:
        free = paper.symmetric_strategy(_half_spread(gamma))

    def no_nearer_than_the_mid(inventory: FloatArray, time_left: float) -> Depths:
        return Depths(*(np.maximum(side, 0.0) for side in free(inventory, time_left)))

    moments = exact_moments(
        no_nearer_than_the_mid if at_mid else free,
        volatility=VOLATILITY,
        fill_decay=FILL_DECAY,
        arrival_rate=ARRIVAL_RATE,
        horizon=HORIZON,
        steps=steps,
        fill_probability=fill_probability,
        max_inventory=50,
    )
    return moments.mean_profit, moments.std_profit, moments.std_inventory
