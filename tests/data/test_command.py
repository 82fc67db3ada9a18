"""`python -m mm_gym.data`: its output and its errors."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

import mm_gym
from mm_gym import configure
from mm_gym.data import calibrate, describe, read, record_market, write
from mm_gym.data.__main__ import main


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
    main([str(files[0])])
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
    main([*map(str, files), "--replay", "--compare"])
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


def test_a_file_that_is_not_there_ends_it_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(["gone_message_1.csv"], monkeypatch)
    assert said.startswith("mm_gym.data: ")
    assert "gone_message_1.csv" in said
    assert "expected a LOBSTER file, got No such file" in said


def test_without_rich_it_says_what_to_install(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    said = run([str(files[0])], monkeypatch)
    assert "expected rich.console to be installed, got none" in said
    assert "(write pip install 'mm-gym[evaluate]')" in said


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
    assert loaded.isdisjoint({"rich", "tyro", "pandas", "matplotlib", "plotly", "torch"})
