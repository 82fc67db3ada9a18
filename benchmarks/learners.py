"""What standard learners reach in the tasks of the suite, over the decisions they have seen.

python -m benchmarks.learners
python -m benchmarks.learners --learner sac --task informed-40 --variance-reduction --seed 1 \
    --decisions 50000 100000 200000 --out results/learners.csv
python -m benchmarks.learners --draw results/learners.csv

Each line has the decisions, the mean objective per session [ticks x lots] with its standard error,
the normalised score of the task, and the fills per session. The sessions are not used in training.
The control variate estimates the objective. `--out` appends the lines to a file. `--draw` prints
the file as a table over training seeds, and draws the scores over decisions as a PNG beside it.
`--save` keeps the weights as a run folder, which `evaluate.py` and `agents.tools.install` read.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from matplotlib import rc_context
from matplotlib.figure import Figure
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from agents.invocation import command_line, run_command
from agents.learned.hyperparameters import hyperparameters_name, read_hyperparameters
from agents.learned.run_folder import Run
from agents.training.history_vec_env import HistoryVecEnv
from agents.training.trainer import (
    check_output,
    new_model,
    training_markets,
    write_weights,
)
from mm_gym import TASKS
from mm_gym.reporting.artefacts import package_versions
from mm_gym.reporting.pictures.style import MARKERS, SERIES, SETTINGS
from mm_gym.sb3 import MarketMakingVecEnv

EVALUATION_SEED = 987654
LEARNERS = {
    "ppo": (PPO, "MlpPolicy"),
    "sac": (SAC, "MlpPolicy"),
    "recurrent_ppo": (RecurrentPPO, "MlpLstmPolicy"),
}
PANELS_IN_A_ROW = 4
TICKS = {1e4: "10 k", 1e5: "100 k", 1e6: "1 M"}
"""Decisions that the picture names."""
OURS = "ppo_tuned"
"""PPO with the hyperparameters of `train.py`, which always trains with variance reduction."""


@dataclass(frozen=True)
class Arguments:
    """Train a learner in a task, and evaluate it on the way."""

    learner: Literal["ppo", "sac", "recurrent_ppo", "ppo_tuned"] = "ppo"
    """The first three have the default hyperparameters of their library.
    ppo_tuned has those of train.py, and always trains with variance reduction."""
    task: str = "noise"
    """Task of the suite."""
    variance_reduction: bool = False
    """Train with variance-reduced rewards."""
    seed: int = 0
    """Training seed."""
    n_envs: int = 8
    """Number of parallel markets. ppo_tuned has its own."""
    decisions: tuple[int, ...] = (100_000, 300_000, 1_000_000)
    """Decisions after which to evaluate, ascending. Each is rounded up to whole rollouts."""
    sessions: int = 2048
    """Sessions of an evaluation."""
    hyperparameters: str | None = None
    """Hyperparameters of ppo_tuned: a name or a file, as in train.py.
    Default: those of train.py for the task."""
    out: Path | None = None
    """CSV file to append the lines to."""
    save: Path | None = None
    """New folder for the weights of the last update."""
    draw: Path | None = None
    """Train nothing. Print and draw this CSV file."""


@dataclass(frozen=True)
class Row:
    """One evaluation during one training."""

    learner: str
    task: str
    variance_reduction: bool
    seed: int
    n_envs: int
    decisions: int
    objective: float
    """[ticks x lots] Mean of a session."""
    standard_error: float
    score: float
    """Normalised by the reference scores of the task."""
    fills: float
    """Per session."""


def main(arguments: Arguments) -> None:
    """Train and print, or draw."""
    if arguments.draw is not None:
        rows = read(arguments.draw, Row)
        print("\n".join(table(rows)))
        draw(rows, arguments.draw.with_suffix(".png"))
        return
    torch.set_num_threads(1)
    if arguments.save is not None:
        check_output(arguments.save, None)
    model = untrained(arguments)

    def evaluated() -> None:
        row = evaluate(model, arguments)
        print(
            f"{row.decisions:>9,}  {row.objective:8.1f} +/- {row.standard_error:.1f}  "
            f"score {row.score:5.2f}  {row.fills:.0f} fills",
            flush=True,
        )
        if arguments.out is not None:
            append(arguments.out, Row, [row])

    model.learn(arguments.decisions[-1], callback=At(arguments.decisions[:-1], evaluated))
    evaluated()
    if arguments.save is not None:
        run = replace(
            run_of(arguments),
            steps_done=model.num_timesteps,
            command=command_line("benchmarks.learners"),
            versions=package_versions(),
        )
        write_weights(arguments.save, model, run)


class At(BaseCallback):
    """Calls a function as soon as so many decisions are learned from."""

    def __init__(self, decisions: tuple[int, ...], call) -> None:
        super().__init__()
        self._left = list(decisions)
        self._call = call

    def _on_rollout_start(self) -> None:
        while self._left and self.num_timesteps >= self._left[0]:
            self._left.pop(0)
            self._call()

    def _on_step(self) -> bool:
        return True


def untrained(arguments: Arguments) -> BaseAlgorithm:
    """The learner before its training."""
    if arguments.learner == OURS:
        run = run_of(arguments)
        return new_model(training_markets(run), run)
    algorithm, policy = LEARNERS[arguments.learner]
    markets = MarketMakingVecEnv(
        arguments.n_envs, task=arguments.task, variance_reduction=arguments.variance_reduction
    )
    return algorithm(policy, markets, seed=arguments.seed, device="cpu")


def our_run(task: str, seed: int, timesteps: int, hyperparameters: str | None = None) -> Run:
    """A training of `train.py`.

    Args:
        task: of the suite.
        seed: of the training.
        timesteps: budget [decisions].
        hyperparameters: name of a file, or a path. Default: those of train.py for the task.
    """
    config = TASKS[task].config
    found = read_hyperparameters(
        hyperparameters or hyperparameters_name("ppo", task, config.regime)
    )
    return Run(
        config=config,
        seed=seed,
        n_envs=found["MarketMaking-v0"]["n_envs"],
        timesteps=timesteps,
        hyperparameters=found,
    )


def run_of(arguments: Arguments) -> Run:
    """The training that the arguments describe, by `our_run` or by a learner with its defaults."""
    if arguments.learner == OURS:
        return our_run(
            arguments.task, arguments.seed, arguments.decisions[-1], arguments.hyperparameters
        )
    return Run(
        config=TASKS[arguments.task].config,
        seed=arguments.seed,
        n_envs=arguments.n_envs,
        timesteps=arguments.decisions[-1],
        algorithm=arguments.learner,
    )


def evaluate(model: BaseAlgorithm, arguments: Arguments) -> Row:
    """Evaluate the deterministic policy on sessions that no training sees."""
    n = arguments.sessions
    task = TASKS[arguments.task]
    markets = MarketMakingVecEnv(n, task=arguments.task, variance_reduction=True)
    markets.seed(EVALUATION_SEED)
    if isinstance(model.get_env(), HistoryVecEnv):
        markets = HistoryVecEnv(markets)
    observations, state, starts = markets.reset(), None, np.ones(n, dtype=bool)
    for _ in range(task.config.session_steps):
        actions, state = model.predict(observations, state, starts, deterministic=True)
        observations, _, starts, infos = markets.step(actions)
    objectives = np.array([info["episode"]["r"] for info in infos]) / task.config.reward_scale
    objective = float(objectives.mean())
    return Row(
        learner=arguments.learner,
        task=arguments.task,
        variance_reduction=arguments.variance_reduction or arguments.learner == OURS,
        seed=arguments.seed,
        n_envs=model.get_env().num_envs,
        decisions=model.num_timesteps,
        objective=objective,
        standard_error=float(objectives.std(ddof=1)) / math.sqrt(n),
        score=task.normalise(objective),
        fills=float(np.mean([info["episode"]["fills"] for info in infos])),
    )


# ------------------------------------------------------------------------------------------- files


def append(path: Path, row_class: type[Any], rows: Sequence[Any]) -> None:
    """Append rows of a dataclass to a CSV file, which is made with its heading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row_class.__annotations__))
        if new:
            writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()}
            )


