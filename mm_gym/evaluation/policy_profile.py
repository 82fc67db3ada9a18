"""An agent's quotes over one thing that it observes: what it answers when that alone varies, and
what it quoted.

The two differ by what comes along in sessions: with a run of purchases the mid has moved, the agent
has sold, and who infers believes something else. None of that happens where a column alone is
varied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym.config import MarketConfig
from mm_gym.core.layout import Obs
from mm_gym.core.scales import inventory_of_column
from mm_gym.observations import inventory_column
from mm_gym.parameters import to_parameters

FLOW_COLUMNS = (Obs.FLOW_MEDIUM, Obs.FLOW_SLOW)
"""Varied together: flow that lasts shows in both."""
_POINTS = 41
_BINS = 12
_LEAST_DECISIONS = 20  # of a bin whose mean is shown
_SHOWN = (0.5, 99.5)  # [percent] of the decisions: further out there are too few to say anything

_Array = npt.NDArray[np.float64]
Ask = Callable[[_Array], _Array]
"""From observations, shape (n, columns), to the offsets of bid and ask [ticks], shape (n, 2)."""


_Scale = Callable[[_Array], _Array]


@dataclass(frozen=True)
class Profile:
    """Quotes over one thing observed. Of arrays of shape (2, ...) the bid has the first row, the
    ask the second."""

    axis: str
    """What varies, with its unit."""
    value: _Array
    """In that unit, shape (k,); of one value alone where the agent's sessions showed no other."""
    asked: _Array
    """[ticks] Offsets from the public mid when asked, every other column at its mean, shape (2,
    k)."""
    seen: _Array
    """The mean value in a bin of the agent's own decisions, shape (2, b); NaN where there are too
    few. A place in the queue has who has a quote."""
    quoted: _Array
    """[ticks] The mean offset in those decisions, shape (2, b)."""


def _same(values: _Array) -> _Array:
    return values


def _times(unit: float) -> tuple[_Scale, _Scale]:
    return lambda column: column * unit, lambda value: value / unit


class _Axis(NamedTuple):
    """Something observed: in which columns, of which the first counts, by the bid and by the ask;
    and its scale."""

    label: str
    bid: tuple[Obs, ...]
    ask: tuple[Obs, ...]
    scale: tuple[_Scale, _Scale] = (_same, _same)
    """From the column to the axis's unit, and back."""
    whole: bool = False
    """Whether it comes in whole units."""
    of_quotes: bool = False
    """Whether it says something only of a side that has a quote."""


def _axes(config: MarketConfig) -> list[_Axis]:
    queue = _times(1.0 / float(to_parameters(config)["queue_scale"]))
    lots = (inventory_of_column, inventory_column)
    return [
        _Axis("inventory [lots]", (Obs.INVENTORY,), (Obs.INVENTORY,), lots, whole=True),
        _Axis("recent flow [std. dev.]", FLOW_COLUMNS, FLOW_COLUMNS),
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
    ask: Ask, observations: _Array, offsets: _Array, config: MarketConfig
) -> tuple[Profile, ...]:
    """Over inventory, recent flow, time left and each quote's own place in its queue.

    Args:
        ask: the agent.
        observations: of its own decisions in this market, shape (n, columns).
        offsets: [ticks] what it quoted in them, shape (n, 2).
        config: of the market.
    """
    return tuple(_profile(axis, ask, observations, offsets) for axis in _axes(config))


def _profile(axis: _Axis, ask: Ask, observations: _Array, offsets: _Array) -> Profile:
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
        answers[columns] = ask(rows)
    asked = np.stack([answers[axis.bid][:, 0], answers[axis.ask][:, 1]])
    bins = []
    for side in (0, 1):
        counts = (
            observations[:, Obs.BID_SIZE + side] > 0.0
            if axis.of_quotes
            else np.full(len(shown), True)
        )
        bins.append(_bin_means(edges, shown[counts, side], offsets[counts, side]))
    return Profile(axis.label, value, asked, *np.swapaxes(bins, 0, 1))


def _bin_means(edges: _Array, values: _Array, offsets: _Array) -> _Array:
    """The mean value and the mean offset of the decisions in each bin, shape (2, bins)."""
    within = (values >= edges[0]) & (values <= edges[-1])
    values, offsets = values[within], offsets[within]
    chosen = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _BINS - 1)
    count = np.bincount(chosen, minlength=_BINS)
    means = np.full((2, _BINS), np.nan)
    enough = count >= _LEAST_DECISIONS
    for row, of in enumerate((values, offsets)):
        means[row, enough] = np.bincount(chosen, of, _BINS)[enough] / count[enough]
    return means
