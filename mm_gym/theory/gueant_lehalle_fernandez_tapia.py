"""Gueant, Lehalle and Fernandez-Tapia (2013), Dealing with the inventory risk.

This is the exact solution of the problem of Avellaneda and Stoikov with inventory from -Q to Q. A
change of variables makes the Hamilton-Jacobi-Bellman equation linear: v'(t) = M v(t) with v(T) = 1,
so v(t) = exp(-M (T - t)) 1.

Letters: q inventory, gamma `risk_aversion`, sigma `volatility`, k `fill_decay`, A `arrival_rate`,
Q `max_inventory`, T - t `time_left`, delta^a and delta^b the depths from the mid. Any consistent
units are valid. With ticks, seconds and lots, volatility is in ticks per root second, fill_decay
per tick, arrival_rate per second and risk_aversion per tick and lot.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._shared import (
    Depths,
    FloatArray,
    check_count,
    check_not_negative,
    check_positive,
    depths_from_value,
    inventory_index,
    log_exponential_action,
    pick_column,
)
from .avellaneda_stoikov import fill_margin


def optimal_depths(
    inventory: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    risk_aversion: float,
    volatility: float,
    fill_decay: float,
    arrival_rate: float,
    max_inventory: int = 50,
) -> Depths:
    """Return the exact optimal depths (theorem 1).

    delta^b = (1 / k) ln(v_q / v_{q+1}) + constant,  delta^a = (1 / k) ln(v_q / v_{q-1}) + constant

    Args:
        inventory: whole lots, any shape.
        time_left: any shape that broadcasts with inventory [time].
        risk_aversion: gamma, positive.
        volatility: sigma, not negative.
        fill_decay: k, positive.
        arrival_rate: A, positive.
        max_inventory: Q. A side at the bound is not quoted: its depth is inf [lots].

    Returns:
        Depths(ask, bid), each of the broadcast shape [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    log_v = _log_v(time_left, risk_aversion, volatility, fill_decay, arrival_rate, max_inventory)
    return depths_from_value(
        log_v / fill_decay,
        fill_margin(risk_aversion, fill_decay),
        inventory_index(inventory, max_inventory),
    )


def certainty_equivalent(
    inventory: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    risk_aversion: float,
    volatility: float,
    fill_decay: float,
    arrival_rate: float,
    max_inventory: int = 50,
) -> FloatArray:
    """Return the certainty equivalent of quoting optimally until the end, (1 / k) ln v_q(t).

    The value function is u = -exp(-gamma (x + q s)) v_q(t)^(-gamma / k). The certainty equivalent
    is in addition to the cash x and the inventory at the mid, q s.

    Args:
        inventory: whole lots, any shape.
        time_left: any shape that broadcasts with inventory [time].
        risk_aversion: gamma, positive.
        volatility: sigma, not negative.
        fill_decay: k, positive.
        arrival_rate: A, positive.
        max_inventory: Q. In the paper's example the default has no effect on the result [lots].

    Returns:
        The broadcast shape [price x lots].

    Raises:
        ValueError: an argument is out of its range.
    """
    log_v = _log_v(time_left, risk_aversion, volatility, fill_decay, arrival_rate, max_inventory)
    return pick_column(log_v, inventory_index(inventory, max_inventory)) / fill_decay


def _fill_rate(risk_aversion: float, fill_decay: float, arrival_rate: float) -> float:
    """Return the paper's eta = A (1 + gamma / k)^-(1 + k / gamma), which tends to A / e."""
    check_positive(risk_aversion=risk_aversion, fill_decay=fill_decay, arrival_rate=arrival_rate)
    power = 1.0 + fill_decay / risk_aversion
    return float(arrival_rate * np.exp(-power * np.log1p(risk_aversion / fill_decay)))


def _log_v(
    time_left: npt.ArrayLike,
    risk_aversion: float,
    volatility: float,
    fill_decay: float,
    arrival_rate: float,
    max_inventory: int,
) -> FloatArray:
    """Return ln v, shape time_left.shape + [2 Q + 1].

    The diagonal of M is k gamma sigma^2 q^2 / 2. The elements next to it are -eta.
    """
    check_not_negative(time_left=time_left, volatility=volatility)
    check_count(max_inventory=max_inventory)
    fill_rate = _fill_rate(risk_aversion, fill_decay, arrival_rate)
    lots = np.arange(-max_inventory, max_inventory + 1.0)
    risk = 0.5 * fill_decay * risk_aversion * volatility**2
    beside = np.eye(len(lots), k=1) + np.eye(len(lots), k=-1)
    generator = fill_rate * beside - np.diag(risk * lots**2)
    return log_exponential_action(generator, np.zeros(len(lots)), time_left)
