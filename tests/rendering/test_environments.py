"""Checkpoints, copies and batches of environments that are drawn."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mm_gym import ConfigurationError, MarketMakingEnv, palette
from mm_gym.rendering import grid
from tests.rendering.kit import CHART, MID, MODES, PRICES, drawn, rgb, where


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
        assert where(before[PRICES, CHART], MID).any()
        assert not where(after[PRICES, CHART], MID).any()  # no stored past
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
    keywords: dict[str, Any] = {
        "regime": "mixed",
        "session_steps": 7,
        "render_mode": "rgb_array",
        "show_truth": True,
    }
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


def test_a_grid_shows_every_market_of_a_batch() -> None:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=3, render_mode="rgb_array")
    batch.reset(seed=0)
    batch.step(np.full((3, 2), -0.8, np.float32))
    frames: Any = batch.render()
    tiled = grid(frames)
    assert tiled.shape == (1080, 1920, 3)
    for place, frame in zip(((0, 0), (0, 960), (540, 0)), frames, strict=True):
        y, x = place
        np.testing.assert_array_equal(tiled[y : y + 540, x : x + 960], frame)
    assert where(tiled[540:, 960:], rgb(palette.BACKGROUND)).all()
    np.testing.assert_array_equal(grid(frames[:1]), frames[0])


@pytest.mark.parametrize("n", [2, 4, 5, 7, 12, 64])
def test_a_grid_is_reduced_to_the_size_of_a_screen(n: int) -> None:
    shades = np.linspace(40, 250, n).astype(np.uint8)
    frames = [np.full((540, 960, 3), shade, np.uint8) for shade in shades]
    tiled = grid(frames)
    height, width, _ = tiled.shape
    assert height <= 1080
    assert width <= 1920
    assert height % 2 == width % 2 == 0
    # The pictures are in rows, all are there, and no arrangement would leave them larger.
    columns = len(np.unique(tiled[0]))
    rows = -(-n // columns)
    h, w = height // rows, width // columns
    for number, shade in enumerate(shades):
        row, column = divmod(number, columns)
        assert (tiled[row * h : (row + 1) * h, column * w : (column + 1) * w] == shade).all()
    largest = max(
        min(1.0, 1920 / (960 * across), 1080 / (540 * -(-n // across)))
        for across in range(1, n + 1)
    )
    assert 960 * largest - 2 <= w <= 960 * largest
    assert w / h == pytest.approx(960 / 540, rel=0.03)


def test_pictures_of_several_shapes_are_no_grid() -> None:
    small, large = np.zeros((2, 2, 3), np.uint8), np.zeros((4, 2, 3), np.uint8)
    for frames in ([], [small, large], [small[0]]):
        with pytest.raises(ValueError, match="expected at least one picture, all of one shape"):
            grid(frames)


@pytest.mark.parametrize("staggered", [False, True])
def test_a_batch_of_stable_baselines3_draws_its_markets(staggered: bool) -> None:
    sb3 = pytest.importorskip("mm_gym.sb3")
    keywords: dict[str, Any] = {"regime": "informed", "session_steps": 600}
    batch = sb3.MarketMakingVecEnv(
        2, **keywords, staggered=staggered, render_mode="rgb_array", show_truth=True
    )
    batch.seed(0)
    batch.reset()
    singles = [drawn(seed=seed, **keywords, show_truth=True) for seed in (0, 1)]
    action = np.array([-0.8, -0.8], np.float32)
    if not staggered:
        for _ in range(10):
            batch.step(np.stack([action, action]))
            for single in singles:
                single.step(action)
        images = batch.get_images()
        np.testing.assert_array_equal(images, [single.render() for single in singles])
        np.testing.assert_array_equal(batch.render("rgb_array"), np.concatenate(images))
        assert batch.metadata == {"render_modes": ["human", "rgb_array"], "render_fps": 20}
        return
    steps = batch._markets.records["steps"].tolist()
    assert steps == [0, 300]
    images = batch.get_images()
    assert not where(images[1][PRICES, CHART], MID).all(axis=0).any()
    for number, step in enumerate(steps):
        past = batch._renderer._history.of(number, step)
        assert (past.first, len(past.mid)) == (step, 1)  # what came before the reset is not shown


def test_a_batch_of_stable_baselines3_without_a_render_mode_has_no_pictures() -> None:
    sb3 = pytest.importorskip("mm_gym.sb3")
    batch = sb3.MarketMakingVecEnv(2)
    batch.reset()
    assert batch.get_images() == [None, None]
    for mode in ("human", "ansi"):
        with pytest.raises(ConfigurationError, match="expected None or one of 'rgb_array'"):
            sb3.MarketMakingVecEnv(2, render_mode=mode)
