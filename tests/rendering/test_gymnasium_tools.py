"""The pictures work with Gymnasium's own tools and with stable-baselines3."""

import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import PIL.Image
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import AddRenderObservation, HumanRendering, RecordVideo

from mm_gym import MarketMakingEnv
from mm_gym.rendering import grid
from tests.rendering.kit import HEIGHT, MODES, ROOT, WIDTH, Image, drawn, pixels


@pytest.mark.parametrize("skip_render_check", [True, False])
def test_gymnasiums_checker_accepts_the_render_modes(skip_render_check: bool) -> None:
    assert MarketMakingEnv.metadata["render_modes"] == list(MODES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("MarketMaking-v0").unwrapped
        check_env(env, skip_render_check=skip_render_check)
        for mode in MODES:
            made = gymnasium.make("MarketMaking-v0", render_mode=mode)
            made.reset(seed=0)
            made.render()
            made.close()


class _Clip:
    """A stand-in for the clip of moviepy, a package of 165 MB. It stores its arguments."""

    written: list[tuple[list[Image], float, str]] = []

    def __init__(self, frames: list[Image], fps: float) -> None:
        self.frames, self.fps = frames, fps

    def write_videofile(self, path: str, **_: Any) -> None:
        self.written.append((self.frames, self.fps, path))


def record_a_session(folder: Path) -> list[Image]:
    """Record a session of ten decisions with `RecordVideo` and return its frames."""
    env: Any = gymnasium.make("MarketMaking-v0", session_steps=10, render_mode="rgb_array")
    env = RecordVideo(env, str(folder / "videos"), episode_trigger=lambda _: True)
    env.reset(seed=0)
    frames = [env.render()]
    terminated = False
    while not terminated:
        *_, terminated, _, _ = env.step(np.array([-0.8, -0.8], np.float32))
        frames.append(env.render())
    env.close()
    return frames


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Image], float, str]]:
    """Replaces moviepy. The list receives (frames, fps, path) of each video."""
    clips = types.ModuleType("moviepy.video.io.ImageSequenceClip")
    clips.ImageSequenceClip = _Clip  # type: ignore[attr-defined]
    for name in ("moviepy", "moviepy.video", "moviepy.video.io"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, clips.__name__, clips)
    monkeypatch.setattr(_Clip, "written", [])
    return _Clip.written


def test_record_video_receives_every_frame(tmp_path: Path, clips: list[Any]) -> None:
    frames = record_a_session(tmp_path)
    ((recorded, fps, path),) = clips
    assert fps == MarketMakingEnv.metadata["render_fps"]
    assert Path(path) == tmp_path / "videos" / "rl-video-episode-0.mp4"
    np.testing.assert_array_equal(recorded, frames)
    assert len(frames) == 11


def test_record_video_writes_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moviepy", reason='moviepy is not installed: pip install "mm-gym[video]"')
    import imageio_ffmpeg

    monkeypatch.setitem(MarketMakingEnv.metadata, "render_fps", 20)
    frames = record_a_session(tmp_path)
    path = str(tmp_path / "videos" / "rl-video-episode-0.mp4")
    assert imageio_ffmpeg.count_frames_and_secs(path) == (
        len(frames),
        pytest.approx(len(frames) / 20),
    )
    reader = imageio_ffmpeg.read_frames(path)
    assert next(reader)["size"] == (WIDTH, HEIGHT)
    for frame, seen in zip(frames, reader, strict=True):
        difference = np.frombuffer(seen, np.uint8).reshape(HEIGHT, WIDTH, 3).astype(int) - frame
        assert np.abs(difference).mean() < 5  # compression changes the colours slightly


def test_human_rendering_shows_the_picture() -> None:
    pytest.importorskip("pygame")
    env = HumanRendering(gymnasium.make("MarketMaking-v0", render_mode="rgb_array"))
    reference = drawn(seed=2)
    env.reset(seed=2)
    env.step(np.array([-0.8, -0.8], np.float32))
    reference.step(np.array([-0.8, -0.8], np.float32))
    np.testing.assert_array_equal(pixels(env.window), reference.render())
    env.close()


def batch_of(n: int) -> Any:
    return gymnasium.make_vec(
        "MarketMaking-v0", num_envs=n, session_steps=9, render_mode="rgb_array"
    )


