"""Reader and writer of LOBSTER files: messages, and the order book after each of them.

A message file has the columns time [s after midnight], type, order id, size [shares], price
[currency x 10,000] and side of the resting order (1 buy, -1 sell). An order book file has, for each
level, ask price, ask size, bid price and bid size; row k is the book after message k. Prices stay
the exchange's whole numbers, here and in the replay.

Huang and Polak (2011), LOBSTER: Limit Order Book Reconstruction System.
"""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Side = Literal["bid", "ask"]

PRICES_PER_CURRENCY_UNIT = 10_000
EMPTY_ASK = 9_999_999_999  # the price of an ask level that nobody quotes; its size is zero
EMPTY_BID = -9_999_999_999

BUY, SELL = 1, -1  # sides of resting orders as the files write them
SIDES: dict[int, Side] = {BUY: "bid", SELL: "ask"}


class MessageType(IntEnum):
    """What happened."""

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
    """A row of the order book: prices and sizes of each side, best level first."""
    columns = ("ask_price", "ask_size", "bid_price", "bid_size")
    return np.dtype([(column, "i8", (n_levels,)) for column in columns])


class LobsterError(ValueError):
    """A file that cannot be read: the message says what came, what was wanted and what to write
    instead."""


@dataclass(frozen=True)
class Recording:
    """What an exchange sent, message by message."""

    messages: npt.NDArray[Any]
    """Of `MESSAGE`, shape (n,), in order of time."""
    order_book: npt.NDArray[Any]
    """Of `order_book_dtype`, shape (n,); row k is the book after message k."""
    tick_size: int
    """[currency / 10,000] Smallest step between two visible prices."""

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def n_levels(self) -> int:
        """Levels of each side that the order book shows."""
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
        message_file: its path.
        order_book_file: its path; by default the message file's, with `orderbook` in place of
            `message`.
        tick_size: [currency / 10,000]; by default the largest step of which every visible price is
            a multiple.

    Raises:
        LobsterError: for a file that is missing or not in LOBSTER's format, or two that do not
            belong together.
    """
    message_file = Path(message_file)
    order_book_file = (
        Path(order_book_file) if order_book_file is not None else order_book_of(message_file)
    )
    messages, order_book = read_messages(message_file), read_order_book(order_book_file)
    if len(messages) != len(order_book):
        raise LobsterError(
            f"{message_file.name} has {len(messages)} rows and {order_book_file.name} has {len(order_book)}; row k of "
            "the order book is the book after message k, so write two files of the same stock and day"
        )
    if tick_size is None:
        tick_size = infer_tick_size(messages, order_book)
    elif (
        isinstance(tick_size, bool) or not isinstance(tick_size, (int, np.integer)) or tick_size < 1
    ):
        raise LobsterError(
            f"tick_size={tick_size!r} came; write a positive whole number, such as 100 for one cent"
        )
    return Recording(messages, order_book, int(tick_size))


def read_messages(path: str | Path) -> npt.NDArray[Any]:
    """The rows of a message file, of `MESSAGE`, shape (n,).

    Raises:
        LobsterError: if the file is missing, has other columns, or a row that no exchange sends.
    """
    path = Path(path)
    _check_columns(
        path, len(MESSAGE.names or ()), "6 columns (time, type, order id, size, price, side)"
    )
    messages = _load(path, MESSAGE)
    known = [kind.value for kind in MessageType]
    for broken, what, wanted in (
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
            "a positive number of shares",
        ),
    ):
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise LobsterError(
                f"{path.name}, line {row + 1}: {what} {messages[what][row]} came, wanted was {wanted}"
            )
    backwards = np.diff(messages["time"]) < 0.0
    if backwards.any():
        row = int(np.flatnonzero(backwards)[0]) + 1
        raise LobsterError(
            f"{path.name}, line {row + 1} is earlier than the line before it; sort the lines by time"
        )
    return messages


def read_order_book(path: str | Path) -> npt.NDArray[Any]:
    """The rows of an order book file, of `order_book_dtype`, shape (n,).

    Raises:
        LobsterError: if the file is missing or has other columns than four for each level.
    """
    path = Path(path)
    n_columns = _check_columns(
        path, None, "4 columns a level (ask price, ask size, bid price, bid size)"
    )
    table = _load(path, np.dtype("i8")).reshape(-1, n_columns)
    rows = np.empty(len(table), dtype=order_book_dtype(n_columns // 4))
    for column, name in enumerate(rows.dtype.names or ()):
        rows[name] = table[:, column::4]
    return rows


def order_book_of(message_file: Path) -> Path:
    """Where the order book file of a message file lies, by LOBSTER's names.

    Raises:
        LobsterError: if the name does not say.
    """
    if "message" not in message_file.name:
        raise LobsterError(
            f"{message_file.name} has no 'message' in its name, so its order book file cannot be guessed; name that too"
        )
    return message_file.with_name(message_file.name.replace("message", "orderbook"))


def infer_tick_size(messages: npt.NDArray[Any], order_book: npt.NDArray[Any]) -> int:
    """[currency / 10,000] The largest step of which every visible price is a multiple.

    Hidden orders may execute between two ticks, so their prices are left out.

    Raises:
        LobsterError: if there is no visible price.
    """
    hidden = np.isin(
        messages["type"],
        [MessageType.HIDDEN_EXECUTION, MessageType.CROSS_TRADE, MessageType.TRADING_HALT],
    )
    prices = [messages["price"][~hidden]]
    for side in ("ask", "bid"):
        prices.append(order_book[f"{side}_price"][order_book[f"{side}_size"] > 0])
    tick_size = int(np.gcd.reduce(np.concatenate(prices)))
    if tick_size == 0:
        raise LobsterError(
            "no visible price is in the files, so they do not show the tick; write tick_size=100"
        )
    return tick_size


def levels(order_book: npt.NDArray[Any], side: Side) -> list[list[tuple[int, int]]]:
    """The levels of one side in each row of an order book as (price, size), best first, without
    empty ones."""
    prices, sizes = (order_book[f"{side}_{column}"].tolist() for column in ("price", "size"))
    return [
        [(price, size) for price, size in zip(*row, strict=True) if size > 0]
        for row in zip(prices, sizes, strict=True)
    ]


def write(recording: Recording, message_file: str | Path, order_book_file: str | Path) -> None:
    """Write a recording as an exchange's would be: what `read` reads."""
    np.savetxt(message_file, recording.messages, fmt="%.9f,%d,%d,%d,%d,%d")
    book = recording.order_book
    table = np.stack([book[name] for name in book.dtype.names or ()], axis=2).reshape(len(book), -1)
    np.savetxt(order_book_file, table, fmt="%d", delimiter=",")


def _check_columns(path: Path, wanted: int | None, sentence: str) -> int:
    """The number of columns, from the first row."""
    try:
        with path.open() as file:
            first = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LobsterError(
            f"{path} cannot be read ({getattr(error, 'strerror', error)}); write the path of a LOBSTER file"
        ) from error
    if not first:
        raise LobsterError(f"{path.name} holds no rows; write the path of a LOBSTER file")
    n_columns = first.count(",") + 1
    if n_columns % 4 != 0 if wanted is None else n_columns != wanted:
        raise LobsterError(
            f"{path.name} has {n_columns} columns, {sentence} were wanted; is it the other of the two files?"
        )
    return n_columns


def _load(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    try:
        return np.loadtxt(path, delimiter=",", dtype=dtype, ndmin=1 if dtype.names else 2)
    except ValueError as error:
        what = str(error).split(";")[0]  # NumPy goes on with advice about its own arguments
        raise LobsterError(
            f"{path.name} is not in LOBSTER's format: {what}; whole numbers parted by commas were wanted"
        ) from error
