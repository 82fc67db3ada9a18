"""The colours of everything that is drawn. One meaning has one colour in pictures and pages.

Each meaning has a colour for light and one for dark backgrounds. The colours stay apart for readers
with any colour vision, also by their lightness. Shapes and labels repeat what a colour says.
"""

from typing import NamedTuple


class Colour(NamedTuple):
    """One meaning as hexadecimal RGB."""

    light: str
    """On a light background."""
    dark: str
    """On a dark background."""


BID = Colour("#0072B2", "#56B4E9")
"""Buying: bids, and a long inventory."""
ASK = Colour("#D55E00", "#FF9A4D")
"""Selling: asks, and a short inventory."""
NOISE = Colour("#6E7781", "#9AA4B0")
"""Takers who know nothing."""
INFORMED = Colour("#A3236B", "#F27EBE")
"""Takers who act on the signal."""
SPREAD = Colour("#00805C", "#2FCC9B")
"""Spread PnL."""
INVENTORY = Colour("#8A6100", "#E6C229")
"""Inventory PnL."""
FEES = Colour("#6E7781", "#9AA4B0")
"""Fees and the cost of the close-out."""
TOTAL = Colour("#1F2328", "#DEE4EC")
"""Sums, and the public mid. The efficient price has the same colour and a dashed line."""

BACKGROUND = Colour("#FFFFFF", "#11151C")
PANEL = Colour("#F6F8FA", "#191E27")
GRID = Colour("#D0D7DE", "#2D3440")
MUTED = Colour("#6E7781", "#8B95A3")
TEXT = Colour("#1F2328", "#DEE4EC")
