"""Files of the suite, `suite.csv` and `suite.json`: writing, reading and comparing them."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mm_gym.evaluation.statistics import nan_to_none
from mm_gym.evaluation.suite import SUITE_SEED, Results, Row
from mm_gym.evaluation.suite_scores import summarise
from mm_gym.tasks import Task, find_task

RESULTS_FILE, ABOUT_FILE = "suite.csv", "suite.json"
_COLUMNS = tuple(Row.__dataclass_fields__)
_WHOLE = ("task_version", "seed", "episodes")
_TEXT = ("agent", "task", "run", "estimate", "mm_gym_version", "command")
_MAY_BE_MISSING = ("standard_error", "plain_standard_error", "score", "score_standard_error")


def write_suite(
    folder: Path, results: Results, tasks: Sequence[Task], about: Mapping[str, Any]
) -> None:
    """Write the rows to `suite.csv`, and rows, summaries, reference scores and `about` to JSON.

    Args:
        folder: to write into.
        results: of `run_suite`.
        tasks: that were run.
        about: arguments and versions, as plain values.
    """
    plain = [nan_to_none(vars(row)) for row in results.rows]
    with (folder / RESULTS_FILE).open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=_COLUMNS)
        writer.writeheader()
        writer.writerows(plain)
    scales = {
        task.name: {
            "version": task.version,
            "zero": None if task.zero is None else vars(task.zero),
            "one": None if task.one is None else vars(task.one),
        }
        for task in tasks
    }
    whole = {
        **about,
        "seed": SUITE_SEED,
        "tasks": scales,
        "rows": plain,
        "summaries": [summary.plain() for summary in summarise(results.rows)],
        "left_out": [
            {"agent": label, "task": task, "reason": reason}
            for (label, task), reason in results.left_out.items()
        ],
    }
    (folder / ABOUT_FILE).write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n")


def read_suite(path: Path, tasks: Mapping[str, Task]) -> list[Row]:
    """Read the rows of a `suite.csv`, and compute their scores anew.

    Args:
        path: of the file.
        tasks: by name, with the reference scores to normalise with.

    Raises:
        ValueError: if the file is not a `suite.csv`, or a row is of another version of a task.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                got = ", ".join(reader.fieldnames or ())
                raise ValueError(
                    f"{path} has other columns: expected {', '.join(_COLUMNS)}, got {got!r}"
                )
            rows = [_row(plain, f"{path}, line {reader.line_num}", tasks) for plain in reader]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read: expected a suite.csv, got "
            f"{getattr(error, 'strerror', None) or error}"
        ) from None
    if not rows:
        raise ValueError(f"{path} is empty: expected at least one row, got none")
    return rows


def _row(plain: Mapping[str, Any], where: str, tasks: Mapping[str, Task]) -> Row:
    values: dict[str, Any] = {}
    for name in _COLUMNS:
        text = plain[name]
        if text is None or None in plain:
            raise ValueError(
                f"{where} is damaged: expected {len(_COLUMNS)} values, got another number"
            )
        if name in _TEXT:
            if not text.isprintable():
                raise ValueError(
                    f"{where} is damaged: expected printable text in {name}, got {text!r}"
                )
            values[name] = text
            continue
        try:
            values[name] = (
                int(text) if name in _WHOLE else _number(text, missing=name in _MAY_BE_MISSING)
            )
        except ValueError:
            raise ValueError(
                f"{where} is damaged: expected a number in {name}, got {text!r}"
            ) from None
    try:
        task = find_task(values["task"], tasks)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if values["task_version"] != task.version:
        raise ValueError(
            f"{where} is of another version of the task {task.name!r}: expected version "
            f"{task.version}, got {values['task_version']}"
        )
    values["score"] = task.normalise(values["objective"])
    values["score_standard_error"] = task.normalise_error(values["standard_error"])
    return Row(**values)


def _number(text: str, missing: bool) -> float:
    if missing and text == "":
        return math.nan
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def compare(paths: Sequence[Path], tasks: Mapping[str, Task]) -> Results:
    """Join the rows of several `suite.csv` files.

    An agent that is in several files gets the folder of its file in its label.

    Args:
        paths: of the files.
        tasks: see `read_suite`.

    Raises:
        ValueError: see `read_suite`.
    """
    files = [(path, read_suite(path, tasks)) for path in paths]
    labels = [label for _, rows in files for label in {row.agent for row in rows}]
    results = Results()
    for path, rows in files:
        for row in rows:
            label = f"{row.agent} [{path.parent}]" if labels.count(row.agent) > 1 else row.agent
            results.rows.append(Row(**{**vars(row), "agent": label}))
    return results
