"""Estimates of a dealer market's parameters, against the true values and closed forms."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium.utils import seeding
from scipy.optimize import minimize

from mm_gym import MarketConfig, configure
from mm_gym.core.layout import ASK, BID
from mm_gym.data.dealer_estimation import Estimates, WarmUp, estimate
from mm_gym.markets import Markets
from tests.random_quotes import quote_near


def warm_ups(config: MarketConfig, n: int, seed: int) -> list[WarmUp]:
    """The observations of makers that quote at random depths in `n` markets, from the records."""
    markets = Markets(config, n, 4 * config.session_steps, 10 * config.session_steps)
    generators = [seeding.np_random(seed + market)[0] for market in range(n)]
    markets.reset(np.arange(n), generators, *markets.empty_results())
    depths = np.random.default_rng(seed)
    mids, quotes, traded = [markets.records["mid"].copy()], [], []
    for _ in range(config.session_steps):
        n_fills = markets.records["n_fill_rows"].copy()
        markets.step(
            quote_near(depths, high=config.max_offset, shape=(n, 2), max_offset=config.max_offset)
        )
        prices, taken = np.empty((n, 2)), np.zeros((n, 2), np.bool_)
        for market, record in enumerate(markets.records):
            for fill in markets.fill_rows[market, n_fills[market] : record["n_fill_rows"]]:
                prices[market, fill["side"]] = fill["price"]
                taken[market, fill["side"]] = True
            for side in (BID, ASK):
                if not taken[market, side]:
                    key = record["book"]["orders"][record["quotes"]["slot"][side]]["key"]
                    prices[market, side] = key if side == BID else -key
        quotes.append(np.abs(prices - mids[-1][:, None]))
        traded.append(taken)
        mids.append(markets.records["mid"].copy())
    path, depth, fills = np.array(mids), np.array(quotes), np.array(traded)
    return [
        WarmUp(path[:, i], depth[:, i, BID], depth[:, i, ASK], fills[:, i, BID], fills[:, i, ASK])
        for i in range(n)
    ]


def true_values(config: MarketConfig) -> dict[str, float]:
    return {
        "volatility": config.volatility,
        "arrival_rate": 0.5 * config.taker_rate * (1.0 - config.p_informed),
        "fill_decay": 1.0 / config.taker_tolerance,
        "informed_share": config.p_informed,
    }


def scores(config: MarketConfig, found: list[Estimates]) -> dict[str, Any]:
    """(estimate - true value) / standard error for each parameter."""
    return {
        name: np.array(
            [(getattr(one, name).value - true) / getattr(one, name).standard_error for one in found]
        )
        for name, true in true_values(config).items()
    }


@pytest.mark.parametrize(
    "fields",
    [
        {
            "signal_drift": 0.09,
            "p_informed": 0.3,
            "taker_rate": 1.0,
            "taker_tolerance": 3.0,
            "volatility": 0.6,
        },
        {
            "signal_drift": 0.15,
            "p_informed": 0.6,
            "taker_rate": 2.0,
            "taker_tolerance": 2.0,
            "volatility": 0.4,
        },
    ],
)
def test_estimates_are_within_three_standard_errors_and_these_have_the_right_size(
    fields: dict[str, Any],
) -> None:
    """Eight warm-ups of 1,200 s.

    The sum of the squared scores of a parameter is chi-squared with eight degrees of freedom. It is
    below 1.6 or above 20.1 with a probability of 1/50. Standard errors of half or twice the right
    size would give a mean of 32 or of 2.
    """
    config = configure("dealer", session_steps=1200, max_offset=10.0, max_inventory=2000, **fields)
    standard = scores(config, [estimate(config, seen) for seen in warm_ups(config, 8, seed=100)])
    for values in standard.values():
        assert np.abs(values).max() < 3.0
        assert 1.6 < (values**2).sum() < 20.1


def test_without_a_signal_the_estimates_are_those_of_two_regressions() -> None:
    """The volatility is the root mean square of the moves, with standard error sigma / sqrt(2 T).

    A and k maximise the likelihood of independent quotes that trade with probability
    1 - exp(-A exp(-k depth) dt). The estimate stops within 0.01 standard errors of the maximum.
    """
    config = configure(
        "dealer",
        session_steps=1200,
        max_offset=10.0,
        max_inventory=2000,
        taker_rate=1.5,
        taker_tolerance=4.0,
    )
    for seen in warm_ups(config, 3, seed=300):
        found = estimate(config, seen)
        moves = np.diff(seen.mids)
        sigma = math.sqrt((moves**2).mean())
        assert found.volatility.value == pytest.approx(
            sigma, abs=0.02 * found.volatility.standard_error
        )
        # The sum of squared scores estimates the information with an error of about 5 percent.
        assert found.volatility.standard_error == pytest.approx(
            sigma / math.sqrt(2 * len(moves)), rel=0.15
        )
        assert math.isnan(found.informed_share.value)

        depth = np.concatenate([seen.bid_depth, seen.ask_depth])
        traded = np.concatenate([seen.bought, seen.sold])

        def loss(logs: Any, depth: Any = depth, traded: Any = traded) -> float:
            rate = np.exp(logs[0] - math.exp(logs[1]) * depth)
            return -float(np.where(traded, np.log(-np.expm1(-rate)), -rate).sum())

        best = minimize(
            loss, [0.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}
        )
        rate, decay = np.exp(best.x)
        assert found.arrival_rate.value == pytest.approx(
            rate, abs=0.02 * found.arrival_rate.standard_error
        )
        assert found.fill_decay.value == pytest.approx(
            decay, abs=0.02 * found.fill_decay.standard_error
        )
        for name, true in true_values(config).items():
            if name != "informed_share":
                one = getattr(found, name)
                assert abs(one.value - true) < 3.0 * one.standard_error


def test_observations_without_information_are_refused() -> None:
    config = configure("dealer", session_steps=50)
    [seen] = warm_ups(config, 1, seed=1)
    with pytest.raises(ValueError, match="one less than mids, in each, got"):
        replace(seen, mids=seen.mids[:-1])
    with pytest.raises(ValueError, match="expected some quotes that traded and some that did not"):
        replace(seen, bought=np.zeros(50, np.bool_), sold=np.zeros(50, np.bool_))
    with pytest.raises(ValueError, match="expected a finite depth, got inf"):
        replace(seen, ask_depth=np.full(50, np.inf), sold=np.ones(50, np.bool_))
    with pytest.raises(
        ValueError, match="does not identify A and k: expected quotes at several depths, got only"
    ):
        estimate(config, replace(seen, bid_depth=np.full(50, 2.0), ask_depth=np.full(50, 2.0)))
    nobody_uninformed = configure(
        "dealer", session_steps=1200, max_offset=10.0, signal_drift=0.09, p_informed=1.0
    )
    with pytest.raises(
        ValueError, match=r"no maximum of the likelihood was found: expected .*got 1200 intervals"
    ):
        estimate(nobody_uninformed, warm_ups(nobody_uninformed, 1, seed=900)[0])


def test_the_estimated_share_is_zero_if_nobody_is_informed() -> None:
    config = configure(
        "dealer", session_steps=1200, max_offset=10.0, max_inventory=2000, signal_drift=0.09
    )
    shares = [estimate(config, seen).informed_share for seen in warm_ups(config, 3, seed=500)]
    for share in shares:
        assert share.standard_error < 0.2
        assert abs(share.value) < 3.0 * share.standard_error
