"""A configuration as the numbers that steer the core: one record of `layout.PARAMETERS`.

What can be reckoned once is reckoned here, and not at every event: transitions of the price and its
signal over one interval, mean times between events, scales of the observation's columns.
"""

import math
from typing import Any, cast

import numpy as np

from mm_gym.config import MarketConfig, by_distance
from mm_gym.core.layout import (
    MAKER_DISTANCES,
    MARKET_ORDERS,
    PARAMETERS,
    InformedKind,
    Makers,
    RewardKind,
)

_SPREAD_UNITS = 4.0  # to max_offset: one is twice the offset that an action of 0 asks for
_QUEUE_UNIT = 2.0  # mean background orders
_VOLATILITY_UNITS = 5.0  # to the configured volatility


def to_parameters(config: MarketConfig) -> np.ndarray[Any, Any]:
    """The configuration as an array of shape () of `layout.PARAMETERS`."""
    parameters = np.zeros((), dtype=PARAMETERS)
    for name, value in config.to_dict().items():
        if name in cast(tuple[str, ...], PARAMETERS.names) and not isinstance(value, str):
            parameters[name] = value
    if config.makers == "zero_intelligence":
        _tabulate_distances(config, parameters)
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
    parameters["taker_size_log_miss"] = _log_miss(config.taker_size)
    parameters["naive_size_log_miss"] = _log_miss(config.naive_taker_size)
    parameters["taker_size_miss"] = 1.0 - 1.0 / config.taker_size
    parameters["naive_size_miss"] = 1.0 - 1.0 / config.naive_taker_size
    parameters["maker_size_log_miss"] = _log_miss(config.maker_size)
    with np.errstate(divide="ignore"):
        parameters["maker_gap"] = 1.0 / (
            2.0 * parameters["maker_rate"]
            + parameters["maker_cancel_rate"] * np.arange(MARKET_ORDERS + 1)
        )
    _scale_features(config, parameters)
    return parameters


def value_coefficients(kappa: float, beta: float, sigma: float, dt: float) -> dict[str, float]:
    """Exact joint transition of (s, V) over `dt` for ds = -kappa s dt + sqrt(2 kappa) dB, dV = beta
    s dt + sigma dW.

    With a = exp(-kappa dt) and I the integral of s: E[I] = s (1 - a)/kappa, Cov(I, s') = (1 - a)^2
    / kappa, Var I = (2 kappa dt - 3 + 4 a - a^2) / kappa^2.
    """
    x = kappa * dt
    decay = math.exp(-x)
    lost = -math.expm1(-x)
    signal_noise = math.sqrt(-math.expm1(-2.0 * x))
    # For small x the closed form of Var I cancels to noise; its series starts at (2/3) x^3.
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


def _log_miss(mean_size: float) -> float:
    return math.log1p(-1.0 / mean_size) if mean_size > 1.0 else -math.inf


def _tabulate_distances(config: MarketConfig, parameters: np.ndarray[Any, Any]) -> None:
    """Total rates, and by distance their shares: cumulative for arrivals, of the largest rate for
    cancellations."""
    arrivals = np.zeros(MAKER_DISTANCES)
    arrivals[: len(config.limit_order_rates)] = config.limit_order_rates
    cancels = by_distance(config.cancel_rates)
    parameters["maker_rate"] = arrivals.sum()
    parameters["maker_cancel_rate"] = cancels.max()
    parameters["limit_order_share"] = np.cumsum(arrivals) / arrivals.sum()
    # The last share that is reached has to be one, whatever rounding says: draws are below one.
    parameters["limit_order_share"][len(config.limit_order_rates) - 1 :] = 1.0
    parameters["cancel_share"] = cancels / cancels.max()


def _scale_features(config: MarketConfig, parameters: np.ndarray[Any, Any]) -> None:
    """Fixed scales that bring each column to about one: its standard deviation in noise flow, where
    it is known."""
    lots = config.taker_size
    for index, half_life in enumerate(config.feature_half_lives):
        memory = half_life / math.log(2.0)
        parameters["feature_decay"][index] = 0.5 ** (config.decision_interval / half_life)
        arrivals = max(1.0, config.taker_rate * memory / 2.0)
        parameters["flow_scale"][index] = 1.0 / (lots * math.sqrt(arrivals))
        typical_move = config.volatility * math.sqrt(memory / 2.0)
        parameters["move_scale"][index] = 1.0 / max(1.0, typical_move)
    parameters["activity_mean"] = (
        lots * config.taker_rate * config.feature_half_lives[1] / math.log(2.0)
    )
    parameters["activity_scale"] = parameters["flow_scale"][1]
    parameters["spread_scale"] = _SPREAD_UNITS / config.max_offset
    parameters["queue_scale"] = 1.0 / (_QUEUE_UNIT * config.maker_size)
    parameters["volatility_decay"] = 0.5 ** (config.decision_interval / config.volatility_half_life)
    parameters["volatility_scale"] = _VOLATILITY_UNITS / max(config.volatility, 1e-9)
