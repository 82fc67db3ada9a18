"""Frames per second of the render modes on one thread, and the size of the README's animation.

python -m benchmarks.rendering [--quick]

The market makes one step before each frame. Rates are per second of processor time, so that other
programs do not matter. Each is the median over several turns.
"""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import tyro
from rich.console import Console
from rich.progress import track

import mm_gym
from benchmarks.steps import HALF_SPREAD
from benchmarks.turns import processor_time, result_table
from mm_gym.actions import from_ticks
from mm_gym.rendering import grid

GRID = 16  # markets
TARGET = 30  # frames per second
ANIMATION = Path(__file__).parents[1] / "docs" / "pictures" / "session.gif"


def frame_rates(
    environment: Any, draw: Callable[[Any], Any], turns: int, frames: int
) -> list[float]:
    """Frames per second in each turn.

    Args:
        environment: a single or vector environment with a render mode.
        draw: draws it.
        turns: number of turns.
        frames: number of frames in each turn.
    """
    environment.reset(seed=0)
    offsets = np.full(environment.action_space.shape, HALF_SPREAD)
    action = from_ticks(offsets, mm_gym.configure().max_offset)
    for _ in range(300):  # a past that the pictures show
        environment.step(action)

    def turn() -> None:
        for _ in range(frames):
            environment.step(action)
            draw(environment)

    return [frames / processor_time(turn) for _ in range(turns)]


def main(quick: bool = False) -> None:
    """Measure frames per second, and print a table.

    Args:
        quick: Use fewer and shorter turns.
    """
    turns, frames = (3, 30) if quick else (7, 90)  # less than one session
    table = result_table(f"Medians of {turns} turns, one thread", "frames/s", "result", "target")
    for name, keywords in track(
        {
            "ansi": {"render_mode": "ansi"},
            "rgb_array": {"render_mode": "rgb_array"},
            "rgb_array, show_truth=True": {"render_mode": "rgb_array", "show_truth": True},
        }.items(),
        "measuring",
        transient=True,
    ):
        environment = gymnasium.make("MarketMaking-v0", regime="informed", **keywords)
        rates = frame_rates(environment, lambda env: env.render(), turns, frames)
        table.add_row(f"{name}, one market", f"{statistics.median(rates):,.0f}", f"{TARGET}")
    batch = gymnasium.make_vec(
        "MarketMaking-v0", num_envs=GRID, regime="informed", render_mode="rgb_array"
    )
    rates = frame_rates(batch, lambda env: grid(env.render()), turns, frames // 10)
    table.add_row(f"rgb_array, a grid of {GRID} markets", f"{statistics.median(rates):,.1f}", "")
    table.add_section()
    table.add_row(f"size of {ANIMATION.name}", f"{ANIMATION.stat().st_size / 1e6:.2f} MB", "3 MB")
    Console(width=80).print(table)


if __name__ == "__main__":
    tyro.cli(main)
