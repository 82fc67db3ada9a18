"""Put a trained maker into agents/trained, small enough to be kept there: python -m agents.publish runs/NAME NAME

It is an agent from then on: `make_agent("trained/NAME", config)`.
"""

import dataclasses
import functools
import sys
from io import BytesIO
from pathlib import Path

import tyro

from agents import TRAINED, make_agent
from agents.ppo import MODEL_FILE, load_model, read_run
from agents.training import check_output, replace_file, write_run
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.table import summarise

_LEFT_OUT = ("ep_info_buffer", "ep_success_buffer", "_last_obs", "_last_episode_starts", "_last_lstm_states", "_logger")
"""What a model remembers of its training: megabytes, of no use to one who quotes."""

_FIGURES = ("episodes", "objective", "final_pnl", "spread_pnl", "inventory_pnl", "fills", "mean_abs_inventory")
_INTERVALS = ("objective_low", "objective_high", "final_pnl_low", "final_pnl_high")


def publish(run_folder: Path, folder: Path, sessions: int = 1024) -> int:
    """Write what the run folder quotes with, stripped of what only its training needed, with what it earns.

    Args:
        run_folder: that train.py has written.
        folder: to write to.
        sessions: of the evaluation with seed 0 in the market it was trained on, whose figures `run.json` will hold.

    Returns:
        The size of the model [bytes].

    Raises:
        AgentError: if the run folder cannot be read.
        TrainingError: if the folder cannot be written, or holds something else.
    """
    run = read_run(run_folder)
    model = load_model(run_folder, run.algorithm, run.loads)
    model.policy.optimizer.state.clear()
    content = BytesIO()
    model.save(content, exclude=_LEFT_OUT)
    row = summarise(run.algorithm, run_sessions(functools.partial(make_agent, str(run_folder)), run.config, sessions))
    check_output(folder, None)
    replace_file(folder / MODEL_FILE, content.getvalue())
    figures = {name: row[name] for name in (*_FIGURES, *_INTERVALS)}
    write_run(folder, dataclasses.replace(run, loads=MODEL_FILE, figures=figures))
    return len(content.getvalue())


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
