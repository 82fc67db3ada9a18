"""The quotes of Avellaneda and Stoikov (2008), against indifference prices found numerically."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from mm_gym.theory import avellaneda_stoikov as paper

# Section 3.3: sigma = 2, k = 1.5.
QUOTES: dict[str, float] = {"volatility": 2.0, "fill_decay": 1.5}


def symmetric_half_spread(risk_aversion: float, steps: int | None = 200) -> float:
    return paper.average_half_spread(1.0, risk_aversion=risk_aversion, steps=steps, **QUOTES)


# ------------------------------------------------------------------------------------------ quotes


@pytest.mark.parametrize("risk_aversion", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("lots", [-3, 0, 2])
def test_the_quotes_are_indifference_prices_plus_the_optimal_margin(
    risk_aversion: float, lots: int
) -> None:
    time_left, mid = 0.4, 100.0

    def utility_of_holding(cash: float, inventory: int) -> float:
        # Equation 2.4 of the paper, for a dealer that does not trade any more.
        exposure = risk_aversion**2 * inventory**2 * QUOTES["volatility"] ** 2 * time_left / 2
        return -float(np.exp(-risk_aversion * (cash + inventory * mid) + exposure))

    def best_margin() -> float:
        # A fill has intensity exp(-k margin) and adds 1 - exp(-gamma margin) to the utility.
        result = minimize_scalar(
            lambda x: -np.exp(-QUOTES["fill_decay"] * x) * -np.expm1(-risk_aversion * x),
            bounds=(0.0, 5.0),
            method="bounded",
            options={"xatol": 1e-12},
        )
        return float(result.x)

    cash = -lots * mid  # keeps the utility near -1, where differences are accurate
    now = utility_of_holding(cash, lots)
    sell_at = brentq(lambda p: utility_of_holding(cash + p, lots - 1) - now, 0.0, 200.0)
    buy_at = brentq(lambda p: utility_of_holding(cash - p, lots + 1) - now, 0.0, 200.0)

    depths = paper.quote_depths(lots, time_left, risk_aversion=risk_aversion, **QUOTES)
    shift = paper.reservation_price_shift(
        lots, time_left, risk_aversion=risk_aversion, volatility=QUOTES["volatility"]
    )
    assert shift == pytest.approx((sell_at + buy_at) / 2 - mid, abs=1e-9)
    assert depths.ask == pytest.approx(sell_at - mid + best_margin(), abs=1e-6)
    assert depths.bid == pytest.approx(mid - buy_at + best_margin(), abs=1e-6)


def test_the_spread_is_the_sum_of_the_depths_for_every_inventory() -> None:
    lots, time_left = np.arange(-5, 6), np.array([[0.0], [0.3], [1.0]])
    depths = paper.quote_depths(lots, time_left, risk_aversion=0.1, **QUOTES)
    spread = paper.optimal_spread(time_left, risk_aversion=0.1, **QUOTES)
    assert depths.ask.shape == depths.bid.shape == (3, 11)
    np.testing.assert_allclose(depths.ask + depths.bid, np.broadcast_to(spread, (3, 11)))
    assert np.all(np.diff(depths.ask[1:]) < 0)  # a longer position sells at a lower price
    np.testing.assert_allclose(depths.ask, depths.bid[:, ::-1])  # long and short are mirror images


def test_without_risk_aversion_the_spread_is_two_over_k() -> None:
    assert paper.optimal_spread(0.7, risk_aversion=0.0, **QUOTES) == pytest.approx(2 / 1.5)
    assert paper.optimal_spread(0.7, risk_aversion=1e-7, **QUOTES) == pytest.approx(
        2 / 1.5, abs=1e-6
    )


def test_the_average_spread_is_the_mean_over_the_decisions() -> None:
    times_left = 1.0 - np.arange(200) / 200
    spreads = paper.optimal_spread(times_left, risk_aversion=0.5, **QUOTES)
    assert symmetric_half_spread(0.5) == pytest.approx(spreads.mean() / 2, rel=1e-12)
    assert symmetric_half_spread(0.5, None) < symmetric_half_spread(0.5)


# ------------------------------------------------------------------------------------------ errors


def test_an_argument_out_of_range_is_an_error_that_names_it() -> None:
    with pytest.raises(
        ValueError, match=r"time_left=-1.0 is out of range: .* at least 0, got -1.0"
    ):
        paper.quote_depths(0, -1.0, risk_aversion=0.1, **QUOTES)
    with pytest.raises(ValueError, match=r"fill_decay=0.0 is out of range: .* above 0, got 0.0"):
        paper.optimal_spread(1.0, risk_aversion=0.1, volatility=2.0, fill_decay=0.0)
