"""Markout curves: the markout of fills over the time since the fill, by market and by taker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mm_gym.config import MarketConfig
from mm_gym.evaluation.metrics import FillMeasures, against_mid, against_value, with_informed_takers
from mm_gym.evaluation.plans import Entry
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import mean_over_fills
from mm_gym.reporting.pictures.entries import Look, by_agent, look_of_markets, representatives
from mm_gym.reporting.pictures.style import (
    INFORMED,
    INK,
    NOISE,
    Drawing,
    Key,
    Line,
    Panel,
    Series,
    curves_panel,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Measures = Callable[[Sessions], FillMeasures]

_AGENTS = 4  # per picture, in one row each
_COUNTERPARTIES = 6  # panels per picture
_HOW_TO_READ = (
    "A curve starts at the effective half-spread at 0 s. Its fall from there is the adverse move. "
    "Bands are 95 % bootstrap intervals over sessions. Fills whose horizon passes the close are "
    "left out."
)


def markout_by_regime(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """Markout against the mid and against V: one row of panels per agent, one line per market."""
    looks = look_of_markets(entries)
    agents = list(by_agent([entry for entry in entries if entry.sessions.config in looks]).items())
    for first in range(0, len(agents), _AGENTS):
        panels = [
            _panel(
                f"{agent}, {words}",
                [_of_market(entry.sessions, measure, looks) for entry in members],
                agent,
            )
            for agent, members in agents[first : first + _AGENTS]
            for words, measure in (
                ("against the mid", against_mid),
                ("against the efficient price V", against_value),
            )
        ]
        yield Drawing(
            name="markout_by_regime"
            + (f"_{first // _AGENTS + 1}" if len(agents) > _AGENTS else ""),
            section="Markout over horizons",
            title="Markout over the time since the fill, by market",
            hint=(
                "Look at the right end of each curve. Above zero, the average fill still earns "
                "after 100 s. A curve that falls below zero is adverse selection."
            ),
            caption=_HOW_TO_READ,
            panels=panels,
            keys=[Key(look.name, look.colour, marker=look.marker) for look in looks.values()],
            columns=2,
        )


def _of_market(sessions: Sessions, measure: Measures, looks: Mapping[MarketConfig, Look]) -> Series:
    look = looks[sessions.config]
    return _series(sessions, measure, look.colour, look.marker)


def markout_by_counterparty(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """One panel for each market with informed takers: fills with those who know something, and with
    all others."""
    with_both = [entry for entry in entries if with_informed_takers(entry.sessions).any()]
    if not with_both:
        return
    # Markets in which every taker is informed have only one line to show.
    split = [
        entry for entry in with_both if not with_informed_takers(entry.sessions).all()
    ] or with_both
    chosen = representatives(split, _COUNTERPARTIES)
    left_out = (
        f" {len(chosen)} of {len(split)} markets are shown." if len(chosen) < len(split) else ""
    )
    yield Drawing(
        name="markout_by_counterparty",
        section="Markout over horizons",
        title="Markout of fills with informed takers, and with all others",
        hint=(
            "The gap between the two colours is what the information of a taker costs per fill. "
            "Fills with all others should keep the effective half-spread."
        ),
        caption=f"{_HOW_TO_READ} Titles show the number of fills of each kind.{left_out}",
        panels=[_counterparty_panel(entry) for entry in chosen],
        keys=[
            Key("with informed takers", INFORMED, marker="s"),
            Key("with all others", NOISE, marker="o"),
            Key("against the mid", INK),
            Key("against the efficient price V", INK, line="--"),
        ],
        columns=2 if len(chosen) in (2, 4) else 3,
    )


def _counterparty_panel(entry: Entry) -> Panel:
    informed = with_informed_takers(entry.sessions)
    kinds: list[tuple[npt.NDArray[np.bool_], str, str]] = [
        (~informed, NOISE, "o"),
        (informed, INFORMED, "s"),
    ]
    measures: list[tuple[Measures, Line]] = [(against_mid, "-"), (against_value, "--")]
    lines = [
        _series(entry.sessions, measure, colour, marker, line, chosen)
        for measure, line in measures
        for chosen, colour, marker in kinds
    ]
    counts = f"fills: {informed.sum():,} informed, {(~informed).sum():,} others"
    return _panel(f"{entry.label}\n{counts}", lines, "markout")


def _series(
    sessions: Sessions,
    measure: Measures,
    colour: str,
    marker: str,
    line: Line = "-",
    chosen: npt.NDArray[np.bool_] | None = None,
) -> Series:
    """The markout of the chosen fills (default: all) from time 0 to the last horizon."""
    kept = np.ones(len(sessions.fills), dtype=np.bool_) if chosen is None else chosen
    measures = measure(sessions)
    columns = [measures.effective_half_spread, *measures.markout.T]
    estimates = [
        mean_over_fills(column[kept], sessions.fill_session[kept], len(sessions))
        for column in columns
    ]
    return Series([0.0, *sessions.horizons], estimates, colour, line, marker)


def _panel(title: str, lines: Sequence[Series], share_y: str) -> Panel:
    ticks = lines[0].x

    def finish(axes: "Axes") -> None:
        # The axis is linear from 0 to the first horizon and logarithmic beyond it.
        axes.set_xscale("symlog", linthresh=ticks[1], linscale=0.5)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(-0.15 * ticks[1], 1.15 * ticks[-1])

    return curves_panel(
        lines, title, "time since the fill [s]", "markout [ticks]", share_y=share_y, finish=finish
    )
