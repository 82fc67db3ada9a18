"""The agent's account: cash, inventory, and the split of its PnL, kept so that the split is an
identity.

    wealth = cash + inventory x mid = spread captured + inventory PnL - fees

Spread captured is the distance of each fill from the mid just before it; inventory PnL is what
later moves of the mid did to the position. The mid is the public one, without the agent's own
orders.
"""

import math

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import BID


@kernel
def open_account(account, mid):
    """Start flat, with nothing, at this mid."""
    account.cash = 0.0
    account.inventory = 0
    account.mark = mid
    account.spread_pnl = 0.0
    account.inventory_pnl = 0.0
    account.fees = 0.0
    account.close_out = 0.0
    account.n_fills = 0
    account.n_lots = 0
    account.wealth = 0.0
    account.inventory_pnl_at_decision = 0.0
    account.n_fills_at_decision = 0
    account.objective = 0.0


@kernel
def mark_to(account, mid):
    """Settle inventory PnL up to now. To be called before the inventory changes."""
    account.inventory_pnl += account.inventory * (mid - account.mark)
    account.mark = mid


@kernel
def settle_fill(account, side, price, size, fee):
    """The agent's order on `side` traded; the account is marked to the mid just before the fill."""
    direction = 1 if side == BID else -1
    account.cash -= direction * price * size + fee * size
    account.inventory += direction * size
    account.spread_pnl += direction * (account.mark - price) * size
    account.fees += fee * size
    account.n_fills += 1
    account.n_lots += size


@kernel
def marked_wealth(account):
    """Cash plus the inventory at the last mark."""
    return account.cash + account.inventory * account.mark


@kernel
def close_position(account, cost, impact):
    """Settle the position at the close: `cost` a lot and `impact` a squared lot are paid; returns
    the payment."""
    lots = math.fabs(account.inventory)
    account.close_out = cost * lots + impact * lots * lots
    return account.close_out
