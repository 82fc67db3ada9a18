"""Sessions of one market under random quotes near the mid."""

from typing import Any

import numpy as np


def quote_near(generator: np.random.Generator) -> np.ndarray:
    """A random action with offsets of 0 to 4.5 of the default 15 ticks, so that there are fills."""
    return generator.uniform(-1.0, -0.4, 2).astype(np.float32)


def play(env: Any, steps: int, seed: int | None = 0) -> list[dict[str, Any]]:
    """The infos of a session, from reset on, under random actions near the mid."""
    generator = np.random.default_rng(99)
    infos = [env.reset(seed=seed)[1]]
    for _ in range(steps):
        *_, info = env.step(quote_near(generator))
        infos.append(info)
    return infos
