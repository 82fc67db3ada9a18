"""Install a trained maker into agents/trained.

python -m agents.tools.install runs/NAME NAME

The command writes `run.json` with the results of an evaluation, the weights in `policy.pth`, and a
model card. It copies no checkpoint, so that the folder is small. The maker is then available as
`make_agent("trained/NAME", config)`.

Makers that come with the code have the names of the suite's tasks that they were trained in. Those
of `TASK-sb3-LEARNER` are references: PPO and SAC of stable-baselines3 and RecurrentPPO of
sb3-contrib, each with its default hyperparameters.
"""

import dataclasses
import functools
from pathlib import Path

import tyro
import yaml

from mm_gym import TASKS, MarketConfig, Task
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.suite import mean_objective, sessions_in
from mm_gym.evaluation.summary import summarise
from mm_gym.files import replace_file

from ..base import AgentError
from ..invocation import run_module
from ..learned.policy import load_policy, policy_content
from ..learned.run_folder import POLICY_FILE, Run, read_run
from ..registry import TRAINED, make_agent
from ..training.trainer import check_output, write_run

CARD_FILE = "README.md"
_FIGURES = (
    "episodes",
    "objective",
    "final_pnl",
    "spread_pnl",
    "inventory_pnl",
    "fills",
    "mean_abs_inventory",
)
_INTERVALS = ("objective_low", "objective_high", "final_pnl_low", "final_pnl_high")


def install(run_folder: Path, folder: Path, sessions: int = 1024) -> int:
    """Evaluate a run, and write its policy, its record and its model card.

    Args:
        run_folder: of train.py.
        folder: to write to.
        sessions: number of sessions of the evaluation, with seed 0 in the market of the training.
            There are more if a session has less than 1,000 decisions, as in the suite.

    Returns:
        The size of the weights [bytes].

    Raises:
        AgentError: if the run folder cannot be read, or the new folder exists.
        TrainingError: if the folder cannot be written.
    """
    if folder.exists():
        raise AgentError(
            f"trained/{folder.name} exists already: expected a new name, got {folder.name!r} "
            "(write another name, or delete the folder)"
        )
    run = read_run(run_folder)
    content = policy_content(load_policy(run_folder, run))
    task = task_of(run.config)
    if task is not None:
        sessions = sessions_in(task, sessions)
    found = run_sessions(functools.partial(make_agent, str(run_folder)), run.config, sessions)
    row = summarise(run.algorithm, found)
    figures = {name: row[name] for name in (*_FIGURES, *_INTERVALS)}
    if task is not None and task.scored:
        objective, error, _ = mean_objective(found)
        figures |= {
            "score": task.normalise(objective),
            "score_standard_error": task.normalise_error(error),
        }
    check_output(folder, None)
    replace_file(folder / POLICY_FILE, content)
    installed = dataclasses.replace(run, figures=figures)
    write_run(folder, installed)
    write_card(folder, installed)
    return len(content)


def task_of(config: MarketConfig) -> Task | None:
    """The task of the suite whose market this is, if there is one."""
    return next((task for task in TASKS.values() if task.config == config), None)


def write_card(folder: Path, run: Run) -> None:
    """Write the model card, `README.md`, with the front matter of the Hugging Face Hub."""
    replace_file(folder / CARD_FILE, model_card(folder.name, run).encode())


def model_card(name: str, run: Run) -> str:
    """The text of a model card: training, results and usage.

    Args:
        name: of the maker.
        run: its record, with the figures of `install`.
    """
    config = run.config
    task = task_of(config)
    market = config.regime + (
        f", p_informed = {config.p_informed:g}" if config.p_informed > 0.0 else ""
    )
    if task is not None:
        market = f"task {task.name}, version {task.version}"
    figures = {figure: float(value) for figure, value in run.figures.items() if value is not None}
    half_width = 0.5 * (figures["objective_high"] - figures["objective_low"])
    metrics = [
        {
            "type": "mean_reward",
            "name": "objective per session [ticks x lots], 95 % interval",
            "value": f"{figures['objective']:.1f} +/- {half_width:.1f}",
        }
    ]
    score = None
    if "score" in figures:
        score = f"{figures['score']:.2f} +/- {1.96 * figures['score_standard_error']:.2f}"
        metrics.append(
            {
                "type": "normalised_score",
                "name": "normalised score of the task, 95 % interval",
                "value": score,
            }
        )
    front_matter = {
        "license": "mit",
        "library_name": "stable-baselines3",
        "pipeline_tag": "reinforcement-learning",
        "tags": [
            "MarketMaking-v0",
            "mm_gym",
            "market-making",
            run.algorithm,
            "deep-reinforcement-learning",
        ],
        "model-index": [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "reinforcement-learning", "name": "market making"},
                        "dataset": {
                            "name": f"MarketMaking-v0, {market}",
                            "type": "MarketMaking-v0",
                        },
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }
    rows = {
        "market": market,
        "algorithm": run.algorithm,
        "training decisions": f"{run.steps_done:,}",
        "training seed": run.seed,
        "training command": f"`{run.command}`",
        "objective per session": f"{figures['objective']:.1f} [{figures['objective_low']:.1f}, "
        f"{figures['objective_high']:.1f}] ticks x lots",
        **({} if score is None else {"normalised score": f"{score} (variance-reduced)"}),
        "fills per session": f"{figures['fills']:.0f}",
        "evaluation": f"{figures['episodes']:.0f} held-out sessions, seed 0, 95 % interval",
        "versions": ", ".join(f"{package} {version}" for package, version in run.versions.items()),
        "licence": "MIT",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    where = f"--regimes {config.regime}"
    if task is not None:
        where = f"--suite --tasks {task.name}"
    elif config.regime == "informed":
        where += f" --p-informed {config.p_informed:g}"
    return (
        f"---\n{yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True)}---\n\n"
        f"# {name}\n\n"
        "A market maker for `MarketMaking-v0`, trained in simulation. "
        "It is for research, not for trading.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        "`run.json` holds the configuration. `policy.pth` holds the weights of a\n"
        "stable-baselines3 policy. Read them with `torch.load(weights_only=True)`.\n\n"
        "To evaluate the maker, run this in a checkout of mm_gym:\n\n"
        f"    python evaluate.py --agents trained/{name} {where}\n"
    )


def main(
    run_folder: tyro.conf.Positional[Path], name: tyro.conf.Positional[str], sessions: int = 1024
) -> None:
    """Install a trained maker into agents/trained.

    Args:
        run_folder: Run folder of train.py.
        name: Name of the new folder in agents/trained.
        sessions: Number of sessions of the evaluation.
    """
    size = install(run_folder, TRAINED / name, sessions)
    print(f"trained/{name}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    run_module("tools.install", main)
