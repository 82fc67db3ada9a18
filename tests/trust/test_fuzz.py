"""Hostile input to every public entry: one sentence, and never a crash, a hang or a NaN.

The ordinary tests give 2,000 inputs, `make fuzz` 100,000 (MM_GYM_INPUTS). An entry either does what
it is asked for or refuses it in one sentence (`kit.answer`).
"""

import dataclasses
import inspect
import json
import math
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

import agents.rules.tuned
import mm_gym
from agents import RULES, name_agent
from agents.learned.hyperparameters import FOLDER, parse_fields, read_hyperparameters
from agents.learned.policy import load
from agents.learned.run_folder import POLICY_FILE, RUN_FILE, read_run
from agents.rules.tuned import TUNED_FILE, read_tuned, tuned_rule
from mm_gym import LimitOrderBook, configure
from mm_gym.config import FIELD_NAMES
from mm_gym.core.layout import OBSERVATION_BOUNDS
from mm_gym.data.events import convert, read_events
from mm_gym.data.formats import open_file
from mm_gym.data.lobster import order_book_of, read, read_messages, write
from mm_gym.data.simulation import record_market
from mm_gym.market_file import json_fields, read_market
from mm_gym.regimes import REGIMES
from tests.small_runs import CONFIG, a_run, an_untrained_folder
from tests.trust.kit import (
    NUMBERS,
    OBJECTS,
    VALUES,
    answer,
    damaged_bytes,
    damaged_json,
    inputs,
)

pytestmark = pytest.mark.filterwarnings("error")

FIELDS = st.dictionaries(
    st.one_of(st.sampled_from(FIELD_NAMES), st.text(max_size=5)),
    st.one_of(NUMBERS, st.sampled_from([*REGIMES, True, False]), OBJECTS),
    max_size=3,
)


def play(config: mm_gym.MarketConfig, decisions: int = 2) -> None:
    """Play a market: observations in their space, and finite numbers."""
    env = gymnasium.make("MarketMaking-v0", disable_env_checker=True, **config.to_dict()).unwrapped
    observation, info = env.reset(seed=1)
    for step in range(decisions):
        assert observation in env.observation_space
        observation, reward, ended, _, info = env.step(np.array([0.1, -0.9 + step], np.float32))
        assert math.isfinite(reward)
        assert all(map(math.isfinite, info.values())), info
        if ended:
            break


@inputs(250)
@given(fields=FIELDS)
def test_keywords_of_a_market(fields: dict[str, Any]) -> None:
    config = answer(lambda: configure(**fields), TypeError)
    if config is not None and config.makers != "recorded":
        play(config)


@inputs(50)
@given(
    fields=st.dictionaries(
        st.sampled_from(["num_envs", "action", "record", "threads", "task", "regime", "latency"])
        | st.sampled_from(["variance_reduction", "unwinding_time", "render_mode", "staggered"]),
        st.one_of(st.integers(-2, 3), OBJECTS),
        max_size=2,
    ),
    vector=st.booleans(),
)
def test_keywords_of_an_environment(fields: dict[str, Any], vector: bool) -> None:
    kind = mm_gym.MarketMakingVectorEnv if vector else mm_gym.MarketMakingEnv
    env = answer(lambda: kind(**fields), TypeError)
    if env is not None:
        env.reset(seed=0)


@inputs(120)
@given(data=st.data())
def test_a_market_file(tmp_path: Path, data: st.DataObject) -> None:
    whole = json_fields(configure(data.draw(st.sampled_from(["informed", "zero_intelligence"]))))
    (tmp_path / "market.json").write_text(data.draw(damaged_json(whole)))
    config = answer(lambda: read_market(tmp_path / "market.json"), TypeError)
    if config is not None and config.makers != "recorded":
        play(config, 1)


ENVS = {
    name: mm_gym.MarketMakingEnv(action=name, session_steps=10**6)
    for name in ("offsets", "spread_skew", "discrete")
}


@inputs(120)
@given(name=st.sampled_from(list(ENVS)), action=OBJECTS)
def test_an_action(name: str, action: Any) -> None:
    env = ENVS[name]
    env.reset(seed=0)
    before = env.snapshot()
    taken = answer(lambda: env.step(action), TypeError)
    if taken is None:
        assert env.snapshot().records.tobytes() == before.records.tobytes()
    else:
        assert math.isfinite(taken[1])


@inputs(30)
@given(seed=OBJECTS, options=st.none() | st.dictionaries(st.just("config"), VALUES) | OBJECTS)
def test_a_reset(seed: Any, options: Any) -> None:
    env = ENVS["offsets"]
    with warnings.catch_warnings(action="ignore"):
        try:
            answer(lambda: env.reset(seed=seed, options=options), TypeError)
        except gymnasium.error.Error as error:  # Gymnasium's own check of the seed
            assert "Seed" in str(error)  # noqa: PT017


SIDES = st.sampled_from(["bid", "ask"]) | OBJECTS
WHOLE = st.integers(-3, 9) | OBJECTS
CALLS = st.one_of(
    st.tuples(st.just("submit"), SIDES, WHOLE, WHOLE, st.none() | WHOLE),
    st.tuples(st.just("market"), SIDES, WHOLE),
    st.tuples(st.just("reduce"), WHOLE, WHOLE),
    st.tuples(st.just("cancel"), WHOLE),
    st.tuples(st.just("levels"), SIDES, st.none() | WHOLE),
    st.tuples(st.just("queue"), SIDES, WHOLE),
)


