"""The random numbers, against NumPy's SFC64 and against their distributions."""

import math
from typing import Any

import numba
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
WORDS = 300 if numba.config.DISABLE_JIT else 100_000  # without the compiler in `validation.mutants`


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
    np.testing.assert_array_equal(words_drawn(stream, WORDS), numpys.random_raw(WORDS))
    np.testing.assert_array_equal(stream, numpys.state["state"]["state"])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_uniforms_equal_numpys(seed: int) -> None:
    numpys = np.random.Generator(np.random.SFC64(seed))
    np.testing.assert_array_equal(uniforms_drawn(a_stream(seed), WORDS), numpys.random(WORDS))


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


# ------------------------------------------------------------ against a slow second implementation


class Ziggurat:
    """The method of Marsaglia and Tsang (2000) in plain Python, with further words of SplitMix64.

    Layer 0 is the lowest one, and the others count from the top, as in NumPy.
    """

    def __init__(self, normal: bool) -> None:
        self.normal = normal
        self.tail = 3.654152885361009 if normal else 7.697117470131050
        beyond = self.f(self.tail)
        if normal:
            beyond = math.sqrt(2.0 * math.pi) * stats.norm.sf(self.tail)
        area = self.tail * self.f(self.tail) + beyond
        edges = [area / self.f(self.tail), self.tail]
        while len(edges) < 256:
            height = self.f(edges[-1]) + area / edges[-1]
            edges.append(math.sqrt(-2.0 * math.log(height)) if normal else -math.log(height))
        self.edges = [*edges, 0.0]

    def f(self, x: float) -> float:
        return math.exp(-0.5 * x * x if self.normal else -x)

    def draw(self, word: int) -> float:
        state = word

        def unit() -> float:
            nonlocal state
            state, other = split_mix(state)
            return (other >> 11) / 2**53

        while True:
            layer = word & 255 if self.normal else word >> 3 & 255
            share = (word >> 9) % 2**52 / 2**52 if self.normal else (word >> 11) / 2**53
            sign = -1.0 if self.normal and word & 256 else 1.0
            number = (256 - layer) % 256  # of the layer, from the lowest
            x = share * self.edges[number]
            if x < self.edges[number + 1]:
                return sign * x
            if layer == 0 and not self.normal:
                return self.tail - math.log(1.0 - unit())
            if layer == 0:
                while True:
                    x = -math.log(1.0 - unit()) / self.tail
                    if -2.0 * math.log(1.0 - unit()) > x * x:
                        return sign * (self.tail + x)
            low, high = self.f(self.edges[number]), self.f(self.edges[number + 1])
            if low + (high - low) * unit() < self.f(x):
                return sign * x
            state, word = split_mix(state)


def split_mix(state: int) -> tuple[int, int]:
    """The next state and output of SplitMix64 (Steele, Lea and Flood 2014)."""
    state = z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return state, z ^ z >> 31


@pytest.mark.parametrize("normal", [False, True])
def test_every_layer_draws_what_a_slow_ziggurat_draws(normal: bool) -> None:
    """Words of every layer, on both sides of its edge, and more of the layer with the tail."""
    slow, numpys = Ziggurat(normal), np.random.default_rng(6)
    layers = [*np.repeat(np.arange(256), 8), *np.zeros(200, int)]
    kept = np.array([slow.edges[(256 - k) % 256 + 1] / slow.edges[(256 - k) % 256] for k in layers])
    # Half of the words are rejected at once.
    shares = np.where(np.arange(len(layers)) % 2, kept, 0.0)
    shares += numpys.random(len(layers)) * np.where(np.arange(len(layers)) % 2, 1.0 - kept, kept)
    drawn, expected = [], []
    for layer, share, low in zip(
        layers, shares.tolist(), numpys.integers(0, 8, len(layers)), strict=True
    ):
        if normal:
            word = int(layer) | int(low % 2) << 8 | int(share * 2**52) << 9 | int(low // 2) << 61
        else:
            word = int(low) | int(layer) << 3 | int(share * 2**53) << 11
        stream = np.array([word, 0, 0, 0], np.uint64)  # its next word
        drawn.append(random.normal(stream) if normal else exponential(stream))
        expected.append(slow.draw(word))
    np.testing.assert_allclose(drawn, expected, rtol=1e-11)


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
