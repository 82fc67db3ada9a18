"""Reader and writer of LOBSTER files: messages, and the order book after each message.

A message file has the columns time [s after midnight], type, order id, size [shares], price
[currency x 10,000] and side of the resting order (1 buy, -1 sell). Newer files have the participant
as a seventh column, which is left out. An order book file has four
columns for each level: ask price, ask size, bid price and bid size. Row k is the book after message
k. Prices remain the exchange's whole numbers, here and in the replay.

Huang and Polak (2011), LOBSTER: Limit Order Book Reconstruction System.
"""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mm_gym.errors import SentenceError

Side = Literal["bid", "ask"]

PRICES_PER_CURRENCY_UNIT = 10_000
EMPTY_ASK = 9_999_999_999  # price of an empty ask level; its size is zero
EMPTY_BID = -9_999_999_999

BUY, SELL = 1, -1  # sides of resting orders in the files
SIDES: dict[int, Side] = {BUY: "bid", SELL: "ask"}


class MessageType(IntEnum):
    """The event that a message reports."""

    NEW_LIMIT_ORDER = 1
    PARTIAL_CANCELLATION = 2
    DELETION = 3
    VISIBLE_EXECUTION = 4
    HIDDEN_EXECUTION = 5
    CROSS_TRADE = 6
    TRADING_HALT = 7


MESSAGE = np.dtype(
    [
        ("time", "f8"),
        ("type", "i8"),
        ("order_id", "i8"),
        ("size", "i8"),
        ("price", "i8"),
        ("side", "i8"),
    ]
)


def order_book_dtype(n_levels: int) -> np.dtype[Any]:
    """The type of a row of the order book: prices and sizes of each side, best level first."""
    columns = ("ask_price", "ask_size", "bid_price", "bid_size")
    return np.dtype([(column, "i8", (n_levels,)) for column in columns])


class LobsterError(SentenceError):
    """A file that is missing, unreadable or not in LOBSTER's format."""


@dataclass(frozen=True)
class Recording:
    """The messages of an exchange and the order book after each of them."""

    messages: npt.NDArray[Any]
    """Rows of `MESSAGE` in order of time, shape (n,)."""
    order_book: npt.NDArray[Any]
    """Rows of `order_book_dtype`, shape (n,). Row k is the book after message k."""
    tick_size: int
    """[currency / 10,000] Smallest step between two visible prices."""

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def n_levels(self) -> int:
        """Number of levels per side of the order book."""
        return int(self.order_book["ask_price"].shape[1])

    @property
    def duration(self) -> float:
        """[s] From the first message to the last."""
        return float(self.messages["time"][-1] - self.messages["time"][0])


def read(
    message_file: str | Path,
    order_book_file: str | Path | None = None,
    tick_size: int | None = None,
) -> Recording:
    """Read a message file and its order book file.

    Args:
        message_file: path.
        order_book_file: path. Default: that of the message file, with `orderbook` in place of
            `message` in its name.
        tick_size: [currency / 10,000]. Default: the largest step that divides every visible price.

    Raises:
        LobsterError: if a file is missing or not in LOBSTER's format, if the files differ in their
            number of rows, or if a visible price is no multiple of the tick size.
    """
    message_file = Path(message_file)
    order_book_file = (
        Path(order_book_file) if order_book_file is not None else order_book_of(message_file)
    )
    messages, order_book = read_messages(message_file), read_order_book(order_book_file)
    if len(messages) != len(order_book):
        raise LobsterError(
            f"{order_book_file.name} does not belong to {message_file.name}: expected "
            f"{len(messages)} rows, one per message, got {len(order_book)} (write two files of the "
            "same stock and day)"
        )
    return Recording(messages, order_book, tick_size_of(messages, order_book, tick_size))


def read_messages(path: str | Path) -> npt.NDArray[Any]:
    """Read a message file: rows of `MESSAGE`, shape (n,).

    Raises:
        LobsterError: if the file is missing, has other columns, or holds an invalid value.
    """
    path = Path(path)
    _check_columns(
        path,
        (6, 7),
        "6 columns (time, type, order id, size, price, side), or 7 with the participant",
    )
    messages = _load(path, MESSAGE)
    known = [kind.value for kind in MessageType]
    for invalid, column, expected in (
        (~np.isfinite(messages["time"]), "time", "seconds after midnight"),
        (
            ~np.isin(messages["type"], known),
            "type",
            "one of " + ", ".join(f"{k.value} {k.name}" for k in MessageType),
        ),
        (
            ~np.isin(messages["side"], list(SIDES)),
            "side",
            "1 for a resting buy or -1 for a resting sell",
        ),
        (
            (messages["size"] < 1) & (messages["type"] != MessageType.TRADING_HALT),
            "size",
            "at least one share",
        ),
    ):
        if invalid.any():
            row = int(np.flatnonzero(invalid)[0])
            raise LobsterError(
                f"{column} in {path.name}, line {row + 1} is out of range: expected {expected}, "
                f"got {messages[column][row]}"
            )
    backwards = np.diff(messages["time"]) < 0.0
    if backwards.any():
        row = int(np.flatnonzero(backwards)[0]) + 1
        raise LobsterError(
            f"time in {path.name}, line {row + 1} is out of order: expected at least "
            f"{messages['time'][row - 1]}, got {messages['time'][row]} (sort the lines by time)"
        )
    return messages


