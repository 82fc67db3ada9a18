"""Shuffling a column costs what the agent made of it, and nothing where it made nothing of it."""

import numpy as np

from agents.ablation import GROUPS, Shuffled, ablate
from mm_gym import configure
from mm_gym.core.layout import Obs

CONFIG = configure("noise", session_steps=200)


def test_a_rule_that_looks_at_its_inventory_alone_loses_by_that_column_alone() -> None:
    costs = ablate("inventory_skew", CONFIG, episodes=128, seed=0)
    assert next(iter(costs)) == "inventory"
    assert costs["inventory"].low > 0.0
    for group in GROUPS:
        if group != "inventory":
            assert costs[group] == (0.0, 0.0, 0.0), group


def test_every_row_gets_another_rows_column_and_keeps_the_rest() -> None:
    agent = Shuffled(CONFIG, "inventory_skew", (Obs.INVENTORY,))
    seen = []
    agent._agent.predict = lambda observation, *rest: (seen.append(observation), (None, None))[1]  # type: ignore[method-assign]
    rows = np.random.default_rng(0).random((6, len(Obs))).astype(np.float32)
    agent.predict(rows)
    (shown,) = seen
    others = [column for column in range(len(Obs)) if column != Obs.INVENTORY]
    np.testing.assert_array_equal(shown[:, others], rows[:, others])
    assert (shown[:, Obs.INVENTORY] != rows[:, Obs.INVENTORY]).all()
    assert sorted(shown[:, Obs.INVENTORY]) == sorted(rows[:, Obs.INVENTORY])
