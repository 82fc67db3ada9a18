"""Action formats and their conversion to quote offsets.

The core takes two numbers in [-1, 1] per market: the offsets of bid and ask from the public mid, on
the scale of `mm_gym.core.scales`. There, -1 is the mid, 0 is an eighth of `max_offset`, and 1 is
`max_offset`. The observation shows the agent's own quotes on the same scale. A third number
is optional: above `core.layout.TAKE_ABOVE`, a market order flattens the inventory.
"""

import math
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mm_gym.core.scales import action_of_offset, offset_of_action
from mm_gym.errors import ActionError, ConfigurationError

_FLOAT32 = np.dtype(np.float32)

ActionFormat = Literal["offsets", "spread_skew", "discrete", "quotes_and_take"]

DISCRETE_OFFSETS = (0.125, 0.0, 0.04, 0.08, 0.18, 0.25, 0.4, 1.0)
"""Offsets that a discrete action can choose for each side, as shares of `max_offset`.

The first one is the offset of action 0 in the continuous formats, so that the discrete action 0
quotes close to the touch, too."""

_CONTENT = {2: "a bid and an ask offset", 3: "a bid and an ask offset and a take"}
_CHOICES = len(DISCRETE_OFFSETS)
# Row a holds the bid and ask offset of discrete action a, on the core's scale [-1, 1].
_DISCRETE_TABLE = action_of_offset(
    np.array([[bid, ask] for bid in DISCRETE_OFFSETS for ask in DISCRETE_OFFSETS]), 1.0
)
_DISCRETE_TABLE = _DISCRETE_TABLE.astype(np.float32)


def check_action_format(action_format: str) -> ActionFormat:
    """The argument `action`, if it is the name of an action format.

    Raises:
        ConfigurationError: for any other value.
    """
    if not isinstance(action_format, str) or action_format not in get_args(ActionFormat):
        raise ConfigurationError(
            f"action={action_format!r} is not offered: "
            f"expected one of {', '.join(map(repr, get_args(ActionFormat)))}, got {action_format!r}"
        )
    return action_format  # type: ignore[return-value]


def action_space(action_format: ActionFormat) -> spaces.Space[Any]:
    """The action space of one market."""
    if action_format == "discrete":
        return spaces.Discrete(_CHOICES * _CHOICES)
    return spaces.Box(-1.0, 1.0, (_width(action_format),), np.float32)


def _width(action_format: ActionFormat) -> int:
    """Numbers in a continuous action."""
    return 3 if action_format == "quotes_and_take" else 2


def to_ticks(actions: npt.ArrayLike, max_offset: float) -> npt.NDArray[np.float64]:
    """Convert actions of the format `offsets` to offsets from the public mid.

    Args:
        actions: of any shape; numbers beyond [-1, 1] are clipped.
        max_offset: the configuration's `max_offset` [ticks].

    Returns:
        The offsets [ticks], of the same shape.
    """
    within = np.clip(np.asarray(actions, dtype=np.float64), -1.0, 1.0)
    return np.asarray(offset_of_action(within, max_offset))


def from_ticks(offsets: npt.ArrayLike, max_offset: float) -> npt.NDArray[np.float32]:
    """Convert offsets from the public mid to actions of the format `offsets`.

    Args:
        offsets: of any shape [ticks]; those beyond [0, max_offset] are clipped.
        max_offset: the configuration's `max_offset` [ticks].

    Returns:
        The actions, of the same shape.
    """
    within = np.clip(np.asarray(offsets, dtype=np.float64), 0.0, max_offset)
    return np.asarray(action_of_offset(within, max_offset), np.float32)


def decided_offsets(actions: Any, n_markets: int) -> npt.NDArray[np.float32]:
    """What an agent decided, for the core: the format `offsets`, or `quotes_and_take`.

    Args:
        actions: shape (n_markets, 2), or (n_markets, 3) with market orders.
        n_markets: number of markets.

    Returns:
        The same as `to_offsets`.

    Raises:
        ValueError: for a wrong shape or a number that is not finite.
    """
    takes = np.ndim(actions) == 2 and np.shape(actions)[1] == 3
    return to_offsets("quotes_and_take" if takes else "offsets", actions, n_markets)


