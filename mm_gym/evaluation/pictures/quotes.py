"""What an agent quotes, over inventory and recent flow: two heat maps on one scale."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mm_gym.evaluation.pictures.style import COLOUR_MAP, INK, ColourScale, Drawing, Panel
from mm_gym.evaluation.policy_map import PolicyMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST_RANGE = 0.1  # [ticks] differences smaller than that are not blown up into a landscape


def quote_maps(policies: Mapping[str, PolicyMap]) -> Iterator[Drawing]:
    """A picture for each agent: its bid offset and its ask offset."""
    for number, (name, policy) in enumerate(policies.items(), 1):
        both = np.concatenate([policy.bid_offset, policy.ask_offset])
        low, high = float(both.min()), float(both.max())
        if high - low < _LEAST_RANGE:
            low, high = max(0.0, low - _LEAST_RANGE), high + _LEAST_RANGE
        luck = "" if policy.repeatable else "This agent draws its quotes by lot: one draw is shown. "
        yield Drawing(
            name=f"quotes_{number}",
            section="Quotes over inventory and recent flow",
            title=f"How far from the mid {name} quotes, by its inventory and the recent flow",
            caption=(
                f"{luck}Offset of each quote from the public mid in ticks; contours are labelled where there are any. "
                "The flow is bought less sold by takers, in standard deviations of noise flow, the same at half-lives "
                f"of {policy.flow_half_lives}. All other observations are at their mean over {policy.n_observations:,} "
                "decisions of the agent itself."
            ),
            panels=[
                Panel(partial(_map, policy=policy, offsets=policy.bid_offset, low=low, high=high), "bid offset"),
                Panel(partial(_map, policy=policy, offsets=policy.ask_offset, low=low, high=high), "ask offset"),
            ],
            columns=2,
            panel_height=2.2,
            colour_scale=ColourScale(low, high, "offset from the mid [ticks]"),
        )


def _map(axes: "Axes", policy: PolicyMap, offsets: npt.NDArray[np.float64], low: float, high: float) -> None:
    axes.pcolormesh(
        policy.inventory, policy.flow, offsets, shading="nearest", cmap=COLOUR_MAP, vmin=low, vmax=high, rasterized=True
    )
    if min(offsets.shape) > 1 and np.ptp(offsets) > _LEAST_RANGE and policy.repeatable:
        lines = axes.contour(policy.inventory, policy.flow, offsets, levels=5, colors="white", linewidths=0.6)
        axes.clabel(lines, fontsize=6.5, fmt="%g")
    axes.axvline(0.0, color=INK, linewidth=0.5)
    axes.axhline(0.0, color=INK, linewidth=0.5)
    axes.grid(False)
    axes.set_xlabel("inventory [lots]")
    axes.set_ylabel("recent signed flow [standard deviations]")
