"""Checks of the arguments that the environments share. Each returns the argument as its type."""

from typing import Any

import numpy as np

from mm_gym.errors import ConfigurationError

_MOST_THREADS = 1024


def check_count(name: str, number: Any, of: str = "", least: int = 1) -> int:
    """Check a whole number.

    Args:
        name: name of the argument.
        number: its value.
        of: the things that it counts, in the plural, where the name does not say it.
        least: the smallest number allowed.

    Raises:
        ConfigurationError: if it is anything else.
    """
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
        kind = f"a whole number of {of}" if of else "a whole number"
        raise ConfigurationError(
            f"{name}={number!r} is out of range: expected {kind}, at least {least}, got {number!r}"
        )
    return int(number)


def check_threads(threads: Any) -> int:
    """Check a number of threads.

    Raises:
        ConfigurationError: if it is not a whole number from 1 to 1,024.
    """
    if check_count("threads", threads, "threads") > _MOST_THREADS:
        raise ConfigurationError(
            f"threads={threads} is out of range: expected at most {_MOST_THREADS:,} threads, "
            f"got {threads}"
        )
    return int(threads)


def check_switch(name: str, value: Any) -> bool:
    """Check an argument that is True or False.

    Raises:
        ConfigurationError: if it is anything else.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigurationError(f"{name} is wrong: expected True or False, got {value!r}")
    return bool(value)


def check_unwinding_time(unwinding_time: Any, variance_reduction: bool) -> float | None:
    """Check the control variate's assumption about how long inventory is held [s].

    Raises:
        ConfigurationError: if it is out of range, or has no effect.
    """
    if unwinding_time is None:
        return None
    if (
        isinstance(unwinding_time, (bool, np.bool_))
        or not isinstance(unwinding_time, (int, float, np.integer, np.floating))
        or not 0.0 <= unwinding_time <= 1e9
    ):
        raise ConfigurationError(
            "unwinding_time is out of range: "
            f"expected a number of seconds from 0 to 1e+09, got {unwinding_time!r}"
        )
    if not variance_reduction:
        raise ConfigurationError(
            f"unwinding_time={unwinding_time:g} has no effect: "
            "expected variance_reduction=True beside it, got False"
        )
    return float(unwinding_time)
