"""How every picture looks: one palette, one layout for wide and for narrow screens, PNG through matplotlib's Agg.

A `Drawing` says what is to be seen; `render` lays it out twice, so that its words are readable on a telephone too.
Matplotlib is loaded when something is drawn, and nothing of it is global: no pyplot, no settings left behind.
"""

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mm_gym.evaluation.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with any colour vision, and by their lightness on paper.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
INK, MUTED, FAINT = "#1f2328", "#6e7781", "#d0d7de"
SERIES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
COLOUR_MAP = "viridis"

_WIDE, _NARROW = 9.6, 4.2  # [inches]
_WIDE_DPI, _NARROW_DPI = 140, 190
_LINE, _LEGEND_LINE = 0.19, 0.2  # [inches] height of a line of the title and of the legend
_LETTERS = 12.5  # of the title, an inch
_SMALL_LETTERS = 15.5  # of legends and panel titles
_SETTINGS = {
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
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 7.5,
}


@dataclass(frozen=True)
class Key:
    """One line of a legend."""

    label: str
    colour: str
    line: str = "-"
    """Matplotlib's style of the line, or "" for none."""
    marker: str = ""
    filled: bool = False
    """A patch of colour, for bars and bands."""


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
    """Whether panels are given row by row of the wide layout; False: column by column. The narrow one is by row."""
    panel_height: float = 2.4
    """[inches]"""
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


def render(drawing: Drawing) -> Picture:
    """Lay a drawing out for wide and for narrow screens."""
    from matplotlib import style

    with style.context(["default", _SETTINGS]):  # whatever the user's own settings are, which come back afterwards
        wide = _png(drawing, _WIDE, min(drawing.columns, len(drawing.panels)), _WIDE_DPI, drawing.by_row)
        narrow = _png(drawing, _NARROW, drawing.narrow_columns, _NARROW_DPI, True)
    return Picture(drawing.name, drawing.section, drawing.title, drawing.caption, wide, narrow)


def _png(drawing: Drawing, width: float, columns: int, dpi: int, by_row: bool) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(drawing.panels) // columns)
    title = textwrap.wrap(drawing.title, int(width * _LETTERS))
    legend_columns, legend_rows = _legend_shape(drawing.keys, width)
    head = 0.12 + _LINE * len(title) + (_LEGEND_LINE * legend_rows + 0.1 if legend_rows else 0.06)
    height = head + rows * drawing.panel_height
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0.0, 0.0, 1.0, 1.0 - head / height), w_pad=0.06, h_pad=0.05, wspace=0.02, hspace=0.03)
    edge = 0.08 / width
    figure.text(edge, 1.0 - 0.1 / height, "\n".join(title), va="top", size=10, weight="bold", linespacing=1.25)
    if drawing.keys:
        top = 1.0 - (0.1 + _LINE * len(title)) / height
        _add_legend(figure, drawing.keys, legend_columns, (edge, top))
    places = [divmod(index, columns) if by_row else divmod(index, rows)[::-1] for index in range(len(drawing.panels))]
    grid = figure.add_gridspec(rows, columns)
    all_axes = [figure.add_subplot(grid[place]) for place in places]
    for panel, axes in zip(drawing.panels, all_axes, strict=True):
        panel.draw(axes)
        letters = int(width / columns * _SMALL_LETTERS) - 4
        axes.set_title("\n".join(textwrap.fill(line, letters) for line in panel.title.split("\n")))
    _share(drawing.panels, all_axes)
    _drop_repeated_labels(dict(zip(places, all_axes, strict=True)))
    if drawing.colour_scale is not None:
        _add_colour_bar(figure, drawing.colour_scale, all_axes, below=columns == 1)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None, "Title": drawing.title})
    figure.clear()
    return buffer.getvalue()


def _legend_shape(keys: Sequence[Key], width: float) -> tuple[int, int]:
    """Columns and rows of a legend."""
    if not keys:
        return 1, 0
    longest = max(len(key.label) for key in keys) / _SMALL_LETTERS + 0.45
    columns = max(1, min(len(keys), int(width / longest)))
    return columns, -(-len(keys) // columns)


def _add_legend(figure: "Figure", keys: Sequence[Key], columns: int, corner: tuple[float, float]) -> None:
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [
        Patch(facecolor=key.colour, label=key.label)
        if key.filled
        else Line2D([], [], color=key.colour, linestyle=key.line or "none", marker=key.marker, label=key.label)
        for key in keys
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=corner,
        ncols=columns,
        borderaxespad=0.0,
        borderpad=0.2,
        columnspacing=1.4,
        handlelength=1.8,
        labelspacing=0.35,
    )


def _share(panels: Sequence[Panel], all_axes: Sequence["Axes"]) -> None:
    for word in {panel.share_y for panel in panels} - {""}:
        members = [axes for panel, axes in zip(panels, all_axes, strict=True) if panel.share_y == word]
        limits = [axes.get_ylim() for axes in members]
        for axes in members:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _drop_repeated_labels(placed: dict[tuple[int, int], "Axes"]) -> None:
    """An axis label that the panel below, or the one to the left, says as well is said once."""
    below = {
        place: placed[(row + 1, column)] for place in placed for row, column in [place] if (row + 1, column) in placed
    }
    left = {
        place: placed[(row, column - 1)] for place in placed for row, column in [place] if (row, column - 1) in placed
    }
    doubled_x = [place for place, other in below.items() if other.get_xlabel() == placed[place].get_xlabel()]
    doubled_y = [place for place, other in left.items() if other.get_ylabel() == placed[place].get_ylabel()]
    for place in doubled_x:
        placed[place].set_xlabel("")
    for place in doubled_y:
        placed[place].set_ylabel("")


def _add_colour_bar(figure: "Figure", scale: ColourScale, all_axes: Sequence["Axes"], below: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(scale.low, scale.high), COLOUR_MAP)
    figure.colorbar(
        colours,
        ax=list(all_axes),
        label=scale.label,
        location="bottom" if below else "right",
        aspect=30,
        fraction=0.06 if below else 0.15,
    )


def band(
    axes: "Axes",
    x: Sequence[float] | npt.NDArray[np.float64],
    estimates: Sequence[Estimate],
    colour: str,
    line: str = "-",
    marker: str = "o",
) -> None:
    """A line through estimates with their 95 percent intervals as a band; gaps where there is nothing to show."""
    value, low, high = (
        np.array([getattr(estimate, part) for estimate in estimates]) for part in ("value", "low", "high")
    )
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, value, color=colour, linestyle=line, marker=marker)


def zero_line(axes: "Axes") -> None:
    """Where gain turns into loss."""
    axes.axhline(0.0, color=INK, linewidth=0.8, zorder=1.5)


def say_if_empty(axes: "Axes", reason: str) -> None:
    """In a panel whose lines have not one finite point, the reason why."""
    lines = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines if line.get_zorder() != 1.5]
    if not any(np.isfinite(y).any() for y in lines):
        axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=MUTED)
        axes.set_yticks([])
