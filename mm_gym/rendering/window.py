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
        "pygame-ce is not installed: expected the packages of the extra `render` "
        '(write `pip install "mm-gym[render]"`)'
    ) from error


class Window:
    """A window that shows frames. After the user has closed it, further frames are ignored.

    pygame has one window per process, so two environments in `human` mode share it.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._clock = pygame.time.Clock()

    def show(self, frame: npt.NDArray[np.uint8], fps: float) -> None:
        """Show a frame, at least 1 / `fps` seconds after the previous frame.

        Args:
            frame: an image of shape (height, width, 3).
            fps: largest number of frames per second.

        Raises:
            gymnasium.error.Error: there is no display.
        """
        if self.is_closed:
            return
        height, width, _ = frame.shape
        screen = _screen((width, height))
        screen.blit(pygame.image.frombuffer(frame.tobytes(), (width, height), "RGB"), (0, 0))
        pygame.display.flip()
        self._clock.tick(fps)
        if pygame.event.get(pygame.QUIT):  # other events stay in the queue for the program
            self.close()

    def close(self) -> None:
        """Close the window for good. Closing it twice is allowed."""
        if not self.is_closed:
            self.is_closed = True
            pygame.display.quit()


def _screen(size: tuple[int, int]) -> pygame.Surface:
    """Return the surface of the window. Open the window if there is none of this size."""
    screen = pygame.display.get_surface() if pygame.display.get_init() else None
    if screen is not None and screen.get_size() == size:
        return screen
    try:
        pygame.display.init()
        pygame.display.set_caption("mm_gym")
        return pygame.display.set_mode(size)
    except pygame.error as error:
        raise Error(
            f"render_mode='human' cannot open a window: expected a display, got {str(error)!r} "
            "(write render_mode='rgb_array', or set the environment variable SDL_VIDEODRIVER=dummy)"
        ) from error
