"""The random numbers, against NumPy's SFC64 and against their distributions."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit
from scipy import stats

from mm_gym.config import configure
from mm_gym.core import random
from mm_gym.core.random import (
    SEED_WORDS,
    WORDS_PER_STREAM,
    exponential,
    geometric_size,
    next_word,
    normal_pair,
    seed_stream,
    uniform,
)
from mm_gym.parameters import to_parameters
from tests.core.kit import assert_agrees

SEEDS = (0, 1, 2**32, 2**100 + 7)


@njit
def words_drawn(stream, n):
    drawn = np.empty(n, np.uint64)
    for i in range(n):
        drawn[i] = next_word(stream)
    return drawn


@njit
def uniforms_drawn(stream, n):
    drawn = np.empty(n)
    for i in range(n):
        drawn[i] = uniform(stream)
    return drawn


@njit
def exponentials_drawn(stream, n):
    drawn = np.empty(n)
    for i in range(n):
        drawn[i] = exponential(stream)
    return drawn


@njit
def normal_pairs_drawn(stream, n):
    drawn = np.empty((n, 2))
    for i in range(n):
        drawn[i] = normal_pair(stream)
    return drawn


@njit
def sizes_drawn(stream, scale, n):
    drawn = np.empty(n, np.int64)
    for i in range(n):
        drawn[i] = geometric_size(stream, scale)
    return drawn


def a_stream(seed: int) -> npt.NDArray[np.uint64]:
    """Return a stream seeded by NumPy's SeedSequence, as NumPy's SFC64 is."""
    words = np.zeros(WORDS_PER_STREAM, np.uint64)
    seed_stream(words, np.random.SeedSequence(seed).generate_state(SEED_WORDS, np.uint64))
    return words


def words_used(stream: npt.NDArray[np.uint64], seed: int) -> int:
    """Return how many words were drawn. The last word of the state counts them."""
    return int(stream[-1]) - int(a_stream(seed)[-1])


# ------------------------------------------------------------------------------- against NumPy


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_starts_in_the_state_of_numpys_generator(seed: int) -> None:
    np.testing.assert_array_equal(a_stream(seed), np.random.SFC64(seed).state["state"]["state"])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_words_equal_numpys(seed: int) -> None:
    stream, numpys = a_stream(seed), np.random.SFC64(seed)
    np.testing.assert_array_equal(words_drawn(stream, 100_000), numpys.random_raw(100_000))
    np.testing.assert_array_equal(stream, numpys.state["state"]["state"])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_uniforms_equal_numpys(seed: int) -> None:
    numpys = np.random.Generator(np.random.SFC64(seed))
    np.testing.assert_array_equal(uniforms_drawn(a_stream(seed), 100_000), numpys.random(100_000))


def test_exponentials_equal_numpys_as_far_as_no_word_is_rejected() -> None:
    compared = 0
    for seed in range(500):
        words = np.random.SFC64(seed).random_raw(400)
        layer, mantissa = (words >> np.uint64(3)) & np.uint64(255), words >> np.uint64(11)
        n = int(np.argmax(mantissa >= random._EXPONENTIAL_KEPT[layer].astype(np.uint64)))
        expected = np.random.Generator(np.random.SFC64(seed)).standard_exponential(n)
        np.testing.assert_allclose(exponentials_drawn(a_stream(seed), n), expected, rtol=1e-12)
        compared += n
    assert compared > 15_000  # 1 of 45 words is rejected


def test_normals_equal_numpys_as_far_as_no_word_is_rejected() -> None:
    compared = 0
    for seed in range(500):
        words = np.random.SFC64(seed).random_raw(600)
        layer = words & np.uint64(255)
        mantissa = (words >> np.uint64(9)) & np.uint64(2**52 - 1)
        n = int(np.argmax(mantissa >= random._NORMAL_KEPT[layer].astype(np.uint64))) // 2
        expected = np.random.Generator(np.random.SFC64(seed)).standard_normal((n, 2))
        np.testing.assert_allclose(normal_pairs_drawn(a_stream(seed), n), expected, rtol=1e-12)
        compared += 2 * n
    assert compared > 20_000  # 1 of 67 words is rejected


def test_different_seeds_give_different_streams() -> None:
    firsts = {int(words_drawn(a_stream(seed), 1)[0]) for seed in range(1_000)}
    assert len(firsts) == 1_000


# ------------------------------------------------------------------------------- distributions


def _assert_follows(draws: npt.NDArray[np.float64], law: Any) -> None:
    """Assert that the draws have this law, by their counts in 400 cells of equal probability.

    With n draws, the standard error of the share of a cell is 5 % of the share at n = 160,000.
    """
    cells = np.floor(400.0 * law.cdf(draws)).astype(int)
    assert stats.chisquare(np.bincount(cells, minlength=400)).pvalue > 1e-3


def test_exponentials_follow_their_law_up_to_the_tail() -> None:
    n, seed = 4_000_000, 8
    stream = a_stream(seed)
    draws = exponentials_drawn(stream, n)
    assert words_used(stream, seed) == n
    _assert_follows(draws, stats.expon)
    for power in (1, 2, 3):
        mean, square = math.factorial(power), math.factorial(2 * power)
        error = math.sqrt((square - mean**2) / n)
        assert_agrees((draws**power).mean(), mean, error, f"moment {power}")
    # Beyond the layers the excess is exponential again. Their number is Poisson with mean 1815.
    beyond = draws[draws > random._EXPONENTIAL_TAIL] - random._EXPONENTIAL_TAIL
    expected = n * math.exp(-random._EXPONENTIAL_TAIL)
    assert_agrees(len(beyond), expected, math.sqrt(expected), "draws in the tail")
    assert stats.kstest(beyond, "expon").pvalue > 1e-3
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 4.0 / math.sqrt(n)


def test_normals_follow_their_law_up_to_the_tail() -> None:
    n, seed = 2_000_000, 9
    draws = normal_pairs_drawn(a_stream(seed), n).ravel()
    _assert_follows(draws, stats.norm)
    beyond = np.abs(draws)[np.abs(draws) > random._NORMAL_TAIL]
    expected = 2 * n * 2.0 * stats.norm.sf(random._NORMAL_TAIL)
    assert_agrees(len(beyond), expected, math.sqrt(expected), "draws in the tails")
    tail = stats.truncnorm(random._NORMAL_TAIL, np.inf)
    assert stats.kstest(beyond, tail.cdf).pvalue > 1e-3


def test_normal_pairs_are_two_independent_standard_normals() -> None:
    n, seed = 1_000_000, 3
    stream = a_stream(seed)
    pairs = normal_pairs_drawn(stream, n)
    assert words_used(stream, seed) == 2 * n
    for column in pairs.T:
        # Standard errors of the first four moments of n standard normals.
        assert_agrees(column.mean(), 0.0, 1.0 / math.sqrt(n), "mean")
        assert_agrees((column**2).mean(), 1.0, math.sqrt(2.0 / n), "variance")
        assert_agrees((column**3).mean(), 0.0, math.sqrt(15.0 / n), "third moment")
        assert_agrees((column**4).mean(), 3.0, math.sqrt(96.0 / n), "fourth moment")
        assert stats.kstest(column[:200_000], "norm").pvalue > 1e-3
    first, second = pairs.T
    assert_agrees((first * second).mean(), 0.0, 1.0 / math.sqrt(n), "covariance")
    # The squares of dependent normals would be correlated. The variance of z^2 - 1 is 2.
    assert_agrees(
        ((first**2 - 1.0) * (second**2 - 1.0)).mean(),
        0.0,
        2.0 / math.sqrt(n),
        "covariance of squares",
    )
    assert_agrees(
        (first[1:] * second[:-1]).mean(),
        0.0,
        1.0 / math.sqrt(n),
        "covariance with the previous pair",
    )


@pytest.mark.parametrize("mean", [1.001, 1.5, 3.0, 40.0, 1e6])
def test_sizes_are_geometric_with_the_configured_mean(mean: float) -> None:
    n, seed = 400_000, 4
    scale = float(to_parameters(configure(taker_size=mean))["taker_size_scale"])
    stream = a_stream(seed)
    sizes = sizes_drawn(stream, scale, n)
    assert words_used(stream, seed) == n
    law = stats.geom(1.0 / mean)
    assert sizes.min() >= 1
    assert_agrees(sizes.mean(), mean, law.std() / math.sqrt(n), "mean")
    # At most ten classes of about equal probability.
    edges = np.unique(np.concatenate([[0], law.ppf(np.arange(1, 10) / 10.0), [np.inf]]))
    expected = n * np.diff(law.cdf(edges))
    counts = np.histogram(sizes, bins=np.append(edges[:-1] + 0.5, np.inf))[0]
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_sizes_of_mean_one_are_always_one_and_use_one_word_each() -> None:
    n, seed = 10_000, 5
    scale = float(to_parameters(configure(taker_size=1.0))["taker_size_scale"])
    stream, other = a_stream(seed), a_stream(seed)
    assert set(sizes_drawn(stream, scale, n)) == {1}
    sizes_drawn(other, 2.0, n)
    np.testing.assert_array_equal(stream, other)
