"""Rouwenhorst (1995), Asset pricing implications of equilibrium business cycle models: a chain for
an AR(1) process.

Each of n links is up or down and stays as it is with probability (1 + a) / 2; the state is the sum
of all, scaled to unit variance. One step on, its mean is a times what it was and its variance 1 -
a^2, exactly, whatever a is: so it stands for an Ornstein-Uhlenbeck process on any lattice of time,
where a discretised density fails on a fine one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from ._shared import FloatArray, check_count, check_not_negative, check_positive


class Chain(NamedTuple):
    """A Markov chain of k states."""

    states: FloatArray
    """Evenly spaced, ascending, shape [k]."""
    stationary: FloatArray
    """Probabilities, shape [k]."""
    transition: FloatArray
    """Row i holds the probabilities of what follows state i, shape [k, k]."""


def chain(decay: float, links: int = 200, farthest: float = 4.5) -> Chain:
    """Return the chain for s' = decay s + sqrt(1 - decay^2) z, without the states that are farther
    out.

    Args:
        decay: a, from 0 to 1.
        links: n; the states are 2 / sqrt(n) apart.
        farthest: largest state that is kept [standard deviations].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_not_negative(decay=decay)
    check_positive(farthest=farthest)
    check_count(links=links)
    if decay > 1.0:
        raise ValueError(
            f"decay came as {decay!r}; at most 1 is wanted: write for example decay=0.97."
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
