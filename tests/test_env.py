"""The single environment: Gymnasium's checker, the docstring, errors, seeds and hidden state."""

import hashlib
import inspect
import json
import math
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import mm_gym
from mm_gym import MarketMakingEnv
from tests.random_quotes import play, quote_near

ROOT = Path(__file__).resolve().parent.parent
REGIMES = ("noise", "imbalanced", "naive_informed", "informed", "dealer", "mixed")
ACTION_FORMATS = ("offsets", "spread_skew", "discrete")
INFO_TYPES = {
    "pnl": np.float64,
    "cash": np.float64,
    "inventory": np.int64,
    "mid": np.float64,
    "spread": np.float64,
    "efficient_price": np.float64,
    "signal": np.float64,
    "fills": np.int64,
    "objective": np.float64,
    "reward_wealth": np.float64,
    "reward_risk": np.float64,
    "reward_close_out": np.float64,
}


# ----------------------------------------------------------------------------- Gymnasium's checker


@pytest.mark.parametrize("action_format", ACTION_FORMATS)
@pytest.mark.parametrize(
    "regime, render_mode",
    [
        *((regime, None) for regime in REGIMES),
        *(("mixed", mode) for mode in MarketMakingEnv.metadata["render_modes"]),
    ],
)
def test_check_env_passes_without_a_warning(
    regime: str, action_format: str, render_mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The mode `human` waits between frames.
    monkeypatch.setitem(MarketMakingEnv.metadata, "render_fps", 1000)
    made = gymnasium.make(
        "MarketMaking-v0", regime=regime, action=action_format, render_mode=render_mode
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made.unwrapped)
        # Users have the wrapped environment. The checker may only remark that it is wrapped.
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        check_env(made)


@pytest.mark.parametrize("action_format", ACTION_FORMATS)
@pytest.mark.parametrize("regime", REGIMES)
def test_whole_sessions_pass_the_passive_wrappers_and_stay_inside_the_space(
    regime: str, action_format: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(
            "MarketMaking-v0", regime=regime, action=action_format, session_steps=50
        )
        env.action_space.seed(5)
        for seed in range(4):
            observation, _ = env.reset(seed=seed)
            ended = False
            while not ended:
                assert observation in env.observation_space
                observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
                assert type(reward) is float
                assert type(terminated) is bool
                assert type(truncated) is bool
                ended = terminated or truncated


def test_make_passes_on_the_message_for_an_unknown_regime_or_keyword() -> None:
    with pytest.raises(
        mm_gym.ConfigurationError, match=r"regime 'nois' is unknown: .*; did you mean 'noise'\?"
    ):
        gymnasium.make("MarketMaking-v0", regime="nois")
    with pytest.raises(
        mm_gym.ConfigurationError, match=r"argument 'p_inform'.*did you mean 'p_informed'\?"
    ):
        gymnasium.make("MarketMaking-v0", p_inform=0.3)


@pytest.mark.parametrize("record", [-1, 1.5, "all", True])
def test_a_wrong_record_is_refused(record: Any) -> None:
    message = f"record={record!r} is out of range: expected a whole number of fills, .* {record!r}"
    with pytest.raises(mm_gym.ConfigurationError, match=message):
        gymnasium.make("MarketMaking-v0", record=record)


def test_recorded_is_refused_without_record_and_a_full_recorder_states_the_size_it_needs() -> None:
    env = gymnasium.make("MarketMaking-v0").unwrapped
    play(env, 5)
    with pytest.raises(ValueError, match=r"nothing is recorded: expected .*, got record=0 \(write"):
        env.recorded()
    env = gymnasium.make("MarketMaking-v0", record=2, taker_rate=3.0).unwrapped
    play(env, 60)
    with pytest.raises(
        ValueError, match=r"recorder is full: expected at most 2 fills and 20 path rows, got "
    ) as raised:
        env.recorded()
    suggested = re.search(r"\(write record=(\d+) or more\)$", str(raised.value))
    assert suggested is not None
    env = gymnasium.make("MarketMaking-v0", record=int(suggested[1]), taker_rate=3.0).unwrapped
    infos = play(env, 60)
    assert len(env.recorded().fills) == sum(info["fills"] for info in infos) > 2


def test_recording_changes_no_result_and_recorded_returns_copies() -> None:
    plain = play(gymnasium.make("MarketMaking-v0"), 100)
    env = gymnasium.make("MarketMaking-v0", record=1000).unwrapped
    assert play(env, 100) == plain
    recorded = env.recorded()
    stored = [rows.tobytes() for rows in recorded]
    play(env, 100, seed=1)
    assert [rows.tobytes() for rows in recorded] == stored
    assert [rows.tobytes() for rows in env.recorded()] != stored


# -------------------------------------------------------------------------- the docstring as manual


def test_the_table_in_the_docstring_is_the_observation_space() -> None:
    assert MarketMakingEnv.__doc__ is not None
    section = MarketMakingEnv.__doc__.split("## Observation space")[1].split("##")[0]
    rows = re.findall(
        r"^ *\| (\d+) \| ([a-z_]+) \| [^|]+ \| [^|]+ \| (\S+) to (\S+) \|$", section, re.MULTILINE
    )
    space = gymnasium.make("MarketMaking-v0").observation_space
    assert isinstance(space, gymnasium.spaces.Box)
    assert [int(index) for index, *_ in rows] == list(range(space.shape[0]))
    assert tuple(name for _, name, *_ in rows) == mm_gym.OBSERVATION_NAMES
    np.testing.assert_array_equal([float(low) for *_, low, _ in rows], space.low)
    np.testing.assert_array_equal([float(high) for *_, high in rows], space.high)
    assert space.dtype == np.float32


def test_the_docstring_has_the_sections_of_gymnasiums_environments() -> None:
    assert re.findall(r"^ *## (.+)$", str(MarketMakingEnv.__doc__), re.MULTILINE) == [
        "Description",
        "Action space",
        "Observation space",
        "Rewards",
        "Info",
        "Starting state",
        "Episode end",
        "Arguments",
        "Version history",
    ]


def test_the_docstring_names_every_key_of_info_and_every_argument() -> None:
    docstring = str(MarketMakingEnv.__doc__)
    info = docstring.split("## Info")[1].split("##")[0]
    cells = re.findall(r"^ *\| ([a-z_, ]+) \|", info, re.MULTILINE)
    assert {key for cell in cells for key in cell.split(", ")} == {"key", *INFO_TYPES}
    arguments = re.findall(
        r"^ {8}(\w+):", docstring.split("## Arguments")[1].split("Raises:")[0], re.MULTILINE
    )
    assert [*arguments, "fields"] == list(inspect.signature(MarketMakingEnv).parameters)


@pytest.mark.parametrize("regime", REGIMES)
def test_info_has_every_documented_key_as_numpy_scalars(regime: str) -> None:
    """Some libraries read the `dtype` of values, and `item()` converts them for JSON."""
    for info in play(gymnasium.make("MarketMaking-v0", regime=regime), 20):
        assert {key: type(value) for key, value in info.items()} == INFO_TYPES
        plain = {key: value.item() for key, value in info.items()}
        assert json.loads(json.dumps(plain)) == plain == info


# Extreme values, except for those that cause billions of events.
CORNERS: dict[str, list[Any]] = {
    "decision_interval": [1e-3, 0.1, 30.0], "session_steps": [1, 7, 60], "warm_up": [0.0, 0.5],
    "latency": [1e-6, 5.0], "initial_price": [0.3, -5e8, 5e8], "volatility": [0.0, 1e5],
    "signal_drift": [0.0, 1e3], "signal_half_life": [1e-6, 1e12], "value_interval": [0.01, 1e3],
    "taker_rate": [0.0, 50.0], "signal_threshold": [0.0, 5.0], "informed_price_limit": [False],
    "taker_tolerance": [0.0, 1e6, math.inf], "taker_size": [1.0001, 1e6],
    "naive_taker_size": [1.0, 1e6], "maker_rate": [0.0, 19.0], "maker_cancel_rate": [0.3, 100.0],
    "maker_depth": [0.0, 0.1, 1e6], "maker_size": [3.0, 1e6], "sniping": [True],
    "quote_size": [3, 10**6], "max_inventory": [1, 5, 10**9], "max_offset": [0.1, 1e6],
    "requote_threshold": [0.0, 2.5], "maker_fee": [-1e6, 0.1], "reward_scale": [1e-3, 1.0],
    "close_out_impact": [0.1], "reward": ["pnl", "dampened"],
}  # fmt: skip


@pytest.mark.parametrize("regime", REGIMES)
def test_every_configuration_stays_inside_the_observation_space(regime: str) -> None:
    generator = np.random.default_rng(13)
    for _ in range(60):
        chosen = [name for name in CORNERS if generator.random() < 0.4]
        fields = {name: CORNERS[name][generator.integers(len(CORNERS[name]))] for name in chosen}
        if fields.get("latency", 0.0) > 63.0 * fields.get("decision_interval", 1.0):
            del fields["latency"]
        env = gymnasium.make("MarketMaking-v0", regime=regime, **fields).unwrapped
        observation, info = env.reset(seed=int(generator.integers(1000)))
        for _ in range(40):
            assert observation in env.observation_space, fields
            observation, reward, terminated, _, info = env.step(
                generator.uniform(-1.5, 1.0, 2).astype(np.float32)
            )
            assert all(map(math.isfinite, (reward, *info.values()))), fields
            assert abs(info["inventory"]) <= env.config.max_inventory
            if terminated:
                observation, info = env.reset()


@pytest.mark.parametrize("session_steps", [1, 2, 37])
def test_a_session_is_terminated_after_session_steps_decisions_and_never_truncated(
    session_steps: int,
) -> None:
    env = gymnasium.make("MarketMaking-v0", session_steps=session_steps)
    for seed in range(3):
        env.reset(seed=seed)
        ends = [env.step(env.action_space.sample())[2:4] for _ in range(session_steps)]
        assert ends == [(False, False)] * (session_steps - 1) + [(True, False)]


def test_a_time_limit_wrapper_truncates() -> None:
    env = gymnasium.make("MarketMaking-v0", session_steps=10, max_episode_steps=7)
    env.reset(seed=0)
    steps = [env.step(env.action_space.sample()) for _ in range(7)]
    assert [step[2:4] for step in steps] == [(False, False)] * 6 + [(False, True)]
    # The market does not know the limit: time is left, and the position is not closed out.
    assert steps[-1][0][mm_gym.OBSERVATION_NAMES.index("time_left")] == np.float32(0.3)
    assert steps[-1][4]["reward_close_out"] == 0.0


def test_a_step_outside_a_session_is_refused() -> None:
    env = gymnasium.make("MarketMaking-v0", session_steps=2).unwrapped
    quote = np.zeros(2, np.float32)
    message = r"no session is running: expected a call of reset\(\) first, got step\(\)"
    with pytest.raises(ResetNeeded, match=message):
        env.step(quote)
    env.reset(seed=0)
    env.step(quote)
    env.step(quote)
    for _ in range(2):
        with pytest.raises(ResetNeeded, match=message):
            env.step(quote)
    env.reset()
    env.step(quote)


@pytest.mark.parametrize(
    "action",
    [[0.0], [0.0, 0.0, 0.0], 0.0, [[0.0, 0.0]], [math.nan, 0.0], [0.0, math.inf], None, "wide"],
)
def test_an_action_of_a_wrong_shape_or_number_is_refused_and_changes_nothing(action: Any) -> None:
    env = gymnasium.make("MarketMaking-v0").unwrapped
    env.reset(seed=0)
    before = env._markets.records.tobytes()
    with pytest.raises(ValueError, match=r"action.*(shape|finite|numbers): expected .*, got .*"):
        env.step(action)
    assert env._markets.records.tobytes() == before


# -------------------------------------------------------------------------------------------- seeds

RUN_AND_DIGEST = """
import hashlib, sys, gymnasium, numpy as np
for seed in map(int, sys.argv[1:]):
    env = gymnasium.make("mm_gym:MarketMaking-v0", regime="mixed", session_steps=60)
    generator, digest = np.random.default_rng(11), hashlib.sha256()
    observation, info = env.reset(seed=seed)
    for step in range(150):
        action = generator.uniform(-1, 1, 2).astype(np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        digest.update(observation.tobytes() + repr((reward, terminated, truncated, info)).encode())
        if terminated:
            env.reset()
    print(digest.hexdigest())
"""


def test_equal_seeds_give_equal_runs_in_different_processes() -> None:
    """Two sessions end in each run. The processes import mm_gym only by the name in `make`."""

    def digests_of(*seeds: int, hash_seed: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", RUN_AND_DIGEST, *map(str, seeds)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    zero, one = digests_of(0, 1, hash_seed="1")
    assert len(zero) == hashlib.sha256().digest_size * 2
    assert digests_of(0, hash_seed="2") == [zero]
    assert one != zero


def test_seed_zero_is_a_seed_like_any_other() -> None:
    env, other = gymnasium.make("MarketMaking-v0"), gymnasium.make("MarketMaking-v0")
    zero = play(env, 50, seed=0)
    assert play(env, 50, seed=0) == zero
    assert play(other, 50, seed=0) == zero
    assert play(other, 50, seed=1) != zero
    # Without a seed the generator continues with another session. It is the same one in every
    # environment with the same first seed.
    play(env, 1, seed=0)
    following = play(env, 50, seed=None)
    assert following != zero
    play(other, 1, seed=0)
    assert play(other, 50, seed=None) == following
    # An environment without any seed does not use the seed 0.
    assert play(gymnasium.make("MarketMaking-v0"), 50, seed=None) != zero
    fresh = [play(gymnasium.make("MarketMaking-v0"), 50, seed=None) for _ in range(2)]
    assert fresh[0] != fresh[1]


def test_the_random_streams_of_a_market_are_different() -> None:
    env = gymnasium.make("MarketMaking-v0").unwrapped
    names = [name for name in env._markets.records.dtype.names if name.endswith("_words")]
    assert {"value_words", "taker_words", "maker_words"} <= set(names)
    streams = set()
    for seed in range(4):
        env.reset(seed=seed)
        # The last of the four words is a counter.
        streams |= {tuple(env._markets.records[0][name][:3].tolist()) for name in names}
    assert len(streams) == 4 * len(names)


# ------------------------------------------------------------------------------------- hidden state


def freeze(market: Any) -> None:
    """Stop all events except the agent's actions."""
    for clock in ("next_value", "next_taker", "next_maker"):
        market[clock] = math.inf


@pytest.mark.parametrize("regime", ["noise", "informed", "mixed"])
def test_hidden_state_does_not_change_the_observation(regime: str) -> None:
    """The book, the trades and the position are the same; V, s and the flow differ."""
    env = gymnasium.make("MarketMaking-v0", regime=regime).unwrapped
    generator = np.random.default_rng(8)
    env.reset(seed=0)
    for _ in range(100):
        env.step(quote_near(generator))
    market = env._markets.records[0]
    checkpoint = env.snapshot()
    quote = quote_near(generator)

    freeze(market)
    plain, _, _, _, info = env.step(quote)
    env.restore(checkpoint)
    freeze(market)
    market["efficient_price"] += 25.0
    market["signal"] = -3.0
    market["decoy"] = 3.0
    market["flow"]["p_informed"] = 0.99
    market["flow"]["imbalance"] = 0.99
    market["flow"]["informed_kind"] = 1 - market["flow"]["informed_kind"]
    market["flow"]["bias"] = -market["flow"]["bias"]
    changed, _, _, _, changed_info = env.step(quote)

    assert changed_info["efficient_price"] == info["efficient_price"] + 25.0
    assert changed_info["signal"] == -3.0
    np.testing.assert_array_equal(changed, plain)
    # A change of public state does change the observation.
    env.restore(checkpoint)
    freeze(market)
    market["account"]["inventory"] += 1
    market["features"]["flow"] += 1.0
    seen = env.step(quote)[0]
    columns = {
        name for name, a, b in zip(mm_gym.OBSERVATION_NAMES, seen, plain, strict=True) if a != b
    }
    assert columns == {"inventory", "flow_fast", "flow_medium", "flow_slow"}


def test_in_the_dealer_market_the_signal_is_hidden_while_the_efficient_price_is_the_mid() -> None:
    env = gymnasium.make("MarketMaking-v0", regime="dealer", signal_drift=0.11).unwrapped
    env.reset(seed=0)
    market = env._markets.records[0]
    checkpoint = env.snapshot()
    quote = quote_near(np.random.default_rng(2))
    freeze(market)
    plain = env.step(quote)[0]
    env.restore(checkpoint)
    freeze(market)
    market["signal"] = -3.0
    np.testing.assert_array_equal(env.step(quote)[0], plain)
