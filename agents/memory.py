"""What a policy without a memory of its own is told beside each observation: what its session has shown so far.

An observation forgets within a minute. Which kind of flow a session has, and how much of it is informed, shows only
over hundreds of seconds, and in `mixed` that is half of what there is to know. So the policy sees, beside the
observation, the session's means of how busy, wide and volatile the market was, how far flow and prices ran, and whether
they ran together: where flow is informed, prices follow it. And it sees what all this lets one believe of the signal
(`agents.learned_filter`): it need not find out how to infer, only what to do about it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from agents.learned_filter import BELIEF_NAMES, shipped_filter
from mm_gym import OBSERVATION_NAMES
from mm_gym.core.layout import OBSERVATION_CLIP, Obs
from mm_gym.observations import observation_space

_Array = npt.NDArray[np.float32]

LEVELS = (Obs.SPREAD, Obs.ACTIVITY, Obs.VOLATILITY, Obs.FLOW_SLOW)
"""Columns remembered as they are."""
FLOWS = (Obs.FLOW_FAST, Obs.FLOW_MEDIUM, Obs.FLOW_SLOW)
MOVES = (Obs.MID_MOVE_FAST, Obs.MID_MOVE_MEDIUM, Obs.MID_MOVE_SLOW)
"""Columns of which the size is remembered, and the product of flow and move over the same time."""

MEANS_NAMES = tuple(
    [f"mean_{column.name.lower()}" for column in LEVELS]
    + [f"mean_size_of_{column.name.lower()}" for column in (*FLOWS, *MOVES)]
    + [f"mean_{flow.name.lower()}_x_{move.name.lower()}" for flow, move in zip(FLOWS, MOVES, strict=True)]
)
"""Means over the session."""

REMEMBERED_NAMES = (*OBSERVATION_NAMES, *MEANS_NAMES, *BELIEF_NAMES)
"""All that a policy with this memory sees, in order."""

PRIOR_DECISIONS = 30.0
"""Means begin at zero as if that had been seen so often: the first few observations say nothing yet."""

_N_MEANS = 1 + len(MEANS_NAMES)
BELIEFS_CLIP = 20.0
"""Far beyond any belief that was ever seen: a space needs bounds."""


def memory_names() -> tuple[str, ...]:
    """Columns of a memory, in order: all zeros where a session starts."""
    sums = (f"evidence_{number}" for number in range(shipped_filter().n_sums))
    return ("observations_seen", *MEANS_NAMES, *(f"last_{name}" for name in OBSERVATION_NAMES), *sums)


def remember(
    observations: _Array, memory: _Array | None = None, starts: npt.NDArray[np.bool_] | None = None
) -> tuple[_Array, _Array]:
    """Observations with what is remembered and believed beside them, and the memory to hand in with the next.

    Args:
        observations: shape (n, columns).
        memory: as handed back before, shape (n, len(memory_names())). None where all sessions start.
        starts: whether a session starts here, shape (n,): it remembers nothing. None where none does.

    Returns:
        Shape (n, len(REMEMBERED_NAMES)), and the memory.
    """
    if memory is None:
        memory = empty_memory(len(observations))
    elif starts is not None:
        memory = np.where(np.asarray(starts, np.bool_)[:, None], np.float32(0.0), memory)
    last = _N_MEANS + observations.shape[1]
    means = update_means(memory[:, :_N_MEANS], observations)
    beliefs, sums = shipped_filter().believe(observations, memory[:, _N_MEANS:last], means[:, 1:], memory[:, last:])
    beliefs = np.clip(beliefs, -BELIEFS_CLIP, BELIEFS_CLIP)
    return (
        np.concatenate([observations, means[:, 1:], beliefs], axis=1),
        np.concatenate([means, observations, sums], axis=1),
    )


def update_means(means: _Array, observations: _Array) -> _Array:
    """The session's means after one observation more, shape (n, 1 + len(MEANS_NAMES)): what they count comes first.

    A mean over n observations is their sum over n + `PRIOR_DECISIONS`.
    """
    flows, moves = observations[:, FLOWS], observations[:, MOVES]
    shown = np.concatenate(
        [observations[:, LEVELS], np.abs(flows), np.abs(moves), flows * moves], axis=1, dtype=np.float32
    )
    seen = means[:, :1] + np.float32(1.0)
    old = means[:, 1:]
    return np.concatenate([seen, old + (shown - old) / (seen + np.float32(PRIOR_DECISIONS))], axis=1)


def empty_means(n: int) -> _Array:
    """Of n sessions that start."""
    return np.zeros((n, _N_MEANS), np.float32)


def empty_memory(n: int) -> _Array:
    """Of n sessions that start."""
    return np.zeros((n, len(memory_names())), np.float32)


def remembered_space() -> spaces.Box:
    """The space of what `remember` gives."""
    shown = observation_space()
    # A mean is of a product of two columns at the most.
    most = np.repeat([OBSERVATION_CLIP**2, BELIEFS_CLIP], [len(MEANS_NAMES), len(BELIEF_NAMES)]).astype(np.float32)
    return spaces.Box(np.concatenate([shown.low, -most]), np.concatenate([shown.high, most]), dtype=np.float32)


class RememberingAgent:
    """A maker whose policy was trained on what `remember` gives. Its `state` is the memory.

    Args:
        agent: which has no state of its own.
    """

    name = "remembering"

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def predict(
        self,
        observation: _Array,
        state: _Array | None = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[_Array, _Array]:
        """As the agent's own, for observations of shape (n, columns) or (columns,), and the memory to hand back."""
        shown, memory = remember(np.atleast_2d(observation), state, episode_start)
        actions, _ = self._agent.predict(shown, deterministic=deterministic)
        return (actions[0] if np.ndim(observation) == 1 else actions), memory
