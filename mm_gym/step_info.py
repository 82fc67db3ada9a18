"""The `info` of a step: its keys, and the columns of the core's outcome that hold their values."""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import Outcome

INFO_COLUMNS = {
    "pnl": Outcome.PNL,
    "cash": Outcome.CASH,
    "inventory": Outcome.INVENTORY,
    "mid": Outcome.MID,
    "spread": Outcome.SPREAD,
    "efficient_price": Outcome.EFFICIENT_PRICE,
    "signal": Outcome.SIGNAL,
    "fills": Outcome.FILLS,
    "objective": Outcome.OBJECTIVE,
    "reward_wealth": Outcome.REWARD_WEALTH,
    "reward_risk": Outcome.REWARD_RISK,
    "reward_close_out": Outcome.REWARD_CLOSE_OUT,
}
"""Keys of `info`, and the columns of the core's outcome that hold their values."""
WHOLE_INFO = ("inventory", "fills")
"""Keys of `info` whose values are whole numbers."""

_NAMES = tuple(INFO_COLUMNS)
# The columns are neighbours, in the order of the names.
_COLUMNS = slice(min(INFO_COLUMNS.values()), max(INFO_COLUMNS.values()) + 1)
_whole = functools.lru_cache(maxsize=1024)(np.int64)  # a new scalar takes four times as long


def info_of(outcome: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The `info` of one market.

    Args:
        outcome: a row of the core's outcomes, with the columns of `layout.Outcome`.

    Returns:
        NumPy scalars, since some libraries read their `dtype`.
    """
    info: dict[str, Any] = dict(zip(_NAMES, outcome[_COLUMNS]))  # noqa: B905  (a check of the lengths is slow)
    for name in WHOLE_INFO:
        info[name] = _whole(info[name])
    return info


def info_columns(outcomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values of `info` of many markets: a view with one row per key of `INFO_COLUMNS`.

    Args:
        outcomes: shape (n, columns of `layout.Outcome`).
    """
    return outcomes.T[_COLUMNS]
