"""A privileged rule that is shown the signal and the efficient price.

Its objective is that of full information.
"""

from typing import Any, ClassVar, Never

import numpy as np
import numpy.typing as npt

from ..base import AgentError, Observations, Ticks, to_actions
from ..invocation import command_name
from .glosten_milgrom import ValueQuotingAgent


class OracleAgent(ValueQuotingAgent):
    """Privileged: quotes as `glosten_milgrom` does, but is shown the signal.

    It quotes around the true value V + edge s. Only `mm_gym.evaluation.rollout` shows it the signal
    and V. Tables mark it as privileged. The parameters are those of `ValueQuotingAgent`.
    """

    name = "oracle"
    privileged: ClassVar[bool] = True

    def predict_knowing(
        self, observations: Observations, signal: Ticks, gap: Ticks
    ) -> npt.NDArray[np.float32]:
        """Actions of shape (n, 2), given hidden state.

        Args:
            observations: shape (n, columns).
            signal: s, shape (n,).
            gap: V - mid [ticks], shape (n,).
        """
        return to_actions(self.config, *self.quotes_knowing(observations, signal, gap))

    def quotes_knowing(
        self, observations: Observations, signal: Ticks, gap: Ticks
    ) -> tuple[Ticks, Ticks]:
        """Bid and ask offset from the public mid [ticks] for the arguments of `predict_knowing`.

        Shape (n,) each. A negative offset lies beyond the mid.
        """
        worth = gap + self.edge_left(observations) * signal
        return self.quotes_around(observations, worth, worth)

    def offsets(self, observations: Observations) -> Never:
        raise AgentError(
            "the oracle cannot quote from observations: expected an evaluation, which shows it the "
            f"signal, got an observation (write {command_name('evaluate')} --agents oracle, or use "
            "glosten_milgrom, which infers the signal)"
        )

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> Never:
        """Raise AgentError, because an observation does not contain the signal."""
        self.offsets(observation)
