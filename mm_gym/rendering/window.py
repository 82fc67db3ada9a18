"""A window on the screen for `render_mode="human"`. Importing this module loads pygame."""

import os

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled, Error

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
try:
    import pygame
except ImportError as error:
    raise DependencyNotInstalled(
        'pygame-ce is not installed: run `pip install "mm-gym[render]"`.'
    ) from error


class Window:
    """Shows frames. Once its user has closed it, it stays closed and frames are dropped.

    pygame has one window per process: two environments in `human` mode share it.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._clock = pygame.time.Clock()

    def show(self, frame: npt.NDArray[np.uint8], fps: float) -> None:
        """Put a frame on the screen, no sooner than 1 / `fps` seconds after the one before.

        Raises:
            gymnasium.error.Error: if there is no display.
        """
        if self.is_closed:
            return
        height, width, _ = frame.shape
        screen = _screen((width, height))
        screen.blit(pygame.image.frombuffer(frame.tobytes(), (width, height), "RGB"), (0, 0))
        pygame.display.flip()
        self._clock.tick(fps)
        if pygame.event.get(pygame.QUIT):  # other events are left to the program
            self.close()

    def close(self) -> None:
        """Close the window for good; closing it twice is no error."""
        if not self.is_closed:
            self.is_closed = True
            pygame.display.quit()


def _screen(size: tuple[int, int]) -> pygame.Surface:
    """The window's surface; opens the window if there is none."""
    screen = pygame.display.get_surface() if pygame.display.get_init() else None
    if screen is not None and screen.get_size() == size:
        return screen
    try:
        pygame.display.init()
        pygame.display.set_caption("mm_gym")
        return pygame.display.set_mode(size)
    except pygame.error as error:
        raise Error(
            f'render_mode="human" cannot open a window: expected a display, got "{error}". '
            'Use render_mode="rgb_array", or set the environment variable SDL_VIDEODRIVER=dummy.'
        ) from error
