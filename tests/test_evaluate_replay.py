"""evaluate.py --replay: the files that it writes, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from agents.commands import evaluate
from agents.commands.evaluate import Arguments
from mm_gym import configure
from mm_gym.evaluation.rollout import session_seeds
from mm_gym.rendering.recording import Recording


def test_a_page_and_each_recording_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    agents = "fixed_spread:half_spread=2,oracle"
    returned = evaluate.main(
        Arguments(replay=True, agents=agents, regimes="informed", p_informed=0.6, seed=3, out=out)
    )
    assert returned == out
    assert {path.name for path in out.iterdir()} == {
        "replay.html",
        "fixed_spread-half_spread=2.npz",
        "oracle.npz",
    }
    rule, oracle = (
        Recording.load(out / f"{name}.npz") for name in ("fixed_spread-half_spread=2", "oracle")
    )
    assert (rule.label, oracle.label) == (
        "fixed_spread:half_spread=2",
        "oracle (shown the signal)",
    )
    assert rule.config == oracle.config == configure("informed", p_informed=0.6)
    assert rule.seed == oracle.seed == session_seeds(3, 1)[0]
    assert len(rule.decisions) == 1001
    lines = capsys.readouterr().out.splitlines()
    for recording, line in zip((rule, oracle), lines[-3:-1], strict=True):
        pnl = recording.decisions["pnl"][-1]
        assert line == (
            f"{recording.label}: PnL {pnl:+.1f} ticks x lots, {len(recording.fills)} fills"
        )
    assert lines[-1] == f"Replay: {out} (open {out / 'replay.html'} in a browser)"
    with pytest.raises(OSError, match="holds results already"):
        evaluate.main(Arguments(replay=True, agents=agents, out=out))


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"agents": "a,b,c,d,e"}, "--agents names too many for --replay: expected at most 4"),
        ({"regimes": "noise,informed"}, "--regimes names too many for --replay"),
        ({"agents": "inventory_scew"}, "did you mean 'inventory_skew'"),
        ({"regimes": "informd"}, "did you mean 'informed'"),
        ({"episodes": 3}, "--episodes has no effect with --replay: expected none, got 3"),
        ({"suite": True}, "--suite has no effect with --replay"),
        ({"experiment": "all"}, "--experiment has no effect with --replay"),
        ({"jobs": 2}, "--jobs has no effect with --replay"),
        ({"seed": -1}, "seed=-1 is out of range"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_a_replay_cannot_show_is_refused_and_leaves_nothing(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate.main(Arguments(**{"replay": True, "out": tmp_path / "out"} | fields))
    assert list(tmp_path.iterdir()) == []
