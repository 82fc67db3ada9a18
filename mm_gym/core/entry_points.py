"""What Python calls: the compiled and cached entry points, for many markets and for a book alone.

Arrays in, arrays out, no checks: the faces have checked. A market or book is passed as an array of
records, also where there is one, since Numba takes an array many times faster than a record.
"""

from mm_gym.core.book import SOUND, add, audit, cancel, clear, match, reduce
from mm_gym.core.kernel import FINGERPRINT, entry_point, kernel
from mm_gym.core.layout import PUBLIC
from mm_gym.core.market import let_happen, next_event_time, reset_one, step_one
from mm_gym.core.prefetch import prefetch_market
from mm_gym.core.recorder import keep_fills, keep_path


def _market_entry_points(fingerprint):
    @entry_point
    def reset_many(markets, chosen, seed_words, observations, outcomes, path_rows):
        """Reset the markets whose numbers stand in `chosen`; `seed_words` has a row for each of
        those."""
        fingerprint  # noqa: B018  (named, so that it is in the closure and thereby in the cache's key)
        for index in range(chosen.shape[0]):
            i = chosen[index]
            reset_one(markets[i], seed_words[index])
            if path_rows.shape[1] > 0:
                keep_path(markets[i], path_rows[i])
            _hand_out(markets[i], i, observations, outcomes)

    @entry_point
    def step_many(markets, actions, observations, outcomes, fill_rows, path_rows):
        """Step every market once."""
        fingerprint  # noqa: B018
        for i in range(markets.shape[0]):
            prefetch_market(markets, i + 1)
            step_one(markets[i], actions[i, 0], actions[i, 1], i, fill_rows, path_rows)
            _hand_out(markets[i], i, observations, outcomes)

    @entry_point
    def audit_events(markets, n_events, fill_rows):
        """Let events happen to the first market, with a full check of its book after each.

        Returns the number of events before the first fault, and the fault's code (`book.SOUND` for
        none).
        """
        fingerprint  # noqa: B018
        market = markets[0]
        for done in range(n_events):
            let_happen(market, next_event_time(market))
            if fill_rows.shape[1] > 0:
                keep_fills(market, fill_rows[0])
            fault = audit(market.book)
            if fault != SOUND:
                return done, fault
        return n_events, SOUND

    return reset_many, step_many, audit_events


@kernel
def _hand_out(market, i, observations, outcomes):
    """Copy what the market left in its record to row i."""
    for column in range(observations.shape[1]):
        observations[i, column] = market.observation[column]
    for column in range(outcomes.shape[1]):
        outcomes[i, column] = market.outcome[column]


def _book_entry_points(fingerprint):
    @entry_point
    def book_clear(books):
        """Empty the book."""
        fingerprint  # noqa: B018
        clear(books[0])

    @entry_point
    def book_add(books, side, price, size):
        """`book.add` of a public order."""
        fingerprint  # noqa: B018
        return add(books[0], side, price, size, PUBLIC)

    @entry_point
    def book_match(books, side, limit_price, size):
        """`book.match`."""
        fingerprint  # noqa: B018
        return match(books[0], side, limit_price, size)

    @entry_point
    def book_reduce(books, slot, size):
        """`book.reduce`."""
        fingerprint  # noqa: B018
        reduce(books[0], slot, size)

    @entry_point
    def book_cancel(books, slot):
        """`book.cancel`."""
        fingerprint  # noqa: B018
        cancel(books[0], slot)

    @entry_point
    def book_audit(books):
        """`book.audit`."""
        fingerprint  # noqa: B018
        return audit(books[0])

    return book_clear, book_add, book_match, book_reduce, book_cancel, book_audit


reset_many, step_many, audit_events = _market_entry_points(FINGERPRINT)
book_clear, book_add, book_match, book_reduce, book_cancel, book_audit = _book_entry_points(
    FINGERPRINT
)
