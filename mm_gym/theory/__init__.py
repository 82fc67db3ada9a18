"""Closed forms and exact solutions, one paper per file; plain Python over numpy and scipy.

* `avellaneda_stoikov`: quotes of the 2008 paper, and exact moments of what a strategy earns.
* `gueant_lehalle_fernandez_tapia`: the same problem solved exactly, with bounded inventory.
* `cartea_jaimungal`: a running penalty instead of a utility, also with uneven order flow.
* `glosten_milgrom`: quotes against informed traders, and what a trade reveals.
* `cont_stoikov_talreja`: where the price of a zero-intelligence book goes next.
* `informed_flow`: this project's informed takers: adverse move, markout, break-even.
* `dealer_bellman`: the exact optimum of the discrete dealer environment.
* `rouwenhorst`: a Markov chain that stands for the signal.

All formulas are free of units as long as the units agree; elsewhere in `mm_gym` prices are in
ticks, time in seconds and sizes in lots.
"""

from . import (
    avellaneda_stoikov,
    cartea_jaimungal,
    cont_stoikov_talreja,
    dealer_bellman,
    glosten_milgrom,
    gueant_lehalle_fernandez_tapia,
    informed_flow,
    rouwenhorst,
)

__all__ = [
    "avellaneda_stoikov",
    "cartea_jaimungal",
    "cont_stoikov_talreja",
    "dealer_bellman",
    "glosten_milgrom",
    "gueant_lehalle_fernandez_tapia",
    "informed_flow",
    "rouwenhorst",
]
