"""Errors of a configuration, and the hint that ends their messages.

A message is one sentence: `<what is wrong>: expected <what>, got <what>`.
"""

import difflib
from collections.abc import Iterable

_LONGEST = 2000  # characters of a message


class SentenceError(ValueError):
    """An error whose message is one line, whatever values it shows."""

    def __str__(self) -> str:
        text = " ".join(super().__str__().split())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 300]} ... {text[-300:]}"


class ActionError(SentenceError):
    """An action that no market takes."""


class ConfigurationError(SentenceError):
    """A configuration that no market can have, or an argument that no environment takes."""


class UnknownKeywordError(TypeError, ConfigurationError):
    """An unknown keyword. It is a `TypeError`, as Python's own error is.

    Libraries try a constructor with optional keywords. After a `TypeError` they try without them.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message: the known name most like `name`, or all known names.

    Args:
        name: the unknown name.
        known: the names to choose from.
    """
    names = list(known)
    matches = difflib.get_close_matches(name[:100], names, n=1, cutoff=0.5)
    if matches:
        return f"did you mean {matches[0]!r}?"
    return f"known are {', '.join(sorted(names))}"
