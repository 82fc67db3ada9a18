"""Action formats and their conversion to quote offsets, and offsets in ticks as actions and back.

The core takes two numbers in [-1, 1] per market, for the bid and the ask offset from the public
mid, on the scale of `mm_gym.core.scales`: -1 is the mid, 0 an eighth of `max_offset`, 1 is
`max_offset`. The observation has the agent's own quotes on the same scale.
"""

import math
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mm_gym.config import ConfigurationError
from mm_gym.core.scales import action_of_offset, offset_of_action

ActionFormat = Literal["offsets", "spread_skew", "discrete"]

DISCRETE_OFFSETS = (0.125, 0.0, 0.04, 0.08, 0.18, 0.25, 0.4, 1.0)
"""Offsets a discrete action can choose for each side, as shares of `max_offset`. The first is what
0 means in the continuous formats, so that action 0 quotes close to the touch."""

_CHOICES = len(DISCRETE_OFFSETS)
# Row a holds the bid and ask offset of discrete action a, in the core's [-1, 1].
_DISCRETE_TABLE = action_of_offset(
    np.array([[bid, ask] for bid in DISCRETE_OFFSETS for ask in DISCRETE_OFFSETS]), 1.0
)
_DISCRETE_TABLE = _DISCRETE_TABLE.astype(np.float32)


def check_action_format(action_format: str) -> ActionFormat:
    """The action_format, if there is such a one.

    Raises:
        ConfigurationError: if there is not.
    """
    if action_format not in get_args(ActionFormat):
        raise ConfigurationError(
            f"action={action_format!r} is not offered; write one of {', '.join(map(repr, get_args(ActionFormat)))}"
        )
    return action_format  # type: ignore[return-value]


def action_space(action_format: ActionFormat) -> spaces.Space[Any]:
    """The space of one market's action."""
    if action_format == "discrete":
        return spaces.Discrete(_CHOICES * _CHOICES)
    return spaces.Box(-1.0, 1.0, (2,), np.float32)


def to_ticks(actions: npt.ArrayLike, max_offset: float) -> npt.NDArray[np.float64]:
    """Offsets from the public mid [ticks] that actions of the format `offsets` ask for, of the same
    shape.

    Numbers beyond [-1, 1] are clipped.
    """
    within = np.clip(np.asarray(actions, dtype=np.float64), -1.0, 1.0)
    return np.asarray(offset_of_action(within, max_offset))


def from_ticks(offsets: npt.ArrayLike, max_offset: float) -> npt.NDArray[np.float32]:
    """The actions of the format `offsets` that ask for these offsets from the public mid [ticks],
    of the same shape.

    Offsets beyond [0, max_offset] are clipped.
    """
    within = np.clip(np.asarray(offsets, dtype=np.float64), 0.0, max_offset)
    return np.asarray(action_of_offset(within, max_offset), np.float32)


def to_offsets(
    action_format: ActionFormat, actions: Any, n_markets: int
) -> npt.NDArray[np.float32]:
    """Actions of `n_markets` markets in the format `offsets`, shape (n_markets, 2).

    Numbers beyond [-1, 1] are clipped, by the core or here.

    Raises:
        ValueError: for a wrong shape, a number that is not finite, or a discrete action that does
            not exist.
    """
    if action_format == "discrete":
        return _from_discrete(actions, n_markets)
    offsets = _array(actions, np.float32)
    if offsets.shape != (n_markets, 2):
        raise ValueError(
            f"actions of shape {offsets.shape} came, (number of markets, 2) = ({n_markets}, 2) was wanted; "
            "write for each market the bid and the ask offset, scaled to [-1, 1]"
        )
    # The product is finite only if every number is. It takes half as long as np.isfinite.
    if not math.isfinite(np.vdot(offsets, offsets)) and not np.isfinite(offsets).all():
        market = int(np.flatnonzero(~np.isfinite(offsets).all(axis=1))[0])
        raise ValueError(
            f"the action of market {market} is {offsets[market].tolist()}, finite numbers in [-1, 1] were wanted; "
            "write those (has the policy diverged?)"
        )
    if action_format == "spread_skew":
        # In shares of max_offset: half-spread from 0 to 1, skew from -1 to 1; a positive skew moves
        # both quotes up.
        half_spread = offset_of_action(np.clip(offsets[:, 0].astype(np.float64), -1.0, 1.0), 1.0)
        skew = np.clip(offsets[:, 1].astype(np.float64), -1.0, 1.0) ** 3
        both = np.stack([half_spread - skew, half_spread + skew], axis=1)
        offsets = from_ticks(both, 1.0)
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
