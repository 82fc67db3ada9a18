"""The order book as text: one line per price, with the agent's orders and their queue places."""

from typing import Any

from mm_gym.core.layout import AGENT, ASK, BID, NO_ORDER

_DEPTH = 6  # levels shown a side
_WIDTH = 62


def ladder(market: Any) -> str:
    """Return the best levels of one market record as text, with sizes in lots and prices in ticks.

    `3 + >1< + 2` is a queue with an order of the agent of one lot, three lots before it and two
    lots behind it.
    """
    account = market["account"]
    pnl = float(account["cash"] + account["inventory"] * market["mid"] - account["close_out"])
    lines = [
        f"t = {market['time']:.1f} s   mid {market['mid']:.1f}   "
        f"inventory {account['inventory']:+d}   PnL {pnl:+.1f}",
        f"{'bid lots':>24} | {'price':^8} | {'ask lots':<24}",
        "-" * _WIDTH,
    ]
    asks = [(price, _text(queue)) for price, queue in best_levels(market["book"], ASK, _DEPTH)]
    bids = [(price, _text(queue)) for price, queue in best_levels(market["book"], BID, _DEPTH)]
    lines += [f"{'':>24} | {price:^8d} | {queue:<24}" for price, queue in reversed(asks)] or [
        f"{'no asks':^{_WIDTH}}"
    ]
    lines += [f"{queue:>24} | {price:^8d} | {'':<24}" for price, queue in bids] or [
        f"{'no bids':^{_WIDTH}}"
    ]
    return "\n".join(line.rstrip() for line in lines)


def best_levels(book: Any, side: int, depth: int) -> list[tuple[int, list[tuple[int, bool]]]]:
    """Return the best `depth` levels of a side as (price, queue), best price first.

    A queue is a list of (lots, whether the order is the agent's), oldest order first. Neighbouring
    orders of other makers are summed.
    """
    n_levels = int(book["n_levels"][side])
    return [
        _level(book, side, index)
        for index in range(n_levels - 1, max(-1, n_levels - 1 - depth), -1)
    ]


def _level(book: Any, side: int, index: int) -> tuple[int, list[tuple[int, bool]]]:
    level = book["levels"][side, index]
    queue: list[tuple[int, bool]] = []
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


def _text(queue: list[tuple[int, bool]]) -> str:
    return " + ".join(f">{lots}<" if own else str(lots) for lots, own in queue)
