"""The tasks of the benchmark suite: their markets, their errors and their reference scores."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import mm_gym
from agents import name_agent
from agents.tools.reference_scores import exact_references
from mm_gym import TASKS, ConfigurationError, MarketConfig, Task, configure
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.suite import SUITE_SEED
from mm_gym.market_file import json_fields
from mm_gym.reference_scores import Reference, read_references
from mm_gym.sb3 import MarketMakingVecEnv
from mm_gym.tasks import _with_references
from mm_gym.theory.dealer_bellman import DealerProblem, best_constant_depth, solve

ROOT = Path(__file__).resolve().parent.parent
DEALERS = ("dealer-avellaneda-stoikov", "dealer-cartea-jaimungal")

EXPECTED: dict[str, dict[str, Any]] = {
    "noise": {},
    "imbalanced": {"regime": "imbalanced"},
    "naive-informed": {"regime": "naive_informed"},
    "informed-20": {"regime": "informed", "p_informed": 0.2},
    "informed-40": {"regime": "informed", "p_informed": 0.4},
    "informed-60": {"regime": "informed", "p_informed": 0.6},
    "informed-80": {"regime": "informed", "p_informed": 0.8},
    "mixed": {"regime": "mixed"},
    "latency-250ms": {"regime": "informed", "p_informed": 0.4, "latency": 0.25},
    "latency-1s": {"regime": "informed", "p_informed": 0.4, "latency": 1.0},
    "fee": {"regime": "informed", "p_informed": 0.4, "maker_fee": 0.2},
    "rebate": {"regime": "informed", "p_informed": 0.4, "maker_fee": -0.2},
    "large-quotes": {"quote_size": 5},
    "short-session": {"session_steps": 100},
    "dealer-avellaneda-stoikov": {
        "regime": "dealer",
        "taker_rate": 280.0,
        "taker_tolerance": 100 / 1.5,
        "volatility": 200.0,
        "decision_interval": 0.005,
        "value_interval": 0.005,
        "session_steps": 200,
        "inventory_penalty": 20.0,
        "max_offset": 400.0,
        "reward_scale": 0.02,
    },
    "dealer-cartea-jaimungal": {
        "regime": "dealer",
        "taker_rate": 20.0,
        "taker_tolerance": 100.0,
        "decision_interval": 0.01,
        "value_interval": 0.01,
        "session_steps": 100,
        "inventory_penalty": 50.0,
        "close_out_impact": 0.1,
        "max_inventory": 20,
        "max_offset": 400.0,
        "reward_scale": 0.02,
    },
    "zero-intelligence": {"regime": "zero_intelligence"},
    "clustered": {"regime": "clustered"},
    "clustered-informed-40": {"regime": "clustered", "p_informed": 0.4},
    "large-tick": {"regime": "large_tick", "p_informed": 0.3},
    "small-tick": {"regime": "small_tick", "p_informed": 0.3},
}


# ---------------------------------------------------------------------------------------- the tasks


def test_the_tasks_are_the_documented_ones() -> None:
    assert list(TASKS) == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_task_is_the_market_that_configure_makes(name: str) -> None:
    assert TASKS[name].config == configure(**EXPECTED[name])
    assert TASKS[name].name == name
    assert TASKS[name].version >= 1
    assert re.fullmatch(r"[A-Z].*\.", TASKS[name].description)


def test_the_tasks_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TASKS["noise"] = TASKS["mixed"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        TASKS["noise"].version = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        TASKS["noise"].config.latency = 1.0  # type: ignore[misc]


def test_the_fields_of_a_task_make_its_market() -> None:
    for task in TASKS.values():
        assert configure(task.config.regime, **task.fields()) == task.config


# --------------------------------------------------------------------------------- the environments


def trajectory(env: Any, actions: list[Any], seed: int) -> list[Any]:
    seen = [env.reset(seed=seed)[0]]
    for action in actions:
        observation, reward, *_ = env.step(action)
        seen += [observation, reward]
    env.close()
    return seen


def sb3_trajectory(env: MarketMakingVecEnv, actions: list[Any], seed: int) -> list[Any]:
    env.seed(seed)
    seen = [env.reset()]
    for action in actions:
        observation, reward, *_ = env.step(action)
        seen += [observation, reward]
    return seen


@pytest.mark.parametrize(
    "name", ["informed-40", "latency-1s", "large-quotes", "dealer-avellaneda-stoikov"]
)
def test_every_environment_makes_the_market_of_a_task(name: str) -> None:
    actions = [*np.random.default_rng(0).uniform(-1.0, 1.0, (40, 3, 2)).astype(np.float32)]
    spelled_out = configure(**EXPECTED[name]).to_dict()
    alone = [action[0] for action in actions]
    for how in (
        lambda **keywords: trajectory(gymnasium.make("MarketMaking-v0", **keywords), alone, 7),
        lambda **keywords: trajectory(
            gymnasium.make_vec("MarketMaking-v0", num_envs=3, **keywords), actions, 7
        ),
        lambda **keywords: sb3_trajectory(MarketMakingVecEnv(3, **keywords), actions, 7),
    ):
        for ours, theirs in zip(how(task=name), how(**spelled_out), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def make_one(**keywords: Any) -> MarketConfig:
    return gymnasium.make("MarketMaking-v0", **keywords).unwrapped.config


def make_many(**keywords: Any) -> MarketConfig:
    return gymnasium.make_vec("MarketMaking-v0", num_envs=2, **keywords).unwrapped.config


def make_for_sb3(**keywords: Any) -> MarketConfig:
    return MarketMakingVecEnv(2, **keywords).config


ENVIRONMENTS = pytest.mark.parametrize("make", [make_one, make_many, make_for_sb3])


@ENVIRONMENTS
@pytest.mark.parametrize(
    "keywords, message",
    [
        (
            {"task": "informed_40"},
            "task is unknown: expected .*, got 'informed_40'; did you mean 'informed-40'?",
        ),
        ({"task": "latency1s"}, "did you mean 'latency-1s'?"),
        ({"task": 3}, "task is unknown: expected a key of mm_gym.TASKS, got 3"),
        (
            {"task": "noise", "latency": 0.5},
            "task 'noise' is frozen: expected .* beside it, got latency$",
        ),
        (
            {"task": "noise", "regime": "noise"},
            "task 'noise' is frozen: expected .* beside it, got regime$",
        ),
        (
            {"task": "fee", "regime": "noise", "maker_fee": 1},
            "frozen: expected .*, got regime, maker_fee$",
        ),
    ],
)
def test_wrong_tasks_and_fields_beside_a_task_are_refused(
    make: Any, keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(**keywords)


@ENVIRONMENTS
def test_an_unknown_keyword_is_refused_as_without_a_task(make: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as without:
        make(frameskip=1)
    message, *_ = str(without.value).split(" was raised from the environment creator")
    with pytest.raises(type(without.value), match=re.escape(message)):
        make(frameskip=1, task="noise")


@ENVIRONMENTS
def test_keywords_of_the_environment_may_stand_beside_a_task(make: Any) -> None:
    assert make(task="rebate", action="spread_skew") == TASKS["rebate"].config


@pytest.mark.parametrize("num_envs", [None, 2])
def test_a_task_stays_frozen_when_an_episode_starts(num_envs: int | None) -> None:
    env: Any = (
        gymnasium.make("MarketMaking-v0", task="noise")
        if num_envs is None
        else gymnasium.make_vec("MarketMaking-v0", num_envs=num_envs, task="noise")
    )
    env.reset(seed=0)
    with pytest.raises(
        ConfigurationError, match=r"task 'noise' is frozen: expected no reset option 'config', got"
    ):
        env.reset(options={"config": {"latency": 1.0}})


def test_without_a_task_and_a_regime_the_market_is_noise() -> None:
    assert make_one() == make_many() == make_for_sb3() == configure("noise")


# --------------------------------------------------------------------------------- reference scores

EXAMPLE = Task(
    "example",
    1,
    "An example.",
    configure(),
    Reference("a", 100.0, 2.0, 64),
    Reference("b", 300.0, 1.0, 64),
)


def test_a_score_is_the_share_of_the_distance_from_zero_to_one() -> None:
    assert EXAMPLE.normalise(150.0) == 0.25
    assert EXAMPLE.normalise(100.0) == 0.0
    assert EXAMPLE.normalise(340.0) == 1.2
    assert EXAMPLE.normalise_error(20.0) == 0.1
    half = dataclasses.replace(EXAMPLE, one=None)
    assert not half.scored
    assert math.isnan(half.normalise(150.0))


def test_scores_of_another_version_are_not_used() -> None:
    markets = [("noise", 2, "A description.", configure())]
    scores = {"zero": EXAMPLE.zero, "one": EXAMPLE.one}
    assert _with_references(markets, {"noise": {"version": 2, **scores}})["noise"].scored
    assert not _with_references(markets, {"noise": {"version": 1, **scores}})["noise"].scored
    assert not _with_references(markets, {})["noise"].scored


def test_the_scores_were_measured_in_the_present_markets() -> None:
    """A change of a task's configuration needs a new version of the task and new scores."""
    references = read_references()
    assert list(references) == list(TASKS)
    for name, found in references.items():
        if found["zero"] is None:
            continue
        assert found["version"] == TASKS[name].version
        now = json.loads(json.dumps(json_fields(TASKS[name].config)))
        for field, value in found["config"].items():
            assert now[field] == value, f"{name}: {field} changed"
        for reference in (found["zero"], found["one"]):
            if reference is not None and reference.sessions > 0:
                assert reference.sessions >= 2048
                assert reference.standard_error > 0.0


