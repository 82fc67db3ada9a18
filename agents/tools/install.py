"""Put a trained maker into agents/trained, small enough to be kept there: python -m
agents.tools.install runs/NAME NAME

It is an agent from then on: `make_agent("trained/NAME", config)`. Written are `run.json`, with what
it earns, and `policy.pth`; nothing from which a training could go on.
"""

import dataclasses
import functools
from pathlib import Path

import tyro
import yaml

from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.summary import summarise

from ..command_line import run_command
from ..learned.policy import load_policy, policy_content
from ..learned.run_folder import POLICY_FILE, Run, read_run
from ..registry import TRAINED, make_agent
from ..training.trainer import check_output, replace_file, write_run

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
    """Write what the run folder quotes with, and what it earns.

    Args:
        run_folder: that train.py has written.
        folder: to write to.
        sessions: of the evaluation with seed 0 in the market it was trained on, whose figures
            `run.json` will hold.

    Returns:
        The size of the weights [bytes].

    Raises:
        AgentError: if the run folder cannot be read.
        TrainingError: if the folder cannot be written, or holds something else.
    """
    run = read_run(run_folder)
    content = policy_content(load_policy(run_folder, run))
    row = summarise(
        run.algorithm,
        run_sessions(functools.partial(make_agent, str(run_folder)), run.config, sessions),
    )
    check_output(folder, None)
    replace_file(folder / POLICY_FILE, content)
    installed = dataclasses.replace(
        run, figures={name: row[name] for name in (*_FIGURES, *_INTERVALS)}
    )
    write_run(folder, installed)
    write_card(folder, installed)
    return len(content)


def write_card(folder: Path, run: Run) -> None:
    """Write the model card, `README.md` in the folder, in the form that Hugging Face's hub
    reads."""
    replace_file(folder / CARD_FILE, model_card(folder.name, run).encode())


def model_card(name: str, run: Run) -> str:
    """The model card of a maker: what it was trained on, by which command, what it earns, and how
    to use it.

    Args:
        name: of the maker.
        run: with the figures that `install` has measured.
    """
    config = run.config
    market = config.regime + (
        f", p_informed = {config.p_informed:g}" if config.p_informed > 0.0 else ""
    )
    figures = {figure: float(value) for figure, value in run.figures.items() if value is not None}
    half_width = 0.5 * (figures["objective_high"] - figures["objective_low"])
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
                        "metrics": [
                            {
                                "type": "mean_reward",
                                "name": "objective a session [ticks x lots], 95 % interval",
                                "value": f"{figures['objective']:.1f} +/- {half_width:.1f}",
                            }
                        ],
                    }
                ],
            }
        ],
    }
    rows = {
        "market": market,
        "algorithm": run.algorithm,
        "decisions": f"{run.steps_done:,}",
        "seed": run.seed,
        "command": f"`{run.command}`",
        "objective a session": f"{figures['objective']:.1f} [{figures['objective_low']:.1f}, "
        f"{figures['objective_high']:.1f}] ticks x lots",
        "fills a session": f"{figures['fills']:.0f}",
        "judged on": f"{figures['episodes']:.0f} sessions that were not trained on (evaluation seed 0)",
        "versions": ", ".join(f"{package} {version}" for package, version in run.versions.items()),
        "licence": "MIT",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return (
        f"---\n{yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True)}---\n\n"
        f"# {name}\n\n"
        f"A market maker for `MarketMaking-v0`, trained in simulation. It is for research, not for trading.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        "`run.json` holds the configuration, `policy.pth` the weights of a stable-baselines3 policy, to be read with\n"
        "`torch.load(weights_only=True)`. In a checkout of mm_gym:\n\n"
        f"    python evaluate.py --agents trained/{name} --regimes {config.regime}\n"
    )


def main(
    run_folder: tyro.conf.Positional[Path], name: tyro.conf.Positional[str], sessions: int = 1024
) -> None:
    """Put a trained maker into agents/trained.

    Args:
        run_folder: that train.py has written.
        name: of the folder in agents/trained.
        sessions: for the figures in its run.json.
    """
    size = install(run_folder, TRAINED / name, sessions)
    print(f"trained/{name}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    run_command(
        "agents.tools.install", lambda: tyro.cli(main, prog="python -m agents.tools.install")
    )
