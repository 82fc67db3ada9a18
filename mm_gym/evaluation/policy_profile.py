"""An agent's quotes as a function of one observed quantity, queried and as quoted in its sessions.

The two differ because observation columns are correlated in sessions. After a run of purchases the
mid has moved, the agent has sold, and an agent that estimates the signal has updated its estimate.
A query varies one quantity and keeps all other columns at their mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mm_gym.config import MarketConfig
from mm_gym.core.layout import Obs
from mm_gym.core.scales import inventory_of_column
from mm_gym.evaluation.statistics import Array
from mm_gym.observations import inventory_column
from mm_gym.parameters import market_column_unit, to_parameters

FLOW_COLUMNS = (Obs.FLOW_MEDIUM, Obs.FLOW_SLOW)
"""Varied together, because persistent flow shows in both."""
_POINTS = 41
_BINS = 12
_LEAST_DECISIONS = 20  # a bin with fewer decisions has no mean
_SHOWN = (0.5, 99.5)  # [percentiles of the decisions] the range shown

Query = Callable[[Array], Array]
"""From observations, shape (n, columns), to the offsets of bid and ask [ticks], shape (n, 2)."""
_Scale = Callable[[Array], Array]


@dataclass(frozen=True)
class Profile:
    """Quotes as a function of one quantity.

    In arrays of shape (2, ...) row 0 is the bid and row 1 the ask.
    """

    axis: str
    """The quantity, with its unit."""
    value: Array
    """Its values, shape (k,). A single one if it was constant in the agent's sessions."""
    queried: Array
    """[ticks] Offsets from the public mid, with all other columns at their mean, shape (2, k)."""
    seen: Array
    """Mean of the quantity in each bin of the agent's own decisions, shape (2, b).

    NaN in bins with too few decisions. A queue position counts only while the side has a quote."""
    quoted: Array
    """[ticks] Mean offset in the decisions of each bin, shape (2, b)."""


def _same(values: Array) -> Array:
    return values


def _times(unit: float) -> tuple[_Scale, _Scale]:
    return lambda column: column * unit, lambda value: value / unit


class _Axis(NamedTuple):
    """An observed quantity and the columns that hold it."""

    label: str
    bid: tuple[Obs, ...]
    """Columns to vary for the bid. The first one holds the quantity in sessions."""
    ask: tuple[Obs, ...]
    """Columns to vary for the ask."""
    scale: tuple[_Scale, _Scale] = (_same, _same)
    """From the column to the axis's unit, and back."""
    whole: bool = False
    """Whether the quantity is a whole number."""
    of_quotes: bool = False
    """Whether the quantity is defined only while the side has a quote."""


def _axes(config: MarketConfig) -> list[_Axis]:
    flow = _times(1.0 / market_column_unit(config))
    queue = _times(1.0 / float(to_parameters(config)["queue_scale"]))
    lots = (inventory_of_column, inventory_column)
    return [
        _Axis("inventory [lots]", (Obs.INVENTORY,), (Obs.INVENTORY,), lots, whole=True),
        _Axis("recent flow [std. dev.]", FLOW_COLUMNS, FLOW_COLUMNS, flow),
        _Axis("time left [s]", (Obs.TIME_LEFT,), (Obs.TIME_LEFT,), _times(config.session_length)),
        _Axis(
            "queue ahead [lots]",
            (Obs.BID_QUEUE_AHEAD,),
            (Obs.ASK_QUEUE_AHEAD,),
            queue,
            whole=True,
            of_quotes=True,
        ),
    ]


def profiles(
    query: Query, observations: Array, offsets: Array, config: MarketConfig
) -> tuple[Profile, ...]:
    """Profiles over inventory, recent flow, time left and each quote's own queue position.

    Args:
        query: the agent.
        observations: of its own decisions in this market, shape (n, columns).
        offsets: [ticks] that it quoted in these decisions, shape (n, 2).
        config: of the market.
    """
    return tuple(_profile(axis, query, observations, offsets) for axis in _axes(config))


def _profile(axis: _Axis, query: Query, observations: Array, offsets: Array) -> Profile:
    read, write = axis.scale
    shown = read(observations[:, [axis.bid[0], axis.ask[0]]])
    low, high = np.percentile(shown, _SHOWN)
    value = np.linspace(low, high, _POINTS)
    value = np.unique(np.rint(value) if axis.whole else value) + 0.0  # no -0
    edges = np.linspace(low, high, _BINS + 1)
    answers = {}
    for columns in {axis.bid, axis.ask}:
        rows = np.tile(observations.mean(axis=0), (len(value), 1))
        rows[:, columns] = write(value)[:, None]
        answers[columns] = query(rows)
    queried = np.stack([answers[axis.bid][:, 0], answers[axis.ask][:, 1]])
    bins = []
    for side in (0, 1):
        counts = (
            observations[:, Obs.BID_SIZE + side] > 0.0
            if axis.of_quotes
            else np.full(len(shown), True)
        )
        bins.append(_bin_means(edges, shown[counts, side], offsets[counts, side]))
    return Profile(axis.label, value, queried, *np.swapaxes(bins, 0, 1))


def _bin_means(edges: Array, values: Array, offsets: Array) -> Array:
    """Mean value and mean offset of the decisions in each bin, shape (2, bins)."""
    within = (values >= edges[0]) & (values <= edges[-1])
    values, offsets = values[within], offsets[within]
    chosen = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _BINS - 1)
    count = np.bincount(chosen, minlength=_BINS)
    means = np.full((2, _BINS), np.nan)
    enough = count >= _LEAST_DECISIONS
    for row, of in enumerate((values, offsets)):
        means[row, enough] = np.bincount(chosen, of, _BINS)[enough] / count[enough]
    return means
