"""The reader: against what was written, and against Python's own csv module on the sample files."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from mm_gym import configure
from mm_gym.data import LobsterError, Recording, read, record_market, write
from mm_gym.data.lobster import MessageType, levels

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


def test_the_tick_is_what_all_visible_prices_share_and_hidden_ones_and_empty_levels_do_not_count(
    hand_session: Recording, tmp_path: Path
) -> None:
    """A hidden order traded half a cent off, and 9999999999 is no multiple of a cent."""
    assert hand_session.tick_size == 100
    assert read(tmp_path / "message.csv", tick_size=50).tick_size == 50


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """A market with empty levels; times are kept to the nanosecond, as the files hold them."""
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
        match=r"gone_message_1\.csv cannot be read .* write the path of a LOBSTER file",
    ):
        read(tmp_path / "gone_message_1.csv")


def test_a_folder_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LobsterError, match="cannot be read"):
        read(tmp_path, tmp_path)
    (tmp_path / "message.csv").write_text("")
    with pytest.raises(LobsterError, match="holds no rows"):
        read(tmp_path / "message.csv")


def test_a_name_that_does_not_say_where_the_order_book_is_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(LobsterError, match="name that too"):
        read(tmp_path / "day.csv")


@pytest.mark.parametrize(
    "messages, order_book, sentence",
    [
        (
            HAND_ORDER_BOOK,
            HAND_ORDER_BOOK,
            "message.csv has 8 columns, 6 columns .* is it the other of the two",
        ),
        (HAND_MESSAGES, HAND_MESSAGES, "orderbook.csv has 6 columns, 4 columns a level"),
        (
            HAND_MESSAGES,
            HAND_ORDER_BOOK.split("\n", 1)[1],
            "11 rows and orderbook.csv has 10; row k",
        ),
        (
            HAND_MESSAGES.replace("34205.0,1,3", "34205.0,8,3"),
            HAND_ORDER_BOOK,
            "line 5: type 8 came, wanted was one of 1 ",
        ),
        (HAND_MESSAGES.replace("1000200,-1", "1000200,0"), HAND_ORDER_BOOK, "line 5: side 0 came"),
        (
            HAND_MESSAGES.replace("3,40,", "3,0,"),
            HAND_ORDER_BOOK,
            "line 5: size 0 came, wanted was a positive number",
        ),
        (HAND_MESSAGES.replace("34205.0", "nan"), HAND_ORDER_BOOK, "line 5: time nan came"),
        (
            HAND_MESSAGES.replace("34205.0", "34202.0"),
            HAND_ORDER_BOOK,
            "line 5 is earlier than the line before it",
        ),
        (
            HAND_MESSAGES.replace("1000200", "10.5"),
            HAND_ORDER_BOOK,
            "not in LOBSTER's format: .*10.5",
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
def test_a_file_that_is_not_lobster_s_is_refused_in_a_sentence(
    session: Session, messages: str, order_book: str, sentence: str
) -> None:
    with pytest.raises(LobsterError, match=sentence) as refused:
        session(messages, order_book)
    assert not re.search(r"usecols|Traceback|\n", str(refused.value))


@pytest.mark.parametrize("tick_size", [0, -100, 0.01, True])
def test_a_tick_that_cannot_be_is_refused(
    hand_session: Recording, tmp_path: Path, tick_size: float
) -> None:
    with pytest.raises(LobsterError, match="write a positive whole number, such as 100"):
        read(tmp_path / "message.csv", tick_size=tick_size)  # type: ignore[arg-type]


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
