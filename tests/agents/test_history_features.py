"""History features describe the current episode only, and are the same in training and use."""

from pathlib import Path

import numpy as np
import pytest

from agents.learned.history_features import (
    HISTORY_NAMES,
    MEANS_NAMES,
    PRIOR_DECISIONS,
    HistoryAgent,
    add_history,
    history_space,
    state_names,
)
from agents.learned.hyperparameters import FOLDER, HyperparameterError, read_hyperparameters
from agents.learned.policy import quoting_agent
from agents.learned.run_folder import Run
from agents.training.history_vec_env import HistoryVecEnv
from agents.training.trainer import new_model, training_markets
from mm_gym import OBSERVATION_NAMES, configure
from mm_gym.core.layout import Obs
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.sb3 import MarketMakingVecEnv

SESSION = 40


def test_means_are_those_of_the_episode_with_a_prior_of_zeros() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 3, len(Obs))).astype(np.float32)
    state = None
    for row in rows:
        shown, state = add_history(row, state)
    assert shown.shape == (3, len(HISTORY_NAMES))
    assert state.shape == (3, len(state_names()))
    assert shown.dtype == state.dtype == np.float32
    np.testing.assert_array_equal(shown[:, : len(Obs)], rows[-1])
    column = {
        name: rows[..., index].astype(float) / 0.3 for index, name in enumerate(OBSERVATION_NAMES)
    }
    columns = dict(zip(HISTORY_NAMES, shown.T, strict=True))
    for name in MEANS_NAMES:
        what = name.removeprefix("mean_")
        if "_x_" in what:
            flow, move = what.split("_x_")
            values = column[flow] * column[move]
        elif what.startswith("size_of_"):
            values = np.abs(column[what.removeprefix("size_of_")])
        else:
            values = column[what]
        np.testing.assert_allclose(
            columns[name], values.sum(axis=0) / (7 + PRIOR_DECISIONS), atol=1e-6
        )
    kept = dict(zip(state_names(), state.T, strict=True))
    assert (kept["observations_seen"] == 7.0).all()
    for name, index in zip(OBSERVATION_NAMES, Obs, strict=True):
        np.testing.assert_array_equal(kept[f"last_{name}"], rows[-1][:, index])


def test_a_new_session_resets_its_own_state_only() -> None:
    rows = np.random.default_rng(1).normal(size=(2, 4, len(Obs))).astype(np.float32)
    _, state = add_history(rows[0])
    kept, starts = state.copy(), np.array([True, False, False, True])
    shown, _ = add_history(rows[1], state, starts)
    np.testing.assert_array_equal(state, kept)  # the argument is not modified
    # Compare batches of equal size, because the order of summation depends on it and on the
    # processor.
    np.testing.assert_array_equal(shown[starts], add_history(rows[1])[0][starts])
    np.testing.assert_array_equal(shown[~starts], add_history(rows[1], state)[0][~starts])


def test_markets_with_history_are_the_same_markets_and_reset_it_with_each_episode() -> None:
    plain, venv = (
        MarketMakingVecEnv(3, "mixed", session_steps=SESSION, staggered=True) for _ in range(2)
    )
    with_history = HistoryVecEnv(venv)
    for environment in (plain, with_history):
        environment.seed(4)
    observations, state = plain.reset(), None
    shown, state = add_history(observations)
    np.testing.assert_array_equal(with_history.reset(), shown)
    generator, n_ended = np.random.default_rng(2), 0
    for _ in range(2 * SESSION + 5):
        actions = generator.uniform(-1.0, 0.0, size=(3, 2)).astype(np.float32)
        observations, rewards, ended, infos = plain.step(actions)
        shown, their_rewards, their_ended, their_infos = with_history.step(actions)
        for market in np.flatnonzero(ended):
            last, _ = add_history(
                infos[market]["terminal_observation"][None], state[market : market + 1]
            )
            # Computed in one call with the others. More rows may change the order of summation.
            np.testing.assert_allclose(
                their_infos[market]["terminal_observation"], last[0], rtol=1e-5, atol=1e-6
            )
            n_ended += 1
        expected, state = add_history(observations, state, ended)
        np.testing.assert_allclose(shown, expected, rtol=1e-5, atol=1e-6)
        assert all(history_space().contains(row) for row in shown)
        np.testing.assert_array_equal(their_rewards, rewards)
        np.testing.assert_array_equal(their_ended, ended)
        np.testing.assert_array_equal(with_history.privileged_state(), plain.privileged_state())
    assert n_ended == 6


