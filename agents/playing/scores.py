"""What a hand-traded session earned, beside the makers on the same prices and takers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import INFORMED_TAKERS
from mm_gym.rendering.recording import Recording

HORIZON = 50.0  # [s] of the markout
HEADINGS = ("maker", "PnL", "spread", "inventory", "fees", "close-out", "fills", "informed", "|q|")
"""Columns of the table. Money is in ticks x lots, |q| is the mean absolute inventory [lots]."""


class Score(NamedTuple):
    """The figures of one recording. Markouts are means over fills [ticks], NaN without a fill."""

    maker: str
    pnl: float
    spread_pnl: float
    inventory_pnl: float
    fees: float
    close_out: float
    n_fills: int
    n_informed: int
    """Fills whose taker acted on information."""
    mean_abs_inventory: float
    markout: float
    markout_informed: float
    markout_others: float


def score(recording: Recording) -> Score:
    """Compute the figures of one recording."""
    last, fills = recording.decisions[-1], recording.fills
    markout = recording.markouts([HORIZON])[0][:, 0]
    informed = np.isin(fills["taker"], INFORMED_TAKERS)
    return Score(
        maker=recording.label,
        pnl=float(last["pnl"]),
        spread_pnl=float(last["spread_pnl"]),
        inventory_pnl=float(last["inventory_pnl"]),
        fees=float(last["fees"]),
        close_out=float(last["close_out"]),
        n_fills=len(fills),
        n_informed=int(informed.sum()),
        mean_abs_inventory=float(np.abs(recording.decisions["inventory"][1:]).mean()),
        markout=_mean(markout),
        markout_informed=_mean(markout[informed]),
        markout_others=_mean(markout[~informed]),
    )


def table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """The rows of a table, with `HEADINGS` as the first one."""
    rows = [
        (
            line.maker,
            *(f"{value:z.0f}" for value in line[1:6]),
            str(line.n_fills),
            str(line.n_informed),
            f"{line.mean_abs_inventory:.1f}",
        )
        for line in scores
    ]
    return [HEADINGS, *rows]


def sentences(scores: Sequence[Score]) -> list[str]:
    """The comparison in words, the player first.

    Args:
        scores: of the player and of the makers.
    """
    you = scores[0]
    takers = f"{you.n_informed} by informed takers" if you.n_informed else "none by informed takers"
    markout = "" if np.isnan(you.markout) else f", markout {you.markout:.1f} ticks"
    filled = f"you were filled {_times(you.n_fills)}, {takers}{markout}"
    if not you.n_fills:
        filled = "you were not filled"
    return [
        ", ".join(f"{line.maker} {line.pnl:.0f}" for line in scores) + f"; {filled}.",
        *_reasons(you, scores[1:]),
    ]


def _reasons(you: Score, makers: Sequence[Score]) -> list[str]:
    """What cost the player money: adverse selection, and inventory."""
    reasons = []
    if not np.isnan(you.markout_informed):
        others = f", the others {you.markout_others:+.1f}" * (not np.isnan(you.markout_others))
        reasons.append(
            f"Adverse selection: {HORIZON:g} s later, fills by informed takers were worth "
            f"{you.markout_informed:+.1f} ticks on average{others}."
        )
    held = f"you held {you.mean_abs_inventory:.1f} lots on average"
    if makers:
        best = max(makers, key=lambda line: line.pnl)
        held += f", {best.maker} {best.mean_abs_inventory:.1f}"
    word = "earned" if you.inventory_pnl >= 0.0 else "cost"
    reasons.append(
        f"The spread earned {you.spread_pnl:.0f}, inventory {word} {abs(you.inventory_pnl):.0f}: "
        f"{held}."
    )
    return reasons


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _mean(values: npt.NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
