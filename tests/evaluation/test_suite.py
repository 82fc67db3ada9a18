"""The suite: contenders and their sessions."""

import re
from pathlib import Path

import pytest
from scipy import stats

from agents import name_agent
from agents.tuning.search import tuning_seed
from mm_gym import TASKS, configure
from mm_gym.evaluation.rollout import run_sessions, session_seeds
from mm_gym.evaluation.suite import (
    SUITE_SEED,
    Contender,
    mean_objective,
    parse_contenders,
    sessions_in,
)
from tests.evaluation.suite_kit import DEALER, INFORMED, NOISE, a_task, judge, printed

# ------------------------------------------------------------------------------------ who is judged


def test_agents_are_separated_by_commas_and_training_seeds_by_plus() -> None:
    text = (
        "fixed_spread:half_spread=2, ppo=runs/a+runs/b+runs/c,runs/ppo-{task},inventory_skew:tuned"
    )
    assert parse_contenders(text) == [
        Contender("fixed_spread:half_spread=2", ("fixed_spread:half_spread=2",)),
        Contender("ppo", ("runs/a", "runs/b", "runs/c")),
        Contender("runs/ppo-{task}", ("runs/ppo-{task}",)),
        Contender("inventory_skew:tuned", ("inventory_skew:tuned",)),
    ]


def test_two_contenders_of_one_label_are_refused() -> None:
    with pytest.raises(
        ValueError, match="the same label: expected distinct labels, got 'ppo' twice"
    ):
        parse_contenders("ppo=runs/a,ppo=runs/b")


def test_a_wildcard_finds_the_run_folders_of_a_task(tmp_path: Path) -> None:
    for name in ("ppo-noise-seed1", "ppo-noise-seed0", "ppo-mixed-seed0", "sac-noise-seed0"):
        (tmp_path / name).mkdir()
    (tmp_path / "ppo-noise-seed2").write_text("no folder")
    contender = Contender("ppo", (f"{tmp_path}/ppo-{{task}}-seed*",))
    assert contender.in_task("noise") == [
        f"{tmp_path}/ppo-noise-seed0",
        f"{tmp_path}/ppo-noise-seed1",
    ]
    assert contender.in_task("mixed") == [f"{tmp_path}/ppo-mixed-seed0"]
    with pytest.raises(
        ValueError, match=r"ppo-fee-seed\* matches no run folder: expected at least one, got none"
    ):
        contender.in_task("fee")


def test_training_and_tuning_use_no_session_of_the_suite() -> None:
    from agents.training.held_out import HELD_OUT_SEED  # here, because only this test needs torch
    from agents.training.trainer import stream_seed

    ours = set(session_seeds(SUITE_SEED, 10 * 2048).tolist())
    assert SUITE_SEED == 2587842311  # a change would make published scores incomparable
    others = [
        HELD_OUT_SEED,
        *range(100),
        *(tuning_seed(seed, stage) for seed in range(10) for stage in (0, 1)),
    ]
    assert SUITE_SEED not in others
    for seed in others:
        assert not ours & set(session_seeds(seed, 512).tolist())
    for seed in range(10):  # the markets of a training have consecutive seeds from this one on
        assert not ours & {stream_seed(seed, 0) + market for market in range(1024)}


def test_tasks_with_shorter_sessions_have_more_of_them() -> None:
    assert sessions_in(TASKS["noise"], 512) == 512
    assert sessions_in(TASKS["short-session"], 512) == 5120
    assert sessions_in(TASKS["dealer-avellaneda-stoikov"], 512) == 2560
    assert sessions_in(a_task("long", session_steps=5000), 512) == 512
    with pytest.raises(
        ValueError, match=r"episodes=0 is out of range: expected .*, at least 1, got 0"
    ):
        sessions_in(TASKS["noise"], 0)


# ------------------------------------------------------------------------------------------ judging


def test_a_row_holds_what_the_agent_earned_on_the_sessions_of_the_suite() -> None:
    (row,) = judge("inventory_skew:half_spread=1", INFORMED).rows
    sessions = run_sessions(
        name_agent("inventory_skew:half_spread=1"), INFORMED.config, 50, SUITE_SEED
    )
    plain, reduced = sessions.objective, sessions.variance_reduced_objective
    assert row.episodes == 50
    assert row.plain_objective == plain.mean()
    assert row.plain_standard_error == pytest.approx(stats.sem(plain))
    assert row.standard_error == pytest.approx(min(stats.sem(plain), stats.sem(reduced)))
    best = plain if stats.sem(plain) <= stats.sem(reduced) else reduced
    assert row.objective == best.mean()
    assert row.score == pytest.approx(best.mean() / 8.0)  # 0 means 0, 1 means 8
    assert row.score_standard_error == pytest.approx(row.standard_error / 8.0)
    assert row.fills == sessions.n_fills.mean()
    assert (row.agent, row.run, row.seed, row.task, row.task_version) == (
        "inventory_skew:half_spread=1", "inventory_skew:half_spread=1", 0, "informed-40", 1,
    )  # fmt: skip


def test_the_variance_reduced_estimate_is_used_if_its_standard_error_is_smaller() -> None:
    informed = run_sessions(name_agent("inventory_skew"), configure("informed"), 64, 1, horizons=())
    objective, error, estimate = mean_objective(informed)
    assert estimate == "variance_reduced"
    assert error < 0.8 * stats.sem(informed.objective)
    assert objective == informed.variance_reduced_objective.mean()


def test_seeds_of_one_learner_are_rows_of_one_contender() -> None:
    results = judge(
        "skew=inventory_skew:half_spread=1+inventory_skew:half_spread=2,fixed_spread",
        NOISE,
        INFORMED,
    )
    assert [(row.task, row.agent, row.seed) for row in results.rows] == [
        (task, *agent)
        for task in ("noise", "informed-40")
        for agent in (("skew", 0), ("skew", 1), ("fixed_spread", 0))
    ]


def test_an_agent_that_does_not_suit_a_task_is_left_out_there_with_a_reason() -> None:
    results = judge("bellman,fixed_spread", NOISE, DEALER)
    assert [(row.agent, row.task) for row in results.rows] == [
        ("fixed_spread", "noise"), ("bellman", "dealer"), ("fixed_spread", "dealer"),
    ]  # fmt: skip
    ((key, reason),) = results.left_out.items()
    assert key == ("bellman", "noise")
    assert "bellman cannot quote in this market: expected a dealer market" in reason
    shown = printed(results, (NOISE, DEALER))
    assert re.search(r"^bellman +- +- +- ", shown, re.MULTILINE)
    assert "- bellman in noise: bellman cannot quote" in shown


def test_an_agent_that_suits_no_task_is_an_error() -> None:
    with pytest.raises(ValueError, match="did you mean 'inventory_skew'"):
        judge("fixed_spread,inventory_scew", NOISE, INFORMED)


def test_an_agent_that_is_shown_the_signal_is_marked() -> None:
    assert judge("oracle", NOISE).rows[0].agent == "oracle (shown the signal)"
