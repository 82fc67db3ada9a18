"""The replay: against a session worked out by hand, with planted faults, and for all rows of the
sample files. A vectorised rule for level-1 files tests the book independently."""

from dataclasses import replace

import numpy as np
import pytest

from mm_gym import configure
from mm_gym.data import Recording, check_rows, record_market, replay
from mm_gym.data.lobster import MessageType

from .conftest import Session


def test_each_row_of_a_session_written_by_hand_follows(hand_session: Recording) -> None:
    """Bids have two levels in ten rows. Asks have two levels in rows 1 to 6 and 10, and one known
    level in rows 7 to 9."""
    report = check_rows(hand_session)
    assert report.exceptions == ()
    assert report.rows == 10
    assert report.levels_revealed == 1  # the level at 5 in row 7
    assert report.levels_compared == 2 * 10 + 2 * 7 + 1 * 3


def test_a_session_written_by_hand_replays_continuously(hand_session: Recording) -> None:
    book, report = replay(hand_session)
    assert report.exceptions == ()
    assert (report.rows, report.levels_revealed, report.levels_compared) == (10, 1, 37)
    assert (report.executions, report.hit_oldest) == (3, 1)
    assert [row for row, _ in report.hit_unknown] == [2, 8]
    assert book.queue("bid", 1000000) == [(2, 150)]
    assert book.queue("ask", 1000400) == [(4, 60)]
    assert book.levels("ask") == [(1000400, 60), (1000500, 70)]
    assert book.audit()


def test_a_replay_can_stop_at_a_row(hand_session: Recording) -> None:
    book, report = replay(hand_session, last_row=5)
    assert report.rows == 5
    assert book.queue("ask", 1000200) == [(3, 30)]


def test_no_level_can_come_into_view_after_an_empty_one(hand_session: Recording) -> None:
    """Row 8 shows one ask level of two, so there is no other. A second one in row 9 needs a
    message."""
    order_book = hand_session.order_book.copy()
    order_book["ask_price"][9, 1], order_book["ask_size"][9, 1] = 1000900, 10
    assert [
        row for row, _ in check_rows(replace(hand_session, order_book=order_book)).exceptions
    ] == [9]


def test_a_level_that_comes_into_view_has_to_be_worse_than_those_in_view(
    hand_session: Recording,
) -> None:
    order_book = hand_session.order_book.copy()
    order_book["ask_price"][7, 1] = 1000200
    (discrepancy, *_) = check_rows(replace(hand_session, order_book=order_book)).exceptions
    assert discrepancy.row == 7


@pytest.mark.parametrize("column", ["ask_price", "ask_size", "bid_price", "bid_size"])
def test_a_wrong_number_in_one_row_is_found_there_and_in_the_next(
    hand_session: Recording, column: str
) -> None:
    order_book = hand_session.order_book.copy()
    order_book[column][5, 0] += 1
    broken = replace(hand_session, order_book=order_book)
    assert {row for row, _ in check_rows(broken).exceptions} == {5, 6}
    assert {row for row, _ in replay(broken)[1].exceptions} == {5, 6}


# --------------------------------------------------------------------- time priority at one level

# Bids at 100.00: an order from before the file (100), then 2 (100), then 3 (100).

QUEUE = """\
1,1,1,100,1000000,1
2,1,2,100,1000000,1
3,1,3,100,1000000,1
"""
QUEUE_ROWS = "1000300,50,1000000,100\n1000300,50,1000000,200\n1000300,50,1000000,300\n"


def discrepancies(session: Session, more: str, rows: str) -> list[tuple[int, str]]:
    recording = session(QUEUE + more, QUEUE_ROWS + rows)
    assert check_rows(recording).exceptions == ()  # each row by itself is in order
    return list(replay(recording)[1].exceptions)


def test_executions_from_old_to_young_are_in_order(session: Session) -> None:
    more = "4,4,1,100,1000000,1\n4,4,2,100,1000000,1\n4,4,3,60,1000000,1\n"
    assert not discrepancies(
        session, more, "1000300,50,1000000,200\n1000300,50,1000000,100\n1000300,50,1000000,40\n"
    )


def test_an_execution_that_breaks_time_priority_is_reported_with_the_older_order_s_fate(
    session: Session,
) -> None:
    more = "4,4,1,100,1000000,1\n5,4,3,100,1000000,1\n6.5,3,2,100,1000000,1\n"
    ((row, reason),) = discrepancies(
        session, more, "1000300,50,1000000,200\n1000300,50,1000000,100\n1000300,50,999900,30\n"
    )
    assert row == 4
    assert reason == (
        "order 3 is executed before older ones at its price: 2 (DELETION 1.500000 s later, "
        "in row 5)"
    )


