"""A maker of any kind that leaves its quotes where they rest while they are near enough: `name:patience=0.5`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from agents.base import AgentError, QuotingAgent, leave_resting
from mm_gym import MarketConfig


class PatientAgent:
    """Asks another agent where its quotes should be, and moves those that rest too far from there.

    Args:
        agent: with stable-baselines3's `predict`.
        config: of the market.
        patience: [ticks] as `agents.base.leave_resting` has it.
    """

    name = "patient"

    def __init__(self, agent: Any, config: MarketConfig, patience: float) -> None:
        self.agent = agent
        self._config = config
        self._patience = patience

    def predict(
        self,
        observation: npt.NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """As the agent's own, for observations of shape (n, columns) or (columns,)."""
        actions, state = self.agent.predict(observation, state, episode_start, deterministic)
        half_range = 0.5 * self._config.max_offset
        wanted = half_range * (1.0 + np.atleast_2d(actions).astype(np.float64))
        offsets = leave_resting(self._config, np.atleast_2d(observation), wanted, self._patience)
        quotes = (offsets / half_range - 1.0).astype(np.float32)
        return (quotes[0] if np.ndim(observation) == 1 else quotes), state


def made_patient(agent: Any, config: MarketConfig, patience: float) -> Any:
    """The agent with this patience [ticks] and no other; rules have it built in, so that they know what they quote.

    Raises:
        AgentError: if it is below zero.
    """
    if not patience >= 0.0:
        raise AgentError(f"patience={patience} came; write a number of ticks from 0 up")
    if isinstance(agent, PatientAgent):
        agent = agent.agent
    if isinstance(agent, QuotingAgent):
        agent.patience = float(patience)
        return agent
    return PatientAgent(agent, config, float(patience)) if patience > 0.0 else agent
