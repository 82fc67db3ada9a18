"""The regimes `large_tick` and `small_tick`: their figures, and which skill pays in each.

Figures are means over sessions with 95 percent intervals. Targets come from GOOG's sample of 21
June 2012 (`python -m mm_gym.data describe`) and, for large ticks, from the literature (INTC, MSFT).
"""

import functools
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from agents.base import Observations, QuotingAgent, Ticks
from agents.rules.inventory_skew import InventorySkewAgent
from mm_gym import MarketConfig, configure
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate, difference, mean

N = 24
STEPS = 1000


@functools.cache
def books(regime: str) -> dict[str, npt.NDArray[np.float64]]:
    """Spread and mid of each decision, shape (decisions, sessions), and lots at both touches.

    The agent's quotes are far away.
    """
    batch: Any = gymnasium.make_vec(
        "MarketMaking-v0", num_envs=N, regime=regime, max_offset=1e5, max_inventory=1
    )
    batch.reset(seed=0)
    book = batch.unwrapped._markets.records["book"]
    every = np.arange(N)
    spread, mid, lots = [], [], []
    for _ in range(STEPS):
        info = batch.step(np.ones((N, 2), np.float32))[4]
        spread.append(info["spread"].copy())
        mid.append(info["mid"].copy())
        best = book["n_levels"] - 1
        lots.append([book["levels"]["lots"][every, side, best[:, side]] for side in range(2)])
    return {"spread": np.array(spread), "mid": np.array(mid), "lots": np.array(lots)}


def volatility(mid: npt.NDArray[np.float64], seconds: int) -> Estimate:
    """[ticks / sqrt(s)] Root mean square of the moves over an interval, over sessions."""
    moves = mid[seconds::seconds] - mid[:-seconds:seconds]
    return mean(np.sqrt((moves**2).mean(axis=0) / seconds))


# ------------------------------------------------------------------------------------------ figures


def test_a_large_tick_has_a_spread_of_one_tick_and_long_queues() -> None:
    """Measured: one tick 84 % of the time (INTC, MSFT: 76 %), a median queue of 109 lots (100)."""
    measured = books("large_tick")
    quote_size = configure("large_tick").quote_size
    one_tick = mean((measured["spread"] == 1.0).mean(axis=0))
    queue = mean(np.median(measured["lots"], axis=(0, 1)))
    assert one_tick.low >= 0.75
    assert queue.low >= 100.0 * quote_size
    assert queue.high <= 130.0 * quote_size
    assert mean((measured["spread"] <= 2.0).mean(axis=0)).low >= 0.98
    # INTC moved by about 1.3 % a day at 27 dollars, which is 0.23 ticks / sqrt(s).
    assert 0.18 < volatility(measured["mid"], 60).value < 0.28


def test_a_small_tick_has_the_spread_and_the_volatility_of_goog() -> None:
    """GOOG: 27.3 (s.e. 2.0) ticks and 3.86 (0.58) ticks / sqrt(s). Measured: 26.6 and 4.0."""
    measured = books("small_tick")
    two_sided = measured["spread"] < 1e5
    assert two_sided.mean() > 0.99
    spread = np.where(two_sided, measured["spread"], 27.3)
    wide = mean(spread.mean(axis=0))
    assert wide.low >= 10.0
    assert abs(wide.value - 27.3) < 2.0 * 2.0
    assert abs(volatility(measured["mid"], 60).value - 3.86) < 0.58
    assert np.median(measured["lots"]) <= 2.0


# --------------------------------------------------------------------------------- place and price


class QuotesAtTheTouch(QuotingAgent):
    """Joins the touch. With `leaves`, it withdraws at every second decision and loses its place."""

    name = "quotes_at_the_touch"

    def __init__(self, config: MarketConfig, leaves: bool) -> None:
        super().__init__(config)
        self.leaves = leaves
        self.decisions = 0

    def offsets(self, observations: Observations) -> tuple[Ticks, Ticks]:
        self.decisions += 1
        away = self.leaves and self.decisions % 2
        offset = self.config.max_offset * (1.0 if away else 0.125)
        skew = (0.0 if away else 0.01 * self.config.max_offset) * self.inventory(observations)
        return offset + skew, offset - skew


def fills_per_time_at_the_touch(regime: str) -> tuple[npt.NDArray[np.float64], ...]:
    """[1 / session] Fills over the share of time at the best price, staying and leaving."""
    both = [
        run_sessions(functools.partial(QuotesAtTheTouch, leaves=leaves), configure(regime), N, 0)
        for leaves in (False, True)
    ]
    return tuple(sessions.n_fills / sessions.share_at_touch.mean(axis=-1) for sessions in both)


def test_the_place_in_the_queue_matters_where_the_tick_is_large() -> None:
    """Measured: 155 fills per session at the touch, and 9 without keeping the place (s.e. 1)."""
    stays, leaves = fills_per_time_at_the_touch("large_tick")
    assert difference(stays, 5.0 * leaves).low > 0.0


def test_the_place_in_the_queue_does_not_matter_where_the_tick_is_small() -> None:
    """Measured: 382 and 391 fills, each with a standard error of 4 to 7."""
    stays, leaves = fills_per_time_at_the_touch("small_tick")
    assert abs(stays.mean() / leaves.mean() - 1.0) < 0.15


def with_quotes(half_spread: float, skew: float, config: MarketConfig) -> Any:
    return InventorySkewAgent(config, half_spread=half_spread, skew=skew)


def sessions_of(regime: str, half_spread: float, skew: float, p_informed: float = 0.0) -> Sessions:
    return run_sessions(
        functools.partial(with_quotes, half_spread, skew),
        configure(regime, p_informed=p_informed),
        48,
        0,
        horizons=(),
    )


def test_prices_within_the_spread_matter_where_the_tick_is_small() -> None:
    """Fills fall by a factor of about exp(-6 / 7) from 6 to 12 ticks. No skew moves the quotes."""
    near, far = (sessions_of("small_tick", half_spread, 0.0) for half_spread in (6.0, 12.0))
    assert difference(near.n_fills.astype(float), 1.5 * far.n_fills).low > 0.0


@pytest.mark.parametrize(
    ("regime", "half_spread", "skew"), [("large_tick", 0.4, 0.1), ("small_tick", 6.0, 0.5)]
)
def test_noise_is_profitable_and_information_hurts(
    regime: str, half_spread: float, skew: float
) -> None:
    """Measured PnL at p = 0, 0.3 and 0.6: 41, 33 and 20 ticks x lots; 1,990, 850 and -300."""
    pnl = [sessions_of(regime, half_spread, skew, share).final_pnl for share in (0.0, 0.3, 0.6)]
    assert mean(pnl[0]).low > 0.0
    assert difference(pnl[1], pnl[0]).high < 0.0
    assert difference(pnl[2], pnl[1]).high < 0.0
