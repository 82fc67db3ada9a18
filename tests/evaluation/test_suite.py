"""The suite: contenders and their sessions, summary scores, tables, files and the command."""

import csv
import dataclasses
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from agents import name_agent
from agents.commands import evaluate
from agents.commands.evaluate import Arguments
from agents.tools.reference_scores import Arguments as ScoringArguments
from agents.tools.reference_scores import exact_references
from agents.tools.reference_scores import main as write_scores
from agents.tuning.search import tuning_seed
from mm_gym import TASKS, Task, configure
from mm_gym.evaluation.rollout import run_sessions, session_seeds
from mm_gym.evaluation.suite import (
    SUITE_SEED,
    Contender,
    Results,
    Row,
    mean_objective,
    parse_contenders,
    run_suite,
    sessions_in,
)
from mm_gym.evaluation.suite_scores import interquartile_estimate, interquartile_mean, summarise
from mm_gym.reporting import suite_tables
from mm_gym.reporting.suite_files import compare, read_suite, write_suite
from mm_gym.reporting.suite_tables import text_table
from mm_gym.tasks import REFERENCES_FILE, Reference, read_references

ROOT = Path(__file__).resolve().parent.parent.parent


def a_task(name: str, zero: float = 10.0, one: float = 30.0, **fields: Any) -> Task:
    fields = {"session_steps": 20} | fields
    references = (Reference("low", zero, 0.1, 64), Reference("high", one, 0.1, 64))
    return Task(name, 1, "A task.", configure(fields.pop("regime", "noise"), **fields), *references)


NOISE, INFORMED = (
    a_task("noise"),
    a_task("informed-40", 0.0, 8.0, regime="informed", p_informed=0.4),
)
DEALER = a_task("dealer", regime="dealer")
SMALL = MappingProxyType({task.name: task for task in (NOISE, INFORMED, DEALER)})


def judge(text: str, *tasks: Task, episodes: int = 1, **others: Any) -> Results:
    return run_suite(
        name_agent, parse_contenders(text), tasks, version="0", episodes=episodes, **others
    )


def a_row(**values: Any) -> Row:
    usual: dict[str, Any] = {
        "agent": "ppo",
        "task": "noise",
        "task_version": 1,
        "seed": 0,
        "run": "runs/ppo",
        "objective": 20.0,
        "standard_error": 1.0,
        "estimate": "plain",
        "plain_objective": 20.0,
        "plain_standard_error": 1.0,
        "score": 0.5,
        "score_standard_error": 0.05,
        "fills": 12.0,
        "episodes": 64,
        "mm_gym_version": "0",
        "command": "python evaluate.py",
    }
    return Row(**(usual | values))


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


# --------------------------------------------------------------------------------------- statistics


@pytest.mark.parametrize("n", range(1, 25))
def test_the_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    scores = np.random.default_rng(n).standard_normal((3, n))
    wanted = [stats.trim_mean(row, 0.25) for row in scores]
    np.testing.assert_allclose(interquartile_mean(scores), wanted, rtol=1e-12)


