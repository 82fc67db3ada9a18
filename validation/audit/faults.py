"""The codes of what can be wrong."""

from enum import IntEnum


class Fault(IntEnum):
    """What can be wrong. Other codes are those of `mm_gym.snapshots.FAULTS`."""

    TIME = 10
    """The clock went back, or an event is in the past."""
    NOT_A_NUMBER = 11
    """A price, the cash or the signal is not finite."""
    INVENTORY = 12
    """The position limit is exceeded, or the inventory moved by other lots than were filled."""
    CASH = 13
    """The agent's cash moved by another amount than its fills are worth."""
    WEALTH = 14
    """Marked wealth is not spread captured plus inventory PnL minus fees."""
    LOTS_LOST = 15
    """The taker traded other lots than left the queues."""
    MONEY_LOST = 16
    """The taker paid another amount than agent and makers received."""
    PRICE_PRIORITY = 17
    """A better price stayed in the book while a worse one traded."""
    TAPE = 18
    """The tape differs from the features of the flow, or has a trade of the wrong side."""
    CHANGED = 19
    """The event changed something that events of its kind do not change."""
    NOT_PULLED = 20
    """A background order beyond the efficient price stayed."""
    OUTCOME = 21
    """A value of the outcome is not a number, or differs from the account."""
    REWARD = 22
    """The reward is not the sum of its parts, or a part is not what its definition gives."""
    END = 23
    """The session ended too early or too late."""
    NOT_REPEATED = 24
    """The same session, stepped by the entry points of the environments, ended differently."""
