"""One market as a picture: the order book and the latest trades, and the session so far.

On the left are the ladder, with one row per tick, and the latest trades. On the right are the price
in the latest `WINDOW` decisions with the agent's quotes and fills, and the inventory and the PnL of
the whole session. By default the picture shows only what a participant can see, so a policy may
learn from pixels. Importing this module loads Pillow.
"""

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym import palette
from mm_gym.core.layout import ASK, BID, INFORMED_TAKERS, Outcome
from mm_gym.rendering.canvas import (
    RGB,
    Area,
    Canvas,
    Chart,
    Floats,
    rgb,
    round_step,
    round_values,
    width_of,
)
from mm_gym.rendering.history import Past
from mm_gym.rendering.ladder import best_levels, lots_at, short

WIDTH, HEIGHT = 960, 540  # [pixels]
WINDOW = 160  # decisions in the price chart

_BACKGROUND, _PANEL, _GRID = rgb(palette.BACKGROUND), rgb(palette.PANEL), rgb(palette.GRID)
_MUTED, _TEXT = rgb(palette.MUTED), rgb(palette.TEXT)
_MID, _VALUE = rgb(palette.TOTAL, 0.6), rgb(palette.TOTAL)
# By side of the book. The agent's orders are brighter than those of others.
_OWN = (rgb(palette.BID), rgb(palette.ASK))
_PUBLIC = (rgb(palette.BID, 0.4), rgb(palette.ASK, 0.4))
_HELD = (rgb(palette.BID, 0.7), rgb(palette.ASK, 0.7))
_IN_WINDOW = rgb(palette.GRID, 0.5)  # background of the decisions that the price chart shows

# The row of the mid is in the middle of the ladder.
LADDER = Area(16, 92, 376, 415)
ROW_HEIGHT = 17
N_ROWS = LADDER.height // ROW_HEIGHT
_PRICE = Area(160, LADDER.top, 232, LADDER.bottom)
_LOTS_WIDTH = 40  # [pixels] room for the number of lots beside its bar
_SMALLEST_BAR = 3  # [pixels]

TAPE = Area(16, 446, 376, 526)
_TRADE_HEIGHT = 16
_TRADES = TAPE.height // _TRADE_HEIGHT

PRICE_CHART = Area(456, 92, 944, 280)
INVENTORY_CHART = Area(456, 326, 944, 386)
PNL_CHART = Area(456, 420, 944, 510)
_AFTER = 8  # [pixels] room to the right of the latest decision in the price chart

_HEADINGS = (
    "time [s]",
    "mid [ticks]",
    "spread [ticks]",
    "inventory [lots]",
    "fills",
    "PnL [ticks x lots]",
)
_CELL = (WIDTH - 32) // len(_HEADINGS)


def draw(
    market: Any, parameters: Any, past: Past, show_truth: bool = False
) -> npt.NDArray[np.uint8]:
    """Draw one market.

    Args:
        market: a record of `core.layout.MARKET`.
        parameters: its record of `core.layout.PARAMETERS`.
        past: the stored past of its session.
        show_truth: whether to show what no participant sees: the efficient price and the signal,
            and by colour which takers were informed.

    Returns:
        The image, shape (HEIGHT, WIDTH, 3).
    """
    canvas = _frame(show_truth).copy()
    _draw_header(canvas, market)
    _draw_ladder(canvas, market)
    _draw_tape(canvas, market, show_truth)
    _draw_price(canvas, market, parameters, past, show_truth)
    _draw_session(canvas, market, parameters, past)
    return np.array(canvas.image)


def row_of(price: int, mid: float) -> int:
    """Return the row of a price in the ladder, 0 at the top. Rows beyond N_ROWS are not shown."""
    return N_ROWS // 2 + math.floor(mid) - price


@functools.cache
def _frame(show_truth: bool) -> Canvas:
    """Return the background that all pictures share."""
    canvas = Canvas.plain(WIDTH, HEIGHT, _BACKGROUND)
    for number, heading in enumerate(_HEADINGS):
        canvas.write((16 + number * _CELL, 16), heading, _MUTED, 12)
    canvas.pen.line([(16, 60), (WIDTH - 16, 60)], fill=_GRID)
    canvas.write((LADDER.left, 77), "bid lots", _MUTED)
    canvas.write(((_PRICE.left + _PRICE.right) / 2, 77), "price", _MUTED, anchor="m")
    canvas.write((LADDER.right, 77), "ask lots", _MUTED, anchor="r")
    canvas.write((TAPE.left, TAPE.top - 15), "latest trades", _MUTED)
    for area in (LADDER, TAPE):
        canvas.pen.rectangle(area.inside, fill=_PANEL)
    _draw_price_legend(canvas, show_truth)
    canvas.write((INVENTORY_CHART.left, INVENTORY_CHART.top - 15), "inventory [lots]", _MUTED)
    canvas.write((PNL_CHART.left, PNL_CHART.top - 15), "PnL", _MUTED)
    return canvas


