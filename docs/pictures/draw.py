"""Draw the pictures of `docs/explanation/adverse-selection.md`, and of `clustered` in `results.md`.

python docs/pictures/draw.py
python docs/pictures/draw.py --sessions 32
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro

PICTURES = Path(__file__).resolve().parent
sys.path.insert(0, str(PICTURES.parents[1]))  # the repository, which has `agents`

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from agents import name_agent  # noqa: E402
from mm_gym import MarketConfig, configure, palette  # noqa: E402
from mm_gym.evaluation.experiments.clustered import POISSON  # noqa: E402
from mm_gym.evaluation.metrics import against_value  # noqa: E402
from mm_gym.evaluation.rollout import Cell, run_cells  # noqa: E402
from mm_gym.evaluation.sessions import Sessions  # noqa: E402
from mm_gym.evaluation.statistics import Estimate, mean, mean_over_fills, ratio  # noqa: E402

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
AGENT = "inventory_skew"
HORIZONS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)  # [s]
SHOWN_SESSION = 2
INK, SERIES = palette.TEXT.light, palette.SERIES[0].light
NOISE, INFORMED = palette.NOISE.light, palette.INFORMED.light
SPREAD, INVENTORY = palette.SPREAD.light, palette.INVENTORY.light
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 9,
    "grid.alpha": 0.4,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "svg.hashsalt": "mm_gym",
}


def main(sessions: int = 128, out: Path = PICTURES) -> None:
    """Run the sessions and write the pictures.

    Args:
        sessions: Sessions for each market.
        out: Folder of the pictures.
    """
    results = run_markets(sessions)
    sweep = [results[f"p = {share:g}"] for share in SHARES]
    with matplotlib.rc_context(STYLE):
        for name, figure in {
            "same-prices": same_prices(sweep[0], results["p = 0.8"]),
            "after-each-fill": after_each_fill(sweep),
            "two-parts-of-pnl": two_parts_of_pnl(sweep),
            "per-session-and-per-fill": per_session_and_per_fill(sweep),
            "same-flow": same_flow(results["informed"], results["decoy"]),
            "persistent-flow": persistent_flow(run_clustered(sessions)),
        }.items():
            path = out / f"{name}.png"
            figure.savefig(path, dpi=160, metadata={"Software": None})
            print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


def run_markets(n_sessions: int) -> dict[str, Sessions]:
    """Sessions of one rule in all markets, on the same seeds."""
    markets: dict[str, MarketConfig] = {
        f"p = {share:g}": configure("informed", p_informed=share) for share in SHARES
    }
    for kind, label in (("signal", "informed"), ("decoy", "decoy")):
        markets[label] = configure(
            "informed", p_informed=0.6, informed_price_limit=False, informed_kind=kind
        )
    cells = [Cell(AGENT, name_agent(AGENT), config) for config in markets.values()]
    sessions = run_cells(cells, n_sessions, horizons=HORIZONS)
    return dict(zip(markets, sessions, strict=True))


def run_clustered(n_sessions: int) -> dict[str, Sessions]:
    """Sessions of the same rule in persistent flow, and in the same market with Poisson flow."""
    markets = {
        "Poisson flow": configure("clustered", **POISSON),
        "clustered, p = 0": configure("clustered"),
        "clustered, p = 0.4": configure("clustered", p_informed=0.4),
    }
    cells = [Cell(AGENT, name_agent(AGENT), config) for config in markets.values()]
    sessions = run_cells(cells, n_sessions, horizons=HORIZONS)
    return dict(zip(markets, sessions, strict=True))


def same_prices(noise: Sessions, informed: Sessions) -> Figure:
    """One price path, and what the same rule makes of it in two order flows."""
    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    price, inventory, pnl = figure.subplots(3, 1, sharex=True)
    minutes = noise.path_times / 60.0
    path = noise.value_path[SHOWN_SESSION]
    price.plot(minutes, path - path[0], color=INK)
    price.set_title("The efficient price is the same in both markets")
    price.set_ylabel("ticks from start")
    for sessions, colour, line, label in (
        (noise, NOISE, "-", "no informed takers"),
        (informed, INFORMED, "--", "80 % informed takers"),
    ):
        inventory.plot(
            minutes, sessions.inventory_path[SHOWN_SESSION], line, color=colour, label=label
        )
        pnl.plot(minutes, sessions.pnl_path[SHOWN_SESSION], line, color=colour, label=label)
    inventory.set_title("The inventory is not")
    inventory.set_ylabel("lots")
    inventory.legend(ncols=2, fontsize=8)
    pnl.set_title("Neither is the PnL")
    pnl.set_ylabel("ticks x lots")
    pnl.set_xlabel("minutes")
    return figure


def after_each_fill(sweep: Sequence[Sessions]) -> Figure:
    """How far the efficient price moves against the maker after a fill."""
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, len(SHARES)))
    for share, sessions, colour, marker in zip(SHARES, sweep, colours, "osD^vP", strict=True):
        moves = against_value(sessions).adverse_move
        estimates = [_over_fills(sessions, moves[:, column]) for column in range(len(HORIZONS))]
        _band(axes, HORIZONS, estimates, colour, marker, f"p = {share:g}")
    axes.set_xscale("log")
    axes.set_xticks(HORIZONS, [f"{horizon:g}" for horizon in HORIZONS])
    axes.minorticks_off()
    axes.set_title("The price moves against the maker after a fill, more so the more are informed")
    axes.set_xlabel("seconds after the fill")
    axes.set_ylabel("adverse move [ticks]")
    axes.legend(title="share of informed takers", ncols=2, fontsize=8)
    return figure


def two_parts_of_pnl(sweep: Sequence[Sessions]) -> Figure:
    """What the spread earns and what the inventory loses."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for part, colour, hatch, label in (
        ("spread_pnl", SPREAD, "", "spread captured"),
        ("inventory_pnl", INVENTORY, "//", "inventory PnL"),
    ):
        heights = [float(getattr(sessions, part).mean()) for sessions in sweep]
        axes.bar(
            np.arange(len(SHARES)) + (-0.2 if part == "spread_pnl" else 0.2),
            heights,
            0.38,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            label=label,
        )
    total = [mean(sessions.final_pnl) for sessions in sweep]
    values = np.array([estimate.value for estimate in total])
    errors = np.abs(np.array([[e.low, e.high] for e in total]).T - values)
    axes.errorbar(
        range(len(SHARES)), values, errors, fmt="o", color=INK, capsize=3, label="final PnL, 95 %"
    )
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_xticks(range(len(SHARES)), [f"{share:g}" for share in SHARES])
    axes.set_title("Spread captured stays positive; the inventory loses it")
    axes.set_xlabel("share of informed takers")
    axes.set_ylabel("ticks x lots a session")
    axes.legend(fontsize=8)
    return figure


