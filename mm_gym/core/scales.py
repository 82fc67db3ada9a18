"""The scales of actions and of the inventory column, in both directions.

    offset = max_offset ((1 + action) / 2)^3        column = 1.2 asinh(inventory / 2)

An action of 0 is an offset of `max_offset` / 8, which is close to the touch. Half of the range of
actions covers offsets up to there, where a tick matters most. The inverse hyperbolic sine is nearly
linear for the first lots and grows like a logarithm beyond them.

The formulas are plain Python functions. Kernels call compiled versions with numbers, and the
environments call the plain versions with arrays.
"""

import numpy as np

from mm_gym.core.kernel import kernel

INVENTORY_UNIT = 2.0  # [lots]
INVENTORY_SCALE = 1.2
TABULATED_OFFSETS = 64
MARKET_COLUMNS = 0.3
"""Typical standard deviation of the columns of flow, mid moves, activity, spread and volatility.

It holds in noise flow with anchored makers. The inventory's is about 1. Price noise times inventory
is most of a reward's noise. With equal scales, learners fit reactions to past mid moves to that
noise before they control the inventory."""


def offset_of_action(action, max_offset):
    """Convert an action in [-1, 1] to an offset from the public mid [ticks]."""
    share = 0.5 * (1.0 + action)
    return max_offset * share * share * share


def action_of_offset(offset, max_offset):
    """Convert an offset [ticks] to an action. A quote beyond the mid gives an action below -1."""
    return 2.0 * np.cbrt(offset / max_offset) - 1.0


def column_of_inventory(inventory):
    """Convert an inventory [lots] to its value in the observation."""
    return INVENTORY_SCALE * np.arcsinh(inventory / INVENTORY_UNIT)


def inventory_of_column(column):
    """Convert a value in the observation to an inventory [lots], not rounded."""
    return INVENTORY_UNIT * np.sinh(column / INVENTORY_SCALE)


offset_kernel = kernel(offset_of_action)
_action_kernel = kernel(action_of_offset)
_inventory_kernel = kernel(column_of_inventory)

# Cube roots and logarithms take long, and most values are among these.
_TABULATED_LOTS = 64
_COLUMN_OF_LOTS = column_of_inventory(np.arange(_TABULATED_LOTS + 1))


@kernel
def inventory_kernel(inventory):
    """Call `column_of_inventory`, with a table for small whole numbers."""
    lots = abs(inventory)
    if lots > _TABULATED_LOTS:
        return _inventory_kernel(inventory)
    return _COLUMN_OF_LOTS[lots] if inventory >= 0 else -_COLUMN_OF_LOTS[lots]


def tabulated_actions(max_offset):
    """Return the actions for offsets of 0, 1/2, 1, ... ticks."""
    return action_of_offset(0.5 * np.arange(TABULATED_OFFSETS), max_offset)


@kernel
def action_kernel(offset, max_offset, actions):
    """Call `action_of_offset`, with the table `actions` for small offsets on the half-tick grid."""
    halves = 2.0 * offset
    if 0.0 <= halves < TABULATED_OFFSETS and halves == np.int64(halves):
        return actions[np.int64(halves)]
    return _action_kernel(offset, max_offset)
