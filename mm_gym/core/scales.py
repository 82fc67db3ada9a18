"""The scales of what the agent says and sees: quote offsets as actions, inventory as a column, and
both back.

offset = max_offset ((1 + action) / 2)^3        column = asinh(inventory / 2)

The cube makes an action of 0 an eighth of `max_offset`, which is close to the touch, and gives half
of the range to offsets of up to there: that is where a tick matters most. The inverse hyperbolic
sine shows each of the first lots, and grows like a logarithm beyond them.

The formulas are plain Python, so that they take numbers in kernels and arrays in the faces.
"""

import numpy as np

from mm_gym.core.kernel import kernel

INVENTORY_UNIT = 2.0  # [lots]


def offset_of_action(action, max_offset):
    """[ticks] The offset that an action in [-1, 1] asks for."""
    share = 0.5 * (1.0 + action)
    return max_offset * share * share * share


def action_of_offset(offset, max_offset):
    """The action that asks for an offset [ticks]; below -1 for a quote beyond the mid."""
    return 2.0 * np.cbrt(offset / max_offset) - 1.0


def column_of_inventory(inventory):
    """The observation's column for an inventory [lots]."""
    return np.arcsinh(inventory / INVENTORY_UNIT)


def inventory_of_column(column):
    """[lots] The inventory that a column shows, not yet rounded."""
    return INVENTORY_UNIT * np.sinh(column)


offset_kernel = kernel(offset_of_action)
action_kernel = kernel(action_of_offset)
inventory_kernel = kernel(column_of_inventory)
