"""What an agent quotes: two heat maps over inventory and recent flow, and curves over one thing at
a time."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mm_gym.evaluation.policy_map import PolicyMap
from mm_gym.evaluation.policy_profile import Profile
from mm_gym.reporting.pictures.style import (
    BLUE,
    COLOUR_MAP,
    INK,
    MARKERS,
    VERMILION,
    ColourScale,
    Drawing,
    Key,
    Panel,
    say,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST_RANGE = 0.1  # [ticks] differences smaller than that are not blown up into a landscape
_SECTION = "What is quoted, and what it depends on"
_MEMORY = {
    "none": "",
    "as in sessions": " Its answers are averaged over what it remembered in some of them.",
    "as at the start of a session": " It is asked with nothing remembered, as at the start of a session.",
}
_SIDES = (("bid", BLUE, MARKERS[0]), ("ask", VERMILION, MARKERS[1]))


def quotes(policies: Mapping[str, PolicyMap]) -> Iterator[Drawing]:
    """For each agent the maps of its bid offset and its ask offset, and its profiles."""
    for number, (name, policy) in enumerate(policies.items(), 1):
        yield _maps(name, policy, number)
        yield _profiles(name, policy, number)


def _maps(name: str, policy: PolicyMap, number: int) -> Drawing:
    both = np.concatenate([policy.bid_offset, policy.ask_offset])
    low, high = float(both.min()), float(both.max())
    if high - low < _LEAST_RANGE:
        low, high = max(0.0, low - _LEAST_RANGE), high + _LEAST_RANGE
    luck = "" if policy.repeatable else "This agent draws its quotes by lot: one draw is shown. "
    return Drawing(
        name=f"quotes_{number}",
        section=_SECTION,
        title=f"How far from the mid {name} quotes, by its inventory and the recent flow",
        caption=(
            f"{luck}Offset of each quote from the public mid in ticks; contours are labelled where there are any. "
            "The flow is bought less sold by takers, in standard deviations of noise flow, the same at half-lives "
            f"of {policy.flow_half_lives}. All other observations are at their mean over {policy.n_observations:,} "
            f"decisions of the agent itself.{_MEMORY[policy.memory]}"
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
    asked = [Key(f"{side} offset", colour) for side, colour, _ in _SIDES]
    quoted = [
        Key(f"mean {side} offset in its sessions", colour, "", marker)
        for side, colour, marker in _SIDES
    ]
    lines = (
        "Lines: what it answers when that alone varies, all else at the mean of these decisions (the flow at "
        f"half-lives of {policy.flow_half_lives} together, the queue ahead of the quote itself)."
        f"{_MEMORY[policy.memory]} "
    )
    differ = "The two differ by what comes along with it in sessions. " if policy.repeatable else ""
    return Drawing(
        name=f"quote_profiles_{number}",
        section=_SECTION,
        title=f"How far from the mid {name} quotes, by one thing at a time",
        caption=(
            f"Marks: the mean of where it wanted its quotes in {policy.n_observations:,} decisions of its sessions, "
            f"by what it saw, where there are enough of them. {lines if policy.repeatable else ''}{differ}A quote "
            "that would stay where it rests is shown where it would go."
        ),
        panels=[
            Panel(
                partial(_profile, profile=profile, repeatable=policy.repeatable),
                share_y="offset" if len(profile.value) > 1 else "",
            )
            for profile in policy.profiles
        ],
        keys=[*(asked if policy.repeatable else []), *quoted],
        columns=4,
        narrow_columns=2,
    )


def _profile(axes: "Axes", profile: Profile, repeatable: bool) -> None:
    if len(profile.value) > 1:
        for row, (_, colour, marker) in enumerate(_SIDES):
            if repeatable:
                axes.plot(profile.value, profile.asked[row], color=colour)
            axes.plot(
                profile.seen[row], profile.quoted[row], color=colour, linestyle="", marker=marker
            )
    else:
        say(axes, f"always {profile.value[0]:g}")
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
    if min(offsets.shape) > 1 and np.ptp(offsets) > _LEAST_RANGE and policy.repeatable:
        lines = axes.contour(
            policy.inventory, policy.flow, offsets, levels=5, colors="white", linewidths=0.6
        )
        axes.clabel(lines, fontsize=6.5, fmt="%g")
    axes.axvline(0.0, color=INK, linewidth=0.5)
    axes.axhline(0.0, color=INK, linewidth=0.5)
    axes.grid(False)
    axes.set_xlabel("inventory [lots]")
    axes.set_ylabel("recent signed flow [standard deviations]")
