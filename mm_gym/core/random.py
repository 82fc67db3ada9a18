"""Random numbers as words inside the record: SFC64, the small fast chaotic generator of Chris
Doty-Humphrey.

The words are those of `numpy.random.SFC64`, step for step, so NumPy seeds them and NumPy judges
them. A stream is an array of four uint64 words (three of state, one counter).
"""

import math

import numpy as np

from mm_gym.core.kernel import kernel

WORDS_PER_STREAM = 4
SEED_WORDS = 3
_WARM_UP_ROUNDS = 12
_UNIT = 1.0 / 9007199254740992.0  # 2**-53, the spacing of a double in [1/2, 1)


@kernel
def next_word(words):
    """The next 64 random bits; advances the stream."""
    word = words[0] + words[1] + words[3]
    words[3] += np.uint64(1)
    words[0] = words[1] ^ (words[1] >> np.uint64(11))
    words[1] = words[2] + (words[2] << np.uint64(3))
    words[2] = ((words[2] << np.uint64(24)) | (words[2] >> np.uint64(40))) + word
    return word


@kernel
def seed_stream(words, seed_words):
    """Start a stream from three seed words, as `numpy.random.SFC64` does from its SeedSequence."""
    words[0] = seed_words[0]
    words[1] = seed_words[1]
    words[2] = seed_words[2]
    words[3] = np.uint64(1)
    for _ in range(_WARM_UP_ROUNDS):
        next_word(words)


@kernel
def uniform(words):
    """Uniform on [0, 1): `Generator.random`."""
    return np.float64(next_word(words) >> np.uint64(11)) * _UNIT


@kernel
def exponential(words):
    """Exponential with mean one: `Generator.standard_exponential(method="inv")`. One draw, always.

    One minus the uniform is exact in a double, so the plain logarithm, twice as fast as log1p,
    loses nothing.
    """
    return -math.log(1.0 - uniform(words))


@kernel
def normal_pair(words):
    """Two independent standard normals (Box and Muller, 1958). Two draws, always.

    A rejection method would be faster and would draw a varying number of words; with a fixed
    number, a stream stays aligned whatever is done with its values.
    """
    radius = math.sqrt(2.0 * exponential(words))
    angle = 2.0 * math.pi * uniform(words)
    return radius * math.cos(angle), radius * math.sin(angle)


@kernel
def geometric_size(words, log_miss):
    """A size of at least one lot, geometric with mean m, given `log_miss = log(1 - 1/m)`. One draw,
    always.

    A mean of one lot has `log_miss = -inf`, and the size is one.
    """
    if log_miss == -math.inf:
        next_word(words)
        return np.int64(1)
    return 1 + np.int64(math.floor(-exponential(words) / log_miss))
