"""History features: statistics of the episode so far, appended to each observation for policies
without recurrence.

An observation forgets within a minute. Which kind of flow an episode has, and how much of it is
informed, shows only over hundreds of seconds. So the policy sees, beside the observation, the
episode's means of how busy, wide and volatile the market was, how far flow and prices ran, and
whether they ran together: where flow is informed, prices follow it. And it sees what all this says
of the signal (`agents.learned.signal_network`), so that it need not learn to infer.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mm_gym import OBSERVATION_NAMES
from mm_gym.core.layout import OBSERVATION_CLIP, Obs
from mm_gym.observations import observation_space

from .signal_network import BELIEF_NAMES, shipped_signal_network

_Array = npt.NDArray[np.float32]

LEVELS = (Obs.SPREAD, Obs.ACTIVITY, Obs.VOLATILITY, Obs.FLOW_SLOW)
"""Columns whose mean is taken as they are."""
FLOWS = (Obs.FLOW_FAST, Obs.FLOW_MEDIUM, Obs.FLOW_SLOW)
MOVES = (Obs.MID_MOVE_FAST, Obs.MID_MOVE_MEDIUM, Obs.MID_MOVE_SLOW)
"""Columns of which the mean is taken of the size, and of the product of flow and move over the same
time."""

MEANS_NAMES = tuple(
    [f"mean_{column.name.lower()}" for column in LEVELS]
    + [f"mean_size_of_{column.name.lower()}" for column in (*FLOWS, *MOVES)]
    + [
        f"mean_{flow.name.lower()}_x_{move.name.lower()}"
        for flow, move in zip(FLOWS, MOVES, strict=True)
    ]
)
"""Means over the episode."""

HISTORY_NAMES = (*OBSERVATION_NAMES, *MEANS_NAMES, *BELIEF_NAMES)
"""All that a policy with history features sees, in order."""

PRIOR_DECISIONS = 30.0
"""Means begin at zero as if that had been seen so often: the first few observations say nothing
yet."""

_N_MEANS = 1 + len(MEANS_NAMES)
BELIEFS_CLIP = 20.0
"""Far beyond any belief that was ever seen: a space needs bounds."""


def state_names() -> tuple[str, ...]:
    """Columns of the state from which the features are updated, in order: all zeros where an
    episode starts."""
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
    """Observations with the history features beside them, and the state to hand in with the next.

    Args:
        observations: shape (n, columns).
        state: as handed back before, shape (n, len(state_names())). None where all episodes start.
        starts: whether an episode starts here, shape (n,): its state is forgotten. None where none
            does.

    Returns:
        Shape (n, len(HISTORY_NAMES)), and the state.
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
    """The episode's means after one observation more, shape (n, 1 + len(MEANS_NAMES)): what they
    count comes first.

    A mean over n observations is their sum over n + `PRIOR_DECISIONS`.
    """
    flows, moves = observations[:, FLOWS], observations[:, MOVES]
    shown = np.concatenate(
        [observations[:, LEVELS], np.abs(flows), np.abs(moves), flows * moves],
        axis=1,
        dtype=np.float32,
    )
    seen = means[:, :1] + np.float32(1.0)
    old = means[:, 1:]
    return np.concatenate(
        [seen, old + (shown - old) / (seen + np.float32(PRIOR_DECISIONS))], axis=1
    )


def empty_means(n: int) -> _Array:
    """Of n episodes that start."""
    return np.zeros((n, _N_MEANS), np.float32)


def empty_state(n: int) -> _Array:
    """Of n episodes that start."""
    return np.zeros((n, len(state_names())), np.float32)


def history_space() -> spaces.Box:
    """The space of observations with history features."""
    shown = observation_space()
    # A mean is of a product of two columns of flow and moves at the most.
    most = np.repeat(
        [OBSERVATION_CLIP**2, BELIEFS_CLIP], [len(MEANS_NAMES), len(BELIEF_NAMES)]
    ).astype(np.float32)
    return spaces.Box(
        np.concatenate([shown.low, -most]), np.concatenate([shown.high, most]), dtype=np.float32
    )


class HistoryAgent:
    """A maker whose policy was trained on what `add_history` gives. Its `state` is that of the
    history features.

    Args:
        agent: which has no state of its own.
    """

    name = "history"

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def predict(
        self,
        observation: _Array,
        state: _Array | None = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[_Array, _Array]:
        """As the agent's own, for observations of shape (n, columns) or (columns,), and the state
        to hand back."""
        shown, state = add_history(np.atleast_2d(observation), state, episode_start)
        actions, _ = self._agent.predict(shown, deterministic=deterministic)
        return (actions[0] if np.ndim(observation) == 1 else actions), state