def test_the_record_video_of_batches_tiles_every_market(tmp_path: Path, clips: list[Any]) -> None:
    wrappers = pytest.importorskip("gymnasium.wrappers.vector")
    batch = wrappers.RecordVideo(
        batch_of(4),
        str(tmp_path / "videos"),
        video_aspect_ratio=(16, 9),
        episode_trigger=lambda _: True,
    )
    reference = batch_of(4)
    frames = []
    for env in (batch, reference):
        env.reset(seed=0)
    frames.append(reference.render())
    for _ in range(3):
        for env in (batch, reference):
            env.step(np.full((4, 2), -0.8, np.float32))
        frames.append(reference.render())
    batch.close()
    ((recorded, fps, _),) = clips
    assert fps == reference.metadata["render_fps"]
    np.testing.assert_array_equal(recorded, [grid(pictures) for pictures in frames])


def test_the_video_recorder_of_stable_baselines3_tiles_every_market(
    tmp_path: Path, clips: list[Any]
) -> None:
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    sb3 = pytest.importorskip("mm_gym.sb3")
    markets = sb3.MarketMakingVecEnv(2, "informed", render_mode="rgb_array")
    markets.seed(0)
    batch = vec_env.VecVideoRecorder(
        markets, str(tmp_path), record_video_trigger=lambda step: step == 0, video_length=2
    )
    batch.reset()
    frames = [markets.render()]
    for _ in range(2):
        batch.step(np.full((2, 2), -0.8, np.float32))
        frames.append(markets.render())
    ((recorded, fps, _),) = clips
    assert fps == 20
    np.testing.assert_array_equal(recorded, frames)


def test_the_human_rendering_of_batches_shows_every_market(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    wrappers = pytest.importorskip("gymnasium.wrappers.vector")
    opencv = types.ModuleType("cv2")  # a package of 60 MB, of which the wrapper uses one function
    opencv.resize = lambda image, size: np.array(  # type: ignore[attr-defined]
        PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR)
    )
    monkeypatch.setitem(sys.modules, "cv2", opencv)
    batch, reference = wrappers.HumanRendering(batch_of(4)), batch_of(4)
    for env in (batch, reference):
        env.reset(seed=0)
        env.step(np.full((4, 2), -0.8, np.float32))
    seen, expected = pixels(batch.window).astype(int), grid(reference.render(), 960, 540)
    assert seen.shape == expected.shape

    def difference(*shift: int) -> float:
        return float(np.abs(seen - np.roll(expected, shift, axis=(0, 1))).mean())

    # The filters differ slightly, and the markets much.
    assert difference(0, 0) < 0.6 * min(difference(270, 0), difference(0, 480))
    batch.close()


@pytest.mark.parametrize("render_only", [True, False])
def test_a_policy_may_observe_pixels(render_only: bool) -> None:
    env = AddRenderObservation(
        gymnasium.make("MarketMaking-v0", render_mode="rgb_array"), render_only=render_only
    )
    first, _ = env.reset(seed=0)
    assert first in env.observation_space
    second, *_ = env.step(np.array([-0.8, -0.8], np.float32))
    assert second in env.observation_space
    np.testing.assert_array_equal(second if render_only else second["pixels"], env.render())
    assert (np.asarray(first if render_only else first["pixels"]) != env.render()).any()


def test_frames_are_collected_in_a_list() -> None:
    env = gymnasium.make("MarketMaking-v0", render_mode="rgb_array_list")
    env.reset(seed=0)
    for _ in range(4):
        env.step(env.action_space.sample())
    frames: Any = env.render()
    assert np.shape(frames) == (5, HEIGHT, WIDTH, 3)


def test_gymnasium_play_sends_the_actions_of_keys() -> None:
    # It runs in a separate process, since importing `gymnasium.utils.play` changes the backend of
    # matplotlib.
    code = """
import gymnasium, mm_gym, pygame
from gymnasium.utils.play import play
actions = []
def callback(before, after, action, reward, terminated, truncated, info):
    actions.append(action)
    key = {1: pygame.K_b, 3: pygame.K_ESCAPE}.get(len(actions))
    if key is not None:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
env = gymnasium.make("MarketMaking-v0", action="discrete", render_mode="rgb_array")
play(env, keys_to_action={"b": 27}, noop=9, callback=callback, fps=1000, seed=0)
print(actions)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[9, 27, 27]"


def test_make_vec_env_of_stable_baselines3_draws_a_batch() -> None:
    env_util = pytest.importorskip("stable_baselines3.common.env_util")
    batch = env_util.make_vec_env("mm_gym:MarketMaking-v0", n_envs=2, seed=0)
    observations = batch.reset()
    assert observations.shape == (2, 18)
    batch.step(np.full((2, 2), -0.8, np.float32))
    images = batch.get_images()
    assert [image.shape for image in images] == [(HEIGHT, WIDTH, 3)] * 2
    assert (images[0] != images[1]).any()
    assert batch.render().shape == (2 * HEIGHT, WIDTH, 3) or batch.render().shape == (
        HEIGHT,
        2 * WIDTH,
        3,
    )
    batch.close()
