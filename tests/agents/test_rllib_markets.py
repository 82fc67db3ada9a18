"""RLlib's markets are those of stable-baselines3, with RLlib's autoreset mode."""

import gymnasium
import numpy as np

from agents.learned.hyperparameters import read_hyperparameters
from agents.learned.run_folder import Run
from agents.training.rllib_markets import ENVIRONMENT, FIGURES, TrainingMarkets
from agents.training.trainer import training_markets
from mm_gym import configure

N = 6
SESSION = 12
RUN = Run(
    configure("informed", session_steps=SESSION),
    seed=0,
    n_envs=N,
    timesteps=1000,
    hyperparameters=read_hyperparameters("ppo"),
)


def test_a_session_ends_with_its_last_observation_and_the_next_starts_a_step_later() -> None:
    markets = gymnasium.make_vec(
        ENVIRONMENT, num_envs=N, vectorization_mode="vector_entry_point", run=RUN
    )
    theirs = training_markets(RUN)
    seen, _ = markets.reset(seed=5)
    theirs.seed(int(np.random.SeedSequence(5).generate_state(1)[0]))
    np.testing.assert_array_equal(theirs.reset(), seen)
    before = np.zeros(N, bool)
    sessions = 0
    for drawn in np.random.default_rng(0).uniform(-1, 1, (4 * SESSION, N, 2)).astype(np.float32):
        seen, rewards, terminated, truncated, info = markets.step(drawn)
        their_seen, their_rewards, their_ends, infos = theirs.step(
            np.where(before[:, None], np.float32(1.0), drawn)
        )
        assert not truncated.any()
        assert not terminated[before].any()
        assert not rewards[before].any()
        np.testing.assert_array_equal(terminated, their_ends)
        np.testing.assert_array_equal(rewards[~before], their_rewards[~before])
        np.testing.assert_array_equal(seen[~terminated], their_seen[~terminated])
        for market in np.flatnonzero(terminated):
            np.testing.assert_array_equal(seen[market], infos[market]["terminal_observation"])
            for name in FIGURES:
                assert info[name][market] == infos[market]["episode"][name]
        assert bool(info) == terminated.any()
        for name in FIGURES if info else ():
            np.testing.assert_array_equal(info["_" + name], terminated)
        sessions += terminated.sum()
        before = terminated
    assert sessions >= 3 * N


def test_runners_with_consecutive_seeds_share_no_session_and_seeds_are_reproducible() -> None:
    def first(seed: int) -> np.ndarray:
        return TrainingMarkets(N, RUN).reset(seed=seed)[0]

    np.testing.assert_array_equal(first(7), first(7))
    rows = np.concatenate([first(seed) for seed in (7, 8, 9)])
    assert len(np.unique(rows, axis=0)) == 3 * N
