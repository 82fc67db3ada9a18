"""How long a learner takes until its maker is good: seconds and decisions to normalised scores.

python -m benchmarks.time_to_skill --out results/skill.csv
python -m benchmarks.time_to_skill --tasks noise informed-40 --learners ppo_tuned --seeds 0 1 2 \
    --threads 2 --out results/skill.csv
.venv-ray/bin/python -m benchmarks.time_to_skill --learners rllib --out results/skill.csv

The normalised score of a task is 0 for the best tuned rule that ignores the flow, and 1 for the
strongest full-information maker. Training stops now and then for an evaluation of the
deterministic policy on sessions that no training sees. Seconds are those of training only:
evaluations, imports and the first compilation do not count. A run ends when it has reached the
highest level, or at its budget. The table has the medians over training seeds, and how many seeds
reach the level. A training that does not reach it counts as endless. On busy cores, give
`--processor-time`: the table then has the processor time of trainings with one thread.

`--out` appends each finished training to a CSV file, skips the trainings that are in it, and draws
the scores over seconds as a PNG beside it. So the work can be done in pieces, and the same command
continues after an interruption.
"""

import math
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import tyro
from matplotlib import rc_context
from matplotlib.figure import Figure
from stable_baselines3.common.callbacks import BaseCallback

from agents.learned.policy import load
from agents.learned.run_folder import Run
from agents.training.trainer import new_model, training_markets
from benchmarks.learners import (
    OURS,
    append,
    evaluate,
    grouped,
    our_run,
    read,
    shared_legend,
    untrained,
)
from benchmarks.learners import Arguments as Training
from mm_gym import TASKS
from mm_gym.reporting.pictures.style import MARKERS, SERIES, SETTINGS
from mm_gym.sb3 import MarketMakingVecEnv

LEVELS = (0.0, 0.5, 0.9)
_COLUMNS = 3  # panels of the picture