@inputs(120)
@given(calls=st.lists(CALLS, min_size=1, max_size=8))
def test_calls_of_the_order_book(calls: list[tuple[Any, ...]]) -> None:
    book = LimitOrderBook()
    for name, *arguments in calls:
        answer(lambda name=name, arguments=arguments: getattr(book, name)(*arguments), TypeError)
        assert book.audit()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_untrained_folder(tmp_path_factory.mktemp("run"), a_run(1))


@inputs(90)
@given(data=st.data())
def test_the_record_of_a_run(run_folder: Path, tmp_path: Path, data: st.DataObject) -> None:
    text = data.draw(damaged_json(json.loads((run_folder / RUN_FILE).read_text())))
    (tmp_path / RUN_FILE).write_text(text)
    run = answer(lambda: read_run(tmp_path))
    if run is not None:
        assert json.loads(json.dumps(dataclasses.asdict(run), allow_nan=False))["seed"] == run.seed


@inputs(20)
@given(data=st.data())
def test_the_weights_of_a_run(run_folder: Path, tmp_path: Path, data: st.DataObject) -> None:
    (tmp_path / RUN_FILE).write_bytes((run_folder / RUN_FILE).read_bytes())
    whole = (run_folder / POLICY_FILE).read_bytes()
    (tmp_path / POLICY_FILE).write_bytes(data.draw(damaged_bytes(whole)))
    torch.set_num_threads(1)
    agent = answer(lambda: load(tmp_path, CONFIG))
    if agent is not None:
        assert np.isfinite(agent.predict(np.ones((2, 18), np.float32))[0]).all()


@inputs(40)
@given(data=st.data())
def test_tuned_parameters(
    tmp_path: Path, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tuned.json"
    path.write_text(data.draw(damaged_json(json.loads(TUNED_FILE.read_text())[:2])))
    answer(lambda: read_tuned(path))
    monkeypatch.setattr(agents.rules.tuned, "TUNED_FILE", path)
    entry = answer(lambda: tuned_rule("adaptive_spread", configure()))
    if entry is not None:
        answer(lambda: name_agent("adaptive_spread:tuned")(configure()))


@inputs(30)
@given(data=st.data())
def test_hyperparameters(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "own.yml"
    whole = yaml.safe_load((FOLDER / "ppo.yml").read_text())
    path.write_text(data.draw(damaged_json(whole)))
    answer(lambda: read_hyperparameters(str(path)))


@inputs(20)
@given(texts=st.lists(st.text(max_size=8) | st.sampled_from(["latency=0.5", "a=(", "a=1e999"])))
def test_fields_on_a_command_line(texts: list[str]) -> None:
    answer(lambda: configure(**parse_fields(texts)), TypeError)


PARAMETERS = {
    name: [key for key in inspect.signature(rule).parameters if key != "config"]
    for name, rule in RULES.items()
}
WIDE = np.array(OBSERVATION_BOUNDS, np.float32)
NAMES = st.sampled_from([*RULES, "best_rule:tuned", "trained/noise"]) | st.text(max_size=6)


def test_every_number_that_a_rule_takes_has_limits() -> None:
    for name, keys in PARAMETERS.items():
        assert {*keys} - {"seed"} <= {*RULES[name].limits}


@inputs(50)
@given(data=st.data(), name=NAMES)
def test_the_name_of_an_agent(data: st.DataObject, name: str) -> None:
    """A rule that can be made quotes finite prices, whatever it observes."""
    known = PARAMETERS.get(name, [])
    keys = st.sampled_from([*known, *known, "half_spread", "learning_rate", "x"])
    values = NUMBERS | st.floats(1e-9, 1e9) | st.text(max_size=3)
    parameters = data.draw(st.lists(st.tuples(keys, values), max_size=3))
    text = ":".join([name, *(f"{key}={value}" for key, value in parameters)])
    config = configure("noise", session_steps=20)
    agent = answer(lambda: name_agent(text)(config))
    if agent is not None and not getattr(agent, "privileged", False):
        observed = np.array([np.zeros(18), WIDE[:, 0], WIDE[:, 1]], np.float32)
        assert np.isfinite(agent.predict(observed)[0]).all()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    messages = folder / "message.csv"
    write(record_market(configure(), 20.0), messages, order_book_of(messages))
    convert(open_file(messages), folder / "day.parquet")
    return folder


@inputs(30)
@given(data=st.data())
def test_a_file_of_events(day: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = (day / "day.parquet").read_bytes()
    (tmp_path / "day.parquet").write_bytes(data.draw(damaged_bytes(whole)))
    events = answer(lambda: read_events(tmp_path / "day.parquet"))
    if events is not None:
        assert events.tick > 0


@inputs(30)
@given(data=st.data())
def test_lobster_files(day: Path, tmp_path: Path, data: st.DataObject) -> None:
    messages = tmp_path / "message.csv"
    for name in ("message.csv", "orderbook.csv"):
        whole = (day / name).read_bytes()
        damage = data.draw(st.booleans())
        (tmp_path / name).write_bytes(data.draw(damaged_bytes(whole)) if damage else whole)
    answer(lambda: read_messages(messages))
    answer(lambda: read(messages, order_book_of(messages)))
