"""`python -m mm_gym.data`: its output and its errors."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import mm_gym
from mm_gym import configure
from mm_gym.data import calibrate, describe, read, record_market, write
from mm_gym.data.__main__ import main
from mm_gym.data.events import read_events
from mm_gym.data.lobster import read_messages
from mm_gym.data.replay import rebuild
from mm_gym.market_file import read_market


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A simulated market's messages and order book."""
    folder = tmp_path_factory.mktemp("data")
    names = folder / "SIM_message_5.csv", folder / "SIM_orderbook_5.csv"
    write(record_market(configure(taker_size=1.5), 300.0, seed=9, n_levels=5), *names)
    return names


def test_it_prints_figures_with_standard_errors_and_the_call_that_makes_the_market(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The call is run as it was printed, and makes the market that `calibrate` gives."""
    main(["describe", str(files[0])])
    main(["calibrate", str(files[0])])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    described = describe(read(files[0]))
    spread = described["spread"]
    (line,) = (line for line in printed.splitlines() if line.startswith("spread, mean"))
    assert line.split()[-3:] == [f"{spread.value:.3g}", f"{spread.standard_error:.3g}", "ticks"]
    assert "jackknife over 20 blocks of 15 s" in printed
    call = re.search(r"^gymnasium\.make\(.*?^\)", printed, re.DOTALL | re.MULTILINE)
    assert call is not None
    env = eval(call.group(), {"gymnasium": gymnasium, "float": float})
    assert env.unwrapped.config == calibrate(described).config


def test_replay_and_comparison_come_on_request(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_gym.data.__main__._COMPARED", 300.0)
    main(["replay", *map(str, files)])
    main(["calibrate", *map(str, files), "--compare"])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    rows = len(read(files[0])) - 1
    assert re.search(rf"rows that follow from previous row and message +{rows}\n", printed)
    assert re.search(r"rows that do not +0\n", printed)
    header = next(line for line in printed.splitlines() if line.startswith("Stylised facts"))
    assert header.split()[2:] == ["data", "default", "calibrated"]
    *_, signs = (line for line in printed.splitlines() if line.startswith("trade signs, lag 1 "))
    assert len(re.findall(r"-?\d\.\d+ \(\d\.\d+\)", signs)) == 3


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["mm_gym.data", *arguments])
    monkeypatch.delitem(sys.modules, "mm_gym.data.__main__", raising=False)
    with pytest.raises(SystemExit) as end:
        runpy.run_module("mm_gym.data", run_name="__main__")
    return str(end.value.code)


@pytest.mark.parametrize("command", ["describe", "calibrate", "replay"])
def test_a_file_that_is_not_there_ends_it_with_a_sentence(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "gone_message_1.csv"], monkeypatch) == "2"
    said = capsys.readouterr().err
    assert said.startswith("mm_gym.data: ")
    assert said.count("\n") == 1
    assert "gone_message_1.csv" in said
    assert "expected a LOBSTER file, got No such file" in said


@pytest.mark.parametrize("words", [[], ["describe"], ["fly"], ["describe", "a", "--tick", "x"]])
def test_a_wrong_command_line_ends_it_with_a_sentence(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words, monkeypatch) == "2"
    said = capsys.readouterr().err
    assert said.startswith("mm_gym.data: the command line is wrong: expected what ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["describe", "a", "--tick", "0"],
        ["replay", "a", "--levels", "-3"],
        ["calibrate", "a", "--lot-size", "0"],
        ["facts", "--sessions", "0"],
        ["export", "a_message.csv", "--seed", "-1"],
    ],
)
def test_a_number_out_of_range_is_refused_before_anything_is_read(words: list[str]) -> None:
    option, value = words[-2:]
    wrong = f"{option} is out of range: expected a whole number, at least .*, got {value}$"
    with pytest.raises(ValueError, match=wrong):
        main(words)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["a.csv"], "expected 'message' in the name of the message file, .*, got a.csv$"),
        (
            ["a_message.csv", "--seconds", "-1"],
            "seconds=-1 is out of range: expected a number above 0, got -1$",
        ),
    ],
)
def test_an_export_that_cannot_be_made_writes_nothing(
    words: list[str], wrong: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=wrong):
        main(["export", str(tmp_path / words[0]), *words[1:]])
    assert not list(tmp_path.iterdir())


def test_without_rich_it_says_what_to_install(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert run(["describe", str(files[0])], monkeypatch) == "2"
    said = capsys.readouterr().err
    assert "expected rich.console to be installed, got none" in said
    assert "(write pip install 'mm-gym[data]')" in said


def test_reading_replaying_and_calibrating_need_no_library_that_draws() -> None:
    code = (
        "import sys, mm_gym; assert 'mm_gym.data' not in sys.modules; "
        "import mm_gym.data; print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(mm_gym.__file__).parents[1],
    )
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert "numpy" in loaded
    assert loaded.isdisjoint({"rich", "tyro", "pandas", "matplotlib", "pyarrow", "torch"})


def test_a_calibrated_market_is_written_and_exported(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`calibrate --out`, then `export --market`, then `describe` of what was exported."""
    market, message_file = tmp_path / "market.json", tmp_path / "SIM_message_3.csv"
    main(["calibrate", str(files[0]), "--out", str(market)])
    assert read_market(market) == calibrate(describe(read(files[0]))).config
    options = ["--seconds", "100", "--levels", "3", "--seed", "5"]
    main(["export", str(message_file), "--market", str(market), *options])
    recording = read(message_file)
    expected = record_market(read_market(market), 100.0, seed=5, n_levels=3)
    np.testing.assert_array_equal(recording.order_book, expected.order_book)
    main(["describe", str(message_file)])
    assert f"{len(recording)} messages in 100 s" in capsys.readouterr().out


def test_a_message_file_alone_is_described_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all levels in the file, the rebuilt rows are those of the order book file.

    Orders from before the file are missing, so the first minutes differ.
    """
    alone = tmp_path / "SIM_message_64.csv"
    whole = record_market(configure(), 300.0, seed=9, n_levels=64)
    write(whole, alone, tmp_path / "elsewhere.csv")
    main(["replay", str(alone)])
    assert "Nothing is compared" in " ".join(capsys.readouterr().out.split())
    main(["describe", str(alone), "--levels", "1"])
    rebuilt = rebuild(read_messages(alone), n_levels=3)
    assert rebuilt.tick_size == whole.tick_size
    late = slice(len(whole) // 2, None)
    for column in rebuilt.order_book.dtype.names or ():
        np.testing.assert_array_equal(
            rebuilt.order_book[column][late], whole.order_book[column][late, :3]
        )


def test_convert_writes_the_events(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "day.parquet"
    main(["convert", str(files[0]), str(out)])
    assert f"{len(read(files[0])):,} events" in capsys.readouterr().out
    assert len(read_events(out)) == len(read(files[0]))
