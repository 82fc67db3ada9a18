"""Cartea, Jaimungal and Penalva (2015), Algorithmic and High-Frequency Trading, section 10.2.

A market maker maximises expected wealth with a running penalty phi q^2 and a final penalty
alpha q^2. The mid is a martingale, so its volatility does not matter. Market orders arrive at rates
lambda+ (buys, which hit the ask) and lambda- (sells, which hit the bid), and one walks to depth
delta with probability exp(-kappa delta). The value is x + q S + h(t, q) with

    h = (1 / kappa) ln omega,  omega(t) = exp(A (T - t)) z,  z_q = exp(-alpha kappa q^2),
    A_qq = -phi kappa q^2,  A_{q,q-1} = lambda+ / e,  A_{q,q+1} = lambda- / e.

Letters: q inventory, T - t `time_left`, lambda+ `buy_rate`, lambda- `sell_rate`, kappa
`fill_decay`, phi `running_penalty`, alpha `terminal_penalty`. Uneven rates are an imbalance of the
order flow that carries no information. Units are free as long as they agree: with prices in ticks,
time in seconds and sizes in lots, rates are per second, fill_decay is per tick, running_penalty in
ticks per lot and second, terminal_penalty in ticks per lot.
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
    """Return h(t, q), the best expected objective still to come on top of the marked wealth.

    The published figures belong to a market without a bound on inventory. The default of 60 lots
    is no bound in all of them: the hardest, lambda 140, kappa 1.5, phi 0.01, has the same ten
    digits from 50 on, while 30 gives 68.25582 and 10 gives 67.97 for 68.25583476.

    Args:
        inventory: whole lots, any shape.
        time_left: any shape that broadcasts with inventory [time].
        buy_rate: lambda+, market buys, positive.
        sell_rate: lambda-, market sells, positive.
        fill_decay: kappa, positive.
        running_penalty: phi, not negative.
        terminal_penalty: alpha, not negative.
        max_inventory: bound on both sides; the side that would pass it is not quoted [lots].

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

    delta^+ = 1 / kappa + h(q) - h(q - 1) for the ask, 1 / kappa + h(q) - h(q + 1) for the bid

    A large inventory makes one of them negative: the formula then counts on more than all arrivals.
    Arguments and errors are those of `value`; the depth of a side that is not quoted is inf.

    Returns:
        Depths(ask, bid), each of the broadcast shape [price].
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
    """Return what the same depths, always, are expected to earn from flat, without a bound.

    The fills are two Poisson streams of rates a = lambda+ exp(-kappa delta+) and
    b = lambda- exp(-kappa delta-), so E[q(t)^2] = (a + b) t + (b - a)^2 t^2 and
    J = T (a delta+ + b delta-) - phi ((a + b) T^2 / 2 + (b - a)^2 T^3 / 3)
    - alpha ((a + b) T + (b - a)^2 T^2).

    Args:
        ask_depth: delta+, any shape [price].
        bid_depth: delta-, any shape that broadcasts with it [price].
        time_left: T - t, any shape that broadcasts with them [time].
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
    """Return (ask depth, bid depth, value) of the best pair that never changes.

    With even rates both are 1 / kappa + phi T / 2 + alpha. The value is concave in the two rates of
    fills, so there is one best pair. Arguments and errors are those of `constant_depths_value`.
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
    if (
        steepness > 3000
    ):  # beyond it the chance of selling everything at once matters and underflows
        raise ValueError(
            f"terminal_penalty * fill_decay * max_inventory^2 came as {steepness!r}; at most 3000 is wanted, beyond it "
            f"the numbers underflow: write for example max_inventory={int((3000 / steepness) ** 0.5 * max_inventory)}."
        )
    lots = np.arange(-max_inventory, max_inventory + 1.0)
    generator = (
        np.eye(len(lots), k=-1) * buy_rate / np.e
        + np.eye(len(lots), k=1) * sell_rate / np.e
        - np.diag(running_penalty * fill_decay * lots**2)
    )
    log_start = -terminal_penalty * fill_decay * lots**2
    return log_exponential_action(generator, log_start, time_left) / fill_decay
