"""Take the pictures of `docs/how-to/replay-a-session.md`: a replay on a screen and on a phone.

python docs/pictures/replay.py
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import tyro

PICTURES = Path(__file__).resolve().parent
sys.path.insert(0, str(PICTURES.parents[1]))  # the repository, which has `agents`

from agents import make_agent  # noqa: E402
from benchmarks.chromium import chromium  # noqa: E402
from mm_gym import configure  # noqa: E402
from mm_gym.evaluation.replays import record_sessions  # noqa: E402
from mm_gym.rendering.recording import Recording  # noqa: E402
from mm_gym.rendering.replay import write_replay  # noqa: E402

AGENTS = ("inventory_skew", "trained/mixed")
SEED = 3
# Name of the picture, width and height of the screen [px], theme, and what is pressed.
SCREENS = (
    ("replay.png", 1640, 920, "light", [*["PageDown"] * 40, "e", "n", "n"]),
    ("replay-phone.png", 390, 844, "dark", [*["PageDown"] * 40, "n", "n"]),
)


def example() -> list[Recording]:
    """The sessions in the pictures, and in the replay of the documentation site."""
    agents = {name: partial(make_agent, name) for name in AGENTS}
    return record_sessions(agents, configure("informed"), SEED)


def main(out: Path = PICTURES) -> None:
    """Write the pictures.

    Args:
        out: Their folder.
    """
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = write_replay(Path(folder) / "replay.html", example())
        for name, width, height, theme, keys in SCREENS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            page.goto(path.as_uri())
            for key in keys:
                page.keyboard.press(key)
            page.wait_for_timeout(300)  # [ms] until the charts are drawn
            page.screenshot(path=out / name)
            page.close()


if __name__ == "__main__":
    tyro.cli(main)
