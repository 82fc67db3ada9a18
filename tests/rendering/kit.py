"""Parts that the tests of several renderers share."""

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[2]
MODES = ("human", "rgb_array", "ansi")

HEIGHT, WIDTH = 540, 960
# Positions [pixels] and colours of the parts of the picture.
TOP, ROW, N_ROWS = 92, 18, 24  # rows of the ladder; row 12 is that of the mid, rounded down
# Columns of the bars in the ladder, which start at the price column in the middle.
BIDS, ASKS = slice(56, 160), slice(232, 336)
PRICES, INVENTORY, PNL = (slice(92, 296), slice(332, 408), slice(444, 508))  # rows of the charts
CHART = slice(456, 944)
OWN = {"bid": (86, 190, 255), "ask": (255, 166, 43)}
PUBLIC = {"bid": (38, 78, 112), "ask": (112, 72, 30)}
WHITE, GREEN = (222, 228, 236), (64, 200, 150)

Image = npt.NDArray[np.uint8]

# Configurations at the limits of what is legal.
EXTREME_MARKETS: list[dict[str, Any]] = [
    {},
    {"initial_price": -1e12, "tick_size": 1e-9},
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
        "initial_price": 1e12,
        "quote_size": 10**6,
        "max_inventory": 10**9,
        "taker_size": 1e6,
    },
]


def drawn(seed: int = 0, **keywords: Any) -> Any:
    env = gymnasium.make("MarketMaking-v0", render_mode="rgb_array", **keywords).unwrapped
    env.reset(seed=seed)
    return env


def where(image: Image, colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray((image == colour).all(axis=2))


def screen() -> Any:
    return sys.modules["pygame"].display.get_surface()


def pixels(surface: Any) -> Image:
    return np.asarray(sys.modules["pygame"].surfarray.array3d(surface).swapaxes(0, 1))
