"""How long a learner takes until its maker is good: seconds and decisions to normalised scores.

python -m benchmarks.time_to_skill
python -m benchmarks.time_to_skill --tasks noise informed-40 --learners ppo_tuned ppo --seeds 0 1 2

The normalised score of a task is 0 for the best tuned rule that ignores the flow, and 1 for the
strongest full-information maker. Training stops now and then for an evaluation of the
deterministic policy on sessions that no training sees. Seconds are wall time of training only:
evaluations, imports and the first compilation do not count. A run ends when it has reached the
highest level, or at its budget. The table has the medians over training seeds, and how many seeds
reach the level. A training that does not reach it counts as endless.

`--out` keeps the curves as CSV, and draws the score over seconds as a PNG beside it.
"""

import csv
import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from matplotlib import rc_context
from matplotlib.figure import Figure
from stable_baselines3.common.callbacks import BaseCallback

from benchmarks.learners import Arguments as Training
from benchmarks.learners import evaluate, grouped, shared_legend, untrained
from mm_gym import TASKS
from mm_gym.reporting.pictures.style import MARKERS, SERIES, SETTINGS

LEVELS = (0.0, 0.5, 0.9)


@dataclass(frozen=True)
class Arguments:
    """Measure how long learners take to reach scores."""

    tasks: tuple[str, ...] = ("noise", "informed-40")
    """Tasks of the suite."""
    learners: tuple[str, ...] = ("ppo_tuned", "ppo")
    """ppo_tuned: PPO as in train.py. ppo, sac: the defaults of stable-baselines3, with
    variance-reduced rewards."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    budget: int = 5_000_000
    """Largest number of decisions of a training."""
    every: int = 250_000
    """Decisions between two evaluations."""
    sessions: int = 512
    """Sessions of an evaluation."""
    out: Path | None = None
    """CSV file for the curves."""


@dataclass(frozen=True)
class Point:
    """One evaluation on the way."""

    task: str
    learner: str
    seed: int
    decisions: int
    seconds: float
    """Wall time of training so far [s]."""
    score: float
    """Normalised."""


class Stopwatch(BaseCallback):
    """Evaluates now and then with the watch stopped, and ends the training at the last level."""

    def __init__(self, arguments: Arguments, training: Training) -> None:
        super().__init__()
        self.points: list[Point] = []
        self._arguments = arguments
        self._training = training
        self._seconds = 0.0

    def _on_training_start(self) -> None:
        self._since = time.perf_counter()

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._arguments.every * (len(self.points) + 1):
            self.evaluate()

    def _on_step(self) -> bool:
        return not self.points or self.points[-1].score < LEVELS[-1]

    def evaluate(self) -> None:
        """Add a point."""
        self._seconds += time.perf_counter() - self._since
        row = evaluate(self.model, self._training)
        self.points.append(
            Point(row.task, row.learner, row.seed, self.num_timesteps, self._seconds, row.score)
        )
        print(f"  {self.num_timesteps:>9,} decisions, {self._seconds:6.1f} s: {row.score:5.2f}")
        self._since = time.perf_counter()


def main(arguments: Arguments) -> None:
    """Train, print the table, and write the curves."""
    torch.set_num_threads(1)
    curves: list[list[Point]] = []
    for task in arguments.tasks:
        for learner in arguments.learners:
            for seed in arguments.seeds:
                print(f"{task}, {learner}, seed {seed}", flush=True)
                curves.append(measure(arguments, task, learner, seed))
                if arguments.out is not None:
                    write(arguments.out, curves)
    print("\n".join(table(curves)))
    if arguments.out is not None:
        draw(curves, arguments.out.with_suffix(".png"))


def measure(arguments: Arguments, task: str, learner: str, seed: int) -> list[Point]:
    """Train once, and return the evaluations."""
    training = Training(
        learner=learner,  # type: ignore[arg-type]
        task=task,
        variance_reduction=True,
        seed=seed,
        decisions=(arguments.budget,),
        sessions=arguments.sessions,
    )
    watch = Stopwatch(arguments, training)
    model = untrained(training)
    model.learn(arguments.budget, callback=watch)
    if not watch.points or watch.points[-1].score < LEVELS[-1]:
        watch.evaluate()
    return watch.points


def reached(curve: list[Point], level: float) -> Point | None:
    """The first evaluation with at least this score."""
    return next((point for point in curve if point.score >= level), None)


def table(curves: list[list[Point]]) -> list[str]:
    """A Markdown table: medians over training seeds."""
    levels = [f"to {level:g}" for level in LEVELS]
    lines = [
        f"| task | learner | seeds | {' | '.join(levels)} |",
        f"|---|---|---:|{'---:|' * len(levels)}",
    ]
    keys = grouped(curves, lambda curve: (list(TASKS).index(curve[0].task), curve[0].learner))
    for (_, learner), of_learner in keys:
        cells = []
        for level in LEVELS:
            found = [reached(curve, level) for curve in of_learner]
            known = [point for point in found if point is not None]
            never = [math.inf] * (len(found) - len(known))
            seconds = statistics.median([*(point.seconds for point in known), *never])
            decisions = statistics.median([*(point.decisions for point in known), *never])
            median = "-" if math.isinf(seconds) else f"{seconds:.0f} s, {decisions:,.0f}"
            cells.append(f"{median} ({len(known)} of {len(found)})")
        lines.append(
            f"| `{of_learner[0][0].task}` | {learner} | {len(of_learner)} | {' | '.join(cells)} |"
        )
    return lines


def write(path: Path, curves: list[list[Point]]) -> None:
    """Write the curves as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Point.__annotations__)
        for curve in curves:
            for point in curve:
                writer.writerow(
                    [point.task, point.learner, point.seed, point.decisions,
                     f"{point.seconds:.2f}", f"{point.score:.4f}"]
                )  # fmt: skip


def draw(curves: list[list[Point]], path: Path) -> None:
    """Draw the score over seconds: one panel a task, one thin line a training."""
    tasks = grouped(curves, lambda curve: (list(TASKS).index(curve[0].task), curve[0].task))
    learners = sorted({curve[0].learner for curve in curves})
    with rc_context(SETTINGS):
        figure = Figure(figsize=(3.4 * len(tasks), 3.0), layout="constrained", dpi=150)
        panels = figure.subplots(1, len(tasks), squeeze=False)[0]
        for axes, ((_, task), of_task) in zip(panels, tasks, strict=True):
            for curve in of_task:
                number = learners.index(curve[0].learner)
                axes.plot(
                    [point.seconds for point in curve],
                    [point.score for point in curve],
                    color=SERIES[number % len(SERIES)],
                    marker=MARKERS[number % len(MARKERS)],
                    linewidth=1.0,
                    label=curve[0].learner,
                )
            for level in LEVELS:
                axes.axhline(level, color="black", linewidth=0.6)
            axes.set(title=task, xlabel="seconds of training", ylim=(-2.0, 1.6))
        panels[0].set_ylabel("normalised score")
        shared_legend(figure)
        figure.savefig(path)


if __name__ == "__main__":
    main(tyro.cli(Arguments, prog="python -m benchmarks.time_to_skill"))