def test_an_agent_sees_the_same_features_as_in_training() -> None:
    """In whole sessions of an evaluation, for every history feature."""
    hyperparameters = read_hyperparameters("ppo-mixed")
    config = configure("mixed", session_steps=SESSION)
    run = Run(config, seed=0, n_envs=4, timesteps=1, hyperparameters=hyperparameters)
    assert run.has_history
    markets = training_markets(run)
    model = new_model(markets, run)
    asked = []

    class Noting:
        def predict(self, shown: np.ndarray, deterministic: bool) -> tuple[np.ndarray, None]:
            asked.append(shown)
            return model.predict(shown, deterministic=deterministic)

    noting = run_sessions(lambda config: HistoryAgent(Noting()), config, episodes=4, horizons=())
    assert len(asked) == SESSION
    state = None
    for shown in asked:
        expected, state = add_history(shown[:, : len(Obs)], state)
        np.testing.assert_array_equal(shown, expected)
    plainly = run_sessions(
        lambda config: quoting_agent(model, run), config, episodes=4, horizons=()
    )
    np.testing.assert_array_equal(noting.objective, plainly.objective)
    # A single observation, as for a single market.
    one = asked[0][0, : len(Obs)]
    action, state = quoting_agent(model, run).predict(one)
    np.testing.assert_allclose(
        action, model.predict(asked[0][:1], deterministic=True)[0][0], atol=1e-6
    )
    assert state.shape == (1, len(state_names()))


def test_history_reveals_the_share_of_informed_takers_and_one_observation_does_not() -> None:
    """In `mixed` a linear regression on the means explains most of the variance of p_informed."""
    from agents import make_agent

    config, n = configure("mixed", session_steps=400, p_informed=1.0), 512
    markets = MarketMakingVecEnv(n, **config.to_dict())
    markets.seed(0)
    observations, agent, state = markets.reset(), make_agent("inventory_skew", config), None
    flow = markets._markets.records["flow"]
    share = np.where(flow["informed_kind"] == 0, flow["p_informed"], 0.0).copy()
    for _ in range(399):
        shown, state = add_history(observations, state)
        observations = markets.step(agent.predict(observations)[0])[0]

    def explained(columns: np.ndarray) -> float:
        design = np.column_stack([np.ones(n), columns])
        fitted, tested = np.arange(n) < n // 2, np.arange(n) >= n // 2
        coefficients = np.linalg.lstsq(design[fitted], share[fitted], rcond=None)[0]
        return 1.0 - np.var(share[tested] - design[tested] @ coefficients) / np.var(share[tested])

    now, ever = explained(shown[:, : len(Obs)]), explained(shown[:, len(Obs) :])
    assert now < 0.5
    assert ever > 0.7


def test_history_features_are_a_switch_and_refused_for_an_lstm(tmp_path: Path) -> None:
    text = (FOLDER / "ppo-mixed.yml").read_text()
    path = tmp_path / "other.yml"
    path.write_text(text.replace("history_features: true", "history_features: beliefs"))
    with pytest.raises(HyperparameterError, match="expected true or false, got 'beliefs'"):
        read_hyperparameters(str(path))
    lstm = {**read_hyperparameters("recurrent_ppo"), "history_features": True}
    with pytest.raises(ValueError, match="history_features is for ppo only"):
        Run(configure("noise"), 0, 1, 1, algorithm="recurrent_ppo", hyperparameters=lstm)
    assert Run(configure("noise"), 0, 1, 1).observation == OBSERVATION_NAMES
