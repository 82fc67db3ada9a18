"""The configuration of a market: one frozen dataclass, a unit and a sentence per field, every field
checked.

`configure` is how the faces make one: it starts from a regime's figures (`mm_gym.regimes`) and lets
keywords override them.
"""

import dataclasses
import difflib
import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from mm_gym.core.layout import (
    FEATURE_HALF_LIVES,
    MAKER_DISTANCES,
    MARKET_ORDERS,
    QUOTES_IN_FLIGHT,
    VOLATILITY_HALF_LIFE,
)
from mm_gym.regimes import REGIMES

RewardName = Literal["pnl", "inventory_penalty", "dampened", "cara"]
MakersName = Literal["anchored", "none", "zero_intelligence"]
InformedName = Literal["signal", "naive", "decoy"]

_LIMITS_OF_A_NUMBER = 1e12
_SHORTEST_INTERVAL = 1e-6  # [s]


class ConfigurationError(ValueError):
    """A market that cannot be: the message says what came, what was wanted and what to write
    instead."""


class UnknownKeywordError(TypeError, ConfigurationError):
    """A keyword that nothing here has. It is a `TypeError`, as Python's own is.

    Libraries try a constructor with keywords that it may not have, and do without them after a
    `TypeError`.
    """


@dataclass(frozen=True)
class MarketConfig:
    """Everything that defines a market. Prices in ticks, time in seconds, sizes in lots, money in
    ticks x lots.

    Raises:
        ConfigurationError: if a field is out of its range or two fields contradict each other.
    """

    regime: str = "noise"
    """Name of the order-flow regime whose figures are the defaults; see `mm_gym.regimes`."""

    # The session
    decision_interval: float = 1.0
    """[s] Time between two decisions of the agent."""
    session_steps: int = 1000
    """Decisions in a session; the close settles the position after the last one."""
    warm_up: float = 20.0
    """[s] Time in which the book fills before the session starts, rounded to whole decision
    intervals."""
    latency: float = 0.0
    """[s] Time that new quotes take to reach the exchange; the old ones stay live meanwhile."""

    # The efficient price and the signal
    initial_price: float = 10_000.0
    """[ticks] Efficient price at the start of the warm-up."""
    tick_size: float = 0.01
    """[currency] Value of one tick; nothing in the simulation depends on it."""
    volatility: float = 0.6
    """[ticks / sqrt(s)] Volatility of the efficient price that no signal predicts."""
    signal_drift: float = 0.09
    """[ticks / s] Drift of the efficient price per unit of the signal, which has unit variance."""
    signal_half_life: float = 20.0
    """[s] Half-life of the latent signal."""
    value_interval: float = 1.0
    """[s] Lattice on which the efficient price and the signal move, by exact transitions."""

    # Takers
    taker_rate: float = 1.0
    """[1/s] Arrival rate of takers of all kinds."""
    p_informed: float = 0.0
    """Share of takers that are informed, in [0, 1]; in `mixed` the upper end of what an episode
    draws."""
    informed_kind: InformedName = "signal"
    """What informed takers are: `signal` (they act on the signal), `naive` (only labelled so) or
    `decoy` (they act in just the same way on a second signal of the same law that predicts
    nothing)."""
    signal_threshold: float = 1.0
    """[standard deviations] Informed takers stay away while the signal is no larger than this."""
    informed_price_limit: bool = True
    """Informed takers refuse prices beyond efficient price plus expected move; False: they take
    any."""
    imbalance: float = 0.0
    """Hidden side bias of uninformed takers in [0, 1]: the favoured side has (1 + imbalance) / 2 of
    them."""
    imbalance_flip_rate: float = 0.005
    """[1/s] Rate at which the favoured side flips."""
    taker_tolerance: float = 3.0
    """[ticks] Mean of the exponential distance beyond the mid that an uninformed taker accepts; may
    be `inf`."""
    taker_size: float = 1.0
    """[lots] Mean of the geometric size of an order to take, at least 1."""
    naive_taker_size: float = 3.0
    """[lots] The same for naive informed takers."""

    # Background makers
    makers: MakersName = "anchored"
    """`anchored` to the efficient price, `none`: the dealer market, whose mid is the efficient
    price, or `zero_intelligence`: orders come and go by their distance from the opposite best, and
    the book makes the price."""
    maker_rate: float = 2.2
    """[1/s] Arrival rate of anchored background orders on each side."""
    maker_cancel_rate: float = 0.3
    """[1/s] Cancellation rate of each anchored background order."""
    maker_depth: float = 3.0
    """[ticks] Mean of the exponential depth of anchored background orders behind the efficient
    price."""
    maker_size: float = 1.0
    """[lots] Mean of the geometric size of background orders, at least 1."""
    limit_order_rates: tuple[float, ...] = ()
    """[1/s] Of zero intelligence: arrival rates of limit orders on each side at 1, 2, ... ticks
    from the opposite best quote; none arrive further away."""
    cancel_rates: tuple[float, ...] = ()
    """[1/s] Of zero intelligence: cancellation rates of each order at 1, 2, ... ticks from the
    opposite best quote; the last one holds at all larger distances."""
    sniping: bool = False
    """Whether the agent's quotes are taken at once when the efficient price crosses them."""

    # The agent
    quote_size: int = 1
    """[lots] Size of each quote."""
    max_inventory: int = 50
    """[lots] A side that could take the position beyond this is not quoted."""
    max_offset: float = 15.0
    """[ticks] Largest offset of a quote from the public mid: what an action of +1 means. An action
    of 0 means an eighth of it."""
    requote_threshold: float = 0.3
    """[ticks] A resting quote keeps its place if it is within half a tick plus this of where a new
    one would go."""
    maker_fee: float = 0.0
    """[ticks] Fee for each lot the agent trades; negative for a rebate."""
    close_out_cost: float = 1.0
    """[ticks] Price of settling each lot held at the close."""
    close_out_impact: float = 0.0
    """[ticks / lot] Price of settling the squared inventory at the close."""

    # The reward
    reward: RewardName = "inventory_penalty"
    """`pnl`, `inventory_penalty`, `dampened` (Spooner's asymmetric) or `cara`."""
    reward_scale: float = 0.1
    """[1 / (ticks x lots)] What rewards are multiplied by, so that they are of order one a
    decision."""
    inventory_penalty: float = 0.001
    """[ticks / (lot s)] Running price of squared inventory in the objective."""
    dampening: float = 0.5
    """Share of inventory gains that the `dampened` reward takes away, in [0, 1]."""
    risk_aversion: float = 0.001
    """[1 / (ticks x lots)] Absolute risk aversion of the `cara` reward."""

    def __post_init__(self) -> None:
        _check(self)

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
        """[s] Half-lives of the fast, medium and slow columns of recent flow and of recent moves of
        the mid."""
        return tuple(
            half_life * max(1.0, self.decision_interval) for half_life in FEATURE_HALF_LIVES
        )

    @property
    def volatility_half_life(self) -> float:
        """[s] Half-life of the volatility column."""
        return VOLATILITY_HALF_LIFE * max(1.0, self.decision_interval)

    @property
    def signal_decay_rate(self) -> float:
        """[1/s] kappa = ln 2 / half-life."""
        return math.log(2.0) / self.signal_half_life

    @property
    def edge_per_signal(self) -> float:
        """[ticks] Expected move still to come, beta / kappa, per unit of the signal."""
        return self.signal_drift / self.signal_decay_rate

    def foreseen_price(
        self, efficient_price: npt.NDArray[np.float64], signal: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """[ticks] F = V + edge s, what the asset is worth to one who sees the signal; shapes (n,),
        or any other.

        A martingale, since the signal's decay takes from the edge what the drift adds to V. (With
        the makers `zero_intelligence` the book makes V, and it is none.)
        """
        return efficient_price + self.edge_per_signal * signal

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return dataclasses.asdict(self)


def by_distance(rates: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Rates at the distances 1, 2, ... `MAKER_DISTANCES` [ticks]. The last rate holds for all larger distances."""
    return np.array(rates)[np.minimum(np.arange(MAKER_DISTANCES), len(rates) - 1)]


FIELD_NAMES = tuple(field.name for field in fields(MarketConfig))


def configure(regime: str = "noise", **overrides: Any) -> MarketConfig:
    """The configuration of a regime, with some fields overridden.

    Args:
        regime: a key of `mm_gym.REGIMES`.
        **overrides: any field of `MarketConfig`.

    Raises:
        UnknownKeywordError: for a keyword that is no field (naming the nearest); a `TypeError`.
        ConfigurationError: for an unknown regime (naming the nearest), or a value out of range.
    """
    if not isinstance(regime, str) or regime not in REGIMES:
        raise ConfigurationError(
            f"regime {regime!r} is unknown; {nearest(str(regime), REGIMES)} (regimes: {', '.join(REGIMES)})"
        )
    for name in overrides:
        if name not in FIELD_NAMES:
            raise UnknownKeywordError(
                f"configure() got an unexpected keyword argument {name!r}: expected a field of MarketConfig; "
                f"{nearest(name, FIELD_NAMES)}"
            )
    return MarketConfig(**{"regime": regime, **REGIMES[regime], **overrides})


def nearest(name: str, known: Any) -> str:
    """A sentence's end that names what was probably meant."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if matches:
        return f"did you mean {matches[0]!r}?"
    return f"known are {', '.join(sorted(known))}"


# Field: lowest and highest value, and whether the ends themselves are allowed.
_RANGES: dict[str, tuple[float, float, bool]] = {
    "decision_interval": (_SHORTEST_INTERVAL, 1e6, True),
    "session_steps": (1, 10**9, True),
    "warm_up": (0.0, 1e6, True),
    "latency": (0.0, 1e6, True),
    "initial_price": (-_LIMITS_OF_A_NUMBER, _LIMITS_OF_A_NUMBER, True),
    "tick_size": (0.0, _LIMITS_OF_A_NUMBER, False),
    "volatility": (0.0, 1e6, True),
    "signal_drift": (0.0, 1e6, True),
    "signal_half_life": (_SHORTEST_INTERVAL, _LIMITS_OF_A_NUMBER, True),
    "value_interval": (_SHORTEST_INTERVAL, 1e6, True),
    "taker_rate": (0.0, 1e6, True),
    "p_informed": (0.0, 1.0, True),
    "signal_threshold": (0.0, 100.0, True),
    "imbalance": (0.0, 1.0, True),
    "imbalance_flip_rate": (0.0, 1e6, True),
    "taker_tolerance": (0.0, math.inf, True),
    "taker_size": (1.0, 1e6, True),
    "naive_taker_size": (1.0, 1e6, True),
    "maker_rate": (0.0, 1e6, True),
    "maker_cancel_rate": (0.0, 1e6, False),
    "maker_depth": (0.0, 1e6, True),
    "maker_size": (1.0, 1e6, True),
    "quote_size": (1, 10**6, True),
    "max_inventory": (1, 10**9, True),
    "max_offset": (0.0, 1e6, False),
    "requote_threshold": (0.0, 1e6, True),
    "maker_fee": (-1e6, 1e6, True),
    "close_out_cost": (0.0, 1e6, True),
    "close_out_impact": (0.0, 1e6, True),
    "reward_scale": (0.0, 1e6, False),
    "inventory_penalty": (0.0, 1e6, True),
    "dampening": (0.0, 1.0, True),
    "risk_aversion": (0.0, 1e6, False),
}
_CHOICES = {
    "informed_kind": get_args(InformedName),
    "makers": get_args(MakersName),
    "reward": get_args(RewardName),
}
_WHOLE = {"session_steps", "quote_size", "max_inventory"}
_SWITCHES = {"informed_price_limit", "sniping"}
_BY_DISTANCE = ("limit_order_rates", "cancel_rates")


_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(MarketConfig)}


def _check(config: MarketConfig) -> None:
    """Put every field into its type and check its range, then check what fields say together."""
    if not isinstance(config.regime, str) or config.regime not in REGIMES:
        raise ConfigurationError(
            f"regime {config.regime!r} is unknown; {nearest(str(config.regime), REGIMES)}"
        )
    for name, choices in _CHOICES.items():
        value = getattr(config, name)
        if value not in choices:
            raise ConfigurationError(
                f"{name}={value!r} is not offered; write one of {', '.join(map(repr, choices))}"
            )
    for name in _SWITCHES:
        value = getattr(config, name)
        if not isinstance(value, (bool, np.bool_)):
            raise ConfigurationError(f"{name}={value!r} is not a switch; write True or False")
        object.__setattr__(config, name, bool(value))
    for name in _BY_DISTANCE:
        object.__setattr__(config, name, _rates(name, getattr(config, name)))
    for name, (low, high, closed) in _RANGES.items():
        object.__setattr__(config, name, _number(name, getattr(config, name), low, high, closed))
    _check_together(config)


def _number(name: str, value: Any, low: float, high: float, closed: bool) -> float | int:
    whole = name in _WHOLE
    kind = "a whole number" if whole else "a number"
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise ConfigurationError(
            f"{name}={value!r} is not {kind}; write one, such as {name}={_DEFAULTS[name]:g}"
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.nan  # an integer too long for a float is in no range
    inside = low <= number <= high if closed else low < number <= high
    if not inside or (whole and number != int(number)):
        bound = "from" if closed else "above"
        raise ConfigurationError(
            f"{name}={value!r} is out of range; write {kind} {bound} {low:g} to {high:g}"
        )
    return int(number) if whole else number


def _rates(name: str, value: Any) -> tuple[float, ...]:
    """Rates by distance, as a tuple: JSON has them as a list."""
    wanted = f"write {name}=(...) with up to {MAKER_DISTANCES} rates a second, by distance from the opposite best"
    if not isinstance(value, (tuple, list, np.ndarray)):
        raise ConfigurationError(f"{name}={value!r} is no sequence of rates; {wanted}")
    if len(value) > MAKER_DISTANCES:
        raise ConfigurationError(
            f"{name} came with {len(value)} rates, more than {MAKER_DISTANCES}; {wanted}"
        )
    try:
        rates = tuple(float(rate) for rate in value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name}={value!r} is no sequence of rates; {wanted}") from None
    if not all(0.0 <= rate <= 1e6 for rate in rates):
        raise ConfigurationError(
            f"{name}={value!r} has a rate that is out of range; write numbers from 0 to 1e+06"
        )
    return rates


def _check_together(config: MarketConfig) -> None:
    _check_flow(config)
    _check_makers(config)
    if config.latency > (QUOTES_IN_FLIGHT - 1) * config.decision_interval:
        raise ConfigurationError(
            f"latency={config.latency:g} s would have more than {QUOTES_IN_FLIGHT} quotes under way at decisions "
            f"every {config.decision_interval:g} s; write a latency of at most "
            f"{(QUOTES_IN_FLIGHT - 1) * config.decision_interval:g}"
        )


def _check_flow(config: MarketConfig) -> None:
    if config.regime in ("noise", "imbalanced") and config.p_informed > 0.0:
        raise ConfigurationError(
            f"p_informed={config.p_informed:g} contradicts regime {config.regime!r}, which has no informed "
            "takers; write regime='informed'"
        )
    if config.regime == "noise" and config.imbalance > 0.0:
        raise ConfigurationError(
            f"imbalance={config.imbalance:g} contradicts regime 'noise', which is symmetric; write regime='imbalanced'"
        )
    kinds = {"naive_informed": "naive", "mixed": "signal"}
    wanted = kinds.get(config.regime, config.informed_kind)
    if config.informed_kind != wanted:
        raise ConfigurationError(
            f"informed_kind={config.informed_kind!r} contradicts regime {config.regime!r}, which sets it to "
            f"{wanted!r}; write regime='informed'"
        )


def _check_makers(config: MarketConfig) -> None:
    if config.makers == "zero_intelligence":
        for name in _BY_DISTANCE:
            if sum(getattr(config, name)) == 0.0:
                raise ConfigurationError(
                    f"makers='zero_intelligence' came without {name}; write regime='zero_intelligence', which has "
                    "those of Cont, Stoikov and Talreja, or give the rates by distance from the opposite best"
                )
        for name in ("p_informed", "signal_drift"):
            if getattr(config, name) > 0.0:
                raise ConfigurationError(
                    f"{name}={getattr(config, name):g} contradicts makers='zero_intelligence', among whom there is no "
                    f"value to know of; write {name}=0"
                )
        arrivals = np.array(config.limit_order_rates)
        with np.errstate(divide="ignore", invalid="ignore"):
            resting = float(np.nansum(arrivals / by_distance(config.cancel_rates)[: len(arrivals)]))
        what = "limit_order_rates with cancel_rates"
    elif config.makers == "anchored":
        resting = config.maker_rate / config.maker_cancel_rate
        what = (
            f"maker_rate={config.maker_rate:g} with maker_cancel_rate={config.maker_cancel_rate:g}"
        )
    else:
        return
    if resting > MARKET_ORDERS / 4:
        raise ConfigurationError(
            f"{what} keeps about {resting:.0f} orders a side in a book with room for {MARKET_ORDERS // 2}; write a "
            f"ratio of arrivals to cancellations of at most {MARKET_ORDERS // 4}"
        )
