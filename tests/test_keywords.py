"""Unknown keywords raise a `TypeError` in Python's own words; bad values do not.

Libraries try a constructor with optional keywords. After a `TypeError` they try without them, and
some of them read the message.
"""

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import pytest

import mm_gym
from mm_gym import ConfigurationError
from mm_gym.config import configure
from mm_gym.errors import UnknownKeywordError
from mm_gym.sb3 import MarketMakingVecEnv

MAKERS: dict[str, Callable[..., Any]] = {
    "make": lambda **keywords: gymnasium.make("MarketMaking-v0", **keywords),
    "make with the module's name": lambda **keywords: gymnasium.make(
        "mm_gym:MarketMaking-v0", **keywords
    ),
    "make_vec": lambda **keywords: gymnasium.make_vec("MarketMaking-v0", num_envs=2, **keywords),
    "MarketMakingEnv": mm_gym.MarketMakingEnv,
    "MarketMakingVectorEnv": lambda **keywords: mm_gym.MarketMakingVectorEnv(2, **keywords),
    "MarketMakingVecEnv": lambda **keywords: MarketMakingVecEnv(2, **keywords),
    "configure": configure,
}

# Keywords that libraries, and environments written for them, pass to constructors.
PROBES: dict[str, tuple[str, Any]] = {
    "TorchRL: GymEnv": ("frameskip", 1),
    "Gym 0.26 and 0.29, nes-py": ("apply_api_compatibility", True),
    "Gym 0.25 to Gymnasium 0.29: make": ("autoreset", True),
    "Gym 0.25: make": ("new_step_api", True),
    "Dopamine, ALE: sticky actions": ("repeat_action_probability", 0.25),
    "ALE: make": ("full_action_space", True),
    "ALE: observation type": ("obs_type", "grayscale"),
    "Tianshou and EnvPool: Atari": ("frame_skip", 4),
    "EnvPool: make": ("env_type", "gymnasium"),
    "EnvPool: threads": ("num_threads", 4),
    "CleanRL: PPO on EnvPool": ("episodic_life", True),
    "CleanRL: rewards": ("reward_clip", True),
    "CleanRL: Procgen": ("distribution_mode", "easy"),
    "RLlib: environments take its env_config": ("config", {}),
    "skrl: Isaac Lab": ("cfg", None),
    "skrl: Isaac Gym": ("headless", True),
    "rl_zoo3: PyBullet": ("render", False),
    "rl_zoo3: panda-gym": ("renders", False),
    "PufferLib: constructors": ("buf", None),
    "Sample Factory: make_env": ("env_config", {}),
    "Gymnasium-Robotics: mazes": ("continuing_task", False),
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("probe", PROBES)
def test_an_unknown_keyword_is_a_type_error_in_pythons_words(probe: str, maker: str) -> None:
    name, value = PROBES[probe]
    with pytest.raises(TypeError) as raised:
        MAKERS[maker](**{name: value})

    def pythons_own() -> None: ...

    with pytest.raises(TypeError) as expected:
        pythons_own(**{name: value})
    words = str(expected.value).partition("() ")[2]  # got an unexpected keyword argument 'NAME'
    message = str(raised.value)
    assert f"() {words}" in message
    # Then what was expected, and a hint: the nearest field, or all fields.
    hint = message.partition(words)[2]
    assert re.match(
        r": expected .*(did you mean '\w+'\?|known are .*volatility.*)( was raised from .*)?$", hint
    ), hint
    assert isinstance(raised.value, UnknownKeywordError)
    # One `except` catches every wrong configuration.
    assert isinstance(raised.value, ConfigurationError)


@pytest.mark.parametrize(
    "maker", [name for name in MAKERS if name not in ("make", "make with the module's name")]
)
def test_only_make_and_the_vector_environment_take_a_time_limit(maker: str) -> None:
    """`max_episode_steps` is a keyword of `make`, `make_vec` and `MarketMakingVectorEnv`."""
    known = maker in ("make_vec", "MarketMakingVectorEnv")
    if known:
        assert MAKERS[maker](max_episode_steps=7).unwrapped.max_episode_steps == 7
        return
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'max_episode_steps'"):
        MAKERS[maker](max_episode_steps=7)


BAD_VALUES: list[dict[str, Any]] = [
    {"regime": "nois"},
    {"volatility": -1.0},
    {"volatility": "high"},
    {"session_steps": 0},
    {"reward": "sharpe"},
    {"sniping": 1},
    {"requote_threshold": -0.1},
    {"requote_threshold": None},
    {"reward_scale": 0.0},
    {"reward_scale": "1"},
    {"limit_order_rates": 3.0},
    {"regime": "noise", "p_informed": 0.5},
]
OF_ENVIRONMENTS: list[dict[str, Any]] = [
    {"action": "offset"},
    {"variance_reduction": 1},
    {"variance_reduction": None},
    {"variance_reduction": "yes"},
    {"variance_reduction": True, "unwinding_time": -1.0},
    {"variance_reduction": True, "unwinding_time": float("nan")},
    {"variance_reduction": True, "unwinding_time": float("inf")},
    {"variance_reduction": True, "unwinding_time": True},
    {"variance_reduction": True, "unwinding_time": "long"},
    {"unwinding_time": 10.0},  # has no effect without variance_reduction
]


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("keywords", [*BAD_VALUES, *OF_ENVIRONMENTS], ids=str)
def test_a_bad_value_of_a_known_keyword_is_a_configuration_error_and_no_type_error(
    keywords: dict[str, Any], maker: str
) -> None:
    if maker == "configure" and keywords in OF_ENVIRONMENTS:
        pytest.skip("not a keyword of a configuration")
    with pytest.raises(ConfigurationError) as raised:
        MAKERS[maker](**keywords)
    assert isinstance(raised.value, ValueError)
    assert not isinstance(raised.value, TypeError)
    assert any(name in str(raised.value) for name in keywords)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"variance_reduction": 1}, "variance_reduction is wrong: expected True or False, got 1"),
        (
            {"variance_reduction": True, "unwinding_time": -1.0},
            "unwinding_time is out of range: "
            "expected a number of seconds from 0 to 1e+09, got -1.0",
        ),
        (
            {"unwinding_time": 10.0},
            "unwinding_time=10 has no effect: "
            "expected variance_reduction=True beside it, got False",
        ),
    ],
)
def test_errors_say_what_is_wrong_what_was_expected_and_what_was_given(
    keywords: dict[str, Any], message: str
) -> None:
    for maker in ("make", "make_vec", "MarketMakingVecEnv"):
        with pytest.raises(ConfigurationError) as raised:
            MAKERS[maker](**keywords)
        assert str(raised.value) == message


def test_torchrls_probe_for_keywords_works() -> None:
    """Its `GymEnv` tries `frameskip`, and drops it if the message says that it is unknown."""
    keywords: dict[str, Any] = {"frameskip": 1, "regime": "informed"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):
        gymnasium.make("MarketMaking-v0", **keywords)
    del keywords["frameskip"]
    env: Any = gymnasium.make("MarketMaking-v0", **keywords)
    assert env.unwrapped.config.regime == "informed"


def test_all_environments_take_the_same_keywords() -> None:
    shared: dict[str, Any] = {
        "regime": "informed",
        "p_informed": 0.4,
        "action": "spread_skew",
        "variance_reduction": True,
        "unwinding_time": 12.0,
        "requote_threshold": 1.0,
        "reward_scale": 0.5,
    }
    for name, maker in MAKERS.items():
        if name != "configure":
            env = maker(**shared)
            config = env.config if isinstance(env, MarketMakingVecEnv) else env.unwrapped.config
            assert (config.p_informed, config.requote_threshold, config.reward_scale) == (
                0.4,
                1.0,
                0.5,
            )
