"""What happened after the fills: the measures of adverse selection, fill by fill, as every table defines them.

With D = +1 for a taker's buy and -1 for a sell, p the fill's price, m_t the public mid just before it:

    effective half-spread     D (p - m_t)            earned
    adverse move at h         D (m_{t+h} - m_t)      positive hurts the maker
    markout at h              D (p - m_{t+h})        = effective half-spread - adverse move
    adverse fill             1 if the adverse move is positive, 1/2 for a tie, else 0

Each is given against the mid and, with the efficient price V in place of m, against the truth.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import ASK
from mm_gym.evaluation.rollout import Sessions


@dataclass(frozen=True)
class FillMeasures:
    """Measures of f fills: shape (f,), or (f, h) with NaN where the horizon passes the close. In ticks."""

    effective_half_spread: npt.NDArray[np.float64]
    adverse_move: npt.NDArray[np.float64]
    markout: npt.NDArray[np.float64]
    adverse_fill: npt.NDArray[np.float64]


def taker_direction(sessions: Sessions) -> npt.NDArray[np.float64]:
    """D of each fill, shape (f,): +1 where the agent's ask was taken."""
    return np.where(sessions.fills["side"] == ASK, 1.0, -1.0)


def against_mid(sessions: Sessions) -> FillMeasures:
    """The measures against the public mid, without the agent's own orders."""
    return _measure(sessions, sessions.fills["mid"], sessions.later_mid)


def against_value(sessions: Sessions) -> FillMeasures:
    """The measures against the efficient price, which the agent never sees."""
    return _measure(sessions, sessions.fills["efficient_price"], sessions.later_value)


def _measure(sessions: Sessions, before: npt.NDArray[np.float64], later: npt.NDArray[np.float64]) -> FillMeasures:
    direction = taker_direction(sessions)
    effective = direction * (sessions.fills["price"] - before)
    adverse = direction[:, None] * (later - before[:, None])
    return FillMeasures(
        effective_half_spread=effective,
        adverse_move=adverse,
        markout=effective[:, None] - adverse,
        adverse_fill=np.where(np.isnan(adverse), np.nan, 0.5 * (1.0 + np.sign(adverse))),
    )
