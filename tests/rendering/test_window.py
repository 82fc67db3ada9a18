"""The window shows the picture after each step, and its keys pause, step and close it."""

import sys
import time
from typing import Any

import gymnasium
import numpy as np
import pytest

from mm_gym import MarketMakingEnv
from mm_gym.rendering import pace
from mm_gym.rendering.pace import Pace
from tests.rendering.kit import HEIGHT, Image, drawn, pixels, screen


def test_the_window_shows_the_picture_after_each_step() -> None:
    pytest.importorskip("pygame")
    env, reference = gymnasium.make("MarketMaking-v0", render_mode="human"), drawn(seed=5)
    env.reset(seed=5)
    np.testing.assert_array_equal(pixels(screen())[:HEIGHT], reference.render())
    for _ in range(5):
        action = np.array([-0.8, -0.8], np.float32)
        env.step(action)
        reference.step(action)
        np.testing.assert_array_equal(pixels(screen())[:HEIGHT], reference.render())
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


def test_two_environments_share_the_window_and_either_may_close_it() -> None:
    first, second = (gymnasium.make("MarketMaking-v0", render_mode="human") for _ in range(2))
    first.reset(seed=0)
    second.reset(seed=1)
    first.close()
    second.step(second.action_space.sample())
    assert screen() is not None
    second.close()


# -------------------------------------------------------------------------------------------- keys


def press(*keys: str, mod: int = 0) -> None:
    """Post the events of pressing and releasing keys, by their names in pygame."""
    pygame = sys.modules["pygame"]
    for name in keys:
        for kind in (pygame.KEYDOWN, pygame.KEYUP):
            event = {"key": pygame.key.key_code(name), "mod": mod}
            pygame.event.post(pygame.event.Event(kind, event))


