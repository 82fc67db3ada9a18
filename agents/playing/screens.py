"""Where a hand-traded session is shown, and where its keys come from: a window or a terminal."""

import os
import re
import select
import shutil
import sys
from collections.abc import Sequence
from typing import Protocol, Self

from mm_gym.rendering.ladder import ladder

from .game import Session

_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_NAMES = {" ": "space"}
_KEY = re.compile(r"\x1b[\[O][0-9;]*(.)|([^\x1b])")
_WIDTH, _HEIGHT = 80, 24  # characters
# Control sequences of the terminal. The own page has no cursor.
_TOP, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_OWN_PAGE, _FORMER_PAGE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


class Screen(Protocol):
    """Shows a session and reads keys, between `__enter__` and `__exit__`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(
        self,
        session: Session,
        lines: Sequence[str],
        keys: Sequence[str] = (),
        show_truth: bool = False,
    ) -> None:
        """Show the market, lines of text, and lines that say what the keys do.

        Tabs align the columns of several lines.
        """

    def keys(self, seconds: float) -> list[str]:
        """Return the pressed keys, after a wait of at most `seconds` if there are none."""


class WindowScreen:
    """A window with the picture of the market. It needs the packages of the extra `render`."""

    def __enter__(self) -> Self:
        from mm_gym.rendering import window

        self._screen = window.Screen()
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.close()

    def show(
        self,
        session: Session,
        lines: Sequence[str],
        keys: Sequence[str] = (),
        show_truth: bool = False,
    ) -> None:
        """Show the picture of the market with the lines below it."""
        import pygame

        from mm_gym.rendering.picture import draw

        self._screen.show(
            draw(session.market, session.parameters, session.past, show_truth), lines, keys
        )
        pygame.key.set_repeat(300, 60)  # [ms] a key that is held down moves a quote further

    def keys(self, seconds: float) -> list[str]:
        """Return the pressed keys; `quit` if the window was closed."""
        return self._screen.keys(seconds)


class TerminalScreen:
    """The order book as text, drawn over and over in the terminal."""

    def __enter__(self) -> Self:
        try:
            import termios
            import tty
        except ImportError as error:
            raise ValueError(
                f"the terminal cannot be read key by key: expected Linux or macOS, got {error} "
                "(leave --terminal out for a window)"
            ) from error
        columns, rows = shutil.get_terminal_size()
        if columns < _WIDTH or rows < _HEIGHT:
            raise ValueError(
                f"the terminal is too small: expected at least {_WIDTH} x {_HEIGHT} characters, "
                f"got {columns} x {rows}"
            )
        try:
            self._input = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
        except (OSError, termios.error) as error:
            raise ValueError(
                "the terminal cannot be read key by key: expected an interactive terminal, "
                f"got none: {error.args[-1]} (leave --terminal out for a window)"
            ) from error
        _write(_OWN_PAGE)
        return self

    def __exit__(self, *_: object) -> None:
        import termios

        termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)
        _write(_FORMER_PAGE)

    def show(
        self,
        session: Session,
        lines: Sequence[str],
        keys: Sequence[str] = (),
        show_truth: bool = False,
    ) -> None:
        """Write the ladder and the text below it, on 24 lines. The truth is not shown."""
        state = "   ".join(lines)[:_WIDTH]
        text = [*ladder(session.market, session.parameters).splitlines(), state, *keys]
        _write(_TOP + "\n".join(f"{line}{_CLEAR_LINE}" for line in text) + _CLEAR_BELOW)

    def keys(self, seconds: float) -> list[str]:
        """Return the pressed keys."""
        if not select.select([self._input], [], [], seconds)[0]:
            return []
        return parse_keys(os.read(self._input, 1024).decode(errors="ignore"))


def parse_keys(typed: str) -> list[str]:
    """The names of keys from the characters that a terminal sends.

    An arrow key sends an escape character, `[` or `O`, and a letter. Other keys of that kind, and
    the escape key, have no name here: a sequence may arrive in parts.
    """
    keys = [
        _ARROWS.get(letter, "") if letter else _NAMES.get(character, character)
        for letter, character in _KEY.findall(typed)
    ]
    return [key for key in keys if key]


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
