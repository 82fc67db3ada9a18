"""Curves of PnL, fills and adverse selection over one field of the market.

Over the informed share of takers they are called toxicity curves.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mm_gym.evaluation.metrics import FillMeasures, against_mid, against_value
from mm_gym.evaluation.plans import Entry
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate, mean, mean_over_fills, ratio
from mm_gym.reporting.pictures.entries import Curve, curves, field_text
from mm_gym.reporting.pictures.style import (
    INK,
    MARKERS,
    SERIES,
    Drawing,
    Key,
    Line,
    Panel,
    Series,
    curves_panel,
)

HORIZON = 50.0  # [s]
_AXIS_LABELS = {
    "p_informed": "informed share of takers, p",
    "latency": "latency [s]",
    "imbalance": "imbalance of uninformed takers",
    "signal_drift": "drift per unit of signal [ticks / s]",
    "signal_half_life": "half-life of the signal [s]",
    "volatility": "volatility [ticks / √s]",
    "taker_rate": "taker rate [1/s]",
}
_CURVES_PER_PICTURE = 5
_CURVES_WITH_BOTH = 2  # with more curves, the lower row is drawn against the efficient price only

Measure = Callable[[Sessions], Estimate]


def toxicity(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """Pictures of PnL, fills and adverse selection for each field that has curves."""
    for field, found in curves(entries).items():
        pictures = list(_split(found))
        for number, shown in enumerate(pictures, 1):
            yield _over(field, shown, f"_{number}" if len(pictures) > 1 else "")


def _split(found: Sequence[Curve]) -> Iterator[Sequence[Curve]]:
    """The curves of each picture: all in one if they fit, else split by market and evenly."""
    if len(found) <= _CURVES_PER_PICTURE:
        yield found
        return
    for market in dict.fromkeys(curve.market for curve in found):
        members = [curve for curve in found if curve.market == market]
        count = -(-len(members) // _CURVES_PER_PICTURE)
        size = -(-len(members) // count)
        yield from (members[first : first + size] for first in range(0, len(members), size))


def horizon_column(sessions: Sessions) -> int:
    """The index of the horizon nearest to `HORIZON`."""
    return int(np.argmin(np.abs(np.asarray(sessions.horizons) - HORIZON)))


def _over(field: str, shown: Sequence[Curve], suffix: str) -> Drawing:
    sessions = [entry.sessions for curve in shown for entry in curve.points]
    h = f"{sessions[0].horizons[horizon_column(sessions[0])]:g} s"
    axis = _AXIS_LABELS.get(field, field)
    sweep_name = "toxicity" if field == "p_informed" else f"sweep_{field}"

    crowded = len(shown) > _CURVES_WITH_BOTH
    looks: list[tuple[str, Line, str]] = [
        (colour, "-", marker) for colour, marker in zip(SERIES, MARKERS, strict=True)
    ]

    def panel(
        title: str,
        label: str,
        mid: Measure,
        value: Measure | None = None,
        neutral: float | None = 0.0,
    ) -> Panel:
        measures: list[tuple[Measure | None, Line]] = [(mid, "-"), (value, "--")]
        if crowded and value is not None:
            measures = [(value, "-")]
        lines = [
            Series(
                curve.values,
                [measure(entry.sessions) for entry in curve.points],
                colour,
                line,
                marker,
            )
            for curve, (colour, _, marker) in zip(shown, looks, strict=False)
            for measure, line in measures
            if measure is not None
        ]
        return curves_panel(lines, title, axis, label, neutral)

    panels = [
        panel("Final PnL", "ticks × lots / session", lambda s: mean(s.final_pnl)),
        panel(
            "Fills", "fills / session", lambda s: mean(s.n_fills.astype(np.float64)), neutral=None
        ),
        panel(
            "Loss per fill: −final PnL / fills",
            "ticks × lots / fill",
            lambda s: ratio(-s.final_pnl, s.n_fills.astype(np.float64)),
        ),
        panel(
            f"Markout at {h}",
            "ticks",
            lambda s: _over_fills(s, against_mid(s), "markout"),
            lambda s: _over_fills(s, against_value(s), "markout"),
        ),
        panel(
            f"Adverse move at {h}",
            "ticks",
            lambda s: _over_fills(s, against_mid(s), "adverse_move"),
            lambda s: _over_fills(s, against_value(s), "adverse_move"),
        ),
        panel(
            f"Adverse fill ratio at {h}",
            "share of fills",
            lambda s: _over_fills(s, against_mid(s), "adverse_fill"),
            lambda s: _over_fills(s, against_value(s), "adverse_fill"),
            neutral=0.5,
        ),
    ]
    keys = [
        *(
            Key(curve.name, colour, marker=marker)
            for curve, colour, marker in zip(shown, SERIES, MARKERS, strict=False)
        ),
        *(
            []
            if crowded
            else [Key("against the mid", INK), Key("against the efficient price V", INK, line="--")]
        ),
    ]
    against = (
        "The lower row is against the efficient price V, which the maker does not observe."
        if crowded
        else "In the lower row, solid lines are against the public mid. Dashed lines are against "
        "the efficient price V, which the maker does not observe."
    )
    episodes = len(sessions[0])
    return Drawing(
        name=f"{sweep_name}{suffix}",
        section="Toxicity curves" if field == "p_informed" else f"Sweep of {field}",
        title=f"PnL, fills and adverse selection by {axis}",
        hint=_ends(field, shown),
        caption=(
            f"Bands are 95 % bootstrap intervals over {episodes} sessions per point. {against} "
            "An adverse fill ratio of one half means no information."
        ),
        panels=panels,
        keys=keys,
    )


def _ends(field: str, shown: Sequence[Curve]) -> str:
    """The final PnL at both ends of each curve, in words."""
    ends = []
    for curve in shown:
        at = [
            f"{mean(curve.points[end].sessions.final_pnl).value:.0f} at "
            f"{field_text(field, curve.values[end])}"
            for end in (0, -1)
        ]
        ends.append(f"{curve.name} {' and '.join(at)}".replace(" -", " \u2212"))
    return f"Final PnL: {'; '.join(ends)}."


def _over_fills(sessions: Sessions, measures: FillMeasures, name: str) -> Estimate:
    column: npt.NDArray[np.float64] = getattr(measures, name)[:, horizon_column(sessions)]
    return mean_over_fills(column, sessions.fill_session, len(sessions))
