"""The agent's account: cash, inventory and the parts of its PnL, in ticks x lots.

    wealth = cash + inventory x mid = spread captured + inventory PnL - fees

This is an identity. Spread captured sums the distance of each fill from the mid just before it.
Inventory PnL sums the effect of later moves of the mid on the position. The mid is the public mid,
which leaves out the agent's own orders.
"""

import math

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import BID


@kernel
def open_account(account, mid):
    """Open an empty account, marked at `mid` [ticks]."""
    account.cash = 0.0
    account.inventory = 0
    account.mark = mid
    account.spread_pnl = 0.0
    account.inventory_pnl = 0.0
    account.fees = 0.0
    account.close_out = 0.0
    account.n_fills = 0
    account.n_lots = 0
    account.lots_taken = 0
    account.wealth = 0.0
    account.inventory_pnl_at_decision = 0.0
    account.n_fills_at_decision = 0
    account.objective = 0.0


@kernel
def mark_to(account, mid):
    """Settle inventory PnL up to now. Call this before the inventory changes."""
    account.inventory_pnl += account.inventory * (mid - account.mark)
    account.mark = mid


@kernel
def settle_fill(account, side, price, size, fee):
    """Book a fill of the agent's quote on `side`, with a fee per lot [ticks].

    The account must already be marked to the mid just before the fill.
    """
    _exchange(account, side, price, size, fee)
    account.n_fills += 1
    account.n_lots += size


@kernel
def settle_take(account, side, price, size, fee):
    """Book a trade of the agent's market order: a buy if `side` is BID. No fill is counted.

    The account must already be marked to the mid just before the order.
    """
    _exchange(account, side, price, size, fee)
    account.lots_taken += size


@kernel
def _exchange(account, side, price, size, fee):
    """Exchange cash for lots. The spread captured by a market order is negative."""
    direction = 1 if side == BID else -1
    account.cash -= direction * price * size + fee * size
    account.inventory += direction * size
    account.spread_pnl += direction * (account.mark - price) * size
    account.fees += fee * size


@kernel
def maker_fee(parameters, account, price):
    """Return the fee per lot [ticks] of a fill at `price`, given the volume of the session."""
    fee = parameters.maker_fee
    volume = account.n_lots + account.lots_taken
    tier = 0
    while tier < parameters.n_fee_tiers and volume >= parameters.fee_tier_lots[tier]:
        fee = parameters.fee_tier_fees[tier]
        tier += 1
    return _in_ticks(parameters, fee, price)


@kernel
def taker_fee(parameters, price):
    """Return the fee per lot [ticks] of a market order that trades at `price`."""
    return _in_ticks(parameters, parameters.taker_fee, price)


@kernel
def _in_ticks(parameters, fee, price):
    """Convert a fee to ticks per lot. A proportional fee is a share of the price."""
    return fee * math.fabs(price) if parameters.fee_of_notional else fee


@kernel
def marked_wealth(account):
    """Return cash plus the inventory valued at the last mark [ticks x lots]."""
    return account.cash + account.inventory * account.mark


@kernel
def close_position(account, cost, impact):
    """Settle the position at the close and return the payment [ticks x lots].

    With inventory q, the payment is cost |q| + impact q^2. `cost` is in ticks, `impact` in ticks
    per lot.
    """
    lots = math.fabs(account.inventory)
    account.close_out = cost * lots + impact * lots * lots
    return account.close_out
