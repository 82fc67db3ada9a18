"""`report.html`: a self-contained page without network access. Its pictures are PNG files too.

Sections in order: checks, tables, pictures, and how the report was made.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from mm_gym import palette
from mm_gym.evaluation.experiments.runner import Check, ExperimentResult
from mm_gym.evaluation.policy_map import PolicyMap
from mm_gym.evaluation.statistics import Estimate
from mm_gym.reporting.html_tables import TABLES, number, table_html
from mm_gym.reporting.pictures import Entry, Picture, figures

__all__ = ["Entry", "write_report"]


def write_report(
    folder: Path,
    title: str,
    entries: Sequence[Entry],
    experiments: Sequence[ExperimentResult] = (),
    rows: Sequence[dict[str, Any]] = (),
    policies: Mapping[str, PolicyMap] | None = None,
    command: str = "",
    about: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write `report.html` and its pictures as PNG files. A failure leaves no file behind.

    Args:
        folder: an existing folder to write into.
        title: of the report.
        entries: for the pictures.
        experiments: for the checks.
        rows: of the summary (`summary.summarise`), for the tables.
        policies: agents' quotes by agent name, for the pictures.
        command: that produced the results.
        about: `arguments`, `versions` and `configurations`, as plain values for JSON.

    Returns:
        The files written, `report.html` first.

    Raises:
        OSError: if a file cannot be written.
    """
    pictures = list(figures(entries, policies).values())
    page = _page(title, experiments, rows, pictures, command, about or {})
    contents = {folder / "report.html": page.encode()}
    contents |= {folder / f"{picture.name}.png": picture.png for picture in pictures}
    try:
        for path, content in contents.items():
            path.write_bytes(content)
    except OSError:
        for path in contents:
            with suppress(OSError):
                path.unlink()
        raise
    return list(contents)


def _page(
    title: str,
    experiments: Sequence[ExperimentResult],
    rows: Sequence[dict[str, Any]],
    pictures: Sequence[Picture],
    command: str,
    about: Mapping[str, Any],
) -> str:
    sections = {
        "checks": ("Checks", _checks(experiments)),
        "tables": ("Tables", _tables(rows)),
        "pictures": ("Pictures", _pictures(pictures)),
        "about": ("How this was made", _about(command, about)),
    }
    filled = {anchor: section for anchor, section in sections.items() if section[1]}
    links = "".join(
        f'<li><a href="#{anchor}">{heading}</a></li>' for anchor, (heading, _) in filled.items()
    )
    body = "\n".join(
        f'<section id="{anchor}"><h2>{heading}</h2>\n{content}\n</section>'
        for anchor, (heading, content) in filled.items()
    )
    style = resources.files("mm_gym.reporting").joinpath("report.css").read_text()
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{palette.css()}{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{_overview(experiments)}
<nav aria-label="Contents"><ul>{links}</ul></nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _overview(experiments: Sequence[ExperimentResult]) -> str:
    checks = [check for experiment in experiments for check in experiment.audit + experiment.checks]
    if not checks:
        return ""
    held = sum(check.holds for check in checks)
    verdicts = "".join(
        f'<li><a href="#experiment-{position}">{escape(experiment.name)}</a> '
        f"{_verdict(experiment.holds)}</li>"
        for position, experiment in enumerate(experiments, 1)
    )
    return (
        f"<p>{held} of {len(checks)} checks hold.</p>\n"
        f'<nav aria-label="Experiments"><ul>{verdicts}</ul></nav>'
    )


# ------------------------------------------------------------------------------------------ checks


def _checks(experiments: Sequence[ExperimentResult]) -> str:
    parts = []
    for position, experiment in enumerate(experiments, 1):
        control = "" if experiment.effect else " (negative control)"
        parts.append(
            f'<article id="experiment-{position}">'
            f"<h3>{escape(experiment.name)}{control} {_verdict(experiment.holds)}</h3>\n"
            f"<p>{escape(experiment.question)}</p>"
        )
        if not experiment.effect:
            parts.append(
                "<p>The cause of the effect is removed, so checks of the effect should fail.</p>"
            )
        if experiment.audit:
            parts.append("<h4>Audit of the set-up: the checks below need these to hold</h4>")
            parts.append(_check_list(experiment.audit, "audit"))
            parts.append("<h4>Checks</h4>")
        parts.append(_check_list(experiment.checks, "check"))
        if experiment.notes:
            parts.append(
                '<ul class="notes">'
                + "".join(f"<li>{escape(note)}</li>" for note in experiment.notes)
                + "</ul>"
            )
        parts.append("</article>")
    return "\n".join(parts)


def _verdict(holds: bool) -> str:
    kind, words = ("holds", "✓ holds") if holds else ("fails", "✗ does not hold")
    return f'<span class="verdict {kind}">{words}</span>'


def _check_list(checks: Iterable[Check], kind: str) -> str:
    items = [
        f'<li class="{kind}">{_verdict(check.holds)}<span>{escape(check.sentence)}</span>'
        f'<span class="figure">{_estimate(check.estimate, check.unit)}</span>'
        f'<span class="quiet">wanted: {escape(check.wanted)}<br>'
        f"sample: {escape(check.sample)}</span></li>"
        for check in checks
    ]
    return f'<ul class="checks">{"".join(items)}</ul>'


def _estimate(estimate: Estimate, unit: str) -> str:
    decimals = _decimals(estimate)
    value, low, high = (
        number(figure, decimals) for figure in (estimate.value, estimate.low, estimate.high)
    )
    shown = f"<strong>{value}</strong> {escape(unit.replace(' x ', ' × '))}"
    if estimate.low == estimate.high:
        return shown
    return f'{shown} <span class="quiet interval">95 %: {low} to {high}</span>'


def _decimals(estimate: Estimate) -> int:
    """Decimals that show two significant digits of the interval's half-width."""
    half_width = 0.5 * (estimate.high - estimate.low)
    if not math.isfinite(half_width) or half_width <= 0.0:
        return 0 if estimate.value == round(estimate.value, 0) else 3
    return min(6, max(0, 1 - math.floor(math.log10(half_width))))


# ------------------------------------------------------------------------------ tables and pictures


def _tables(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        table_html(table, rows, f"table-{number}") for number, table in enumerate(TABLES, 1) if rows
    )


def _pictures(pictures: Sequence[Picture]) -> str:
    parts, section = [], ""
    for picture in pictures:
        if picture.section != section:
            section = picture.section
            parts.append(f"<h3>{escape(section)}</h3>")
        parts.append(picture._repr_html_())
    return "\n".join(parts)


# ---------------------------------------------------------------------------------- how it was made


def _about(command: str, about: Mapping[str, Any]) -> str:
    parts = [f"<pre><code>{escape(command)}</code></pre>"] if command else []
    for name in ("arguments", "versions"):
        if about.get(name):
            terms = "".join(
                f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>"
                for k, v in about[name].items()
            )
            parts.append(f"<h3>{name.capitalize()}</h3><dl>{terms}</dl>")
    if about.get("configurations"):
        text = escape(json.dumps(about["configurations"], indent=1, default=str))
        parts.append(
            "<details><summary>Configurations of the markets</summary>"
            f"<pre><code>{text}</code></pre></details>"
        )
    return "\n".join(parts)
