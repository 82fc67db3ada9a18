"""The animation shows every decision of the session that an evaluation runs first."""

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image

from agents import name_agent
from agents.tools import animation
from mm_gym import ConfigurationError, configure
from mm_gym.evaluation.rollout import session_seeds
from mm_gym.rendering.picture import WINDOW

ROOT = Path(__file__).resolve().parents[2]


def test_the_pictures_are_those_of_the_environment() -> None:
    market = {"p_informed": 0.5, "session_steps": 40}
    env = gymnasium.make(
        "MarketMaking-v0", regime="informed", **market, render_mode="rgb_array", show_truth=True
    )
    maker = name_agent("inventory_skew")(env.unwrapped.config)
    observation, _ = env.reset(seed=int(session_seeds(5, 1)[0]))
    pictures = animation.session_pictures(
        name_agent("inventory_skew"), configure("informed", **market), 5, show_truth=True
    )
    count = 0
    for picture in pictures:
        np.testing.assert_array_equal(picture, env.render())
        count += 1
        if count <= 40:
            observation, *_ = env.step(maker.predict(observation[None])[0][0])
    assert count == 41


FEW: dict[str, Any] = {"agent": "fixed_spread", "p_informed": 0.6, "seed": 1, "decisions": 30}


def test_the_gif_shows_the_session_in_ten_seconds(tmp_path: Path) -> None:
    out = animation.main(animation.Arguments(**FEW, out=tmp_path / "a.gif"))
    config = configure("informed", p_informed=0.6, session_steps=30)
    pictures = animation.session_pictures(name_agent("fixed_spread"), config, 1, show_truth=True)
    shown, before = 0.0, np.zeros((540, 960, 3))
    with Image.open(out) as gif:
        assert gif.size == (960, 540)
        assert gif.info["loop"] == 0
        assert gif.n_frames == 31
        for number, picture in enumerate(pictures):
            gif.seek(number)
            shown += gif.info["duration"]
            seen = np.array(gif.convert("RGB")).astype(int)
            wrong = np.abs(seen - picture).mean()
            assert wrong < 1.5  # 256 colours
            assert wrong < np.abs(seen - before).mean()
            before = picture
    assert shown == pytest.approx(10_000, abs=200)  # [ms]


def test_the_video_shows_the_session_in_the_given_time(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    out = animation.main(animation.Arguments(**FEW, seconds=5.0, out=tmp_path / "a.mp4"))
    frames, seconds = ffmpeg.count_frames_and_secs(str(out))
    assert seconds == pytest.approx(5.0, abs=0.2)
    assert frames == 50  # 10 a second, the last for two seconds
    seen = ffmpeg.read_frames(str(out))
    assert next(seen)["size"] == (960, 540)
    config = configure("informed", p_informed=0.6, session_steps=30)
    pictures = animation.session_pictures(name_agent("fixed_spread"), config, 1, show_truth=True)
    for picture, frame in zip(pictures, seen, strict=False):
        difference = np.frombuffer(frame, np.uint8).reshape(540, 960, 3).astype(int) - picture
        assert np.abs(difference).mean() < 5  # compression changes the colours slightly


def test_without_the_package_a_video_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigurationError, match=r'expected .* `pip install "mm-gym\[video\]"`'):
        animation.main(animation.Arguments(**FEW, out=tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"out": Path("a.avi")}, r"expected a name that ends in \.gif or \.mp4, got '\.avi'"),
        ({"decisions": 0}, "session_steps"),
        ({"regime": "informd"}, "informed"),
    ],
)
def test_bad_arguments_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        animation.main(animation.Arguments(**wrong))


def test_the_animation_of_the_readme_is_below_3_mb() -> None:
    path = ROOT / "docs" / "pictures" / "session.gif"
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as gif:
        assert gif.n_frames == WINDOW + 1


@pytest.mark.parametrize("seconds", [1.0, 1e6, float("nan")])
def test_an_animation_that_browsers_cannot_show_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match=r"seconds=.* is out of range .*: expected 5.2 to"):
        animation.main(animation.Arguments(seconds=seconds))
