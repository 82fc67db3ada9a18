"""Closed forms and exact solutions, one paper per file, in plain Python with NumPy and SciPy.

* `avellaneda_stoikov`: the quotes of the 2008 paper.
* `strategy_moments`: exact moments of the profit of a strategy in the model of that paper.
* `gueant_lehalle_fernandez_tapia`: the exact solution of the same problem with bounded inventory.
* `cartea_jaimungal`: optimal quotes with a running penalty, also for uneven order flow.
* `glosten_milgrom`: quotes against informed traders, and the information in a trade.
* `cont_stoikov_talreja`: the direction of the next price move of a zero-intelligence book.
* `lillo_mike_farmer`: the memory of order signs from split orders.
* `informed_flow`: adverse move, markout and break-even against this project's informed takers.
* `dealer_bellman`: the exact optimum of the discrete dealer environment.
* `rouwenhorst`: a Markov chain that approximates the signal.

All formulas hold in any consistent units. The rest of `mm_gym` uses ticks, seconds and lots.
"""

from . import (
    avellaneda_stoikov,
    cartea_jaimungal,
    cont_stoikov_talreja,
    dealer_bellman,
    glosten_milgrom,
    gueant_lehalle_fernandez_tapia,
    informed_flow,
    lillo_mike_farmer,
    rouwenhorst,
    strategy_moments,
)

__all__ = [
    "avellaneda_stoikov",
    "cartea_jaimungal",
    "cont_stoikov_talreja",
    "dealer_bellman",
    "glosten_milgrom",
    "gueant_lehalle_fernandez_tapia",
    "informed_flow",
    "lillo_mike_farmer",
    "rouwenhorst",
    "strategy_moments",
]
