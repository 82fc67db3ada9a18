"""`reset(options={"config": {...}})` overrides fields of the configuration for one episode."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import mm_gym
from mm_gym import ConfigurationError
from mm_gym.sb3 import MarketMakingVecEnv
from tests.random_quotes import quote_near

N = 6
SESSION = 12
OVERRIDES: list[dict[str, Any]] = [
    {"volatility": 2.0},
    {"taker_rate": 3.0, "quote_size": 3, "latency": 0.5},
    {"session_steps": 5, "requote_threshold": 2.0},
    {"regime": "informed"},
    {"regime": "dealer", "taker_rate": 2.0},
    {"decision_interval": 0.5, "warm_up": 3.0, "inventory_penalty": 0.1},
    {},
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"confg": {}}, r"reset option 'confg' is unknown: expected 'config'"),
    (
        {"config": {"volatilty": 1.0}},
        r"config\['volatilty'\] is unknown: expected a field .*; did you mean 'volatility'\?",
    ),
    (
        {"config": {"zzz": 1.0}},
        r"config\['zzz'\] is unknown: expected a field.*known are .*volatility",
    ),
    ({"config": {"volatility": -1.0}}, r"volatility=-1.0 is out of range"),
    ({"config": {"p_informed": 0.4}}, r"p_informed=0.4 contradicts regime 'noise'"),
    ({"config": {"regime": "nois"}}, r"regime 'nois' is unknown: .*; did you mean 'noise'"),
    (
        {"config": {"max_offset": 4.0}},
        r"config\['max_offset'\] cannot change.*expected 15.0, got 4.0",
    ),
    (
        {"config": {"reward_scale": 1.0}},
        r"config\['reward_scale'\] cannot change.*expected 0.1, got 1.0",
    ),
    ({"config": {"regime": "dealer", "max_offset": 4.0}}, r"config\['max_offset'\] cannot change"),
    (
        {"config": {"maker_rate": 30.0}},
        r"'config' needs a larger book .*: expected makers with room for 256 .* room for 4096",
    ),
    ({"config": 3}, r"reset option 'config' is wrong: expected a dictionary .*, got 3"),
    ({"config": ["volatility"]}, r"reset option 'config' is wrong: expected a dictionary"),
]


def single(**fields: Any) -> Any:
    return gymnasium.make(
        "MarketMaking-v0", **{"session_steps": SESSION, "taker_rate": 2.0, **fields}
    ).unwrapped


def batch(**fields: Any) -> Any:
    keywords = {"session_steps": SESSION, "taker_rate": 2.0, **fields}
    return gymnasium.make_vec("MarketMaking-v0", num_envs=N, **keywords).unwrapped


def session_of(env: Any, first: tuple[Any, dict[str, Any]]) -> list[Any]:
    """The results from `reset` (`first`) to the end, as bytes and plain values."""
    generator = np.random.default_rng(3)
    seen: list[Any] = [(first[0].tobytes(), first[1])]
    ended = False
    while not ended:
        observation, reward, ended, truncated, info = env.step(quote_near(generator))
        seen.append((observation.tobytes(), reward, ended, truncated, info))
    return seen


@pytest.mark.parametrize("overrides", OVERRIDES, ids=str)
def test_overrides_hold_for_one_episode_and_the_next_one_has_the_environments_own_fields(
    overrides: dict[str, Any],
) -> None:
    env, plain, made = single(), single(), single(**overrides)
    overridden = session_of(env, env.reset(seed=5, options={"config": overrides}))
    assert env.config == made.config
    assert overridden == session_of(made, made.reset(seed=5))
    assert len(overridden) == overrides.get("session_steps", SESSION) + 1
    # The next episodes are the same as without the overridden one.
    first = session_of(plain, plain.reset(seed=5))
    assert (first == overridden) == (overrides == {})
    for options in (None, {}, {"config": None}):
        assert session_of(env, env.reset(options=options)) == session_of(plain, plain.reset())
        assert env.config == plain.config


def test_the_attribute_config_is_that_of_the_episode() -> None:
    env = gymnasium.make("MarketMaking-v0", regime="informed", p_informed=0.2)
    base = env.unwrapped.config
    env.reset(seed=0, options={"config": {"p_informed": 0.9}})
    assert env.unwrapped.config == mm_gym.configure("informed", p_informed=0.9)
    env.reset()
    assert env.unwrapped.config == base == mm_gym.configure("informed", p_informed=0.2)


def test_another_regime_has_its_own_values_and_keeps_the_environments_fields() -> None:
    env = gymnasium.make("MarketMaking-v0", regime="noise", taker_rate=2.0)
    env.reset(seed=0, options={"config": {"regime": "zero_intelligence", "session_steps": 7}})
    units = {"max_offset": 15.0, "reward_scale": 0.1}  # the environment keeps its units
    expected = mm_gym.configure("zero_intelligence", taker_rate=2.0, session_steps=7, **units)
    assert env.unwrapped.config == expected


def test_a_unit_may_be_given_with_its_present_value() -> None:
    env = single()
    env.reset(
        seed=0, options={"config": {"max_offset": 15.0, "reward_scale": 0.1, "volatility": 1.0}}
    )
    assert env.config.volatility == 1.0


@pytest.mark.parametrize(("options", "message"), BAD, ids=str)
def test_bad_options_are_refused_and_change_nothing(options: dict[str, Any], message: str) -> None:
    env, other = single(), single()
    vector, other_vector = batch(), batch()
    venv, other_venv = (
        MarketMakingVecEnv(N, session_steps=SESSION, taker_rate=2.0) for _ in range(2)
    )
    generator = np.random.default_rng(0)
    env.reset(seed=1), other.reset(seed=1)
    vector.reset(seed=1), other_vector.reset(seed=1)
    for one in (venv, other_venv):
        one.seed(1)
        one.reset()
    quotes = quote_near(generator, shape=(N, 2))
    for one in (vector, other_vector, venv, other_venv):
        one.step(quotes)
    with pytest.raises(ConfigurationError, match=message):
        env.reset(seed=9, options=options)
    with pytest.raises(
        ConfigurationError, match=message.replace("expected 'config'", "expected 'config' or ")
    ):
        vector.reset(seed=9, options=options)
    venv.seed(9)
    venv.set_options(options)
    with pytest.raises(ConfigurationError, match=message):
        venv.reset()
    # All three environments continue as if the reset had not been tried.
    assert session_of(env, (np.zeros(0), {})) == session_of(other, (np.zeros(0), {}))
    assert env.config == other.config
    assert session_of(env, env.reset()) == session_of(other, other.reset())
    for _ in range(2 * SESSION):
        quotes = quote_near(generator, shape=(N, 2))
        for ours, theirs in ((vector, other_vector), (venv, other_venv)):
            for a, b in zip(ours.step(quotes)[:3], theirs.step(quotes)[:3], strict=True):
                np.testing.assert_array_equal(a, b)
    # The VecEnv keeps the seeds and drops the refused options.
    other_venv.seed(9)
    np.testing.assert_array_equal(venv.reset(), other_venv.reset())


# ------------------------------------------------------------------------------------- many markets


def assert_same(ours: Any, theirs: Any) -> None:
    """Nested results are equal bit for bit."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, tuple) or (isinstance(ours, np.ndarray) and ours.dtype == object):
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("overrides", [OVERRIDES[1], OVERRIDES[2], OVERRIDES[4]], ids=str)
@pytest.mark.parametrize("mode", AutoresetMode)
def test_the_batch_overrides_as_gymnasiums_sync_vector_env_does(
    mode: AutoresetMode, overrides: dict[str, Any]
) -> None:
    """With and without a mask, through ends of episodes."""
    ours = batch(autoreset_mode=mode)
    theirs = SyncVectorEnv([single] * N, autoreset_mode=mode)
    some = np.array([True, False, True, True, False, False])
    generator = np.random.default_rng(2)

    def reset_both(seed: int | None, **options: Any) -> None:
        copies = [
            {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in options.items()}
            for _ in range(2)
        ]
        assert_same(
            ours.reset(seed=seed, options=copies[0]), theirs.reset(seed=seed, options=copies[1])
        )

    def play(steps: int) -> int:
        ends = 0
        for _ in range(steps):
            actions = quote_near(generator, shape=(N, 2))
            results = ours.step(actions)
            assert_same(results, theirs.step(actions))
            ended = results[2] | results[3]
            ends += int(ended.sum())
            if mode == AutoresetMode.DISABLED and ended.any():
                reset_both(None, reset_mask=ended)
        return ends

    reset_both(3, config=overrides)
    assert play(2 * SESSION) >= N
    reset_both(None, config=overrides, reset_mask=some)
    assert play(2 * SESSION) >= N
    reset_both(None)
    assert play(SESSION) >= N
    assert ours.config == single().config


