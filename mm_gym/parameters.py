"""The parameters of the compiled core, computed from a configuration.

They form one record of `layout.PARAMETERS`. Whatever is constant in a session is computed here, so
that no event computes it again: the transition of price and signal over one step of the time grid,
and the scales of the observation's columns. `book_room` chooses the size of the book.
"""

import math
from typing import Any, cast

import numpy as np

from mm_gym.config import MarketConfig
from mm_gym.core.layout import (
    BOOK_ROOMS,
    MAKER_DISTANCES,
    MAKER_GAPS,
    PARAMETERS,
    QUOTES_IN_FLIGHT,
    InformedKind,
    LatencyKind,
    Makers,
    RewardKind,
)
from mm_gym.core.scales import MARKET_COLUMNS, tabulated_actions
from mm_gym.errors import ConfigurationError
from mm_gym.market_size import by_distance, most_resting, resting_orders
from mm_gym.recordings import feature_deviations, open_recording

_SPREAD_UNITS = 4.0  # units of the spread column in a spread of max_offset
_QUEUE_UNIT = 2.0  # largest number of mean background orders in one unit of the queue columns
_SMALLEST_QUEUE_UNIT = 0.5
_USUALLY_ACCEPTING = 0.43  # exp(-15 / 6 / 3), with the defaults of max_offset and taker_tolerance
_VOLATILITY_UNITS = 5.0  # units of the volatility column in the configured volatility


def to_parameters(config: MarketConfig) -> np.ndarray[Any, Any]:
    """The parameters of a configuration, as an array of shape () and type `layout.PARAMETERS`."""
    parameters = np.zeros((), dtype=PARAMETERS)
    for name, value in config.to_dict().items():
        if name in cast(tuple[str, ...], PARAMETERS.names) and isinstance(
            value, (bool, int, float)
        ):
            parameters[name] = value
    _set_fees(config, parameters)
    _set_latencies(config, parameters)
    n = parameters["n_clustering"] = len(config.clustering)
    parameters["base_rate"] = config.taker_rate * (1.0 - sum(config.clustering))
    parameters["clustering"][:n] = config.clustering
    parameters["clustering_decay"][:n] = math.log(2.0) / np.array(config.clustering_half_lives)
    rate, cancel_rate = config.maker_rate, config.maker_cancel_rate
    if config.makers == "zero_intelligence":
        rate, cancel_rate = _tabulate_distances(config, parameters)
    parameters["maker_lifetime"] = 1.0 / cancel_rate
    parameters["maker_balance"] = 2.0 * rate / cancel_rate
    with np.errstate(divide="ignore"):
        parameters["maker_gap"] = 1.0 / (2.0 * rate + cancel_rate * np.arange(MAKER_GAPS))
    for name, value in value_coefficients(
        config.signal_decay_rate, config.signal_drift, config.volatility, config.value_interval
    ).items():
        parameters[name] = value
    parameters["warm_up_steps"] = round(config.warm_up / config.decision_interval)
    parameters["edge_per_signal"] = config.edge_per_signal
    parameters["informed_kind"] = InformedKind[config.informed_kind.upper()]
    parameters["mixed"] = config.mixed
    parameters["makers"] = Makers[config.makers.upper()]
    parameters["reward"] = RewardKind[config.reward.upper()]
    parameters["taker_size_scale"] = _size_scale(config.taker_size)
    parameters["naive_size_scale"] = _size_scale(config.naive_taker_size)
    parameters["taker_size_miss"] = 1.0 - 1.0 / config.taker_size
    parameters["naive_size_miss"] = 1.0 - 1.0 / config.naive_taker_size
    parameters["maker_size_scale"] = _size_scale(config.maker_size)
    parameters["actions"] = tabulated_actions(config.max_offset)
    _scale_features(config, parameters)
    if config.makers == "recorded":
        _fit_recording(config, parameters)
    return parameters


def book_room(config: MarketConfig) -> tuple[int, int]:
    """Levels a side and orders in the book of a market: the smallest class with enough room.

    The core is compiled anew for each class of `layout.BOOK_ROOMS`.
    """
    if config.makers == "recorded":
        return BOOK_ROOMS[0]  # it holds the touch and the levels of the agent
    resting = resting_orders(vars(config))
    return next(room for room in BOOK_ROOMS if resting <= most_resting(room[1]))


