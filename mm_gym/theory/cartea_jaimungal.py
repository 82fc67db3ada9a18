"""Cartea, Jaimungal and Penalva (2015), Algorithmic and High-Frequency Trading, section 10.2.

A market maker maximises expected wealth with a running penalty phi q^2 and a terminal penalty
alpha q^2. The mid is a martingale, so its volatility does not matter. Market orders arrive at rates
lambda+ (buys, which fill the ask) and lambda- (sells, which fill the bid). A market order fills a
quote at depth delta with probability exp(-kappa delta). The value is x + q S + h(t, q) with

    h = (1 / kappa) ln omega,  omega(t) = exp(A (T - t)) z,  z_q = exp(-alpha kappa q^2),
    A_qq = -phi kappa q^2,  A_{q,q-1} = lambda+ / e,  A_{q,q+1} = lambda- / e.

Letters: q inventory, T - t `time_left`, lambda+ `buy_rate`, lambda- `sell_rate`, kappa
`fill_decay`, phi `running_penalty`, alpha `terminal_penalty`. Uneven rates are an order-flow
imbalance without information. Any consistent units are valid. With ticks, seconds and lots, rates
are per second, fill_decay is per tick, running_penalty in ticks per lot and second, and
terminal_penalty in ticks per lot.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

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


def value(
    inventory: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    buy_rate: float,
    sell_rate: float,
    fill_decay: float,
    running_penalty: float,
    terminal_penalty: float,
    max_inventory: int = 60,
) -> FloatArray:
    """Return h(t, q), the optimal expected objective from now on, beyond the marked wealth.

    The published values have no bound on inventory. The default bound of 60 lots reproduces all of
    them. In the hardest case (lambda 140, kappa 1.5, phi 0.01) ten digits stay the same from a
    bound of 50 lots: h is 68.25583476. With a bound of 30 lots it is 68.25582, with 10 lots 67.97.

    Args:
        inventory: whole lots, any shape.
        time_left: any shape that broadcasts with inventory [time].
        buy_rate: lambda+, market buys, positive.
        sell_rate: lambda-, market sells, positive.
        fill_decay: kappa, positive.
        running_penalty: phi, not negative.
        terminal_penalty: alpha, not negative.
        max_inventory: bound on both sides. A side at the bound is not quoted [lots].

    Returns:
        The broadcast shape [price x lots].

    Raises:
        ValueError: an argument is out of its range.
    """
    table = _value_table(
        time_left,
        buy_rate,
        sell_rate,
        fill_decay,
        running_penalty,
        terminal_penalty,
        max_inventory,
    )
    return pick_column(table, inventory_index(inventory, max_inventory))


def optimal_depths(
    inventory: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    buy_rate: float,
    sell_rate: float,
    fill_decay: float,
    running_penalty: float,
    terminal_penalty: float,
    max_inventory: int = 60,
) -> Depths:
    """Return the optimal depths from the mid.

    ask: 1 / kappa + h(q) - h(q - 1),  bid: 1 / kappa + h(q) - h(q + 1)

    A large inventory makes one depth negative. The formula then assumes a fill probability above 1.
    The arguments and the errors are those of `value`.

    Returns:
        Depths(ask, bid), each of the broadcast shape [price]. A side without a quote has depth inf.
    """
    table = _value_table(
        time_left,
        buy_rate,
        sell_rate,
        fill_decay,
        running_penalty,
        terminal_penalty,
        max_inventory,
    )
    return depths_from_value(table, 1.0 / fill_decay, inventory_index(inventory, max_inventory))


def constant_depths_value(
    ask_depth: npt.ArrayLike,
    bid_depth: npt.ArrayLike,
    time_left: npt.ArrayLike,
    *,
    buy_rate: float,
    sell_rate: float,
    fill_decay: float,
    running_penalty: float,
    terminal_penalty: float,
) -> FloatArray:
    """Return the expected objective of constant depths from zero inventory, without a bound.

    The fills are two Poisson processes with rates a = lambda+ exp(-kappa delta+) and
    b = lambda- exp(-kappa delta-). Hence E[q(t)^2] = (a + b) t + (b - a)^2 t^2 and
    J = T (a delta+ + b delta-) - phi ((a + b) T^2 / 2 + (b - a)^2 T^3 / 3)
    - alpha ((a + b) T + (b - a)^2 T^2).

    Args:
        ask_depth: delta+, any shape [price].
        bid_depth: delta-, any shape that broadcasts with ask_depth [price].
        time_left: T - t, any shape that broadcasts with the depths [time].
        buy_rate: lambda+, positive.
        sell_rate: lambda-, positive.
        fill_decay: kappa, positive.
        running_penalty: phi, not negative.
        terminal_penalty: alpha, not negative.

    Returns:
        The broadcast shape [price x lots].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_positive(buy_rate=buy_rate, sell_rate=sell_rate, fill_decay=fill_decay)
    check_not_negative(
        time_left=time_left, running_penalty=running_penalty, terminal_penalty=terminal_penalty
    )
    ask, bid, time = (
        np.asarray(number, dtype=np.float64) for number in (ask_depth, bid_depth, time_left)
    )
    sold, bought = buy_rate * np.exp(-fill_decay * ask), sell_rate * np.exp(-fill_decay * bid)
    trades, drift = (sold + bought) * time, (bought - sold) * time
    earned = time * (sold * ask + bought * bid)
    running = running_penalty * time * (trades / 2.0 + drift**2 / 3.0)
    return earned - running - terminal_penalty * (trades + drift**2)


