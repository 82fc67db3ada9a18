"""The compiled and cached functions that Python calls: for many markets and for a single book.

They trust their arguments, which the environments have checked. A single market or book is passed
as an array of one record, because Numba accepts an array many times faster than a record.
`parameters` is an array of records, and each market holds the number of its row. Units are those of
`layout`.
"""

from mm_gym.core.book import (
    SOUND,
    add,
    audit,
    audit_pool,
    audit_side,
    cancel,
    clear,
    match,
    reduce,
)
from mm_gym.core.kernel import FINGERPRINT, entry_point, kernel
from mm_gym.core.layout import PUBLIC, TAKE_ABOVE, Makers, Obs, Outcome
from mm_gym.core.makers import reschedule_makers
from mm_gym.core.market import (
    begin_step,
    finish_step,
    let_happen,
    next_event_time,
    reset_one,
    run_until,
    run_until_recording,
)
from mm_gym.core.prefetch import prefetch_market
from mm_gym.core.recorded_queues import show_levels
from mm_gym.core.recorder import keep_fills, keep_path
from mm_gym.core.replay import replay_reset_one, replay_step_one
from mm_gym.core.soundness import market_fault, recorded_fault

# Constant numbers of columns let the compiler copy a row without a loop.
_N_OBSERVED, _N_OUTCOMES = len(Obs), len(Outcome)


def _market_entry_points(fingerprint):
    @entry_point
    def reset_many(markets, parameters, chosen, seed_words, observations, outcomes, path_rows):
        """Reset the markets with the numbers in `chosen`. `seed_words` has one row for each."""
        # Naming it puts it into the closure, and so into the key of Numba's cache (see `kernel`).
        fingerprint  # noqa: B018
        for index in range(chosen.shape[0]):
            i = chosen[index]
            own = parameters[markets[i].configuration]
            reset_one(markets[i], own, seed_words[index])
            if path_rows.shape[1] > 0:
                keep_path(markets[i], own, path_rows[i])
            _hand_out(markets[i], i, observations, outcomes)

    @entry_point
    def step_many(markets, parameters, actions, observations, outcomes, fill_rows, path_rows):
        """Step every market by one decision. `actions` has two or three columns.

        Arrays without columns record nothing.
        """
        fingerprint  # noqa: B018
        recording = fill_rows.shape[1] > 0 or path_rows.shape[1] > 0
        for i in range(markets.shape[0]):
            prefetch_market(markets, i + 1)
            own = parameters[markets[i].configuration]
            takes = actions.shape[1] > 2 and actions[i, 2] > TAKE_ABOVE
            end = begin_step(markets[i], own, actions[i, 0], actions[i, 1], takes)
            reschedule_makers(markets[i], own)
            if recording:
                run_until_recording(markets[i], own, end, fill_rows[i], path_rows[i])
            else:
                run_until(markets[i], own, end)
            finish_step(markets[i], own)
            _hand_out(markets[i], i, observations, outcomes)

    @entry_point
    def replay_reset_many(
        markets, parameters, chosen, seed_words, observations, outcomes, path_rows, recording
    ):
        """Reset markets of recorded data, as `reset_many` does. `recording` is a tuple of arrays.

        They are rows of `RECORDED_EVENT`, the touch after each, and rows of `PRICE_LEVEL` and
        `LEVEL_CHANGE`.
        """
        fingerprint  # noqa: B018
        for index in range(chosen.shape[0]):
            i = chosen[index]
            own = parameters[markets[i].configuration]
            replay_reset_one(markets[i], own, seed_words[index], recording)
            if path_rows.shape[1] > 0:
                keep_path(markets[i], own, path_rows[i])
            _hand_out(markets[i], i, observations, outcomes)

    @entry_point
    def replay_step_many(
        markets, parameters, actions, observations, outcomes, fill_rows, path_rows, recording
    ):
        """Step every market of recorded data by one decision, as `step_many` does."""
        fingerprint  # noqa: B018
        for i in range(markets.shape[0]):
            replay_step_one(
                markets[i],
                parameters[markets[i].configuration],
                recording,
                actions[i, 0],
                actions[i, 1],
                fill_rows[i],
                path_rows[i],
            )
            _hand_out(markets[i], i, observations, outcomes)

    @entry_point
    def replay_show(markets, recording):
        """Call `replay.show_levels` for the first market."""
        fingerprint  # noqa: B018
        show_levels(markets[0], recording)

    @entry_point
    def audit_events(markets, parameters, n_events, fill_rows):
        """Process events of the first market and check all invariants of its book after each.

        Returns the number of events before the first fault and the fault's code, which is
        `book.SOUND` without a fault.
        """
        fingerprint  # noqa: B018
        market = markets[0]
        own = parameters[market.configuration]
        for done in range(n_events):
            let_happen(market, own, next_event_time(market))
            if fill_rows.shape[1] > 0:
                keep_fills(market, fill_rows[0])
            fault = audit(market.book)
            if fault != SOUND:
                return done, fault
        return n_events, SOUND

    @entry_point
    def check_many(markets, words, parameters, events):
        """Check markets between two decisions, before they are used.

        `words` has the same memory as `markets`, as rows of 64-bit numbers: a market of zeros was
        never reset, and is sound. `events` is the recorded data, if any. Returns the number of the
        first market with a fault and the fault's code, which is `book.SOUND` without a fault.
        """
        fingerprint  # noqa: B018
        for i in range(markets.shape[0]):
            if not words[i].any():
                continue
            own = parameters[markets[i].configuration]
            fault = market_fault(markets[i], own)
            if fault == SOUND and own.makers == Makers.RECORDED:
                fault = recorded_fault(markets[i], own, events)
            if fault != SOUND:
                return i, fault
        return markets.shape[0], SOUND

    return (
        reset_many,
        step_many,
        replay_reset_many,
        replay_step_many,
        replay_show,
        audit_events,
        check_many,
    )