def _draw_price_legend(canvas: Canvas, show_truth: bool) -> None:
    """Write what the lines and marks of the price chart are."""
    x, y = float(PRICE_CHART.left), PRICE_CHART.top - 15
    for text, colour, dashed in (
        ("mid", _MID, False),
        *([("efficient price", _VALUE, True)] if show_truth else []),
        ("own bid", _OWN[BID], False),
        ("own ask", _OWN[ASK], False),
    ):
        _draw_sample(canvas, (x, y), colour, dashed)
        canvas.write((x + 20, y), text, _MUTED, 12)
        x += 20 + width_of(text, 12) + 12
    both = (True, False)
    marks: tuple[tuple[str, tuple[bool, ...], RGB], ...] = (
        (("noise", both, rgb(palette.NOISE)), ("informed", both, rgb(palette.INFORMED)))
        if show_truth
        else (("bought", (True,), _OWN[BID]), ("sold", (False,), _OWN[ASK]))
    )
    for text, ups, colour in marks:
        for up in ups:
            canvas.triangle((x + 5, y), up, 5, colour)
            if text == "noise":
                canvas.triangle((x + 5, y), up, 2, _BACKGROUND)
            x += 12
        canvas.write((x + 2, y), text, _MUTED, 12)
        x += width_of(text, 12) + 13


def _draw_sample(
    canvas: Canvas, at: tuple[float, float], colour: RGB, dashed: bool, width: int = 2
) -> None:
    """Draw the sample of a line for a legend, 16 pixels long."""
    x, y = at
    for start, end in ((0, 6), (9, 15)) if dashed else ((0, 15),):
        canvas.pen.line([(x + start, y), (x + end, y)], fill=colour, width=width)


def _draw_header(canvas: Canvas, market: Any) -> None:
    outcome = market["outcome"]
    closed = outcome[Outcome.TERMINATED] > 0.0
    inventory, spread = int(outcome[Outcome.INVENTORY]), float(outcome[Outcome.SPREAD])
    values = (
        (f"{market['time']:.10g}" + (" (closed)" if closed else ""), _TEXT),
        (f"{outcome[Outcome.MID]:.1f}", _TEXT),
        (f"{spread:.1f}" if spread > 0.0 else "-", _TEXT),  # zero in the dealer market
        (f"{inventory:+d}" if inventory else "0", _TEXT if not inventory else _OWN[inventory < 0]),
        (f"{market['account']['n_fills']}", _TEXT),
        (f"{outcome[Outcome.PNL]:+.1f}", _TEXT),
    )
    for number, (text, colour) in enumerate(values):
        canvas.write((16 + number * _CELL, 40), text, colour, 21, room=_CELL - 16)


# -------------------------------------------------------------------------------- ladder and trades


def _draw_ladder(canvas: Canvas, market: Any) -> None:
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
    canvas.pen.line([(LADDER.left, y), (LADDER.right - 1, y)], fill=_GRID)
    canvas.pen.rectangle((_PRICE.left, y, _PRICE.right - 1, y), fill=_PANEL)
    own = {price: side for side, price, queue in shown if any(own for _, own in queue)}
    top_price = math.floor(mid) + N_ROWS // 2
    for row in range(N_ROWS):
        price, y = top_price - row, LADDER.top + row * ROW_HEIGHT
        colour = _OWN[own[price]] if price in own else _TEXT if price == mid else _MUTED
        middle = ((_PRICE.left + _PRICE.right) / 2, y + ROW_HEIGHT / 2)
        canvas.write(middle, str(price), colour, anchor="m", room=_PRICE.width - 4)
    most = max((lots_at(queue) for _, _, queue in shown), default=1)
    for side, price, queue in shown:
        _draw_queue(canvas, side, LADDER.top + ROW_HEIGHT * row_of(price, mid), queue, most)
    for side, price in hidden:
        y = LADDER.top + 8 if price > mid else LADDER.bottom - 8
        x, anchor = ((LADDER.left + 4, "l"), (LADDER.right - 4, "r"))[side]
        room = _PRICE.left - LADDER.left - 8
        canvas.write((x, y), f"own at {price}", _OWN[side], 12, anchor, room)


