"""How every picture looks, and what it is made of: one palette, and drawings of panels, that
`layout` puts in place.

Matplotlib is loaded when something is drawn, and nothing of it is global: no pyplot, no settings
left behind.
"""

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mm_gym.evaluation.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008): told apart with any colour vision, and by their lightness on paper.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#56B4E9",
)
INK, MUTED, FAINT = "#1f2328", "#6e7781", "#d0d7de"
SERIES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
COLOUR_MAP = "viridis"

SETTINGS = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 8.5,
    "font.size": 8.5,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
    "text.color": INK,
    "text.parse_math": False,  # a name with $ in it is a name
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 7.5,
}


Line = Literal["-", "--", ""]
"""Matplotlib's style of a line: drawn, dashed, none."""


@dataclass(frozen=True)
class Key:
    """One line of a legend."""

    label: str
    colour: str
    line: Line = "-"
    marker: str = ""
    filled: bool = False
    """A patch of colour, for bars and bands."""


@dataclass(frozen=True)
class Series:
    """Estimates along x, drawn as a line in a band."""

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
    """Panels with the same word have the same range of y."""


@dataclass(frozen=True)
class ColourScale:
    """What the colours of heat maps mean."""

    low: float
    high: float
    label: str


@dataclass(frozen=True)
class Drawing:
    """What one picture shows, before it is laid out."""

    name: str
    """Of the file, without its ending."""
    section: str
    """The heading it belongs under."""
    title: str
    """Says what is seen."""
    caption: str
    """How to read it, and what it rests on."""
    panels: Sequence[Panel]
    keys: Sequence[Key] = ()
    columns: int = 3
    narrow_columns: int = 1
    by_row: bool = True
    """Whether panels are given row by row of the wide layout; False: column by column. The narrow
    one is by row."""
    panel_height: float = 1.85
    """[inches] Of the axes."""
    tick_labels: float = 0.5
    """[inches] Room for the words beside the y axis."""
    colour_scale: ColourScale | None = None


@dataclass(frozen=True)
class Picture:
    """A drawing as two PNG files' bytes."""

    name: str
    section: str
    title: str
    caption: str
    wide: bytes
    narrow: bytes


def unbroken(text: str) -> str:
    """Text whose `p = 0.4` and `2 s` stay in one piece where lines are broken."""
    return re.sub(r" (?=[=×])|(?<=[=×]) |(?<=\d) (?=s\b)", "\u00a0", text)


def wrapped(text: str, letters: int) -> str:
    """Text in lines of at most so many letters."""
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
    """Lines through estimates with their 95 percent intervals as bands; gaps where there is nothing
    to show.

    Args:
        lines: to draw.
        title, x_label, y_label: of the panel.
        neutral: where gain turns into loss, as a horizontal line.
        share_y: of the panel.
        finish: called with the axes in the end.
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
            say(axes, "no fills")
        elif neutral is not None:
            neutral_line(axes, neutral)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if finish is not None:
            finish(axes)

    return Panel(draw, title, share_y)


def neutral_line(axes: "Axes", y: float = 0.0) -> None:
    """Where gain turns into loss."""
    axes.axhline(y, color=INK, linewidth=0.8, zorder=1.5)


def say(axes: "Axes", words: str) -> None:
    """In a panel with nothing to show, the reason why."""
    paper = {"facecolor": "white", "edgecolor": "none"}
    axes.text(
        0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=MUTED, bbox=paper
    )
    axes.set_yticks([])
