"""Glosten and Milgrom (1985), Bid, ask and transaction prices: quotes at what the asset is worth to
who trades.

Their maker sets the ask to E[V | a buyer comes] and the bid to E[V | a seller comes]. Here V is
what the price will come to, V + edge s, and the expectation is over the exact posterior of the
signal s and of V (`signal_filter`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym import MarketConfig

from ..base import Observations, QuotingAgent, Range, Ticks, to_actions
from .fill_intensity import fill_decay_of
from .signal_filter import Belief, Quotes, SignalFilter


class ValueQuotingAgent(QuotingAgent):
    """Quotes a half-spread around what the asset is worth, and a skew against the inventory.

    bid offset = half_spread + skew q - worth to a seller, ask offset = half_spread - skew q + worth
    to a buyer, with both worths [ticks] from the public mid.

    Args:
        config: of the market.
        half_spread: [ticks]; by default 1 / `fill_decay_of` the market, the margin that is best
            without regard to risk.
        skew: [ticks / lot]
    """

    search_space = {"half_spread": Range(0.25, 15.0, log=True), "skew": Range(0.003, 3.0, log=True)}

    def __init__(
        self, config: MarketConfig, half_spread: float | None = None, skew: float = 0.2
    ) -> None:
        super().__init__(config)
        # Takers who pay any price would be asked the most that can be said.
        margin = 1.0 / max(fill_decay_of(config), 1.0 / config.max_offset)
        self.half_spread = margin if half_spread is None else half_spread
        self.skew = skew

    def quotes_around(
        self, observations: Observations, to_seller: Ticks, to_buyer: Ticks
    ) -> tuple[Ticks, Ticks]:
        """Bid and ask offset [ticks] for these worths, shape (n,) each."""
        shift = self.skew * self.inventory(observations)
        return self.half_spread + shift - to_seller, self.half_spread - shift + to_buyer

    def edge_left(self, observations: Observations) -> Ticks:
        """[ticks] Expected move until the close per unit of the signal, shape (n,)."""
        left = -np.expm1(-self.config.signal_decay_rate * self.time_left(observations))
        return np.asarray(self.config.edge_per_signal * left)


class GlostenMilgromAgent(ValueQuotingAgent):
    """Infers the signal from the tape and the mid, and quotes around what the asset is worth to who
    trades next.

    What it knows is the market's configuration; what it sees are the observations. The belief is
    the `state` that `predict` hands back: it has to be handed in again, or every decision is a
    session's first. Its parameters are those of `ValueQuotingAgent`.
    """

    name = "glosten_milgrom"

    def __init__(
        self, config: MarketConfig, half_spread: float | None = None, skew: float = 0.2
    ) -> None:
        super().__init__(config, half_spread, skew)
        self.filter = SignalFilter(config)

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """Actions of shape (n, 2) in [-1, 1], or (2,) for one observation, and the `Belief`."""
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
        """[ticks] What the asset is believed to be worth, from the public mid, shape (n,)."""
        return np.asarray((belief.weight * self._worth(belief)).sum(axis=(1, 2)))

    def quotes(self, belief: Belief) -> tuple[Ticks, Ticks]:
        """Bid and ask offset from the public mid [ticks] that go with a belief, shape (n,) each."""
        worth = self._worth(belief)
        to_buyer, to_seller = (
            (belief.weight * takers * worth).sum(axis=(1, 2))
            / (belief.weight * takers).sum(axis=(1, 2))
            for takers in self.filter.takers(belief, belief.quotes)
        )
        return self.quotes_around(belief.seen, to_seller, to_buyer)

    def _worth(self, belief: Belief) -> npt.NDArray[np.float64]:
        """[ticks] The same given flow and signal, shape (n, flows, signals)."""
        return np.asarray(
            belief.gap + self.edge_left(belief.seen)[:, None, None] * self.filter.signals
        )


def _choose(starts: npt.NDArray[np.bool_], fresh: Belief, old: Belief) -> Belief:
    """Row by row the fresh belief where a session starts."""
    if not starts.any():
        return old

    def pick(new: Any, kept: Any) -> Any:
        if isinstance(kept, Quotes):
            return Quotes(*map(pick, new, kept))
        return np.where(starts.reshape(-1, *(1,) * (new.ndim - 1)), new, kept)

    return Belief(*map(pick, fresh, old))
