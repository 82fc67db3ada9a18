"""A row of the table: a published or exact number, and ours beside it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Row:
    """One number that nobody here made up, and ours."""

    what: str
    reference: float
    """Published, or exact for the dynamics simulated."""
    ours: float
    standard_error: float = 0.0
    """Of ours less the reference; 0 where ours is computed and not sampled."""
    note: str = ""
    sign: int = 0
    """Where ours is not to equal the reference but to lie above it (+1) or no higher (-1)."""

    @property
    def distance(self) -> float:
        """[standard errors] Of ours from the reference; NaN where nothing was sampled."""
        return (
            (self.ours - self.reference) / self.standard_error
            if self.standard_error > 0.0
            else math.nan
        )


def mean_row(
    what: str, reference: float, samples: npt.ArrayLike, note: str = "", sign: int = 0
) -> Row:
    """The mean of independent samples beside a reference."""
    values = np.asarray(samples, dtype=float)
    return Row(
        what,
        reference,
        float(values.mean()),
        float(values.std(ddof=1) / math.sqrt(len(values))),
        note,
        sign,
    )


def deviation_row(what: str, reference: float, samples: npt.ArrayLike, note: str = "") -> Row:
    """The standard deviation of independent samples beside a reference.

    Its standard error is that of the second central moment by the delta method: sqrt((m4 - m2^2) /
    n) / (2 sd).
    """
    values = np.asarray(samples, dtype=float)
    deviations = values - values.mean()
    variance = float((deviations**2).mean())
    error = math.sqrt((float((deviations**4).mean()) - variance**2) / len(values))
    deviation = math.sqrt(variance)
    return Row(what, reference, deviation, error / (2.0 * deviation), note)


def markdown_table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| | published or exact | ours | standard error | distance | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        sampled = row.standard_error > 0.0
        error = f"{row.standard_error:.2g}" if sampled else "computed"
        distance = f"{row.distance:+.1f} s.e." if sampled else f"{row.ours - row.reference:+.1g}"
        lines.append(
            f"| {row.what} | {row.reference:.6g} | {row.ours:.6g} | {error} | {distance} | {row.note} |"
        )
    return "\n".join(lines) + "\n"
