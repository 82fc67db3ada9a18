"""The interface of a market maker: `predict` turns observations into quotes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_gym import MarketConfig
from mm_gym import observations as columns
from mm_gym.actions import from_ticks
from mm_gym.errors import SentenceError

Observations = npt.NDArray[np.float32]
Ticks = npt.NDArray[np.float64]


class AgentError(SentenceError):
    """An agent that cannot be made or cannot quote. The message says what was expected."""


WIDEST = 1e9
"""[ticks] Largest offset, and other limits beyond which nothing changes."""


class Range(NamedTuple):
    """The values among which `agents.tuning` looks for the best one of a parameter."""

    low: float
    high: float
    log: bool = False
    """Whether to search on a logarithmic scale. Use it for ranges over orders of magnitude."""
    also: float | None = None
    """A value outside the range that is tried with the best values of the other parameters."""


# At 0 both quotes are at the mid and step back by one tick. A quote that already rests there stays
# longer than one with a small half-spread.
HALF_SPREADS = Range(0.01, 15.0, log=True, also=0.0)
"""[ticks] Where `agents.tuning` looks for the half-spread of a rule."""


class QuotingAgent(ABC):
    """A rule that quotes. It knows the configuration of the market.

    Its `predict` has the signature of stable-baselines3 and is batched, so that the tools of
    stable-baselines3 work on it.
    """

    name: ClassVar[str]
    privileged: ClassVar[bool] = False
    """Whether the rule is shown hidden state of the market in addition to observations."""
    search_space: ClassVar[Mapping[str, Range]] = {}
    """Ranges of the parameters that `agents.tuning` may choose. A rule without any is not tuned."""
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """The lowest and the highest value of each numeric parameter."""

    def __init__(self, config: MarketConfig) -> None:
        self.config = config

    @classmethod
    def check_parameters(cls, parameters: Mapping[str, Any]) -> None:
        """Refuse parameters beyond `limits`. None stands for the default.

        Raises:
            AgentError: for the first such parameter.
        """
        for name, value in parameters.items():
            low, high = cls.limits.get(name, (-math.inf, math.inf))
            if value is None:
                continue
            number = isinstance(value, (int, float, np.integer, np.floating))
            if not number or isinstance(value, bool) or not low <= value <= high:
                raise AgentError(
                    f"{cls.name}:{name}={value} is out of range: "
                    f"expected a number from {low:g} to {high:g}, got {value!r}"
                )

    @classmethod
    def suits(cls, config: MarketConfig) -> bool:
        """Whether the rule can quote in this market."""
        return True

    @abstractmethod
    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        """Bid and ask offset from the public mid.

        Args:
            observations: shape (n, columns).

        Returns:
            Bid and ask offset [ticks], shape (n,) each.
        """

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """Actions for a batch of observations.

        Args:
            observation: shape (n, columns), or (columns,) for a single market.
            state: handed back unchanged, because a rule has no state.
            episode_start: not used.
            deterministic: not used.

        Returns:
            Actions in [-1, 1], shape (n, 2) or (2,), and the state.
        """
        observations = np.atleast_2d(observation)
        actions = to_actions(self.config, *self.offsets(observations))
        return (actions[0] if np.ndim(observation) == 1 else actions), state

    def inventory(self, observations: Observations) -> Ticks:
        """[lots] The inventory in the observations, shape (n,)."""
        return columns.inventory(observations)

    def time_left(self, observations: Observations) -> Ticks:
        """[s] The time to the close in the observations, shape (n,)."""
        return columns.time_left(observations, self.config)


def to_actions(
    config: MarketConfig, bid_offset: Ticks, ask_offset: Ticks
) -> npt.NDArray[np.float32]:
    """Convert offsets [ticks] to actions. Offsets beyond [0, max_offset] are clipped."""
    offsets = np.stack(np.broadcast_arrays(bid_offset, ask_offset), axis=-1)
    return from_ticks(offsets, config.max_offset)
