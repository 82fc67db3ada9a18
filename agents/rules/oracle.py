"""Shown what nobody in its place could see, the signal and the efficient price: what knowing
everything would earn."""

from typing import Any, ClassVar, Never

import numpy as np
import numpy.typing as npt

from ..base import AgentError, Observations, Ticks, to_actions
from .glosten_milgrom import ValueQuotingAgent


class OracleAgent(ValueQuotingAgent):
    """Cheats: quotes as `glosten_milgrom` does, but around what the asset truly is worth, V + edge
    s.

    Only an evaluation shows it that (`mm_gym.evaluation.rollout`), and tables say so beside its
    name. Its parameters are those of `ValueQuotingAgent`.
    """

    name = "oracle"
    privileged: ClassVar[bool] = True

    def predict_knowing(
        self, observations: Observations, signal: Ticks, gap: Ticks
    ) -> npt.NDArray[np.float32]:
        """Actions of shape (n, 2), given signals s and V - mid [ticks] of shape (n,) beside the
        observations."""
        return to_actions(self.config, *self.quotes_knowing(observations, signal, gap))

    def quotes_knowing(
        self, observations: Observations, signal: Ticks, gap: Ticks
    ) -> tuple[Ticks, Ticks]:
        """Bid and ask offset from the public mid [ticks] for the same, shape (n,) each; negative
        beyond the mid."""
        worth = gap + self.edge_left(observations) * signal
        return self.quotes_around(observations, worth, worth)

    def offsets(self, observations: Observations) -> Never:
        raise AgentError(
            "the oracle was asked to quote from an observation, which does not show the signal; write evaluate.py "
            "--agents oracle or run_sessions, which show it, or glosten_milgrom, which infers it"
        )

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> Never:
        """Raise AgentError: an observation does not show what this agent quotes by."""
        self.offsets(observation)
