"""The random numbers, against NumPy's SFC64 and against their distributions."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit
from scipy import stats

from mm_gym.config import configure
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
def sizes_drawn(stream, log_miss, n):
    drawn = np.empty(n, np.int64)
    for i in range(n):
        drawn[i] = geometric_size(stream, log_miss)
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


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exponentials_equal_numpys_up_to_the_last_bit(seed: int) -> None:
    # Ours uses log and NumPy uses log1p, so the last bit may differ.
    numpys = np.random.Generator(np.random.SFC64(seed))
    expected = numpys.standard_exponential(100_000, method="inv")
    np.testing.assert_array_max_ulp(exponentials_drawn(a_stream(seed), 100_000), expected, maxulp=1)


def test_different_seeds_give_different_streams() -> None:
    firsts = {int(words_drawn(a_stream(seed), 1)[0]) for seed in range(1_000)}
    assert len(firsts) == 1_000


# ------------------------------------------------------------------------------- distributions


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
    log_miss = float(to_parameters(configure(taker_size=mean))["taker_size_log_miss"])
    stream = a_stream(seed)
    sizes = sizes_drawn(stream, log_miss, n)
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
    log_miss = float(to_parameters(configure(taker_size=1.0))["taker_size_log_miss"])
    stream, other = a_stream(seed), a_stream(seed)
    assert set(sizes_drawn(stream, log_miss, n)) == {1}
    sizes_drawn(other, math.log(0.5), n)
    np.testing.assert_array_equal(stream, other)
