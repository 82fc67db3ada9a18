"""Pictures of PnL and inventory: the decomposition of PnL, paths, and inventory distributions."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mm_gym.evaluation.metrics import by_session, inventory_pnl_of_fills, with_informed_takers
from mm_gym.evaluation.plans import Entry
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import mean
from mm_gym.reporting.pictures.entries import (
    Look,
    by_agent,
    look_of_markets,
    market_names,
    representatives,
)
from mm_gym.reporting.pictures.style import (
    FEES,
    INK,
    INVENTORY,
    MUTED,
    PAPER,
    SERIES,
    SPREAD,
    Drawing,
    Key,
    Panel,
    neutral_line,
    wrapped,
    write_message,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BARS = 16  # per picture
_PATHS = 4  # markets per picture of paths, with two panels each
_PATH_PICTURES = 2  # per agent, if there are at most _FEW_AGENTS agents
_FEW_AGENTS = 2
_SAMPLES = 3
_INVENTORY_PANELS = 8
_MEDIAN = SERIES[0]
_BAND_ALPHA = 0.25
_BAND_POINTS = 200

_HATCH = "////"
PARTS: dict[str, tuple[str, str, str]] = {
    "spread": ("spread captured", SPREAD, ""),
    "informed": ("inventory PnL, fills with informed takers", INVENTORY, _HATCH),
    "others": ("inventory PnL, fills with all others", INVENTORY, ""),
    "fees": ("fees", FEES, ""),
    "close_out": ("close-out", FEES, _HATCH),
}
"""The parts of final PnL: name -> label, colour and hatch."""


def pnl_parts(sessions: Sessions) -> dict[str, npt.NDArray[np.float64]]:
    """The parts of final PnL by the names of `PARTS`, shape (n,) each [ticks x lots].

    Their sum is the final PnL.
    """
    of_fills, informed = inventory_pnl_of_fills(sessions), with_informed_takers(sessions)
    return {
        "spread": sessions.spread_pnl,
        "informed": by_session(sessions, np.where(informed, of_fills, 0.0)),
        "others": by_session(sessions, np.where(informed, 0.0, of_fills)),
        "fees": -sessions.fees,
        "close_out": -sessions.close_out,
    }


def decomposition(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """One bar per entry, with gains to the right of zero and losses to the left."""
    chosen = representatives(entries, _BARS)
    means = [
        {name: float(part.mean()) for name, part in pnl_parts(e.sessions).items()} for e in chosen
    ]
    shown = [name for name in PARTS if any(parts[name] for parts in means)]
    labels = [wrapped(entry.label, 30) for entry in chosen]
    most_lines = max(label.count("\n") + 1 for label in labels)
    left_out = (
        f" {len(chosen)} of {len(entries)} entries are shown." if len(chosen) < len(entries) else ""
    )
    yield Drawing(
        name="pnl_decomposition",
        section="PnL decomposition",
        title="Mean of each part of the PnL per session",
        hint=(
            "Compare the spread captured with the inventory PnL. A maker earns where the first "
            "outweighs what the inventory loses."
        ),
        caption=(
            "Parts to the right of zero are gains, parts to the left are losses. The diamond is "
            "their sum, the final PnL. The line through it is the 95 % bootstrap interval over "
            f"{len(chosen[0].sessions)} sessions.{left_out}"
        ),
        panels=[Panel(partial(_bars, entries=chosen, labels=labels, means=means, shown=shown))],
        keys=[
            *(
                Key(label, colour, filled=True, hatch=hatch)
                for label, colour, hatch in map(PARTS.__getitem__, shown)
            ),
            Key("final PnL", INK, line="", marker="D"),
        ],
        columns=1,
        panel_height=0.15 + max(0.38, 0.13 * most_lines + 0.1) * len(chosen),
        tick_labels=0.15 + 0.068 * max(map(len, "\n".join(labels).split("\n"))),
    )


def _bars(
    axes: "Axes",
    entries: Sequence[Entry],
    labels: Sequence[str],
    means: Sequence[dict[str, float]],
    shown: Sequence[str],
) -> None:
    rows = np.arange(len(entries))
    right, left = np.zeros(len(entries)), np.zeros(len(entries))
    for name in shown:
        part = np.array([parts[name] for parts in means])
        start = np.where(part >= 0.0, right, left)
        _, colour, hatch = PARTS[name]
        axes.barh(
            rows,
            part,
            left=start,
            height=0.62,
            color=colour,
            hatch=hatch,
            edgecolor=PAPER,
            linewidth=0,
        )
        right, left = right + np.maximum(part, 0.0), left + np.minimum(part, 0.0)
    for row, entry in enumerate(entries):
        pnl = mean(entry.sessions.final_pnl)
        for colour, width in ((PAPER, 3.0), (INK, 1.4)):
            axes.plot([pnl.low, pnl.high], [row, row], color=colour, linewidth=width)
        axes.plot(pnl.value, row, color=INK, marker="D", markeredgecolor=PAPER, markersize=5)
    axes.axvline(0.0, color=INK, linewidth=0.8)
    axes.grid(False, axis="y")
    axes.set_yticks(rows, labels)
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("ticks × lots / session")


def paths(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """PnL and inventory over the session, for each agent and market."""
    agents = by_agent(entries)
    most = _PATHS * (_PATH_PICTURES if len(agents) <= _FEW_AGENTS else 1)
    for number, (agent, members) in enumerate(agents.items(), 1):
        chosen = representatives(members, most)
        names = market_names([entry.sessions.config for entry in members])
        named = dict(zip(map(id, members), names, strict=True))
        for first in range(0, len(chosen), _PATHS):
            shown = chosen[first : first + _PATHS]
            panels = []
            for entry in shown:
                sessions, market = entry.sessions, named[id(entry)]
                panels.append(
                    _path_panel(sessions, sessions.pnl_path, "PnL [ticks × lots]", market)
                )
                panels.append(
                    _path_panel(sessions, sessions.inventory_path, "inventory [lots]", "")
                )
            part = f"{first // _PATHS + 1}"
            several = len(chosen) > _PATHS
            left_out = (
                f" {len(chosen)} of {len(members)} markets are shown."
                if len(chosen) < len(members)
                else ""
            )
            yield Drawing(
                name=f"paths_{number}_{part}" if several else f"paths_{number}",
                section="PnL and inventory over the session",
                title=f"PnL and inventory of {agent} over the session"
                + (f", part {part}" if several else ""),
                hint=(
                    "A falling median is a steady loss. A wide range with a level median is "
                    "inventory risk."
                ),
                caption=(
                    f"Median and 5 % to 95 % range of {len(shown[0].sessions)} sessions, and the "
                    f"first {min(_SAMPLES, len(shown[0].sessions))}. PnL is marked to the "
                    f"public mid without the agent's own orders.{left_out}"
                ),
                panels=panels,
                keys=[
                    Key("median of all sessions", _MEDIAN),
                    Key("5 % to 95 % of sessions", _MEDIAN, filled=True, alpha=_BAND_ALPHA),
                    Key("single sessions", MUTED),
                ],
                columns=len(shown),
                narrow_columns=2,
                by_row=False,
                panel_height=1.5,
            )


def _path_panel(
    sessions: Sessions, path: npt.NDArray[np.float64], label: str, market: str
) -> Panel:
    def draw(axes: "Axes") -> None:
        times = sessions.path_times
        low, middle, high = np.percentile(path, [5.0, 50.0, 95.0], axis=0)
        # An outline is not simplified in SVG, so it has fewer points.
        kept = np.unique(np.linspace(0, len(times) - 1, _BAND_POINTS).astype(int))
        axes.fill_between(
            times[kept], low[kept], high[kept], color=_MEDIAN, alpha=_BAND_ALPHA, linewidth=0
        )
        for sample in path[:_SAMPLES]:
            axes.plot(times, sample, color=MUTED, linewidth=0.6)
        axes.plot(times, middle, color=_MEDIAN)
        neutral_line(axes)
        axes.set_xlim(0.0, times[-1])
        axes.set_xlabel("time [s]")
        axes.set_ylabel(label)

    return Panel(draw, market, share_y=label)


def inventories(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """The share of time at each inventory: one panel per agent, one line per market."""
    looks = look_of_markets(entries)
    agents = list(by_agent([entry for entry in entries if entry.sessions.config in looks]).items())
    for first in range(0, len(agents), _INVENTORY_PANELS):
        shown = agents[first : first + _INVENTORY_PANELS]
        lines = [
            [(entry.sessions, looks[entry.sessions.config]) for entry in members]
            for _, members in shown
        ]
        yield Drawing(
            name="inventory_distribution"
            + (f"_{first // _INVENTORY_PANELS + 1}" if len(agents) > _INVENTORY_PANELS else ""),
            section="Inventory distributions",
            title="Share of time at each inventory",
            hint=(
                "A narrow peak at zero is tight control of the inventory. Weight far from zero is "
                "risk that the maker carries."
            ),
            caption=f"Inventory after each decision interval, {len(entries[0].sessions)} sessions "
            "per line.",
            panels=[
                Panel(partial(_held, lines=drawn), agent)
                for (agent, _), drawn in zip(shown, lines, strict=True)
            ],
            keys=[Key(look.name, look.colour, look.stroke) for look in looks.values()],
            columns=2 if len(shown) in (2, 4) else 3,
            panel_height=2.0,
        )


def _held(axes: "Axes", lines: Sequence[tuple[Sessions, Look]]) -> None:
    most = max(int(sessions.max_abs_inventory.max()) for sessions, _ in lines)
    width = 2 * (most // 41) + 1  # [lots] of a bin, odd, so that bins are symmetric about zero
    furthest = -(-most // width) + 0.5
    edges = np.arange(-furthest, furthest + 1.0) * width
    for sessions, look in lines:
        counts, _ = np.histogram(sessions.inventory, bins=edges)
        axes.stairs(
            100.0 * counts / (width * sessions.inventory.size),
            edges,
            color=look.colour,
            linestyle=look.stroke,
            linewidth=1.4,
        )
    axes.axvline(0.0, color=INK, linewidth=0.8, zorder=1.5)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("inventory [lots]")
    axes.set_ylabel("share of time [% per lot]")
    if most == 0:
        write_message(axes, "inventory is always zero")
