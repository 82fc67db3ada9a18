"""Reference scores of the tasks: how they are computed and written."""

from pathlib import Path
from typing import Any

import pytest

from agents import name_agent
from agents.tools.reference_scores import Arguments as ScoringArguments
from agents.tools.reference_scores import exact_references
from agents.tools.reference_scores import main as write_scores
from mm_gym import TASKS, Task
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.suite import SUITE_SEED, mean_objective
from mm_gym.reference_scores import REFERENCES_FILE, Reference, read_references


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
