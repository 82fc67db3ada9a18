"""The index that is kept beside a file of exchange data, and when it is not used."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mm_gym.data import indexing
from mm_gym.data.events import DataFileError
from mm_gym.data.indexing import open_recorded_market
from mm_gym.data.recorded_market import RecordedMarket
from mm_gym.data.recording_index import index_path
from tests.data.made_up_day import made_up_day

ARRAYS = ("events", "touch", "levels", "changes", "trades", "one_sided")


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small recording whose index is kept all the same."""
    monkeypatch.setattr(indexing, "_WORTH_KEEPING", 1)
    return Path(made_up_day(tmp_path / "day.parquet", 20, strange=0.05))


def refuse(*_: Any) -> None:
    raise AssertionError("the data were read again")


def assert_equal(one: RecordedMarket, other: RecordedMarket) -> None:
    for name in ARRAYS:
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype
        assert type(first) is type(second)  # the kernels are compiled for one type
        np.testing.assert_array_equal(first, second)
        assert second.flags.writeable
    assert (one.name, one.tick_size, one.digest) == (other.name, other.tick_size, other.digest)
    assert one.typical_fields() == other.typical_fields()
    settings = (1.0, (2.0, 10.0, 50.0), 60.0, 100)
    np.testing.assert_equal(one.deviations(*settings), other.deviations(*settings))


def test_a_kept_index_is_mapped_and_equals_what_was_made(
    day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_recorded_market(day)
    assert index_path(day).name == "day.parquet.index"
    monkeypatch.setattr(indexing, "read_events", refuse)
    kept = open_recorded_market(day)
    assert_equal(made, kept)
    base = kept.events
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    kept.events["lots"][0] += 1  # stays in this market
    assert_equal(made, open_recorded_market(day))


def test_an_index_of_other_data_or_a_damaged_one_is_not_used(day: Path) -> None:
    first = open_recorded_market(day)
    index = index_path(day)
    whole = index.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], b"x" * len(whole), whole.replace(b"e", b"f", 1)):
        index.write_bytes(damaged)
        assert_equal(first, open_recorded_market(day))
        assert index.read_bytes() == whole
    # The times of the new file are set back, so that only its content and inode tell.
    state = day.stat()
    made_up_day(day, 20, seed=1, strange=0.05)
    os.utime(day, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert open_recorded_market(day).digest != first.digest
    made_up_day(day, 20, seed=0, strange=0.05)
    assert_equal(first, open_recorded_market(day))


def test_a_broken_file_is_refused_although_an_index_is_beside_it(day: Path) -> None:
    open_recorded_market(day)
    content = bytearray(day.read_bytes())
    content[len(content) // 2 :] = b"x" * (len(content) - len(content) // 2)
    day.write_bytes(content)
    with pytest.raises(DataFileError, match=r"day.parquet"):
        open_recorded_market(day)


def test_small_files_and_folders_that_cannot_be_written_have_no_index(
    day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_path(day).mkdir()  # in place of a folder without permission, which root can write
    assert_equal(open_recorded_market(day), open_recorded_market(day))
    assert sorted(path.name for path in day.parent.iterdir()) == [
        "day.parquet",
        "day.parquet.index",
    ]
    index_path(day).rmdir()
    monkeypatch.undo()
    open_recorded_market(day)
    assert not index_path(day).exists()
