"""Put a trained maker into agents/trained, small enough to be kept there: python -m agents.publish runs/NAME NAME

It is an agent from then on: `make_agent("trained/NAME", config)`. Written are `run.json`, with what it earns, and
`policy.pth`; nothing from which a training could go on.
"""

import dataclasses
import functools
import sys
from pathlib import Path

import tyro

from agents import TRAINED, make_agent
from agents.ppo import POLICY_FILE, Run, load_policy, policy_content, read_run
from agents.training import check_output, replace_file, write_run
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.table import summarise

_FIGURES = ("episodes", "objective", "final_pnl", "spread_pnl", "inventory_pnl", "fills", "mean_abs_inventory")
_INTERVALS = ("objective_low", "objective_high", "final_pnl_low", "final_pnl_high")


def publish(run_folder: Path, folder: Path, sessions: int = 1024) -> int:
    """Write what the run folder quotes with, and what it earns.

    Args:
        run_folder: that train.py has written.
        folder: to write to.
        sessions: of the evaluation with seed 0 in the market it was trained on, whose figures `run.json` will hold.

    Returns:
        The size of the weights [bytes].

    Raises:
        AgentError: if the run folder cannot be read.
        TrainingError: if the folder cannot be written, or holds something else.
    """
    run = read_run(run_folder)
    content = policy_content(load_policy(run_folder, run))
    row = summarise(run.algorithm, run_sessions(functools.partial(make_agent, str(run_folder)), run.config, sessions))
    check_output(folder, None)
    replace_file(folder / POLICY_FILE, content)
    published = dataclasses.replace(run, figures={name: row[name] for name in (*_FIGURES, *_INTERVALS)})
    write_run(folder, published)
    write_card(folder, published)
    return len(content)


def write_card(folder: Path, run: Run) -> None:
    """The place of the model card, `README.md` in the folder: it is not written yet."""


def main(run_folder: tyro.conf.Positional[Path], name: tyro.conf.Positional[str], sessions: int = 1024) -> None:
    """Put a trained maker into agents/trained.

    Args:
        run_folder: that train.py has written.
        name: of the folder in agents/trained.
        sessions: for the figures in its run.json.
    """
    size = publish(run_folder, TRAINED / name, sessions)
    print(f"trained/{name}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except (ValueError, OSError) as error:
        sys.exit(f"agents.publish: {error}")
