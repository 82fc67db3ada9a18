"""The reference scores of the benchmark suite, which define the scale of normalised scores.

`python -m agents.tools.reference_scores` computes them and writes `tasks.json`.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_gym.errors import ConfigurationError

REFERENCES_FILE = Path(__file__).with_name("tasks.json")


@dataclass(frozen=True)
class Reference:
    """The score of one agent in a task. It defines one end of the scale of normalised scores."""

    agent: str
    """Name of the agent with its parameters, as an argument of `evaluate.py --agents`."""
    score: float
    """[ticks x lots] Mean objective of a session."""
    standard_error: float
    """[ticks x lots] Standard error of the score; 0 if the score is exact."""
    sessions: int
    """Number of simulated sessions; 0 if the score is exact."""


def read_references(path: Path = REFERENCES_FILE) -> dict[str, dict[str, Any]]:
    """Read the reference scores.

    Args:
        path: a file that `python -m agents.tools.reference_scores` has written.

    Returns:
        For each task a dictionary with `version`, `config`, `zero` and `one`. The last two are a
        `Reference` or None.

    Raises:
        ConfigurationError: if the file is missing or damaged.
    """
    try:
        tasks = json.loads(path.read_text())["tasks"]
        return {name: {**entry, **_checked(entry)} for name, entry in tasks.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: expected a file of reference scores, "
            f"got {type(error).__name__}: {error}"
        ) from error


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """The two reference scores of a task in the file."""
    zero, one = (_reference(entry[end]) for end in ("zero", "one"))
    if not isinstance(entry["version"], int):
        raise ValueError(f"version is wrong: expected a whole number, got {entry['version']!r}")
    if zero is not None and one is not None and not one.score > zero.score:
        raise ValueError(
            "the scale is empty: expected the score of `one` above that of `zero`, "
            f"got {one.score} and {zero.score}"
        )
    return {"zero": zero, "one": one}


def _reference(plain: Any) -> Reference | None:
    if plain is None:
        return None
    found = Reference(**plain)
    if not isinstance(found.agent, str) or not found.agent.isprintable():
        raise ValueError(f"agent is not a name: expected printable text, got {found.agent!r}")
    for name in ("score", "standard_error"):
        value = getattr(found, name)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            raise ValueError(f"{name} is out of range: expected a finite number, got {value!r}")
    if (
        isinstance(found.sessions, bool)
        or not isinstance(found.sessions, int)
        or found.sessions < 0
    ):
        raise ValueError(
            f"sessions is out of range: expected a whole number, at least 0, got {found.sessions!r}"
        )
    if found.standard_error < 0.0:
        raise ValueError(
            "standard_error is out of range: "
            f"expected a number, at least 0, got {found.standard_error}"
        )
    return found
