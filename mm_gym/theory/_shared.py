"""What several of the papers need: checks of arguments, a pair of depths, one matrix
exponential."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

FloatArray = npt.NDArray[np.float64]


class Depths(NamedTuple):
    """Distances of the two quotes from the mid, ask first: the ask is `mid + ask`, the bid `mid -
    bid`.

    `inf` says that the side is not quoted.
    """

    ask: FloatArray
    bid: FloatArray


def check_positive(**values: float) -> None:
    """Raise ValueError unless every keyword holds a finite number above zero."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(
                f"{name} came as {value!r}; a finite number above 0 is wanted: write for example {name}=1.0."
            )


def check_not_negative(**values: npt.ArrayLike) -> None:
    """Raise ValueError unless every keyword holds finite numbers, none below zero."""
    for name, value in values.items():
        numbers = np.asarray(value, dtype=np.float64)
        if not (np.all(np.isfinite(numbers)) and np.all(numbers >= 0)):
            raise ValueError(
                f"{name} came as {value!r}; finite numbers of at least 0 are wanted: write for example {name}=0.0."
            )


def check_share(**values: npt.ArrayLike) -> None:
    """Raise ValueError unless every keyword holds numbers from 0 to 1."""
    for name, value in values.items():
        numbers = np.asarray(value, dtype=np.float64)
        if not np.all((numbers >= 0) & (numbers <= 1)):
            raise ValueError(
                f"{name} came as {value!r}; a share between 0 and 1 is wanted: write for example {name}=0.3."
            )


def check_count(**values: int) -> None:
    """Raise ValueError unless every keyword holds a whole number of at least one."""
    for name, value in values.items():
        if value != int(value) or value < 1:
            raise ValueError(
                f"{name} came as {value!r}; a whole number of at least 1 is wanted: write for example {name}=10."
            )


def inventory_index(inventory: npt.ArrayLike, max_inventory: int) -> npt.NDArray[np.int64]:
    """Return the column of each inventory in a table that runs from -max_inventory to
    max_inventory."""
    numbers = np.asarray(inventory, dtype=np.float64)
    # Written so that nan fails the test too.
    if not np.all((numbers == np.round(numbers)) & (np.abs(numbers) <= max_inventory)):
        raise ValueError(
            f"inventory came as {inventory!r}; whole lots between -{max_inventory} and "
            f"{max_inventory} are wanted: raise max_inventory, or round the inventory."
        )
    return numbers.astype(np.int64) + max_inventory


def pick_column(table: FloatArray, column: npt.NDArray[np.int64]) -> FloatArray:
    """Return table[..., column], the leading shape of the table broadcast with that of column."""
    shape = np.broadcast_shapes(table.shape[:-1], column.shape)
    rows = np.broadcast_to(table, (*shape, table.shape[-1]))
    chosen = np.broadcast_to(column, shape)[..., None]
    return np.asarray(np.take_along_axis(rows, chosen, axis=-1)[..., 0])


def depths_from_value(value: FloatArray, margin: float, column: npt.NDArray[np.int64]) -> Depths:
    """Return the depths margin + value(q) - value(q -/+ 1) of the chosen columns, inf at the wall.

    The value is in price x lots, its last axis runs over the inventories.
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
    """Return log(expm(generator t) exp(log_start)) for each t, accurate in every component.

    The generator must have no negative number off its diagonal. `scipy.linalg.expm` keeps the
    error small against the *largest* component only, and far from zero inventory the components
    here are hundreds of powers of ten smaller. Shifting the diagonal makes every term positive, so
    nothing cancels, and the logarithm keeps what would underflow.

    Args:
        generator: shape [n, n], per unit of time.
        log_start: shape [n], spread over 3,000 at most: one piece cannot reach farther down than
            exp(-700).
        times: any shape, not negative.

    Returns:
        Shape times.shape + [n].
    """
    times = np.asarray(times, dtype=np.float64)
    unique_times, place = np.unique(times.ravel(), return_inverse=True)
    shift = -min(0.0, float(np.min(np.diag(generator))))
    positive = generator + shift * np.eye(len(generator))
    norm = max(1e-300, float(np.max(positive.sum(axis=1))))

    size = len(log_start)
    rows = np.empty((len(unique_times), size))
    log_vector, reached = np.asarray(log_start, dtype=np.float64), 0.0
    log_kernel, kernel_time = np.empty((size, size)), np.nan
    for row, time in enumerate(unique_times):
        # Pieces this short keep exp(-shift * piece) far above the smallest number there is. Where
        # they are many, it is cheaper to square the kernel than to apply it.
        pieces = int(np.ceil((time - reached) * norm / 32.0))
        squarings = max(0, int(np.ceil(np.log2(max(1, pieces) / (2 * size)))))
        pieces = int(np.ceil(pieces / 2**squarings))
        # Times that are evenly spaced, but for rounding, share one kernel.
        if pieces and not np.isclose((time - reached) / pieces, kernel_time, rtol=1e-11, atol=0.0):
            kernel_time = (time - reached) / pieces
            shortest = kernel_time / 2**squarings
            with np.errstate(divide="ignore"):  # a component out of reach has logarithm -inf
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
    """Return expm of a matrix without negative numbers: Taylor's series, then squaring.

    It is squared so often that no single factor has to reach farther than two places: then thirty
    terms are exact to rounding for the far components too, which come from the high orders alone.
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