def value_coefficients(kappa: float, beta: float, sigma: float, dt: float) -> dict[str, float]:
    """Coefficients of the exact joint transition of the signal s and the efficient price V.

    The processes are ds = -kappa s dt + sqrt(2 kappa) dB and dV = beta s dt + sigma dW. With
    a = exp(-kappa dt) and the integral I of s over dt:

        E[I] = s (1 - a) / kappa
        Cov(I, s') = (1 - a)^2 / kappa
        Var(I) = (2 kappa dt - 3 + 4 a - a^2) / kappa^2

    Args:
        kappa: decay rate of the signal [1/s].
        beta: drift of V per unit of the signal [ticks / s].
        sigma: volatility of V [ticks / sqrt(s)].
        dt: length of the step [s].

    Returns:
        The fields `signal_decay`, `signal_noise`, `value_per_signal`, `value_signal_noise` and
        `value_own_noise` of `layout.PARAMETERS`.
    """
    x = kappa * dt
    decay = math.exp(-x)
    lost = -math.expm1(-x)
    signal_noise = math.sqrt(-math.expm1(-2.0 * x))
    # For small x the terms of Var(I) cancel and rounding errors remain, so its series is used.
    variance = (
        2.0 * x**3 / 3.0 - x**4 / 2.0 if x < 1e-3 else 2.0 * x - 3.0 + 4.0 * decay - decay * decay
    ) / kappa**2
    shared = lost * lost / kappa / signal_noise
    own = beta * beta * max(0.0, variance - shared * shared) + sigma * sigma * dt
    return {
        "signal_decay": decay,
        "signal_noise": signal_noise,
        "value_per_signal": beta * lost / kappa,
        "value_signal_noise": beta * shared,
        "value_own_noise": math.sqrt(own),
    }


def _size_scale(mean_size: float) -> float:
    """The argument of `core.random.geometric_size` for sizes of this mean [lots]."""
    return -1.0 / math.log1p(-1.0 / mean_size) if mean_size > 1.0 else 0.0


def _set_fees(config: MarketConfig, parameters: np.ndarray[Any, Any]) -> None:
    """Set the fees [ticks per lot], or as shares of the price."""
    scale = 1.0 / config.tick_size if config.fee_unit == "currency" else 1.0
    parameters["fee_of_notional"] = config.fee_unit == "notional"
    parameters["maker_fee"] = config.maker_fee * scale
    parameters["taker_fee"] = config.taker_fee * scale
    n_tiers = len(config.fee_tier_lots)
    parameters["n_fee_tiers"] = n_tiers
    parameters["fee_tier_lots"][:n_tiers] = config.fee_tier_lots
    parameters["fee_tier_fees"][:n_tiers] = np.array(config.fee_tier_fees) * scale


def _set_latencies(config: MarketConfig, parameters: np.ndarray[Any, Any]) -> None:
    """Set how long messages of the agent take."""
    separate = config.cancel_latency is not None or len(config.cancel_latency_samples) > 0
    parameters["separate_cancels"] = separate
    parameters["delayed"] = separate or config.mean_latency > 0.0
    parameters["latency_kind"] = LatencyKind[config.latency_kind.upper()]
    parameters["cancel_latency"] = config.cancel_latency or 0.0
    parameters["longest_latency"] = (QUOTES_IN_FLIGHT - 1) * config.decision_interval
    for name in ("latency_samples", "cancel_latency_samples"):
        samples = getattr(config, name)
        parameters[name][: len(samples)] = samples
        parameters[f"n_{name}"] = len(samples)


def _tabulate_distances(
    config: MarketConfig, parameters: np.ndarray[Any, Any]
) -> tuple[float, float]:
    """Set the shares by distance of zero intelligence.

    Shares of arrivals are cumulative. Shares of cancellations are relative to the largest rate.

    Returns:
        The arrival rate on each side, and the largest cancellation rate [1/s].
    """
    arrivals = np.zeros(MAKER_DISTANCES)
    arrivals[: len(config.limit_order_rates)] = config.limit_order_rates
    cancels = by_distance(config.cancel_rates)
    parameters["limit_order_share"] = np.cumsum(arrivals) / arrivals.sum()
    # Uniform draws are below 1, so the last cumulative share has to be exactly 1.
    parameters["limit_order_share"][len(config.limit_order_rates) - 1 :] = 1.0
    parameters["cancel_share"] = cancels / cancels.max()
    return float(arrivals.sum()), float(cancels.max())


