"""The colours of everything that is drawn. One meaning has one colour in pictures and pages.

Each meaning has a colour for light and one for dark backgrounds. The colours stay apart for readers
with any colour vision, also by their lightness. Shapes and labels repeat what a colour says.
`tests/test_palette.py` checks contrast and distances.
"""

from typing import Literal, NamedTuple


class Colour(NamedTuple):
    """One meaning as hexadecimal RGB."""

    light: str
    """On a light background."""
    dark: str
    """On a dark background."""


BID = Colour("#005CA0", "#52C4FF")
"""Buying: bids, and a long inventory."""
ASK = Colour("#B55816", "#D8621E")
"""Selling: asks, and a short inventory."""
NOISE = Colour("#7C7E80", "#868686")
"""Takers who know nothing."""
INFORMED = Colour("#8C045D", "#E87BBD")
"""Takers who act on the signal."""
SPREAD = Colour("#247544", "#37B886")
"""Spread PnL."""
INVENTORY = Colour("#AF8403", "#ECBC4D")
"""Inventory PnL."""
FEES = Colour("#4D3E89", "#8277F2")
"""Fees and the cost of the close-out."""
TOTAL = Colour("#1F2328", "#DEE4EC")
"""Sums, and the public mid. The efficient price has the same colour and a dashed line."""

SERIES = (
    Colour("#0877DD", "#0794FE"),
    Colour("#AD2C00", "#DD4B27"),
    Colour("#1F7E50", "#09BA72"),
    Colour("#B8329A", "#DC4EBB"),
    Colour("#AE7C03", "#D8B41A"),
    Colour("#004D55", "#0CDBFF"),
)
"""Agents or markets, in this order. A picture uses them or the meanings above, not both. `TOTAL`
may appear with either."""

BACKGROUND = Colour("#FFFFFF", "#11151C")
PANEL = Colour("#F6F8FA", "#191E27")
GRID = Colour("#D0D7DE", "#2D3440")
MUTED = Colour("#656D76", "#8B95A3")
"""Text of little weight, axes and their ticks."""
TEXT = Colour("#1F2328", "#DEE4EC")

_NAMED = {
    "bid": BID,
    "ask": ASK,
    "noise": NOISE,
    "informed": INFORMED,
    "spread": SPREAD,
    "inventory": INVENTORY,
    "fees": FEES,
    "total": TOTAL,
    **{f"series-{number}": colour for number, colour in enumerate(SERIES)},
    "background": BACKGROUND,
    "panel": PANEL,
    "grid": GRID,
    "muted": MUTED,
    "text": TEXT,
}


def declarations(theme: Literal["light", "dark"]) -> str:
    """All colours of one theme as CSS variables, to be written between the braces of a rule."""
    return "".join(f"--{name}:{getattr(colour, theme)};" for name, colour in _NAMED.items())


def css(selector: str = ":root") -> str:
    """All colours as CSS variables such as `--bid`, light or dark as the reader's system is."""
    light, dark = declarations("light"), declarations("dark")
    return f"{selector}{{{light}}}\n@media(prefers-color-scheme:dark){{{selector}{{{dark}}}}}\n"


def variables() -> dict[str, str]:
    """Light colours in lower case -> `var(--name)`, to give a drawing the variables of `css`."""
    return {colour.light.lower(): f"var(--{name})" for name, colour in _NAMED.items()}
