"""The reader, against written recordings and against Python's csv module on the sample files."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from mm_gym import configure
from mm_gym.data import LobsterError, Recording, read, record_market, write
from mm_gym.data.lobster import MessageType, levels
from mm_gym.data.replay import rebuild

from .conftest import HAND_MESSAGES, HAND_ORDER_BOOK, SAMPLES, Session


def test_columns_are_read_with_their_types_and_prices_stay_whole_numbers(
    hand_session: Recording,
) -> None:
    assert len(hand_session) == 11
    assert hand_session.n_levels == 2
    assert hand_session.duration == 20.0
    assert hand_session.messages[5].tolist() == (34206.0, 2, 3, 10, 1000200, -1)
    assert hand_session.messages["type"][5] == MessageType.PARTIAL_CANCELLATION
    assert hand_session.order_book["ask_price"][4].tolist() == [1000200, 1000300]
    assert hand_session.order_book["bid_size"][4].tolist() == [150, 30]
    assert {
        hand_session.messages[name].dtype.kind
        for name in ("type", "order_id", "size", "price", "side")
    } == {"i"}


def test_empty_levels_are_left_out_of_the_levels_of_a_row(hand_session: Recording) -> None:
    assert levels(hand_session.order_book, "ask")[8] == [(1000500, 70)]
    assert levels(hand_session.order_book, "bid")[8] == [(1000000, 150), (999900, 30)]


def test_the_tick_is_the_largest_step_that_divides_all_visible_prices(
    hand_session: Recording, tmp_path: Path
) -> None:
    """A hidden order trades at half a cent, and the price 9999999999 of an empty level is not a
    multiple of a cent. Neither counts."""
    assert hand_session.tick_size == 100
    assert read(tmp_path / "message.csv", tick_size=50).tick_size == 50


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """The market has empty levels. The files hold times to the nanosecond."""
    recording = record_market(configure(maker_rate=0.5), 60.0, seed=3, n_levels=4)
    assert (recording.order_book["ask_size"] == 0).any()
    write(recording, tmp_path / "sim_message_4.csv", tmp_path / "sim_orderbook_4.csv")
    again = read(tmp_path / "sim_message_4.csv")
    np.testing.assert_array_equal(again.order_book, recording.order_book)
    np.testing.assert_allclose(
        again.messages["time"], recording.messages["time"], rtol=0.0, atol=1e-9
    )
    for name in ("type", "order_id", "size", "price", "side"):
        np.testing.assert_array_equal(again.messages[name], recording.messages[name])
    assert again.tick_size == recording.tick_size == 100


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        LobsterError,
        match=r"gone_message_1\.csv cannot be read: expected a LOBSTER file, got No such file",
    ):
        read(tmp_path / "gone_message_1.csv")


def test_a_folder_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LobsterError, match="cannot be read"):
        read(tmp_path, tmp_path)
    (tmp_path / "message.csv").write_text("")
    with pytest.raises(LobsterError, match="is empty: expected a LOBSTER file, got no rows"):
        read(tmp_path / "message.csv")


def test_without_message_in_its_name_the_order_book_file_has_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(LobsterError, match=r"expected 'message' in the name .*, got day\.csv"):
        read(tmp_path / "day.csv")


@pytest.mark.parametrize(
    "messages, order_book, sentence",
    [
        (
            HAND_ORDER_BOOK,
            HAND_ORDER_BOOK,
            "message.csv has the wrong columns: expected 6 columns .*, got 8 .*not swapped",
        ),
        (
            HAND_MESSAGES,
            HAND_MESSAGES,
            "orderbook.csv has the wrong columns: expected 4 columns per level .*, got 6",
        ),
        (
            HAND_MESSAGES,
            HAND_ORDER_BOOK.split("\n", 1)[1],
            "orderbook.csv does not belong to message.csv: expected 11 rows, .*, got 10",
        ),
        (
            HAND_MESSAGES.replace("34205.0,1,3", "34205.0,8,3"),
            HAND_ORDER_BOOK,
            "type in message.csv, line 5 is out of range: expected one of 1 .*, got 8",
        ),
        (
            HAND_MESSAGES.replace("1000200,-1", "1000200,0"),
            HAND_ORDER_BOOK,
            "side in message.csv, line 5 is out of range: expected 1 .*, got 0",
        ),
        (
            HAND_MESSAGES.replace("3,40,", "3,0,"),
            HAND_ORDER_BOOK,
            "size in message.csv, line 5 is out of range: expected at least one share, got 0",
        ),
        (
            HAND_MESSAGES.replace("34205.0", "nan"),
            HAND_ORDER_BOOK,
            "time in message.csv, line 5 is out of range: expected seconds .*, got nan",
        ),
        (
            HAND_MESSAGES.replace("34205.0", "34202.0"),
            HAND_ORDER_BOOK,
            "line 5 is out of order: expected at least 34203.0, got 34202.0",
        ),
        (
            HAND_MESSAGES.replace("1000200", "10.5"),
            HAND_ORDER_BOOK,
            "not in LOBSTER's format: expected comma-separated whole numbers, got .*10.5",
        ),
        (
            HAND_MESSAGES.replace("34205.0,1,", "34205.0,"),
            HAND_ORDER_BOOK,
            "not in LOBSTER's format",
        ),
        (
            "time,type,id,size,price,side\n" + HAND_MESSAGES,
            HAND_ORDER_BOOK,
            "not in LOBSTER's format: .*'time'",
        ),
    ],
)
def test_a_file_that_is_not_in_lobster_s_format_is_refused(
    session: Session, messages: str, order_book: str, sentence: str
) -> None:
    with pytest.raises(LobsterError, match=sentence) as refused:
        session(messages, order_book)
    assert not re.search(r"usecols|Traceback|\n", str(refused.value))


@pytest.mark.parametrize("tick_size", [0, -100, 0.01, True, 7, 200])
def test_a_tick_size_that_does_not_divide_every_price_is_refused(
    hand_session: Recording, tmp_path: Path, tick_size: float
) -> None:
    with pytest.raises(LobsterError, match="is out of range: expected a whole number of 1/10,000"):
        read(tmp_path / "message.csv", tick_size=tick_size)  # type: ignore[arg-type]
    with pytest.raises(LobsterError, match="that divides 100, the largest step of all prices"):
        rebuild(hand_session.messages, tick_size=tick_size)  # type: ignore[arg-type]


@pytest.mark.parametrize("stock, n_levels", [("goog", 1), ("aapl", 10)])
def test_the_sample_files_are_what_python_s_csv_module_reads(
    stock: str, n_levels: int, request: pytest.FixtureRequest
) -> None:
    recording: Recording = request.getfixturevalue(stock)
    assert (len(recording), recording.n_levels) == {"goog": (49_482, 1), "aapl": (999, 10)}[stock]
    assert recording.tick_size == 100
    assert recording.messages["time"][0] > 34_200.0
    assert recording.messages["time"][-1] < 57_600.0
    (messages,) = SAMPLES.glob(f"{stock.upper()}_*_message_{n_levels}.csv")
    with messages.open() as file:
        for ours, row in zip(recording.messages.tolist(), csv.reader(file), strict=True):
            assert ours == (float(row[0]), *map(int, row[1:]))
    with messages.with_name(messages.name.replace("message", "orderbook")).open() as file:
        theirs = np.array([[int(cell) for cell in row] for row in csv.reader(file)])
    book = recording.order_book
    for level in range(n_levels):
        for column, name in enumerate(("ask_price", "ask_size", "bid_price", "bid_size")):
            np.testing.assert_array_equal(book[name][:, level], theirs[:, 4 * level + column])
