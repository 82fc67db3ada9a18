"""The configuration of a market: a frozen dataclass with a unit and a sentence per field.

`configure` makes one from the name of a regime (`mm_gym.regimes`) and overrides.
"""

import dataclasses
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.config_checks import check_fields
from mm_gym.core.layout import FEATURE_HALF_LIVES, VOLATILITY_HALF_LIFE
from mm_gym.errors import UnknownKeywordError, nearest
from mm_gym.field_checks import (
    FeeUnitName,
    InformedName,
    LatencyName,
    MakersName,
    RewardName,
    check_regime,
)
from mm_gym.recordings import recorded_fields
from mm_gym.regimes import REGIMES, REPLAY


@dataclass(frozen=True)
class MarketConfig:
    """Everything that defines a market.

    Prices are in ticks, times in seconds, sizes in lots, and money in ticks x lots.

    Raises:
        ConfigurationError: if a field is out of its range or two fields contradict each other.
    """

    regime: str = "noise"
    """Name of the order-flow regime: a key of `mm_gym.REGIMES`, or `replay` for recorded data."""

    # The session
    decision_interval: float = 1.0
    """[s] Time between two decisions of the agent."""
    session_steps: int = 1000
    """[decisions] Length of a session (one episode), after which the close settles the position."""
    warm_up: float = 20.0
    """[s] Time in which the book fills before a session, rounded to whole decision intervals."""
    latency: float = 0.0
    """[s] Time until new quotes reach the exchange; the old quotes stay live until then. Its mean
    if `latency_kind` is `exponential`."""
    latency_kind: LatencyName = "constant"
    """`constant`; `exponential`: each message draws its own latency, with mean `latency` or
    `cancel_latency`; `empirical`: each message draws one of `latency_samples` or
    `cancel_latency_samples`. No message of the agent overtakes an earlier one."""
    latency_samples: tuple[float, ...] = ()
    """[s] Latencies of new quotes to draw from, with `latency_kind="empirical"`."""
    cancel_latency: float | None = None
    """[s] Latency of cancellations, which the agent then sends before its new quotes. None: one
    message replaces the old quotes by the new ones."""
    cancel_latency_samples: tuple[float, ...] = ()
    """[s] Latencies of cancellations to draw from, with `latency_kind="empirical"`."""

    # The efficient price and the signal
    initial_price: float = 10_000.0
    """[ticks] Efficient price at the start of the warm-up."""
    tick_size: float = 0.01
    """[currency] Value of one tick of one lot. It converts fees given in currency, and
    `to_currency` converts money."""
    volatility: float = 0.6
    """[ticks / sqrt(s)] Volatility of the efficient price around its drift."""
    signal_drift: float = 0.09
    """[ticks / s] Drift of the efficient price per unit of the signal, which has unit variance."""
    signal_half_life: float = 20.0
    """[s] Half-life of the latent signal."""
    value_interval: float = 1.0
    """[s] Step of the time grid on which efficient price and signal make exact transitions."""

    # Takers
    taker_rate: float = 1.0
    """[1/s] Arrival rate of all takers together."""
    p_informed: float = 0.0
    """Share of informed takers, in [0, 1]; in the regime `mixed`, the largest share drawn."""
    informed_kind: InformedName = "signal"
    """`signal`: informed takers act on the signal; `naive`: they carry the label only; `decoy`:
    they act on a second signal, which has the same distribution and predicts nothing."""
    signal_threshold: float = 1.0
    """[standard deviations] Informed takers trade only if the absolute signal exceeds this."""
    informed_price_limit: bool = True
    """Whether informed takers refuse prices beyond the efficient price plus the expected move."""
    imbalance: float = 0.0
    """Hidden side bias of uninformed takers, in [0, 1]: a share of (1 + imbalance) / 2 of them
    takes the favoured side."""
    imbalance_flip_rate: float = 0.005
    """[1/s] Rate at which the favoured side flips."""
    clustering: tuple[float, ...] = ()
    """Self-excitation of arrivals: how many arrivals one arrival causes on average, through each of
    up to four exponential kernels; the sum is below 1. Empty: a Poisson process."""
    clustering_half_lives: tuple[float, ...] = ()
    """[s] Half-life of each kernel of `clustering`."""
    longest_metaorder: int = 1
    """[orders] Largest number of orders into which an uninformed trader splits a metaorder; all of
    them have its side and its tolerance. 1: no splitting."""
    metaorder_exponent: float = 1.5
    """[1] Tail exponent of the number of orders in a metaorder."""
    taker_tolerance: float = 3.0
    """[ticks] Mean of the exponential distance beyond the mid that uninformed takers accept;
    `inf` makes their orders market orders."""
    taker_size: float = 1.0
    """[lots] Mean of the geometric size of a taker's order, at least 1."""
    naive_taker_size: float = 3.0
    """[lots] Mean of the geometric size of a naive informed taker's order, at least 1."""

    # Background makers
    makers: MakersName = "anchored"
    """`anchored`: background orders follow the efficient price; `none`: the dealer market, which
    has no background orders and whose mid is the efficient price; `zero_intelligence`: orders
    depend only on their distance from the opposite best quote, and the book makes the price;
    `recorded`: the orders of the file `data`."""
    maker_rate: float = 2.2
    """[1/s] Arrival rate of anchored background orders on each side."""
    maker_cancel_rate: float = 0.3
    """[1/s] Cancellation rate of each anchored background order."""
    maker_depth: float = 3.0
    """[ticks] Mean of the exponential distance of anchored orders from the efficient price."""
    maker_size: float = 1.0
    """[lots] Mean of the geometric size of background orders, at least 1."""
    refill: bool = False
    """Whether background lots that takers take return at once, at the same price and the back of
    the queue, as from an iceberg order, so that takers do not move the mid; lots that the agent
    takes do not return."""
    limit_order_rates: tuple[float, ...] = ()
    """[1/s] Zero intelligence: arrival rates of limit orders on each side at 1, 2, ... ticks from
    the opposite best quote; no orders arrive beyond the last distance."""
    cancel_rates: tuple[float, ...] = ()
    """[1/s] Zero intelligence: cancellation rates of each order at 1, 2, ... ticks from the
    opposite best quote; the last rate applies at all larger distances."""
    sniping: bool = False
    """Whether the agent's quotes are taken at once when the efficient price crosses them."""

    # Recorded data, in the regime `replay`
    data: str = ""
    """Path of a file of exchange data. All markets of a process share it."""
    data_start: float = 0.0
    """[share of the recorded time] Where the part of the file begins that sessions come from."""
    data_end: float = 1.0
    """[share of the recorded time] Where that part ends."""
    lot_size: int = 1
    """[size units of the data] Size of a lot."""

    # The agent
    quote_size: int = 1
    """[lots] Size of each quote."""
    max_inventory: int = 50
    """[lots] Position limit, long or short; quotes shrink so that no fill can exceed it."""
    max_offset: float = 15.0
    """[ticks] Largest offset of a quote from the public mid: the offset of action +1, and eight
    times that of action 0."""
    requote_threshold: float = 0.3
    """[ticks] A resting quote keeps its place if it is within half a tick plus this threshold of
    the price that the agent asks for."""
    maker_fee: float = 0.0
    """[`fee_unit`] Fee per lot that the agent's quotes trade; negative for a rebate."""
    taker_fee: float = 0.0
    """[`fee_unit`] Fee per lot that the agent takes with market orders."""
    fee_unit: FeeUnitName = "ticks"
    """Unit of all fees: `ticks` per lot; `currency` per lot, which `tick_size` converts to ticks;
    `notional`: a share of the price, so 0.0001 is one basis point of the traded value."""
    fee_tier_lots: tuple[float, ...] = ()
    """[lots] Own volumes of the session, ascending, at which `maker_fee` changes."""
    fee_tier_fees: tuple[float, ...] = ()
    """[`fee_unit`] Maker fees from these volumes on. A fill pays the fee of the volume before."""
    close_out_cost: float = 1.0
    """[ticks] Cost per lot of settling the position at the close."""
    close_out_impact: float = 0.0
    """[ticks / lot] Cost per squared lot of settling the position at the close."""

    # The reward
    reward: RewardName = "inventory_penalty"
    """`pnl`: the change of marked wealth; `inventory_penalty`: the same minus a running cost of
    inventory; `dampened`: the change of wealth minus a share of inventory gains; `cara`: the
    change of exponential utility."""
    reward_scale: float = 0.1
    """[1 / (ticks x lots)] Factor of every reward, so that rewards are of order one a decision."""
    inventory_penalty: float = 0.001
    """[ticks / (lot s)] Running cost of squared inventory in the objective."""
    dampening: float = 0.5
    """Share of inventory gains that the `dampened` reward takes away, in [0, 1]."""
    risk_aversion: float = 0.001
    """[1 / (ticks x lots)] Absolute risk aversion of the `cara` reward."""

    def __post_init__(self) -> None:
        for name, value in check_fields(vars(self)).items():
            object.__setattr__(self, name, value)

    @property
    def mixed(self) -> bool:
        """Whether each episode draws its own flow."""
        return self.regime == "mixed"

    @property
    def session_length(self) -> float:
        """[s] Length of a session."""
        return self.session_steps * self.decision_interval

    @property
    def feature_half_lives(self) -> tuple[float, ...]:
        """[s] Half-lives of the fast, medium and slow columns of the observation."""
        return tuple(
            half_life * max(1.0, self.decision_interval) for half_life in FEATURE_HALF_LIVES
        )

    @property
    def volatility_half_life(self) -> float:
        """[s] Half-life of the volatility column."""
        return VOLATILITY_HALF_LIFE * max(1.0, self.decision_interval)

    @property
    def signal_decay_rate(self) -> float:
        """[1/s] Decay rate of the signal, kappa = ln 2 / half-life."""
        return math.log(2.0) / self.signal_half_life

    @property
    def edge_per_signal(self) -> float:
        """[ticks] Expected remaining move of the efficient price per unit of the signal.

        This is beta / kappa, with the drift beta per unit of the signal.
        """
        return self.signal_drift / self.signal_decay_rate

    @property
    def mean_latency(self) -> float:
        """[s] Mean latency of new quotes, without the wait for earlier messages."""
        if self.latency_kind == "empirical":
            return sum(self.latency_samples) / len(self.latency_samples)
        return self.latency

    def to_currency(self, money: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert money from ticks x lots to currency, with `tick_size`.

        Args:
            money: a PnL, fee or other amount [ticks x lots], of any shape.

        Returns:
            The amounts [currency], of the same shape.
        """
        return np.asarray(money, np.float64) * self.tick_size

    def foreseen_price(
        self, efficient_price: npt.NDArray[np.float64], signal: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """[ticks] Expected efficient price in the long run given the signal, F = V + edge s.

        F is a martingale: the decay of the signal takes from the edge what the drift adds to V.
        With `makers="zero_intelligence"` the book makes the price and F is not a martingale.

        Args:
            efficient_price: V [ticks], of any shape.
            signal: s [standard deviations], of the same shape.

        Returns:
            F, of the same shape.
        """
        return efficient_price + self.edge_per_signal * signal

    def to_dict(self) -> dict[str, Any]:
        """The fields by name. `MarketConfig(**config.to_dict())` equals `config`."""
        return dataclasses.asdict(self)


FIELD_NAMES = tuple(field.name for field in fields(MarketConfig))


def configure(regime: str = "noise", **overrides: Any) -> MarketConfig:
    """The configuration of a regime, with some fields overridden.

    Args:
        regime: a key of `mm_gym.REGIMES`, or `replay`.
        **overrides: any field of `MarketConfig`. With `replay`, the field `data` is needed, and
            the fields of `recordings.recorded_fields` fit the file by default.

    Raises:
        UnknownKeywordError: for a keyword that is not a field. It is a `TypeError`, and its message
            names the nearest field.
        ConfigurationError: for an unknown regime or a value out of range.
    """
    check_regime(regime)
    for name in overrides:
        if name not in FIELD_NAMES:
            raise UnknownKeywordError(
                f"configure() got an unexpected keyword argument {name!r}: "
                f"expected a field of MarketConfig, got {name!r}; {nearest(name, FIELD_NAMES)}"
            )
    defaults = REGIMES.get(regime, {})
    if regime == REPLAY:
        defaults = {"makers": "recorded", **recorded_fields(overrides)}
    return MarketConfig(**{"regime": regime, **defaults, **overrides})
