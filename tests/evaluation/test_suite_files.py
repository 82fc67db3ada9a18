"""Tables and files of the suite, and the command that writes them."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.commands import evaluate
from agents.commands.evaluate import Arguments
from mm_gym.evaluation.suite import SUITE_SEED, Results, Row
from mm_gym.reporting import suite_tables
from mm_gym.reporting.suite_files import compare, read_suite, write_suite
from tests.evaluation.suite_kit import INFORMED, NOISE, SMALL, a_row, judge, printed

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_table_fits_80_columns_whatever_the_figures() -> None:
    rows = [
        a_row(
            agent=agent,
            seed=seed,
            objective=-12345.6 - seed,
            standard_error=123.4,
            score=-1.25 * seed,
            fills=999.0,
        )
        for agent in ("ppo [of somebody with a long name]", "sac")
        for seed in range(3)
    ]
    lines = printed(Results(rows), [NOISE]).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "noise: 0 is 10.0, 1 is 30.0"
    assert sum(line.startswith("sac") for line in lines) == 2  # in the task and over all
    assert lines[-4:] == suite_tables._NOTE.splitlines()
    assert any(line.split()[:3] == ["sac", "-12346.6", "71.2"] for line in lines)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    results = judge(
        "fixed_spread,skew=inventory_skew:half_spread=1+inventory_skew", NOISE, INFORMED
    )
    write_suite(tmp_path, results, [NOISE, INFORMED], {"versions": {"python": "3"}})
    assert read_suite(tmp_path / "suite.csv", SMALL) == results.rows
    about = json.loads((tmp_path / "suite.json").read_text())
    assert about["seed"] == SUITE_SEED
    assert about["tasks"]["noise"]["one"] == {
        "agent": "high",
        "score": 30.0,
        "standard_error": 0.1,
        "sessions": 64,
    }
    assert len(about["rows"]) == len(results.rows) == 6
    assert {row["agent"] for row in about["summaries"] if row["task"] == ""} == {
        "fixed_spread",
        "skew",
    }


def file_of(folder: Path, *rows: Row) -> Path:
    folder.mkdir(exist_ok=True)
    write_suite(folder, Results(list(rows)), [NOISE], {})
    return folder / "suite.csv"


def test_results_of_two_files_are_joined(tmp_path: Path) -> None:
    first = file_of(tmp_path / "a", a_row(agent="ppo"), a_row(agent="sac"))
    second = file_of(tmp_path / "b", a_row(agent="ppo", objective=30.0))
    results = compare([first, second], SMALL)
    assert [(row.agent, row.score) for row in results.rows] == [
        (f"ppo [{tmp_path / 'a'}]", 0.5), ("sac", 0.5), (f"ppo [{tmp_path / 'b'}]", 1.0),
    ]  # fmt: skip


def test_scores_are_computed_from_the_current_reference_scores(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", a_row(score=7.0, score_standard_error=3.0))
    (row,) = read_suite(path, SMALL)
    assert (row.score, row.score_standard_error) == (0.5, 0.05)


@pytest.mark.parametrize(
    "change, said",
    [
        (
            {"task_version": 2},
            r"suite.csv, line 2 is of another version of the task 'noise': expected .* 1, got 2",
        ),
        (
            {"task": "nois"},
            r"suite.csv, line 2: task is unknown: expected .*, got 'nois'; did you mean 'noise'\?",
        ),
        ({"objective": math.inf}, "line 2 is damaged: expected a number in objective, got 'inf'"),
        ({"objective": "much"}, "line 2 is damaged: expected a number in objective, got 'much'"),
        ({"fills": ""}, "line 2 is damaged: expected a number in fills, got ''"),
        ({"agent": "\x1b[2J"}, "line 2 is damaged: expected printable text in agent"),
        ({"seed": 0.5}, "line 2 is damaged: expected a number in seed, got '0.5'"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "suite.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, vars(a_row()))
        writer.writeheader()
        writer.writerow(vars(a_row()) | change)
    with pytest.raises(ValueError, match=said):
        compare([path], SMALL)


def test_other_files_than_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere.csv cannot be read: expected a suite.csv"):
        compare([tmp_path / "nowhere.csv"], SMALL)
    (tmp_path / "summary.csv").write_text("agent,regime\nppo,noise\n")
    with pytest.raises(
        ValueError,
        match=r"summary.csv has other columns: expected agent, task, .*, got 'agent, regime'",
    ):
        compare([tmp_path / "summary.csv"], SMALL)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"bytes.csv cannot be read"):
        compare([tmp_path / "bytes.csv"], SMALL)


# ------------------------------------------------------------------------------------- the commands


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "evaluate.py", "--suite", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_command_evaluates_writes_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    done = start(
        *("--agents", "fixed_spread,skew=inventory_skew+inventory_skew:half_spread=1,bellman"),
        *("--tasks", "noise,dealer-cartea-jaimungal", "--episodes", "2", "--out", str(out)),
    )
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    assert max(len(line) for line in table) <= 80
    assert last == f"Results: {out} (send in {out / 'suite.csv'})"
    assert {path.name for path in out.iterdir()} == {"suite.csv", "suite.json"}
    with (out / "suite.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["agent"], row["task"], row["seed"], row["episodes"]) for row in rows] == [
        ("fixed_spread", "noise", "0", "2"),
        ("skew", "noise", "0", "2"),
        ("skew", "noise", "1", "2"),
        ("fixed_spread", "dealer-cartea-jaimungal", "0", "20"),
        ("skew", "dealer-cartea-jaimungal", "0", "20"),
        ("skew", "dealer-cartea-jaimungal", "1", "20"),
        ("bellman", "dealer-cartea-jaimungal", "0", "20"),
    ]
    assert all(row["command"].startswith("python evaluate.py --suite") for row in rows)
    assert evaluate.main(Arguments(suite=True, compare=str(out / "suite.csv"))) is None
    compared = capsys.readouterr().out.splitlines()
    assert set(compared) <= set(table)
    assert sum(line.startswith("skew") for line in compared) == sum(
        line.startswith("skew") for line in table
    )


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"suite": True, "tasks": "nois"}, "task is unknown: .*did you mean 'noise'"),
        ({"suite": True, "agents": "inventory_scew"}, "did you mean 'inventory_skew'"),
        (
            {"suite": True, "seed": 1},
            "--seed has no effect with --suite: expected none, got 1",
        ),
        ({"suite": True, "p_informed": 0.5}, "--p-informed has no effect with --suite"),
        ({"suite": True, "episodes": 0}, "episodes=0 is out of range"),
        (
            {"suite": True, "compare": "a.csv", "episodes": 3},
            "--episodes has no effect with --compare",
        ),
        ({"suite": True, "compare": "nowhere.csv"}, "nowhere.csv cannot be read"),
        ({"tasks": "noise"}, "--tasks has no effect without --suite: expected --suite with it"),
        ({"compare": "a.csv"}, "--compare has no effect without --suite: expected --suite with it"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence_and_leaves_nothing(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate.main(
            Arguments(**fields if "compare" in fields else {"out": tmp_path / "out"} | fields)
        )
    assert list(tmp_path.iterdir()) == []
