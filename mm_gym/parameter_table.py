"""The parameters of a batch of markets: one record for each configuration in use."""

from typing import Any

import numpy as np
import numpy.typing as npt


class ParameterTable:
    """Rows of `layout.PARAMETERS` that markets share.

    Row 0 belongs to the configuration of all markets. A session with a configuration of its own
    uses another row, which it shares with equal ones. Rows without a market are used again, and the
    table shrinks when most of its rows are unused.

    Args:
        parameters: of the configuration of all markets, shape ().
        n: number of markets.
    """

    def __init__(self, parameters: npt.NDArray[Any], n: int) -> None:
        self.restore(parameters.reshape(1), np.zeros(n, np.int32))

    def restore(self, rows: npt.NDArray[Any], numbers: npt.NDArray[np.int32]) -> None:
        """Take the rows of a checkpoint.

        Args:
            rows: shape (rows,).
            numbers: row number of each market.
        """
        self.rows = rows.copy()
        """The rows, of which some may be unused."""
        self._n_users = np.bincount(numbers, minlength=len(rows))
        self._unused = [row for row in range(1, len(rows)) if not self._n_users[row]]
        # Numbers of the rows in use by their content. Row 0 is always in use.
        self._numbers = {
            rows[row].tobytes(): row for row in range(len(rows)) if not row or self._n_users[row]
        }

    def assign(
        self,
        numbers: npt.NDArray[np.int32],
        chosen: npt.NDArray[np.int64],
        parameters: npt.NDArray[Any] | None,
    ) -> None:
        """Give some markets other parameters.

        Args:
            numbers: row number of each market; those of the chosen markets change.
            chosen: indices of the markets, without repetition.
            parameters: shape (); None for row 0.
        """
        if parameters is None and len(self._numbers) == 1:
            return
        for row, count in zip(*np.unique(numbers[chosen], return_counts=True), strict=True):
            self._n_users[row] -= count
            if row > 0 and self._n_users[row] == 0:
                del self._numbers[self.rows[row].tobytes()]
                self._unused.append(int(row))
        number = 0 if parameters is None else self._number(parameters)
        numbers[chosen] = number
        self._n_users[number] += len(chosen)
        if 4 * len(self._numbers) <= len(self.rows):
            self._compact(numbers)

    def _number(self, parameters: npt.NDArray[Any]) -> int:
        """The number of the row with these parameters, which may be a new row."""
        key = parameters.tobytes()
        if key not in self._numbers:
            if not self._unused:
                n = len(self.rows)
                self._unused = list(range(2 * n - 1, n - 1, -1))
                self.rows = np.concatenate([self.rows, self.rows])
                self._n_users = np.concatenate([self._n_users, np.zeros_like(self._n_users)])
            self._numbers[key] = self._unused.pop()
            self.rows[self._numbers[key]] = parameters
        return self._numbers[key]

    def _compact(self, numbers: npt.NDArray[np.int32]) -> None:
        """Leave the unused rows out."""
        used = np.array(sorted(self._numbers.values()))
        moved = np.zeros(len(self.rows), np.int32)
        moved[used] = np.arange(len(used))
        numbers[:] = moved[numbers]
        self.restore(self.rows[used], numbers)
