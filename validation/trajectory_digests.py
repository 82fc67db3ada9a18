"""Digests of trajectories, to check that two versions of the code behave identically.

python -m validation.trajectory_digests

Two versions that print the same lines on the same machine behave identically. Each line is the
SHA-256 digest of 2,000 steps: observations, actions, rewards, ends and objectives. There is a line
with random quotes for every regime and task, and one for each maker in `agents/trained` in the
markets of its training. Lines of trained makers depend on the machine, because torch rounds
differently on different processors.
"""

import hashlib
from typing import Any

import gymnasium
import numpy as np

import mm_gym
from agents import TRAINED, make_agent

STEPS = 2_000
N_MARKETS = 4
REGIMES = (
    "noise",
    "imbalanced",
    "naive_informed",
    "informed",
    "dealer",
    "zero_intelligence",
    "mixed",
)


def random_quotes(regime: str | None = None, task: str | None = None) -> str:
    """The digest of uniform random quotes in a regime or a task."""
    named: dict[str, Any] = {"task": task} if task else {"regime": regime}
    envs = gymnasium.make_vec("MarketMaking-v0", num_envs=N_MARKETS, **named)
    actions = np.random.default_rng(7)
    return _digest(
        envs, lambda observations: actions.uniform(-1, 1, (N_MARKETS, 2)).astype(np.float32)
    )


def shipped_maker(name: str) -> str:
    """The digest of a maker that comes with the code."""
    envs = gymnasium.make_vec("MarketMaking-v0", num_envs=N_MARKETS, **_markets_of(name))
    agent = make_agent(f"trained/{name}", envs.unwrapped.config)  # type: ignore[attr-defined]
    state = None

    def act(observations: Any) -> Any:
        nonlocal state
        actions, state = agent.predict(observations, state, None, True)
        return actions

    return _digest(envs, act)


def _markets_of(name: str) -> dict[str, Any]:
    regime, _, percent = name.partition("_p")
    return {"regime": regime, "p_informed": int(percent) / 100} if percent else {"regime": regime}


def _digest(envs, act) -> str:  # type: ignore[no-untyped-def]
    digest = hashlib.sha256()
    observations, _ = envs.reset(seed=3)
    for _ in range(STEPS // N_MARKETS):
        actions = act(observations)
        observations, rewards, terminated, truncated, info = envs.step(actions)
        for values in (actions, observations, rewards, terminated, truncated, info["objective"]):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    for regime in REGIMES:
        print(f"{random_quotes(regime=regime)[:32]}  random quotes, regime {regime}")
    for task in mm_gym.TASKS:
        print(f"{random_quotes(task=task)[:32]}  random quotes, task {task}")
    for folder in sorted(path.name for path in TRAINED.iterdir() if path.is_dir()):
        print(f"{shipped_maker(folder)[:32]}  trained/{folder}")
