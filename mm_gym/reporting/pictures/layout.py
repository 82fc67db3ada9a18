"""Layout: places title, legend and panels of a drawing, and renders it as SVG and PNG.

Each drawing is rendered once for wide and once for narrow screens. Positions are computed in inches
from the length of the labels. This aligns the panels, and it is several times faster than
matplotlib's own layout, which measures every word.

An SVG holds the palette as CSS variables, so it is light or dark as the reader's system is.
"""

import io
import re
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mm_gym import palette
from mm_gym.reporting.pictures.style import (
    COLOUR_MAP,
    PAPER,
    SETTINGS,
    ColourScale,
    Drawing,
    Key,
    Panel,
    Picture,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE, _NARROW = 9.6, 4.2  # [inches]
_DPI = 140

# [inches]
_EDGE = 0.1
_TITLE_LINE = 0.19
_LEGEND_LINE = 0.157
_PANEL_TITLE_LINE = 0.165
_AXIS_LABEL = 0.19
_TICK_LABELS = 0.28  # below the axes
_RIGHT = 0.19  # half of the last tick's label
_BAR_RIGHT, _BAR_BELOW = 0.85, 0.62  # space for the colour bar
_BAR = 0.1  # thickness of the colour bar

# Characters per inch.
_TITLE_LETTERS = 11.5
_LETTERS = 15.5

_HANDLE = 0.45  # [inches] of a legend: the line or patch and the gaps


class _LegendShape(NamedTuple):
    """The shape of a legend."""

    labels: list[str]
    """Wrapped to fit."""
    columns: int
    lines: int
    """Height in lines of text."""


_Placed = dict[tuple[int, int], "Axes"]
"""(row, column) -> axes."""


def render(drawing: Drawing) -> Picture:
    """Render a drawing for wide and for narrow screens."""
    with _style():
        figure = _wide_figure(drawing)
        wide, png = _svg(figure), _png(figure)
        # A figure and its artists are a reference cycle: clearing it frees the memory at once.
        figure.clear()
        figure = _figure(drawing, _NARROW, drawing.narrow_columns, True)
        narrow = _svg(figure)
        figure.clear()
    return Picture(
        drawing.name,
        drawing.section,
        drawing.title,
        drawing.hint,
        drawing.caption,
        wide,
        narrow,
        png,
    )


def render_wide(drawing: Drawing) -> bytes:
    """Render a drawing for wide screens, as PNG on a light background."""
    with _style():
        figure = _wide_figure(drawing)
        png = _png(figure)
        figure.clear()
    return png


def _style() -> AbstractContextManager[None]:
    """A context that overrides the user's own matplotlib settings and restores them afterwards."""
    from matplotlib import style

    context: AbstractContextManager[None] = style.context(["default", SETTINGS])
    return context


def _wide_figure(drawing: Drawing) -> "Figure":
    return _figure(drawing, _WIDE, min(drawing.columns, len(drawing.panels)), drawing.by_row)


def _figure(drawing: Drawing, width: float, columns: int, by_row: bool) -> "Figure":
    from matplotlib.figure import Figure

    rows = -(-len(drawing.panels) // columns)
    figure = Figure(figsize=(width, 1.0), dpi=_DPI)
    placed: _Placed = {}
    for index, panel in enumerate(drawing.panels):
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        panel.draw(axes)
        axes.set_title(_panel_title(panel, width / columns))
        placed[divmod(index, columns) if by_row else divmod(index, rows)[::-1]] = axes
    _share(drawing.panels, list(placed.values()))
    _drop_repeated_labels(placed)
    title = textwrap.wrap(drawing.title, int((width - 2.0 * _EDGE) * _TITLE_LETTERS))
    legend = _shape_legend(drawing.keys, width)
    head = _EDGE + _TITLE_LINE * len(title) + _LEGEND_LINE * legend.lines + 0.1 * bool(drawing.keys)
    height = _arrange(figure, placed, drawing, head)
    edge, top = _EDGE / width, 1.0 - _EDGE / height
    figure.text(edge, top, "\n".join(title), va="top", size=10, weight="bold", linespacing=1.25)
    if drawing.keys:
        _add_legend(figure, drawing.keys, legend, (edge, top - _TITLE_LINE * len(title) / height))
    return figure


def _svg(figure: "Figure") -> str:
    """The figure as SVG with the palette's variables, and coordinates rounded to 0.1 pt."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=_DPI, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|\s*\n\s*", " ", text)
    # Only inside tags: a tick label is a number too.
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d)\d{2,}", r"\1", tag[0]), text)
    variables = palette.variables()
    text = re.sub(r"#[0-9a-f]{6}\b", lambda code: variables.get(code[0], code[0]), text)
    inside = text.index(">") + 1
    return f"{text[:inside]}<style>{palette.css('svg')}</style>{text[inside:]}"


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # a dependency of matplotlib

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    # These pictures need at most 256 colours, and a palette takes a third of the bytes.
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3]).quantize(
        256, dither=Image.Dither.NONE
    )
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _panel_title(panel: Panel, width: float) -> str:
    letters = int(width * _LETTERS) - 6
    return "\n".join(wrapped(line, letters) for line in panel.title.split("\n"))


def _arrange(figure: "Figure", placed: _Placed, drawing: Drawing, head: float) -> float:
    """Size the figure and place its axes below a head of this height [inches].

    Returns:
        The height of the figure [inches].
    """
    rows, columns = (1 + max(place[axis] for place in placed) for axis in (0, 1))
    below = drawing.colour_scale is not None and columns == 1
    beside = drawing.colour_scale is not None and not below
    width = float(figure.get_figwidth())
    lefts = [
        drawing.tick_labels
        + _AXIS_LABEL * any(a.get_ylabel() for (_, c), a in placed.items() if c == column)
        for column in range(columns)
    ]
    across = (width - sum(lefts) - columns * _RIGHT - _BAR_RIGHT * beside) / columns
    over = [
        _PANEL_TITLE_LINE
        * max(len(a.get_title("left").splitlines()) for (r, _), a in placed.items() if r == row)
        + 0.12
        for row in range(rows)
    ]
    under = [
        _TICK_LABELS + _AXIS_LABEL * any(a.get_xlabel() for (r, _), a in placed.items() if r == row)
        for row in range(rows)
    ]
    height = head + sum(over) + sum(under) + rows * drawing.panel_height + _BAR_BELOW * below + 0.02
    figure.set_size_inches(width, height)
    for (row, column), axes in placed.items():
        left = sum(lefts[: column + 1]) + column * (across + _RIGHT)
        top = head + sum(over[: row + 1]) + sum(under[:row]) + row * drawing.panel_height
        bottom = height - top - drawing.panel_height
        axes.yaxis.set_label_coords(-(drawing.tick_labels - 0.02) / across, 0.5)
        axes.set_position(
            (left / width, bottom / height, across / width, drawing.panel_height / height)
        )
    if drawing.colour_scale is not None:
        if below:
            box = (lefts[0] / width, (_BAR_BELOW - 0.14) / height, across / width, _BAR / height)
        else:
            beside_it = axes.get_position()
            box = (1.0 - _BAR_RIGHT / width, beside_it.y0, _BAR / width, beside_it.height)
        _add_colour_bar(figure, drawing.colour_scale, box, below)
    return height


def _add_colour_bar(
    figure: "Figure", scale: ColourScale, box: tuple[float, float, float, float], below: bool
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(scale.low, scale.high), COLOUR_MAP)
    orientation = "horizontal" if below else "vertical"
    figure.colorbar(colours, cax=figure.add_axes(box), label=scale.label, orientation=orientation)


def _shape_legend(keys: Sequence[Key], width: float) -> _LegendShape:
    labels = [wrapped(key.label, int((width - _EDGE - _HANDLE) * _LETTERS)) for key in keys]
    if not labels:
        return _LegendShape(labels, 1, 0)
    lines = [label.split("\n") for label in labels]
    longest = max(len(line) for label in lines for line in label) / _LETTERS + _HANDLE
    columns = max(1, min(len(labels), int(width / longest)))
    return _LegendShape(labels, columns, -(-len(labels) // columns) * max(map(len, lines)))


def _add_legend(
    figure: "Figure", keys: Sequence[Key], shape: _LegendShape, corner: tuple[float, float]
) -> None:
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [
        Patch(facecolor=key.colour, hatch=key.hatch, edgecolor=PAPER, linewidth=0, alpha=key.alpha)
        if key.filled
        else Line2D([], [], color=key.colour, linestyle=key.line, marker=key.marker)
        for key in keys
    ]
    legend = figure.legend(
        handles,
        ["label"] * len(handles),
        loc="upper left",
        bbox_to_anchor=corner,
        ncols=shape.columns,
        borderaxespad=0.0,
        borderpad=0.2,
        columnspacing=1.4,
        handlelength=1.8,
        labelspacing=0.35,
    )
    for text, label in zip(legend.get_texts(), shape.labels, strict=True):
        # Set here, because matplotlib leaves out entries whose label starts with an underscore.
        text.set_text(label)


def _share(panels: Sequence[Panel], all_axes: Sequence["Axes"]) -> None:
    """Give all panels of the same `share_y` the same range of y."""
    for group in {panel.share_y for panel in panels} - {""}:
        members = [
            axes for panel, axes in zip(panels, all_axes, strict=True) if panel.share_y == group
        ]
        limits = [axes.get_ylim() for axes in members]
        for axes in members:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _drop_repeated_labels(placed: _Placed) -> None:
    """Drop x labels that the panel below has, and y labels that the panel to the left has."""
    labels = {place: (axes.get_xlabel(), axes.get_ylabel()) for place, axes in placed.items()}
    for (row, column), (x_label, y_label) in labels.items():
        if labels.get((row + 1, column), ("", ""))[0] == x_label:
            placed[row, column].set_xlabel("")
        if labels.get((row, column - 1), ("", ""))[1] == y_label:
            placed[row, column].set_ylabel("")
