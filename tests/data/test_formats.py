"""Readers of exchange formats against other parsers, hand-worked cases and broken files."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import databento_dbn as dbn
import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_gym.data.events import (
    EVENT,
    DataFileError,
    EventKind,
    Events,
    Source,
    convert,
    load,
    read_events,
)
from mm_gym.data.formats import open_file
from tests.data import itch_files

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ADD, REDUCE, CANCEL, EXECUTE, HIDDEN, HALT = EventKind
LOBSTER = """\
34200.000000001,1,11,100,1000000,1
34200.5,1,12,30,1000100,-1
34201,2,11,40,1000000,1
34202.25,4,12,30,1000100,-1
34203,5,0,5,1000050,1
34204,6,0,900,1000000,1
34205,7,0,0,-1,-1
34206,7,0,0,1,-1
34207,3,11,60,1000000,1
"""
LOBSTER_EVENTS = [
    (34_200_000_000_001, ADD, 1, 11, 1_000_000, 100),
    (34_200_500_000_000, ADD, -1, 12, 1_000_100, 30),
    (34_201_000_000_000, REDUCE, 1, 11, 1_000_000, 40),
    (34_202_250_000_000, EXECUTE, -1, 12, 1_000_100, 30),
    (34_203_000_000_000, HIDDEN, 1, 0, 1_000_050, 5),
    (34_205_000_000_000, HALT, 0, 0, 0, 0),
    (34_206_000_000_000, HALT, 0, 0, 0, 1),
    (34_207_000_000_000, CANCEL, 1, 11, 1_000_000, 60),
]


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(events: Events) -> list[tuple[int, ...]]:
    return [tuple(row) for row in events.rows.tolist()]


# --------------------------------------------------------------------------------------- LOBSTER


@pytest.mark.parametrize("participant", ["", ",null", ",NSDQ"])
def test_lobster_with_six_and_with_seven_columns(tmp_path: Path, participant: str) -> None:
    content = LOBSTER.replace("\n", participant + "\n")
    events = load(open_file(written(tmp_path / "m.csv", content)))
    assert rows(events) == LOBSTER_EVENTS
    assert (events.price_unit, events.size_unit, events.tick) == (1e-4, 1.0, 100)


def test_the_sample_of_a_day_equals_numpy_s_reading_of_it() -> None:
    path = SAMPLES / "GOOG_2012-06-21_34200000_57600000_message_1.csv"
    if not path.exists():
        pytest.skip(f"the sample {path.name} is not in ../shared/data, and not part of the project")
    table = np.loadtxt(path, delimiter=",")
    events = load(open_file(path, chunk=1000)).rows
    kinds = {1: ADD, 2: REDUCE, 3: CANCEL, 4: EXECUTE, 5: HIDDEN, 7: HALT}
    assert len(events) == len(table) == 49_482
    assert events["kind"].tolist() == [kinds[kind] for kind in table[:, 1].astype(int)]
    np.testing.assert_allclose(events["time"] / 1e9, table[:, 0], rtol=0, atol=1e-9)
    halt = events["kind"] == HALT
    np.testing.assert_array_equal(events["price"][~halt], table[~halt, 4].astype(int))
    np.testing.assert_array_equal(events["size"][~halt], table[~halt, 3].astype(int))
    np.testing.assert_array_equal(events["side"][~halt], table[~halt, 5].astype(int))


@pytest.mark.parametrize(
    "line, wrong",
    [
        ("34207,3,11,60,1000000", "m.csv, line 10 has the wrong columns: expected 6 as in line 1"),
        ("34207,9,11,60,1000000,1", "type in m.csv, line 10 is out of range: expected a whole"),
        ("34207,1,11,0,1000000,1", "size in m.csv, line 10 is out of range: expected at least 1"),
        ("34207,1,11,-5,1000000,1", "size in m.csv, line 10 is out of range: expected at least 1"),
        ("34207,1,11,5,-100,1", "price in m.csv, line 10 is out of range: expected at least 1"),
        ("34207,1,11,5,100,2", "side in m.csv, line 10 is out of range: expected 1 for a resting"),
        ("34207,1,11,5,x,1", "price in m.csv, line 10 is not a number: expected one, got 'x'"),
        ("34207,1,11,,5,1", "size in m.csv, line 10 is not a number: expected one, got ''"),
        ("34207,1,99999999999999999999,5,5,1", "order_id in m.csv, line 10 is not a number"),
        ("3e10,1,11,5,5,1", "time in m.csv, line 10 is out of range: expected seconds after"),
        ("nan,1,11,5,5,1", "time in m.csv, line 10"),
        ("3,1,11,5,5,1", "time of event 9 in m.csv is wrong: expected the events in order"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, wrong: str) -> None:
    path = written(tmp_path / "m.csv", LOBSTER + line + "\n")
    with pytest.raises(DataFileError) as error:
        load(open_file(path))
    assert str(error.value).startswith(wrong)
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------ ITCH


@pytest.mark.parametrize("chunk", [2, 50, 10**6])
@pytest.mark.parametrize("stock", itch_files.STOCKS)
def test_itch_equals_itchfeed_with_a_dictionary_of_orders(
    tmp_path: Path, stock: str, chunk: int
) -> None:
    content = itch_files.day(seed=3)
    for name, packed in (("day.itch", content), ("day.itch.gz", gzip.compress(content))):
        events = load(open_file(written(tmp_path / name, packed), symbol=stock, chunk=chunk))
        assert rows(events) == itch_files.slow_events(content, stock)
        assert {row[1] for row in rows(events)} == set(EventKind)


def test_a_table_that_grows_loses_no_order(tmp_path: Path) -> None:
    """More live orders than the table has room for at first."""
    messages = [itch_files.head("S", 0, 0) + b"O", itch_files.directory("AAPL")]
    ids = np.random.default_rng(0).permutation(60_000) * 1024 + 5
    for order_id in ids:
        messages.append(
            itch_files.head("A", 7, 5)
            + int(order_id).to_bytes(8, "big") + b"B" + (3).to_bytes(4, "big") + b"AAPL    "
            + (100).to_bytes(4, "big")
        )  # fmt: skip
    messages += [
        itch_files.head("D", 7, 6) + int(order_id).to_bytes(8, "big") for order_id in ids[::-1]
    ]
    path = written(tmp_path / "day.itch", b"".join(map(itch_files.framed, messages)))
    events = load(open_file(path)).rows
    assert events["order_id"].tolist() == [*ids, *ids[::-1]]
    assert events["size"].tolist() == [3] * 120_000


@pytest.mark.parametrize(
    "symbol, expected", [(None, "one of its 2 stocks, such as AAPL, GOOG, got none"),
                         ("MSFT", "one of its 2 stocks, such as AAPL, GOOG, got 'MSFT'")],
)  # fmt: skip
def test_an_itch_file_of_several_stocks_needs_one_of_them(
    tmp_path: Path, symbol: str | None, expected: str
) -> None:
    path = written(tmp_path / "day.itch", itch_files.day(0))
    with pytest.raises(DataFileError, match=expected):
        open_file(path, symbol=symbol)


def test_a_short_message_of_the_stock_changes_nothing(tmp_path: Path) -> None:
    """Types without an order are as short as 12 bytes, and may end the file."""
    start = [itch_files.head("S", 0, 0) + b"O", itch_files.directory("AAPL")]
    trade = itch_files.head("P", 7, 3) + bytes(8) + b"B" + (9).to_bytes(4, "big") + b"AAPL    "
    trade += (5).to_bytes(4, "big") + bytes(8)
    messages = [*start, trade, itch_files.head("W", 7, 4) + b"1"]
    path = written(tmp_path / "d.itch", b"".join(map(itch_files.framed, messages)))
    (chunk,) = open_file(path).chunks
    assert chunk["kind"].tolist() == [HIDDEN]


def itch_with(*messages: bytes) -> bytes:
    start = [itch_files.head("S", 0, 0) + b"O", itch_files.directory("AAPL")]
    return b"".join(map(itch_files.framed, [*start, *messages]))


@pytest.mark.parametrize(
    "message, wrong",
    [
        (itch_files.head("D", 7, 9) + (4).to_bytes(8, "big"),
         "message 'D' at byte 93 of d.itch is wrong: expected an order that was added before, "
         "got order 4"),
        (itch_files.head("E", 7, 9) + (1).to_bytes(8, "big") + (4).to_bytes(4, "big") + b" " * 8,
         "message 'E' at byte 93 of d.itch is wrong: expected at most the rest of the order"),
        (itch_files.head("A", 7, 9) + (1).to_bytes(8, "big") + b"B" + (4).to_bytes(4, "big")
         + b"AAPL    " + (4).to_bytes(4, "big"),
         "message 'A' at byte 93 of d.itch is wrong: expected an order id that is not in use"),
        (itch_files.head("D", 7, 9) + b"12345",
         "message 'D' at byte 93 of d.itch is wrong: expected a message as long as its type says, "
         "got 16 bytes"),
    ],
)  # fmt: skip
def test_a_contradiction_in_itch_is_named(tmp_path: Path, message: bytes, wrong: str) -> None:
    order = (
        itch_files.head("A", 7, 5) + (1).to_bytes(8, "big") + b"B" + (3).to_bytes(4, "big")
        + b"AAPL    " + (100).to_bytes(4, "big")
    )  # fmt: skip
    with pytest.raises(DataFileError) as error:
        load(open_file(written(tmp_path / "d.itch", itch_with(order, message))))
    assert str(error.value).startswith(wrong)


# -------------------------------------------------------------------------------- market by order

# (action, side, order id, price, size, last): what Databento says, and the events it means.
A_FILL_THEN_CANCEL = (
    [("A", "B", 1, 100, 5, 1), ("T", "A", 0, 100, 5, 0), ("F", "B", 1, 100, 5, 0),
     ("C", "B", 1, 100, 5, 1)],
    [(ADD, 1, 1, 100, 5), (EXECUTE, 1, 1, 100, 5)],
)  # fmt: skip
A_PARTIAL_FILL_THEN_MODIFY = (
    [("A", "A", 1, 100, 5, 1), ("T", "B", 0, 100, 2, 0), ("F", "A", 1, 100, 2, 0),
     ("M", "A", 1, 100, 3, 1), ("C", "A", 1, 100, 3, 1)],
    [(ADD, -1, 1, 100, 5), (EXECUTE, -1, 1, 100, 2), (CANCEL, -1, 1, 100, 3)],
)  # fmt: skip
A_PARTIAL_FILL_THEN_PARTIAL_CANCEL = (
    [("A", "A", 1, 100, 5, 1), ("F", "A", 1, 100, 2, 0), ("C", "A", 1, 100, 2, 1),
     ("C", "A", 1, 100, 1, 1), ("C", "A", 1, 100, 2, 1)],
    [(ADD, -1, 1, 100, 5), (EXECUTE, -1, 1, 100, 2), (REDUCE, -1, 1, 100, 1),
     (CANCEL, -1, 1, 100, 2)],
)  # fmt: skip
MODIFICATIONS = (
    [("A", "B", 1, 100, 5, 1), ("M", "B", 1, 100, 4, 1), ("M", "B", 1, 100, 6, 1),
     ("M", "B", 1, 99, 6, 1), ("M", "B", 1, 99, 6, 1)],
    [(ADD, 1, 1, 100, 5), (REDUCE, 1, 1, 100, 1), (CANCEL, 1, 1, 100, 4), (ADD, 1, 1, 100, 6),
     (CANCEL, 1, 1, 100, 6), (ADD, 1, 1, 99, 6)],
)  # fmt: skip
A_TRADE_WITH_HIDDEN_ORDERS = (
    [("A", "A", 1, 100, 2, 1), ("T", "B", 0, 100, 7, 0), ("F", "A", 1, 100, 2, 0),
     ("C", "A", 1, 100, 2, 1)],
    [(ADD, -1, 1, 100, 2), (EXECUTE, -1, 1, 100, 2), (HIDDEN, -1, 0, 100, 5)],
)  # fmt: skip
A_CLEAR_AND_A_SNAPSHOT = (
    [("A", "B", 1, 100, 5, 1), ("A", "A", 2, 103, 1, 1), ("R", "N", 0, 0, 0, 1),
     ("A", "B", 1, 100, 4, 1)],
    [(ADD, 1, 1, 100, 5), (ADD, -1, 2, 103, 1), (CANCEL, -1, 2, 103, 1), (CANCEL, 1, 1, 100, 5),
     (ADD, 1, 1, 100, 4)],  # orders are cleared in the order of the hash table
)  # fmt: skip
ORDERS_FROM_BEFORE = (
    [("A", "B", 9, 90, 1, 1), ("C", "B", 1, 100, 5, 1), ("F", "A", 2, 103, 1, 0),
     ("C", "A", 2, 103, 1, 1), ("M", "B", 3, 99, 6, 1)],
    [(ADD, 1, 9, 90, 1), (CANCEL, 1, 1, 100, 5), (EXECUTE, -1, 2, 103, 1), (ADD, 1, 3, 99, 6)],
)  # fmt: skip
CASES = {
    "a fill, then a cancellation": A_FILL_THEN_CANCEL,
    "a partial fill, then a modification": A_PARTIAL_FILL_THEN_MODIFY,
    "a partial fill, then partial cancellations": A_PARTIAL_FILL_THEN_PARTIAL_CANCEL,
    "modifications of size and price": MODIFICATIONS,
    "a trade with hidden orders": A_TRADE_WITH_HIDDEN_ORDERS,
    "a clear and a snapshot": A_CLEAR_AND_A_SNAPSHOT,
    "orders from before the file": ORDERS_FROM_BEFORE,
}


def dbn_file(messages: list[Any], instruments: tuple[int, ...] = (5,)) -> bytes:
    """A DBN file, written by `databento-dbn`."""
    content: bytes = dbn.Metadata(
        dataset="XNAS.ITCH", start=0, stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID, schema=dbn.Schema.MBO, symbols=["TEST"], partial=[],
        not_found=[], mappings=[],
    ).encode()  # fmt: skip
    layout = np.dtype(dbn.MBOMsg._dtypes)
    for number, (action, side, order_id, price, size, last) in enumerate(messages):
        for instrument in instruments:
            record = np.zeros(1, layout)
            record["length"], record["rtype"] = layout.itemsize // 4, 160
            record["instrument_id"] = instrument
            record["ts_recv"] = 10 * number
            record["order_id"], record["price"], record["size"] = order_id, price * 10**9, size
            record["flags"] = 128 * last
            record["action"], record["side"] = action, side
            content += record.tobytes()
    return content


def hftbacktest_file(path: Path, messages: list[Any]) -> Path:
    """An npz file with the columns and flags of hftbacktest's documentation."""
    kinds = {"A": 10, "C": 11, "M": 12, "F": 13, "T": 2, "R": 3}
    sides = {"B": 1 << 29, "A": 1 << 28, "N": 0}
    names = ("ev", "exch_ts", "local_ts", "px", "qty", "order_id", "ival", "fval")
    types = ("u8", "i8", "i8", "f8", "f8", "u8", "i8", "f8")
    data = np.zeros(len(messages), list(zip(names, types, strict=True)))
    for number, (action, side, order_id, price, size, _) in enumerate(messages):
        data[number] = (
            kinds[action] | sides[side] | 3 << 30, 10 * number, 10 * number + 1, price, size,
            order_id, 0, 0.0,
        )  # fmt: skip
    np.savez(path, data=data)
    return path


