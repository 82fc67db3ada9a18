"""The control variate of the reference market.

The expected fills are integrated numerically; `mm_gym.core.control_variate` has closed forms.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_gym.core.layout import InformedKind, TakerKind
from tests.reference_records import SIGN, Order

if TYPE_CHECKING:
    from tests.reference_market import ReferenceMarket

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


class ControlVariate:
    """The control variate of one decision interval of a market."""

    def __init__(self, market: "ReferenceMarket") -> None:
        self.market = market
        self.start()

    def _foreseen(self) -> float:
        """V after the expected remaining drift of the signal."""
        market = self.market
        return float(market.value + market.p.edge_per_signal * market.signal)

    def _potential(self) -> float:
        market, held = self.market, self.market.account.inventory
        return float(held * (market.mid - self._foreseen()) + market.p.inventory_price * held**2)

    def start(self) -> None:
        """Start a decision interval."""
        self.edge = self.lots_squared = 0.0
        self.before = self.market.account.inventory, self._foreseen(), self._potential()

    def of_decision(self, ended: bool) -> float:
        """What is subtracted from the reward."""
        if not self.market.p.variance_reduction:
            return 0.0
        inventory, foreseen, potential = self.before
        change = self._foreseen() - foreseen if self.market.has_value else 0.0
        later = 0.0 if ended else self._potential()
        of_fills = self.edge - self.market.p.inventory_price * self.lots_squared
        return float(inventory * change + later - potential + of_fills)

    def _count(self, side: int, lots: float, price: int, inventory: int) -> None:
        self.edge += lots * SIGN[side] * (self._foreseen() - price)
        self.lots_squared += lots * (2 * SIGN[side] * inventory + 1)

    def count_fills(self) -> None:
        """Add the fills of the present event."""
        for fill in self.market.new_fills:
            if fill["taker"] != TakerKind.SNIPER:
                before = fill["inventory"] - SIGN[fill["side"]] * fill["lots"]
                self._count(fill["side"], fill["lots"], fill["price"], before)

    def expect_fills(self, seconds: float) -> None:
        """Subtract the expected fills while nothing happens, integrated over the time."""
        if not self.market.p.variance_reduction or seconds <= 0.0:
            return
        times = seconds * (NODES + 1.0) / 2.0
        for side, quote in enumerate(self.market.quotes):
            if quote is not None:
                lots = seconds / 2.0 * float(WEIGHTS @ self._fill_rates(side, quote, times))
                self._count(side, -lots, quote.price, self.market.account.inventory)

    def _fill_rates(self, side: int, quote: Order, later: Any) -> Any:
        """The mean lots a second that takers fill at times `later` with an unchanged book."""
        market, taker = self.market, 1 - side
        p, flow = market.p, market.flow
        since = market.time + later - flow.last_arrival
        arrivals = np.full(len(later), p.base_rate)
        for k, rest in enumerate(flow.excitation):
            arrivals += rest * p.clustering_decay[k] * np.exp(-p.clustering_decay[k] * since)
        key = SIGN[side] * quote.price
        better = [o for o in market.orders if o.side == side and SIGN[side] * o.price > key]
        if p.refill and better:
            return 0.0 * later
        queue = market.queue(side, quote.price)
        ahead = sum(order.lots for order in better + queue[: queue.index(quote)])

        def mean_lots(miss: float) -> float:
            # A geometric size exceeds k lots with probability miss^k.
            return float(sum(float(miss) ** k for k in range(ahead, ahead + quote.lots)))

        naive = flow.kind == InformedKind.NAIVE
        uninformed = (1.0 - flow.p_informed) * mean_lots(p.taker_size_miss)
        if naive:
            uninformed += flow.p_informed * mean_lots(p.naive_size_miss)
        distance = SIGN[taker] * (quote.price - market.current_mid())
        if flow.orders_left > 0:
            uninformed *= flow.side == taker and distance <= flow.tolerance
        else:
            bias = flow.bias * flow.imbalance * np.exp(-2.0 * p.imbalance_flip_rate * since)
            uninformed = uninformed * (1.0 + SIGN[taker] * bias) / 2.0
            if distance > 0.0:
                tolerance = float(p.taker_tolerance)
                uninformed *= math.exp(-distance / tolerance) if tolerance > 0.0 else 0.0
        informed = 0.0
        if not naive and flow.p_informed > 0.0:
            signal = market.decoy if flow.kind == InformedKind.DECOY else market.signal
            limit = market.value + p.edge_per_signal * signal
            within = SIGN[taker] * (limit - quote.price) >= 0.0 or not p.informed_price_limit
            if SIGN[taker] * signal > p.signal_threshold and within:
                informed = flow.p_informed * mean_lots(p.taker_size_miss)
        return arrivals * (uninformed + informed)