def read(path: Path, row_class: type[Any]) -> list[Any]:
    """Read the rows of a CSV file, as instances of a dataclass."""
    types = row_class.__annotations__
    with path.open(newline="") as file:
        return [
            row_class(
                **{
                    name: text == "True" if types[name] is bool else types[name](text)
                    for name, text in line.items()
                }
            )
            for line in csv.DictReader(file)
        ]


def name_of(row: Row) -> str:
    """The learner as tables show it."""
    own = row.learner == OURS
    return row.learner if own or not row.variance_reduction else f"{row.learner}, reduced variance"


def grouped(rows: list[Row], keys) -> list[tuple[tuple, list[Row]]]:
    """The rows with equal keys together, ascending."""
    return [(key, list(group)) for key, group in groupby(sorted(rows, key=keys), keys)]


def table(rows: list[Row]) -> list[str]:
    """A Markdown table of the last evaluations: mean objective over training seeds, and each."""
    lines = [
        "| task | learner | decisions | seeds | objective | of each seed | score | fills |",
        "|---|---|---:|---:|---:|---|---:|---:|",
    ]
    learners = grouped(rows, lambda row: (list(TASKS).index(row.task), name_of(row)))
    for (_, name), of_learner in learners:
        decisions = max(row.decisions for row in of_learner)
        group = [row for row in of_learner if row.decisions == decisions]
        group.sort(key=lambda row: row.seed)
        objective, score, fills = (
            np.mean([getattr(row, field) for row in group])
            for field in ("objective", "score", "fills")
        )
        each = ", ".join(f"{row.objective:.0f}" for row in group)
        lines.append(
            f"| `{group[0].task}` | {name} | {decisions:,} | {len(group)} | {objective:.1f} "
            f"| {each} | {'-' if math.isnan(score) else f'{score:.2f}'} | {fills:.0f} |"
        )
    return lines


