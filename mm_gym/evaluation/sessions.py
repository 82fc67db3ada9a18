"""What one agent did in a set of sessions, as arrays over sessions, fills and points in time."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym import display
from mm_gym.config import MarketConfig
from mm_gym.evaluation.statistics import mean


@dataclass(frozen=True, repr=False)
class Sessions:
    """What one agent did in n sessions of one market. A session is one episode.

    Money is in ticks x lots and prices are in ticks. Arrays of shape (n,) hold one figure per
    session. Shape (f,) is one per fill. Shape (f, h) is one per fill and horizon, NaN where the
    horizon passes the close. Shape (n, p) is one per session and point in time, for pictures.
    """

    config: MarketConfig
    horizons: tuple[float, ...]
    """[s]"""
    seeds: npt.NDArray[np.int64]
    """Session i starts with `reset(seed=seeds[i])`."""
    final_pnl: npt.NDArray[np.float64]
    objective: npt.NDArray[np.float64]
    """Final PnL less the running inventory penalty."""
    control_variate: npt.NDArray[np.float64]
    """Sum over decisions of inventory times the next move of `MarketConfig.foreseen_price`.

    Its mean is zero for every agent, and it explains most of the variance between sessions. In the
    `zero_intelligence` regime it is always zero, because no efficient price drives the book."""
    spread_pnl: npt.NDArray[np.float64]
    inventory_pnl: npt.NDArray[np.float64]
    fees: npt.NDArray[np.float64]
    close_out: npt.NDArray[np.float64]
    n_fills: npt.NDArray[np.int64]
    """Of the agent's quotes. Its market orders are not fills: they have no markouts."""
    lots_taken: npt.NDArray[np.int64]
    """[lots] Traded by the agent's market orders."""
    final_mid: npt.NDArray[np.float64]
    mean_inventory: npt.NDArray[np.float64]
    mean_abs_inventory: npt.NDArray[np.float64]
    max_abs_inventory: npt.NDArray[np.int64]
    quoted_spread: npt.NDArray[np.float64]
    """[ticks] Mean of the agent's ask offset plus bid offset, as requested."""
    share_at_touch: npt.NDArray[np.float64]
    """Share of time in which no order was better than the agent's quote, mean of both sides."""
    fill_ratio: npt.NDArray[np.float64]
    """Lots filled / lots of all orders entered."""
    fills: npt.NDArray[Any]
    """Rows of `layout.FILL_ROW`, shape (f,), session by session."""
    fill_session: npt.NDArray[np.int64]
    """The session of each fill, shape (f,)."""
    later_mid: npt.NDArray[np.float64]
    """The public mid at each horizon after each fill, shape (f, h)."""
    later_value: npt.NDArray[np.float64]
    """The efficient price at each horizon after each fill, shape (f, h)."""
    path_times: npt.NDArray[np.float64]
    """[s] The points in time of the paths below, shape (p,)."""
    net_flow: npt.NDArray[np.float64]
    """[lots] Bought minus sold by takers, from all makers, between decisions; (n, steps)."""
    volume: npt.NDArray[np.float64]
    """[lots] Bought plus sold by takers, from all makers, between decisions; (n, steps)."""
    inventory: npt.NDArray[np.float64]
    """[lots] After each decision interval; (n, steps)."""
    pnl_path: npt.NDArray[np.float64]
    inventory_path: npt.NDArray[np.float64]
    mid_path: npt.NDArray[np.float64]
    value_path: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.final_pnl)

    def __repr__(self) -> str:
        """One line. All arrays of an evaluation would fill thousands."""
        return (
            f"<{len(self)} sessions of {self.config.regime}: mean final PnL "
            f"{self.final_pnl.mean():.1f} ticks x lots, {self.n_fills.mean():.0f} fills>"
        )

    def _repr_html_(self) -> str:
        """Means per session with their intervals, for notebooks."""
        figures = {
            "final PnL [ticks × lots]": self.final_pnl,
            "spread captured [ticks × lots]": self.spread_pnl,
            "inventory PnL [ticks × lots]": self.inventory_pnl,
            "objective [ticks × lots]": self.objective,
            "fills": self.n_fills,
        }
        rows = [(name, mean(values.astype(np.float64))) for name, values in figures.items()]
        share = f", p = {self.config.p_informed:g}" if self.config.p_informed > 0.0 else ""
        caption = f"{len(self)} sessions, {self.config.regime}{share}"
        return display.table(("per session", "mean [95 %]"), rows, caption)

    @property
    def variance_reduced_objective(self) -> npt.NDArray[np.float64]:
        """The objective less the control variate, shape (n,).

        Its mean is that of the objective, with a smaller standard error. Use it to compare agents.
        What an agent earned in a session is `objective`.
        """
        return self.objective - self.control_variate


def concatenate(batches: list[Sessions]) -> Sessions:
    """Join batches of sessions of one market, in order."""
    joined: dict[str, Any] = {}
    first_session = np.cumsum([0] + [len(batch) for batch in batches])
    for field in fields(Sessions):
        parts = [getattr(batch, field.name) for batch in batches]
        if field.name in ("config", "horizons", "path_times"):
            joined[field.name] = parts[0]
        elif field.name == "fill_session":
            joined[field.name] = np.concatenate(
                [part + start for part, start in zip(parts, first_session, strict=False)]
            )
        else:
            joined[field.name] = np.concatenate(parts)
    return Sessions(**joined)
