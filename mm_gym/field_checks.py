"""The type and the range of each field of a configuration.

`config_checks` refuses combinations of fields that are in range one by one.
"""

import math
import os
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from mm_gym.core.layout import (
    CLUSTERING_KERNELS,
    FEE_TIERS,
    LARGEST_PRICE,
    LATENCY_SAMPLES,
    MAKER_DISTANCES,
)
from mm_gym.errors import ConfigurationError, nearest
from mm_gym.regimes import REGIMES, REPLAY

RewardName = Literal["pnl", "inventory_penalty", "dampened", "cara"]
MakersName = Literal["anchored", "none", "zero_intelligence", "recorded"]
InformedName = Literal["signal", "naive", "decoy"]
LatencyName = Literal["constant", "exponential", "empirical"]
FeeUnitName = Literal["ticks", "currency", "notional"]

SHORTEST_INTERVAL = 1e-6  # [s]
RATES_BY_DISTANCE = ("limit_order_rates", "cancel_rates")
_LARGEST_NUMBER = 1e12
_LARGEST_RATE = 1e6  # [1/s]
_SMALLEST_NUMBER = 1e-12  # anything nearer to 0 means 0, and its reciprocal may overflow

# Field: lowest value, highest value, whether the lowest value itself is allowed.
RANGES: dict[str, tuple[float, float, bool]] = {
    "decision_interval": (SHORTEST_INTERVAL, 1e6, True),
    "session_steps": (1, 10**9, True),
    "warm_up": (0.0, 1e6, True),
    "latency": (0.0, 1e6, True),
    "cancel_latency": (0.0, 1e6, True),
    "initial_price": (-0.5 * LARGEST_PRICE, 0.5 * LARGEST_PRICE, True),
    "tick_size": (0.0, _LARGEST_NUMBER, False),
    "volatility": (0.0, 1e6, True),
    "signal_drift": (0.0, 1e5, True),
    "signal_half_life": (SHORTEST_INTERVAL, _LARGEST_NUMBER, True),
    "value_interval": (SHORTEST_INTERVAL, 1e6, True),
    "taker_rate": (0.0, _LARGEST_RATE, True),
    "p_informed": (0.0, 1.0, True),
    "signal_threshold": (0.0, 100.0, True),
    "imbalance": (0.0, 1.0, True),
    "imbalance_flip_rate": (0.0, _LARGEST_RATE, True),
    "longest_metaorder": (1, 10**5, True),
    "metaorder_exponent": (0.01, 100.0, True),
    "taker_tolerance": (0.0, math.inf, True),
    "taker_size": (1.0, 1e6, True),
    "naive_taker_size": (1.0, 1e6, True),
    "maker_rate": (0.0, _LARGEST_RATE, True),
    "maker_cancel_rate": (0.0, _LARGEST_RATE, False),
    "maker_depth": (0.0, 1e6, True),
    "maker_size": (1.0, 1e6, True),
    "data_start": (0.0, 1.0, True),
    "data_end": (0.0, 1.0, False),
    "lot_size": (1, 10**9, True),
    "quote_size": (1, 10**6, True),
    "max_inventory": (1, 10**9, True),
    "max_offset": (0.0, 1e6, False),
    "requote_threshold": (0.0, 1e6, True),
    "maker_fee": (-1e6, 1e6, True),
    "taker_fee": (-1e6, 1e6, True),
    "close_out_cost": (0.0, 1e6, True),
    "close_out_impact": (0.0, 1e6, True),
    "reward_scale": (0.0, 1e6, False),
    "inventory_penalty": (0.0, 1e6, True),
    "dampening": (0.0, 1.0, True),
    "risk_aversion": (0.0, 1e6, False),
}
_WHOLE = ("session_steps", "longest_metaorder", "lot_size", "quote_size", "max_inventory")
_CHOICES = {
    "informed_kind": get_args(InformedName),
    "latency_kind": get_args(LatencyName),
    "fee_unit": get_args(FeeUnitName),
    "makers": get_args(MakersName),
    "reward": get_args(RewardName),
}
_SWITCHES = ("informed_price_limit", "refill", "sniping")
# Field: largest number of elements, what they are, one of them, and the largest value of one.
_SEQUENCES = {
    **dict.fromkeys(
        RATES_BY_DISTANCE,
        (MAKER_DISTANCES, "rates [1/s], one for each distance [ticks]", "rate", _LARGEST_RATE),
    ),
    "clustering": (
        CLUSTERING_KERNELS,
        "branching ratios, one for each element of clustering_half_lives",
        "branching ratio",
        1.0,
    ),
    "clustering_half_lives": (
        CLUSTERING_KERNELS,
        "half-lives [s], one for each element of clustering",
        "half-life",
        1e6,
    ),
    **dict.fromkeys(
        ("latency_samples", "cancel_latency_samples"),
        (LATENCY_SAMPLES, "latencies [s]", "latency", 1e6),
    ),
    "fee_tier_lots": (FEE_TIERS, "volumes [lots]", "volume", _LARGEST_NUMBER),
    "fee_tier_fees": (FEE_TIERS, "fees", "fee", 1e6),
}
_SIGNED = ("fee_tier_fees",)


