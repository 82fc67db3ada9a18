"""Sessions with chosen quotes, and the book before each decision as plain dictionaries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from tests.random_quotes import quote

REGIMES = ("noise", "imbalanced", "naive_informed", "informed", "dealer", "mixed")
SIDES = ("bid", "ask")
ReadQueues = Callable[[Any, str], Any]


def started(seed: int = 0, **keywords: Any) -> Any:
    env = gymnasium.make(
        "MarketMaking-v0", **{"session_steps": 100_000, "record": 20_000, **keywords}
    ).unwrapped
    env.reset(seed=seed)
    return env


def to_action(env: Any, bid_offset: float, ask_offset: float) -> np.ndarray:
    """The action with these offsets [ticks], in float32 as a policy outputs it."""
    return quote(bid_offset, ask_offset, env.config.max_offset)


@dataclass(frozen=True)
class Book:
    """The book before a decision, read from the record, with the agent's own orders apart."""

    public: dict[str, dict[int, int]]  # side -> price -> lots
    own: dict[str, tuple[int, Any] | None]  # side -> (price, order)

    @property
    def best(self) -> dict[str, int | None]:
        """The best public prices."""
        return {
            "bid": max(self.public["bid"], default=None),
            "ask": min(self.public["ask"], default=None),
        }


def read_book(env: Any, read_queues: ReadQueues) -> Book:
    public: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
    own: dict[str, Any] = {"bid": None, "ask": None}
    for side in SIDES:
        for price, queue in read_queues(env._markets.records[0], side).items():
            for order in queue:
                if order.own:
                    assert own[side] is None, "two orders of the agent's on one side"
                    own[side] = (price, order)
                else:
                    public[side][price] = public[side].get(price, 0) + order.lots
    return Book(public, own)


def half_tick_offsets(
    env: Any, seed: int, steps: int, largest: float
) -> Iterator[tuple[float, float]]:
    """Random offsets in half ticks. Each is repeated three times, so that some quotes can stay."""
    generator = np.random.default_rng(seed)
    offsets = (0.0, 0.0)
    for step in range(steps):
        if step % 3 == 0:
            bid, ask = (
                generator.integers(0, int(2 * min(largest, env.config.max_offset)) + 1, 2) / 2
            )
            offsets = (float(bid), float(ask))
        yield offsets