def test_the_agents_of_the_reference_scores_exist() -> None:
    for task in TASKS.values():
        for reference in (task.zero, task.one):
            if reference is not None:
                name_agent(reference.agent)(task.config)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"score": "high"}, "score is out of range: expected a finite number, got 'high'"),
        ({"score": math.nan}, "score is out of range"),
        ({"standard_error": -1.0}, "standard_error is out of range: .*, at least 0, got -1.0"),
        ({"sessions": 1.5}, "sessions is out of range"),
        ({"agent": "\x1b[2J"}, "agent is not a name: expected printable text, got "),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
        ({"score": 500.0}, "the scale is empty: expected the score of `one` above"),
    ],
)
def test_a_damaged_file_of_scores_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    zero = {"agent": "a", "score": 1.0, "standard_error": 0.1, "sessions": 64}
    entry = {"version": 1, "config": {}, "zero": zero | change, "one": zero | {"score": 2.0}}
    (tmp_path / "tasks.json").write_text(json.dumps({"tasks": {"noise": entry}}))
    with pytest.raises(ConfigurationError, match=message):
        read_references(tmp_path / "tasks.json")


def test_a_missing_file_of_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tasks\.json cannot be read: expected"):
        read_references(tmp_path / "tasks.json")


# ------------------------------------------------------------------------------------- dealer tasks

