"""Tuning finds known optima, and its results are written, read and used by name."""

import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents.rules.tuned
from agents import RULES, AgentError, make_agent, name_agent, parse_agent
from agents.rules.tuned import TUNED_FILE, Tuned, best_rule, read_tuned, tuned_rule, write_tuned
from agents.training.trainer import stream_seed
from agents.tuning.__main__ import Arguments, main
from agents.tuning.search import Effort, search_space, tunable_rules, tune, tuning_seed
from mm_gym import REGIMES, configure
from mm_gym.evaluation.rollout import run_sessions, session_seeds
from mm_gym.evaluation.statistics import difference
from mm_gym.theory.dealer_bellman import DealerProblem, policy_value

SHORT = Effort(trials=6, sessions=8, finalists=2, final_sessions=8)


def an_entry(
    agent: str, regime: str, p_informed: float, objective: float = 1.0, **parameters: float
) -> Tuned:
    return Tuned(
        agent, regime, p_informed, parameters, objective, 0.5, 1.5, 0.0, -0.5, 0.5,
        effort=dataclasses.asdict(SHORT), command="python -m agents.tuning",
        versions={"python": "3"},
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary file that replaces the default one."""
    path = tmp_path / "tuned.json"
    monkeypatch.setattr(agents.rules.tuned, "TUNED_FILE", path)
    return path


# --------------------------------------------------------------------------------------- the search


def test_the_policy_value_of_the_dealer_market_is_found() -> None:
    """A quote at h rests at the next whole tick, and the exact value of each depth is known.

    The values of the best depth, 4 ticks, and of the next best differ by 2.1. With common random
    numbers over 2,048 sessions their difference has a standard error of 0.2.
    """
    config = configure(
        "dealer", volatility=0.0, session_steps=60, taker_tolerance=3.5, inventory_penalty=0.01
    )
    problem = DealerProblem(
        buy_rate=0.5 * config.taker_rate,
        sell_rate=0.5 * config.taker_rate,
        fill_decay=1.0 / config.taker_tolerance,
        running_penalty=config.inventory_penalty,
        terminal_penalty=0.0,
        decision_interval=config.decision_interval,
        steps=config.session_steps,
        max_inventory=config.max_inventory,
    )
    ticks = np.arange(1.0, 16.0)[:, None, None]
    values = policy_value(problem, ticks, ticks)[:, 0, problem.max_inventory]
    best = int(values.argmax())
    found = tune(
        "fixed_spread", config, Effort(trials=20, sessions=128, finalists=3, final_sessions=2048)
    )
    assert math.ceil(found.parameters["half_spread"]) == ticks[best, 0, 0]
    error = (found.objective_high - found.objective_low) / (2.0 * 1.96)
    assert abs(found.objective - values[best]) < 3.0 * error
    assert found.gain_low > 0.0


def test_equal_seeds_give_equal_results_and_every_session_is_counted() -> None:
    config, done = configure("informed", session_steps=20), []
    first = tune("adaptive_spread", config, SHORT, on_batch=done.append)
    assert sum(done) == SHORT.all_sessions == 6 * 8 + 4 * 8
    assert tune("adaptive_spread", config, SHORT) == first
    other = tune("adaptive_spread", config, dataclasses.replace(SHORT, seed=1))
    assert other.objective != first.objective


def test_only_chosen_parameters_are_searched_and_the_others_keep_their_values(file: Path) -> None:
    write_tuned([an_entry("inventory_skew", "noise", 0.0, half_spread=1.0, skew=0.3)], file)
    effort = Effort(trials=6, sessions=64, finalists=3, final_sessions=128)
    found = tune("inventory_skew", configure("noise", session_steps=300), effort, only=["skew"])
    assert set(found.parameters) == {"half_spread", "skew"}
    assert found.parameters["half_spread"] == 1.0
    assert found.parameters["skew"] != 0.3
    with pytest.raises(
        AgentError, match=r"inventory_skew has no parameter 'scew'.*did you mean 'skew'"
    ):
        tune("inventory_skew", configure("noise"), effort, only=["scew"])
    with pytest.raises(AgentError, match="not tuned in regime"):
        tune("inventory_skew", configure("imbalanced"), effort, only=["skew"])


def test_defaults_stay_if_no_trial_is_better() -> None:
    """In the dealer market quotes at the mid earn nothing, and the only trial is too wide."""
    config = configure("dealer", session_steps=200)
    found = tune("fixed_spread", config, Effort(trials=1, sessions=8, final_sessions=64, seed=3))
    assert found.parameters == {}
    assert (found.gain, found.gain_low, found.gain_high) == (0.0, 0.0, 0.0)


def test_a_half_spread_of_zero_takes_part_and_wins_with_a_large_tick() -> None:
    """With a spread of one tick, a quote at the mid joins the touch, and it keeps its place."""
    effort = Effort(trials=3, sessions=8, final_sessions=128)
    found = tune("inventory_skew", configure("large_tick", session_steps=300), effort)
    assert found.parameters["half_spread"] == 0.0
    assert found.gain_low > 0.0


def test_tuning_shares_no_session_with_evaluation_or_training() -> None:
    families = [
        session_seeds(tuning_seed(seed, stage), 512) for seed in range(4) for stage in range(2)
    ]
    families += [session_seeds(seed, 1024) for seed in range(20)]
    families += [session_seeds(stream_seed(seed, 0), 512) for seed in range(4)]
    everything = np.concatenate(families)
    assert len(np.unique(everything)) == len(everything)


@pytest.mark.parametrize("rule", tunable_rules())
def test_both_ends_of_every_search_space_give_agents(rule: str) -> None:
    for end in ("low", "high"):
        parameters = {name: getattr(range_, end) for name, range_ in search_space(rule).items()}
        make_agent(rule, configure(session_steps=20), **parameters)  # tables of few rows
    assert all(range_.low < range_.high for range_ in search_space(rule).values())


def test_a_rule_without_a_search_space_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(
        AgentError, match=r"agent 'random' cannot be tuned: expected .*, got 'random' \(known are"
    ):
        tune("random", configure())
    with pytest.raises(AgentError, match="did you mean 'inventory_skew'"):
        tune("inventory_scew", configure())


def test_an_effort_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trials=0 is out of range: .* at least 1, got 0"):
        Effort(trials=0)
    assert Effort(seed=0).seed == 0


# ---------------------------------------------------------------------------------- the file itself


def test_entries_of_the_file_are_results_of_the_command_for_existing_rules() -> None:
    entries = read_tuned()
    assert {entry.agent for entry in entries} <= set(tunable_rules())
    for entry in entries:
        space = search_space(entry.agent)
        own = set(RULES[entry.agent].search_space)
        assert set(entry.parameters) in (set(), own)
        assert all(
            space[name].low <= value <= space[name].high or value == space[name].also
            for name, value in entry.parameters.items()
        )
        assert entry.regime in REGIMES
        assert entry.gain >= 0.0
        assert entry.objective_low <= entry.objective <= entry.objective_high
        assert entry.command.startswith("python -m agents.tuning")
        assert {"python", "mm-gym", "optuna"} <= set(entry.versions)


def test_tuned_parameters_earn_more_on_sessions_they_were_not_tuned_on() -> None:
    """At p = 0.6 they earn about 15 more than the defaults, with a standard error of about 2."""
    config = configure("informed", p_informed=0.6)
    tuned, defaults = (
        run_sessions(name_agent(name), config, 256, horizons=()).objective
        for name in ("inventory_skew:tuned", "inventory_skew")
    )
    assert difference(tuned, defaults).low > 0.0


# ----------------------------------------------------------------------------- reading and writing


def test_entries_can_be_read_after_writing_and_replace_only_their_own(file: Path) -> None:
    assert read_tuned() == []
    first = [
        an_entry("fixed_spread", "noise", 0.0, half_spread=2.0),
        an_entry("fixed_spread", "informed", 0.2),
    ]
    write_tuned(first, file)
    assert sorted(map(repr, read_tuned())) == sorted(map(repr, first))
    again = an_entry("fixed_spread", "noise", 0.0, half_spread=3.0)
    write_tuned([again], file)
    assert sorted(map(repr, read_tuned())) == sorted(map(repr, [again, first[1]]))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("text", ["[{]", '[{"agent": "fixed_spread"}]', "3"])
def test_a_damaged_file_is_refused_and_left_alone(file: Path, text: str) -> None:
    file.write_text(text)
    for act in (read_tuned, lambda: write_tuned([], file)):
        with pytest.raises(
            AgentError,
            match=r"tuned\.json is damaged .* write it again with python -m agents\.tuning",
        ):
            act()
    assert file.read_text() == text


# ---------------------------------------------------------------------------- tuned agents by name


def test_the_suffix_tuned_stays_with_the_name() -> None:
    assert parse_agent("inventory_skew:tuned") == ("inventory_skew:tuned", {})
    assert parse_agent("inventory_skew: tuned :skew=0.2") == ("inventory_skew:tuned", {"skew": 0.2})
    assert parse_agent("inventory_skew:skew=0.2:tuned") == ("inventory_skew:tuned", {"skew": 0.2})


@pytest.mark.parametrize(
    "share, nearest", [(0.0, 0.2), (0.29, 0.2), (0.3, 0.2), (0.31, 0.4), (0.4, 0.4), (1.0, 0.4)]
)
def test_a_tuned_rule_has_the_parameters_of_the_nearest_share(
    file: Path, share: float, nearest: float
) -> None:
    others = [an_entry("fixed_spread", "informed", 0.3), an_entry("inventory_skew", "mixed", 0.3)]
    write_tuned(
        [*others, *(an_entry("inventory_skew", "informed", p, skew=p) for p in (0.4, 0.2))], file
    )
    config = configure("informed", p_informed=share)
    assert tuned_rule("inventory_skew", config).p_informed == nearest
    agent = pickle.loads(pickle.dumps(name_agent("inventory_skew:tuned")))(config)
    assert (agent.skew, agent.half_spread) == (nearest, 1.5)
    assert make_agent("inventory_skew:tuned", config, skew=0.7).skew == 0.7


def test_the_best_rule_is_that_of_the_nearest_share_with_the_highest_objective(file: Path) -> None:
    write_tuned(
        [
            an_entry("fixed_spread", "informed", 0.2, objective=9.0),
            an_entry("inventory_skew", "informed", 0.4, objective=5.0, skew=0.25),
            an_entry("fixed_spread", "informed", 0.4, objective=3.0),
            an_entry("fixed_spread", "noise", 0.0, objective=50.0),
        ],
        file,
    )
    config = configure("informed", p_informed=0.5)
    assert best_rule(config).agent == "inventory_skew"
    assert make_agent("best_rule:tuned", config).skew == 0.25
    assert best_rule(configure("informed", p_informed=0.1)).agent == "fixed_spread"


def test_a_rule_that_was_not_tuned_is_refused_with_the_command_that_tunes_it(file: Path) -> None:
    write_tuned([an_entry("fixed_spread", "informed", 0.2)], file)
    with pytest.raises(
        AgentError, match=r"python -m agents\.tuning --agents fixed_spread --regimes noise\)$"
    ):
        make_agent("fixed_spread:tuned", configure("noise"))
    with pytest.raises(
        AgentError, match=r"python -m agents\.tuning --agents inventory_skew --regimes informed\)$"
    ):
        make_agent("inventory_skew:tuned", configure("informed"))
    with pytest.raises(AgentError, match=r"python -m agents\.tuning --regimes noise\)$"):
        make_agent("best_rule:tuned", configure("noise"))
    with pytest.raises(
        AgentError, match=r"agent 'fixed_spred:tuned' is unknown: .*did you mean 'fixed_spread'"
    ):
        make_agent("fixed_spred:tuned", configure("informed"))


# -------------------------------------------------------------------------------------- the command


def test_the_command_tunes_writes_and_prints_a_table_in_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / "t.json"
    effort = Effort(trials=2, sessions=2, finalists=1, final_sessions=4)
    arguments = Arguments("avellaneda_stoikov", "naive_informed,informed", "0.2, 1", effort, out)
    found = main(arguments)
    assert [(entry.regime, entry.p_informed) for entry in found] == [
        ("naive_informed", 0.3), ("informed", 0.2), ("informed", 1.0)
    ]  # fmt: skip
    assert sorted(map(repr, read_tuned(out))) == sorted(map(repr, found))
    *lines, last = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for market in (
        "naive_informed, p_informed = 0.3",
        "informed, p_informed = 0.2",
        "informed, p_informed = 1",
    ):
        assert lines[lines.index(market) + 2].startswith("avellaneda_stoikov")
    assert last == f"Written to {out}"


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"p_informed": "0.2,much"}, "--p-informed cannot be read: expected .*, got '0.2,much'"),
        ({"p_informed": "2"}, "p_informed=2.0 is out of range"),
        ({"regimes": "informd"}, "regime 'informd' is unknown: .*; did you mean 'informed'"),
        ({"agents": "fixed_spread,random"}, "'random' cannot be tuned"),
        (
            {"out": Path("nowhere/tuned.json")},
            r"nowhere/tuned\.json cannot be written: expected .*, got No such file or directory",
        ),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_is_tuned(
    tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    out = tmp_path / "tuned.json"
    with pytest.raises(ValueError, match=said):
        main(Arguments(**{"out": out, "effort": SHORT, **arguments}))
    assert not out.exists()


def test_the_default_file_lies_beside_the_rules() -> None:
    assert Path(agents.rules.__file__).with_name("tuned.json") == TUNED_FILE
