"""Section 10.2 of Cartea, Jaimungal and Penalva (2015), in the dealer market.

The optimum of a maker that decides every dt differs from the formula of continuous time. The
reference at each dt is the exact value by dynamic programming (`mm_gym.theory.dealer_bellman`). In
the limit it is h(0, 0). With uneven arrivals, takers of one fixed side come more often.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from agents import Agent, make_agent
from agents.rules.cartea_jaimungal import CarteaJaimungalAgent
from mm_gym import MarketConfig
from mm_gym.theory import cartea_jaimungal as paper
from mm_gym.theory.dealer_bellman import DealerProblem, best_constant_depth, policy_value, solve
from validation.markets import TICKS, dealer_market, play
from validation.row import Row, mean_row

ALPHA, HORIZON = 0.001, 1.0
PUBLISHED = {  # lambda of both sides together, kappa, phi: h(0, 0)
    (280.0, 1.5, 0.01): 68.25583476,
    (200.0, 1.0, 0.01): 73.22586344,
    (20.0, 1.0, 0.5): 6.38060372,
    (280.0, 1.5, 0.5): 64.783,
}
PUBLISHED_CONSTANT = 47.126  # value of the best constant depth for the last of these
PUBLISHED_UNEVEN = 6.047195  # buyers at rate 14, sellers at rate 6
SKILLED = (20.0, 1.0, 0.5)  # parameters with a large gap between good and bad makers
MAX_INVENTORY = 20
BUYERS, SELLERS = 14.0, 6.0
PAPER_STEPS, SMALL_STEPS = 100, 4000


def rows(sessions: int, seed: int) -> list[Row]:
    """Computed values, and simulated makers with even and with uneven arrivals."""
    return [*computed_rows(), *even_rows(sessions, seed), *uneven_rows(sessions, seed)]


def computed_rows() -> list[Row]:
    """Values of this package's closed forms and dynamic programme."""
    table = []
    for (arrivals, kappa, phi), published in PUBLISHED.items():
        ours = paper.value(0, HORIZON, **_letters(arrivals / 2.0, arrivals / 2.0, kappa, phi))
        what = f"lambda {arrivals / 2.0:g}, kappa {kappa:g}, phi {phi:g}"
        table.append(Row(f"{what}: h(0, 0)", published, float(ours)))
    _, _, constant = paper.best_constant_depths(HORIZON, **_letters(140.0, 140.0, 1.5, 0.5))
    table.append(Row(f"{what}: best constant depth", PUBLISHED_CONSTANT, constant))
    uneven = paper.value(0, HORIZON, **_letters(BUYERS, SELLERS, 1.0, 0.5))
    table.append(Row("lambda 14 and 6, kappa 1, phi 0.5: h(0, 0)", PUBLISHED_UNEVEN, float(uneven)))
    single = solve(_problem(10.0, 10.0, PAPER_STEPS, fill_model="single_arrival")).start_value
    table.append(
        Row(
            "the same at 10 and 10, 100 decisions, at most one arrival per side: Bellman value",
            6.07387,
            single,
        )
    )
    return table


