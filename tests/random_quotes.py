"""Actions from offsets in ticks, and sessions under random quotes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.actions import from_ticks

MAX_OFFSET = 15.0  # [ticks] of most regimes


def quote(bid: float, ask: float, max_offset: float = MAX_OFFSET) -> npt.NDArray[np.float32]:
    """The action with these offsets from the public mid [ticks]."""
    return from_ticks([bid, ask], max_offset)


def quote_near(
    generator: np.random.Generator,
    low: npt.ArrayLike = 0.0,
    high: npt.ArrayLike = 4.5,
    shape: tuple[int, ...] = (2,),
    max_offset: float = MAX_OFFSET,
) -> npt.NDArray[np.float32]:
    """Random actions of this shape with uniform offsets from `low` to `high` [ticks]."""
    return from_ticks(generator.uniform(low, high, shape), max_offset)


def play(env: Any, steps: int, seed: int | None = 0) -> list[dict[str, Any]]:
    """The infos of a session from `reset` on, under random actions near the mid."""
    generator = np.random.default_rng(99)
    infos = [env.reset(seed=seed)[1]]
    for _ in range(steps):
        *_, info = env.step(quote_near(generator))
        infos.append(info)
    return infos