def per_session_and_per_fill(sweep: Sequence[Sessions]) -> Figure:
    """The PnL per session, the number of fills and the markout per fill."""
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    column = HORIZONS.index(50.0)
    for axes, estimates, title, unit in (
        (left, [mean(s.final_pnl) for s in sweep], "PnL per session", "ticks x lots"),
        (middle, [mean(s.n_fills.astype(float)) for s in sweep], "Fills per session", "fills"),
        (
            right,
            [_over_fills(s, against_value(s).markout[:, column]) for s in sweep],
            "Markout per fill, 50 s",
            "ticks",
        ),
    ):
        _band(axes, SHARES, estimates, SERIES, "o", "")
        axes.set_title(title)
        axes.set_xlabel("share of informed takers")
        axes.set_ylabel(unit)
        if axes is not middle:
            axes.axhline(0.0, color=INK, linewidth=0.8)
    middle.set_ylim(bottom=0.0)
    return figure


def same_flow(informed: Sessions, decoy: Sessions) -> Figure:
    """Two flows that look the same on the tape, and what each costs."""
    flows = {"informed": informed, "decoy": decoy}
    figure, right = _memory_of_signs(
        flows, (INFORMED, NOISE), "Trade signs: the same in both flows"
    )
    for sessions, colour, marker in zip(flows.values(), (INFORMED, NOISE), "os", strict=True):
        markouts = against_value(sessions).markout
        estimates = [_over_fills(sessions, markouts[:, column]) for column in range(len(HORIZONS))]
        _band(right, HORIZONS, estimates, colour, marker, "")
    right.set_title("Markout: different")
    right.set_ylabel("ticks per fill")
    return figure


def persistent_flow(flows: dict[str, Sessions]) -> Figure:
    """Flow with a memory, and what follows a fill in it with and without information."""
    colours = (INK, NOISE, INFORMED)
    figure, right = _memory_of_signs(flows, colours, "Flow: bursts and split orders persist")
    for sessions, colour, marker in zip(flows.values(), colours, "os^", strict=True):
        moves = against_value(sessions).adverse_move
        estimates = [_over_fills(sessions, moves[:, column]) for column in range(len(HORIZONS))]
        _band(right, HORIZONS, estimates, colour, marker, "")
    right.set_title("Efficient price: only information moves it")
    right.set_ylabel("adverse move [ticks]")
    return figure


def _memory_of_signs(
    flows: dict[str, Sessions], colours: Sequence[Any], title: str
) -> tuple[Figure, Axes]:
    """A figure with the autocorrelation of the signs of flows, and room for what follows fills."""
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    lags = (1, 2, 5, 10, 20, 50)
    for (label, sessions), colour, marker in zip(flows.items(), colours, "os^", strict=False):
        signs = np.sign(sessions.net_flow)
        autocorrelation = [
            ratio(
                (signs[:, :-lag] * signs[:, lag:]).sum(axis=1), (signs[:, :-lag] ** 2).sum(axis=1)
            )
            for lag in lags
        ]
        _band(left, lags, autocorrelation, colour, marker, label)
    left.set_title(title)
    left.set_ylabel("autocorrelation of signs")
    left.set_xlabel("lag [s]")
    left.legend(fontsize=8)
    right.set_xlabel("seconds after the fill")
    right.axhline(0.0, color=INK, linewidth=0.8)
    for axes, ticks in ((left, lags), (right, HORIZONS)):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    return figure, right


def _over_fills(sessions: Sessions, measure: Any) -> Estimate:
    return mean_over_fills(measure, sessions.fill_session, len(sessions))


def _band(
    axes: Axes,
    x: Sequence[float],
    estimates: Sequence[Estimate],
    colour: Any,
    marker: str,
    label: str,
) -> None:
    """Estimates as a line, with their 95 percent intervals as a band."""
    value, low, high = np.array(estimates, dtype=np.float64).T
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, value, color=colour, marker=marker, markersize=4, label=label)


if __name__ == "__main__":
    tyro.cli(main)
