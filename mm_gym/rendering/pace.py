"""Pause, single steps and speed of a market that is shown in real time."""

import time
from collections.abc import Callable, Iterator

KEYS = "space: pause   n: step   + -: speed"
"""The keys of a `Pace`, for a line of help."""

_POLL = 0.02  # [s] longest wait between two looks at the keys
_SLOWEST, _FASTEST = 1 / 8, 64


class Pace:
    """When the next decision is due, as the user wants it.

    Keys have names: the character that they type, or `space`, `up`, `escape` and so on.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self.is_paused = False
        self._last = -float("inf")  # [s] when the last wait ended
        self._pending: list[str] = []  # keys that were read and are not handled yet

    def wait(self, read_keys: Callable[[float], list[str]], interval: float) -> Iterator[str]:
        """Wait until the next decision is due, and yield each key after handling it.

        While paused, this waits for the user. A caller may leave the loop at any key.

        Args:
            read_keys: waits for keys, at most the given number of seconds, and returns them.
            interval: [s] between two decisions at speed 1.
        """
        while True:
            due = self._last + interval / self.speed
            left = _POLL if self.is_paused else due - time.monotonic()
            self._pending += read_keys(0.0 if self._pending else min(max(left, 0.0), _POLL))
            while self._pending:
                key = self._pending.pop(0)
                self._press(key)
                yield key
                if key == "n":
                    self._last = time.monotonic()
                    return
            if not self.is_paused and left <= 0.0:
                self._last = time.monotonic()
                return

    def __str__(self) -> str:
        return "paused" if self.is_paused else f"speed {self.speed:g}"

    def _press(self, key: str) -> None:
        if key == "space":
            self.is_paused = not self.is_paused
        elif key == "n":
            self.is_paused = True
        elif key in ("+", "="):  # one key on many keyboards
            self.speed = min(2 * self.speed, _FASTEST)
        elif key == "-":
            self.speed = max(self.speed / 2, _SLOWEST)
