"""Sums over blocks of time, and standard errors of their functions by the jackknife.

A recording is cut into blocks of equal length. Every figure is a function of sums over blocks. The
delete-one jackknife over blocks gives its standard error. It allows for dependence within a block,
and neglects dependence between blocks.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_BLOCKS = 20
_SHORTEST_BLOCK = 5.0  # [s]


class Blocks:
    """Blocks of equal length of a recording.

    Args:
        time: [s] of each message, in ascending order, shape (n,).
        n_blocks: number of blocks. Default: 20, or fewer if they would be shorter than 5 s.
    """

    def __init__(self, time: Array, n_blocks: int | None = None) -> None:
        self.time = time
        most = max(2, min(_BLOCKS, int(float(time[-1] - time[0]) / _SHORTEST_BLOCK)))
        self.n_blocks = most if n_blocks is None else n_blocks
        self.edges = np.linspace(time[0], time[-1], self.n_blocks + 1)

    def block_of(self, time: Array) -> npt.NDArray[np.int64]:
        """The number of the block that contains each time."""
        return np.clip(np.searchsorted(self.edges, time, side="right") - 1, 0, self.n_blocks - 1)

    def total(self, time: Array, weights: npt.NDArray[Any] | None = None) -> Array:
        """Number of events in each block, or the sum of their weights, shape (n_blocks,)."""
        return np.bincount(self.block_of(time), weights, minlength=self.n_blocks).astype(np.float64)

    def integral(self, values: npt.NDArray[Any]) -> Array:
        """Integral over the time of each block, shape (n_blocks,).

        Args:
            values: the value in force from each message to the next, shape (n,). NaN counts as 0.
        """
        steps = np.nan_to_num(values[:-1].astype(np.float64)) * np.diff(self.time)
        until = np.concatenate([[0.0], np.cumsum(steps)])
        # Of several rows at one time, the last one is in force afterwards.
        last = np.append(np.diff(self.time) > 0.0, True)
        return np.diff(np.interp(self.edges, self.time[last], until[last]))

    def estimate(
        self, sums: Sequence[Array], function: Callable[..., float]
    ) -> tuple[float, float]:
        """A function of sums over all blocks, and its standard error.

        Args:
            sums: over each block, shape (n_blocks,) each.
            function: takes one sum per element of `sums`.
        """
        table = np.stack(sums, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return jackknife(self.n_blocks, lambda kept: float(function(*table[kept].sum(axis=0))))


def jackknife(
    n_blocks: int, estimate: Callable[[npt.NDArray[np.int64]], float]
) -> tuple[float, float]:
    """An estimate and its standard error by the delete-one jackknife; NaN for a single block.

    Args:
        n_blocks: number of blocks.
        estimate: computes the estimate from the blocks with the given numbers.
    """
    blocks = np.arange(n_blocks)
    left_out = np.array([estimate(np.delete(blocks, block)) for block in blocks])
    if n_blocks < 2:
        return estimate(blocks), math.nan
    variance = (n_blocks - 1) / n_blocks * ((left_out - left_out.mean()) ** 2).sum()
    return estimate(blocks), math.sqrt(variance)


# Functions of sums, for `Blocks.estimate`. n is the number of observations, xy the sum of x y. They
# take numbers, or arrays with one element per resample.


def root_of_ratio(above: Any, below: Any) -> Any:
    """The square root of a ratio; NaN if the denominator is not positive."""
    return np.sqrt(above / np.where(below > 0.0, below, np.nan))


def kurtosis(n: Any, squares: Any, fourths: Any) -> Any:
    """Kurtosis of moves about zero, since their mean is negligible."""
    return n * fourths / np.where(squares > 0.0, squares, np.nan) ** 2


def variation(n: Any, x: Any, xx: Any) -> Any:
    """Coefficient of variation: standard deviation over mean."""
    return np.sqrt(np.maximum(0.0, n * xx - x * x)) / np.where(x > 0.0, x, np.nan)


def correlation(n: Any, x: Any, y: Any, xy: Any, xx: Any, yy: Any) -> Any:
    """Pearson's correlation; NaN if x or y does not vary."""
    scale = np.sqrt(np.maximum(0.0, (n * xx - x * x) * (n * yy - y * y)))
    return (n * xy - x * y) / np.where(scale > 0.0, scale, np.nan)
