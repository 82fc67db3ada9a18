"""The three dialects in which an action may be said, and their translation into the core's own: offsets.

The core takes two numbers in [-1, 1] per market, bid and ask offset from the public mid, linear onto
[0, `max_offset`] ticks.
"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mm_gym.config import ConfigurationError

ActionDialect = Literal["offsets", "spread_skew", "discrete"]

DISCRETE_OFFSETS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""Offsets a discrete action can choose for each side, as shares of `max_offset`."""

_CHOICES = len(DISCRETE_OFFSETS)
# Row a holds the bid and ask offset of discrete action a, in the core's [-1, 1].
_DISCRETE_TABLE = np.array([[bid, ask] for bid in DISCRETE_OFFSETS for ask in DISCRETE_OFFSETS], np.float32) * 2.0 - 1.0


def check_dialect(dialect: str) -> ActionDialect:
    """The dialect, if there is such a one.

    Raises:
        ConfigurationError: if there is not.
    """
    if dialect not in get_args(ActionDialect):
        raise ConfigurationError(
            f"action={dialect!r} is not offered; write one of {', '.join(map(repr, get_args(ActionDialect)))}"
        )
    return dialect  # type: ignore[return-value]


def action_space(dialect: ActionDialect) -> spaces.Space[Any]:
    """The space of one market's action."""
    if dialect == "discrete":
        return spaces.Discrete(_CHOICES * _CHOICES)
    return spaces.Box(-1.0, 1.0, (2,), np.float32)


def to_ticks(offsets: npt.ArrayLike, max_offset: float) -> npt.NDArray[np.float64]:
    """The core's offsets in ticks from the public mid, of the same shape; numbers beyond [-1, 1] are clipped."""
    within = np.clip(np.asarray(offsets, dtype=np.float64), -1.0, 1.0)
    return np.asarray(0.5 * max_offset * (1.0 + within))


def to_offsets(dialect: ActionDialect, actions: Any, n_markets: int) -> npt.NDArray[np.float32]:
    """Actions of `n_markets` markets as the core's offsets, shape (n_markets, 2); numbers beyond [-1, 1] are clipped.

    Raises:
        ValueError: for a wrong shape, a number that is not finite, or a discrete action that does not exist.
    """
    if dialect == "discrete":
        return _from_discrete(actions, n_markets)
    offsets = _array(actions, np.float32)
    if offsets.shape != (n_markets, 2):
        raise ValueError(
            f"actions of shape {offsets.shape} came, (number of markets, 2) = ({n_markets}, 2) was wanted; "
            "write for each market the bid and the ask offset, scaled to [-1, 1]"
        )
    if not np.isfinite(offsets).all():
        market = int(np.flatnonzero(~np.isfinite(offsets).all(axis=1))[0])
        raise ValueError(
            f"the action of market {market} is {offsets[market].tolist()}, finite numbers in [-1, 1] were wanted; "
            "write those (has the policy diverged?)"
        )
    if dialect == "spread_skew":
        # In shares of max_offset: half-spread from 0 to 1, skew from -1 to 1; a positive skew moves both quotes up.
        half_spread = 0.5 * (1.0 + np.clip(offsets[:, 0], -1.0, 1.0))
        skew = np.clip(offsets[:, 1], -1.0, 1.0)
        both = np.stack([half_spread - skew, half_spread + skew], axis=1)
        offsets = np.clip(2.0 * both - 1.0, -1.0, 1.0).astype(np.float32)
    return np.ascontiguousarray(offsets)


def _from_discrete(actions: Any, n_markets: int) -> npt.NDArray[np.float32]:
    choices = _array(actions)
    if choices.shape != (n_markets,) or choices.dtype.kind not in "iu":
        raise ValueError(
            f"discrete actions of shape {choices.shape} and type {choices.dtype} came, {n_markets} whole numbers "
            f"were wanted; write one from 0 to {_CHOICES * _CHOICES - 1} for each market"
        )
    if ((choices < 0) | (choices >= _CHOICES * _CHOICES)).any():
        raise ValueError(
            f"discrete action {choices[(choices < 0) | (choices >= _CHOICES * _CHOICES)][0]} does not exist; "
            f"write one from 0 to {_CHOICES * _CHOICES - 1}"
        )
    return np.ascontiguousarray(_DISCRETE_TABLE[choices])


def _array(actions: Any, dtype: type[np.float32] | None = None) -> npt.NDArray[Any]:
    """The actions as an array; what cannot be one is refused in a sentence."""
    try:
        return np.asarray(actions, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"actions {actions!r} came, which are no array of numbers ({error}); an array was wanted; write one action "
            "for each market"
        ) from error
