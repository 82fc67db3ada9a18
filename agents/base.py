"""What a market maker is here: something that turns observations into quotes, through one verb,
`predict`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym import MarketConfig
from mm_gym import observations as columns
from mm_gym.actions import from_ticks

Observations = npt.NDArray[np.float32]
Ticks = npt.NDArray[np.float64]


class AgentError(ValueError):
    """An agent that cannot be made or asked: the message says what came, what was wanted and what
    to write instead."""


class Range(NamedTuple):
    """Where `agents.tuning` looks for a parameter's best value."""

    low: float
    high: float
    log: bool = False
    """Whether ratios count and not differences: for what ranges over orders of magnitude."""


class QuotingAgent(ABC):
    """A rule that quotes. It is told the market's configuration, as a maker knows its own limits
    and clock.

    Agents speak stable-baselines3's `predict`, batched, so that its tools work on all of them.
    """

    name: ClassVar[str]
    privileged: ClassVar[bool] = False
    """Whether it is shown more than observations."""
    search_space: ClassVar[Mapping[str, Range]] = {}
    """Of the parameters that `agents.tuning` may choose; a rule that names none is not tuned."""

    def __init__(self, config: MarketConfig) -> None:
        self.config = config

    @classmethod
    def suits(cls, config: MarketConfig) -> bool:
        """Whether the rule has anything to say about this market."""
        return True

    @abstractmethod
    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        """Bid and ask offset from the public mid [ticks], shape (n,) each, for observations of
        shape (n, columns)."""

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """Actions of shape (n, 2) in [-1, 1], or (2,) for one observation, and the state, which
        rules do not have."""
        observations = np.atleast_2d(observation)
        actions = to_actions(self.config, *self.offsets(observations))
        return (actions[0] if np.ndim(observation) == 1 else actions), state

    def inventory(self, observations: Observations) -> Ticks:
        """[lots] The inventory that the observations say."""
        return columns.inventory(observations)

    def time_left(self, observations: Observations) -> Ticks:
        """[s] The time to the close that the observations say."""
        return columns.time_left(observations, self.config)


def to_actions(
    config: MarketConfig, bid_offset: Ticks, ask_offset: Ticks
) -> npt.NDArray[np.float32]:
    """Offsets in ticks as the environment's actions: those beyond [0, max_offset] go to the nearer
    end."""
    offsets = np.stack(np.broadcast_arrays(bid_offset, ask_offset), axis=-1)
    return from_ticks(offsets, config.max_offset)