@pytest.mark.parametrize("chunk", [1, 2, 1000])
@pytest.mark.parametrize("case", CASES)
def test_databento_messages_mean_these_events(tmp_path: Path, case: str, chunk: int) -> None:
    messages, expected = CASES[case]
    path = written(tmp_path / "m.dbn", dbn_file(messages))
    events = load(open_file(path, chunk=chunk))
    assert [(*row[1:4], row[4] // 10**9, row[5]) for row in rows(events)] == expected
    assert np.all(np.diff(events.rows["time"]) >= 0)


def test_one_of_two_instruments_is_chosen_by_its_number(tmp_path: Path) -> None:
    path = written(tmp_path / "m.dbn", dbn_file(A_FILL_THEN_CANCEL[0], instruments=(5, 6)))
    with pytest.raises(DataFileError, match="has 2 instruments: expected the name of one"):
        load(open_file(path))
    assert len(load(open_file(path, symbol="6"))) == 2


def test_zstd_and_older_versions_of_dbn_are_read() -> None:
    for name in ("test_data.mbo.v3.dbn", "test_data.mbo.v2.dbn.zst"):
        path = SAMPLES / name
        if not path.exists():
            pytest.skip(f"the sample {name} is not in ../shared/data, and not part of the project")
        content = path.read_bytes()
        if name.endswith("zst"):
            content = zstandard.ZstdDecompressor().stream_reader(content).read()
        decoder = dbn.DBNDecoder()
        decoder.write(content)
        _, *messages = decoder.decode()
        events = load(open_file(path)).rows
        assert events["time"].tolist() == [message.ts_recv for message in messages]
        assert events["price"].tolist() == [message.price for message in messages]
        assert events["order_id"].tolist() == [message.order_id for message in messages]
        assert events["kind"].tolist() == [CANCEL] * len(messages)


@pytest.mark.parametrize("case", [case for case in CASES if "hidden" not in case])
def test_hftbacktest_events_mean_the_same(tmp_path: Path, case: str) -> None:
    messages, expected = CASES[case]
    events = load(open_file(hftbacktest_file(tmp_path / "m.npz", messages)))
    assert [(*row[1:4], row[4] // 10**9, row[5]) for row in rows(events)] == expected


def test_a_level_2_file_is_refused(tmp_path: Path) -> None:
    path = hftbacktest_file(tmp_path / "m.npz", [("A", "B", 1, 100, 5, 1)])
    with np.load(path) as archive:
        data = archive["data"]
    data["ev"] = data["ev"] & ~np.uint64(0xFF) | np.uint64(1)  # a change of a price level
    np.savez(path, data=data)
    with pytest.raises(DataFileError, match="got the sizes of price levels"):
        open_file(path)


# ------------------------------------------------------------------------------------ broken files

CONTENTS: dict[str, Callable[[Path], bytes]] = {
    "lobster": lambda folder: LOBSTER.encode(),
    "itch": lambda folder: itch_files.day(1, n=60),
    "databento": lambda folder: dbn_file(A_PARTIAL_FILL_THEN_MODIFY[0]),
    "hftbacktest": lambda folder: hftbacktest_file(
        folder / "whole.npz", A_PARTIAL_FILL_THEN_MODIFY[0]
    ).read_bytes(),
}
CONTENTS |= {
    "itch, gzip": lambda folder: gzip.compress(itch_files.day(1, n=60)),
    "databento, zstd": lambda folder: zstandard.compress(CONTENTS["databento"](folder)),
    "hftbacktest, compressed": lambda folder: packed(CONTENTS["hftbacktest"](folder)),
}


def packed(content: bytes) -> bytes:
    """An npz file with its arrays compressed."""
    out = io.BytesIO()
    with np.load(io.BytesIO(content)) as archive:
        np.savez_compressed(out, **archive)
    return out.getvalue()


@pytest.mark.parametrize("kind", CONTENTS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_gives_events_or_one_sentence(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    """Bytes are overwritten, inserted or cut off anywhere."""
    content, format = bytearray(CONTENTS[kind](tmp_path)), kind.split(",")[0]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        damage = data.draw(st.binary(max_size=4))
        content[at : at + data.draw(st.integers(0, 8))] = damage
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    path, out = written(tmp_path / "damaged", bytes(content)), tmp_path / "events.parquet"
    symbol = "AAPL" if format == "itch" else None
    out.unlink(missing_ok=True)
    sentence = None
    try:
        n = convert(open_file(path, format, symbol), out)
    except DataFileError as error:
        sentence = str(error)
    if sentence is None:
        assert len(read_events(out)) == n > 0
    else:
        assert "\n" not in sentence
        assert "expected" in sentence
        assert not list(tmp_path.glob("events*"))  # no file, whole or partial


# ------------------------------------------------------------------------------------ event files


def test_a_converted_file_holds_the_events_and_their_units(tmp_path: Path) -> None:
    path = written(tmp_path / "day.itch", itch_files.day(3))
    seen: list[int] = []
    n = convert(open_file(path, symbol="AAPL", chunk=100), tmp_path / "day.parquet", seen.append)
    expected, got = load(open_file(path, symbol="AAPL")), read_events(tmp_path / "day.parquet")
    assert len(seen) > 5
    assert seen[-1] == n == len(expected)
    np.testing.assert_array_equal(got.rows, expected.rows)
    assert (got.price_unit, got.size_unit, got.tick) == (1e-4, 1.0, 100)


def test_other_files_are_not_files_of_events(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    for path in (written(tmp_path / "text", "hello"), tmp_path / "other.parquet"):
        with pytest.raises(DataFileError, match="is not a file of events: expected one that"):
            read_events(path)
    with pytest.raises(DataFileError, match=r"other.parquet is a Parquet file: expected"):
        open_file(tmp_path / "other.parquet")
    with pytest.raises(DataFileError, match="cannot be read"):
        read_events(tmp_path / "absent.parquet")


def test_a_file_of_events_has_a_name_that_says_so(tmp_path: Path) -> None:
    source = open_file(written(tmp_path / "m", LOBSTER))
    with pytest.raises(DataFileError, match=r"expected one that ends in .parquet, got day.csv"):
        convert(source, tmp_path / "day.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_file_of_one_instrument_takes_no_symbol(tmp_path: Path) -> None:
    path = written(tmp_path / "m", LOBSTER)
    with pytest.raises(DataFileError, match="the symbol has no effect on m: expected none"):
        open_file(path, symbol="AAPL")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    source = open_file(written(tmp_path / "m", LOBSTER))
    with pytest.raises(FileNotFoundError) as raised:
        convert(source, tmp_path / "absent" / "day.parquet")
    assert str(raised.value.filename) == str(tmp_path / "absent" / "day.parquet.partial")


def test_a_source_without_visible_orders_is_refused() -> None:
    halt = np.zeros(1, EVENT)
    halt["kind"] = HALT
    with pytest.raises(DataFileError, match="x has no visible orders"):
        load(Source("x", 1.0, 1.0, iter([halt])))
    with pytest.raises(DataFileError, match="x is empty"):
        load(Source("x", 1.0, 1.0, iter([])))


def test_an_unknown_format_and_an_absent_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="format 'csv' is unknown: expected one of lobster"):
        open_file(written(tmp_path / "m", LOBSTER), format="csv")
    with pytest.raises(DataFileError, match="absent cannot be read"):
        open_file(tmp_path / "absent")
    with pytest.raises(DataFileError, match="empty is empty"):
        open_file(written(tmp_path / "empty", b""))