@dataclass(frozen=True)
class Arguments:
    """Measure how long learners take to reach scores."""

    tasks: tuple[str, ...] = (
        "noise",
        "informed-40",
        "informed-80",
        "mixed",
        "latency-250ms",
        "dealer-avellaneda-stoikov",
    )
    """Tasks of the suite."""
    learners: tuple[str, ...] = ("ppo_tuned", "ppo")
    """ppo_tuned: PPO as in train.py. ppo, sac: the defaults of stable-baselines3, with
    variance-reduced rewards. rllib: train.py --engine rllib, which needs Ray."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    budget: int = 5_000_000
    """Largest number of decisions of a training."""
    every: int = 250_000
    """Decisions between two evaluations."""
    sessions: int = 512
    """Sessions of an evaluation."""
    threads: int = 1
    """As --jobs of train.py, for ppo_tuned. Env runners of rllib, if above 1."""
    hyperparameters: str | None = None
    """Name or path of a file of hyperparameters for ppo_tuned and rllib.
    Default: those of train.py for the task."""
    processor_time: bool = False
    """Show processor time in place of wall time: for trainings of one thread on busy cores."""
    out: Path | None = None
    """CSV file to which finished trainings are appended."""


@dataclass(frozen=True)
class Point:
    """One evaluation on the way."""

    task: str
    learner: str
    """With the name of its file of hyperparameters, if it is not the default."""
    threads: int
    seed: int
    decisions: int
    seconds: float
    """Wall time of training so far [s]."""
    processor_seconds: float
    """Processor time of training so far, of this process [s]."""
    objective: float
    """[ticks x lots] Mean of a session."""
    score: float
    """Normalised."""

    @property
    def name(self) -> str:
        """The learner as the table shows it."""
        return self.learner + (f", {self.threads} threads" if self.threads > 1 else "")


class Stopwatch:
    """Evaluates with the watch stopped.

    Args:
        label: task, learner, threads and seed of the points.
        training: how to evaluate.
    """

    def __init__(self, label: tuple[str, str, int, int], training: Training) -> None:
        self.points: list[Point] = []
        self._label = label
        self._training = training
        self._spent = (0.0, 0.0)
        self._since = _clocks()

    def start(self) -> None:
        """Go on after an evaluation, or after the preparation."""
        self._since = _clocks()

    def evaluate(self, model: Any) -> bool:
        """Add a point. Returns whether the score has reached the highest level."""
        self._spent = tuple(
            spent + now - since
            for spent, now, since in zip(self._spent, _clocks(), self._since, strict=True)
        )
        row = evaluate(model, self._training)
        point = Point(*self._label, row.decisions, *self._spent, row.objective, row.score)
        self.points.append(point)
        print(
            f"  {point.decisions:>9,} decisions, {point.seconds:6.1f} s: {point.score:5.2f}",
            flush=True,
        )
        self.start()
        return point.score >= LEVELS[-1]


class Evaluations(BaseCallback):
    """Evaluates at intervals, and ends the training at the highest level."""

    def __init__(self, watch: Stopwatch, every: int) -> None:
        super().__init__()
        self._watch = watch
        self._every = every
        self._reached = False

    def _on_training_start(self) -> None:
        self._watch.start()

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._every * (len(self._watch.points) + 1):
            self._reached = self._watch.evaluate(self.model)

    def _on_step(self) -> bool:
        return not self._reached

    def _on_training_end(self) -> None:
        if not self._reached:
            self._watch.evaluate(self.model)


def main(arguments: Arguments) -> None:
    """Train what is missing, print the table, and draw the curves."""
    torch.set_num_threads(1)
    has_points = arguments.out is not None and arguments.out.exists()
    points = read(arguments.out, Point) if has_points else []
    done = {(point.task, point.learner, point.threads, point.seed) for point in points}
    for task, learner, seed in product(arguments.tasks, arguments.learners, arguments.seeds):
        label = (task, _name(arguments, learner), arguments.threads, seed)
        if label in done:
            continue
        print(f"{task}, {label[1]}, seed {seed}", flush=True)
        curve = measure(arguments, learner, label)
        points += curve
        if arguments.out is not None:
            append(arguments.out, Point, curve)
    clock = "seconds of training"
    if arguments.processor_time:
        clock = "processor seconds of training"
        points = [replace(point, seconds=point.processor_seconds) for point in points]
    keys = grouped(points, lambda point: (point.task, point.name, point.seed))
    curves = [curve for _, curve in keys]
    print("\n".join(table(curves)))
    if arguments.out is not None:
        draw(curves, clock, arguments.out.with_suffix(".png"))


def measure(arguments: Arguments, learner: str, label: tuple[str, str, int, int]) -> list[Point]:
    """Train once, and return the evaluations."""
    task, seed = label[0], label[3]
    training = Training(
        learner=OURS if learner == "rllib" else learner,  # type: ignore[arg-type]
        task=task,
        variance_reduction=True,
        seed=seed,
        decisions=(arguments.budget,),
        sessions=arguments.sessions,
    )
    watch = Stopwatch(label, training)
    run = our_run(task, seed, arguments.budget, arguments.hyperparameters)
    if learner == "rllib":
        _train_with_rllib(replace(run, engine="rllib"), watch, arguments)
        return watch.points
    if learner == OURS:
        markets = training_markets(run, partial(MarketMakingVecEnv, threads=arguments.threads))
        model: Any = new_model(markets, run)
        model.learner_threads = arguments.threads
    else:
        model = untrained(training)
    model.learn(arguments.budget, callback=Evaluations(watch, arguments.every))
    return watch.points


def _train_with_rllib(run: Run, watch: Stopwatch, arguments: Arguments) -> None:
    from agents.training import rllib  # needs Ray

    with tempfile.TemporaryDirectory() as folder:

        def saved(run: Run) -> bool:
            if run.steps_done == 0:  # the first weights
                watch.start()
                return False
            agent = load(Path(folder), run.config)
            return watch.evaluate(
                SimpleNamespace(
                    predict=agent.predict,
                    num_timesteps=run.steps_done,
                    get_env=lambda: SimpleNamespace(num_envs=run.n_envs),
                )
            )

        rllib.train(
            Path(folder),
            run,
            checkpoint_every=arguments.every,
            env_runners=arguments.threads if arguments.threads > 1 else 0,
            saved=saved,
        )


def _name(arguments: Arguments, learner: str) -> str:
    own = arguments.hyperparameters if learner in (OURS, "rllib") else None
    return learner if own is None else f"{learner}:{Path(own).stem}"


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


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
    keys = grouped(curves, lambda curve: (list(TASKS).index(curve[0].task), curve[0].name))
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


def draw(curves: list[list[Point]], clock: str, path: Path) -> None:
    """Draw the score over seconds: one panel a task, one thin line a training.

    Args:
        curves: one per training.
        clock: label of the seconds.
        path: of the picture.
    """
    tasks = grouped(curves, lambda curve: (list(TASKS).index(curve[0].task), curve[0].task))
    learners = sorted({curve[0].name for curve in curves})
    columns = min(_COLUMNS, len(tasks))
    rows = -(-len(tasks) // columns)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(3.4 * columns, 3.0 * rows), layout="constrained", dpi=150)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels[len(tasks) :]:
            axes.set_axis_off()
        for axes, ((_, task), of_task) in zip(panels, tasks, strict=False):
            for curve in of_task:
                number = learners.index(curve[0].name)
                axes.plot(
                    [point.seconds for point in curve],
                    [point.score for point in curve],
                    color=SERIES[number % len(SERIES)],
                    marker=MARKERS[number % len(MARKERS)],
                    linewidth=1.0,
                    label=curve[0].name,
                )
            for level in LEVELS:
                axes.axhline(level, color="black", linewidth=0.6)
            axes.set(
                title=task,
                xlabel=clock,
                xscale="log",
                ylabel="normalised score",
                ylim=(-2.0, 1.6),
            )
            axes.xaxis.set_major_formatter("{x:g}")
        shared_legend(figure)
        figure.savefig(path)


if __name__ == "__main__":
    main(tyro.cli(Arguments, prog="python -m benchmarks.time_to_skill"))