def draw(rows: list[Row], path: Path) -> None:
    """Draw the normalised score over decisions: one panel a task, one line a learner.

    A line is the mean over training seeds, and a band goes from the worst seed to the best. Tasks
    without reference scores have no panel. Without any panel no file is written.
    """
    scored = [row for row in rows if TASKS[row.task].scored]
    if not scored:
        return
    tasks = grouped(scored, lambda row: (list(TASKS).index(row.task), row.task))
    names = sorted({name_of(row) for row in scored})
    columns = min(PANELS_IN_A_ROW, len(tasks))
    lines = math.ceil(len(tasks) / columns)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(2.6 * columns, 0.6 + 2.3 * lines), layout="constrained", dpi=150)
        panels = figure.subplots(lines, columns, squeeze=False)
        for axes in panels.flat[len(tasks) :]:
            axes.remove()
        for axes, ((_, task), of_task) in zip(panels.flat, tasks, strict=False):
            highest = 2.0
            for (name,), of_learner in grouped(of_task, lambda row: (name_of(row),)):
                colour = SERIES[names.index(name) % len(SERIES)]
                points = grouped(of_learner, lambda row: (row.decisions,))
                decisions = [key[0] for key, _ in points]
                scores = [[row.score for row in group] for _, group in points]
                highest = max(highest, 1.1 * max(map(max, scores)))
                axes.fill_between(
                    decisions,
                    [min(seeds) for seeds in scores],
                    [max(seeds) for seeds in scores],
                    color=colour,
                    alpha=0.18,
                    linewidth=0,
                )
                axes.plot(
                    decisions,
                    [np.mean(seeds) for seeds in scores],
                    color=colour,
                    marker=MARKERS[names.index(name) % len(MARKERS)],
                    label=name,
                )
            axes.axhline(0.0, color="black", linewidth=0.8)
            axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
            axes.set(title=task, xscale="log", ylim=(-2.0, highest))
            axes.set_xlim(8e3, 8e6)
            axes.set_xticks(list(TICKS), TICKS.values())
            axes.set_xticks([], minor=True)
        for axes in figure.axes[-columns:]:
            axes.set_xlabel("decisions")
        figure.supylabel("normalised score")
        shared_legend(figure)
        figure.savefig(path)


def shared_legend(figure: Figure) -> None:
    """One legend below all panels, with each label once."""
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)


if __name__ == "__main__":
    run_command(
        "benchmarks.learners",
        lambda: main(tyro.cli(Arguments, prog="python -m benchmarks.learners")),
    )
