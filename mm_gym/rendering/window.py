"""A window on the screen for `render_mode="human"`. Importing this module loads pygame."""

import os
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled, Error

from mm_gym import palette
from mm_gym.rendering.canvas import RGB, Canvas, rgb
from mm_gym.rendering.pace import KEYS, Pace

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
try:
    import pygame
    from PIL import Image  # if it is missing, the import of the canvas says so
except ImportError as error:
    raise DependencyNotInstalled(
        "pygame-ce is not installed: expected the packages of the extra `render` "
        '(write `pip install "mm-gym[render]"`)'
    ) from error

Frame = npt.NDArray[np.uint8]

LINE_HEIGHT = 20  # [pixels] of a line of text below the picture
_COLUMN = 92  # [pixels] from one tab stop to the next
_MARGIN = 16  # [pixels]
_TEXT, _MUTED = rgb(palette.TEXT), rgb(palette.MUTED)
_KEPT_EVENTS = 1000  # SDL drops new events when 65,535 of them are unread
_SEEN = "seen_by_mm_gym"  # attribute of an event that `Screen.keys` has returned
_MODIFIERS = pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META

_SYNONYMS = {"right": "n", "up": "+", "down": "-", "escape": "q", "quit": "q"}
_HELP = f"{KEYS}   t: truth   q: quit"


class Screen:
    """The window: a picture, lines of text below it, and the keys that were pressed.

    pygame has one window per process, so all screens share it.
    """

    def __init__(self) -> None:
        self.is_closed = False

    def show(self, frame: Frame, lines: Sequence[str] = (), keys: Sequence[str] = ()) -> None:
        """Show a picture and lines of text below it. A closed screen shows nothing.

        Args:
            frame: shape (height, width, 3).
            lines: of text. Tabs align the columns of several lines.
            keys: lines that say what the keys do.

        Raises:
            gymnasium.error.Error: there is no display.
        """
        if self.is_closed:
            return
        colours = [_TEXT] * len(lines) + [_MUTED] * len(keys)
        text = [
            _line(line, colour, frame.shape[1])
            for line, colour in zip([*lines, *keys], colours, strict=True)
        ]
        image = np.concatenate([frame, *text])
        height, width, _ = image.shape
        surface = _surface((width, height))
        surface.blit(pygame.image.frombuffer(image.tobytes(), (width, height), "RGB"), (0, 0))
        pygame.display.flip()

    def keys(self, seconds: float = 0.0) -> list[str]:
        """Return the keys pressed since the last call, and wait a while if there are none.

        A key has the name of the character that it types, or a name such as `space` and `up`.
        `quit` means that the user closed the window. All events but that one stay in the queue, for
        a program that reads them too.

        Args:
            seconds: how long to wait.
        """
        if self.is_closed:
            return []
        keys = []
        # All of them are read and put back, so that they stay in order.
        for event in pygame.event.get()[-_KEPT_EVENTS:]:
            if event.type == pygame.QUIT:
                keys.append("quit")
                continue
            if event.type == pygame.KEYDOWN and not hasattr(event, _SEEN):
                if not getattr(event, "mod", 0) & _MODIFIERS:
                    keys.append(_name(event))
                event = pygame.event.Event(event.type, event.dict, **{_SEEN: True})
            pygame.event.post(event)
        if not keys:
            pygame.time.wait(round(1000 * seconds))
        return keys

    def close(self) -> None:
        """Close the window for good. Closing it twice is allowed."""
        if not self.is_closed:
            self.is_closed = True
            pygame.display.quit()


class Window:
    """A screen that shows a market in real time, with keys for pause, step, speed and truth.

    After the user has closed the window, further pictures are ignored.
    """

    def __init__(self, show_truth: bool = False) -> None:
        self._screen = Screen()
        self._pace = Pace()
        self._show_truth = show_truth
        self._skipped = 0  # decisions since the last picture

    @property
    def is_closed(self) -> bool:
        """Whether the window was closed, by the user or by the program."""
        return self._screen.is_closed

    def show(self, draw: Callable[[bool], Frame], fps: float, last: bool = False) -> None:
        """Show a picture, at least 1 / `fps` seconds after the previous one.

        At a speed above 1, some decisions have no picture. While the user has paused, this waits.

        Args:
            draw: makes the picture, of shape (height, width, 3). Its argument says whether to show
                what no participant sees.
            fps: pictures per second at speed 1.
            last: whether the session ends here. Its last picture is always shown.

        Raises:
            gymnasium.error.Error: there is no display.
        """
        self._skipped += 1
        per_picture = 1 if self._pace.is_paused else max(1, int(self._pace.speed))
        if self.is_closed or (self._skipped < per_picture and not last):
            return
        self._skipped = 0
        frame = draw(self._show_truth)
        self._screen.show(frame, [self._state()], [_HELP])
        for key in self._pace.wait(self._read_keys, per_picture / fps):
            if key == "q":
                self.close()
                return
            if key == "t":
                self._show_truth = not self._show_truth
                frame = draw(self._show_truth)
            self._screen.show(frame, [self._state()], [_HELP])

    def close(self) -> None:
        """Close the window for good. Closing it twice is allowed."""
        self._screen.close()

    def _read_keys(self, seconds: float) -> list[str]:
        return [_SYNONYMS.get(key, key) for key in self._screen.keys(seconds)]

    def _state(self) -> str:
        return f"{self._pace}{', with truth' if self._show_truth else ''}"


def _line(text: str, colour: RGB, width: int) -> Frame:
    """Return a line of text as an image of shape (LINE_HEIGHT, width, 3)."""
    canvas = Canvas(Image.new("RGB", (width, LINE_HEIGHT), rgb(palette.PANEL)))
    for column, cell in enumerate(text.split("\t")):
        canvas.write((_MARGIN + _COLUMN * column, LINE_HEIGHT / 2), cell, colour)
    return np.asarray(canvas.image)


def _name(event: pygame.event.Event) -> str:
    typed = getattr(event, "unicode", "")
    return typed if typed.isprintable() and typed.strip() else pygame.key.name(event.key)


def _surface(size: tuple[int, int]) -> pygame.Surface:
    """Return the surface of the window. Open the window if there is none of this size."""
    surface = pygame.display.get_surface() if pygame.display.get_init() else None
    if surface is not None and surface.get_size() == size:
        return surface
    try:
        pygame.display.init()
        # SDL falls back to a window that nobody can see.
        if pygame.display.get_driver() == "offscreen" and not os.environ.get("SDL_VIDEODRIVER"):
            pygame.display.quit()
            raise pygame.error("no display")
        pygame.display.set_caption("mm_gym")
        return pygame.display.set_mode(size)
    except pygame.error as error:
        raise Error(
            f"render_mode='human' cannot open a window: expected a display, got {str(error)!r} "
            "(write render_mode='rgb_array', or set the environment variable SDL_VIDEODRIVER=dummy)"
        ) from error