def test_an_execution_before_what_was_there_from_the_start_is_found(session: Session) -> None:
    ((row, reason),) = discrepancies(session, "4,4,2,100,1000000,1\n", "1000300,50,1000000,200\n")
    assert row == 3
    assert "orders that were in the book before it came into view" in reason


def test_an_order_that_has_left_the_book_cannot_trade_again(session: Session) -> None:
    more = "4,3,2,100,1000000,1\n5,4,2,100,1000000,1\n"
    found = discrepancies(session, more, "1000300,50,1000000,200\n1000300,50,1000000,100\n")
    assert found[0] == (4, "100 shares of order 2 are executed, but 0 are in the book")


def test_a_deletion_of_another_size_than_the_order_s_is_found(session: Session) -> None:
    found = discrepancies(session, "4,3,2,40,1000000,1\n", "1000300,50,1000000,260\n")
    assert found[0] == (3, "40 shares of order 2 are cancelled, which has 100")


def test_an_id_that_rests_already_cannot_enter(session: Session) -> None:
    found = discrepancies(session, "4,1,3,40,999900,1\n", "1000300,50,1000000,300\n")
    assert found == [(3, "order 3 enters, but is in the book already")]


def test_an_order_whose_level_left_the_view_and_came_back_is_of_unknown_age(
    session: Session,
) -> None:
    """A better bid hides the level of orders 2 and 3 and is cancelled. Then 2 trades. The file does
    not show what happened at the hidden level."""
    recording = session(
        QUEUE + "4,1,4,10,1000100,1\n5,3,4,10,1000100,1\n6,4,2,100,1000000,1\n",
        QUEUE_ROWS + "1000300,50,1000100,10\n1000300,50,1000000,300\n1000300,50,1000000,200\n",
    )
    _, report = replay(recording)
    assert report.exceptions == ()
    assert report.levels_revealed == 1
    ((row, reason),) = report.hit_unknown
    assert row == 5
    assert reason.startswith(
        "order 2 entered in row 1; its level left the view in row 3 and came back"
    )


def test_an_execution_away_from_the_best_price_is_found(hand_session: Recording) -> None:
    """The buyer of row 8 takes from the second level while the first stands."""
    messages = hand_session.messages.copy()
    messages["price"][8] = 1000500
    found = [
        reason
        for row, reason in check_rows(replace(hand_session, messages=messages)).exceptions
        if row == 8
    ]
    assert "order 9 at 1000500 is executed while 1000300 is the best price" in found


def test_a_limit_order_that_would_trade_is_found(hand_session: Recording) -> None:
    messages = hand_session.messages.copy()
    messages["price"][4] = 1000000
    found = [
        reason
        for row, reason in check_rows(replace(hand_session, messages=messages)).exceptions
        if row == 4
    ]
    assert any("order 3 crosses the book and would trade" in reason for reason in found)


# ------------------------------------------------------------------------------- simulated, sampled


@pytest.mark.parametrize("n_levels", [1, 3, 60])
def test_the_simulated_market_s_own_messages_replay_without_exception(n_levels: int) -> None:
    """The market's matching and the replay share only the recording. With all levels in view only
    the orders of the warm-up are of unknown age."""
    config = configure(taker_size=3.0, maker_size=2.0, taker_tolerance=6.0)
    recording = record_market(config, 120.0, seed=1, n_levels=n_levels)
    assert check_rows(recording).exceptions == ()
    _, report = replay(recording)
    assert report.exceptions == ()
    assert (
        report.executions
        == (recording.messages["type"] == MessageType.VISIBLE_EXECUTION).sum()
        > 50
    )
    assert report.hit_oldest + len(report.hit_unknown) == report.executions
    if n_levels == 60:
        assert report.levels_revealed == 0
        assert report.hit_oldest > 0.9 * report.executions


def test_two_executions_swapped_are_found_by_time_priority_alone() -> None:
    """Two adjacent orders at one price with equal size: no row changes, only the order of
    executions."""
    recording = record_market(
        configure(taker_size=3.0, taker_tolerance=6.0), 120.0, seed=1, n_levels=60
    )
    messages = recording.messages.copy()
    hits = np.flatnonzero(messages["type"] == MessageType.VISIBLE_EXECUTION)
    known = set(messages["order_id"][messages["type"] == MessageType.NEW_LIMIT_ORDER].tolist())
    first = next(
        row
        for row in hits.tolist()
        if row + 1 in hits
        and set(messages["order_id"][[row, row + 1]].tolist()) <= known
        and all(
            messages[name][row] == messages[name][row + 1]
            for name in ("time", "size", "price", "side")
        )
    )
    messages["order_id"][[first, first + 1]] = messages["order_id"][[first + 1, first]]
    swapped = replace(recording, messages=messages)
    assert check_rows(swapped).exceptions == ()
    ((row, reason),) = replay(swapped)[1].exceptions
    assert row == first
    assert f"VISIBLE_EXECUTION 0.000000 s later, in row {first + 1}" in reason


