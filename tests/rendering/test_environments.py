"""Environments that are drawn have the same runs, copies and batches as others."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mm_gym import MarketMakingEnv
from tests.rendering.kit import CHART, MODES, PRICES, WHITE, where


@pytest.mark.parametrize("mode", MODES)
def test_a_run_is_the_same_with_and_without_drawing(mode: str) -> None:
    plain = gymnasium.make("MarketMaking-v0", regime="mixed", session_steps=30).unwrapped
    env = gymnasium.make(
        "MarketMaking-v0", regime="mixed", session_steps=30, render_mode=mode
    ).unwrapped
    generator = np.random.default_rng(0)
    plain.reset(seed=3)
    env.reset(seed=3)
    for session in range(3):
        if session:
            plain.reset()
            env.reset()
        for _ in range(30):
            action = generator.uniform(-1.0, -0.6, 2).astype(np.float32)
            env.render()
            ours, theirs = env.step(action), plain.step(action)
            np.testing.assert_array_equal(ours[0], theirs[0])
            assert ours[1:] == theirs[1:]
            assert env._markets.records.tobytes() == plain._markets.records.tobytes()
    env.close()


@pytest.mark.parametrize("mode", ["human", "rgb_array"])
def test_a_restored_market_has_the_same_future_and_no_stored_past(mode: str) -> None:
    env = gymnasium.make("MarketMaking-v0", regime="informed", render_mode=mode).unwrapped
    action = np.array([-0.8, -0.8], np.float32)
    env.reset(seed=0)
    for _ in range(10):
        env.step(action)
    checkpoint, before = env.snapshot(), env.render()
    future = [env.step(action)[1] for _ in range(60)]
    env.restore(checkpoint)
    after = env.render()
    if mode == "rgb_array":
        np.testing.assert_array_equal(after[:, :376], before[:, :376])  # the ladder
        assert not where(after[PRICES, CHART], WHITE).any()  # no stored past
    assert [env.step(action)[1] for _ in range(60)] == future
    env.reset(seed=0)
    for _ in range(10):
        env.step(action)
    np.testing.assert_array_equal(env.render(), before)
    env.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_draws_its_own_market(mode: str, copier: Callable[[Any], Any]) -> None:
    env = gymnasium.make("MarketMaking-v0", regime="informed", render_mode=mode)
    action = np.array([-0.8, -0.8], np.float32)
    env.reset(seed=0)
    env.step(action)
    copied = copier(env)
    for _ in range(20):
        copied.step(action)
    for _ in range(20):
        env.step(action)
    np.testing.assert_array_equal(env.render(), copied.render())
    copied.close()
    env.step(action)
    env.close()


# ------------------------------------------------------------------------------------------- batch


@pytest.mark.parametrize(
    "mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=["next_step", "same_step"]
)
def test_the_pictures_of_a_batch_equal_those_of_single_environments(mode: AutoresetMode) -> None:
    keywords: dict[str, Any] = {"regime": "mixed", "session_steps": 7, "render_mode": "rgb_array"}
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=2, autoreset_mode=mode, **keywords)
    single = SyncVectorEnv([lambda: MarketMakingEnv(**keywords)] * 2, autoreset_mode=mode)
    batch.reset(seed=0)
    single.reset(seed=0)
    generator = np.random.default_rng(0)
    for _ in range(20):
        actions = generator.uniform(-1.0, -0.6, (2, 2)).astype(np.float32)
        batch.step(actions)
        single.step(actions)
        ours, theirs = batch.render(), single.render()
        assert isinstance(ours, tuple)
        np.testing.assert_array_equal(ours, theirs)


def test_a_partial_reset_of_a_batch_keeps_the_past_of_the_other_markets() -> None:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode="rgb_array")
    batch.reset(seed=0)
    for _ in range(5):
        batch.step(np.full((2, 2), -0.8, np.float32))
    before: Any = batch.render()
    batch.reset(options={"reset_mask": np.array([True, False])})
    after: Any = batch.render()
    assert (after[0] != before[0]).any()
    np.testing.assert_array_equal(after[1], before[1])
