"""Writing results: a folder appears complete or not at all, and replaces one only on request."""

import csv
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from mm_gym.evaluation.statistics import nan_to_none

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
_MARKS = (
    _SUMMARY,
    "suite.json",
    "replay.html",
)  # only a folder with one of these files may be replaced


class ArtefactError(OSError):
    """A results folder that cannot be written."""


@contextmanager
def results_folder(folder: Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into. It moves to its final place if the block ends without an error.

    Until then it is a hidden folder in the same parent. It is removed if the block fails.

    Args:
        folder: the final place of the results.
        overwrite: whether earlier results in this place may be replaced.

    Yields:
        The hidden folder.

    Raises:
        ArtefactError: if the place is occupied or cannot be written to.
    """
    check_free(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ArtefactError(
            f"{folder} cannot be created: expected a place where you may write, "
            f"got {error.strerror or error} (write --out with another folder)"
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
    """Check that writing results to `folder` destroys nothing else.

    Raises:
        ArtefactError: if the place is occupied by something that may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtefactError(
            f"{folder} is occupied: expected a new or empty folder, got a file "
            "(write --out with another name)"
        )
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not any((folder / mark).exists() for mark in _MARKS) or Path.cwd().is_relative_to(
        folder.resolve()
    ):
        raise ArtefactError(
            f"{folder} is occupied: expected a new or empty folder, got one with other contents "
            "than results, which is never replaced (write --out with another name)"
        )
    if not overwrite:
        raise ArtefactError(
            f"{folder} is occupied: expected a new or empty folder, got one that holds results "
            "already (write --out with another name, or --overwrite to replace them)"
        )


def fresh_folder(parent: Path, stem: str) -> Path:
    """The first of `stem-1`, `stem-2`, ... in `parent` that does not exist."""
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"


def package_versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that a result may depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def write_summary(folder: Path, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
    """Write the rows to `summary.csv`, and the rows and `about` to `summary.json`.

    NaN becomes an empty cell in CSV and null in JSON.

    Args:
        folder: to write into.
        rows: all with the same keys.
        about: arguments, configurations and versions, as plain values.
    """
    plain = [nan_to_none(row) for row in rows]
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(plain)
    (folder / _SUMMARY).write_text(
        json.dumps({**about, "rows": plain}, indent=1, allow_nan=False) + "\n"
    )