def even_rows(sessions: int, seed: int) -> list[Row]:
    """The optimal maker against the Bellman value and h(0, 0), and others, which earn no more."""
    exact = solve(_problem(10.0, 10.0, PAPER_STEPS)).start_value
    constant = best_constant_depth(_problem(10.0, 10.0, PAPER_STEPS))
    config = _market(PAPER_STEPS)
    table = [
        _objective("bellman, dt 0.01: objective", exact, "bellman", config, sessions, (seed, 0))
    ]
    limit = float(paper.value(0, HORIZON, **_letters(10.0, 10.0, 1.0, 0.5)))
    for name, index in (("cartea_jaimungal", 1), ("bellman", 2)):
        what = f"{name}, dt {HORIZON / SMALL_STEPS:g}: objective, limit dt to 0"
        table.append(
            _objective(what, limit, name, _market(SMALL_STEPS), sessions // 8, (seed, index))
        )
    table.append(
        _objective(
            "best constant depth, dt 0.01: objective",
            constant.value,
            partial(make_agent, "fixed_spread", half_spread=constant.depth * TICKS),
            config,
            sessions,
            (seed, 3),
        )
    )
    others: dict[str, dict[str, Any]] = {
        "cartea_jaimungal": {},
        "gueant_lehalle_fernandez_tapia": {"risk_aversion": 1.0 / TICKS, "volatility": TICKS},
        "avellaneda_stoikov": {"risk_aversion": 1.0 / TICKS, "volatility": TICKS},
        "inventory_skew": {"half_spread": 1.0 * TICKS, "skew": 0.3 * TICKS},
        "fixed_spread": {"half_spread": 1.0 * TICKS},
    }
    for index, (name, parameters) in enumerate(others.items()):
        maker = partial(make_agent, name, **parameters)
        row = _objective(
            f"{name}, dt 0.01: objective", exact, maker, config, sessions // 4, (seed, 4 + index)
        )
        table.append(
            Row(row.what, exact, row.ours, row.standard_error, "not above the Bellman value", -1)
        )
    return table


def uneven_rows(sessions: int, seed: int) -> list[Row]:
    """A maker that knows the rates of buyers, 14, and sellers, 6, at dt 0.01 and in the limit."""
    table = []
    for index, (steps, n) in enumerate(
        ((PAPER_STEPS, sessions // 2), (SMALL_STEPS, sessions // 8))
    ):
        # The favoured side is drawn for each session and never flips. Only sessions that favour
        # buyers count.
        config = _market(
            steps, imbalance=(BUYERS - SELLERS) / (BUYERS + SELLERS), imbalance_flip_rate=0.0
        )
        maker = partial(CarteaJaimungalAgent, buy_rate=BUYERS, sell_rate=SELLERS)
        exact, reference = paper_policy_value(steps), "exact for these depths"
        if steps == SMALL_STEPS:
            exact, reference = (
                float(paper.value(0, HORIZON, **_letters(BUYERS, SELLERS, 1.0, 0.5))),
                "limit dt to 0",
            )
        ends = play(maker, config, 2 * n, (seed, 20 + index))
        what = f"cartea_jaimungal, buyers 14 and sellers 6, dt {HORIZON / steps:g}: objective"
        table.append(mean_row(what, exact, ends.objective[ends.bias > 0.0], reference))
    return table


def paper_policy_value(steps: int) -> float:
    """The exact value of the optimal depths of continuous time, with decisions at `steps` times.

    Negative depths are set to zero.
    """
    problem = _problem(BUYERS, SELLERS, steps)
    time_left = HORIZON - np.arange(steps)[:, None] * (HORIZON / steps)
    depths = paper.optimal_depths(
        problem.inventories,
        time_left,
        max_inventory=MAX_INVENTORY,
        **_letters(BUYERS, SELLERS, 1.0, 0.5),
    )
    ask, bid = (np.maximum(side, 0.0) for side in depths)
    return float(policy_value(problem, ask, bid)[0, MAX_INVENTORY])


def _letters(buy_rate: float, sell_rate: float, kappa: float, phi: float) -> dict[str, Any]:
    return {
        "buy_rate": buy_rate,
        "sell_rate": sell_rate,
        "fill_decay": kappa,
        "running_penalty": phi,
        "terminal_penalty": ALPHA,
    }


def _problem(buy_rate: float, sell_rate: float, steps: int, **fields: Any) -> DealerProblem:
    letters = _letters(buy_rate, sell_rate, SKILLED[1], SKILLED[2])
    return DealerProblem(
        **letters,
        decision_interval=HORIZON / steps,
        steps=steps,
        max_inventory=MAX_INVENTORY,
        **fields,
    )


def _market(steps: int, **fields: float) -> MarketConfig:
    arrivals, kappa, phi = SKILLED
    return dealer_market(
        arrival_rate=arrivals / 2.0,
        fill_decay=kappa,
        volatility=0.1,  # h(0, 0) does not depend on it
        horizon=HORIZON,
        steps=steps,
        inventory_penalty=phi * TICKS,
        close_out_impact=ALPHA * TICKS,
        max_inventory=MAX_INVENTORY,
        **fields,
    )


def _objective(
    what: str,
    reference: float,
    maker: str | Callable[[MarketConfig], Agent],
    config: MarketConfig,
    sessions: int,
    seed: tuple[int, ...],
) -> Row:
    make = partial(make_agent, maker) if isinstance(maker, str) else maker
    return mean_row(what, reference, play(make, config, sessions, seed).objective)
