"""The animation shows every decision of the session that an evaluation runs first."""

from pathlib import Path

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


def test_the_gif_lasts_ten_seconds_and_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation, "WINDOW", 30)  # decisions, for speed
    out = animation.main(
        animation.Arguments(agent="fixed_spread", p_informed=0.6, seed=1, out=tmp_path / "a.gif")
    )
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


def test_the_animation_of_the_readme_is_below_3_mb() -> None:
    path = ROOT / "docs" / "pictures" / "session.gif"
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as gif:
        assert gif.n_frames == WINDOW + 1


@pytest.mark.parametrize("seconds", [1.0, 1e6, float("nan")])
def test_an_animation_that_browsers_cannot_show_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match=r"seconds=.* is out of range: expected 5.2 to"):
        animation.main(animation.Arguments(seconds=seconds))