def read_order_book(path: str | Path) -> npt.NDArray[Any]:
    """Read an order book file: rows of `order_book_dtype`, shape (n,).

    Raises:
        LobsterError: if the file is missing or does not have four columns for each level.
    """
    path = Path(path)
    n_columns = _check_columns(
        path, None, "4 columns per level (ask price, ask size, bid price, bid size)"
    )
    table = _load(path, np.dtype("i8")).reshape(-1, n_columns)
    rows = np.empty(len(table), dtype=order_book_dtype(n_columns // 4))
    for column, name in enumerate(rows.dtype.names or ()):
        rows[name] = table[:, column::4]
    return rows


def order_book_of(message_file: Path) -> Path:
    """The path of the order book file that belongs to a message file, by LOBSTER's naming scheme.

    Raises:
        LobsterError: if the name does not contain `message`.
    """
    if "message" not in message_file.name:
        raise LobsterError(
            "the order book file is unknown: expected 'message' in the name of the message file, "
            f"for which the other one has 'orderbook', got {message_file.name}"
        )
    return message_file.with_name(message_file.name.replace("message", "orderbook"))


def tick_size_of(
    messages: npt.NDArray[Any], order_book: npt.NDArray[Any], tick_size: int | None = None
) -> int:
    """The tick size [currency / 10,000]: the given one, or the largest that the prices allow.

    Each visible price is a multiple of it. Hidden orders may execute between two ticks, so their
    prices do not count.

    Raises:
        LobsterError: if a visible price is no multiple of it, or without one if there is no visible
            price.
    """
    hidden = np.isin(
        messages["type"],
        [MessageType.HIDDEN_EXECUTION, MessageType.CROSS_TRADE, MessageType.TRADING_HALT],
    )
    prices = [messages["price"][~hidden]]
    for side in ("ask", "bid"):
        prices.append(order_book[f"{side}_price"][order_book[f"{side}_size"] > 0])
    largest = int(np.gcd.reduce(np.concatenate(prices)))
    if tick_size is not None:
        whole = isinstance(tick_size, (int, np.integer)) and not isinstance(tick_size, bool)
        if not whole or tick_size < 1 or largest % tick_size != 0:
            raise LobsterError(
                f"tick_size={tick_size!r} is out of range: expected a whole number of 1/10,000 of "
                f"the currency that divides {largest}, the largest step of all prices, "
                f"got {tick_size!r}"
            )
        return int(tick_size)
    if largest == 0:
        raise LobsterError(
            "the tick size is unknown: expected at least one visible price in the files, got none "
            "(write for example tick_size=100)"
        )
    return largest


def levels(order_book: npt.NDArray[Any], side: Side) -> list[list[tuple[int, int]]]:
    """The non-empty levels of one side in each row of an order book: (price, size), best first."""
    prices, sizes = (order_book[f"{side}_{column}"].tolist() for column in ("price", "size"))
    return [
        [(price, size) for price, size in zip(*row, strict=True) if size > 0]
        for row in zip(prices, sizes, strict=True)
    ]


def write(recording: Recording, message_file: str | Path, order_book_file: str | Path) -> None:
    """Write a recording to LOBSTER files, which `read` reads."""
    np.savetxt(message_file, recording.messages, fmt="%.9f,%d,%d,%d,%d,%d")
    book = recording.order_book
    table = np.stack([book[name] for name in book.dtype.names or ()], axis=2).reshape(len(book), -1)
    np.savetxt(order_book_file, table, fmt="%d", delimiter=",")


def _check_columns(path: Path, wanted: tuple[int, ...] | None, expected: str) -> int:
    """Check the number of columns in the first row and return it.

    Args:
        path: of the file.
        wanted: numbers of columns, or None for any multiple of four.
        expected: the same in words, for the error.
    """
    try:
        with path.open() as file:
            first = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LobsterError(
            f"{path} cannot be read: expected a LOBSTER file, got "
            f"{getattr(error, 'strerror', 'bytes that are no text')}"
        ) from error
    if not first:
        raise LobsterError(f"{path.name} is empty: expected a LOBSTER file, got no rows")
    n_columns = first.count(",") + 1
    if n_columns % 4 != 0 if wanted is None else n_columns not in wanted:
        raise LobsterError(
            f"{path.name} has the wrong columns: expected {expected}, got {n_columns} "
            "(check that the two files are not swapped)"
        )
    return n_columns


def _load(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    try:
        columns = range(len(dtype.names)) if dtype.names else None
        return np.loadtxt(
            path, delimiter=",", dtype=dtype, usecols=columns, ndmin=1 if dtype.names else 2
        )
    except ValueError as error:
        reason = str(error).split(";")[0]  # NumPy's advice about its own arguments follows
        raise LobsterError(
            f"{path.name} is not in LOBSTER's format: expected comma-separated whole numbers, "
            f"got {reason}"
        ) from error
