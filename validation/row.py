"""A row of the tables: a published or exact number, and the result of this package."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Row:
    """A reference and the result of this package."""

    what: str
    reference: float
    """Published, or exact for the simulated dynamics."""
    ours: float
    """The result of this package."""
    standard_error: float = 0.0
    """Of `ours` minus `reference`. 0 if `ours` is computed without sampling."""
    note: str = ""
    sign: int = 0
    """0 if `ours` should equal the reference, +1 if it should lie above, -1 if not above."""

    @property
    def distance(self) -> float:
        """[standard errors] `ours` minus `reference`. NaN if nothing was sampled."""
        return (
            (self.ours - self.reference) / self.standard_error
            if self.standard_error > 0.0
            else math.nan
        )


def mean_row(
    what: str, reference: float, samples: npt.ArrayLike, note: str = "", sign: int = 0
) -> Row:
    """A row with the mean of independent samples."""
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
    """A row with the standard deviation of independent samples.

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
        cells = (row.what, f"{row.reference:.6g}", f"{row.ours:.6g}", error, distance, row.note)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
