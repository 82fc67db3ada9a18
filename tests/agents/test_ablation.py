"""Permuting a column costs something if the agent uses it, and nothing otherwise."""

from pathlib import Path

import numpy as np
import pytest

import agents.tools.ablation
from agents.learned.hyperparameters import read_hyperparameters
from agents.learned.run_folder import Run
from agents.tools.ablation import GROUPS, HISTORY, OthersHistory, Shuffled, ablate, has_history
from mm_gym import configure
from mm_gym.core.layout import Obs
from tests.small_runs import an_untrained_folder

CONFIG = configure("noise", session_steps=200)


def test_a_rule_that_uses_its_inventory_alone_loses_by_that_column_alone() -> None:
    costs = ablate("inventory_skew", CONFIG, episodes=48, seed=0)
    assert next(iter(costs)) == "inventory"
    assert costs["inventory"].low > 0.0
    for group in GROUPS:
        if group != "inventory":
            assert costs[group] == (0.0, 0.0, 0.0), group


def test_each_row_gets_the_column_of_another_row_and_keeps_the_rest() -> None:
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


class Counting:
    """An agent whose state counts its calls in each market. It quotes state and observation."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):  # type: ignore[no-untyped-def]
        total = np.zeros((len(observation), 1)) if state is None else state
        return np.repeat(total, 2, axis=1), total + observation[:, :1]


def test_with_permuted_history_it_quotes_by_that_and_each_market_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agents.tools.ablation, "make_agent", lambda name, config: Counting())
    agent, state = OthersHistory(CONFIG, "counting"), None
    seen = np.arange(1.0, 5.0)[:, None]  # the increment of each market's state
    for step in range(3):
        actions, state = agent.predict(seen, state)
        np.testing.assert_array_equal(actions[:, 0], step * np.roll(seen[:, 0], 1))
    np.testing.assert_array_equal(state, 3.0 * seen)


def test_only_agents_with_history_have_a_history_group(tmp_path: Path) -> None:
    assert not has_history("inventory_skew", CONFIG)
    config = configure("mixed", session_steps=20)
    folder = str(
        an_untrained_folder(
            tmp_path / "run",
            Run(config, 0, 8, 1, hyperparameters=read_hyperparameters("ppo-mixed")),
        )
    )
    assert has_history(folder, config)
    costs = ablate(folder, config, episodes=4, seed=0)
    assert set(costs) == {*GROUPS, HISTORY}
