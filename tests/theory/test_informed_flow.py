"""The cost of informed flow, against reference values and simulations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from mm_gym.theory import informed_flow as theory

SIGNAL: dict[str, float] = {"signal_drift": 1.0, "signal_decay": 0.5, "signal_std": 0.02}
CHECK: dict[str, float] = {**SIGNAL, "threshold": 0.02}


# ------------------------------------------------------------------------------- reference values


def test_the_markout_equals_the_reference() -> None:
    markout = theory.markout(0.01, [0.1, 0.3, 0.5, 0.7], 5.0, **CHECK)
    np.testing.assert_allclose(markout, [0.008093, 0.003296, -0.003489, -0.013822], atol=5e-7)


def test_the_break_even_share_equals_the_reference() -> None:
    share = theory.break_even_share(0.01, 5.0, **CHECK)
    assert share == pytest.approx(0.4066, abs=5e-5)
    assert theory.markout(0.01, share, 5.0, **CHECK) == pytest.approx(0.0, abs=1e-15)


def test_the_break_even_half_spread_equals_the_reference() -> None:
    ratio = theory.break_even_half_spread([0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(ratio, [0.0800, 0.2466, 0.4363, 0.6845, 1.1402], atol=5e-5)


# ------------------------------------------------------------------------------------- simulations


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
@pytest.mark.parametrize(
    "drift, decay, std, threshold, horizon, volatility",
    [
        (1.0, 0.5, 0.02, 0.02, 5.0, 0.05),
        (0.1, 0.05, 1.0, 0.5, 20.0, 0.7),
        (0.1, 0.05, 2.0, 0, 3, 0),
    ],
)
def test_the_adverse_move_agrees_with_a_simulation(
    share: float,
    drift: float,
    decay: float,
    std: float,
    threshold: float,
    horizon: float,
    volatility: float,
) -> None:
    random, takers, steps = np.random.default_rng(7), 20_000, 50
    step = horizon / steps
    signal = std * random.standard_normal(takers)
    informed = random.random(takers) < share
    direction = np.where(
        informed,
        np.where(np.abs(signal) > threshold, np.sign(signal), 0.0),
        random.choice([-1.0, 1.0], takers),
    )
    # The drift of a step uses the mean of the signal at both ends (second order).
    moved, keep = np.zeros(takers), np.exp(-decay * step)
    for _ in range(steps):
        later = keep * signal + std * np.sqrt(1 - keep**2) * random.standard_normal(takers)
        moved += drift * step * (signal + later) / 2
        moved += volatility * np.sqrt(step) * random.standard_normal(takers)
        signal = later
    against = (direction * moved)[direction != 0]
    expected = theory.adverse_move(
        share, horizon, signal_drift=drift, signal_decay=decay, signal_std=std, threshold=threshold
    )
    assert abs(against.mean() - expected) < 4 * against.std() / np.sqrt(len(against))


def profits(
    random: np.random.Generator,
    takers: int,
    half_spread: float,
    share: float,
    edge_std: float,
    threshold: float,
    tolerance: float,
) -> npt.NDArray[np.float64]:
    """Return what the maker earns from each arrival at an infinite horizon."""
    z = random.standard_normal(takers)
    informed = random.random(takers) < share
    trades = (np.abs(z) > threshold) & (edge_std * np.abs(z) > half_spread)
    accepts = random.exponential(1.0, takers) * tolerance > half_spread
    loss = np.where(trades, half_spread - edge_std * np.abs(z), 0.0)
    return np.where(informed, loss, np.where(accepts, half_spread, 0.0))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("half_spread", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("threshold, tolerance", [(0.0, np.inf), (1.0, 4.0)])
def test_the_earning_rate_agrees_with_a_simulation(
    share: float, half_spread: float, threshold: float, tolerance: float
) -> None:
    edge_std, rate, takers = 1.4, 2.5, 100_000
    finite_tolerance = min(tolerance, 1e300)  # 1e300 accepts any price; 0 x inf would be NaN
    earned = profits(
        np.random.default_rng(11), takers, half_spread, share, edge_std, threshold, finite_tolerance
    )
    expected = theory.earning_rate(
        half_spread,
        share,
        taker_rate=rate,
        edge_std=edge_std,
        threshold_in_std=threshold,
        taker_tolerance=tolerance,
    )
    error = 4 * rate * earned.std() / np.sqrt(takers)
    assert abs(rate * earned.mean() - expected) <= error + 1e-12


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("threshold", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("edge_std", [0.3, 5.0])
def test_at_the_break_even_half_spread_gains_and_losses_are_equal(
    share: float, threshold: float, edge_std: float
) -> None:
    h = float(theory.break_even_half_spread(share, edge_std=edge_std, threshold_in_std=threshold))
    lowest = max(threshold, h / edge_std)
    loss, _ = quad(lambda z: 2 * (edge_std * z - h) * norm.pdf(z), lowest, 40.0, epsabs=1e-14)
    assert (1 - share) * h == pytest.approx(share * loss, rel=1e-7)
    rates = {"taker_rate": 1.0, "edge_std": edge_std, "threshold_in_std": threshold}
    assert theory.earning_rate(0.9 * h, share, **rates) < 0
    assert theory.earning_rate(1.1 * h, share, **rates) > 0


# ------------------------------------------------------------------------------------------ limits


def test_the_two_versions_agree_where_no_price_limit_binds() -> None:
    # The half-spread is below the smallest edge that trades, so no price limit binds.
    h, share, threshold, rate = 0.01, 0.4, 1.0, 3.0
    beta, kappa = 0.1, 0.05
    edge_std = beta / kappa
    fills = rate * (2 * share * norm.sf(threshold) + 1 - share)
    literal = fills * theory.markout(
        h, share, np.inf, signal_drift=beta, signal_decay=kappa, threshold=threshold
    )
    sensitive = theory.earning_rate(
        h, share, taker_rate=rate, edge_std=edge_std, threshold_in_std=threshold
    )
    assert literal == pytest.approx(float(sensitive))


def test_without_informed_takers_the_markout_is_the_half_spread() -> None:
    horizons = np.array([0.0, 1.0, 100.0])
    np.testing.assert_allclose(theory.markout(1.5, 0.0, horizons, **CHECK), 1.5)
    assert theory.break_even_half_spread(0.0) == 0.0
    assert theory.break_even_half_spread(1.0) == np.inf


def test_a_break_even_share_above_one_means_that_the_maker_never_loses() -> None:
    share = theory.break_even_share(0.08, 5.0, **CHECK)
    assert share > 1.0
    assert theory.markout(0.08, 1.0, 5.0, **CHECK) > 0
    assert theory.break_even_share(0.01, 0.0, **{**CHECK, "threshold": 0.0}) == np.inf


def test_the_informed_move_grows_to_the_whole_edge() -> None:
    beta, kappa = 0.1, 0.05
    move = theory.informed_move(
        [0.0, 1e-6, 10.0, np.inf], signal_drift=beta, signal_decay=kappa, signal_std=1.0
    )
    assert move[0] == 0.0
    assert move[1] == pytest.approx(beta * 1e-6, rel=1e-6)
    assert move[2] == pytest.approx(quad(lambda t: beta * np.exp(-kappa * t), 0.0, 10.0)[0])
    assert move[3] == pytest.approx(beta / kappa)


def test_an_argument_out_of_range_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"informed_share=1.5 is out of range: .* from 0 to 1"):
        theory.adverse_move(1.5, 5.0, **CHECK)
    with pytest.raises(
        ValueError, match=r"horizon=-5.0 is out of range: expected times of at least 0"
    ):
        theory.markout(0.01, 0.5, -5.0, **CHECK)
    with pytest.raises(
        ValueError, match=r"half_spread=0.0 is out of range: expected numbers above 0"
    ):
        theory.break_even_share(0.0, 5.0, **CHECK)
    with pytest.raises(ValueError, match=r"taker_tolerance=0.0 is out of range"):
        theory.earning_rate(1.0, 0.5, taker_rate=1.0, edge_std=1.0, taker_tolerance=0.0)
