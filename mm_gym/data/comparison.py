"""Comparison of a market's stylised facts with those of exchange data."""

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
"""Names of the figures of a description that are compared."""

# Properties of data that the model rules out for any choice of its parameters. The sign is +1 if
# the data's figure is then above the market's, -1 if it is below, and 0 if it may be either.
_INDEPENDENT_SIGNS = "takers arrive independently, so trade signs are not autocorrelated"
_SIZES = "sizes are whole lots with a geometric distribution"
_LIMITATIONS = {
    "gap_variation": (
        1,
        "takers arrive as a Poisson process of constant rate, so trades do not cluster",
    ),
    "kurtosis_1": (
        1,
        "the efficient price has normal increments of constant variance, so large moves are rare",
    ),
    "bounce": (
        -1,
        "background makers quote at random depths, so the mid fluctuates around the efficient "
        "price",
    ),
    "trade_size_1": (0, _SIZES),
    "limit_order_size_1": (0, _SIZES),
    **{f"sign_autocorrelation_{lag}": (1, _INDEPENDENT_SIGNS) for lag in LAGS},
}
_SIGNIFICANT = 3.0  # [standard errors]


def distance(data: Description, market: Description, name: str) -> float:
    """Market less data in one figure, in standard errors of the difference; NaN if they are 0."""
    ours, theirs = market[name], data[name]
    error = math.hypot(ours.standard_error, theirs.standard_error)
    return (ours.value - theirs.value) / error if error > 0.0 else math.nan


def shortfalls(data: Description, market: Description) -> list[str]:
    """A sentence for each limitation of the model that shows in the market's figures.

    A limitation shows if a figure differs by more than three standard errors.
    """
    found: dict[str, list[str]] = {}
    for name, (side, reason) in _LIMITATIONS.items():
        above = -distance(data, market, name)
        if (side * above if side else abs(above)) > _SIGNIFICANT:
            figure = data[name]
            found.setdefault(reason, []).append(
                f"{figure.label}: {market[name].value:.2f}, data {figure.value:.2f}"
            )
    return [
        f"{reason[0].upper()}{reason[1:]} ({'; '.join(figures)})."
        for reason, figures in found.items()
    ]
