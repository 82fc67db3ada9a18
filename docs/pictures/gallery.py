"""Draw the pictures of `docs/gallery.md`: the ladder in a terminal, a market, a grid of markets.

python docs/pictures/gallery.py
"""

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).resolve().parent
sys.path.insert(0, str(PICTURES.parents[1]))  # the repository, which has `agents`

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, TerminalTheme  # noqa: E402
from rich.text import Text  # noqa: E402

from agents import name_agent  # noqa: E402
from mm_gym import palette  # noqa: E402
from mm_gym.rendering import grid  # noqa: E402

AGENT = "trained/mixed"
DECISIONS = 420
MARKETS = 4
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def main() -> None:
    """Write the pictures beside this file."""
    os.environ["FORCE_COLOR"] = "1"
    (PICTURES / "ladder.svg").write_text(terminal(drawn("ansi")[0]), encoding="utf-8")
    save(drawn("rgb_array")[0], "picture")
    save(drawn("rgb_array", show_truth=True)[0], "picture-with-truth")
    save(grid(drawn("rgb_array", MARKETS, regime="mixed")), "grid")
    for name in ("ladder.svg", "picture.png", "picture-with-truth.png", "grid.png"):
        print(f"{name}: {(PICTURES / name).stat().st_size / 1024:.0f} KiB")


def drawn(mode: str, n: int = 1, regime: str = "informed", **keywords: Any) -> Any:
    """Let the agent trade and draw its markets. Returns a frame for each of the `n` markets."""
    batch = gymnasium.make_vec(
        "MarketMaking-v0", num_envs=n, regime=regime, render_mode=mode, **keywords
    )
    agent = name_agent(AGENT)(batch.unwrapped.config)
    observations, _ = batch.reset(seed=7)
    state, starts = None, np.ones(n, np.bool_)
    for _ in range(DECISIONS):
        actions, state = agent.predict(observations, state, starts)
        observations, *_ = batch.step(actions)
        starts = np.zeros(n, np.bool_)
    return batch.render()


def terminal(text: str) -> str:
    """A text with colours as an SVG that looks like a terminal and loads nothing."""
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(Text.from_ansi(text))
    background, letters = (
        tuple(int(colour.dark[place : place + 2], 16) for place in (1, 3, 5))
        for colour in (palette.BACKGROUND, palette.TEXT)
    )
    colours = DEFAULT_TERMINAL_THEME.ansi_colors
    theme = TerminalTheme(background, letters, [colours[number] for number in range(8)])
    picture = console.export_svg(title="env.render()", theme=theme, unique_id="ladder")
    picture = re.sub(r"@font-face {.*?}\s*", "", picture, flags=re.DOTALL)
    return picture.replace("Fira Code, monospace", FONT)


def save(picture: Any, name: str) -> None:
    """Write a picture with few colours, which takes a third of the bytes."""
    image = Image.fromarray(np.asarray(picture)).quantize(256, dither=Image.Dither.NONE)
    image.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
