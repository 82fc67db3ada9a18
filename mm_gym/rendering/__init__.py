"""Rendering of a market: the order book as text, an image, a window, and a replay in a browser."""

from mm_gym.rendering.recorder import record as record
from mm_gym.rendering.recording import Recording as Recording
from mm_gym.rendering.tiling import grid as grid
