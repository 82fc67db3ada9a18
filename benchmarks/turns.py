"""Measurements in turns, so that a machine whose speed varies does not decide a comparison."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def seconds(action: Callable[[], Any]) -> float:
    """Wall time of one call [s]."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turns(
    first: Callable[[], float], second: Callable[[], float], turns: int
) -> tuple[float, float, float]:
    """Alternate two measurements. One turn warms up.

    Args:
        first, second: the measurements.
        turns: number of turns.

    Returns:
        The medians of both, and the median ratio first / second of consecutive turns.
    """
    first(), second()
    pairs = []
    for turn in range(turns):
        if turn % 2:
            pairs.append((first(), second()))
        else:
            then = second()
            pairs.append((first(), then))
    ones, others = zip(*pairs, strict=True)
    ratios = [one / other for one, other in pairs]
    return statistics.median(ones), statistics.median(others), statistics.median(ratios)