def _draw_queue(
    canvas: Canvas, side: int, y: int, queue: list[tuple[int, bool]], most: int
) -> None:
    """Draw the lots at one price as a bar outwards from the price column, oldest order first.

    The other side of the row says how many lots the agent's order has, and how many are ahead.
    """
    outwards = -1 if side == BID else 1
    x = float(_PRICE.left if side == BID else _PRICE.right)
    room = _PRICE.left - LADDER.left - _LOTS_WIDTH
    ahead = 0
    for lots, own in queue:
        length = max(room * lots / most, _SMALLEST_BAR)
        ends = sorted((round(x), round(x + outwards * length) - outwards))
        colour = (_OWN if own else _PUBLIC)[side]
        canvas.pen.rectangle((ends[0], y + 2, ends[1], y + ROW_HEIGHT - 3), fill=colour)
        x += outwards * length
        if own:
            at, anchor = ((_PRICE.right + 8, "l"), (_PRICE.left - 8, "r"))[side]
            place = f"own {short(lots)}, " + (f"{short(ahead)} ahead" if ahead else "first")
            canvas.write((at, y + ROW_HEIGHT / 2), place, colour, 12, anchor)
        ahead += lots
    at, anchor = ((LADDER.left + 4, "l"), (LADDER.right - 4, "r"))[side]
    canvas.write((at, y + ROW_HEIGHT / 2), short(ahead), _TEXT, 13, anchor, room=_LOTS_WIDTH - 8)


def _draw_tape(canvas: Canvas, market: Any, show_truth: bool) -> None:
    """Write the latest trades of the session, the latest first. A triangle up is a taker buy."""
    n_trades, tape = int(market["n_trades"]), market["tape"]
    for line in range(min(_TRADES, n_trades)):
        trade = tape[(n_trades - 1 - line) % len(tape)]
        side, own = int(trade["side"]), int(trade["own_lots"])
        y = TAPE.top + (line + 0.5) * _TRADE_HEIGHT
        canvas.triangle((TAPE.left + 12, y), side == BID, 4, _OWN[side])
        cells = [
            (32, f"{trade['time']:.1f} s", _MUTED),
            (104, f"{short(int(trade['lots']))} at {trade['price']}", _TEXT),
        ]
        if own:
            done = "sold" if side == BID else "bought"
            cells.append((206, f"own {done} {short(own)}", _OWN[1 - side]))
        if show_truth:
            name = "informed" if _is_informed(trade) else "noise"
            cells.append((306, name, _taker_colour(trade)))
        for x, text, colour in cells:
            canvas.write((TAPE.left + x, y), text, colour, 12, room=96)


# ------------------------------------------------------------------------------------------ charts


def _draw_price(canvas: Canvas, market: Any, parameters: Any, past: Past, show_truth: bool) -> None:
    """Draw the latest decisions: mid, own quotes and fills, and the efficient price if wanted."""
    interval = float(parameters["decision_interval"])
    start, end = _window(market, parameters)
    first = max(past.first, start)

    def x_of(decisions: Any) -> Any:
        return np.round((decisions - start) * (PRICE_CHART.width - 1.0 - _AFTER) / (end - start))

    mid, value, bid, ask = (
        values[first - past.first :]
        for values in (past.mid, past.efficient_price, past.bid, past.ask)
    )
    x = x_of(np.arange(first, first + len(mid)))
    fills = past.fills[past.fills["time"] >= start * interval]
    shown = [mid, bid, ask, fills["price"].astype(float)] + [value] * show_truth
    chart = Chart(PRICE_CHART, np.concatenate(shown), smallest=8.0)
    step = round_step((end - start) * interval / 5)
    for time in round_values(start * interval, end * interval, step):
        at, text = float(x_of(time / interval)), f"{time:.6g} s"
        chart.upright_line(at)
        middle = min(PRICE_CHART.left + at, PRICE_CHART.right - width_of(text, 12) / 2)
        canvas.write((middle, PRICE_CHART.bottom + 13), text, _MUTED, 12, "m")
    chart.level_lines(canvas)
    for quotes, colour in ((bid, _OWN[BID]), (ask, _OWN[ASK])):
        chart.flat_pieces(x, quotes, colour)
    chart.line(x, mid, _MID)
    if show_truth:
        chart.line(x, value, _VALUE, dash=2, first=first)
    for fill in fills:
        bought = int(fill["side"]) == ASK  # the taker sold
        colour = _taker_colour(fill) if show_truth else _OWN[BID if bought else ASK]
        filled = not show_truth or _is_informed(fill)
        at = float(x_of(fill["time"] / interval))
        chart.triangle(at, float(fill["price"]), bought, colour, _BACKGROUND, filled)
    if len(mid):
        chart.dot(float(x[-1]), float(mid[-1]), _MID)
    chart.paste(canvas)


