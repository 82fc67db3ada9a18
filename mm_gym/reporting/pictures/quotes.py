"""Pictures of an agent's quotes: heat maps over inventory and flow, and profiles."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mm_gym.evaluation.policy_map import PolicyMap
from mm_gym.evaluation.policy_profile import Profile
from mm_gym.reporting.pictures.style import (
    ASK,
    BID,
    COLOUR_MAP,
    INK,
    MARKERS,
    PAPER,
    ColourScale,
    Drawing,
    Key,
    Line,
    Panel,
    write_message,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST_RANGE = 0.1  # [ticks] smallest range shown, so that noise shows no pattern
_SECTION = "Quotes as a function of the observation"
_STATES = {
    "none": "",
    "as in sessions": " Quotes are averaged over recurrent states from these sessions.",
    "as at the start of a session": (
        " The agent's recurrent state is that at the start of a session."
    ),
}
_SIDES: tuple[tuple[str, str, str, Line], ...] = (
    ("bid", BID, MARKERS[0], "-"),
    ("ask", ASK, MARKERS[1], "--"),
)
"""Name, colour, marker and line style."""


def quotes(policies: Mapping[str, PolicyMap]) -> Iterator[Drawing]:
    """For each agent, the maps of its bid and ask offsets, and its profiles."""
    for number, (name, policy) in enumerate(policies.items(), 1):
        yield _maps(name, policy, number)
        yield _profiles(name, policy, number)


def _maps(name: str, policy: PolicyMap, number: int) -> Drawing:
    both = np.concatenate([policy.bid_offset, policy.ask_offset])
    low, high = float(both.min()), float(both.max())
    if high - low < _LEAST_RANGE:
        low, high = max(0.0, low - _LEAST_RANGE), high + _LEAST_RANGE
    random = "" if policy.deterministic else "The agent quotes at random: one draw is shown. "
    return Drawing(
        name=f"quotes_{number}",
        section=_SECTION,
        title=f"Quote offsets of {name} by inventory and recent flow",
        hint=(
            "A small offset is an eager quote. A maker that controls its inventory bids less "
            "eagerly the more it holds. A maker that fears informed takers steps back from the "
            "side that the flow comes to."
        ),
        caption=(
            f"{random}Offset of each quote from the public mid [ticks]. The flow is bought minus "
            "sold by takers, in standard deviations of noise flow. It is the same at half-lives of "
            f"{policy.flow_half_lives}. All other observation columns are at their mean over "
            f"{policy.n_observations:,} decisions of the agent.{_STATES[policy.recurrent_state]}"
        ),
        panels=[
            Panel(
                partial(_map, policy=policy, offsets=policy.bid_offset, low=low, high=high),
                "bid offset",
            ),
            Panel(
                partial(_map, policy=policy, offsets=policy.ask_offset, low=low, high=high),
                "ask offset",
            ),
        ],
        columns=2,
        panel_height=2.2,
        colour_scale=ColourScale(low, high, "offset from the mid [ticks]"),
    )


def _profiles(name: str, policy: PolicyMap, number: int) -> Drawing:
    queried = [Key(f"{side} offset", colour, stroke) for side, colour, _, stroke in _SIDES]
    quoted = [
        Key(f"mean {side} offset in sessions", colour, "", marker)
        for side, colour, marker, _ in _SIDES
    ]
    lines = (
        "Lines: the agent's answer if this quantity alone varies and all other observation "
        f"columns are at their mean. Flow varies at half-lives of {policy.flow_half_lives} "
        "together. The queue is the one ahead of the quote itself."
        f"{_STATES[policy.recurrent_state]} Lines and marks can differ, because quantities are "
        "correlated in sessions. "
    )
    return Drawing(
        name=f"quote_profiles_{number}",
        section=_SECTION,
        title=f"Quote offsets of {name} by one quantity at a time",
        hint=(
            "Where the lines of bid and ask cross or part, the maker prefers one side. A level "
            "line means that the quantity does not matter to it."
        ),
        caption=(
            f"Marks: mean offset in {policy.n_observations:,} decisions of the agent's own "
            f"sessions, in bins of the quantity. {lines if policy.deterministic else ''}The offset "
            "is that of the desired price. A resting quote near it may stay in place."
        ),
        panels=[
            Panel(
                partial(_profile, profile=profile, deterministic=policy.deterministic),
                share_y="offset" if len(profile.value) > 1 else "",
            )
            for profile in policy.profiles
        ],
        keys=[*(queried if policy.deterministic else []), *quoted],
        columns=4,
        narrow_columns=2,
    )


def _profile(axes: "Axes", profile: Profile, deterministic: bool) -> None:
    if len(profile.value) > 1:
        for row, (_, colour, marker, stroke) in enumerate(_SIDES):
            if deterministic:
                axes.plot(profile.value, profile.queried[row], color=colour, linestyle=stroke)
            axes.plot(
                profile.seen[row], profile.quoted[row], color=colour, linestyle="", marker=marker
            )
        low, high = axes.get_ylim()
        margin = max(0.0, 0.5 * (_LEAST_RANGE - (high - low)))
        axes.set_ylim(low - margin, high + margin)
    else:
        write_message(axes, f"always {profile.value[0]:g}")
        axes.set_xticks([])
    axes.set_xlabel(profile.axis)
    axes.set_ylabel("offset from the mid [ticks]")


def _map(
    axes: "Axes", policy: PolicyMap, offsets: npt.NDArray[np.float64], low: float, high: float
) -> None:
    axes.pcolormesh(
        policy.inventory,
        policy.flow,
        offsets,
        shading="nearest",
        cmap=COLOUR_MAP,
        vmin=low,
        vmax=high,
        rasterized=True,
    )
    if min(offsets.shape) > 1 and np.ptp(offsets) > _LEAST_RANGE and policy.deterministic:
        lines = axes.contour(
            policy.inventory, policy.flow, offsets, levels=5, colors=PAPER, linewidths=0.6
        )
        axes.clabel(lines, fontsize=6.5, fmt="%g")
        # As pixels, the lines stay white on a dark page, like the map below them.
        lines.set_rasterized(True)
        for text in lines.labelTexts:
            text.set_rasterized(True)
    axes.axvline(0.0, color=INK, linewidth=0.5)
    axes.axhline(0.0, color=INK, linewidth=0.5)
    axes.grid(False)
    axes.set_xlabel("inventory [lots]")
    axes.set_ylabel("recent signed flow [standard deviations]")
