"""One market as text: the order book, the latest trades, and the agent's quotes and account.

The text shows only what a participant can see. Every line has at most 80 columns, so numbers that
do not fit are rounded.
"""

import functools
import itertools
import math
import os
import sys
from typing import Any

from mm_gym import palette
from mm_gym.core.layout import AGENT, ASK, BID, NO_ORDER, TAPE_ROWS, Outcome
from mm_gym.palette import Colour

WIDTH = 80  # [columns]
_DEPTH = 6  # levels shown a side
_N_ROWS = 1 + 2 * _DEPTH + 1  # the titles, the levels of both sides, and the mid between them
_NAMES, _COLOURS = ("bid", "ask"), (palette.BID, palette.ASK)
_OTHERS, _OWN = "▒", "█"  # lots in a bar

Line = list[tuple[str, Colour]]
"""One line of text: pieces with their colours."""
Queue = list[tuple[int, bool]]
"""Lots, and whether the order is the agent's, oldest first."""


def ladder(market: Any, parameters: Any) -> str:
    """Return one market, its record and its parameters, as text, in colour where `has_colour()`.

    Sizes are in lots, prices in ticks, money in ticks x lots. A bar shows the queue at a price: the
    oldest lots are next to the price, and `█` are the agent's lots. The latest trade is the first.
    """
    trades = _trades(market)
    room = WIDTH - len("  │ ") - _length(trades[0])
    lines = [_head(market, parameters), _rule(room, "┬")]
    for left, right in zip(_book(market, room), trades, strict=True):
        lines.append([(" ", palette.TEXT), *left, (" │ ", palette.GRID), *right])
    lines += [_rule(room, "┴"), _own_quote(market, BID), _own_quote(market, ASK), _pnl(market)]
    write = _coloured if has_colour() else _plain
    return "\n".join(write(line) for line in lines)


