"""Rendering never changes a run: trajectories with and without it are equal, in every regime."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from mm_gym import REGIMES
from tests.rendering.kit import MODES

SESSION = 8  # decisions
N_STEPS = 20  # over two ends of sessions


def actions(n: int) -> Any:
    """Return quotes for `n` markets at every step."""
    generator = np.random.default_rng(0)
    return generator.uniform(-1.0, -0.6, (N_STEPS, n, 2)).astype(np.float32)


def assert_equal(ours: Any, theirs: Any) -> None:
    """Assert that two nests of tuples, lists, dictionaries and arrays hold the same numbers."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(ours, (tuple, list)):
        for one, other in zip(ours, theirs, strict=True):
            assert_equal(one, other)
    else:
        np.testing.assert_array_equal(ours, theirs)


def records(env: Any) -> bytes:
    """Return the whole state of the markets."""
    state: bytes = env.unwrapped._markets.records.tobytes()
    return state


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("regime", REGIMES)
def test_one_market_runs_the_same_with_and_without_rendering(regime: str, mode: str) -> None:
    market: dict[str, Any] = {"regime": regime, "session_steps": SESSION}
    plain = gymnasium.make("MarketMaking-v0", **market)
    drawn = gymnasium.make("MarketMaking-v0", **market, render_mode=mode)
    assert_equal(drawn.reset(seed=3), plain.reset(seed=3))
    for action in actions(1)[:, 0]:
        drawn.render()
        ours, theirs = drawn.step(action), plain.step(action)
        assert_equal(ours, theirs)
        assert records(drawn) == records(plain)
        if theirs[2]:
            drawn.render()
            assert_equal(drawn.reset(), plain.reset())
    drawn.close()


@pytest.mark.parametrize("mode", ["rgb_array", "ansi"])
@pytest.mark.parametrize("regime", REGIMES)
def test_a_batch_runs_the_same_with_and_without_rendering(regime: str, mode: str) -> None:
    market: dict[str, Any] = {"num_envs": 2, "regime": regime, "session_steps": SESSION}
    plain = gymnasium.make_vec("MarketMaking-v0", **market)
    drawn = gymnasium.make_vec("MarketMaking-v0", **market, render_mode=mode)
    assert_equal(drawn.reset(seed=3), plain.reset(seed=3))
    for pair in actions(2):
        drawn.render()
        assert_equal(drawn.step(pair), plain.step(pair))
        assert records(drawn) == records(plain)


@pytest.mark.parametrize("regime", REGIMES)
def test_a_batch_of_stable_baselines3_runs_the_same_with_and_without_rendering(regime: str) -> None:
    sb3 = pytest.importorskip("mm_gym.sb3")
    market: dict[str, Any] = {"regime": regime, "session_steps": SESSION}
    plain = sb3.MarketMakingVecEnv(2, **market)
    drawn = sb3.MarketMakingVecEnv(2, **market, render_mode="rgb_array")
    for batch in (plain, drawn):
        batch.seed(3)
    assert_equal(drawn.reset(), plain.reset())
    for pair in actions(2):
        drawn.get_images()
        (*ours, our_infos), (*theirs, their_infos) = drawn.step(pair), plain.step(pair)
        assert_equal(ours, theirs)
        for one, other in zip(our_infos, their_infos, strict=True):
            if "episode" in other:  # it holds the wall time
                assert one.pop("episode")["r"] == other.pop("episode")["r"]
            assert_equal(one, other)
        assert drawn._markets.records.tobytes() == plain._markets.records.tobytes()


def test_a_batch_has_one_text_per_market_as_single_environments_have() -> None:
    market: dict[str, Any] = {"regime": "mixed", "session_steps": SESSION, "render_mode": "ansi"}
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=3, **market)
    singles = [gymnasium.make("MarketMaking-v0", **market) for _ in range(3)]
    batch.reset(seed=7)
    for number, single in enumerate(singles):
        single.reset(seed=7 + number)
    for row in actions(3)[:SESSION]:
        batch.step(row)
        for single, action in zip(singles, row, strict=True):
            single.step(action)
        texts = batch.render()
        assert isinstance(texts, tuple)
        assert list(texts) == [single.render() for single in singles]
        assert len(set(texts)) == 3
    assert batch.call("render") == batch.render()  # type: ignore[attr-defined]