class Shown:
    """A window. Whenever it waits, the next key of `later` is pressed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pygame = pytest.importorskip("pygame")
        from mm_gym.rendering.window import Window

        self.window = Window()
        self.pictures: list[bool] = []  # of each picture, whether it shows the truth
        self.later: list[str] = []
        monkeypatch.setattr(pygame.time, "wait", self._wait)

    def _wait(self, milliseconds: int) -> None:
        if milliseconds > 0:
            assert self.later, "the window waits, and nobody presses a key"
            name = self.later.pop(0)
            if name == "close":
                pygame = sys.modules["pygame"]
                pygame.event.post(pygame.event.Event(pygame.QUIT))
            else:
                press(name)

    def draw(self, show_truth: bool) -> Image:
        self.pictures.append(show_truth)
        return np.full((40, 600, 3), 1 + show_truth, np.uint8)

    def show(self, decisions: int = 1, *, last: bool = False) -> int:
        """Show some decisions, and return how many pictures were drawn."""
        before = len(self.pictures)
        for _ in range(decisions):
            self.window.show(self.draw, 1e9, last)
        return len(self.pictures) - before


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(monkeypatch)


def test_a_line_below_the_picture_says_what_the_window_does(shown: Shown) -> None:
    shown.show()
    image = pixels(screen())
    assert (image[:40] == 1).all()
    line = image[40:].copy()
    assert line.max() > 150  # text
    press("+")
    shown.show()
    assert (pixels(screen())[40:] != line).any()
    press("-")
    shown.show(2)
    np.testing.assert_array_equal(pixels(screen())[40:], line)


def test_a_paused_window_waits_for_each_step_until_it_is_resumed(shown: Shown) -> None:
    shown.show()
    shown.later = ["a", "n", "a", "right", "a", "space"]
    press("space")
    for left in (4, 2, 0):
        assert shown.show() == 1
        assert len(shown.later) == left
    assert shown.show(5) == 5  # it does not wait


def test_a_step_pauses_and_two_steps_are_two_decisions(shown: Shown) -> None:
    shown.show()
    press("n", "n")
    shown.show(2)
    shown.later = ["space"]
    shown.show(2)
    assert shown.later == []


@pytest.mark.parametrize("key", ["q", "escape", "close"])
def test_a_paused_window_can_be_closed_and_the_program_continues(shown: Shown, key: str) -> None:
    shown.show()
    shown.later = [key]
    press("space")
    assert shown.show() == 1
    assert shown.window.is_closed
    assert screen() is None
    assert shown.show(3) == 0
    shown.window.close()


def test_t_shows_the_truth_until_it_is_pressed_again(shown: Shown) -> None:
    shown.show()
    press("t")
    shown.show()
    assert (pixels(screen())[:40] == 2).all()
    shown.show()
    shown.later = ["t", "space"]
    press("space")
    shown.show()  # the picture changes while the window is paused
    assert shown.pictures == [False, False, True, True, True, False]


def test_a_fast_window_leaves_decisions_out_but_not_the_last(shown: Shown) -> None:
    assert shown.show(4) == 4
    press("up", "=")  # speed 4
    shown.show()
    assert shown.show(8) == 2
    assert shown.show(1, last=True) == 1
    press("space")
    shown.later = ["n"] * 3 + ["space"]
    assert shown.show(4) == 1  # speed 4
    assert shown.show(3) == 3  # while paused, every decision is shown
    press("down", "down", "down")  # speed 1/2
    assert shown.show(4) == 1
    assert shown.show(4) == 4


def test_waiting_times_follow_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(pace.time, "monotonic", lambda: now)
    script: list[tuple[float, str]] = [(1.0, "+"), (2.0, "-"), (2.5, "-")]

    def read_keys(seconds: float) -> list[str]:
        nonlocal now
        assert seconds >= 0.0
        now += max(seconds, 1e-6)  # what a look at the keys takes
        return [script.pop(0)[1]] if script and now >= script[0][0] else []

    timer, ends = Pace(), []
    for _ in range(5):
        list(timer.wait(read_keys, 1.0))
        ends.append(now)
    # The first decision is due at once. Then the speed is 1, 2, 1 and 1/2.
    np.testing.assert_allclose(ends, [0.0, 1.0, 1.5, 3.5, 5.5], atol=0.03)


def test_the_program_gets_every_event_of_a_key_once_and_in_order(shown: Shown) -> None:
    pygame = sys.modules["pygame"]
    shown.show()
    press("a", "space", "space", "t")
    shown.show(3)
    press("b")
    shown.show(3)
    down, up = pygame.KEYDOWN, pygame.KEYUP
    events = [event for event in pygame.event.get() if event.type in (down, up)]
    names = [pygame.key.name(event.key) for event in events]
    assert names == [name for name in ("a", "space", "space", "t", "b") for _ in range(2)]
    assert [event.type for event in events] == [down, up] * 5
    assert shown.pictures.count(True) == 6  # the window itself acted on `t` once


def test_keys_with_ctrl_are_not_for_the_window(shown: Shown) -> None:
    shown.show()
    press("q", mod=sys.modules["pygame"].KMOD_CTRL)
    shown.show()
    assert not shown.window.is_closed


def test_unread_events_do_not_fill_the_queue(shown: Shown) -> None:
    pygame = sys.modules["pygame"]
    shown.show()
    for _ in range(40):
        for _ in range(100):
            pygame.event.post(pygame.event.Event(pygame.MOUSEMOTION, pos=(1, 1), rel=(0, 0)))
        shown.show()
    assert len(pygame.event.get(pygame.MOUSEMOTION)) <= 1100
    press("q")
    shown.show()
    assert shown.window.is_closed


def test_pausing_does_not_change_the_run(monkeypatch: pytest.MonkeyPatch, shown: Shown) -> None:
    env, plain = (
        gymnasium.make("MarketMaking-v0", regime="informed", render_mode=mode)
        for mode in ("human", None)
    )
    ends: list[Any] = []
    for market in (env, plain):
        market.reset(seed=1)
        for number in range(6):
            if market is env and number == 2:
                press("space")
                shown.later = ["n", "t", "n", "space"]
            step = market.step(np.array([-0.8, -0.8], np.float32))
        ends.append((step[0].tolist(), *step[1:]))
    assert shown.later == []
    assert ends[0] == ends[1]
    env.close()