def has_colour() -> bool:
    """Return whether standard output is a terminal with colours.

    The environment variables NO_COLOR and FORCE_COLOR decide it where they are not empty.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def best_levels(book: Any, side: int, depth: int) -> list[tuple[int, Queue]]:
    """Return the best `depth` levels of a side as (price, queue), best price first.

    Neighbouring orders of other makers are summed.
    """
    n_levels = int(book["n_levels"][side])
    return [
        _level(book, side, index)
        for index in range(n_levels - 1, max(-1, n_levels - 1 - depth), -1)
    ]


def _level(book: Any, side: int, index: int) -> tuple[int, Queue]:
    level = book["levels"][side, index]
    queue: Queue = []
    slot = level["head"]
    while slot != NO_ORDER:
        order = book["orders"][slot]
        lots, own = int(order["lots"]), bool(order["owner"] == AGENT)
        if queue and not own and not queue[-1][1]:
            lots += queue.pop()[0]
        queue.append((lots, own))
        slot = order["younger"]
    price = int(level["key"]) * (1 if side == BID else -1)
    return price, queue


def lots_at(queue: Queue) -> int:
    """Return the lots of a whole queue."""
    return sum(lots for lots, _ in queue)


def short(lots: int) -> str:
    """Return a number of lots in at most five characters: 99999, 123k, 1.23M."""
    if lots < 100_000:
        return str(lots)
    mantissa, exponent = f"{lots:.2e}".split("e")
    power, digits = divmod(int(exponent), 3)
    return f"{float(mantissa) * 10**digits:.{2 - digits}f}{' kMGTPE'[power]}"


def _price(price: float) -> str:
    """Return a price of the book in at most 14 characters, or a mid in at most 16."""
    text, room = (str(price), 14) if isinstance(price, int) else (f"{price:.1f}", 16)
    return text if len(text) <= room else f"{price:.7g}"


def _money(amount: float) -> str:
    """Return an amount with its sign, in at most ten characters."""
    text = f"{amount:+.1f}"
    return text if len(text) <= 10 else f"{amount:+.3e}"


# -------------------------------------------------------------------------------------- order book


def _book(market: Any, room: int) -> list[Line]:
    """Return titles, the best levels, and the mid between them: `_N_ROWS` lines of `room` columns.

    A line has a bar, lots, price, lots and a bar. The bids fill its left, the asks its right half.
    """
    bids, asks = (best_levels(market["book"], side, _DEPTH) for side in (BID, ASK))
    totals = [lots_at(queue) for _, queue in bids + asks]
    for_price = max([6] + [len(_price(price)) for price, _ in bids + asks])
    for_lots = max([3] + [len(short(total)) for total in totals])
    half = (room - for_price - 4) // 2

    def row(bid: str, price: str, ask: str, colour: Colour, of_price: Colour) -> Line:
        pieces = [
            (f"{bid:>{half}}", colour),
            (f"  {price:>{for_price}}  ", of_price),
            (f"{ask:<{half}}", colour),
        ]
        return _padded(pieces, room)

    def level(side: int, price: int, queue: Queue) -> Line:
        lots = short(lots_at(queue))
        bar = _bar(queue, half - for_lots - 1, max(totals))
        bid, ask = f"{bar[::-1]} {lots:>{for_lots}}", f"{lots:<{for_lots}} {bar}"
        of_price = _COLOURS[side] if any(own for _, own in queue) else palette.TEXT
        if side == BID:
            return row(bid, _price(price), "", palette.BID, of_price)
        return row("", _price(price), ask, palette.ASK, of_price)

    muted, empty = palette.MUTED, _padded([], room)
    above = [level(ASK, *place) for place in asks] or [[(f"{'no asks':^{room}}", muted)]]
    below = [level(BID, *place) for place in bids] or [[(f"{'no bids':^{room}}", muted)]]
    return [
        row("bids", "price", "asks", muted, muted),
        *[empty] * (_DEPTH - len(above)),
        *above[::-1],
        _middle(market, room),
        *below,
        *[empty] * (_DEPTH - len(below)),
    ]


def _middle(market: Any, room: int) -> Line:
    """Return the mid and, except in the dealer market, the spread, with dashes on both sides."""
    spread = float(market["outcome"][Outcome.SPREAD])
    text = f" {_price(float(market['mid']))} "
    if spread > 0.0:
        text += " spread " + (f"{spread:.1f} " if spread < 1e5 else f"{spread:.1e} ")
    left, _, right = text.center(room, "┄").partition(text)
    return [(left, palette.GRID), (text, palette.TOTAL), (right, palette.GRID)]


def _bar(queue: Queue, room: int, most: int) -> str:
    """Return a queue as a bar, oldest lots first. A queue of `most` lots fills the room.

    If there is room enough, each character is one lot. Otherwise every order has at least one.
    """
    shown = queue if len(queue) <= room else [order for order in queue if order[1]] or queue[:room]
    share = 1.0 if most <= room else (room - len(shown)) / most
    least = 0 if most <= room else 1
    return "".join((_OWN if own else _OTHERS) * (least + int(lots * share)) for lots, own in shown)


# -------------------------------------------------------------------------- trades, quotes, account


def _trades(market: Any) -> list[Line]:
    """Return a title and the latest trades: `_N_ROWS` lines of equal width."""
    n_trades = int(market["n_trades"])
    rows = [
        market["tape"][number % TAPE_ROWS]
        for number in range(n_trades - 1, max(-1, n_trades - _N_ROWS), -1)
    ]
    lots, prices = (
        [short(int(row["lots"])) for row in rows],
        [_price(int(row["price"])) for row in rows],
    )
    owns = [short(int(row["own_lots"])) if row["own_lots"] else "" for row in rows]
    for_lots, for_price, for_own = (
        max([least] + [len(text) for text in texts])
        for least, texts in ((2, lots), (5, prices), (3, owns))
    )
    lines: list[Line] = []
    for row, lot, price, own in zip(rows, lots, prices, owns, strict=True):
        side = int(row["side"])
        lines.append(
            [
                ("buy  " if side == BID else "sell ", _COLOURS[side]),
                (f"{lot:>{for_lots}} @ {price:>{for_price}} ", palette.TEXT),
                (f"{own:>{for_own}}", _COLOURS[1 - side]),
                (f" {_age(float(market['time'] - row['time'])):>7} ", palette.MUTED),
            ]
        )
    width = 5 + for_lots + 3 + for_price + 1 + for_own + 9
    title: Line = [
        (f"{'latest trades':<{width - for_own - 9}}{'own':>{for_own}}{'age':>8} ", palette.MUTED)
    ]
    return [title, *lines, *[_padded([], width)] * (_N_ROWS - 1 - len(lines))]


def _age(seconds: float) -> str:
    """Return a time in at most seven characters."""
    if seconds < 999.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 99_999.5 else f"{seconds:.0e} s"


def _head(market: Any, parameters: Any) -> Line:
    """Return the time, the inventory and the number of fills."""
    account = market["account"]
    end = f"{parameters['session_steps'] * parameters['decision_interval']:.7g} s"
    closed = market["outcome"][Outcome.TERMINATED] > 0.0
    time = f" closed at {end}" if closed else f" {market['time']:.10g} s of {end}"
    held, fills = int(account["inventory"]), f"fills {account['n_fills']} "
    inventory = f"inventory {held:+d}" if held else "inventory 0"
    left = time + " " * max(2, (WIDTH - len(inventory)) // 2 - len(time))
    return [
        (left, palette.TEXT),
        (inventory, palette.TEXT if not held else _COLOURS[held < 0]),
        (f"{fills:>{WIDTH - len(left) - len(inventory)}}", palette.TEXT),
    ]


def _own_quote(market: Any, side: int) -> Line:
    """Return the price of the agent's quote on a side, its lots and its place in the queue."""
    slot, orders = int(market["quotes"]["slot"][side]), market["book"]["orders"]
    name, muted = f" own {_NAMES[side]} ", palette.MUTED
    if slot == NO_ORDER or orders[slot]["lots"] == 0:
        return [(f"{name} none", muted)]
    lots, price = int(orders[slot]["lots"]), int(orders[slot]["key"]) * (1 if side == BID else -1)
    ahead, behind = (_lots_along(orders, orders[slot][link], link) for link in ("older", "younger"))
    return [
        (f"{name} ", muted),
        (f"{_count(lots)} at {_price(price)}", _COLOURS[side]),
        (f", {ahead} of {_count(ahead + lots + behind)} ahead", palette.TEXT),
    ]


