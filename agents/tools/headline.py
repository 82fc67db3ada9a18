"""Draw the README's picture: PnL against the informed share of takers, for rules and for PPO.

python -m agents.tools.headline --jobs 2
python -m agents.tools.headline --redraw

All makers trade the same sessions (common random numbers). The first command runs them and writes
`headline.csv` and `headline.png`. The second draws the picture again from the CSV file.
"""

import csv
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from mm_gym import MarketConfig, configure
from mm_gym.evaluation.rollout import Cell, run_cells
from mm_gym.evaluation.statistics import Estimate, mean
from mm_gym.reporting.pictures.style import (
    INK,
    MUTED,
    SERIES,
    SETTINGS,
    neutral_line,
)

from ..invocation import run_module
from ..registry import Agent, make_agent, name_agent
from ..rules.tuned import tuned_rule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Informed shares of takers, the values of x."""
COLUMNS = ("agent", "p_informed", "sessions", "final_pnl", "final_pnl_low", "final_pnl_high")


@dataclass(frozen=True)
class Line:
    """One maker and the look of its line."""

    agent: str
    """Its name in the CSV file."""
    make_agent: Callable[[MarketConfig], Agent]
    colour: str
    marker: str
    stroke: Any
    """Matplotlib's `linestyle`."""
    label: str
    label_at: float
    """The informed share at which the label points to the line."""
    label_offset: tuple[float, float]
    """[points] From there to the start of the label."""
    along: bool = False
    """Whether the label runs along the line and needs no pointer."""


@dataclass(frozen=True)
class Arguments:
    """Draw the README's picture: PnL against the informed share of takers."""

    out: Path = Path("docs/pictures")
    """Folder of headline.csv and headline.png."""
    episodes: int = 256
    """Sessions of each maker at each informed share."""
    seed: int = 0
    """Seed of the evaluation."""
    jobs: int = 1
    """Number of processes."""
    redraw: bool = False
    """Draw headline.csv again and run nothing."""


Curves = dict[str, list[Estimate]]
"""The mean final PnL of each maker [ticks x lots], one estimate for each share of `SHARES`."""


def lines() -> tuple[Line, ...]:
    """The makers of the picture. Markers and strokes differ, so colour is not needed."""
    untuned: dict[str, Any] = dict(tuned_rule("inventory_skew", configure("noise")).parameters)
    return (
        Line(
            "trained/mixed",
            name_agent("trained/mixed"),
            SERIES[0],
            "o",
            "-",
            "PPO, one policy for every share",
            0.1,
            (16, 9),
        ),
        Line(
            "glosten_milgrom:tuned",
            name_agent("glosten_milgrom:tuned"),
            SERIES[2],
            "^",
            (0, (5, 1.5)),
            "exact Bayesian filter, knows the share",
            0.5,
            (16, 14),
        ),
        Line(
            "inventory_skew:tuned",
            name_agent("inventory_skew:tuned"),
            SERIES[1],
            "s",
            (0, (3, 1, 1, 1)),
            "inventory skew, tuned at each share",
            0.2,
            (9, 8),
            along=True,
        ),
        Line(
            "fixed_spread:tuned",
            name_agent("fixed_spread:tuned"),
            SERIES[3],
            "D",
            (0, (6, 1.5, 1, 1.5, 1, 1.5)),
            "fixed spread, tuned at each share",
            0.2,
            (-62, -48),
        ),
        Line(
            "inventory_skew tuned at p = 0",
            functools.partial(make_agent, "inventory_skew", **untuned),
            INK,
            "x",
            (0, (1, 1.2)),
            "inventory skew, tuned without informed takers",
            0.8,
            (-290, -22),
        ),
    )


def main(arguments: Arguments) -> Path:
    """Run the makers or read an earlier run, and draw. Returns the path of the picture."""
    console = Console()
    table, picture = arguments.out / "headline.csv", arguments.out / "headline.png"
    if arguments.redraw:
        curves, episodes = read(table)
    else:
        arguments.out.mkdir(parents=True, exist_ok=True)
        curves, episodes = run(arguments, table, console), arguments.episodes
    draw(curves, episodes, picture)
    console.print(f"Picture: {picture}, figures: {table}", soft_wrap=True)
    return picture


