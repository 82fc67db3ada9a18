"""Errors of rendering say what is missing and what to write."""

import os
import subprocess
import sys
from typing import Any

import gymnasium
import pytest
from gymnasium.error import DependencyNotInstalled

from mm_gym import ConfigurationError, MarketMakingEnv
from tests.rendering.kit import ROOT


@pytest.mark.filterwarnings("ignore:.*not in the possible render_modes:UserWarning")
def test_a_batch_refuses_human_mode_and_names_the_wrapper() -> None:
    sentence = (
        r"None or one of 'rgb_array', 'ansi', got 'human' "
        r"\(for a window use gymnasium\.wrappers\.vector\.HumanRendering\)"
    )
    with pytest.raises(ConfigurationError, match=sentence):
        gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode="human")


@pytest.mark.parametrize(
    "mode, package, module, sentence",
    [
        (
            "rgb_array",
            "PIL",
            "picture",
            r'Pillow is not installed: expected .* \(write `pip install "mm-gym\[render\]"`\)',
        ),
        (
            "human",
            "pygame",
            "window",
            r'pygame-ce is not installed: expected .* \(write `pip install "mm-gym\[render\]"`\)',
        ),
    ],
)
def test_a_missing_package_is_an_error_at_the_first_picture(
    mode: str, package: str, module: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (module, "canvas"):
        monkeypatch.delitem(sys.modules, f"mm_gym.rendering.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    env = gymnasium.make("MarketMaking-v0", render_mode=mode).unwrapped
    if mode == "human":
        with pytest.raises(DependencyNotInstalled, match=sentence):
            env.reset(seed=0)
    else:
        env.reset(seed=0)
        with pytest.raises(DependencyNotInstalled, match=sentence):
            env.render()
    env.close()


@pytest.mark.parametrize("driver", ["nonsense", None])
def test_without_a_display_the_error_says_what_to_do(driver: str | None) -> None:
    """Without a driver by name, SDL would draw into a window that nobody can see."""
    # It runs in a separate process, since SDL chooses its driver only once.
    code = """
import gymnasium, mm_gym
try:
    gymnasium.make("MarketMaking-v0", render_mode="human").reset()
except gymnasium.error.Error as error:
    print(error)
"""
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    environment = {name: value for name, value in os.environ.items() if name not in displays}
    if driver is not None:
        environment["SDL_VIDEODRIVER"] = driver
    elif sys.platform != "linux":
        pytest.skip("other systems have a display")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "render_mode='human' cannot open a window: expected a display, got" in done.stdout
    assert "(write render_mode='rgb_array'" in done.stdout


@pytest.mark.parametrize("mode", ["text", "", 3])
def test_an_unknown_render_mode_is_an_error_that_lists_the_modes(mode: Any) -> None:
    got = f"got {mode!r}$"
    with pytest.raises(
        ConfigurationError, match=f"None or one of 'human', 'rgb_array', 'ansi', {got}"
    ):
        MarketMakingEnv(render_mode=mode)
    with pytest.raises(ConfigurationError, match=f"None or one of 'rgb_array', 'ansi', {got}"):
        gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode=mode)


@pytest.mark.filterwarnings("ignore:.*not in the possible render_modes:UserWarning")
def test_make_refuses_an_unknown_render_mode_with_the_same_error() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"render_mode='svg' is not offered: expected None or one of .*, got 'svg'",
    ):
        gymnasium.make("MarketMaking-v0", render_mode="svg")


@pytest.mark.parametrize("mode", [None, "ansi"])
def test_show_truth_needs_a_render_mode_that_draws_pictures(mode: str | None) -> None:
    sentence = rf"show_truth=True has no effect: .* \('rgb_array', 'human'\) .*, got {mode!r}"
    with pytest.raises(ConfigurationError, match=sentence):
        MarketMakingEnv(render_mode=mode, show_truth=True)
    with pytest.raises(ConfigurationError, match=sentence):
        gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode=mode, show_truth=True)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_show_truth_is_true_or_false(value: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"show_truth is wrong: expected True or False, got {value!r}"
    ):
        MarketMakingEnv(render_mode="rgb_array", show_truth=value)
