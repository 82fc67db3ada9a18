"""A checkpoint, a pickle and a copy have the same future as the original environment."""

import copy
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from tests.random_quotes import quote_near

MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)
N = 5
# Every mechanism with state: quotes in flight, partial fills, a drawn flow, and a bias that flips.
FIELDS: dict[str, Any] = {
    "regime": "mixed", "session_steps": 25, "latency": 1.5, "quote_size": 3, "taker_rate": 3.0,
    "taker_size": 2.0, "imbalance_flip_rate": 0.1,
}  # fmt: skip


def single(**fields: Any) -> Any:
    return gymnasium.make("MarketMaking-v0", **{**FIELDS, **fields}).unwrapped


def batch(mode: AutoresetMode = AutoresetMode.NEXT_STEP, num_envs: int = N, **fields: Any) -> Any:
    made = gymnasium.make_vec(
        "MarketMaking-v0",
        num_envs=num_envs,
        autoreset_mode=mode,
        **{"max_episode_steps": 20, **FIELDS, **fields},
    )
    return made.unwrapped


def quotes(steps: int, shape: tuple[int, ...]) -> np.ndarray:
    return quote_near(np.random.default_rng(6), high=3.0, shape=(steps, *shape))


def play_single(env: Any, steps: int) -> list[Any]:
    """The results of a run. A reset without a seed follows each ended session."""
    seen: list[Any] = []
    for quote in quotes(steps, (2,)):
        try:
            observation, reward, terminated, truncated, info = env.step(quote)
        except ResetNeeded:
            observation, info = env.reset()
            reward, terminated, truncated = 0.0, False, False
        seen.append((observation.tobytes(), reward, terminated, truncated, info))
    return seen


