"""What a policy without a memory of its own is told beside each observation: means of what its session has shown.

An observation forgets within a minute. Which kind of flow a session has, and how much of it is informed, shows only
over hundreds of seconds, and in `mixed` that is half of what there is to know. So the policy sees, beside the
observation, the session's means of how busy, wide and volatile the market was, how far flow and prices ran, and whether
they ran together: where flow is informed, prices follow it. And what an observation shows of this moment only, such
as the spread and where the own quotes rest, says more beside where it stood a few decisions ago: so there are running
means of these. The filter of `glosten_milgrom` remembers too; this is what takes its place for a network.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from mm_gym import OBSERVATION_NAMES
from mm_gym.core.layout import OBSERVATION_CLIP, Obs
from mm_gym.markets import observation_space

_Array = npt.NDArray[np.float32]

LEVELS = (Obs.SPREAD, Obs.ACTIVITY, Obs.VOLATILITY, Obs.FLOW_SLOW)
"""Columns remembered as they are."""
FLOWS = (Obs.FLOW_FAST, Obs.FLOW_MEDIUM, Obs.FLOW_SLOW)
MOVES = (Obs.MID_MOVE_FAST, Obs.MID_MOVE_MEDIUM, Obs.MID_MOVE_SLOW)
"""Columns of which the size is remembered, and the product of flow and move over the same time."""

RECENT = (
    Obs.INVENTORY,
    Obs.SPREAD,
    Obs.FLOW_FAST,
    Obs.MID_MOVE_FAST,
    Obs.BOOK_IMBALANCE,
    Obs.BID_OFFSET,
    Obs.ASK_OFFSET,
    Obs.BID_SIZE,
    Obs.ASK_SIZE,
)
"""Columns of which there are running means."""
RECENT_HALF_LIVES = (3, 10)
"""Decisions after which a running mean has forgotten half."""

MEANS_NAMES = tuple(
    [f"mean_{column.name.lower()}" for column in LEVELS]
    + [f"mean_size_of_{column.name.lower()}" for column in (*FLOWS, *MOVES)]
    + [f"mean_{flow.name.lower()}_x_{move.name.lower()}" for flow, move in zip(FLOWS, MOVES, strict=True)]
)
"""Means over the session."""

MEMORY_NAMES = (
    *MEANS_NAMES,
    *(f"recent_{column.name.lower()}_{decisions}" for decisions in RECENT_HALF_LIVES for column in RECENT),
)
"""What follows the observation's own columns."""

RECENT_DECAY = np.repeat(np.exp2(-1.0 / np.array(RECENT_HALF_LIVES)), len(RECENT)).astype(np.float32)
"""What of each running mean is left a decision later."""

REMEMBERED_NAMES = (*OBSERVATION_NAMES, *MEMORY_NAMES)
"""All that a policy with this memory sees, in order."""

PRIOR_DECISIONS = 30.0
"""Means begin at zero as if that had been seen so often: the first few observations say nothing yet."""


def remember(
    observations: _Array, memory: _Array | None = None, starts: npt.NDArray[np.bool_] | None = None
) -> tuple[_Array, _Array]:
    """Observations with what is remembered beside them, and the memory to hand in with the next.

    A session's mean over n observations is their sum over n + `PRIOR_DECISIONS`; a running mean begins at zero too.

    Args:
        observations: shape (n, columns).
        memory: as handed back before, shape (n, 1 + len(MEMORY_NAMES)): the observations seen, then the means. None
            where all sessions start.
        starts: whether a session starts here, shape (n,): it remembers nothing. None where none does.

    Returns:
        Shape (n, len(REMEMBERED_NAMES)), and the memory.
    """
    if memory is None:
        memory = empty_memory(len(observations))
    elif starts is not None:
        memory = np.where(np.asarray(starts, np.bool_)[:, None], np.float32(0.0), memory)
    flows, moves = observations[:, FLOWS], observations[:, MOVES]
    shown = np.concatenate(
        [observations[:, LEVELS], np.abs(flows), np.abs(moves), flows * moves], axis=1, dtype=np.float32
    )
    seen, means, recent = memory[:, :1] + np.float32(1.0), memory[:, 1:_MEANS_END], memory[:, _MEANS_END:]
    means = means + (shown - means) / (seen + np.float32(PRIOR_DECISIONS))
    now = np.tile(observations[:, RECENT], len(RECENT_HALF_LIVES))
    recent = now + RECENT_DECAY * (recent - now)
    return np.concatenate([observations, means, recent], axis=1), np.concatenate([seen, means, recent], axis=1)


_MEANS_END = 1 + len(MEANS_NAMES)


def empty_memory(n: int) -> _Array:
    """Of n sessions that start."""
    return np.zeros((n, 1 + len(MEMORY_NAMES)), np.float32)


def remembered_space() -> spaces.Box:
    """The space of what `remember` gives."""
    shown = observation_space()
    most = np.full(len(MEMORY_NAMES), OBSERVATION_CLIP**2, np.float32)  # of a product of two columns
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
