"""Who teaches a policy to quote (`agents.imitation`), seeing what no observation shows."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from agents import trained_folder
from agents.base import AgentError
from agents.glosten_milgrom import GlostenMilgromAgent
from agents.oracle import OracleAgent
from agents.ppo import check_fits, load_model, mean_action, read_run
from agents.remembering_vec_env import RememberingVecEnv
from agents.signal_filter import accepts
from agents.tuned import tuned_rule
from mm_gym import MarketConfig
from mm_gym.actions import to_ticks
from mm_gym.core.layout import Obs
from mm_gym.sb3 import MarketMakingVecEnv

TrainingMarkets = MarketMakingVecEnv | RememberingVecEnv


class Teacher(Protocol):
    """Who says how to quote."""

    def offsets(self, observations: npt.NDArray[np.float32], markets: TrainingMarkets) -> npt.NDArray[np.float64]:
        """Bid and ask offset [ticks], shape (n, 2), in these markets, which show these observations just now."""
        ...

    def weights(
        self,
        observations: npt.NDArray[np.float32],
        markets: TrainingMarkets,
        offsets: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """How much the lesson counts for either side, shape (n, 2), where these offsets [ticks] are being quoted."""
        ...


class Oracle:
    """Quotes around what the asset is worth: who imitates it learns to infer the signal.

    Its offsets are negative where it would quote beyond the mid. An action would stop at the mid, and the mean of what
    stops there is not what the asset is worth on average.

    A lesson counts as often as somebody would trade at the quote, so that what is learned for the ask is what the asset
    is worth on the average of those moments at which a buyer comes: E[V | a buyer comes], as Glosten and Milgrom (1985)
    set the ask. Margin and skew are those that tuning found for `glosten_milgrom`, which quotes around the same mean.

    Args:
        config: of the markets.
    """

    def __init__(self, config: MarketConfig) -> None:
        self._config = config
        self._agent = OracleAgent(config, **_tuned_margin(config))

    def offsets(self, observations: npt.NDArray[np.float32], markets: TrainingMarkets) -> npt.NDArray[np.float64]:
        """See `Teacher`."""
        return np.stack(self._agent.quotes_knowing(observations, *markets.truth()), axis=1)

    def weights(
        self,
        observations: npt.NDArray[np.float32],
        markets: TrainingMarkets,
        offsets: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """See `Teacher`: the share of takers who would sell at the bid, and buy at the ask.

        The side that an imbalance favours is left out: it says nothing of what the asset is worth.
        """
        signal, gap = markets.truth()
        informed = markets.hidden_flow()[0]
        side = np.array([-1.0, 1.0])
        worth = side * self._config.foreseen_price(gap, signal)[:, None]
        acting = side * signal[:, None] > self._config.signal_threshold
        if self._config.informed_price_limit:
            acting &= worth >= offsets
        others = 0.5 * accepts(offsets, self._config.taker_tolerance)
        return np.asarray(informed[:, None] * acting + (1.0 - informed[:, None]) * others)


def _tuned_margin(config: MarketConfig) -> dict[str, float]:
    """Half-spread and skew of `glosten_milgrom` as tuned in such markets; nothing where it was not tuned."""
    try:
        parameters = tuned_rule(GlostenMilgromAgent.name, config).parameters
    except AgentError:
        return {}
    return {name: value for name, value in parameters.items() if name != "patience"}


_FLOWS = {"informed": "p_informed", "naive_informed": "p_informed", "imbalanced": "imbalance"}
"""Regimes whose flow differs from noise, and the field that says how much."""

_INFORMED_COUNTS = 6.0
"""By how much more a lesson counts where all are informed."""
_UNKNOWN_COUNTS, _KNOWN_AFTER = 40.0, 50.0
"""By how much more still as a session begins, and the decisions after which a third of that is left."""


class Specialists:
    """Policies trained each on one kind of flow, of which that of the session's own flow speaks: who imitates them
    learns to infer the flow. Rusu and others (2016), Policy distillation.

    Between two shares of informed takers (or imbalances) it is the mean of two specialists, weighted by how near they
    are; noise is the share of zero.

    Args:
        config: of the markets.
        names: of run folders, or of policies in `agents/trained`: one trained in `noise`, and any number in the regimes
            of `mixed`.

    Raises:
        AgentError: if one cannot be read, was trained by another algorithm than ppo, quotes in other units, or is of
            another regime, or the one of noise is missing.
    """

    def __init__(self, config: MarketConfig, names: Sequence[str]) -> None:
        self._max_offset = config.max_offset
        self._session_steps = config.session_steps
        self._noise: Any = None
        self._others: dict[str, dict[float, Any]] = {regime: {} for regime in _FLOWS}
        for name in names:
            folder = trained_folder(name)
            run = read_run(folder)
            check_fits(folder, run, config)
            if run.algorithm != "ppo":
                raise AgentError(
                    f"{name} was trained by {run.algorithm}, a specialist by ppo is wanted; name another run folder"
                )
            policy = load_model(folder, run.algorithm, run.loads).policy, len(run.observation)
            regime = run.config.regime
            if regime == "noise":
                self._noise = policy
            elif regime in _FLOWS:
                self._others[regime][getattr(run.config, _FLOWS[regime])] = policy
            else:
                raise AgentError(f"{name} was trained on {regime}, which is no flow that a session of `mixed` may have")
        if self._noise is None:
            raise AgentError(f"specialists {', '.join(names) or 'of nothing'} came, none of noise; add one that is")

    def offsets(self, observations: npt.NDArray[np.float32], markets: TrainingMarkets) -> npt.NDArray[np.float64]:
        """See `Teacher`. Observations are those of `agents.memory` if a specialist remembers."""
        actions = np.zeros((len(observations), 2))
        left = np.ones(len(observations))
        for regime, amount in zip(_FLOWS, markets.hidden_flow(), strict=True):
            knots = [0.0, *sorted(self._others[regime])]
            for index, knot in enumerate(knots[1:], start=1):
                weight = np.interp(amount, knots, np.eye(len(knots))[index])
                left -= weight
                self._add(actions, weight, self._others[regime][knot], observations)
        self._add(actions, left, self._noise, observations)
        return to_ticks(actions, self._max_offset)

    def weights(
        self,
        observations: npt.NDArray[np.float32],
        markets: TrainingMarkets,
        offsets: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """See `Teacher`: more where many are informed, rare in `mixed`, and most of all before anybody can know it.

        Who does not know yet learns the mean of what specialists would quote, and so earns about what the one for noise
        would, or loses what informed takers cost. The latter is far more: the mean has to lie near the cautious ones.
        """
        p_informed = markets.hidden_flow()[0]
        decisions = (1.0 - observations[:, Obs.TIME_LEFT]) * self._session_steps
        count = 1.0 + p_informed * (_INFORMED_COUNTS + _UNKNOWN_COUNTS * np.exp(-decisions / _KNOWN_AFTER))
        return np.repeat(count[:, None], offsets.shape[1], axis=1)

    def _add(
        self,
        actions: npt.NDArray[np.float64],
        weight: npt.NDArray[np.float64],
        specialist: tuple[Any, int],
        observations: npt.NDArray[np.float32],
    ) -> None:
        """Add a specialist's actions with these weights; it is asked only where it has any."""
        policy, n_columns = specialist
        rows = np.flatnonzero(weight > 0.0)
        if len(rows):
            with torch.no_grad():
                said = mean_action(policy, torch.from_numpy(observations[rows, :n_columns])).clamp(-1.0, 1.0)
            actions[rows] += weight[rows, None] * said.numpy()
