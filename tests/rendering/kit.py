"""Parts that the tests of several renderers share."""

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from mm_gym import palette

ROOT = Path(__file__).resolve().parents[2]
MODES = ("human", "rgb_array", "ansi")

Image = npt.NDArray[np.uint8]
RGB = tuple[int, int, int]


def rgb(colour: palette.Colour, share: float = 1.0) -> RGB:
    """A colour on a dark background, mixed with the colour of the panels."""
    own, panel = (
        [int(text[place : place + 2], 16) for place in (1, 3, 5)]
        for text in (colour.dark, palette.PANEL.dark)
    )
    red, green, blue = (
        round(share * a + (1.0 - share) * b) for a, b in zip(own, panel, strict=True)
    )
    return red, green, blue


HEIGHT, WIDTH = 540, 960
# Positions [pixels] and colours of the parts of the picture.
TOP, ROW, N_ROWS = 92, 17, 19  # rows of the ladder
MID_ROW = 9  # of the mid, rounded down
# Columns of the bars in the ladder, which start at the price column in the middle.
BIDS, ASKS = slice(56, 160), slice(232, 336)
TRADES, TRADE_ROW = 446, 16
PRICES, INVENTORY, PNL = (slice(92, 280), slice(326, 386), slice(420, 510))  # rows of the charts
CHART = slice(456, 944)
OWN = {"bid": rgb(palette.BID), "ask": rgb(palette.ASK)}
PUBLIC = {"bid": rgb(palette.BID, 0.4), "ask": rgb(palette.ASK, 0.4)}
HELD = {"bid": rgb(palette.BID, 0.7), "ask": rgb(palette.ASK, 0.7)}
MID, EFFICIENT_PRICE = rgb(palette.TOTAL, 0.6), rgb(palette.TOTAL)

# Configurations at the limits of what is legal.
EXTREME_MARKETS: list[dict[str, Any]] = [
    {},
    {"initial_price": -5e8, "tick_size": 1e-9},
    {
        "quote_size": 10**6,
        "max_inventory": 10**9,
        "maker_size": 1e6,
        "taker_size": 1e6,
        "maker_depth": 0.2,
    },
    {"max_offset": 1e6, "maker_depth": 1e6, "volatility": 1e4, "taker_tolerance": 1e5},
    {
        "regime": "dealer",
        "initial_price": 5e8,
        "quote_size": 10**6,
        "max_inventory": 10**9,
        "taker_size": 1e6,
    },
]


def drawn(seed: int = 0, **keywords: Any) -> Any:
    env = gymnasium.make("MarketMaking-v0", render_mode="rgb_array", **keywords).unwrapped
    env.reset(seed=seed)
    return env


def where(image: Image, colour: RGB, tolerance: int = 0) -> npt.NDArray[np.bool_]:
    """The pixels of a colour. Edges of lines are mixtures of colours."""
    return np.asarray((np.abs(image.astype(int) - colour) <= tolerance).all(axis=2))


def heights(chart: Image, colour: RGB) -> npt.NDArray[np.float64]:
    """The middle of a line of this colour in each column [pixels], NaN where it is covered."""
    seen = where(chart, colour, tolerance=12)
    rows = np.arange(len(seen))[:, None]
    count = seen.sum(axis=0)
    return np.where(count > 0, (seen * rows).sum(axis=0) / np.maximum(count, 1), np.nan)


def screen() -> Any:
    return sys.modules["pygame"].display.get_surface()


def pixels(surface: Any) -> Image:
    return np.asarray(sys.modules["pygame"].surfarray.array3d(surface).swapaxes(0, 1))