@kernel
def _hand_out(market, i, observations, outcomes):
    """Copy the observation and the outcome from the record to row `i` of the arrays."""
    for column in range(_N_OBSERVED):
        observations[i, column] = market.observation[column]
    for column in range(_N_OUTCOMES):
        outcomes[i, column] = market.outcome[column]


def _book_entry_points(fingerprint):
    @entry_point
    def book_clear(books):
        """Empty the book."""
        fingerprint  # noqa: B018
        clear(books[0])

    @entry_point
    def book_add(books, side, price, size):
        """Call `book.add` with a public order."""
        fingerprint  # noqa: B018
        return add(books[0], side, price, size, PUBLIC)

    @entry_point
    def book_match(books, side, limit_price, size, fills):
        """Call `book.match`."""
        fingerprint  # noqa: B018
        return match(books[0], side, limit_price, size, fills)

    @entry_point
    def book_reduce(books, slot, size):
        """Call `book.reduce`."""
        fingerprint  # noqa: B018
        reduce(books[0], slot, size)

    @entry_point
    def book_cancel(books, slot):
        """Call `book.cancel`."""
        fingerprint  # noqa: B018
        cancel(books[0], slot)

    @entry_point
    def book_audit(books):
        """Call `book.audit`."""
        fingerprint  # noqa: B018
        return audit(books[0])

    @entry_point
    def book_audit_side(books, side):
        """Call `book.audit_side`."""
        fingerprint  # noqa: B018
        return audit_side(books[0], side)

    @entry_point
    def book_audit_pool(books):
        """Call `book.audit_pool`."""
        fingerprint  # noqa: B018
        return audit_pool(books[0])

    return (
        book_clear,
        book_add,
        book_match,
        book_reduce,
        book_cancel,
        book_audit,
        book_audit_side,
        book_audit_pool,
    )


(
    reset_many,
    step_many,
    replay_reset_many,
    replay_step_many,
    replay_show,
    audit_events,
    check_many,
) = _market_entry_points(FINGERPRINT)
(
    book_clear,
    book_add,
    book_match,
    book_reduce,
    book_cancel,
    book_audit,
    book_audit_side,
    book_audit_pool,
) = _book_entry_points(FINGERPRINT)
