"""Two quotes that the keyboard moves."""

HELP = (
    "bid: w up, s down   ask: up and down arrows   both: e up, d down",
    "wider: right arrow   narrower: left arrow   withdraw, return: x",
)
"""Lines that say what the keys do."""
_START = 1 / 8  # of `max_offset`, close to the touch
_STEPS = 15  # from the mid to `max_offset`

# The changes of the bid offset and the ask offset, in steps. Up means a higher price.
_MOVES = {
    "w": (-1, 0),
    "s": (1, 0),
    "up": (0, 1),
    "down": (0, -1),
    "e": (-1, 1),
    "d": (1, -1),
    "right": (1, 1),
    "left": (-1, -1),
}


class Quotes:
    """Offsets of a bid and an ask from the public mid [ticks], from 0 to `max_offset`."""

    def __init__(self, max_offset: float) -> None:
        self._max_offset = max_offset
        self._step = max(1.0, float(round(max_offset / _STEPS)))
        start = float(min(max(1, round(_START * max_offset)), max_offset))
        self._offsets = (start, start)
        self.is_withdrawn = False

    @property
    def offsets(self) -> tuple[float, float]:
        """The offsets of bid and ask. Withdrawn quotes are as far away as possible."""
        return (self._max_offset, self._max_offset) if self.is_withdrawn else self._offsets

    def press(self, key: str) -> None:
        """Move the quotes. A key without a meaning changes nothing.

        After a withdrawal, the next move or a second `x` brings the quotes back.
        """
        if key == "x":
            self.is_withdrawn = not self.is_withdrawn
        elif key in _MOVES:
            self.is_withdrawn = False
            bid, ask = (
                min(max(offset + self._step * move, 0.0), self._max_offset)
                for offset, move in zip(self._offsets, _MOVES[key], strict=True)
            )
            self._offsets = (bid, ask)

    def __str__(self) -> str:
        bid, ask = self.offsets
        prices = f"bid at mid - {bid:g}, ask at mid + {ask:g}"
        return f"withdrawn: {prices}" if self.is_withdrawn else prices
