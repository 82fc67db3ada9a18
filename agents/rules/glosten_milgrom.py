"""Quotes at the conditional value of the asset, after Glosten and Milgrom (1985).

Bid, ask and transaction prices in a specialist market with heterogeneously informed traders. The
maker sets the ask to E[value | a buyer comes] and the bid to E[value | a seller comes]. Here the
value is V + edge s, the expected price at the close. The expectation is over the exact posterior of
the signal s and the efficient price V (`signal_filter`).
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym import REGIMES, MarketConfig

from ..base import HALF_SPREADS, WIDEST, Observations, QuotingAgent, Range, Ticks, to_actions
from .fill_intensity import fill_decay_of
from .observed_market import Quotes
from .signal_filter import Belief, SignalFilter


class ValueQuotingAgent(QuotingAgent):
    """Quotes a half-spread around the value of the asset, with a skew against the inventory.

    bid offset = half_spread + skew q - (value given a seller), ask offset = half_spread - skew q +
    (value given a buyer). Both values are [ticks] relative to the public mid.

    Args:
        config: of the market.
        half_spread: [ticks]. Default: 1 / `fill_decay_of` the market, the best margin without risk
            aversion.
        skew: [ticks / lot]
    """

    search_space = {"half_spread": HALF_SPREADS, "skew": Range(0.003, 3.0, log=True)}
    limits = {
        "half_spread": (0.0, WIDEST),
        "skew": (-WIDEST, WIDEST),
        "largest_share": (0.0, 1.0),
    }

    def __init__(
        self, config: MarketConfig, half_spread: float | None = None, skew: float = 0.2
    ) -> None:
        super().__init__(config)
        # Takers of infinite tolerance pay any price. The margin is then `max_offset`.
        margin = 1.0 / max(fill_decay_of(config), 1.0 / config.max_offset)
        self.half_spread = margin if half_spread is None else half_spread
        self.skew = skew

    def quotes_around(
        self, observations: Observations, to_seller: Ticks, to_buyer: Ticks
    ) -> tuple[Ticks, Ticks]:
        """Bid and ask offset [ticks], given the value for a seller and for a buyer, shape (n,)."""
        shift = self.skew * self.inventory(observations)
        return self.half_spread + shift - to_seller, self.half_spread - shift + to_buyer

    def edge_left(self, observations: Observations) -> Ticks:
        """[ticks] Expected move of V until the close per unit of the signal, shape (n,)."""
        left = -np.expm1(-self.config.signal_decay_rate * self.time_left(observations))
        return np.asarray(self.config.edge_per_signal * left)


class GlostenMilgromAgent(ValueQuotingAgent):
    """Infers the signal from trades and the mid, and quotes around the conditional value.

    It knows the configuration of the market and sees only observations. Its belief is the `state`
    that `predict` returns. Pass that state to the next call, otherwise every decision is treated as
    the first of a session.

    Args:
        config, half_spread, skew: see `ValueQuotingAgent`.
        largest_share: if given, the maker does not know the flow. As in regime `mixed`, it may be
            noise, imbalanced, or informed with a share of up to this one, and the maker infers
            which. All of these arrive as Poisson processes.
    """

    name = "glosten_milgrom"

    def __init__(
        self,
        config: MarketConfig,
        half_spread: float | None = None,
        skew: float = 0.2,
        largest_share: float | None = None,
    ) -> None:
        super().__init__(config, half_spread, skew)
        believed = config
        if largest_share is not None:
            believed = dataclasses.replace(
                config,
                regime="mixed",
                informed_kind="signal",
                p_informed=largest_share,
                imbalance=REGIMES["mixed"]["imbalance"],
            )
        self.filter = SignalFilter(believed)

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
            state: the `Belief` of the previous call. None where all sessions start.
            episode_start: whether a session starts, shape (n,). None where none does.
            deterministic: not used.

        Returns:
            Actions in [-1, 1], shape (n, 2) or (2,), and the `Belief`.
        """
        observations = np.atleast_2d(observation)
        belief = self.filter.start(observations)
        if state is not None:
            starts = np.broadcast_to(
                False if episode_start is None else episode_start, len(observations)
            )
            belief = _choose(starts, belief, self.filter.update(state, observations))
        bid, ask = self.quotes(belief)
        belief = self.filter.send(belief, bid, ask, self.inventory(observations))
        actions = to_actions(self.config, bid, ask)
        return (actions[0] if np.ndim(observation) == 1 else actions), belief

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        return self.quotes(self.filter.start(observations))

    def expected_worth(self, belief: Belief) -> Ticks:
        """[ticks] Posterior mean of the value relative to the public mid, shape (n,)."""
        return np.asarray((belief.weight * self._worth(belief)).sum(axis=(1, 2)))

    def quotes(self, belief: Belief) -> tuple[Ticks, Ticks]:
        """Bid and ask offset from the public mid [ticks], given a belief, shape (n,) each."""
        worth = self._worth(belief)
        to_buyer, to_seller = (
            (belief.weight * takers * worth).sum(axis=(1, 2))
            / (belief.weight * takers).sum(axis=(1, 2))
            for takers in self.filter.takers(belief, belief.quotes)
        )
        return self.quotes_around(belief.seen, to_seller, to_buyer)

    def _worth(self, belief: Belief) -> npt.NDArray[np.float64]:
        """[ticks] The value given flow and signal, shape (n, flows, signals)."""
        return np.asarray(
            belief.gap + self.edge_left(belief.seen)[:, None, None] * self.filter.signals
        )


def _choose(starts: npt.NDArray[np.bool_], fresh: Belief, old: Belief) -> Belief:
    """The fresh belief where a session starts, the old one elsewhere."""
    if not starts.any():
        return old

    def pick(new: Any, kept: Any) -> Any:
        if isinstance(kept, Quotes):
            return Quotes(*map(pick, new, kept))
        return np.where(starts.reshape(-1, *(1,) * (new.ndim - 1)), new, kept)

    return Belief(*map(pick, fresh, old))