def convert_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration, each converted to its type.

    Args:
        fields: a value for every field of `MarketConfig`.

    Raises:
        ConfigurationError: if a field has a wrong type or is out of its range.
    """
    converted = dict(fields)
    check_regime(fields["regime"])
    for name, choices in _CHOICES.items():
        _check_choice(name, fields[name], choices)
    for name in _SWITCHES:
        converted[name] = _switch(name, fields[name])
    for name in _SEQUENCES:
        converted[name] = _sequence(name, fields[name])
    for name in RANGES:
        if fields[name] is not None or name != "cancel_latency":
            converted[name] = _number(name, fields[name])
    converted["data"] = _path(fields["data"])
    return converted


def check_regime(regime: Any) -> None:
    """Check the name of a regime.

    Raises:
        ConfigurationError: if the regime is unknown. The message names the nearest one.
    """
    if not isinstance(regime, str) or regime not in (*REGIMES, REPLAY):
        raise ConfigurationError(
            f"regime {regime!r} is unknown: expected a key of mm_gym.REGIMES, got {regime!r}; "
            f"{nearest(str(regime), (*REGIMES, REPLAY))}"
        )


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ConfigurationError(
            f"{name}={value!r} is not offered: expected one of {', '.join(map(repr, choices))}, "
            f"got {value!r}"
        )


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigurationError(
            f"{name}={value!r} is not a switch: expected True or False, got {value!r}"
        )
    return bool(value)


def _is_number(value: Any) -> bool:
    # A bool is an int for Python, but `latency=True` is a mistake.
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _number(name: str, value: Any) -> float | int:
    low, high, closed = RANGES[name]
    whole = name in _WHOLE
    kind = "a whole number" if whole else "a number"
    span = f"from {low:g} to {high:g}" if closed else f"above {low:g} and up to {high:g}"
    expected = f"expected {kind} {span}, got {value!r}"
    if not _is_number(value):
        raise ConfigurationError(f"{name}={value!r} is not {kind}: {expected}")
    try:
        number = float(value)
    except OverflowError:
        number = math.nan  # an integer too large for a float is outside every range
    inside = low <= number <= high if closed else low < number <= high
    if not inside or (whole and number != int(number)):
        raise ConfigurationError(f"{name}={value!r} is out of range: {expected}")
    if 0.0 < abs(number) < _SMALLEST_NUMBER:
        raise ConfigurationError(
            f"{name}={value!r} is too near to 0: expected 0 or at least {_SMALLEST_NUMBER:g}, "
            f"got {value!r}"
        )
    return int(number) if whole else number


def _sequence(name: str, value: Any) -> tuple[float, ...]:
    """A sequence of numbers as a tuple. JSON stores it as a list."""
    most, what, one, largest = _SEQUENCES[name]
    wanted = f"expected at most {most} {what}"
    not_numbers = f"{name} is not a sequence of {what.split()[0]}: {wanted}, got {value!r}"
    is_array = isinstance(value, np.ndarray) and value.ndim == 1
    if not isinstance(value, (tuple, list)) and not is_array:
        raise ConfigurationError(not_numbers)
    if len(value) > most:
        raise ConfigurationError(f"{name} is too long: {wanted}, got {len(value)}")
    if not all(map(_is_number, value)):
        raise ConfigurationError(not_numbers)
    try:
        numbers = tuple(map(float, value))
    except OverflowError:
        raise ConfigurationError(not_numbers) from None
    for number in numbers:
        size = abs(number) if name in _SIGNED else number
        if not (number == 0.0 or _SMALLEST_NUMBER <= size <= largest):
            raise ConfigurationError(
                f"{name} has a {one} that is out of range: "
                f"expected 0 or numbers from {_SMALLEST_NUMBER:g} to {largest:g}, got {number!r}"
            )
    return numbers


def _path(data: Any) -> str:
    """The path of a file as text."""
    if not isinstance(data, (str, os.PathLike)):
        raise ConfigurationError(
            f"data={data!r} is not a path: expected the path of a file of exchange data, "
            f"got {data!r}"
        )
    return os.fspath(data)
