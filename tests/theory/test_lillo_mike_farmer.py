"""Order splitting: against a sum over all pairs of places, and the paper's exponent."""

import numpy as np
import pytest

from mm_gym.theory.lillo_mike_farmer import length_survival, mean_length, sign_autocorrelation


@pytest.mark.parametrize("exponent, longest", [(0.93, 16), (1.5, 7), (2.5, 1)])
def test_the_autocorrelation_is_the_share_of_pairs_within_one_metaorder(
    exponent: float, longest: int
) -> None:
    survival = length_survival(exponent, longest)
    probability = survival - np.append(survival[1:], 0.0)
    assert probability.sum() == pytest.approx(1.0)
    lengths = np.arange(1, longest + 1)
    assert mean_length(exponent, longest) == pytest.approx((lengths * probability).sum())
    for lag in range(longest + 3):
        # A metaorder of L orders has L - lag pairs of this lag.
        pairs = sum(max(n - lag, 0) * p for n, p in zip(lengths, probability, strict=True))
        expected = pairs / (lengths * probability).sum()
        assert sign_autocorrelation(lag, exponent, longest) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("exponent", [1.2, 1.5, 1.8])
def test_a_power_law_of_lengths_gives_the_exponent_of_the_paper(exponent: float) -> None:
    """The slope of log C between lags 500 and 1,000 is -(exponent - 1); the limit is far away."""
    longest = 100_000
    near, far = sign_autocorrelation(np.array([500, 1000]), exponent, longest)
    # What the upper limit takes from the paper's infinite sum, to leading order.
    tail = longest ** (1.0 - exponent) * exponent / (exponent - 1.0)
    missing = tail / mean_length(exponent, longest)
    slope = np.log2((far + missing) / (near + missing))
    assert slope == pytest.approx(-(exponent - 1.0), abs=0.01)


def test_the_signs_of_a_real_day_have_the_memory_of_short_metaorders() -> None:
    """GOOG, 21 June 2012: 0.634, 0.455, 0.189, 0.050, with errors of 0.018 to 0.030."""
    found = sign_autocorrelation(np.array([1, 2, 5, 10]), 0.93, 16)
    assert np.abs(found - [0.634, 0.455, 0.189, 0.050]).max() < 0.02
