"""Rouwenhorst's chain, against the moments of the process and the recursion of the paper."""

import numpy as np
import pytest
from numpy.linalg import matrix_power
from scipy.stats import norm

from mm_gym.theory.rouwenhorst import chain


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.966, 0.9999])
def test_the_conditional_mean_and_variance_equal_those_of_the_process(decay: float) -> None:
    # Only the states beyond 9 standard deviations are missing.
    found = chain(decay, links=100, farthest=9.0)
    near = np.abs(found.states) < 4.0
    mean = found.transition @ found.states
    np.testing.assert_allclose(mean[near], decay * found.states[near], atol=1e-9)
    variance = found.transition @ found.states**2 - mean**2
    np.testing.assert_allclose(variance[near], 1.0 - decay**2, atol=1e-7)
    np.testing.assert_allclose(found.stationary @ found.transition, found.stationary, atol=1e-12)


def test_the_transition_equals_the_recursion_of_the_paper() -> None:
    # Each link adds a row and a column. The recursion sums four shifted copies and halves the inner
    # rows.
    stay = 0.5 * (1.0 + 0.7)
    theta = np.array([[stay, 1.0 - stay], [1.0 - stay, stay]])
    for n in range(2, 7):
        wider = np.zeros((n + 1, n + 1))
        wider[:-1, :-1] += stay * theta
        wider[:-1, 1:] += (1.0 - stay) * theta
        wider[1:, :-1] += (1.0 - stay) * theta
        wider[1:, 1:] += stay * theta
        wider[1:-1] /= 2.0
        theta = wider
    np.testing.assert_allclose(chain(0.7, links=6).transition, theta, atol=1e-14)


def test_the_distribution_after_many_steps_is_nearly_normal() -> None:
    # The distribution function of 200 links has jumps of 0.06. It is compared at their middle.
    found = chain(0.966)
    law = matrix_power(found.transition, 40)[np.argmin(np.abs(found.states - 2.0))]
    left = 2.0 * 0.966**40
    wanted = norm.cdf(found.states, loc=left, scale=np.sqrt(1.0 - 0.966**80))
    np.testing.assert_allclose(law.cumsum() - 0.5 * law, wanted, atol=0.01)


@pytest.mark.parametrize("decay", [-0.1, 1.5, float("nan")])
def test_a_decay_out_of_range_is_an_error(decay: float) -> None:
    with pytest.raises(ValueError, match=r"decay=.* is out of range: expected"):
        chain(decay)
