"""Traders who are only labelled informed: the label means nothing.

Twin: the label is true.
"""

from mm_gym.evaluation.experiments.runner import (
    Finding,
    Laboratory,
    above,
    market,
    rests_on,
    within,
)
from mm_gym.evaluation.metrics import direction_correlation
from mm_gym.evaluation.statistics import mean

QUESTION = "Takers who are only labelled informed: does the label matter?"
AGENT = "inventory_skew"
P_INFORMED = 0.8
_TOLERANCE = (
    0.03  # a correlation of this size explains a thousandth of the variance of what follows
)


def run(laboratory: Laboratory) -> Finding:
    config = market("naive_informed", p_informed=P_INFORMED)
    if not laboratory.effect:
        config = market("informed", p_informed=P_INFORMED)
    label = f"{config.regime}, p = {P_INFORMED:g}"
    sessions = laboratory.run({label: (AGENT, config)})
    result = sessions[label]
    data = rests_on(result)
    claims = [above("The maker earns", mean(result.final_pnl), 0.0, "ticks x lots", data)]
    claims += [
        within(
            f"Fill direction says nothing about the efficient price {horizon:g} s later",
            direction_correlation(result, index),
            _TOLERANCE,
            "correlation",
            data,
        )
        for index, horizon in enumerate(result.horizons)
    ]
    return Finding(
        "naive_informed", QUESTION, claims, sessions, {label: AGENT}, effect=laboratory.effect
    )
