"""What an event may change, written down before and after it."""

import numpy as np

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import NO_ORDER

ROUNDING = 1e-12  # relative error that sums of floats may have

# Lots, and key x lots, of the public orders and of the agent's order on each side of the book; then
# the account and the flow. Sums wrap at 64 bits.
LEDGER = np.dtype(
    (
        np.record,
        [
            ("public", "i8", (2,)),
            ("public_value", "i8", (2,)),
            ("own", "i8", (2,)),
            ("own_value", "i8", (2,)),
            ("n_public", "i8"),  # public orders on both sides
            ("cash", "f8"),
            ("inventory", "i8"),
            ("fees", "f8"),
            ("mark", "f8"),
            ("inventory_pnl", "f8"),
            ("wealth", "f8"),
            ("objective", "f8"),
            ("volume", "i8"),  # lots of the agent's quotes and market orders
            ("taken", "i8"),  # lots of its market orders
            ("steps", "i8"),
            ("n_trades", "i8"),
            ("step_flow", "f8"),
            ("step_volume", "f8"),
        ],
    )
)

# How far a session is: events and decisions, and the money that has moved [ticks x lots]. The links
# and sums of the whole book are checked after every event with a number that `every` divides.
PROGRESS = np.dtype(
    (np.record, [("events", "i8"), ("steps", "i8"), ("money", "f8"), ("every", "i8")])
)


@kernel
def write(market, ledger):
    """Write the state of a market down. Lots are those of the levels, which `state` checks."""
    book = market.book
    ledger.n_public = book.n_live
    for side in range(2):
        lots, value = np.int64(0), np.int64(0)
        for index in range(book.n_levels[side]):
            level = book.levels[side, index]
            lots += level.lots
            value += level.lots * np.int64(level.key)
        own = own_value = np.int64(0)
        slot = market.quotes.slot[side]
        if slot != NO_ORDER:
            order = book.orders[slot]
            own = np.int64(order.lots)
            own_value = own * np.int64(order.key)
            ledger.n_public -= 1
        ledger.own[side] = own
        ledger.own_value[side] = own_value
        ledger.public[side] = lots - own
        ledger.public_value[side] = value - own_value
    account = market.account
    ledger.cash = account.cash
    ledger.inventory = account.inventory
    ledger.fees = account.fees
    ledger.mark = account.mark
    ledger.inventory_pnl = account.inventory_pnl
    ledger.wealth = account.wealth
    ledger.objective = account.objective
    ledger.volume = account.n_lots + account.lots_taken
    ledger.taken = account.lots_taken
    ledger.steps = market.steps
    ledger.n_trades = market.n_trades
    ledger.step_flow = market.features.step_flow
    ledger.step_volume = market.features.step_volume


@kernel
def public_part_changed(before, after, side):
    """Return whether the public orders of a side have other lots or prices."""
    return (
        before.public[side] != after.public[side]
        or before.public_value[side] != after.public_value[side]
    )


@kernel
def own_part_changed(before, after, side):
    """Return whether the agent's order on a side has other lots or another price."""
    return before.own[side] != after.own[side] or before.own_value[side] != after.own_value[side]


@kernel
def account_changed(before, after):
    """Return whether cash or inventory have changed."""
    return before.cash != after.cash or before.inventory != after.inventory


@kernel
def count_money(progress, before, after):
    """Add the money that has moved to `progress`, and return the error that its sums may have."""
    progress.money += abs(after.cash - before.cash)
    progress.money += abs(before.inventory * (after.mark - before.mark))
    return rounding(progress.money + abs(after.inventory * after.mark))


@kernel
def rounding(money):
    """Return the error [ticks x lots] of a sum of floats through which so much money has gone."""
    return 1e-9 + ROUNDING * money
