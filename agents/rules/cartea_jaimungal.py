"""Optimal quotes of Cartea, Jaimungal and Penalva (2015), section 10.2.

Algorithmic and High-Frequency Trading, Cambridge University Press.
"""

from mm_gym import MarketConfig
from mm_gym.theory.cartea_jaimungal import optimal_depths

from ..base import Range
from .fill_intensity import MOST, fill_decay_of
from .tabulated import TabulatedAgent, tabulate


class CarteaJaimungalAgent(TabulatedAgent):
    """Maximises expected wealth minus a running penalty on squared inventory.

    The horizon is the end of the session. The terminal penalty on squared inventory is the
    configured `close_out_impact`.

    Args:
        config: of the market.
        running_penalty: phi [ticks / (lot s)]. Default: the configured `inventory_penalty`.
        fill_decay: kappa [1/tick]. Default: `fill_decay_of` the market.
        buy_rate: lambda+ [1/s], takers who buy. Default: half of all takers.
        sell_rate: lambda- [1/s], takers who sell. Default: half of all takers.
    """

    name = "cartea_jaimungal"
    search_space = {
        "running_penalty": Range(1e-5, 0.3, log=True),
        "fill_decay": Range(0.05, 3.0, log=True),
    }
    limits = {
        "running_penalty": (0.0, MOST),
        "fill_decay": (1.0 / MOST, MOST),
        "buy_rate": (1.0 / MOST, MOST),
        "sell_rate": (1.0 / MOST, MOST),
    }

    def __init__(
        self,
        config: MarketConfig,
        running_penalty: float | None = None,
        fill_decay: float | None = None,
        buy_rate: float | None = None,
        sell_rate: float | None = None,
    ) -> None:
        bid, ask = tabulate(
            optimal_depths,
            config,
            buy_rate=0.5 * config.taker_rate if buy_rate is None else buy_rate,
            sell_rate=0.5 * config.taker_rate if sell_rate is None else sell_rate,
            fill_decay=fill_decay_of(config) if fill_decay is None else fill_decay,
            running_penalty=config.inventory_penalty
            if running_penalty is None
            else running_penalty,
            terminal_penalty=config.close_out_impact,
        )
        super().__init__(config, bid, ask)