# In the units of the papers. The book has lambda = 10 a side, kappa = 1, phi = 0.5, alpha = 0.001
# and T = 1. Avellaneda and Stoikov have A = 140 a side, k = 1.5, and gamma sigma^2 / 2 = 0.2 as
# running penalty.
PAPERS = {
    "dealer-avellaneda-stoikov": DealerProblem(
        140.0, 140.0, 1.5, 0.2, 0.0, 0.005, 200, max_inventory=50
    ),
    "dealer-cartea-jaimungal": DealerProblem(
        10.0, 10.0, 1.0, 0.5, 0.001, 0.01, 100, max_inventory=20
    ),
}


def test_the_problem_of_the_book_has_the_published_value() -> None:
    """In the book's own fill model. The event-driven market allows more fills, so it pays more."""
    single = dataclasses.replace(PAPERS["dealer-cartea-jaimungal"], fill_model="single_arrival")
    assert solve(single).start_value == pytest.approx(6.07387, abs=5e-6)


@pytest.mark.parametrize("name", DEALERS)
def test_the_scale_of_a_dealer_task_is_exact(name: str) -> None:
    zero, one = exact_references(TASKS[name])
    paper = PAPERS[name]
    assert one.agent == "bellman"
    assert one.score == pytest.approx(
        100.0 * solve(paper).start_value, rel=1e-6
    )  # a tick is a hundredth
    assert zero.agent.startswith("fixed_spread:half_spread=")
    assert zero.score == pytest.approx(100.0 * best_constant_depth(paper).value, rel=1e-6)
    assert zero.standard_error == one.standard_error == 0.0
    if TASKS[name].one is not None:
        assert (TASKS[name].zero, TASKS[name].one) == (zero, one)


@pytest.mark.parametrize("name", DEALERS)
def test_the_reference_agents_of_a_dealer_task_earn_its_scores(name: str) -> None:
    for reference in exact_references(TASKS[name]):
        sessions = run_sessions(
            name_agent(reference.agent), TASKS[name].config, 1024, SUITE_SEED, horizons=()
        )
        error = sessions.variance_reduced_objective.std(ddof=1) / math.sqrt(len(sessions))
        assert abs(sessions.variance_reduced_objective.mean() - reference.score) < 4.0 * error


def test_the_module_exports_the_tasks() -> None:
    assert mm_gym.TASKS is TASKS
    assert {"TASKS", "Task"} <= set(mm_gym.__all__)
