"""What the reference market holds: orders, messages, the account and the kind of order flow."""

from dataclasses import dataclass, field

SIGN = (1, -1)  # of the prices of bids and asks: a larger signed price is a better one


@dataclass(eq=False)
class Order:
    """A resting order."""

    side: int
    price: int
    lots: int
    own: bool = False


@dataclass
class Message:
    """What the agent sends: the prices of its quotes, and whether it wants to be flat."""

    prices: tuple[float, float]
    takes: bool
    cancels_at: float
    arrives_at: float


@dataclass
class Account:
    """Cash, inventory and the parts of the PnL [ticks x lots]."""

    mark: float
    cash: float = 0.0
    inventory: int = 0
    spread_pnl: float = 0.0
    inventory_pnl: float = 0.0
    fees: float = 0.0
    close_out: float = 0.0
    n_fills: int = 0
    n_lots: int = 0
    lots_taken: int = 0

    def mark_to(self, mid: float) -> None:
        self.inventory_pnl += self.inventory * (mid - self.mark)
        self.mark = mid

    def exchange(self, side: int, price: int, lots: int, fee: float) -> None:
        """Buy (BID) or sell lots for cash."""
        self.cash -= SIGN[side] * price * lots + fee * lots
        self.inventory += SIGN[side] * lots
        self.spread_pnl += SIGN[side] * (self.mark - price) * lots
        self.fees += fee * lots

    @property
    def wealth(self) -> float:
        return self.cash + self.inventory * self.mark


@dataclass
class Flow:
    """The kind of order flow of a session, and the metaorder at work."""

    p_informed: float
    imbalance: float
    kind: int
    bias: float
    last_arrival: float
    excitation: list[float] = field(default_factory=list)
    orders_left: int = 0
    side: int = 0
    tolerance: float = 0.0
