"""Measures of adverse selection per fill, and measures of inventory per session.

D is +1 for a taker's buy and -1 for a taker's sell. p is the price of the fill. m_t is the public
mid just before the fill.

    effective half-spread     D (p - m_t)            earned
    adverse move at h         D (m_{t+h} - m_t)      positive hurts the maker
    markout at h              D (p - m_{t+h})        = effective half-spread - adverse move
    adverse fill at h         1 if the adverse move is positive, 1/2 for a tie, else 0

Each measure is computed against the mid, and against the efficient price V in place of m.

Inventory PnL can be attributed to fills. A fill of n lots changes the inventory by -D n until the
close T. So a session's inventory PnL is the sum of -D n (m_T - m_t) over its fills.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import ASK, INFORMED_TAKERS
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate, fill_sums, of_sums


@dataclass(frozen=True)
class FillMeasures:
    """Measures of f fills [ticks].

    Shape (f,), or (f, h) for measures at h horizons. NaN where the horizon passes the close.
    """

    effective_half_spread: npt.NDArray[np.float64]
    adverse_move: npt.NDArray[np.float64]
    markout: npt.NDArray[np.float64]
    adverse_fill: npt.NDArray[np.float64]


def taker_direction(sessions: Sessions) -> npt.NDArray[np.float64]:
    """D of each fill, shape (f,): +1 if the agent's ask was taken, -1 if its bid was."""
    return np.where(sessions.fills["side"] == ASK, 1.0, -1.0)


def against_mid(sessions: Sessions) -> FillMeasures:
    """The measures against the public mid, without the agent's own orders."""
    return _measure(sessions, sessions.fills["mid"], sessions.later_mid)


def against_value(sessions: Sessions) -> FillMeasures:
    """The measures against the efficient price, which the agent never sees.

    They are NaN for recorded data, whose efficient price nobody knows.
    """
    if sessions.config.makers == "recorded":
        unknown = np.full(len(sessions.fills), np.nan)
        return _measure(sessions, unknown, np.full_like(sessions.later_value, np.nan))
    return _measure(sessions, sessions.fills["efficient_price"], sessions.later_value)


def _measure(
    sessions: Sessions, before: npt.NDArray[np.float64], later: npt.NDArray[np.float64]
) -> FillMeasures:
    direction = taker_direction(sessions)
    effective = direction * (sessions.fills["price"] - before)
    adverse = direction[:, None] * (later - before[:, None])
    return FillMeasures(
        effective_half_spread=effective,
        adverse_move=adverse,
        markout=effective[:, None] - adverse,
        adverse_fill=np.where(np.isnan(adverse), np.nan, 0.5 * (1.0 + np.sign(adverse))),
    )


def inventory_pnl_of_fills(sessions: Sessions) -> npt.NDArray[np.float64]:
    """The inventory PnL of each fill until the close, shape (f,) [ticks x lots].

    The sum over the fills of a session is the session's inventory PnL.
    """
    later = sessions.final_mid[sessions.fill_session] - sessions.fills["mid"]
    return np.asarray(-taker_direction(sessions) * sessions.fills["lots"] * later)


def by_session(sessions: Sessions, of_fills: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum a figure per fill, shape (f,), over the fills of each session, shape (n,)."""
    return np.bincount(sessions.fill_session, weights=of_fills, minlength=len(sessions)).astype(
        np.float64
    )


def with_informed_takers(sessions: Sessions) -> npt.NDArray[np.bool_]:
    """Whether the taker of each fill acted on information, shape (f,)."""
    return np.asarray(np.isin(sessions.fills["taker"], INFORMED_TAKERS))


def unrealised_pnl(sessions: Sessions) -> npt.NDArray[np.float64]:
    """Unrealised PnL at the close: inventory x (mid - average cost), shape (n,) [ticks x lots].

    A fill that adds to the position averages the cost. A fill that reduces the position leaves the
    cost unchanged. A fill that crosses zero sets the cost to its own price.
    """
    unrealised = np.zeros(len(sessions))
    for session in range(len(sessions)):
        rows = sessions.fills[sessions.fill_session == session]
        inventory, cost = 0.0, 0.0
        for side, price, size in zip(
            rows["side"].tolist(), rows["price"].tolist(), rows["lots"].tolist(), strict=True
        ):
            signed = -size if side == ASK else size
            if inventory * signed >= 0.0:
                cost = (cost * abs(inventory) + price * size) / (abs(inventory) + size)
            elif size > abs(inventory):
                cost = price
            inventory += signed
        unrealised[session] = inventory * (sessions.final_mid[session] - cost)
    return unrealised


def difference_over_fills(
    sessions: Sessions,
    measure: npt.NDArray[np.float64],
    reference: Sessions,
    reference_measure: npt.NDArray[np.float64],
) -> Estimate:
    """The difference of two means over fills, of two agents or markets on the same sessions.

    The difference is paired: each resample draws the same sessions for both.

    Args:
        sessions: n sessions with f fills.
        measure: one figure per fill of `sessions`, shape (f,).
        reference: n sessions with g fills, on the same seeds.
        reference_measure: one figure per fill of `reference`, shape (g,).
    """
    sums = [
        *fill_sums(measure, sessions.fill_session, len(sessions)),
        *fill_sums(reference_measure, reference.fill_session, len(reference)),
    ]
    return of_sums(sums, lambda a, n, b, m: a / n - b / m)


def inventory_half_life(sessions: Sessions) -> Estimate:
    """The half-life of inventory [s]: ln 2 / -ln rho decision intervals.

    rho is the autocorrelation of inventory about zero from one decision to the next. The result is
    NaN if inventory does not revert.
    """
    before, after = sessions.inventory[:, :-1], sessions.inventory[:, 1:]
    interval = sessions.config.decision_interval

    def half_life(
        lagged: npt.NDArray[np.float64], squared: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            rho = np.clip(lagged / squared, 0.0, 1.0)
            return np.asarray(np.log(2.0) / -np.log(rho) * interval)

    return of_sums([(before * after).sum(axis=1), (before**2).sum(axis=1)], half_life)


def sharpe(sessions: Sessions) -> float:
    """Mean final PnL over its standard deviation between sessions; NaN if it does not vary."""
    spread = float(sessions.final_pnl.std(ddof=1)) if len(sessions) > 1 else 0.0
    return float(sessions.final_pnl.mean()) / spread if spread > 0.0 else float("nan")


def direction_correlation(sessions: Sessions, horizon_index: int) -> Estimate:
    """Correlation of the taker's direction D with the later move of the efficient price."""
    direction = taker_direction(sessions)
    move = sessions.later_value[:, horizon_index] - sessions.fills["efficient_price"]
    kept = ~np.isnan(move)
    sums: list[npt.NDArray[np.float64]] = [
        np.bincount(
            sessions.fill_session[kept], weights=weights[kept], minlength=len(sessions)
        ).astype(np.float64)
        for weights in (direction * move, move**2, np.ones_like(move))
    ]
    return of_sums(sums, lambda products, squares, count: products / np.sqrt(squares * count))
