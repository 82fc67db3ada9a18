"""One market as an image: the order book on the left, the session so far on the right.

The image shows only what a participant can see, never the efficient price or the signal. A policy
may therefore learn from pixels. Importing this module loads Pillow.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled

from mm_gym.core.layout import ASK, BID, Outcome
from mm_gym.rendering.history import Past
from mm_gym.rendering.ladder import best_levels

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    raise DependencyNotInstalled(
        "Pillow is not installed: expected the packages of the extra `render` "
        '(write `pip install "mm-gym[render]"`)'
    ) from error

WIDTH, HEIGHT = 960, 540  # [pixels]

Colour = tuple[int, int, int]
BACKGROUND: Colour = (17, 21, 28)
PANEL: Colour = (25, 30, 39)
GRID: Colour = (45, 52, 64)
MUTED: Colour = (139, 149, 163)
TEXT: Colour = (222, 228, 236)
# Blue for buying, orange for selling. The agent's orders are brighter.
PUBLIC_BID: Colour = (38, 78, 112)
PUBLIC_ASK: Colour = (112, 72, 30)
OWN_BID: Colour = (86, 190, 255)
OWN_ASK: Colour = (255, 166, 43)
PNL: Colour = (64, 200, 150)


class Area(NamedTuple):
    """A rectangle of the image [pixels]. `right` and `bottom` are the first pixels outside it."""

    left: int
    top: int
    right: int
    bottom: int


# The ladder has one row per tick. The row of the mid is in the middle.
LADDER = Area(16, 92, 376, 524)
ROW_HEIGHT = 18
N_ROWS = (LADDER.bottom - LADDER.top) // ROW_HEIGHT
_PRICE = Area(160, LADDER.top, 232, LADDER.bottom)
_LOTS_WIDTH = 40  # [pixels] room for the number of lots beside its bar
_SMALLEST_BAR = 3  # [pixels]

PRICE_CHART = Area(456, 92, 944, 296)
INVENTORY_CHART = Area(456, 332, 944, 408)
PNL_CHART = Area(456, 444, 944, 508)

_HEADINGS = ("time [s]", "mid [ticks]", "spread [ticks]", "inventory [lots]", "PnL [ticks x lots]")
_CELL = WIDTH // len(_HEADINGS)
_MARK = 3  # [pixels] radius of the dot at the end of a line


def draw(market: Any, past: Past) -> npt.NDArray[np.uint8]:
    """Draw one market.

    Args:
        market: a record of `core.layout.MARKET`.
        past: the stored decisions of its session.

    Returns:
        The image, shape (HEIGHT, WIDTH, 3).
    """
    image = _frame().copy()
    pen = ImageDraw.Draw(image)
    _draw_header(pen, market)
    _draw_ladder(pen, market)
    _draw_charts(pen, market, past)
    return np.array(image)


def row_of(price: int, mid: float) -> int:
    """Return the row of a price in the ladder, 0 at the top. Rows beyond N_ROWS are not shown."""
    return N_ROWS // 2 + math.floor(mid) - price


@functools.cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    colour: Colour,
    size: int = 13,
    anchor: str = "lm",
    room: float = math.inf,
) -> None:
    """Write a line of text. Shrink the letters if the text needs more than `room` pixels."""
    while size > 7 and _font(size).getlength(text) > room:
        size -= 1
    pen.text(at, text, fill=colour, font=_font(size), anchor=anchor)


@functools.cache
def _frame() -> Image.Image:
    """Return the background that all pictures share."""
    image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    pen = ImageDraw.Draw(image)
    for number, heading in enumerate(_HEADINGS):
        _write(pen, (16 + number * _CELL, 16), heading, MUTED, 12)
    pen.line([(16, 60), (WIDTH - 16, 60)], fill=GRID)
    _write(pen, (LADDER.left, 76), "bid lots", MUTED)
    _write(pen, ((_PRICE.left + _PRICE.right) / 2, 76), "price", MUTED, anchor="mm")
    _write(pen, (LADDER.right, 76), "ask lots", MUTED, anchor="rm")
    pen.rectangle(_inside(LADDER), fill=PANEL)
    for area in (PRICE_CHART, INVENTORY_CHART, PNL_CHART):
        pen.rectangle(_inside(area), fill=PANEL)
    x = float(PRICE_CHART.left)
    for text, colour in (
        ("price [ticks]:", MUTED),
        ("mid", TEXT),
        ("own bid", OWN_BID),
        ("own ask", OWN_ASK),
    ):
        _write(pen, (x, PRICE_CHART.top - 16), text, colour)
        x += _font(13).getlength(text) + 12
    _write(pen, (INVENTORY_CHART.left, INVENTORY_CHART.top - 16), "inventory [lots]", MUTED)
    _write(pen, (PNL_CHART.left, PNL_CHART.top - 16), "PnL [ticks x lots]", MUTED)
    return image


def _inside(area: Area) -> tuple[int, int, int, int]:
    """Return the rectangle as Pillow defines it, with right and bottom inside."""
    return area.left, area.top, area.right - 1, area.bottom - 1


def _draw_header(pen: ImageDraw.ImageDraw, market: Any) -> None:
    outcome = market["outcome"]
    closed = outcome[Outcome.TERMINATED] > 0.0
    inventory, spread = int(outcome[Outcome.INVENTORY]), float(outcome[Outcome.SPREAD])
    values = (
        (f"{market['time']:.10g}" + (" (closed)" if closed else ""), TEXT),
        (f"{outcome[Outcome.MID]:.1f}", TEXT),
        (f"{spread:.1f}" if spread > 0.0 else "-", TEXT),  # zero in the dealer market
        (f"{inventory:+d}" if inventory else "0", _colour_of(inventory)),
        (f"{outcome[Outcome.PNL]:+.1f}", TEXT),
    )
    for number, (text, colour) in enumerate(values):
        _write(pen, (16 + number * _CELL, 40), text, colour, 21, room=_CELL - 16)


def _colour_of(inventory: float) -> Colour:
    return OWN_BID if inventory > 0 else OWN_ASK if inventory < 0 else TEXT


# ------------------------------------------------------------------------------------------ ladder


def _draw_ladder(pen: ImageDraw.ImageDraw, market: Any) -> None:
    mid = float(market["mid"])
    shown: list[tuple[int, int, list[tuple[int, bool]]]] = []
    hidden: list[tuple[int, int]] = []  # the agent's orders beyond the ladder
    for side in (BID, ASK):
        for price, queue in best_levels(market["book"], side, len(market["book"]["levels"][side])):
            if 0 <= row_of(price, mid) < N_ROWS:
                shown.append((side, price, queue))
            elif any(own for _, own in queue):
                hidden.append((side, price))
    y = LADDER.top + ROW_HEIGHT * (row_of(math.floor(mid), mid) + 0.5 * (mid == math.floor(mid)))
    pen.line([(LADDER.left, y), (LADDER.right - 1, y)], fill=GRID)
    pen.rectangle((_PRICE.left, y, _PRICE.right - 1, y), fill=PANEL)
    own = {price: side for side, price, queue in shown if any(own for _, own in queue)}
    top_price = math.floor(mid) + N_ROWS // 2
    for row in range(N_ROWS):
        price, y = top_price - row, LADDER.top + row * ROW_HEIGHT
        colour = (OWN_BID, OWN_ASK)[own[price]] if price in own else TEXT if price == mid else MUTED
        middle = ((_PRICE.left + _PRICE.right) / 2, y + ROW_HEIGHT / 2)
        _write(pen, middle, str(price), colour, anchor="mm", room=_PRICE.right - _PRICE.left - 4)
    most = max((sum(lots for lots, _ in queue) for _, _, queue in shown), default=1)
    for side, price, queue in shown:
        _draw_queue(pen, side, LADDER.top + ROW_HEIGHT * row_of(price, mid), queue, most)
    for side, price in hidden:
        y = LADDER.top + 8 if price > mid else LADDER.bottom - 8
        x, anchor = ((LADDER.left + 4, "lm"), (LADDER.right - 4, "rm"))[side]
        _write(
            pen,
            (x, y),
            f"own at {price}",
            (OWN_BID, OWN_ASK)[side],
            12,
            anchor,
            room=_PRICE.left - LADDER.left - 8,
        )


def _draw_queue(
    pen: ImageDraw.ImageDraw, side: int, y: int, queue: list[tuple[int, bool]], most: int
) -> None:
    """Draw the lots at one price as a bar outwards from the price column, oldest order first."""
    outwards = -1 if side == BID else 1
    x = float(_PRICE.left if side == BID else _PRICE.right)
    room = _PRICE.left - LADDER.left - _LOTS_WIDTH
    for lots, own in queue:
        length = max(room * lots / most, _SMALLEST_BAR)
        colour = ((PUBLIC_BID, OWN_BID), (PUBLIC_ASK, OWN_ASK))[side][own]
        ends = sorted((round(x), round(x + outwards * length) - outwards))
        pen.rectangle((ends[0], y + 2, ends[1], y + ROW_HEIGHT - 3), fill=colour)
        x += outwards * length
    total = _short(sum(lots for lots, _ in queue))
    if side == BID:
        _write(pen, (LADDER.left + 4, y + ROW_HEIGHT / 2), total, TEXT, room=_LOTS_WIDTH - 8)
    else:
        _write(
            pen,
            (LADDER.right - 4, y + ROW_HEIGHT / 2),
            total,
            TEXT,
            anchor="rm",
            room=_LOTS_WIDTH - 8,
        )


def _short(lots: int) -> str:
    """Return a number of lots in at most five characters: 99999, 1.23M."""
    if lots < 100_000:
        return str(lots)
    power = min((len(str(lots)) - 1) // 3, 6)
    return f"{lots / 1000.0**power:.3g}{' kMGTPE'[power]}"


# ------------------------------------------------------------------------------------------ charts


def _draw_charts(pen: ImageDraw.ImageDraw, market: Any, past: Past) -> None:
    parameters = market["parameters"]
    total = int(parameters["session_steps"])
    mid, inventory, pnl, bid, ask = (_by_column(values, past.first, total) for values in past[1:])
    prices = np.concatenate([mid, bid, ask])
    scale = _draw_axis(pen, PRICE_CHART, prices, smallest=10.0)
    for quotes, colour in ((bid, OWN_BID), (ask, OWN_ASK)):
        _draw_dashes(pen, PRICE_CHART, scale(quotes), colour)
    _draw_line(pen, PRICE_CHART, scale(mid), TEXT)

    scale = _draw_axis(pen, INVENTORY_CHART, np.append(inventory, 0.0), smallest=6.0)
    _draw_bars(pen, INVENTORY_CHART, scale, inventory)
    scale = _draw_axis(pen, PNL_CHART, np.append(pnl, 0.0), smallest=12.0)
    _draw_line(pen, PNL_CHART, scale(pnl), PNL)

    duration = total * float(parameters["decision_interval"])
    y = PNL_CHART.bottom + 14
    for share, anchor in ((0.0, "lm"), (0.5, "mm"), (1.0, "rm")):
        x = PNL_CHART.left + share * (PNL_CHART.right - PNL_CHART.left)
        _write(pen, (x, y), f"{share * duration:.6g}" + (" s" if share else ""), MUTED, 12, anchor)


def _by_column(values: npt.NDArray[np.float64], first: int, total: int) -> npt.NDArray[np.float64]:
    """Return one value per pixel column from the start of the session until now.

    A column between decisions k - 1 and k shows the value at k. Columns before the first stored
    decision are NaN. If a session has more decisions than columns, some decisions are left out, but
    never the latest.
    """
    last = PRICE_CHART.right - PRICE_CHART.left - 1
    end = first + len(values) - 1  # the latest decision
    columns = np.arange(-(-last * max(end, 0) // total) + 1)
    decisions = np.minimum(-(-columns * total // last), end)
    known = decisions >= first
    out = np.full(len(columns), np.nan)
    out[known] = values[decisions[known] - first]
    return out


class _Scale(NamedTuple):
    """The map from values to rows of pixels."""

    area: Area
    low: float
    high: float

    def __call__(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        height = self.area.bottom - self.area.top - 5
        return np.round(self.area.top + 2 + height * (self.high - values) / (self.high - self.low))


def _draw_axis(
    pen: ImageDraw.ImageDraw, area: Area, values: npt.NDArray[np.float64], smallest: float
) -> _Scale:
    """Draw grid lines with labels and return the scale.

    The range contains all values and is at least `smallest` wide.
    """
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    missing = max(smallest - (high - low), 0.1 * (high - low), 1e-12 * abs(high))
    low, high = low - missing / 2, high + missing / 2
    scale = _Scale(area, low, high)
    step = _round_step((high - low) / max((area.bottom - area.top) / 20, 1))
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        y = float(scale(np.array([number * step]))[0])
        pen.line([(area.left, y), (area.right - 1, y)], fill=GRID)
        label = f"{number * step:.0f}" if abs(number * step) < 1e15 else f"{number * step:.3g}"
        if area.top + 2 <= y <= area.bottom - 4:
            _write(pen, (area.left - 8, y), label, MUTED, 12, "rm", room=64)
    return scale


def _round_step(step: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, ... that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(max(step, 1.0)))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= step)


def _draw_line(
    pen: ImageDraw.ImageDraw, area: Area, y: npt.NDArray[np.float64], colour: Colour
) -> None:
    known = np.flatnonzero(np.isfinite(y))
    if len(known):
        points = np.stack([area.left + known, y[known]], axis=1).ravel().tolist()
        if len(known) > 1:
            pen.line(points, fill=colour, width=2)
        x, last = points[-2:]
        pen.ellipse((x - _MARK, last - _MARK, x + _MARK, last + _MARK), fill=colour)


def _draw_dashes(
    pen: ImageDraw.ImageDraw, area: Area, y: npt.NDArray[np.float64], colour: Colour
) -> None:
    """Draw the values as points. Quotes jump, so a connecting line would mislead."""
    known = np.flatnonzero(np.isfinite(y))
    for thickness in (0, 1):
        pen.point(
            np.stack([area.left + known, y[known] + thickness], axis=1).ravel().tolist(),
            fill=colour,
        )


def _draw_bars(
    pen: ImageDraw.ImageDraw, area: Area, scale: _Scale, values: npt.NDArray[np.float64]
) -> None:
    zero = float(scale(np.zeros(1))[0])
    for column, (value, y) in enumerate(zip(values.tolist(), scale(values).tolist(), strict=True)):
        if math.isfinite(value) and value != 0.0:
            pen.line([(area.left + column, zero), (area.left + column, y)], fill=_colour_of(value))
    pen.line([(area.left, zero), (area.right - 1, zero)], fill=MUTED)