def run(arguments: Arguments, table: Path, console: Console) -> Curves:
    """Run every maker at every share on the same sessions. Write the table after each maker."""
    torch.set_num_threads(1)  # faster than more threads for small networks
    curves: Curves = {}
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("sessions", total=len(lines()) * len(SHARES) * arguments.episodes)
        for line in lines():
            done = run_cells(
                [Cell(line.agent, line.make_agent, market(share)) for share in SHARES],
                arguments.episodes,
                arguments.seed,
                arguments.jobs,
                horizons=(),
                on_batch=lambda sessions: bar.advance(task, sessions),
            )
            curves[line.agent] = [mean(sessions.final_pnl) for sessions in done]
            write(curves, arguments.episodes, table)
    return curves


def market(share: float) -> MarketConfig:
    """The market with this share of informed takers. With none it is the regime `noise`, in which
    the rules were tuned."""
    return configure("informed", p_informed=share) if share > 0.0 else configure("noise")


def write(curves: Curves, episodes: int, path: Path) -> None:
    """Write the estimates, one row for each maker and share."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for agent, estimates in curves.items():
            for share, estimate in zip(SHARES, estimates, strict=True):
                rows.writerow([agent, share, episodes, *(f"{figure:.2f}" for figure in estimate)])


def read(path: Path) -> tuple[Curves, int]:
    """The estimates of a file that `write` wrote, and the number of sessions of each."""
    curves: Curves = {}
    episodes = 0
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            figures = (float(row[column]) for column in COLUMNS[3:])
            curves.setdefault(row["agent"], []).append(Estimate(*figures))
            episodes = int(row["sessions"])
    return curves, episodes


def draw(curves: Curves, episodes: int, path: Path) -> None:
    """Draw the curves as a PNG file for a page 800 pixels wide, at twice that resolution."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with style.context(["default", SETTINGS, {"font.size": 10}]):
        figure = Figure(figsize=(8.0, 4.4), dpi=200)
        canvas: Any = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.085, 0.115, 0.885, 0.745))
        drawn = [line for line in lines() if line.agent in curves]
        for line in drawn:
            value, low, high = np.array(curves[line.agent]).T
            axes.fill_between(SHARES, low, high, color=line.colour, alpha=0.16, linewidth=0)
            axes.errorbar(
                SHARES,
                value,
                yerr=(value - low, high - value),
                color=line.colour,
                linestyle=line.stroke,
                marker=line.marker,
                markersize=5.5,
                linewidth=1.8,
                elinewidth=1.0,
                capsize=2.5,
            )
        neutral_line(axes)
        axes.set_xlim(-0.03, 1.03)
        for line in drawn:
            _label(axes, line, [estimate.value for estimate in curves[line.agent]])
        axes.set_xlabel("p_informed: share of takers who act on the signal", fontsize=10)
        axes.set_ylabel("final PnL [ticks × lots / session]", fontsize=10)
        axes.tick_params(labelsize=9)
        left = 0.013
        figure.text(
            left,
            0.975,
            "Informed takers turn a market maker's profit into a loss",
            size=13,
            weight="bold",
            va="top",
        )
        figure.text(
            left,
            0.915,
            "Same prices and same arrivals for all makers; means and 95 % intervals over "
            f"{episodes} paired sessions",
            size=9.5,
            color=MUTED,
            va="top",
        )
        canvas.draw()
        # 256 colours are enough, and take a third of the bytes.
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _label(axes: "Axes", line: Line, values: Sequence[float]) -> None:
    """Write the maker's name along its line, or beside it with a thin pointer."""
    point = (line.label_at, float(np.interp(line.label_at, SHARES, values)))
    look: dict[str, Any] = {"color": line.colour, "fontsize": 10, "fontweight": "bold"}
    if line.along:
        end = (line.label_at + 0.2, float(np.interp(line.label_at + 0.2, SHARES, values)))
        (x0, y0), (x1, y1) = axes.transData.transform([point, end])
        angle = float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
        look |= {"rotation": angle, "rotation_mode": "anchor"}
    else:
        look["arrowprops"] = {"arrowstyle": "-", "color": line.colour, "linewidth": 0.8}
    axes.annotate(line.label, point, line.label_offset, textcoords="offset points", **look)


if __name__ == "__main__":
    run_module("tools.headline", main, Arguments)