def test_a_mask_chooses_whose_episode_is_overridden() -> None:
    env = batch()
    env.reset(seed=0)
    some = np.array([False, True, False, False, True, False])
    env.reset(options={"config": {"session_steps": 3}, "reset_mask": some})
    for step in range(1, 4):
        ended = env.step(np.ones((N, 2), np.float32))[2]
        np.testing.assert_array_equal(ended, some if step == 3 else np.zeros(N, np.bool_))


def test_set_options_of_the_vec_env_hold_for_one_episode_of_each_chosen_market() -> None:
    fields: dict[str, Any] = {"session_steps": SESSION, "taker_rate": 2.0}
    venv, plain = (MarketMakingVecEnv(N, **fields) for _ in range(2))
    loud = MarketMakingVecEnv(N, **(fields | {"volatility": 4.0}))
    for one in (venv, plain, loud):
        one.seed(4)
    # One dictionary per market: every other market is overridden.
    venv.set_options([{"config": {"volatility": 4.0}} if market % 2 else {} for market in range(N)])
    odd = np.arange(N) % 2 == 1
    seen, of_plain, of_loud = venv.reset(), plain.reset(), loud.reset()
    np.testing.assert_array_equal(seen, np.where(odd[:, None], of_loud, of_plain))
    generator = np.random.default_rng(0)
    for step in range(1, 3 * SESSION):
        quotes = quote_near(generator, shape=(N, 2))
        (seen, paid, *_), (of_plain, paid_plain, *_), (of_loud, paid_loud, *_) = (
            one.step(quotes) for one in (venv, plain, loud)
        )
        # After the first end, all markets have their own configuration again.
        overridden = odd & (step < SESSION)
        np.testing.assert_array_equal(seen, np.where(overridden[:, None], of_loud, of_plain))
        np.testing.assert_array_equal(
            paid, np.where(odd & (step <= SESSION), paid_loud, paid_plain)
        )
    # One dictionary for all markets, then a reset without options.
    for one in (venv, loud, plain):
        one.seed(8)
    venv.set_options({"config": {"volatility": 4.0}})
    np.testing.assert_array_equal(venv.reset(), loud.reset())
    venv.seed(8)
    np.testing.assert_array_equal(venv.reset(), plain.reset())