def best_constant_depths(
    time_left: float,
    *,
    buy_rate: float,
    sell_rate: float,
    fill_decay: float,
    running_penalty: float,
    terminal_penalty: float,
) -> tuple[float, float, float]:
    """Return (ask depth, bid depth, value) of the best constant depths.

    With equal rates both depths are 1 / kappa + phi T / 2 + alpha. The value is concave in the two
    fill rates, so the optimum is unique. The arguments and the errors are those of
    `constant_depths_value`.
    """
    market = {
        "buy_rate": buy_rate,
        "sell_rate": sell_rate,
        "fill_decay": fill_decay,
        "running_penalty": running_penalty,
        "terminal_penalty": terminal_penalty,
    }

    def loss(depths: FloatArray) -> float:
        return -float(constant_depths_value(depths[0], depths[1], time_left, **market))

    check_positive(fill_decay=fill_decay)
    guess = 1.0 / fill_decay + running_penalty * time_left / 2.0 + terminal_penalty
    options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 2000}
    best = minimize(loss, [guess, guess], method="Nelder-Mead", options=options)
    return float(best.x[0]), float(best.x[1]), -float(best.fun)


def _value_table(
    time_left: npt.ArrayLike,
    buy_rate: float,
    sell_rate: float,
    fill_decay: float,
    running_penalty: float,
    terminal_penalty: float,
    max_inventory: int,
) -> FloatArray:
    """Return h for every inventory, shape time_left.shape + [2 max_inventory + 1]."""
    check_positive(buy_rate=buy_rate, sell_rate=sell_rate, fill_decay=fill_decay)
    check_not_negative(
        time_left=time_left, running_penalty=running_penalty, terminal_penalty=terminal_penalty
    )
    check_count(max_inventory=max_inventory)
    steepness = terminal_penalty * fill_decay * max_inventory**2
    # Above this limit, the probability of selling the whole inventory at once matters, but it
    # underflows.
    if steepness > 3000:
        largest = int((3000 / steepness) ** 0.5 * max_inventory)
        raise ValueError(
            f"terminal_penalty * fill_decay * max_inventory^2 = {steepness!r} underflows: "
            f"expected at most 3000, got {steepness!r} (write for example max_inventory={largest})"
        )
    lots = np.arange(-max_inventory, max_inventory + 1.0)
    generator = (
        np.eye(len(lots), k=-1) * buy_rate / np.e
        + np.eye(len(lots), k=1) * sell_rate / np.e
        - np.diag(running_penalty * fill_decay * lots**2)
    )
    log_start = -terminal_penalty * fill_decay * lots**2
    return log_exponential_action(generator, log_start, time_left) / fill_decay