def frozen(value: Any) -> Any:
    """Nested results as values that compare bit for bit."""
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    if isinstance(value, tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [frozen(item) for item in value]
    return value.tobytes() if isinstance(value, np.ndarray) else value


def play_batch(env: Any, steps: int) -> list[Any]:
    """The results of a run with some resets of every other market.

    With autoreset disabled, ended sessions are reset as well.
    """
    seen: list[Any] = []
    for number, quote in enumerate(quotes(steps, (env.num_envs, 2))):
        if env.autoreset_mode == AutoresetMode.DISABLED and env._ended.any():
            seen.append(frozen(env.reset(options={"reset_mask": env._ended.copy()})))
        if number % 11 == 7:
            seen.append(frozen(env.reset(options={"reset_mask": np.arange(env.num_envs) % 2 == 0})))
        seen.append(frozen(env.step(quote)))
    return seen


# ------------------------------------------------------------------------------------------- single


@pytest.mark.parametrize("steps_before", [0, 1, 10, 24, 25, 40])
def test_a_restored_market_repeats_its_future_through_the_ends_of_sessions(
    steps_before: int,
) -> None:
    """The checkpoint is taken right after a reset, within a session, or right after an end."""
    env = single()
    env.reset(seed=0)
    play_single(env, steps_before)
    checkpoint = env.snapshot()
    future = play_single(env, 70)
    assert sum(step[2] for step in future) >= 2
    assert sum(step[4]["fills"] for step in future) > 10
    for _ in range(2):
        env.restore(checkpoint)
        assert play_single(env, 70) == future
    other = single()
    other.reset(seed=123)
    play_single(other, 3)
    for restored in (other, single()):
        restored.restore(checkpoint)
        assert play_single(restored, 70) == future


def test_a_checkpoint_before_the_first_reset_needs_a_reset_too() -> None:
    env = single()
    checkpoint = env.snapshot()
    first = env.reset()[0]
    env.restore(checkpoint)
    with pytest.raises(ResetNeeded, match=r"expected a call of reset\(\) first"):
        env.step(np.zeros(2, np.float32))
    # The checkpoint holds the generator that seeds the next session.
    np.testing.assert_array_equal(env.reset()[0], first)


def test_the_ladder_is_restored_with_the_market() -> None:
    env = single(render_mode="ansi")
    env.reset(seed=0)
    play_single(env, 10)
    checkpoint, ladder = env.snapshot(), env.render()
    play_single(env, 10)
    assert env.render() != ladder
    env.restore(checkpoint)
    assert env.render() == ladder


def test_recorded_rows_are_restored_with_the_market() -> None:
    """The target is the environment after another session, or one that has recorded nothing."""
    env, other = single(record=1000, session_steps=60), single(record=1000, session_steps=60)
    env.reset(seed=0)
    play_single(env, 30)
    checkpoint = env.snapshot()
    play_single(env, 20)
    expected = [rows.tobytes() for rows in env.recorded()]
    assert len(env.recorded().fills) > 5
    env.reset(seed=1)
    play_single(env, 50)
    for restored in (env, other):
        restored.restore(checkpoint)
        play_single(restored, 20)
        assert [rows.tobytes() for rows in restored.recorded()] == expected


# -------------------------------------------------------------------------------------------- batch


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps_before", [0, 1, 19, 20, 21, 33])
def test_a_restored_batch_repeats_its_future_through_the_ends_of_sessions(
    steps_before: int, mode: AutoresetMode
) -> None:
    env = batch(mode)
    env.reset(seed=0)
    play_batch(env, steps_before)
    checkpoint = env.snapshot()
    future = play_batch(env, 50)
    for _ in range(2):
        env.restore(checkpoint)
        assert play_batch(env, 50) == future
    other = batch(mode)
    other.restore(checkpoint)
    assert play_batch(other, 50) == future


def test_a_checkpoint_right_after_a_reset_holds_its_observations() -> None:
    """A reset of some markets returns these observations for the other markets."""
    env = batch()
    first = env.reset(seed=0)[0]
    checkpoint = env.snapshot()
    env.step(quotes(1, (N, 2))[0])
    env.restore(checkpoint)
    some = np.arange(N) == 1
    np.testing.assert_array_equal(env.reset(options={"reset_mask": some})[0][~some], first[~some])


# --------------------------------------------------------------------------- checkpoints as values


@pytest.mark.parametrize("make", [single, batch])
def test_later_steps_do_not_change_a_checkpoint(make: Any) -> None:
    env = make()
    env.reset(seed=0)
    play = play_single if make is single else play_batch
    play(env, 5)
    checkpoint = env.snapshot()
    stored = pickle.dumps(checkpoint)
    future = play(env, 60)
    assert pickle.dumps(checkpoint) == stored
    env.restore(checkpoint)
    play(env, 60)
    assert pickle.dumps(checkpoint) == stored
    env.restore(pickle.loads(stored))
    assert play(env, 60) == future


def test_taking_a_checkpoint_does_not_change_the_future() -> None:
    futures = []
    for interrupted in (False, True):
        env = single()
        env.reset(seed=0)
        seen = []
        for _ in range(6):
            seen += play_single(env, 10)
            if interrupted:
                env.snapshot()
        futures.append(seen)
    assert futures[0] == futures[1]


COPIERS = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("copier", COPIERS)
@pytest.mark.parametrize("steps_before", [0, 10, 25])
def test_a_copied_environment_has_the_same_future_and_is_independent(
    copier: str, steps_before: int
) -> None:
    env = gymnasium.make("MarketMaking-v0", **FIELDS)
    env.reset(seed=0)
    play_single(env, steps_before)
    copied = COPIERS[copier](env)
    future = play_single(copied, 60)
    assert play_single(env, 60) == future
    assert copied.unwrapped.config == env.unwrapped.config
    assert copied.spec == env.spec


@pytest.mark.parametrize("copier", COPIERS)
def test_an_environment_copied_before_its_first_reset_starts_as_the_original_does(
    copier: str,
) -> None:
    env = gymnasium.make("MarketMaking-v0", render_mode="ansi", action="spread_skew", **FIELDS)
    copied = COPIERS[copier](env)
    np.testing.assert_array_equal(copied.reset(seed=3)[0], env.reset(seed=3)[0])
    assert play_single(copied, 40) == play_single(env, 40)
    assert copied.render() == env.render()


@pytest.mark.parametrize("copier", COPIERS)
@pytest.mark.parametrize("mode", MODES)
def test_a_copied_batch_has_the_same_future_and_is_independent(
    copier: str, mode: AutoresetMode
) -> None:
    env = batch(mode)
    fresh = COPIERS[copier](env)
    assert frozen(fresh.reset(seed=0)) == frozen(env.reset(seed=0))
    play_batch(env, 23)
    copied = COPIERS[copier](env)
    future = play_batch(copied, 50)
    assert play_batch(env, 50) == future


# ---------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("thing", [None, 3, b"snapshot", np.zeros(3), {"records": None}])
def test_a_value_that_is_not_a_snapshot_is_refused(thing: Any) -> None:
    for env in single(), batch():
        with pytest.raises(
            TypeError, match=r"is not a snapshot: expected what snapshot\(\) returned, got \w+$"
        ):
            env.restore(thing)


@pytest.mark.parametrize(
    "fields", [{"p_informed": 0.1}, {"quote_size": 2}, {"regime": "informed"}, {"latency": 1.0}]
)
def test_a_checkpoint_of_another_configuration_is_refused_and_changes_nothing(
    fields: dict[str, Any],
) -> None:
    for make in single, batch:
        env, other = make(), make(**fields)
        env.reset(seed=0)
        other.reset(seed=0)
        before = pickle.dumps(env.snapshot())
        with pytest.raises(
            ValueError,
            match=r"does not fit: expected one of an environment with the same arguments",
        ):
            env.restore(other.snapshot())
        assert pickle.dumps(env.snapshot()) == before


def test_a_checkpoint_of_another_number_of_markets_is_refused() -> None:
    with pytest.raises(ValueError, match=r"5 market\(s\), got 4 market\(s\)"):
        batch().restore(batch(num_envs=4).snapshot())


def test_a_single_market_and_a_batch_of_one_refuse_each_others_checkpoints() -> None:
    one, few = single(), batch(num_envs=1)
    one.reset(seed=0)
    few.reset(seed=1)
    for env, other in ((one, few), (few, one)):
        before = pickle.dumps(env.snapshot())
        with pytest.raises((TypeError, ValueError), match="snapshot"):
            env.restore(other.snapshot())
        assert pickle.dumps(env.snapshot()) == before