def test_staggered_markets_refuse_overrides_and_continue() -> None:
    """`reset` restarts staggered markets several times, so one session's override would be lost."""
    venv = MarketMakingVecEnv(N, session_steps=SESSION, staggered=True)
    venv.set_options({"config": {"volatility": 4.0}})
    with pytest.raises(
        ConfigurationError,
        match=r"no effect on staggered markets: expected staggered=False, got True",
    ):
        venv.reset()
    venv.reset()


# -------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_within_an_overridden_episode_restores_its_configuration() -> None:
    env, other = single(), single()
    for one in (env, other):
        one.reset(seed=2, options={"config": {"volatility": 3.0, "session_steps": 8}})
        one.step(np.zeros(2, np.float32))
    checkpoint = env.snapshot()
    overridden = env.config
    env.reset()  # an ordinary episode
    for _ in range(3):
        env.step(np.zeros(2, np.float32))
    assert env.config != overridden
    env.restore(checkpoint)
    assert env.config == overridden == other.config
    for _ in range(2):  # the rest of the episode, and the ordinary one after it
        assert session_of(env, (np.zeros(0), {})) == session_of(other, (np.zeros(0), {}))
        first = env.reset()
        theirs = other.reset()
        assert first[1] == theirs[1]
        assert env.config == other.config == single().config


def test_an_ordinary_checkpoint_ends_an_overridden_episode() -> None:
    env, plain = single(), single()
    env.reset(seed=2), plain.reset(seed=2)
    checkpoint = env.snapshot()
    env.reset(seed=3, options={"config": {"volatility": 3.0}})
    env.restore(checkpoint)
    assert env.config == plain.config
    assert session_of(env, (np.zeros(0), {})) == session_of(plain, (np.zeros(0), {}))
    assert session_of(env, env.reset()) == session_of(plain, plain.reset())


def test_a_checkpoint_of_a_batch_keeps_which_markets_are_overridden() -> None:
    some = np.array([True, False, False, True, False, False])
    env, other = batch(), batch()
    for one in (env, other):
        one.reset(seed=0)
        one.reset(options={"config": {"volatility": 3.0}, "reset_mask": some})
    checkpoint = env.snapshot()
    env.reset()
    env.restore(checkpoint)
    generator = np.random.default_rng(1)
    for _ in range(2 * SESSION):
        actions = quote_near(generator, shape=(N, 2))
        assert_same(env.step(actions), other.step(actions))
