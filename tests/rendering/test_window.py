"""The window shows the picture after each step."""

import time

import gymnasium
import numpy as np
import pytest

from mm_gym import MarketMakingEnv
from tests.rendering.kit import drawn, pixels, screen


def test_the_window_shows_the_picture_after_each_step() -> None:
    pytest.importorskip("pygame")
    env, reference = gymnasium.make("MarketMaking-v0", render_mode="human"), drawn(seed=5)
    env.reset(seed=5)
    np.testing.assert_array_equal(pixels(screen()), reference.render())
    for _ in range(5):
        action = np.array([-0.8, -0.8], np.float32)
        env.step(action)
        reference.step(action)
        np.testing.assert_array_equal(pixels(screen()), reference.render())
        assert env.render() is None
    env.close()
    assert screen() is None
    env.close()


def test_the_window_is_paced_by_render_fps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MarketMakingEnv.metadata, "render_fps", 25)
    env = gymnasium.make("MarketMaking-v0", render_mode="human")
    env.reset(seed=0)
    start = time.perf_counter()
    for _ in range(10):
        env.step(env.action_space.sample())
    assert time.perf_counter() - start > 0.9 * 10 / 25
    env.close()


def test_a_window_closed_by_the_user_stays_closed_and_the_run_continues() -> None:
    pygame = pytest.importorskip("pygame")
    env = gymnasium.make("MarketMaking-v0", render_mode="human")
    env.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_a))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    env.step(env.action_space.sample())
    assert screen() is None
    env.step(env.action_space.sample())
    env.reset()
    assert screen() is None
    env.close()
    env.reset()  # after close() a new window opens
    assert screen() is not None
    env.close()


def test_key_events_stay_in_the_queue_for_the_program() -> None:
    pygame = pytest.importorskip("pygame")
    env = gymnasium.make("MarketMaking-v0", render_mode="human")
    env.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_a))
    env.step(env.action_space.sample())
    assert [event.key for event in pygame.event.get(pygame.KEYDOWN)] == [pygame.K_a]
    env.close()


def test_two_environments_share_the_window_and_either_may_close_it() -> None:
    first, second = (gymnasium.make("MarketMaking-v0", render_mode="human") for _ in range(2))
    first.reset(seed=0)
    second.reset(seed=1)
    first.close()
    second.step(second.action_space.sample())
    assert screen() is not None
    second.close()
