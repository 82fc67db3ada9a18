"""Stylised facts of a market beside those of exchange data, and where the market falls short of
them."""

import math

from mm_gym.data.description import LAGS, Description

FACTS = (
    "trades_buys",
    "trades_sells",
    "limit_orders_bid",
    "limit_orders_ask",
    "cancel_rate_best",
    "trade_size",
    "trade_size_1",
    "limit_order_size",
    "limit_order_size_1",
    "spread",
    "touch_size",
    "volatility_1",
    "volatility_60",
    "bounce",
    "price_sensitivity",
    "kurtosis_1",
    "gap_variation",
    *(f"sign_autocorrelation_{lag}" for lag in LAGS),
)
"""Figures of a description that are compared."""

# Why the simulated markets cannot have what the data have: by the rules of the market, not by its
# figures. And which side the data's figure is then on: +1 above the market's, -1 below it, 0
# either.
_MEMORY = "takers arrive independently of one another, so Poisson flow has no long memory"
_SIZES = "sizes are whole lots, geometrically distributed"
_REASONS = {
    "gap_variation": (
        1,
        "takers arrive as a Poisson stream, at one rate all day, so trades do not come in clusters",
    ),
    "kurtosis_1": (
        1,
        "the efficient price moves by normal steps of one variance, so large moves are rare",
    ),
    "bounce": (
        -1,
        "background makers quote at random depths, so the mid jumps about the efficient price",
    ),
    "trade_size_1": (0, _SIZES),
    "limit_order_size_1": (0, _SIZES),
    **{f"sign_autocorrelation_{lag}": (1, _MEMORY) for lag in LAGS},
}
_CLEARLY = 3.0  # standard errors


def distance(data: Description, market: Description, name: str) -> float:
    """How far apart a figure is in the two, in standard errors of the difference; NaN where one has
    none."""
    ours, theirs = market[name], data[name]
    error = math.hypot(ours.standard_error, theirs.standard_error)
    return (ours.value - theirs.value) / error if error > 0.0 else math.nan


def shortfalls(data: Description, market: Description) -> list[str]:
    """A sentence for each rule of the market that puts its figures more than three standard errors
    off the data's."""
    found: dict[str, list[str]] = {}
    for name, (side, reason) in _REASONS.items():
        above = -distance(data, market, name)
        if (side * above if side else abs(above)) > _CLEARLY:
            figure = data[name]
            found.setdefault(reason, []).append(
                f"{figure.label}: {market[name].value:.2f}, data {figure.value:.2f}"
            )
    return [
        f"{reason[0].upper()}{reason[1:]} ({'; '.join(figures)})."
        for reason, figures in found.items()
    ]
