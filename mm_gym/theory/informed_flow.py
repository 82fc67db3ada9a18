"""The cost of informed flow to a maker in the dealer market, in closed form.

This is the market model of this project. The signal s is a stationary Ornstein-Uhlenbeck process
with decay kappa. The price follows dV = beta s dt + sigma dW. A taker is informed with probability
p. An informed taker buys if s > threshold, sells if s < -threshold and otherwise does not trade.
Other takers buy or sell with probability 1/2. The maker quotes V +- h. All results are means, so
none depends on sigma.

There are two versions. *Literal*: informed takers accept any price. *Price-sensitive*: informed
takers pay at most V + beta s / kappa, the value after the whole expected move.

Letters: h `half_spread`, p `informed_share`, tau `horizon`, beta `signal_drift`, kappa
`signal_decay` (ln 2 / half-life), sd(s) `signal_std`, z = threshold / sd(s),
g(tau) = (1 - exp(-kappa tau)) / kappa, B = beta sd(s) / kappa `edge_std`, phi and Phibar the normal
density and upper tail. Any consistent units are valid, such as ticks, seconds and lots.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm

from ._shared import FloatArray, check_not_negative, check_positive, check_share


def informed_move(
    horizon: npt.ArrayLike, *, signal_drift: float, signal_decay: float, signal_std: float = 1.0
) -> FloatArray:
    """Return beta g(tau) sd(s), the mean move of V within tau after a signal of one sd(s) [price].

    At an infinite horizon it is B = beta sd(s) / kappa.

    Args:
        horizon: tau, any shape, may be inf [time].
        signal_drift: beta, not negative [price per time and unit of signal].
        signal_decay: kappa, positive [1 / time].
        signal_std: sd(s), positive.

    Returns:
        The shape of horizon [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    tau = np.asarray(horizon, dtype=np.float64)
    if not np.all(tau >= 0):
        raise ValueError(
            f"horizon={horizon!r} is out of range: expected times of at least 0, got {horizon!r}"
        )
    check_positive(signal_decay=signal_decay, signal_std=signal_std)
    check_not_negative(signal_drift=signal_drift)
    decayed = -np.expm1(-signal_decay * tau) / signal_decay
    return np.asarray(signal_drift * signal_std * decayed)


def adverse_move(
    informed_share: npt.ArrayLike,
    horizon: npt.ArrayLike,
    *,
    signal_drift: float,
    signal_decay: float,
    threshold: float,
    signal_std: float = 1.0,
) -> FloatArray:
    """Return the mean move of V against the maker within tau after a fill (literal version).

    AS(p, tau) = beta g(tau) sd(s) p phi(z) / (p Phibar(z) + (1 - p) / 2)

    Args:
        informed_share: p, any shape.
        horizon: tau, any shape that broadcasts with informed_share [time].
        signal_drift: beta, not negative.
        signal_decay: kappa, positive.
        threshold: not negative, in the units of the signal.
        signal_std: sd(s), positive.

    Returns:
        The broadcast shape [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_share(informed_share=informed_share)
    check_not_negative(threshold=threshold)
    move = informed_move(
        horizon, signal_drift=signal_drift, signal_decay=signal_decay, signal_std=signal_std
    )
    share, z = np.asarray(informed_share, dtype=np.float64), threshold / signal_std
    return np.asarray(move * share * norm.pdf(z) / (share * norm.sf(z) + 0.5 * (1.0 - share)))


def markout(
    half_spread: npt.ArrayLike,
    informed_share: npt.ArrayLike,
    horizon: npt.ArrayLike,
    *,
    signal_drift: float,
    signal_decay: float,
    threshold: float,
    signal_std: float = 1.0,
) -> FloatArray:
    """Return the mean markout of a fill, h - AS(p, tau) (literal version) [price].

    half_spread may have any shape that broadcasts with the others. The other arguments, the
    returned shape and the errors are those of `adverse_move`.
    """
    return np.asarray(half_spread, dtype=np.float64) - adverse_move(
        informed_share,
        horizon,
        signal_drift=signal_drift,
        signal_decay=signal_decay,
        threshold=threshold,
        signal_std=signal_std,
    )


def break_even_share(
    half_spread: npt.ArrayLike,
    horizon: npt.ArrayLike,
    *,
    signal_drift: float,
    signal_decay: float,
    threshold: float,
    signal_std: float = 1.0,
) -> FloatArray:
    """Return p*, the share of informed takers at which the markout is zero (literal version).

    p*(h, tau) = h / (h (1 - 2 Phibar(z)) + 2 beta g(tau) sd(s) phi(z))

    A result above 1 means that the markout is positive even if all takers are informed. A result of
    inf means that no fill can lose.

    Args:
        half_spread: h, positive, any shape [price].
        horizon: tau, any shape that broadcasts with half_spread [time].
        signal_drift: beta, not negative.
        signal_decay: kappa, positive.
        threshold: not negative, in the units of the signal.
        signal_std: sd(s), positive.

    Returns:
        The broadcast shape.

    Raises:
        ValueError: an argument is out of its range.
    """
    h = np.asarray(half_spread, dtype=np.float64)
    check_not_negative(half_spread=half_spread, threshold=threshold)
    if np.any(h == 0):
        raise ValueError(
            f"half_spread={half_spread!r} is out of range: expected numbers above 0, since at 0 "
            f"every informed taker is a loss, got {half_spread!r}"
        )
    move = informed_move(
        horizon, signal_drift=signal_drift, signal_decay=signal_decay, signal_std=signal_std
    )
    z = threshold / signal_std
    with np.errstate(divide="ignore"):
        return np.asarray(h / (h * (1.0 - 2.0 * norm.sf(z)) + 2.0 * move * norm.pdf(z)))


def earning_rate(
    half_spread: npt.ArrayLike,
    informed_share: npt.ArrayLike,
    *,
    taker_rate: float,
    edge_std: float,
    threshold_in_std: float = 0.0,
    taker_tolerance: float = np.inf,
) -> FloatArray:
    """Return the maker's mean profit per unit of time at an infinite horizon (price-sensitive).

    lambda [(1 - p) h - 2 p B (phi(h/B) - (h/B) Phibar(h/B))]

    With z = s / sd(s), an informed taker trades if B |z| > h and then earns B |z| - h from the
    maker. Two features of the environment are optional. With a threshold, only takers with
    |z| > threshold trade. The bracket becomes phi(m) - (h/B) Phibar(m), m = max(h/B, threshold).
    With a finite tolerance, uninformed takers accept h with probability exp(-h / tolerance).

    Args:
        half_spread: h, not negative, any shape [price].
        informed_share: p, any shape that broadcasts with half_spread.
        taker_rate: lambda, rate of all takers on both sides, positive [1 / time].
        edge_std: B = beta sd(s) / kappa, positive [price].
        threshold_in_std: threshold / sd(s), not negative.
        taker_tolerance: mean of the exponential tolerance, positive; inf means that uninformed
            takers accept any price [price].

    Returns:
        The broadcast shape, for one lot per taker [price x lots / time].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_share(informed_share=informed_share)
    check_not_negative(half_spread=half_spread, threshold_in_std=threshold_in_std)
    check_positive(taker_rate=taker_rate, edge_std=edge_std)
    if not taker_tolerance > 0:
        raise ValueError(
            f"taker_tolerance={taker_tolerance!r} is out of range: expected a number above 0, "
            f"got {taker_tolerance!r} (leave it out for no limit)"
        )
    h = np.asarray(half_spread, dtype=np.float64)
    share = np.asarray(informed_share, dtype=np.float64)
    lowest_signal = np.maximum(h / edge_std, threshold_in_std)
    loss = 2.0 * (edge_std * norm.pdf(lowest_signal) - h * norm.sf(lowest_signal))
    gain = h * np.exp(-h / taker_tolerance)
    return np.asarray(taker_rate * ((1.0 - share) * gain - share * loss))


def break_even_half_spread(
    informed_share: npt.ArrayLike, *, edge_std: float = 1.0, threshold_in_std: float = 0.0
) -> FloatArray:
    """Return h*, the half-spread at which the price-sensitive earning rate is zero.

    Uninformed takers accept any price here, so the rate rises with h and h* is unique. With
    edge_std = 1 the result is h* / B. If all takers are informed it is inf.

    Args:
        informed_share: p, any shape.
        edge_std: B, positive [price].
        threshold_in_std: threshold / sd(s), not negative.

    Returns:
        The shape of informed_share [price].

    Raises:
        ValueError: an argument is out of its range.
    """
    check_share(informed_share=informed_share)
    check_positive(edge_std=edge_std)
    check_not_negative(threshold_in_std=threshold_in_std)

    def in_edges(share: float) -> float:
        if share == 0.0:
            return 0.0
        if share == 1.0:
            return float(np.inf)

        def rate(h: float) -> float:
            unit = {"taker_rate": 1.0, "edge_std": 1.0, "threshold_in_std": threshold_in_std}
            return float(earning_rate(h, share, **unit))

        widest = 1.0
        while rate(widest) < 0:
            widest *= 2.0
        return float(brentq(rate, 0.0, widest, xtol=1e-14, rtol=1e-14))

    shares = np.asarray(informed_share, dtype=np.float64)
    roots = [in_edges(float(share)) for share in shares.ravel()]
    return edge_std * np.reshape(np.array(roots), shares.shape)