def market_column_unit(config: MarketConfig) -> float:
    """Typical standard deviation of the columns that describe the market, as the core scales them.

    Without anchored makers these columns vary less, so the unit is 1.
    """
    return MARKET_COLUMNS if config.makers in ("anchored", "recorded") else 1.0


def _fit_recording(config: MarketConfig, parameters: np.ndarray[Any, Any]) -> None:
    """Set when sessions of recorded data may start, and the scales of the recorded features.

    Raises:
        ConfigurationError: if the chosen part of the recording is shorter than a session.
    """
    recording = open_recording(config.data)
    first, last = recording.span
    begin, end = (first + share * (last - first) for share in (config.data_start, config.data_end))
    warm_up = int(parameters["warm_up_steps"]) * config.decision_interval
    earliest, latest = begin + 1e9 * warm_up, end - 1e9 * config.session_length
    if earliest > latest:
        raise ConfigurationError(
            f"{recording.name} is too short: expected at least {warm_up + config.session_length:g} "
            f"s from data_start to data_end for the warm-up and a session, "
            f"got {(end - begin) / 1e9:.1f} s (lower session_steps or warm_up)"
        )
    parameters["earliest_start"], parameters["latest_start"] = round(earliest), round(latest)
    parameters["recording"] = recording.digest
    parameters["queue_scale"] /= config.lot_size
    unit = market_column_unit(config)
    deviations = feature_deviations(
        config.data,
        config.decision_interval,
        config.feature_half_lives,
        config.volatility_half_life,
        config.lot_size,
    )
    for name, column in (
        ("flow_scale", "flow"),
        ("move_scale", "move"),
        ("activity_scale", "activity"),
        ("spread_scale", "spread"),
        ("volatility_scale", "volatility"),
    ):
        deviation = np.asarray(deviations[column])
        measured = np.isfinite(deviation) & (deviation > 0.0)
        scale = unit / np.where(measured, deviation, 1.0)
        parameters[name] = np.where(measured, scale, parameters[name])
    if math.isfinite(deviations["activity_mean"]):
        parameters["activity_mean"] = deviations["activity_mean"]


def _accepting(distance: float, tolerance: float) -> float:
    """Share of uninformed takers who accept a price at this distance from the mid [ticks]."""
    return math.exp(-distance / tolerance) if tolerance > 0.0 else 0.0


def _scale_features(config: MarketConfig, parameters: np.ndarray[Any, Any]) -> None:
    """Set the scales of the observation's columns.

    A scale is `market_column_unit` over the standard deviation in noise flow, where that is known.
    """
    lots = config.taker_size
    unit = market_column_unit(config)
    bounce, queue, trading = 1.0, _QUEUE_UNIT, 1.0
    if config.makers == "anchored":
        # [ticks] The mid of a shallow book follows the efficient price closely.
        bounce = min(bounce, config.maker_depth)
        # Orders per tick next to the efficient price: in a sparse book, one order is a queue.
        density = config.maker_rate / (config.maker_cancel_rate * max(config.maker_depth, 1e-9))
        queue = min(queue, max(_SMALLEST_QUEUE_UNIT, density))
        # Share of takers who accept a price close to the touch, relative to the default market.
        trading = min(
            1.0, _accepting(config.max_offset / 6.0, config.taker_tolerance) / _USUALLY_ACCEPTING
        )
    for index, half_life in enumerate(config.feature_half_lives):
        time_constant = half_life / math.log(2.0)
        parameters["feature_decay"][index] = 0.5 ** (config.decision_interval / half_life)
        arrivals = max(1.0, trading * config.taker_rate * time_constant / 2.0)
        parameters["flow_scale"][index] = unit / (lots * math.sqrt(arrivals))
        typical_move = config.volatility * math.sqrt(time_constant / 2.0)
        # Both are zero if all orders rest at a price that does not move. A mid moves in half ticks.
        parameters["move_scale"][index] = unit / (max(bounce, typical_move) or 0.5)
    parameters["activity_mean"] = (
        lots * config.taker_rate * config.feature_half_lives[1] / math.log(2.0)
    )
    parameters["activity_scale"] = parameters["flow_scale"][1]
    parameters["spread_scale"] = unit * _SPREAD_UNITS / config.max_offset
    parameters["queue_scale"] = 1.0 / (queue * config.maker_size)
    parameters["volatility_decay"] = 0.5 ** (config.decision_interval / config.volatility_half_life)
    parameters["volatility_scale"] = unit * _VOLATILITY_UNITS / max(config.volatility, 1e-9)
