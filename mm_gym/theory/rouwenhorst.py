"""A Markov chain for an AR(1) process: the method of Rouwenhorst (1995).

Paper: Asset pricing implications of equilibrium business cycle models. Each of n links is up or
down and keeps its value with probability (1 + a) / 2. The state s is the sum of the links, scaled
to unit variance. The next state has mean a s and variance 1 - a^2, exactly and for every a. The
chain therefore represents an Ornstein-Uhlenbeck process on any time grid. A discretised density
fails on a fine time grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from ._shared import FloatArray, check_count, check_not_negative, check_positive


class Chain(NamedTuple):
    """A Markov chain of k states."""

    states: FloatArray
    """The states, evenly spaced and ascending, shape [k] [standard deviations]."""
    stationary: FloatArray
    """The stationary probabilities, shape [k]."""
    transition: FloatArray
    """Row i holds the probabilities of the next state after state i, shape [k, k]."""


def chain(decay: float, links: int = 200, farthest: float = 4.5) -> Chain:
    """Return the chain for s' = decay s + sqrt(1 - decay^2) z, truncated at `farthest`.

    Args:
        decay: a, from 0 to 1.
        links: n. Neighbouring states are 2 / sqrt(n) apart.
        farthest: largest absolute value of a state [standard deviations].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_not_negative(decay=decay)
    check_positive(farthest=farthest)
    check_count(links=links)
    if decay > 1.0:
        raise ValueError(
            f"decay={decay!r} is out of range: expected a number from 0 to 1, got {decay!r}"
        )
    stay, ups = 0.5 * (1.0 + decay), np.arange(links + 1)
    rows = [
        np.convolve(
            binom.pmf(np.arange(up + 1), up, stay),
            binom.pmf(np.arange(links - up + 1), links - up, 1.0 - stay),
        )
        for up in ups
    ]
    states = (2.0 * ups - links) / np.sqrt(links)
    kept = np.abs(states) <= farthest
    transition, stationary = np.stack(rows)[np.ix_(kept, kept)], binom.pmf(ups, links, 0.5)[kept]
    return Chain(
        states[kept],
        stationary / stationary.sum(),
        transition / transition.sum(axis=1, keepdims=True),
    )
