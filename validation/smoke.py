"""A smoke test of the installed package, with nothing but its own requirements.

python validation/smoke.py

`validation.versions` runs it in environments with the oldest and the newest allowed packages. It
prints one JSON object: the versions, and a digest of the trajectories of every regime. The digests
tell whether results depend on the versions. With torch installed, PPO learns for a few steps.
"""

import hashlib
import importlib.util
import json
import platform
import sys
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env

import mm_gym
from mm_gym.data import lobster
from mm_gym.data.simulation import record_market

STEPS = 200
N_MARKETS = 3
LIBRARIES = ("gymnasium", "numpy", "numba", "scipy", "stable_baselines3", "torch")


def main() -> dict[str, Any]:
    """Run every check, and return versions and digests."""
    # The oldest versions of other packages may call each other in ways that are deprecated.
    warnings.filterwarnings("error", category=DeprecationWarning, module="mm_gym")
    with tempfile.TemporaryDirectory() as folder:
        digests = {regime: _digest(regime) for regime in mm_gym.REGIMES}
        if importlib.util.find_spec("pyarrow") is not None:  # of the extra `data`
            digests["replay"] = _digest("replay", data=_recorded_day(Path(folder)), warm_up=0.0)
    _trade_in_the_book()
    learned = importlib.util.find_spec("torch") is not None
    if learned:
        _learn()
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "package": str(Path(mm_gym.__file__).parent),
        "learned": learned,
        "digests": digests,
    }


def _digest(regime: str, **fields: Any) -> str:
    """Check the environment of a regime, and return the digest of a session of each market."""
    fields = {"regime": regime, "session_steps": STEPS, **fields}
    single = gymnasium.make("MarketMaking-v0", **fields)
    check_env(single.unwrapped, skip_render_check=True)
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=N_MARKETS, **fields)
    digest = hashlib.sha256()
    random = np.random.default_rng(0)
    first, _ = single.reset(seed=3)
    observations, _ = batch.reset(seed=3)
    assert np.array_equal(first, observations[0])
    fills = 0
    for step in range(STEPS):
        actions = random.uniform(-1.0, 0.3, (N_MARKETS, 2)).astype(np.float32)
        observations, rewards, terminated, _, info = batch.step(actions)
        first, reward, ended, _, one = single.step(actions[0])
        assert np.array_equal(first, observations[0])
        assert reward == rewards[0]
        assert ended == terminated[0] == (step == STEPS - 1)
        assert np.isfinite(rewards).all()
        fills += int(info["fills"].sum())
        for values in (observations, rewards, info["objective"]):
            digest.update(np.ascontiguousarray(values).tobytes())
    assert fills > 0, f"no fill in {regime}"
    kept = single.unwrapped.snapshot()  # type: ignore[attr-defined]
    single.unwrapped.restore(kept)  # type: ignore[attr-defined]
    return digest.hexdigest()[:16]


def _recorded_day(folder: Path) -> str:
    """Write a simulated market as LOBSTER files."""
    path = folder / "day_message_5.csv"
    recording = record_market(mm_gym.configure("informed"), 400.0, seed=1, n_levels=5)
    lobster.write(recording, path, lobster.order_book_of(path))
    return str(path)


def _trade_in_the_book() -> None:
    book = mm_gym.LimitOrderBook()
    order, _ = book.submit("bid", 100, 2)
    assert book.market("ask", 1) == [(order, 100, 1)]


def _learn() -> None:
    from stable_baselines3 import PPO

    from mm_gym.sb3 import MarketMakingVecEnv

    model = PPO("MlpPolicy", MarketMakingVecEnv(2, "informed"), n_steps=32, batch_size=32, seed=0)
    model.learn(64)
    assert all(bool(weights.isfinite().all()) for weights in model.policy.parameters())


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
    print()
