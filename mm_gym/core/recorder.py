"""The recorder of a session: the agent's fills and the path of mid, efficient price and inventory.

Each fill is stored with hidden state: the efficient price, the signal and the kind of taker. Only
the functions here take the recorder's arrays. Numba counts references to an array at each call that
passes it on; in functions that run at every event this would take a tenth of the time of a step.
"""

from mm_gym.core.kernel import kernel
from mm_gym.core.quotes import current_mid


@kernel
def keep_fills(market, fill_rows):
    """Store the agent's fills of the latest event. Count the fills for which there is no room."""
    for index in range(market.n_new_fills):
        if market.n_fill_rows < fill_rows.shape[0]:
            fill_rows[market.n_fill_rows] = market.new_fills[index]
        market.n_fill_rows += 1


@kernel
def keep_path(market, parameters, path_rows):
    """Append a row if the mid, the efficient price or the inventory has changed."""
    keep_path_at(market, current_mid(market, parameters), path_rows)


@kernel
def keep_path_at(market, mid, path_rows):
    """Do what `keep_path` does, where the mid is known."""
    index = market.n_path_rows
    if 0 < index <= path_rows.shape[0]:
        last = path_rows[index - 1]
        if (
            last.mid == mid
            and last.efficient_price == market.efficient_price
            and last.inventory == market.account.inventory
        ):
            return
    market.n_path_rows = index + 1
    if index >= path_rows.shape[0]:
        return
    row = path_rows[index]
    row.time = market.time
    row.mid = mid
    row.efficient_price = market.efficient_price
    row.inventory = market.account.inventory
