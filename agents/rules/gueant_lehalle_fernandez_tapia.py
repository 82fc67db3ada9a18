"""Exact quotes of Gueant, Lehalle and Fernandez-Tapia (2013), Dealing with the inventory risk."""

from mm_gym import MarketConfig
from mm_gym.theory.gueant_lehalle_fernandez_tapia import optimal_depths

from ..base import Range
from .fill_intensity import MOST, fill_decay_of, long_run_volatility
from .tabulated import TabulatedAgent, tabulate


class GueantLehalleFernandezTapiaAgent(TabulatedAgent):
    """Maximises exponential utility with a bound on inventory (theorem 1).

    The horizon is the end of the session.

    Args:
        config: of the market.
        risk_aversion: gamma [1 / (ticks x lots)].
        volatility: sigma [ticks / sqrt(s)]. Default: `long_run_volatility` of the market.
        fill_decay: k [1/tick]. Default: `fill_decay_of` the market.
        arrival_rate: A [1/s], takers of one side. Default: half of all takers.
    """

    name = "gueant_lehalle_fernandez_tapia"
    search_space = {
        "risk_aversion": Range(1e-5, 0.3, log=True),
        "fill_decay": Range(0.05, 3.0, log=True),
    }
    limits = {
        "risk_aversion": (1.0 / MOST, MOST),
        "volatility": (0.0, MOST),
        "fill_decay": (1.0 / MOST, MOST),
        "arrival_rate": (1.0 / MOST, MOST),
    }

    def __init__(
        self,
        config: MarketConfig,
        risk_aversion: float = 0.01,
        volatility: float | None = None,
        fill_decay: float | None = None,
        arrival_rate: float | None = None,
    ) -> None:
        bid, ask = tabulate(
            optimal_depths,
            config,
            risk_aversion=risk_aversion,
            volatility=long_run_volatility(config) if volatility is None else volatility,
            fill_decay=fill_decay_of(config) if fill_decay is None else fill_decay,
            arrival_rate=0.5 * config.taker_rate if arrival_rate is None else arrival_rate,
        )
        super().__init__(config, bid, ask)
