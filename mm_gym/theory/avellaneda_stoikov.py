"""Avellaneda and Stoikov (2008), High-frequency trading in a limit order book.

A dealer with exponential utility quotes around a mid that is a Brownian motion. Market orders fill
a quote at distance delta from the mid with intensity lambda(delta) = A exp(-k delta). The quotes
are the paper's closed form (equations 29 and 30). `strategy_moments` computes the moments of their
profit.

Letters: q inventory, gamma `risk_aversion`, sigma `volatility`, k `fill_decay`, T - t `time_left`.
Any consistent units are valid. With ticks, seconds and lots, volatility is in ticks per root
second, fill_decay per tick and risk_aversion per tick and lot.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._shared import Depths, FloatArray, check_count, check_not_negative, check_positive
from .strategy_moments import Strategy


def reservation_price_shift(
    inventory: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    risk_aversion: float,
    volatility: float,
) -> FloatArray:
    """Return r - s, the reservation price minus the mid (equation 29).

    r(s, t) = s - q gamma sigma^2 (T - t)

    Args:
        inventory: any shape [lots]. A long position gives a negative shift.
        time_left: any shape that broadcasts with inventory [time].
        risk_aversion: gamma, not negative.
        volatility: sigma, not negative.

    Returns:
        The broadcast shape [price].

    Raises:
        ValueError: an argument is negative or not finite.
    """
    check_not_negative(time_left=time_left, risk_aversion=risk_aversion, volatility=volatility)
    variance_left = volatility**2 * np.asarray(time_left, dtype=np.float64)
    return -np.asarray(inventory, dtype=np.float64) * risk_aversion * variance_left


def optimal_spread(
    time_left: npt.ArrayLike, *, risk_aversion: float, volatility: float, fill_decay: float
) -> FloatArray:
    """Return the optimal spread (equation 30), which is the same for every inventory.

    delta^a + delta^b = gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / k)

    Args:
        time_left: any shape [time].
        risk_aversion: gamma, not negative. The spread at 0 is the limit 2 / k.
        volatility: sigma, not negative.
        fill_decay: k, positive [1 / price].

    Returns:
        The shape of time_left [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_not_negative(time_left=time_left, risk_aversion=risk_aversion, volatility=volatility)
    check_positive(fill_decay=fill_decay)
    variance_left = volatility**2 * np.asarray(time_left, dtype=np.float64)
    return risk_aversion * variance_left + 2.0 * fill_margin(risk_aversion, fill_decay)


def fill_margin(risk_aversion: float, fill_decay: float) -> float:
    """Return (1 / gamma) ln(1 + gamma / k), the margin over the indifference price [price].

    The margin is 1 / k for gamma = 0.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_not_negative(risk_aversion=risk_aversion)
    check_positive(fill_decay=fill_decay)
    if risk_aversion == 0:
        return 1.0 / fill_decay
    return float(np.log1p(risk_aversion / fill_decay) / risk_aversion)


def quote_depths(
    inventory: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    risk_aversion: float,
    volatility: float,
    fill_decay: float,
) -> Depths:
    """Return the depths of ask and bid from the mid, symmetric around the reservation price.

    delta^a = spread / 2 - q gamma sigma^2 (T - t),  delta^b = spread / 2 + q gamma sigma^2 (T - t).
    A large inventory makes one depth negative: a quote on the other side of the mid.

    Args:
        inventory: any shape [lots].
        time_left: any shape that broadcasts with inventory [time].
        risk_aversion: gamma, not negative.
        volatility: sigma, not negative.
        fill_decay: k, positive.

    Returns:
        Depths(ask, bid), each of the broadcast shape [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    shift = reservation_price_shift(
        inventory, time_left, risk_aversion=risk_aversion, volatility=volatility
    )
    half_spread = 0.5 * optimal_spread(
        time_left, risk_aversion=risk_aversion, volatility=volatility, fill_decay=fill_decay
    )
    return Depths(ask=half_spread + shift, bid=half_spread - shift)


def inventory_strategy(*, risk_aversion: float, volatility: float, fill_decay: float) -> Strategy:
    """Return the paper's "inventory" strategy, `quote_depths`, for `exact_moments`."""

    def depths(inventory: FloatArray, time_left: float) -> Depths:
        return quote_depths(
            inventory,
            time_left,
            risk_aversion=risk_aversion,
            volatility=volatility,
            fill_decay=fill_decay,
        )

    return depths


def symmetric_strategy(half_spread: float) -> Strategy:
    """Return the paper's "symmetric" strategy: a constant depth on both sides [price]."""

    def depths(inventory: FloatArray, time_left: float) -> Depths:
        constant = np.full(np.shape(inventory), float(half_spread))
        return Depths(ask=constant, bid=constant)

    return depths


def average_half_spread(
    horizon: float,
    *,
    risk_aversion: float,
    volatility: float,
    fill_decay: float,
    steps: int | None = None,
) -> float:
    """Return half of the optimal spread, averaged over the session.

    The "symmetric" strategy quotes this half-spread. The spread is linear in the time left. The
    mean time left is T / 2 in continuous time. In N steps the decisions have T, T - dt, ..., dt
    left, and the mean is (T + dt) / 2. Table 1 of the paper uses the latter with N = 200.

    Args:
        horizon: T, positive [time].
        risk_aversion: gamma, not negative.
        volatility: sigma, not negative.
        fill_decay: k, positive.
        steps: N. None means continuous time.

    Returns:
        The half-spread [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_positive(horizon=horizon)
    interval = 0.0
    if steps is not None:
        check_count(steps=steps)
        interval = horizon / steps
    average_spread = optimal_spread(
        0.5 * (horizon + interval),
        risk_aversion=risk_aversion,
        volatility=volatility,
        fill_decay=fill_decay,
    )
    return 0.5 * float(average_spread)
