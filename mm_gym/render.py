"""What a person sees of a market: the ladder, with the agent's own orders and their places in the queue."""

from collections.abc import Sequence
from typing import Any

from mm_gym.config import ConfigurationError
from mm_gym.core.layout import AGENT, ASK, BID, NO_ORDER

_DEPTH = 6  # levels shown a side
_WIDTH = 62


def check_render_mode(mode: str | None, offered: Sequence[str]) -> str | None:
    """The mode, if it is offered.

    Raises:
        ConfigurationError: if it is not.
    """
    if mode is not None and mode not in offered:
        raise ConfigurationError(f"render_mode={mode!r} is not offered; write None or one of {', '.join(offered)}")
    return mode


def ladder(market: Any) -> str:
    """The best levels of one market record as text: sizes in lots, prices in ticks, the agent's place in each queue.

    `>1<` is an order of the agent's for one lot, with what stands before it and behind it: `3 + >1< + 2`.
    """
    account = market["account"]
    pnl = float(account["cash"] + account["inventory"] * market["mid"] - account["close_out"])
    lines = [
        f"t = {market['time']:.1f} s   mid {market['mid']:.1f}   inventory {account['inventory']:+d}   PnL {pnl:+.1f}",
        f"{'bid lots':>24} | {'price':^8} | {'ask lots':<24}",
        "-" * _WIDTH,
    ]
    book = market["book"]
    asks = [_level(book, ASK, index) for index in _best(book, ASK)]
    bids = [_level(book, BID, index) for index in _best(book, BID)]
    lines += [f"{'':>24} | {price:^8d} | {queue:<24}" for price, queue in reversed(asks)] or [f"{'no asks':^{_WIDTH}}"]
    lines += [f"{queue:>24} | {price:^8d} | {'':<24}" for price, queue in bids] or [f"{'no bids':^{_WIDTH}}"]
    return "\n".join(line.rstrip() for line in lines)


def _best(book: Any, side: int) -> range:
    n_levels = int(book["n_levels"][side])
    return range(n_levels - 1, max(-1, n_levels - 1 - _DEPTH), -1)


def _level(book: Any, side: int, index: int) -> tuple[int, str]:
    """Price and queue of a level, oldest order first; runs of other people's orders are summed."""
    level = book["levels"][side, index]
    parts: list[str] = []
    others = 0
    slot = level["head"]
    while slot != NO_ORDER:
        order = book["orders"][slot]
        if order["owner"] == AGENT:
            parts += [str(others)] if others else []
            parts.append(f">{order['lots']}<")
            others = 0
        else:
            others += int(order["lots"])
        slot = order["younger"]
    parts += [str(others)] if others else []
    price = int(level["key"]) * (1 if side == BID else -1)
    return price, " + ".join(parts)
