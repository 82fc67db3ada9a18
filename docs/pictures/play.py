"""Take the pictures of `docs/how-to/trade-by-hand.md`: a game, and the scores at its end.

python docs/pictures/play.py
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tyro

PICTURES = Path(__file__).resolve().parent
sys.path.insert(0, str(PICTURES.parents[1]))  # the repository, which has `agents`
os.environ |= {
    "SDL_VIDEODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}  # no display is needed

import pygame  # noqa: E402

from agents.commands.play import Arguments  # noqa: E402
from agents.commands.play import main as play  # noqa: E402
from agents.playing.game import Session  # noqa: E402
from agents.playing.screens import WindowScreen  # noqa: E402

_MOST = 4  # [lots] inventory at which the player of the pictures reacts


class Player(WindowScreen):
    """A player who moves both quotes against the inventory, once every five decisions."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._steps = -1

    def show(
        self,
        session: Session,
        lines: Sequence[str],
        keys: Sequence[str] = (),
        show_truth: bool = False,
    ) -> None:
        """Show the session, and keep the pictures of the docs."""
        super().show(session, lines, keys, show_truth)
        self._session, self._shows_truth = session, show_truth
        self._is_over = any("close" in line for line in keys)
        name = "play-end.png" if show_truth else "play.png" if session.steps == 150 else None
        if name is not None:
            pygame.image.save(pygame.display.get_surface(), self._out / name)

    def keys(self, seconds: float) -> list[str]:
        """Return the keys that this player presses."""
        if self._is_over:
            return ["q" if self._shows_truth else "t"]
        steps, lots = self._session.steps, int(self._session.market["account"]["inventory"])
        if steps == self._steps:
            return []
        self._steps = steps
        if steps == 0:
            return ["space"]  # start
        if steps == 3:
            return ["right"]  # quotes a little wider
        if steps % 5 == 0 and abs(lots) >= _MOST:
            return ["d" if lots > 0 else "e"]
        return []


def main(out: Path = PICTURES) -> None:
    """Write the pictures.

    Args:
        out: Their folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        play(
            Arguments(
                p_informed=0.6,
                set=(("session_steps=300",),),
                seed=3,
                speed=64,
                out=Path(folder) / "session",
            ),
            Player(out),
        )


if __name__ == "__main__":
    tyro.cli(main)
