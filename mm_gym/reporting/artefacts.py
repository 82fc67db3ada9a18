"""Writing results down: a folder appears whole or not at all, and never on top of an earlier one
unasked."""

import csv
import json
import math
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "mm-gym",
    "gymnasium",
    "numpy",
    "numba",
    "scipy",
    "stable-baselines3",
    "sb3-contrib",
    "torch",
    "optuna",
)


_SUMMARY = "summary.json"
_MARKS = (_SUMMARY, "suite.json")  # a folder without one of them is not ours to replace


class ArtefactError(OSError):
    """A folder that cannot be written: the message says what came, what was wanted and what to
    write instead."""


@contextmanager
def results_folder(folder: Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into, put in its place when the block ends without an error.

    Until then everything goes to a hidden folder beside it, which is removed if the block fails.

    Args:
        folder: where the results will lie.
        overwrite: whether a folder that is already there may be replaced.

    Raises:
        ArtefactError: if there is one and it may not, or if nothing can be written there.
    """
    check_free(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ArtefactError(
            f"the results cannot be written to {folder} ({error.strerror or error}); write --out with a folder in a "
            "place where you may write"
        ) from error
    try:
        yield partial
        partial.chmod(0o755)
        check_free(folder, overwrite)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_free(folder: Path, overwrite: bool = False) -> None:
    """Make sure that nothing would be destroyed, before any work is done.

    Raises:
        ArtefactError: if there is something that may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtefactError(
            f"{folder} is a file, a folder was wanted; write --out with another name"
        )
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not any((folder / mark).exists() for mark in _MARKS) or Path.cwd().is_relative_to(
        folder.resolve()
    ):
        raise ArtefactError(
            f"{folder} holds something else than results, which is never replaced; write --out with another name"
        )
    if not overwrite:
        raise ArtefactError(
            f"{folder} holds results already; write --out with another name, or --overwrite to replace them"
        )


def fresh_folder(parent: Path, stem: str) -> Path:
    """The first of `stem-1`, `stem-2`, ... that is not there yet."""
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on, where installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def write_summary(folder: Path, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
    """Write `summary.csv` and `summary.json`: the rows, and in the JSON what made them. NaN is
    written as nothing.

    Args:
        folder: to write into.
        rows: with the same keys each.
        about: plain values: arguments, configurations, versions.
    """
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {key: "" if _missing(value) else value for key, value in row.items()} for row in rows
        )
    plain = [
        {key: None if _missing(value) else value for key, value in row.items()} for row in rows
    ]
    (folder / _SUMMARY).write_text(
        json.dumps({**about, "rows": plain}, indent=1, allow_nan=False) + "\n"
    )


def _missing(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
