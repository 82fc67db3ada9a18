"""Many pictures as one: the markets of a vector environment."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mm_gym import palette
from mm_gym.display import Image


def grid(
    frames: Sequence[npt.NDArray[np.uint8]], width: int = 1920, height: int = 1080
) -> npt.NDArray[np.uint8]:
    """Tile pictures in rows, such as those of a vector environment's `render()`.

    The number of columns is the one with which the pictures are largest. Pictures are reduced so
    that the grid fits, and never enlarged. The size of the grid is even, as video formats want it.

    Args:
        frames: pictures of one shape (h, w, 3).
        width, height: largest size of the grid [pixels].

    Returns:
        The grid, shape (at most `height`, at most `width`, 3).

    Raises:
        ValueError: if there is no picture, or the shapes differ.
        gymnasium.error.DependencyNotInstalled: if Pillow is not installed.
    """
    shapes = {np.shape(frame) for frame in frames}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        raise ValueError(
            "frames cannot be tiled: expected at least one picture, all of one shape (h, w, 3), "
            f"got {len(frames)} of the shapes {sorted(shapes)}"
        )
    from mm_gym.rendering.canvas import resized, rgb

    h, w, _ = frames[0].shape

    def share(columns: int) -> float:
        rows = -(-len(frames) // columns)
        return float(min(1.0, width / (columns * w), height / (rows * h)))

    columns = max(range(len(frames), 0, -1), key=share)
    rows = -(-len(frames) // columns)
    h, w = (max(2 * int(share(columns) * size / 2.0 + 1e-9), 2) for size in (h, w))
    tiled = np.empty((rows * h, columns * w, 3), np.uint8)
    tiled[:] = rgb(palette.BACKGROUND)
    for number, frame in enumerate(frames):
        row, column = divmod(number, columns)
        tiled[row * h : (row + 1) * h, column * w : (column + 1) * w] = resized(frame, w, h)
    return tiled.view(Image)
