"""What the market-by-order formats share: their messages, and how these become events."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.data.events import EVENT, DataFileError
from mm_gym.data.kernels import DONE, FAULTS, MORE, STATE, empty_table, roomy, scan_mbo

MESSAGE = np.dtype(
    [
        ("time", "i8"),
        ("action", "u1"),
        ("side", "i1"),
        ("order_id", "i8"),
        ("price", "i8"),
        ("size", "i8"),
        ("last", "i1"),
    ]
)
"""What `kernels.scan_mbo` reads."""


class MessageScan:
    """Turns the messages of one instrument into events, and keeps its live orders in between.

    Args:
        name: of the file, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._table = empty_table()
        self._state = np.zeros(1, STATE)
        self._n_read = 0

    def events(self, messages: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        """The events of the next messages, rows of `MESSAGE`.

        Raises:
            DataFileError: if a message contradicts the earlier ones.
        """
        why = MORE
        while why == MORE:
            self._table = roomy(self._table, int(self._state["n_orders"][0]))
            out = np.empty(max(3, len(messages)), EVENT)
            why, n_read, n = scan_mbo(messages, self._table, self._state, out)
            messages = messages[n_read:]
            self._n_read += n_read
            if n:
                yield out[:n]
        if why != DONE:
            raise DataFileError(
                f"message {self._n_read + 1:,} of the instrument in {self._name} is wrong: "
                f"expected {FAULTS[why]}, got order {self._state['fault_id'][0]}"
            )
