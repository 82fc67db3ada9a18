"""Random numbers from a state inside the record: the generator SFC64 of Chris Doty-Humphrey.

A stream is an array of four uint64 words: three of state and a counter. Its output equals that of
`numpy.random.SFC64` word for word. NumPy therefore provides the seeds and the reference for tests.
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
    """Return the next 64 random bits and advance the stream."""
    word = words[0] + words[1] + words[3]
    words[3] += np.uint64(1)
    words[0] = words[1] ^ (words[1] >> np.uint64(11))
    words[1] = words[2] + (words[2] << np.uint64(3))
    words[2] = ((words[2] << np.uint64(24)) | (words[2] >> np.uint64(40))) + word
    return word


@kernel
def seed_stream(words, seed_words):
    """Seed a stream with three words, as `numpy.random.SFC64` does from its SeedSequence."""
    words[0] = seed_words[0]
    words[1] = seed_words[1]
    words[2] = seed_words[2]
    words[3] = np.uint64(1)
    for _ in range(_WARM_UP_ROUNDS):
        next_word(words)


@kernel
def uniform(words):
    """Draw from the uniform distribution on [0, 1), as `Generator.random` does. Uses one word."""
    return np.float64(next_word(words) >> np.uint64(11)) * _UNIT


@kernel
def exponential(words):
    """Draw from the exponential distribution with mean one. Uses one word.

    The result is that of `Generator.standard_exponential(method="inv")`. One minus the uniform is
    exact in a double, so `log` loses no precision and is twice as fast as `log1p`.
    """
    return -math.log(1.0 - uniform(words))


@kernel
def normal_pair(words):
    """Draw two independent standard normals (Box and Muller 1958). Uses two words.

    A rejection method would be faster, but it uses a varying number of words. With a fixed number,
    streams of different regimes stay aligned.
    """
    radius = math.sqrt(2.0 * exponential(words))
    angle = 2.0 * math.pi * uniform(words)
    return radius * math.cos(angle), radius * math.sin(angle)


@kernel
def geometric_size(words, log_miss):
    """Draw a geometric size of at least one lot with mean m. Uses one word.

    `log_miss` is log(1 - 1/m). For a mean of one lot it is -inf, and the size is always one.
    """
    if log_miss == -math.inf:
        next_word(words)
        return np.int64(1)
    return 1 + np.int64(math.floor(-exponential(words) / log_miss))
