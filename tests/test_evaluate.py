"""evaluate.py: a table for a terminal of 80, artefacts that programs read, and sentences for what
cannot be done."""

import csv
import json
import math
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents import make_agent
from agents.commands import evaluate
from agents.commands.evaluate import Arguments
from mm_gym import configure
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.summary import summarise
from mm_gym.reporting.artefacts import ArtefactError

ROOT = Path(__file__).resolve().parent.parent


def rows_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------------------------- from a terminal


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One whole run as a user starts it, of two rules in two markets."""
    out = tmp_path_factory.mktemp("evaluate") / "results"
    return out, start(
        "--agents",
        "fixed_spread:half_spread=2,inventory_skew",
        "--regimes",
        "noise,informed",
        out=out,
    )


def start(*arguments: str, out: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "evaluate.py",
        "--episodes",
        "4",
        "--seed",
        "3",
        "--out",
        str(out),
        *arguments,
    ]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_command_ends_well_with_a_table_of_at_most_80_columns(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = run
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    assert max(len(line) for line in table) <= 80
    # A market's name, the header, then a line for each agent, twice.
    for regime in ("noise", "informed, p_informed = 0.3"):
        line = table.index(regime)
        assert table[line + 1].split() == [
            "agent",
            "PnL",
            "95",
            "%",
            "objective",
            "fills",
            "|q|",
            "markout",
            "adverse",
        ]
        assert table[line + 2].startswith("fixed_spread")
        assert any(row.startswith("inventory_skew") for row in table[line + 3 : line + 5])
    assert last.startswith(f"Results: {out}")


def test_the_artefacts_are_where_the_last_line_says_and_agree_with_the_library(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = run
    for path in re.findall(re.escape(str(out)) + r"[^\s)]*", done.stdout):
        assert Path(path).exists()
    read = json.loads((out / "summary.json").read_text())
    assert read["arguments"]["episodes"] == 4
    assert read["arguments"]["seed"] == 3
    assert {"python", "numpy", "numba"} <= set(read["versions"])

    rows = rows_in(out)
    assert len(rows) == len(read["rows"]) == 4
    assert {(row["agent"], row["regime"]) for row in rows} == {
        (agent, regime)
        for agent in ("fixed_spread:half_spread=2", "inventory_skew")
        for regime in ("noise", "informed")
    }
    for regime in ("noise", "informed"):
        sessions = run_sessions(
            partial(make_agent, "fixed_spread", half_spread=2.0), configure(regime), 4, 3
        )
        wanted = summarise("fixed_spread:half_spread=2", sessions)
        (row,) = [
            row for row in rows if row["agent"] == wanted["agent"] and row["regime"] == regime
        ]
        for name, value in wanted.items():
            if isinstance(value, float) and not math.isnan(value):
                assert float(row[name]) == value


def test_a_second_run_into_the_same_folder_is_refused_and_destroys_nothing(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = run
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    done = start("--agents", "fixed_spread", out=out)
    assert done.returncode != 0
    assert re.fullmatch(r"evaluate\.py: .*holds results already .write --out .*\n", done.stderr)
    assert done.stdout == ""  # refused before any work was done
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments", [["--agents", "inventory_scew"], ["--regimes", "nois"], ["--sweep", "latenci"]]
)
def test_what_cannot_be_done_is_one_line_on_stderr_and_a_failure(
    arguments: list[str], tmp_path: Path
) -> None:
    done = start(*arguments, out=tmp_path / "results")
    assert done.returncode != 0
    assert re.fullmatch(r"evaluate\.py: .*did you mean '.*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------ in here


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has tests of its own, and takes longer than everything else here together."""
    monkeypatch.setattr(evaluate, "write_report", lambda *_: None)


def call(out: Path, **fields: Any) -> list[dict[str, str]]:
    """A small evaluation; returns the rows of its CSV."""
    arguments: dict[str, Any] = {"agents": "fixed_spread", "episodes": 2, "out": out} | fields
    assert evaluate.main(Arguments(**arguments)) == out
    return rows_in(out)