def _lots_along(orders: Any, slot: int, link: str) -> int:
    """Return the lots of this order and those that follow it through `link`, older or younger."""
    lots = 0
    while slot != NO_ORDER:
        lots, slot = lots + int(orders[slot]["lots"]), orders[slot][link]
    return lots


def _count(lots: int) -> str:
    return f"{lots} lot" if lots == 1 else f"{lots} lots"


def _pnl(market: Any) -> Line:
    """Return the PnL and its parts. The fees contain the cost of the close-out."""
    account = market["account"]
    parts = (
        ("spread", account["spread_pnl"], palette.SPREAD),
        ("inventory", account["inventory_pnl"], palette.INVENTORY),
        ("fees", 0.0 - account["fees"] - account["close_out"], palette.FEES),
    )
    line = [(f" PnL {_money(market['outcome'][Outcome.PNL])}  =", palette.TOTAL)]
    return line + [(f"  {name} {_money(amount)}", colour) for name, amount, colour in parts]


# ------------------------------------------------------------------------------- lines and colours


def _rule(room: int, cross: str) -> Line:
    return [("─" * (room + 2) + cross + "─" * (WIDTH - room - 3), palette.GRID)]


def _length(line: Line) -> int:
    return sum(len(text) for text, _ in line)


def _padded(line: Line, width: int) -> Line:
    return [*line, (" " * (width - _length(line)), palette.TEXT)]


def _plain(line: Line) -> str:
    return "".join(text for text, _ in line).rstrip()


def _coloured(line: Line) -> str:
    """Return a line with the codes of its colours, on a dark background of `WIDTH` columns."""
    pieces = (f"\x1b[38;5;{_code(colour)}m{text}" for text, colour in _padded(line, WIDTH) if text)
    return f"\x1b[48;5;{_code(palette.BACKGROUND)}m{''.join(pieces)}\x1b[0m"


@functools.cache
def _code(colour: Colour) -> int:
    """Return the nearest of the 240 fixed colours of a terminal, by its dark variant."""
    steps = (0, 95, 135, 175, 215, 255)
    cube = list(itertools.product(steps, repeat=3))
    greys = [(8 + 10 * shade,) * 3 for shade in range(24)]
    wanted = [int(colour.dark[place : place + 2], 16) for place in (1, 3, 5)]
    return 16 + min(range(240), key=lambda number: math.dist(wanted, (cube + greys)[number]))
