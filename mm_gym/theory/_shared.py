"""Code shared by the papers: checks of arguments, quote depths and a matrix exponential."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

FloatArray = npt.NDArray[np.float64]


_MOST_TERMS = 4e8  # of the sums in `log_exponential_action`: some seconds


class Depths(NamedTuple):
    """Distances of the two quotes from the mid [price].

    The ask is at `mid + ask`, the bid at `mid - bid`. A depth of `inf` means no quote on that side.
    """

    ask: FloatArray
    bid: FloatArray


def check_positive(**values: float) -> None:
    """Raise ValueError unless every value is a finite number above zero."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(
                f"{name}={value!r} is out of range: expected a finite number above 0, got {value!r}"
            )


def check_not_negative(**values: npt.ArrayLike) -> None:
    """Raise ValueError unless every value holds only finite numbers of at least zero."""
    for name, value in values.items():
        numbers = np.asarray(value, dtype=np.float64)
        if not (np.all(np.isfinite(numbers)) and np.all(numbers >= 0)):
            raise ValueError(
                f"{name}={value!r} is out of range: expected finite numbers of at least 0, "
                f"got {value!r}"
            )


def check_share(**values: npt.ArrayLike) -> None:
    """Raise ValueError unless every value holds only numbers from 0 to 1."""
    for name, value in values.items():
        numbers = np.asarray(value, dtype=np.float64)
        if not np.all((numbers >= 0) & (numbers <= 1)):
            raise ValueError(
                f"{name}={value!r} is out of range: expected a number from 0 to 1, got {value!r}"
            )


def check_count(**values: int) -> None:
    """Raise ValueError unless every value is a whole number of at least one."""
    for name, value in values.items():
        if value != int(value) or value < 1:
            raise ValueError(
                f"{name}={value!r} is out of range: expected a whole number of at least 1, "
                f"got {value!r}"
            )


def inventory_index(inventory: npt.ArrayLike, max_inventory: int) -> npt.NDArray[np.int64]:
    """Return the column of each inventory in a table from -max_inventory to max_inventory.

    Raises:
        ValueError: an inventory is not a whole number or outside the table.
    """
    numbers = np.asarray(inventory, dtype=np.float64)
    # NaN fails this check too, since every comparison with NaN is false.
    if not np.all((numbers == np.round(numbers)) & (np.abs(numbers) <= max_inventory)):
        raise ValueError(
            f"inventory={inventory!r} is out of range: expected whole lots from -{max_inventory} "
            f"to {max_inventory}, got {inventory!r} (write a larger max_inventory)"
        )
    return numbers.astype(np.int64) + max_inventory


def pick_column(table: FloatArray, column: npt.NDArray[np.int64]) -> FloatArray:
    """Return table[..., column]. The leading shapes of both arguments broadcast."""
    shape = np.broadcast_shapes(table.shape[:-1], column.shape)
    rows = np.broadcast_to(table, (*shape, table.shape[-1]))
    chosen = np.broadcast_to(column, shape)[..., None]
    return np.asarray(np.take_along_axis(rows, chosen, axis=-1)[..., 0])


def depths_from_value(value: FloatArray, margin: float, column: npt.NDArray[np.int64]) -> Depths:
    """Return the depths that follow from a value function, at the given columns [price].

    The depth of the ask is margin + value(q) - value(q - 1), that of the bid is
    margin + value(q) - value(q + 1). A side is not quoted at its bound of inventory: depth `inf`.

    Args:
        value: the value of each inventory, on the last axis [price x lots].
        margin: [price].
        column: columns of `value`, from `inventory_index`.
    """
    rise = np.diff(value, axis=-1)
    wall = np.full((*rise.shape[:-1], 1), np.inf)
    return Depths(
        ask=pick_column(np.concatenate([wall, margin + rise], axis=-1), column),
        bid=pick_column(np.concatenate([margin - rise, wall], axis=-1), column),
    )


def log_exponential_action(
    generator: FloatArray, log_start: FloatArray, times: npt.ArrayLike
) -> FloatArray:
    """Return log(expm(generator t) exp(log_start)) for each time t, accurate in every component.

    `scipy.linalg.expm` is accurate relative to the largest component only. Far from zero inventory
    the components here are smaller by hundreds of powers of ten. A shift of the diagonal makes all
    terms positive, so that nothing cancels. Logarithms represent what would underflow.

    Args:
        generator: shape [n, n] [1 / time]. Elements off the diagonal must not be negative.
        log_start: shape [n]. Its range must be at most 3,000; beyond it the numbers underflow.
        times: any shape, not negative [time].

    Returns:
        Shape times.shape + [n].
    """
    times = np.asarray(times, dtype=np.float64)
    unique_times, place = np.unique(times.ravel(), return_inverse=True)
    shift = -min(0.0, float(np.min(np.diag(generator))))
    positive = generator + shift * np.eye(len(generator))
    norm = max(1e-300, float(np.max(positive.sum(axis=1))))

    size = len(log_start)
    most_pieces = int(np.clip(_MOST_TERMS / (len(unique_times) * size**2), 1, 2 * size))
    rows = np.empty((len(unique_times), size))
    log_vector, reached = np.asarray(log_start, dtype=np.float64), 0.0
    log_kernel, kernel_time = np.empty((size, size)), np.nan
    for row, time in enumerate(unique_times):
        # With pieces this short, exp(-shift * piece) does not underflow. With many pieces, squaring
        # the kernel is cheaper than applying it many times.
        pieces = int(np.ceil((time - reached) * norm / 32.0))
        squarings = max(0, int(np.ceil(np.log2(max(1, pieces) / most_pieces))))
        pieces = int(np.ceil(pieces / 2**squarings))
        # Evenly spaced times share one kernel. The comparison allows for rounding.
        if pieces and not np.isclose((time - reached) / pieces, kernel_time, rtol=1e-11, atol=0.0):
            kernel_time = (time - reached) / pieces
            shortest = kernel_time / 2**squarings
            with np.errstate(divide="ignore"):  # a component of zero has logarithm -inf
                log_kernel = np.log(_positive_exponential(positive * shortest)) - shift * shortest
            for _ in range(squarings):
                log_kernel = np.stack(
                    [logsumexp(line[:, None] + log_kernel, axis=0) for line in log_kernel]
                )
        for _ in range(pieces):
            log_vector = logsumexp(log_kernel + log_vector, axis=1)
        rows[row], reached = log_vector, time
    return rows[place].reshape(*times.shape, size)


def _positive_exponential(matrix: FloatArray) -> FloatArray:
    """Return expm of a matrix without negative elements, by a Taylor series and repeated squaring.

    Elements far from the diagonal come only from high orders of the series. With this number of
    squarings, one factor spans about two places off the diagonal. Thirty terms are then exact to
    rounding in these elements too.
    """
    norm = float(np.max(matrix.sum(axis=1)))
    squarings = int(np.ceil(np.log2(max(1.0, norm, len(matrix) / 2.0))))
    small = matrix / 2.0**squarings
    term = total = np.eye(len(matrix))
    for order in range(1, 31):
        term = term @ small / order
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total