def test_an_agent_that_is_shown_the_signal_is_marked_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is not asked what it would quote, knowing only an observation."""
    reported: list[Any] = []
    monkeypatch.setattr(evaluate, "write_report", lambda *arguments: reported.extend(arguments))
    rows = call(
        tmp_path / "results", agents="oracle,inventory_skew", regimes="informed", reference="oracle"
    )
    marked = ["oracle (shown the signal)", "inventory_skew"]
    assert [row["agent"] for row in rows] == marked
    _, _, entries, _, _, policies, *_ = reported
    assert [entry.agent for entry in entries] == marked
    assert [entry.label for entry in entries] == [f"{name}, informed, p = 0.3" for name in marked]
    assert list(policies) == ["inventory_skew"]
    theirs, its = (
        run_sessions(partial(make_agent, name), configure("informed"), 2, 0).objective
        for name in ("inventory_skew", "oracle")
    )
    printed = capsys.readouterr().out
    assert f"\ninventory_skew less oracle: {(theirs - its).mean():.1f} [" in printed
    assert "less inventory_skew" not in printed
    assert "| objective_vs_reference |" in (tmp_path / "results" / "summary.md").read_text()


@pytest.mark.usefixtures("no_pictures")
def test_a_sweep_over_the_informed_share_is_of_the_informed_regime(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = call(
        tmp_path / "results",
        agents="fixed_spread,inventory_skew",
        sweep="p_informed",
        values="0,0.5,1",
    )
    assert {row["regime"] for row in rows} == {"informed"}
    assert sorted((row["agent"], float(row["p_informed"])) for row in rows) == [
        (agent, p) for agent in ("fixed_spread", "inventory_skew") for p in (0.0, 0.5, 1.0)
    ]
    assert "informed, p_informed = 0\n" in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
def test_a_sweep_over_another_field_gives_it_a_column_and_a_title(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = call(tmp_path / "results", regimes="noise,informed", sweep="latency", values="0,0.5")
    assert sorted((row["regime"], float(row["latency"])) for row in rows) == [
        ("informed", 0.0), ("informed", 0.5), ("noise", 0.0), ("noise", 0.5),
    ]  # fmt: skip
    for row in rows:
        config = configure(row["regime"], latency=float(row["latency"]))
        sessions = run_sessions(partial(make_agent, "fixed_spread"), config, 2, 0)
        assert float(row["final_pnl"]) == sessions.final_pnl.mean()
    assert "informed, p_informed = 0.3, latency = 0.5" in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
def test_the_informed_share_goes_to_the_regimes_that_have_one(tmp_path: Path) -> None:
    rows = call(tmp_path / "results", regimes="noise,informed,naive_informed", p_informed=0.7)
    assert {row["regime"]: float(row["p_informed"]) for row in rows} == {
        "noise": 0.0,
        "informed": 0.7,
        "naive_informed": 0.7,
    }


@pytest.mark.usefixtures("no_pictures")
def test_one_session_has_a_table_without_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = call(tmp_path / "results", regimes="noise", episodes=1)
    assert row["final_pnl"] != ""
    assert row["final_pnl_low"] == row["objective_high"] == ""
    assert "nan" not in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
def test_without_a_folder_named_results_go_to_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = Arguments(agents="fixed_spread", regimes="noise", episodes=1)
    first, second = evaluate.main(small), evaluate.main(small)
    assert first != second
    assert (first / "summary.csv").read_bytes() == (second / "summary.csv").read_bytes()
    assert first.resolve().parent == second.resolve().parent == tmp_path / "results"


@pytest.mark.usefixtures("no_pictures")
def test_overwriting_has_to_be_asked_for_and_replaces_the_results(tmp_path: Path) -> None:
    out = tmp_path / "results"
    call(out, regimes="noise", seed=1)
    with pytest.raises(ArtefactError, match="--overwrite"):
        call(out, regimes="noise", seed=2)
    first = rows_in(out)
    assert call(out, regimes="noise", seed=2, overwrite=True) != first


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "fields, said",
    [
        ({"agents": "fixed_spred"}, "'fixed_spred'.*did you mean 'fixed_spread'"),
        ({"agents": "runs/nowhere"}, "agent 'runs/nowhere' is unknown"),
        (
            {"agents": "fixed_spread:half_spred=1"},
            "no parameter 'half_spred': expected .*did you mean 'half_spread'",
        ),
        ({"agents": "fixed_spread:half_spread=wide"}, "'half_spread=wide'.*write"),
        (
            {"agents": "avellaneda_stoikov:risk_aversion=-1"},
            "risk_aversion=-1.* is out of range: expected",
        ),
        ({"regimes": "informd"}, "'informd' is unknown: .*; did you mean 'informed'"),
        ({"regimes": "informed", "p_informed": 2.0}, "p_informed=2.0 is out of range: expected"),
        ({"sweep": "volatilty"}, "'volatilty'.*did you mean 'volatility'"),
        ({"sweep": "reward"}, "'reward' cannot be swept.*write"),
        ({"sweep": "latency", "values": "-1"}, "latency=-1.0 is out of range: expected"),
        (
            {"regimes": "noise", "sweep": "p_informed", "values": "0.5"},
            "contradicts regime 'noise'.*write",
        ),
        ({"episodes": 0}, "episodes=0 is out of range: expected"),
        ({"seed": -1}, "seed=-1 is out of range: expected"),
        ({"sweep": "latency", "values": "0,fast"}, "--values cannot be read.*got '0,fast'"),
        ({"sweep": "regime", "values": "1"}, "regime.*write"),
        ({"agents": "fixed_spread,"}, "agent ''"),
        ({"agents": "fixed_spread:half_spread=nan"}, "is out of range: expected .*nan"),
        ({"agents": "random:seed=1.5"}, "seed.*write"),
        ({"jobs": 0}, "jobs=0 is out of range: expected"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence_and_leaves_nothing(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        call(tmp_path / "results", **fields)
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Below a file, which stops a superuser too."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        ArtefactError,
        match=r"file/results cannot be created: expected a place where you may write",
    ):
        call(tmp_path / "file" / "results", regimes="noise")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_where_nothing_can_be_written_is_refused_before_any_session_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(evaluate, "_run", lambda *_: pytest.fail("sessions were run for nothing"))
    with pytest.raises(ArtefactError):
        call(tmp_path / "file" / "results", regimes="noise")
