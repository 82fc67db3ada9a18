"""History features: statistics of the episode so far, for policies without recurrence.

They are appended to each observation. An observation covers about a minute, but the kind of flow
and the share of informed takers show only over hundreds of seconds. There are two groups of
features:

* means over the episode: spread, activity, volatility, the size of flows and mid moves, and the
  products of flows and mid moves, which are positive where flow is informed;
* the beliefs of the signal network (`agents.learned.signal_network`), so that the policy need not
  learn to infer the signal.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mm_gym import OBSERVATION_NAMES
from mm_gym.core.layout import OBSERVATION_CLIP, Obs
from mm_gym.core.scales import MARKET_COLUMNS
from mm_gym.observations import observation_space

from .signal_network import BELIEF_NAMES, shipped_signal_network

_Array = npt.NDArray[np.float32]

LEVELS = (Obs.SPREAD, Obs.ACTIVITY, Obs.VOLATILITY, Obs.FLOW_SLOW)
"""Columns whose plain mean is a feature."""
FLOWS = (Obs.FLOW_FAST, Obs.FLOW_MEDIUM, Obs.FLOW_SLOW)
MOVES = (Obs.MID_MOVE_FAST, Obs.MID_MOVE_MEDIUM, Obs.MID_MOVE_SLOW)
"""Columns whose mean absolute value is a feature. So is the mean product of each flow and the mid
move of the same half-life."""

MEANS_NAMES = tuple(
    [f"mean_{column.name.lower()}" for column in LEVELS]
    + [f"mean_size_of_{column.name.lower()}" for column in (*FLOWS, *MOVES)]
    + [
        f"mean_{flow.name.lower()}_x_{move.name.lower()}"
        for flow, move in zip(FLOWS, MOVES, strict=True)
    ]
)
"""Names of the means over the episode."""

HISTORY_NAMES = (*OBSERVATION_NAMES, *MEANS_NAMES, *BELIEF_NAMES)
"""Columns that a policy with history features sees, in order."""

PRIOR_DECISIONS = 30.0
"""Weight of the prior mean of zero, in decisions. It keeps early means near zero."""

UNIT = MARKET_COLUMNS
"""Columns are divided by it, so that the means are in standard deviations of noise flow."""

_N_MEANS = 1 + len(MEANS_NAMES)
BELIEFS_CLIP = 20.0
"""Beliefs are clipped here, because a space needs bounds. In practice none is this large."""


def state_names() -> tuple[str, ...]:
    """Columns of the state that updates the features, in order. At the start all are zero."""
    sums = (f"evidence_{number}" for number in range(shipped_signal_network().n_sums))
    return (
        "observations_seen",
        *MEANS_NAMES,
        *(f"last_{name}" for name in OBSERVATION_NAMES),
        *sums,
    )


def add_history(
    observations: _Array, state: _Array | None = None, starts: npt.NDArray[np.bool_] | None = None
) -> tuple[_Array, _Array]:
    """Append the history features to observations.

    Args:
        observations: shape (n, columns).
        state: returned by the previous call, shape (n, len(state_names())). None where all episodes
            start.
        starts: whether an episode starts here, which resets its state, shape (n,). None where none
            does.

    Returns:
        Observations with features, shape (n, len(HISTORY_NAMES)), and the state for the next call.
    """
    if state is None:
        state = empty_state(len(observations))
    elif starts is not None:
        state = np.where(np.asarray(starts, np.bool_)[:, None], np.float32(0.0), state)
    last = _N_MEANS + observations.shape[1]
    means = update_means(state[:, :_N_MEANS], observations)
    beliefs, sums = shipped_signal_network().believe(
        observations, state[:, _N_MEANS:last], means[:, 1:], state[:, last:]
    )
    beliefs = np.clip(beliefs, -BELIEFS_CLIP, BELIEFS_CLIP)
    return (
        np.concatenate([observations, means[:, 1:], beliefs], axis=1),
        np.concatenate([means, observations, sums], axis=1),
    )


def update_means(means: _Array, observations: _Array) -> _Array:
    """The means after one more observation. A mean of n values is sum / (n + `PRIOR_DECISIONS`).

    Args:
        means: shape (n, 1 + len(MEANS_NAMES)). The first column counts observations.
        observations: shape (n, columns).

    Returns:
        The new means, of the same shape.
    """
    scaled = observations / np.float32(UNIT)
    flows, moves = scaled[:, FLOWS], scaled[:, MOVES]
    shown = np.concatenate(
        [scaled[:, LEVELS], np.abs(flows), np.abs(moves), flows * moves],
        axis=1,
        dtype=np.float32,
    )
    seen = means[:, :1] + np.float32(1.0)
    old = means[:, 1:]
    return np.concatenate(
        [seen, old + (shown - old) / (seen + np.float32(PRIOR_DECISIONS))], axis=1
    )


def empty_means(n: int) -> _Array:
    """The means at the start of n episodes."""
    return np.zeros((n, _N_MEANS), np.float32)


def empty_state(n: int) -> _Array:
    """The state at the start of n episodes."""
    return np.zeros((n, len(state_names())), np.float32)


def history_space() -> spaces.Box:
    """The space of observations with history features."""
    shown = observation_space()
    # The largest means are those of products of two columns.
    most = np.repeat(
        [OBSERVATION_CLIP**2, BELIEFS_CLIP], [len(MEANS_NAMES), len(BELIEF_NAMES)]
    ).astype(np.float32)
    return spaces.Box(
        np.concatenate([shown.low, -most]), np.concatenate([shown.high, most]), dtype=np.float32
    )


class HistoryAgent:
    """An agent whose policy sees history features. Its `state` is that of the features.

    Args:
        agent: the policy. It has no state of its own.
    """

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def predict(
        self,
        observation: _Array,
        state: _Array | None = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[_Array, _Array]:
        """Actions for observations of shape (n, columns) or (columns,), and the next state."""
        shown, state = add_history(np.atleast_2d(observation), state, episode_start)
        actions, _ = self._agent.predict(shown, deterministic=deterministic)
        return (actions[0] if np.ndim(observation) == 1 else actions), state
