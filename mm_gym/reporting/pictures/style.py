"""The parts of a drawing and how all pictures look: colours, line styles, panels, legends.

Matplotlib is imported only when something is drawn. No code uses pyplot or changes matplotlib's
global settings.
"""

import base64
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

import numpy as np

from mm_gym import palette
from mm_gym.evaluation.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Drawings use the colours for light backgrounds. `layout` replaces them by variables in SVG.
BID, ASK = palette.BID.light, palette.ASK.light
NOISE, INFORMED = palette.NOISE.light, palette.INFORMED.light
SPREAD, INVENTORY, FEES = palette.SPREAD.light, palette.INVENTORY.light, palette.FEES.light
INK, MUTED, FAINT = palette.TEXT.light, palette.MUTED.light, palette.GRID.light
PAPER = palette.BACKGROUND.light
SERIES = tuple(colour.light for colour in palette.SERIES)
MARKERS = ("o", "s", "^", "D", "v", "P")
STROKES: tuple["Line", ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (6, 1.5, 1, 1.5, 1, 1.5)),
    (0, (8, 3)),
)
"""Line styles, one for each colour of `SERIES`."""
COLOUR_MAP = "viridis"
_NARROW_SCREEN = "(max-width: 44rem)"

SETTINGS = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 8.5,
    "figure.facecolor": PAPER,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 8.5,
    "hatch.linewidth": 1.6,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "mm_gym",  # equal drawings give equal files
    "text.color": INK,
    "text.parse_math": False,  # a $ in a name is not mathematics
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 7.5,
}

Line = Literal["-", "--", "-.", ":", ""] | tuple[int, tuple[float, ...]]
"""Matplotlib's line style: solid, dashed, dash-dotted, dotted, none, or its own dashes."""


@dataclass(frozen=True)
class Key:
    """One line of a legend."""

    label: str
    colour: str
    line: Line = "-"
    marker: str = ""
    filled: bool = False
    """Whether the legend shows a patch of colour, for bars and bands."""
    hatch: str = ""
    """Matplotlib's hatch of the patch."""
    alpha: float = 1.0
    """Opacity of the patch."""


@dataclass(frozen=True)
class Series:
    """Estimates along x, drawn as a line with a band for the intervals."""

    x: Sequence[float]
    estimates: Sequence[Estimate]
    colour: str
    line: Line = "-"
    marker: str = "o"


@dataclass(frozen=True)
class Panel:
    """One set of axes."""

    draw: Callable[["Axes"], None]
    title: str = ""
    share_y: str = ""
    """Panels with the same non-empty value share the range of y."""


@dataclass(frozen=True)
class ColourScale:
    """The range and the label of the colour bar of heat maps."""

    low: float
    high: float
    label: str


@dataclass(frozen=True)
class Drawing:
    """The contents of one picture, before layout."""

    name: str
    """Of the file, without its ending."""
    section: str
    """The heading in the report under which it appears."""
    title: str
    hint: str
    """One or two sentences on what to look for."""
    caption: str
    """How to read the picture, and its sample."""
    panels: Sequence[Panel]
    keys: Sequence[Key] = ()
    """Lines of the legend."""
    columns: int = 3
    """Columns of panels on wide screens."""
    narrow_columns: int = 1
    """Columns of panels on narrow screens."""
    by_row: bool = True
    """Whether panels fill the wide layout row by row. The narrow layout always does."""
    panel_height: float = 1.85
    """[inches] Of the axes."""
    tick_labels: float = 0.5
    """[inches] Width of the tick labels of the y axis."""
    colour_scale: ColourScale | None = None


@dataclass(frozen=True)
class Picture:
    """A rendered drawing."""

    name: str
    section: str
    title: str
    hint: str
    caption: str
    wide: str
    """SVG for wide screens."""
    narrow: str
    """SVG for narrow screens."""
    png: bytes
    """For wide screens, on a light background."""

    def _repr_html_(self) -> str:
        """The picture and its caption, for the report and for notebooks."""
        return (
            f"<figure><picture>"
            f'<source media="{_NARROW_SCREEN}" srcset="{_embedded(self.narrow)}">'
            f'<img src="{_embedded(self.wide)}" alt="{escape(self.title)}">'
            f"</picture><figcaption><strong>{escape(self.hint)}</strong> "
            f"{escape(self.caption)}</figcaption></figure>"
        )


def _embedded(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def unbroken(text: str) -> str:
    """Text with no-break spaces in expressions such as `p = 0.4` and `2 s`."""
    return re.sub(r" (?=[=×])|(?<=[=×]) |(?<=\d) (?=s\b)", "\u00a0", text)


def wrapped(text: str, letters: int) -> str:
    """Text in lines of at most `letters` characters."""
    return textwrap.fill(unbroken(text), letters)


def curves_panel(
    lines: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    neutral: float | None = 0.0,
    share_y: str = "",
    finish: Callable[["Axes"], None] | None = None,
) -> Panel:
    """A panel with lines through estimates and their 95 percent intervals as bands.

    NaN estimates are gaps.

    Args:
        lines: to draw.
        title, x_label, y_label: of the panel.
        neutral: y of a horizontal line between gain and loss; None for no line.
        share_y: see `Panel`.
        finish: called with the axes after everything is drawn.
    """

    def draw(axes: "Axes") -> None:
        for series in lines:
            value, low, high = np.array(series.estimates, dtype=np.float64).T
            axes.fill_between(series.x, low, high, color=series.colour, alpha=0.18, linewidth=0)
            axes.plot(
                series.x, value, color=series.colour, linestyle=series.line, marker=series.marker
            )
        if not any(
            np.isfinite(estimate.value) for series in lines for estimate in series.estimates
        ):
            write_message(axes, "no fills")
        elif neutral is not None:
            neutral_line(axes, neutral)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if finish is not None:
            finish(axes)

    return Panel(draw, title, share_y)


def neutral_line(axes: "Axes", y: float = 0.0) -> None:
    """A horizontal line between gain and loss."""
    axes.axhline(y, color=INK, linewidth=0.8, zorder=1.5)


def write_message(axes: "Axes", message: str) -> None:
    """Write into an empty panel why it is empty."""
    axes.text(
        0.5,
        0.5,
        message,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=MUTED,
        bbox={"facecolor": PAPER, "edgecolor": "none"},
    )
    axes.set_yticks([])