def _window(market: Any, parameters: Any) -> tuple[int, int]:
    """Return the first and the last decision of the price chart."""
    decisions = min(WINDOW, int(parameters["session_steps"]))
    start = max(int(market["steps"]) - decisions, 0)
    return start, start + decisions


def _is_informed(trade: Any) -> bool:
    return int(trade["kind"]) in INFORMED_TAKERS


def _taker_colour(trade: Any) -> RGB:
    return rgb(palette.INFORMED if _is_informed(trade) else palette.NOISE)


def _draw_session(canvas: Canvas, market: Any, parameters: Any, past: Past) -> None:
    """Draw inventory and PnL of the whole session. The background marks the price chart's part."""
    total = int(parameters["session_steps"])
    names = ("inventory", "pnl", "spread_pnl", "inventory_pnl")
    inventory, pnl, spread, holding = (
        _by_column(getattr(past, name), past.first, total) for name in names
    )
    fees = 0.0 - _by_column(past.fees + past.close_out, past.first, total)
    last = PNL_CHART.width - 1
    start, end = _window(market, parameters)
    shade = (start * last // total, end * last // total + 1) if end - start < total else (0, 0)

    chart = Chart(INVENTORY_CHART, np.append(inventory, 0.0), smallest=6.0)
    chart.shade(*shade, _IN_WINDOW)
    chart.level_lines(canvas)
    chart.bars(inventory, *_HELD)
    chart.zero_line()
    chart.paste(canvas)

    parts = (
        ("fees", fees, rgb(palette.FEES), 2, 2),
        ("inventory", holding, rgb(palette.INVENTORY), 2, 4),
        ("spread", spread, rgb(palette.SPREAD), 2, 0),
        ("total", pnl, rgb(palette.TOTAL), 3, 0),
    )
    chart = Chart(PNL_CHART, np.concatenate([[0.0], *[part[1] for part in parts]]), smallest=12.0)
    chart.shade(*shade, _IN_WINDOW)
    chart.level_lines(canvas)
    chart.zero_line()
    columns = np.arange(len(pnl), dtype=np.float64)
    right, y = float(PNL_CHART.right), PNL_CHART.top - 15
    for name, values, colour, width, dash in parts:
        chart.line(columns, values, colour, width, dash)
        if len(values):
            chart.dot(columns[-1], values[-1], colour, 1.5 + width / 2)
            text = f"{name} {values[-1]:+.1f}"
            canvas.write((right, y), text, colour, 12, "r")
            right -= width_of(text, 12) + 20
            _draw_sample(canvas, (right, y), colour, dash > 0, width)
            right -= 14
    chart.paste(canvas)

    duration = total * float(parameters["decision_interval"])
    for share, anchor in ((0.0, "l"), (0.5, "m"), (1.0, "r")):
        place = (PNL_CHART.left + share * PNL_CHART.width, PNL_CHART.bottom + 13)
        canvas.write(place, f"{share * duration:.6g} s", _MUTED, 12, anchor)


def _by_column(values: Floats, first: int, total: int) -> Floats:
    """Return one value per pixel column from the start of the session until now.

    A column between decisions k - 1 and k shows the value at k. Columns before the first stored
    decision are NaN. If a session has more decisions than columns, some decisions are left out, but
    never the latest.
    """
    last = PNL_CHART.width - 1
    end = first + len(values) - 1  # the latest decision
    columns = np.arange(-(-last * max(end, 0) // total) + 1)
    decisions = np.minimum(-(-columns * total // last), end)
    known = decisions >= first
    out = np.full(len(columns), np.nan)
    out[known] = values[decisions[known] - first]
    return out
