"""The progress of a training: in place on a terminal, and as plain lines elsewhere."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import agents.training.trainer
from agents.training.held_out import Evaluation
from agents.training.progress import EVERY, ProgressDisplay
from mm_gym.evaluation.statistics import Estimate
from tests.small_runs import UPDATE, a_run
from tests.small_runs import small as small  # a fixture

LINE_UP = "\x1b[1A"
RULE = "gueant_lehalle_fernandez_tapia"  # the longest name
EVALUATION = Evaluation(
    1_507_328,
    {"objective": 301.24, "fills": 287.1},
    299.0,
    {"agent": RULE, "objective": 304.5},
    Estimate(-3.26, -12.1, 5.4),
    {},
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def shown(display: ProgressDisplay, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(display._view())
    return re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).splitlines()


def test_a_terminal_shows_speed_time_left_and_the_best_rule_in_80_columns() -> None:
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    display = ProgressDisplay(5_000_000, console, clock)
    clock.now += 100.0  # compiling
    display.collected(1_000_000)  # of a resumed training
    display.trained_on(288.44, 281.2)
    clock.now += 50.0
    with display.pause():
        clock.now += 600.0  # an evaluation, which is no part of the speed
        assert "evaluating" in shown(display, console)[1]
    display.collected(2_500_000)
    lines = shown(display, console)
    assert "2,500,000 of 5,000,000" in lines[0]
    # 1,500,000 decisions in 50 seconds, and 2,500,000 to come.
    assert lines[1].split("speed")[1].strip() == "30,000 a second, 1:23 left"
    assert "objective 288.4, 281 fills" in lines[2]
    assert [line.split()[-3:] for line in lines[3:]] == 2 * [["not", "evaluated", "yet"]]
    display.evaluated(EVALUATION)
    lines = shown(display, console)
    assert len(lines) == 5
    assert "objective 301.2, 287 fills, after 1,507,328 decisions" in lines[3]
    assert " ".join(lines[4].split()) == f"best rule 304.5 by {RULE}; gap -3.26 [-12.1, 5.4]"
    assert max(map(len, lines)) <= 80


def test_a_terminal_is_updated_in_place() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80)
    with ProgressDisplay(100, console, Clock()) as display:
        display.collected(50)
        display._live.refresh()
        display.collected(100)
    text = written.getvalue()
    assert "50 of 100" in text
    assert LINE_UP in text[text.index("50 of 100") : text.index("100 of 100")]
    assert text.count("\n") < 20


def test_elsewhere_a_plain_line_is_printed_now_and_then() -> None:
    written, clock = io.StringIO(), Clock()
    with ProgressDisplay(5_000_000, Console(file=written, width=80), clock) as display:
        for second in range(101):
            display.collected(30_000 * second)
            clock.now += 1.0
        display.trained_on(288.44, 281.2)
        clock.now += EVERY
        display.collected(3_500_000)
        display.evaluated(EVALUATION)
    lines = written.getvalue().splitlines()
    assert lines == [
        "900,000 decisions (18%), 30,000/s, 2:17 left",
        "1,800,000 decisions (36%), 30,000/s, 1:47 left",
        "2,700,000 decisions (54%), 30,000/s, 1:17 left",
        "3,500,000 decisions (70%), 26,718/s, 0:56 left, objective 288.4, 281 fills",
        "held-out sessions: objective 301.2, 287 fills, after 1,507,328 decisions",
        f"best rule: 304.5 by {RULE}; gap -3.26 [-12.1, 5.4]",
    ]
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("small")
def test_a_training_prints_its_objective_beside_that_of_the_best_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agents.training.trainer.train(tmp_path, a_run(2), evaluate_every=UPDATE)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    pattern = r"held-out sessions: objective (\S+), \S+ fills, after (\S+) decisions"
    found = re.findall(pattern, printed)
    assert [after for _, after in found] == ["512", "1,024"]
    rule = r"best rule: (\S+) by inventory_skew; gap (\S+) \["
    for (objective, _), (of_rule, gap) in zip(found, re.findall(rule, printed), strict=True):
        assert np.isclose(float(gap), float(objective) - float(of_rule), rtol=0.01, atol=0.2)