def test_the_interval_of_one_task_is_that_of_scipys_bootstrap() -> None:
    scores = np.random.default_rng(4).normal(0.6, 0.2, 10)
    # Standard errors over sessions are not used, because there are ten seeds.
    ours = interquartile_estimate([scores], [np.full(10, 99.0)])
    theirs = stats.bootstrap(
        (scores,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis),
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours.value == pytest.approx(stats.trim_mean(scores, 0.25))
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_the_interval_over_tasks_resamples_seeds_within_each_task() -> None:
    """Against a plain loop with other random numbers. Tasks differ far more than seeds."""
    rng = np.random.default_rng(2)
    tasks = [centre + 0.1 * rng.standard_normal(5) for centre in (0.0, 0.5, 1.0, 3.0)]
    slow = []
    for _ in range(2000):
        pooled: list[float] = []
        for scores in tasks:
            pooled += [float(scores[rng.integers(5)]) for _ in scores]
        slow.append(stats.trim_mean(pooled, 0.25))
    ours = interquartile_estimate(tasks, [np.zeros(5)] * 4)
    assert ours.value == pytest.approx(stats.trim_mean(np.concatenate(tasks), 0.25))
    assert ours.low == pytest.approx(np.percentile(slow, 2.5), abs=0.01)
    assert ours.high == pytest.approx(np.percentile(slow, 97.5), abs=0.01)
    assert ours.high - ours.low < 0.2


def test_with_one_seed_the_interval_is_over_sessions() -> None:
    one = interquartile_estimate([np.array([0.5])], [np.array([0.1])])
    assert one.value == 0.5
    assert one.low == pytest.approx(0.5 - 1.96 * 0.1, abs=0.01)
    assert one.high == pytest.approx(0.5 + 1.96 * 0.1, abs=0.01)
    unknown = interquartile_estimate([np.array([0.5])], [np.array([math.nan])])
    assert unknown.value == 0.5
    assert math.isnan(unknown.low)


def test_a_summary_by_hand() -> None:
    scores = {"noise": [0.1, 0.2, 0.3, 0.4, 1.5], "informed-40": [0.5]}
    rows = [
        a_row(
            task=task,
            seed=seed,
            score=score,
            objective=10.0 + 20.0 * score,
            fills=10.0 * (seed + 1),
        )
        for task, values in scores.items()
        for seed, score in enumerate(values)
    ]
    noise, informed, over_all = summarise(rows)
    assert (noise.task, noise.seeds, informed.seeds) == ("noise", 5, 1)
    assert noise.interquartile_mean.value == pytest.approx(0.3)  # of 0.2, 0.3 and 0.4
    assert noise.mean == pytest.approx(0.5)
    assert noise.objective == pytest.approx(20.0)
    assert noise.standard_error == pytest.approx(1.0 / math.sqrt(5.0))
    assert noise.spread == pytest.approx(20.0 * np.std(scores["noise"], ddof=1))
    assert noise.fills == 30.0
    assert math.isnan(informed.spread)
    assert (over_all.task, over_all.tasks, over_all.seeds) == ("", 2, 5)
    assert over_all.interquartile_mean.value == pytest.approx((0.2 + 0.3 + 0.4 + 0.5) / 4.0)
    assert over_all.mean == pytest.approx(0.5)
    assert over_all.spread == pytest.approx(np.std(scores["noise"], ddof=1))


def test_tasks_without_reference_scores_have_objectives_and_no_scores() -> None:
    task = dataclasses.replace(NOISE, zero=None)
    results = judge("fixed_spread", task)
    assert math.isnan(results.rows[0].score)
    (only,) = summarise(results.rows)
    assert only.task == "noise"
    assert math.isnan(only.mean)
    assert "noise (no reference scores yet)" in printed(results, [task])


# --------------------------------------------------------------------------------- tables and files


def printed(results: Results, tasks: Any) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(text_table(results, tasks))
    return capture.get()


def test_the_table_fits_80_columns_whatever_the_figures() -> None:
    rows = [
        a_row(
            agent=agent,
            seed=seed,
            objective=-12345.6 - seed,
            standard_error=123.4,
            score=-1.25 * seed,
            fills=999.0,
        )
        for agent in ("ppo [of somebody with a long name]", "sac")
        for seed in range(3)
    ]
    lines = printed(Results(rows), [NOISE]).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "noise: 0 is 10.0, 1 is 30.0"
    assert sum(line.startswith("sac") for line in lines) == 2  # in the task and over all
    assert lines[-4:] == suite_tables._NOTE.splitlines()
    assert any(line.split()[:3] == ["sac", "-12346.6", "71.2"] for line in lines)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    results = judge(
        "fixed_spread,skew=inventory_skew:half_spread=1+inventory_skew", NOISE, INFORMED
    )
    write_suite(tmp_path, results, [NOISE, INFORMED], {"versions": {"python": "3"}})
    assert read_suite(tmp_path / "suite.csv", SMALL) == results.rows
    about = json.loads((tmp_path / "suite.json").read_text())
    assert about["seed"] == SUITE_SEED
    assert about["tasks"]["noise"]["one"] == {
        "agent": "high",
        "score": 30.0,
        "standard_error": 0.1,
        "sessions": 64,
    }
    assert len(about["rows"]) == len(results.rows) == 6
    assert {row["agent"] for row in about["summaries"] if row["task"] == ""} == {
        "fixed_spread",
        "skew",
    }


def file_of(folder: Path, *rows: Row) -> Path:
    folder.mkdir(exist_ok=True)
    write_suite(folder, Results(list(rows)), [NOISE], {})
    return folder / "suite.csv"


def test_results_of_two_files_are_joined(tmp_path: Path) -> None:
    first = file_of(tmp_path / "a", a_row(agent="ppo"), a_row(agent="sac"))
    second = file_of(tmp_path / "b", a_row(agent="ppo", objective=30.0))
    results = compare([first, second], SMALL)
    assert [(row.agent, row.score) for row in results.rows] == [
        (f"ppo [{tmp_path / 'a'}]", 0.5), ("sac", 0.5), (f"ppo [{tmp_path / 'b'}]", 1.0),
    ]  # fmt: skip


def test_scores_are_computed_from_the_current_reference_scores(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", a_row(score=7.0, score_standard_error=3.0))
    (row,) = read_suite(path, SMALL)
    assert (row.score, row.score_standard_error) == (0.5, 0.05)


@pytest.mark.parametrize(
    "change, said",
    [
        (
            {"task_version": 2},
            r"suite.csv, line 2 is of another version of the task 'noise': expected .* 1, got 2",
        ),
        (
            {"task": "nois"},
            r"suite.csv, line 2: task is unknown: expected .*, got 'nois'; did you mean 'noise'\?",
        ),
        ({"objective": math.inf}, "line 2 is damaged: expected a number in objective, got 'inf'"),
        ({"objective": "much"}, "line 2 is damaged: expected a number in objective, got 'much'"),
        ({"fills": ""}, "line 2 is damaged: expected a number in fills, got ''"),
        ({"agent": "\x1b[2J"}, "line 2 is damaged: expected printable text in agent"),
        ({"seed": 0.5}, "line 2 is damaged: expected a number in seed, got '0.5'"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "suite.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, vars(a_row()))
        writer.writeheader()
        writer.writerow(vars(a_row()) | change)
    with pytest.raises(ValueError, match=said):
        compare([path], SMALL)


def test_other_files_than_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere.csv cannot be read: expected a suite.csv"):
        compare([tmp_path / "nowhere.csv"], SMALL)
    (tmp_path / "summary.csv").write_text("agent,regime\nppo,noise\n")
    with pytest.raises(
        ValueError,
        match=r"summary.csv has other columns: expected agent, task, .*, got 'agent, regime'",
    ):
        compare([tmp_path / "summary.csv"], SMALL)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"bytes.csv cannot be read"):
        compare([tmp_path / "bytes.csv"], SMALL)


# ------------------------------------------------------------------------------------- the commands


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "evaluate.py", "--suite", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_command_evaluates_writes_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    done = start(
        *("--agents", "fixed_spread,skew=inventory_skew+inventory_skew:half_spread=1,bellman"),
        *("--tasks", "noise,dealer-cartea-jaimungal", "--episodes", "2", "--out", str(out)),
    )
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    assert max(len(line) for line in table) <= 80
    assert last == f"Results: {out} (send in {out / 'suite.csv'})"
    assert {path.name for path in out.iterdir()} == {"suite.csv", "suite.json"}
    with (out / "suite.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["agent"], row["task"], row["seed"], row["episodes"]) for row in rows] == [
        ("fixed_spread", "noise", "0", "2"),
        ("skew", "noise", "0", "2"),
        ("skew", "noise", "1", "2"),
        ("fixed_spread", "dealer-cartea-jaimungal", "0", "20"),
        ("skew", "dealer-cartea-jaimungal", "0", "20"),
        ("skew", "dealer-cartea-jaimungal", "1", "20"),
        ("bellman", "dealer-cartea-jaimungal", "0", "20"),
    ]
    assert all(row["command"].startswith("python evaluate.py --suite") for row in rows)
    assert evaluate.main(Arguments(suite=True, compare=str(out / "suite.csv"))) is None
    compared = capsys.readouterr().out.splitlines()
    assert set(compared) <= set(table)
    assert sum(line.startswith("skew") for line in compared) == sum(
        line.startswith("skew") for line in table
    )


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"suite": True, "tasks": "nois"}, "task is unknown: .*did you mean 'noise'"),
        ({"suite": True, "agents": "inventory_scew"}, "did you mean 'inventory_skew'"),
        (
            {"suite": True, "seed": 1},
            "--seed has no effect with --suite: expected none, got 1",
        ),
        ({"suite": True, "p_informed": 0.5}, "--p-informed has no effect with --suite"),
        ({"suite": True, "episodes": 0}, "episodes=0 is out of range"),
        (
            {"suite": True, "compare": "a.csv", "episodes": 3},
            "--episodes has no effect with --compare",
        ),
        ({"suite": True, "compare": "nowhere.csv"}, "nowhere.csv cannot be read"),
        ({"tasks": "noise"}, "--tasks has no effect without --suite: expected --suite with it"),
        ({"compare": "a.csv"}, "--compare has no effect without --suite: expected --suite with it"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence_and_leaves_nothing(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate.main(
            Arguments(**fields if "compare" in fields else {"out": tmp_path / "out"} | fields)
        )
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------- reference scores


def test_the_reference_scores_are_tuned_run_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tasks.json"
    monkeypatch.setattr("agents.tools.reference_scores.QUICK_SESSIONS", 4)
    write_scores(
        ScoringArguments(tasks="short-session,dealer-cartea-jaimungal", quick=True, out=out)
    )
    found = read_references(out)
    assert list(found) == list(TASKS)
    assert found["noise"]["zero"] is None
    bellman, short = found["dealer-cartea-jaimungal"]["one"], found["short-session"]
    assert (bellman.agent, bellman.standard_error) == ("bellman", 0.0)
    assert short["zero"].sessions == 40
    assert len(short["candidates"]) == 6  # the rules that ignore the flow, and the filter
    assert short["zero"].agent in [candidate["agent"] for candidate in short["candidates"]]
    # A later run of other tasks keeps these scores, and a score is what the agent earns.
    write_scores(ScoringArguments(tasks="dealer-avellaneda-stoikov", quick=True, out=out))
    assert read_references(out)["short-session"] == short
    sessions = run_sessions(
        name_agent(short["zero"].agent), TASKS["short-session"].config, 40, SUITE_SEED, horizons=()
    )
    assert short["zero"].score == pytest.approx(mean_objective(sessions)[0])


def test_scores_written_meanwhile_by_another_process_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tasks.json"
    ours, theirs = "dealer-avellaneda-stoikov", "dealer-cartea-jaimungal"

    def slowly(task: Task) -> tuple[Reference, Reference]:
        if task.name == ours:  # this is the other process
            write_scores(ScoringArguments(tasks=theirs, quick=True, out=out))
        return exact_references(task)

    monkeypatch.setattr("agents.tools.reference_scores.exact_references", slowly)
    write_scores(ScoringArguments(tasks=ours, quick=True, out=out))
    found = read_references(out)
    assert {name for name, entry in found.items() if entry["one"]} == {ours, theirs}


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"quick": True}, "quick scores are not final: expected --out with another file"),
        ({"tasks": "nois"}, "did you mean 'noise'"),
        ({"makers": "noise=oracle"}, "expected TASK=AGENT with a task whose bound is not known"),
        ({"makers": "zero-intelligence=inventory_scew"}, "did you mean 'inventory_skew'"),
    ],
)
def test_reference_scores_that_cannot_be_written_are_refused(
    fields: dict[str, Any], said: str
) -> None:
    before = REFERENCES_FILE.read_bytes()
    with pytest.raises(ValueError, match=said):
        write_scores(ScoringArguments(**fields))
    assert REFERENCES_FILE.read_bytes() == before
