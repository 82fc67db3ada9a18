"""The codes of what can be wrong."""

from enum import IntEnum


class Fault(IntEnum):
    """What can be wrong. Codes below 10 are those of `mm_gym.core.book.audit`."""

    TIME = 10
    """The clock went back, or an event is in the past."""
    NOT_A_NUMBER = 11
    """A price, the cash or the signal is not finite."""
    QUOTE = 12
    """The agent's orders in the book are not those of its quotes, or are too large."""
    INVENTORY = 13
    """The position limit is exceeded, or the inventory moved by other lots than were filled."""
    CASH = 14
    """The agent's cash moved by another amount than its fills are worth."""
    WEALTH = 15
    """Marked wealth is not spread captured plus inventory PnL minus fees."""
    LOTS_LOST = 16
    """The taker traded other lots than left the queues."""
    MONEY_LOST = 17
    """The taker paid another amount than agent and makers received."""
    PRICE_PRIORITY = 18
    """A better price stayed in the book while a worse one traded."""
    TAPE = 19
    """The tape differs from the features of the flow, or has a trade of the wrong side."""
    CHANGED = 20
    """The event changed something that events of its kind do not change."""
    NOT_PULLED = 21
    """A background order beyond the efficient price stayed."""
    MID = 22
    """The mid is not the midpoint of the public touch."""
    OBSERVATION = 23
    """A column is out of its bounds, or not a number."""
    OUTCOME = 24
    """A value of the outcome is not a number, or differs from the account."""
    REWARD = 25
    """The reward is not the sum of its parts, or a part is not what its definition gives."""
    END = 26
    """The session ended too early or too late."""
    NOT_REPEATED = 27
    """The same session, stepped by the entry points of the environments, ended differently."""
