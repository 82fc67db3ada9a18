"""Fixtures of the tests of exchange data: a session written by hand, and the public samples."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mm_gym.data import Recording, read

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data"

# Two levels a side, prices in cents above 100.00:
#
#   row    0  1  2  3 | 4  5  6 | 7 | 8  9 | 10
#   ask 2  5  5  5  5 | 3  3  3 | 5 | -  - | 5        7: level 5 comes back into view
#   ask 1  3  3  3  3 | 2  2  2 | 3 | 5  5 | 4        8: nothing comes, the side ends here
#   bid 1  0  0  0  0 | 0  0  0 | 0 | 0  0 | 0
#   bid 2 -1 -1 -1 -1 |-1 -1 -1 |-1 |-1 -1 |-1
HAND_MESSAGES = """\
34200.0,1,1,100,1000000,1
34201.0,1,2,200,1000000,1
34203.0,4,1,100,1000000,1
34203.0,4,2,50,1000000,1
34205.0,1,3,40,1000200,-1
34206.0,2,3,10,1000200,-1
34207.0,5,0,25,1000150,1
34208.0,3,3,30,1000200,-1
34210.0,4,9,50,1000300,-1
34212.0,7,0,0,-1,-1
34220.0,1,4,60,1000400,-1
"""
HAND_ORDER_BOOK = """\
1000300,50,1000000,100,1000500,70,999900,30
1000300,50,1000000,300,1000500,70,999900,30
1000300,50,1000000,200,1000500,70,999900,30
1000300,50,1000000,150,1000500,70,999900,30
1000200,40,1000000,150,1000300,50,999900,30
1000200,30,1000000,150,1000300,50,999900,30
1000200,30,1000000,150,1000300,50,999900,30
1000300,50,1000000,150,1000500,70,999900,30
1000500,70,1000000,150,9999999999,0,999900,30
1000500,70,1000000,150,9999999999,0,999900,30
1000400,60,1000000,150,1000500,70,999900,30
"""

Session = Callable[[str, str], Recording]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A function that writes messages and order book to files and reads them."""

    def write_and_read(messages: str, order_book: str) -> Recording:
        (tmp_path / "message.csv").write_text(messages)
        (tmp_path / "orderbook.csv").write_text(order_book)
        return read(tmp_path / "message.csv")

    return write_and_read


@pytest.fixture
def hand_session(session: Session) -> Recording:
    """Eleven messages whose effects are worked out by hand."""
    return session(HAND_MESSAGES, HAND_ORDER_BOOK)


def _sample(stock: str, n_levels: int) -> Recording:
    path = SAMPLES / f"{stock}_2012-06-21_34200000_57600000_message_{n_levels}.csv"
    if not path.exists():
        pytest.skip(f"the sample {path.name} is not in ../shared/data, and not part of the project")
    return read(path)


@pytest.fixture(scope="session")
def goog() -> Recording:
    """A trading day of GOOG, best level only."""
    return _sample("GOOG", 1)


@pytest.fixture(scope="session")
def aapl() -> Recording:
    """The first 999 rows of a day of AAPL, ten levels."""
    return _sample("AAPL", 10)