def to_offsets(
    action_format: ActionFormat, actions: Any, n_markets: int
) -> npt.NDArray[np.float32]:
    """Convert actions of any format to the format `offsets`.

    Args:
        action_format: the format of `actions`.
        actions: shape (n_markets, 2), (n_markets, 3) for the format `quotes_and_take`, or
            (n_markets,) for the format `discrete`. Numbers beyond [-1, 1] mean -1 or 1; the core
            clips those of the formats `offsets` and `quotes_and_take`.
        n_markets: number of markets.

    Returns:
        Offsets of bid and ask on the core's scale, shape (n_markets, 2). The format
        `quotes_and_take` has a third column, which asks for a market order.

    Raises:
        ActionError: for a wrong shape, a number that is not finite, or a discrete action that does
            not exist.
    """
    if action_format == "discrete":
        return _from_discrete(actions, n_markets)
    offsets = _array(actions, np.float32)
    width = _width(action_format)
    if offsets.shape != (n_markets, width):
        raise ActionError(
            f"actions have a wrong shape: expected ({n_markets}, {width}), {_CONTENT[width]} for "
            f"each market, got {offsets.shape}"
        )
    # The total is finite only if every number is. It takes half as long as np.isfinite, or less.
    total = np.vdot(offsets, offsets)
    if not math.isfinite(total) and not np.isfinite(offsets).all():
        market = int(np.flatnonzero(~np.isfinite(offsets).all(axis=1))[0])
        raise ActionError(
            f"the action of market {market} is not finite: expected "
            f"{'two' if width == 2 else 'three'} numbers from -1 to 1, "
            f"got {offsets[market].tolist()} (check whether the policy has diverged)"
        )
    if action_format == "spread_skew":
        # Both are shares of max_offset: the half-spread from 0 to 1, the skew from -1 to 1. A
        # positive skew moves both quotes up.
        half_spread = offset_of_action(np.clip(offsets[:, 0].astype(np.float64), -1.0, 1.0), 1.0)
        skew = np.clip(offsets[:, 1].astype(np.float64), -1.0, 1.0) ** 3
        both = np.stack([half_spread - skew, half_spread + skew], axis=1)
        offsets = from_ticks(both, 1.0)
    return offsets if offsets.flags.c_contiguous else np.ascontiguousarray(offsets)


def to_offsets_of_one(action_format: ActionFormat, action: Any) -> npt.NDArray[np.float32]:
    """Convert the action of a single market, as `to_offsets` does for a batch of one.

    Args:
        action_format: the format of `action`.
        action: shape (2,), (3,) for the format `quotes_and_take`, or () for the format `discrete`.

    Raises:
        ActionError: as `to_offsets`.
    """
    array = _array(action)
    if (
        action_format == "offsets"
        and array.dtype is _FLOAT32
        and array.shape == (2,)
        and array.flags.c_contiguous
        and math.isfinite(sum(array.tolist()))
    ):
        return array[None]  # the usual case, in half the time
    width = _width(action_format)
    if action_format != "discrete" and array.shape != (width,):
        raise ActionError(
            f"the action has a wrong shape: expected ({width},), {_CONTENT[width]}, "
            f"got {array.shape}"
        )
    return to_offsets(action_format, array[None], 1)


def _from_discrete(actions: Any, n_markets: int) -> npt.NDArray[np.float32]:
    choices = _array(actions)
    if choices.shape != (n_markets,) or choices.dtype.kind not in "iu":
        raise ActionError(
            f"discrete actions are wrong: expected {n_markets} whole numbers from 0 to "
            f"{_CHOICES * _CHOICES - 1}, one for each market, "
            f"got shape {choices.shape} and type {choices.dtype}"
        )
    unknown = (choices < 0) | (choices >= _CHOICES * _CHOICES)
    if unknown.any():
        raise ActionError(
            f"discrete action is out of range: expected a whole number from 0 to "
            f"{_CHOICES * _CHOICES - 1}, got {choices[unknown][0]}"
        )
    return np.ascontiguousarray(_DISCRETE_TABLE[choices])


def _array(actions: Any, dtype: type[np.float32] | None = None) -> npt.NDArray[Any]:
    """The actions as an array.

    Raises:
        ActionError: if they cannot be converted.
    """
    if type(actions) is np.ndarray and actions.dtype is _FLOAT32:
        return actions  # the usual case
    try:
        array = np.asarray(actions)
        if array.dtype.kind in "cSUMmV":  # numpy would convert them somehow, with a warning
            raise ValueError(f"numbers cannot be {array.dtype}")
        if dtype is None or array.dtype == dtype:
            return array
        with np.errstate(over="ignore"):  # what overflows is not finite, and refused
            return array.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ActionError(
            f"actions are not an array of numbers: expected one action for each market, "
            f"got {actions!r}"
        ) from error
