"""Drawing with Pillow: text, and charts with smooth lines, in the colours of the palette.

Coordinates are in pixels of the picture. Importing this module loads Pillow.
"""

import functools
import itertools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled

from mm_gym import palette

try:
    from PIL import Image, ImageColor, ImageDraw, ImageFont
except ImportError as error:
    raise DependencyNotInstalled(
        "Pillow is not installed: expected the packages of the extra `render` "
        '(write `pip install "mm-gym[render]"`)'
    ) from error

RGB = tuple[int, int, int]
Floats = npt.NDArray[np.float64]

_DETAIL = 2  # a chart is drawn at this multiple of its size and then reduced, so lines are smooth


def rgb(colour: palette.Colour, share: float = 1.0) -> RGB:
    """Return the colour on a dark background, mixed with 1 - `share` of the panels' colour."""
    own, panel = ImageColor.getrgb(colour.dark), ImageColor.getrgb(palette.PANEL.dark)
    red, green, blue = (
        round(share * a + (1.0 - share) * b) for a, b in zip(own[:3], panel[:3], strict=True)
    )
    return red, green, blue


_GRID, _MUTED, _PANEL = (rgb(colour) for colour in (palette.GRID, palette.MUTED, palette.PANEL))


def resized(frame: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return a picture of another size."""
    return np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


class Area(NamedTuple):
    """A rectangle of the picture. `right` and `bottom` are the first pixels outside it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def inside(self) -> tuple[int, int, int, int]:
        """The rectangle as Pillow defines it, with right and bottom inside."""
        return self.left, self.top, self.right - 1, self.bottom - 1


@functools.cache
def font(size: int) -> Any:
    """Return the font of all text, of a size in pixels."""
    return ImageFont.load_default(size)


@functools.lru_cache(4096)
def _letters(text: str, size: int) -> tuple[Image.Image, int, int]:
    """Return a line of text as a mask, and how far it reaches from its left middle.

    Most texts of a picture are in the picture before it, and drawing letters takes time.
    """
    left, top, right, bottom = font(size).getbbox(text, anchor="lm")
    mask = Image.new("L", (math.ceil(right - left) + 1, math.ceil(bottom - top) + 1))
    ImageDraw.Draw(mask).text((-left, -top), text, 255, font(size), "lm")
    return mask, math.floor(left), math.floor(top)


@functools.lru_cache(4096)
def width_of(text: str, size: int) -> float:
    """Return the width of a line of text [pixels]."""
    return float(font(size).getlength(text))


class Canvas:
    """An image, with methods that draw on it."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.pen = ImageDraw.Draw(image)

    @classmethod
    def plain(cls, width: int, height: int, colour: RGB) -> "Canvas":
        """Return an image of one colour."""
        return cls(Image.new("RGB", (width, height), colour))

    def copy(self) -> "Canvas":
        """Return a copy of the image."""
        return Canvas(self.image.copy())

    def write(
        self,
        at: tuple[float, float],
        text: str,
        colour: RGB,
        size: int = 13,
        anchor: str = "l",
        room: float = math.inf,
    ) -> None:
        """Write a line of text.

        Args:
            at: left end ("l"), middle ("m") or right end ("r") of the text, at half its height.
            text: to write.
            colour: of the letters.
            size: of the letters [pixels].
            anchor: what `at` is.
            room: the letters shrink if the text needs more pixels than this.
        """
        while size > 7 and width_of(text, size) > room:
            size -= 1
        mask, left, top = _letters(text, size)
        before = {"l": 0.0, "m": 0.5, "r": 1.0}[anchor] * width_of(text, size)
        self.image.paste(colour, (round(at[0] - before) + left, round(at[1]) + top), mask)

    def triangle(self, at: tuple[float, float], up: bool, radius: float, colour: RGB) -> None:
        """Draw a triangle around a point. It points up or down."""
        x, y = at
        towards = -radius if up else radius
        corners = [
            (x, y + towards),
            (x - radius, y - 0.8 * towards),
            (x + radius, y - 0.8 * towards),
        ]
        self.pen.polygon(corners, fill=colour)


class Chart:
    """A chart in an area of the picture: grid lines, then lines and marks, then `paste`.

    The range of values contains all `values`, is at least `smallest` wide, and ends at grid lines.
    x values are pixels from the left edge of the area.
    """

    def __init__(self, area: Area, values: Floats, smallest: float) -> None:
        self.area = area
        self._detail = Canvas.plain(_DETAIL * area.width, _DETAIL * area.height, _PANEL)
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        missing = max(smallest - (high - low), 1e-12 * abs(high))
        low, high = low - missing / 2, high + missing / 2
        step = round_step((high - low) / max(area.height // 24, 2))
        self._low = step * math.floor(low / step)
        self._high = step * math.ceil(high / step)
        self._levels = round_values(self._low, self._high, step)

    def y(self, values: Floats) -> Floats:
        """Return the rows of pixels of some values, from the top edge of the area."""
        share = (self._high - values) / (self._high - self._low)
        rows: Floats = np.round(4.0 + share * (self.area.height - 9.0))
        return rows

    def shade(self, left: float, right: float, colour: RGB) -> None:
        """Colour the background from one x value to before another."""
        if left >= right:
            return
        self._detail.pen.rectangle(
            (_DETAIL * left, 0, _DETAIL * right - 1, self._detail.image.height - 1), fill=colour
        )

    def level_lines(self, canvas: Canvas) -> None:
        """Draw grid lines at round values. Write the values at the left of the area."""
        for value in self._levels:
            y = float(self.y(np.array([value]))[0])
            self._horizontal(y, _GRID)
            label = f"{value:.0f}" if abs(value) < 1e15 else f"{value:.3g}"
            place = (self.area.left - 8, self.area.top + y)
            canvas.write(place, label, _MUTED, 12, "r", room=64)

    def upright_line(self, x: float) -> None:
        """Draw a grid line from top to bottom."""
        self._detail.pen.rectangle(
            (_DETAIL * x, 0, _DETAIL * x + 1, self._detail.image.height - 1), fill=_GRID
        )

    def zero_line(self) -> None:
        """Draw the line between gain and loss."""
        self._horizontal(float(self.y(np.zeros(1))[0]), _MUTED)

    def _horizontal(self, y: float, colour: RGB) -> None:
        self._detail.pen.rectangle(
            (0, _DETAIL * y, self._detail.image.width - 1, _DETAIL * y + _DETAIL - 1), fill=colour
        )

    def line(
        self,
        x: Floats,
        values: Floats,
        colour: RGB,
        width: float = 2.0,
        dash: int = 0,
        first: int = 0,
    ) -> None:
        """Draw a line through values. NaN values are gaps.

        Args:
            x: shape (n,).
            values: shape (n,).
            colour: of the line.
            width: of the line [pixels].
            dash: number of values that each dash and each gap spans; 0 for a solid line.
            first: number of the first value. Dashes begin at multiples of 2 `dash`, so they move
                with the values when the chart scrolls.
        """
        points = self._points(x, values)
        for start, end in _runs(np.isfinite(values)):
            pieces = [(start, end)]
            if dash:
                begins = range(start - (first + start) % (2 * dash), end, 2 * dash)
                pieces = [(max(begin, start), min(begin + dash + 1, end)) for begin in begins]
            for begin, finish in pieces:
                if finish - begin > 1:
                    self._detail.pen.line(
                        points[begin:finish].ravel().tolist(),
                        fill=colour,
                        width=round(_DETAIL * width),
                        joint="curve",
                    )

    def dot(self, x: float, value: float, colour: RGB, radius: float = 3.5) -> None:
        """Draw a dot, unless the value is NaN."""
        if math.isfinite(value):
            ((x, y),) = self._points(np.array([x]), np.array([value])).tolist()
            radius *= _DETAIL
            self._detail.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def flat_pieces(self, x: Floats, values: Floats, colour: RGB) -> None:
        """Draw a flat piece from each x to the next at the value of the next. NaN is a gap."""
        rows = _DETAIL * self.y(values)
        for start, end in _runs(np.isfinite(values), rows):
            self._detail.pen.rectangle(
                (
                    _DETAIL * x[max(start - 1, 0)],
                    rows[start],
                    _DETAIL * x[end - 1],
                    rows[start] + 2 * _DETAIL - 1,
                ),
                fill=colour,
            )

    def bars(self, values: Floats, positive: RGB, negative: RGB) -> None:
        """Draw a bar from zero to each value, one pixel wide each. NaN is a gap."""
        zero = _DETAIL * float(self.y(np.zeros(1))[0])
        rows = _DETAIL * self.y(values)
        for start, end in _runs(np.isfinite(values) & (values != 0.0), rows):
            value, row = values[start], float(rows[start])
            self._detail.pen.rectangle(
                (_DETAIL * start, min(zero, row), _DETAIL * end - 1, max(zero, row)),
                fill=positive if value > 0.0 else negative,
            )

    def triangle(
        self, x: float, value: float, up: bool, colour: RGB, edge: RGB, filled: bool = True
    ) -> None:
        """Draw a triangle at a value. It points up or down."""
        ((x, y),) = self._points(np.array([x]), np.array([value])).tolist()
        for radius, fill in ((6.0, edge), (5.0, colour), (2.5, colour if filled else edge)):
            self._detail.triangle((x, y), up, _DETAIL * radius, fill)

    def paste(self, canvas: Canvas) -> None:
        """Put the chart into the picture."""
        canvas.image.paste(self._detail.image.reduce(_DETAIL), self.area[:2])

    def _points(self, x: Floats, values: Floats) -> Floats:
        # The centre of a pixel of the picture.
        return _DETAIL * np.stack([x, self.y(values)], axis=1) + _DETAIL / 2.0


def _runs(known: npt.NDArray[np.bool_], values: Floats | None = None) -> Iterable[tuple[int, int]]:
    """Return (start, end) of each longest run of True, of one value if `values` are given."""
    changes = known[1:] != known[:-1]
    if values is not None:
        changes |= values[1:] != values[:-1]
    borders = [0, *(np.flatnonzero(changes) + 1).tolist(), len(known)]
    return [
        (start, end) for start, end in itertools.pairwise(borders) if end > start and known[start]
    ]


def round_step(step: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, ... that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(max(step, 1.0)))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= step)


def round_values(low: float, high: float, step: float) -> list[float]:
    """Return the multiples of `step` between two values, with both."""
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [number * step for number in numbers]
