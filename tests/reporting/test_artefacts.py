"""Results on disk: complete or not at all, replaced only on request, readable by other programs."""

import csv
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mm_gym
from agents import make_agent
from mm_gym import configure
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.summary import COLUMNS, summarise
from mm_gym.reporting.artefacts import (
    ArtefactError,
    check_free,
    fresh_folder,
    package_versions,
    results_folder,
    write_summary,
)

HORIZONS = (1, 5, 20, 50, 100)

# The columns of the design, section 5, in its order.
CONTRACT = (
    ["agent", "regime", "p_informed", "episodes"]
    + [
        "final_pnl",
        "final_pnl_low",
        "final_pnl_high",
        "objective",
        "objective_low",
        "objective_high",
    ]
    + [
        "spread_pnl",
        "inventory_pnl",
        "fees",
        "close_out",
        "fills",
        "mean_abs_inventory",
        "max_abs_inventory",
    ]
    + ["effective_half_spread"]
    + [
        f"{name}_{h}"
        for h in HORIZONS
        for name in ("markout", "adverse_move", "adverse_fill_ratio")
    ]
    + [
        f"value_{name}_{h}"
        for h in HORIZONS
        for name in ("markout", "adverse_move", "adverse_fill_ratio")
    ]
)


def write(
    out: Path, name: str, overwrite: bool = False, failure: type[BaseException] | None = None
) -> None:
    """Write one file into a results folder, then raise the failure if there is one."""
    with results_folder(out, overwrite) as folder:
        (folder / name).write_text(name)
        if failure is not None:
            raise failure


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --------------------------------------------------------------------------------------- the folder


def test_a_folder_appears_when_all_is_written_and_not_before(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "results"
    with results_folder(out) as folder:
        (folder / "one").write_text("1")
        assert not out.exists()
    assert names_in(out) == ["one"]
    assert names_in(tmp_path / "deep") == ["results"]
    assert out.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure):
        write(tmp_path / "results", "one", failure=failure)
    assert names_in(tmp_path) == []


def test_existing_results_are_not_replaced_without_a_request(tmp_path: Path) -> None:
    out = tmp_path / "results"
    write(out, "summary.json")
    with pytest.raises(
        ArtefactError,
        match=r"results is occupied: expected .*, got one that holds results already.*--overwrite",
    ):
        results_folder(out).__enter__()
    with pytest.raises(ArtefactError, match="holds results already"):
        check_free(out)
    assert names_in(out) == ["summary.json"]
    assert names_in(tmp_path) == ["results"]


def test_results_that_another_program_wrote_meanwhile_are_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "results"
    mine = results_folder(out)
    mine.__enter__()
    write(out, "summary.json")
    with pytest.raises(ArtefactError, match="holds results already"):
        mine.__exit__(None, None, None)
    assert names_in(out) == ["summary.json"]
    assert names_in(tmp_path) == ["results"]


def test_overwriting_replaces_the_whole_and_only_when_all_is_written(tmp_path: Path) -> None:
    out = tmp_path / "results"
    write(out, "summary.json")
    with pytest.raises(RuntimeError):
        write(out, "new", overwrite=True, failure=RuntimeError)
    assert names_in(out) == ["summary.json"]
    with results_folder(out, overwrite=True) as folder:
        (folder / "new").write_text("new")
        assert names_in(out) == ["summary.json"]
    assert names_in(out) == ["new"]
    assert names_in(tmp_path) == ["results"]


def test_a_folder_that_holds_something_else_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "code.py").write_text("mine")
    with pytest.raises(
        ArtefactError,
        match=r"with other contents than results, which is never replaced \(write --out",
    ):
        results_folder(sources, overwrite=True).__enter__()
    results = tmp_path / "results"
    write(results, "summary.json")
    (results / "below").mkdir()
    monkeypatch.chdir(results / "below")  # a working directory must not vanish
    with pytest.raises(ArtefactError, match="never replaced"):
        check_free(results, overwrite=True)
    assert (sources / "code.py").read_text() == "mine"
    assert names_in(results) == ["below", "summary.json"]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    out = tmp_path / "results"
    out.mkdir()
    write(out, "one")
    assert names_in(out) == ["one"]


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """The place is below a file, where a superuser cannot write either."""
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(
        ArtefactError, match=r"results cannot be created: expected a place where you may write, got"
    ):
        results_folder(file / "results").__enter__()
    with pytest.raises(
        ArtefactError,
        match=r"file is occupied: expected a new or empty folder, got a file \(write --out",
    ):
        results_folder(file, overwrite=True).__enter__()
    assert file.read_text() == "mine"


def test_a_fresh_folder_is_the_first_number_that_is_free(tmp_path: Path) -> None:
    assert fresh_folder(tmp_path, "evaluation") == tmp_path / "evaluation-1"
    (tmp_path / "evaluation-1").mkdir()
    (tmp_path / "evaluation-3").mkdir()
    assert fresh_folder(tmp_path, "evaluation") == tmp_path / "evaluation-2"


def test_versions_name_python_and_what_results_depend_on() -> None:
    versions = package_versions()
    assert versions["mm-gym"] == mm_gym.__version__
    assert {"python", "numpy", "numba", "gymnasium", "scipy"} <= set(versions)


# -------------------------------------------------------------------------------------- the summary


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Three rows: ordinary sessions, sessions shorter than most horizons, and no fills."""
    cells = [("fixed_spread", {"session_steps": 200}), ("inventory_skew", {"session_steps": 15})]
    made = [
        summarise(name, run_sessions(partial(make_agent, name), configure("informed", **fields), 8))
        for name, fields in cells
    ]
    quiet = configure("noise", session_steps=10, taker_rate=0.0)
    return [
        *made,
        summarise("nobody, no fill", run_sessions(partial(make_agent, "fixed_spread"), quiet, 1)),
    ]


def test_the_columns_of_the_contract_come_first_in_its_order(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert list(row)[: len(CONTRACT)] == CONTRACT
        assert tuple(row) == COLUMNS


def test_the_csv_holds_the_rows_with_empty_cells_for_nan(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    write_summary(tmp_path, rows, {})
    with (tmp_path / "summary.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0])[: len(CONTRACT)] == CONTRACT
    missing = 0
    for row, text in zip(rows, read, strict=True):
        for name, value in row.items():
            if isinstance(value, str):
                assert text[name] == value
            elif math.isnan(value):
                assert text[name] == ""
                missing += 1
            else:
                assert float(text[name]) == value
    assert missing > 20
    assert read[1]["markout_5"] != ""
    assert (
        read[1]["markout_50"] == read[2]["effective_half_spread"] == read[2]["final_pnl_low"] == ""
    )
    assert read[2]["final_pnl"] == "0.0"


def test_the_json_is_strict_and_holds_the_rows_arguments_and_versions(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    write_summary(tmp_path, rows, {"arguments": {"seed": 3}, "versions": package_versions()})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert read["arguments"] == {"seed": 3}
    for row, plain in zip(rows, read["rows"], strict=True):
        assert list(plain) == list(row)
        for name, value in row.items():
            if isinstance(value, float) and math.isnan(value):
                assert plain[name] is None
            else:
                assert plain[name] == value