def test_every_row_of_the_day_of_one_level_follows_from_the_row_before(goog: Recording) -> None:
    report = check_rows(goog)
    assert report.exceptions == ()
    assert report.rows == 49_481
    # Level 1 is empty when its last shares are gone. Only then does an unknown level replace it.
    messages, before = goog.messages[1:], goog.order_book[:-1]
    touch = np.where(messages["side"] == 1, before["bid_size"][:, 0], before["ask_size"][:, 0])
    leaves = np.isin(messages["type"], [2, 3, 4])
    emptied = leaves & (messages["size"] == touch)
    assert report.levels_revealed == emptied.sum()
    assert report.levels_compared == 2 * report.rows - emptied.sum()


def test_a_rule_without_a_book_gives_the_same_rows_of_the_day_of_one_level(goog: Recording) -> None:
    """The rule gives best price and size of the message's side after the message. The other side
    does not change."""
    messages, before, after = goog.messages[1:], goog.order_book[:-1], goog.order_book[1:]
    for number, name, other in ((1, "bid", "ask"), (-1, "ask", "bid")):
        mine = messages["side"] == number
        for column in ("price", "size"):
            np.testing.assert_array_equal(
                before[f"{other}_{column}"][mine], after[f"{other}_{column}"][mine]
            )
        kind, size, price = (messages[column][mine] for column in ("type", "size", "price"))
        old_price, old_size = before[f"{name}_price"][mine, 0], before[f"{name}_size"][mine, 0]
        new_price, new_size = after[f"{name}_price"][mine, 0], after[f"{name}_size"][mine, 0]
        better = (kind == 1) & (number * price > number * old_price)
        change = np.select([kind == 1, np.isin(kind, [2, 3, 4])], [size, -size], 0)
        left = np.where(better, size, old_size + change)
        np.testing.assert_array_equal(new_size[left > 0], left[left > 0])
        np.testing.assert_array_equal(
            new_price[left > 0], np.where(better, price, old_price)[left > 0]
        )
        assert (number * new_price[left == 0] < number * old_price[left == 0]).all()
        assert (left >= 0).all()


def test_every_row_of_the_ten_level_file_follows_from_the_row_before(aapl: Recording) -> None:
    report = check_rows(aapl)
    assert report.exceptions == ()
    assert report.rows == 998
    assert report.levels_compared + report.levels_revealed == 998 * 20
    assert report.levels_revealed < 0.02 * report.levels_compared


def test_in_the_ten_level_file_every_visible_execution_hits_the_oldest_order_of_the_best_queue(
    aapl: Recording,
) -> None:
    """90 of 98 executions hit the oldest order, known by its id. The other eight hit the head of
    the best queue, which is of unknown age. Four were in the book before the file began. Four are
    one order whose level left the view."""
    book, report = replay(aapl)
    assert report.exceptions == ()
    assert report.executions == (aapl.messages["type"] == 4).sum() == 98
    assert report.hit_oldest == 90
    entered = set(aapl.messages["order_id"][aapl.messages["type"] == 1].tolist())
    unknown = {row: int(aapl.messages["order_id"][row]) for row, _ in report.hit_unknown}
    assert [row for row, order_id in unknown.items() if order_id not in entered] == [
        447,
        448,
        449,
        487,
    ]
    assert {
        row: order_id for row, order_id in unknown.items() if order_id in entered
    } == dict.fromkeys([868, 874, 877, 906], 11599111)
    assert book.audit()


def test_in_the_day_of_one_level_five_executions_pass_an_older_order_by(goog: Recording) -> None:
    """The files do not explain these five. Each older order trades or is cancelled within 1.4 ms.
    Three of the five are in one sweep whose executions share a time stamp. All other executions of
    7,764 keep time priority."""
    _, report = replay(goog)
    assert [row for row, _ in report.exceptions] == [22968, 41952, 41953, 41954, 47985]
    assert len(set(goog.messages["time"][41952:41957].tolist())) == 1
    assert report.executions == (goog.messages["type"][1:] == 4).sum() == 7764
    assert report.hit_oldest == 4188
    assert report.hit_oldest + len(report.hit_unknown) + len(report.exceptions) == report.executions


def test_a_fault_planted_in_the_sample_is_found(aapl: Recording) -> None:
    order_book = aapl.order_book.copy()
    order_book["bid_size"][500, 6] += 1
    assert {row for row, _ in check_rows(replace(aapl, order_book=order_book)).exceptions} == {
        500,
        501,
    }
