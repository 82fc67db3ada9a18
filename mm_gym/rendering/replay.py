"""A replay of recorded sessions in a browser: one HTML file, which needs nothing else.

write_replay("replay.html", [env.recording()])

The page is `page/replay.html` with its style sheet and scripts. Its charts are drawn by uPlot, in
`page/uplot`. `docs/how-to/replay-a-session.md` says how to update uPlot.
"""

import base64
import html
import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym import palette
from mm_gym.core.layout import INFORMED_TAKERS, TakerKind
from mm_gym.display import Page
from mm_gym.recorded_fills import HORIZONS
from mm_gym.rendering.recording import Recording

MOST_MAKERS = 4
"""Largest number of recordings on one page."""

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("data.js", "charts.js", "ladder.js", "story.js", "replay.js")
_WHOLE_TYPES = ("u1", "u2", "u4")
# Columns of a recording that the page does not show.
_UNUSED = ("step", "cash", "spread", "signal")


def write_replay(
    path: str | Path, recordings: Sequence[Recording], title: str = "Session replay"
) -> Path:
    """Write recordings as one HTML file, side by side.

    Args:
        path: of the file.
        recordings: one to four sessions, usually of several agents on the same seed.
        title: of the page.

    Returns:
        The path of the file.

    Raises:
        ValueError: if there is no recording, or there are more than four.
        OSError: if the file cannot be written.
    """
    path = Path(path)
    path.write_text(replay_html(recordings, title), encoding="utf-8")
    return path


def replay_html(recordings: Sequence[Recording], title: str = "Session replay") -> Page:
    """The page that `write_replay` writes. A notebook shows it in a frame.

    It makes no network request.

    Raises:
        ValueError: if there is no recording, or there are more than four.
    """
    if not 1 <= len(recordings) <= MOST_MAKERS:
        raise ValueError(
            f"{len(recordings)} recordings do not fit on a page: expected 1 to {MOST_MAKERS}, "
            f"got {len(recordings)}"
        )
    data = json.dumps(
        {
            "horizons": HORIZONS,
            "kinds": {int(kind): kind.name.lower().replace("_", " ") for kind in TakerKind},
            "informed": INFORMED_TAKERS,
            "makers": [_maker(recording) for recording in recordings],
        },
        separators=(",", ":"),
        allow_nan=False,
    )
    page = string.Template(_read("replay.html")).substitute(
        title=html.escape(title),
        subtitle=html.escape(_subtitle(recordings)),
        css="\n".join([_colours(), _read("uplot/uPlot.min.css"), _read("replay.css")]),
        data=data.replace("<", "\\u003c"),  # no text can end the script element
        licence=_read("uplot/LICENSE"),
        uplot=_read("uplot/uPlot.iife.min.js"),
        script="\n".join(_read(name) for name in _SCRIPTS),
    )
    return Page(page)


def _read(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8").strip()


def _subtitle(recordings: Sequence[Recording]) -> str:
    """What the sessions have in common, in words."""
    first = recordings[0]
    parts = []
    if first.config is not None and all(first.config == other.config for other in recordings):
        config = first.config
        parts.append(f"regime {config.regime}")
        if config.p_informed:
            parts.append(f"p_informed {config.p_informed:g}")
        parts.append(f"{config.session_steps:,} decisions of {config.decision_interval:g} s")
        if config.mean_latency:
            parts.append(f"latency {config.mean_latency:g} s")
    if first.seed is not None and all(first.seed == other.seed for other in recordings):
        parts.append(f"session seed {first.seed}")
    return ", ".join(parts)


def _colours() -> str:
    """The palette as CSS variables. `data-theme` overrides the theme of the reader's system."""
    return (
        f":root{{color-scheme:light dark}}\n{palette.css()}"
        f":root[data-theme=light]{{color-scheme:light;{palette.declarations('light')}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{palette.declarations('dark')}}}"
    )


def _maker(recording: Recording) -> dict[str, Any]:
    """One recording in the form that `page/data.js` decodes."""
    markout_mid, markout_value = recording.markouts()
    fills = {"markout_mid": markout_mid, "markout_value": markout_value}
    return {
        "label": recording.label,
        "decisions": _columns(recording.decisions),
        "fills": _columns(recording.fills, keep=("signal",))
        | {name: _column(values) for name, values in fills.items()},
        "path": _columns(recording.path),
        "trades": _columns(recording.trades),
    }


def _columns(rows: npt.NDArray[Any], keep: Sequence[str] = ()) -> dict[str, Any]:
    return {
        name: _column(rows[name], exact=name == "time")
        for name in rows.dtype.names or ()
        if name not in _UNUSED or name in keep
    }


def _column(values: npt.NDArray[Any], exact: bool = False) -> dict[str, Any]:
    """A column as text: base + step x numbers, of the smallest type that fits.

    Multiples of one half of moderate size are exact. Other numbers are rounded to 24 bits of their
    difference from the smallest one, unless they have to be exact.
    """
    flat = values.astype(np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    base = float(finite.min()) if len(finite) else 0.0
    difference = flat - base
    doubled = 2.0 * difference
    if len(finite) == len(flat) and np.array_equal(doubled, np.rint(doubled)):
        step = 1.0 if np.array_equal(difference, np.rint(difference)) else 0.5
        numbers = difference / step
        largest = numbers.max(initial=0.0)
        for kind in _WHOLE_TYPES:
            if largest <= np.iinfo(kind).max:
                return _encoded(numbers.astype(f"<{kind}"), f"u{8 * int(kind[1])}", base, step)
    if exact:
        return _encoded(flat.astype("<f8"), "f64", 0.0, 1.0)
    return _encoded(difference.astype("<f4"), "f32", base, 1.0)


def _encoded(numbers: npt.NDArray[Any], kind: str, base: float, step: float) -> dict[str, Any]:
    data = base64.b64encode(numbers.tobytes()).decode("ascii")
    return {"type": kind, "base": base, "step": step, "data": data}
