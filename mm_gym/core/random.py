"""Random numbers from a state inside the record: the generator SFC64 of Chris Doty-Humphrey.

A stream is an array of four uint64 words: three of state and a counter. Its output equals that of
`numpy.random.SFC64` word for word. NumPy therefore provides the seeds and the reference for tests.

Exponentials and normals are drawn by the ziggurat method (Marsaglia and Tsang 2000), with 256
layers and the use of bits that NumPy has. It accepts 98 of 100 words at once. A rejected word seeds
SplitMix64 (Steele, Lea and Flood 2014), which supplies the further words of this draw. Every draw
therefore takes one word of its stream, and streams of different regimes stay aligned.
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


_EXPONENTIAL_TAIL = 7.697117470131050  # where the tail of the lowest layer begins
_NORMAL_TAIL = 3.654152885361009


def _layers(density, inverse, tail, area, n_mantissas):
    """Return the tables of a ziggurat with 256 layers of one area.

    Returns:
        By layer: the scale from mantissas to variates, the number of mantissas that are accepted at
        once, and the density at the layer's edge.
    """
    edges = np.zeros(257)
    edges[0] = area / density(tail)  # a rectangle as large as the lowest layer and its tail
    edges[1] = tail
    for layer in range(2, 256):
        edges[layer] = inverse(area / edges[layer - 1] + density(edges[layer - 1]))
    # NumPy counts the layers from the top. Layer 0 is the lowest one.
    order = np.concatenate([[0], np.arange(255, 0, -1)])
    widths, inner = edges[order], edges[order + 1]
    kept = (inner / widths * n_mantissas).astype(np.int64)
    heights = np.array([density(width) for width in widths])
    heights[0] = 1.0  # the density at the peak, above layer 1
    return widths / n_mantissas, kept, heights


_EXPONENTIAL_SCALE, _EXPONENTIAL_KEPT, _EXPONENTIAL_DENSITY = _layers(
    density=lambda x: math.exp(-x),
    inverse=lambda y: -math.log(y),
    tail=_EXPONENTIAL_TAIL,
    area=(_EXPONENTIAL_TAIL + 1.0) * math.exp(-_EXPONENTIAL_TAIL),
    n_mantissas=2.0**53,
)
_NORMAL_SCALE, _NORMAL_KEPT, _NORMAL_DENSITY = _layers(
    density=lambda x: math.exp(-0.5 * x * x),
    inverse=lambda y: math.sqrt(-2.0 * math.log(y)),
    tail=_NORMAL_TAIL,
    area=_NORMAL_TAIL * math.exp(-0.5 * _NORMAL_TAIL**2)
    + math.sqrt(0.5 * math.pi) * math.erfc(_NORMAL_TAIL / math.sqrt(2.0)),
    n_mantissas=2.0**52,
)


@kernel
def _further_word(word):
    """Return the next state of SplitMix64 and its output."""
    state = word + np.uint64(0x9E3779B97F4A7C15)
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, mixed ^ (mixed >> np.uint64(31))


@kernel
def _unit(word):
    return np.float64(np.int64(word >> np.uint64(11))) * _UNIT


@kernel
def exponential(words):
    """Draw from the exponential distribution with mean one. Uses one word."""
    word = next_word(words)
    bits = np.int64(word >> np.uint64(3))
    layer = bits & 255
    mantissa = bits >> 8
    if mantissa < _EXPONENTIAL_KEPT[layer]:
        return mantissa * _EXPONENTIAL_SCALE[layer]
    return _exponential_of_rejected(word)


@kernel
def _exponential_of_rejected(word):
    state = word
    while True:
        bits = np.int64(word >> np.uint64(3))
        layer = bits & 255
        mantissa = bits >> 8
        drawn = mantissa * _EXPONENTIAL_SCALE[layer]
        if mantissa < _EXPONENTIAL_KEPT[layer]:
            return drawn
        state, word = _further_word(state)
        if layer == 0:
            return _EXPONENTIAL_TAIL - math.log(1.0 - _unit(word))
        low, high = _EXPONENTIAL_DENSITY[layer], _EXPONENTIAL_DENSITY[layer - 1]
        if low + (high - low) * _unit(word) < math.exp(-drawn):
            return drawn
        state, word = _further_word(state)


@kernel
def normal(words):
    """Draw from the standard normal distribution. Uses one word."""
    word = next_word(words)
    layer = np.int64(word & np.uint64(255))
    mantissa = np.int64((word >> np.uint64(9)) & np.uint64(0xFFFFFFFFFFFFF))
    if mantissa < _NORMAL_KEPT[layer]:
        drawn = mantissa * _NORMAL_SCALE[layer]
        return -drawn if word & np.uint64(256) else drawn
    return _normal_of_rejected(word)


@kernel
def _normal_of_rejected(word):
    state = word
    while True:
        layer = np.int64(word & np.uint64(255))
        mantissa = np.int64((word >> np.uint64(9)) & np.uint64(0xFFFFFFFFFFFFF))
        drawn = mantissa * _NORMAL_SCALE[layer]
        sign = -1.0 if word & np.uint64(256) else 1.0
        if mantissa < _NORMAL_KEPT[layer]:
            return sign * drawn
        state, word = _further_word(state)
        if layer == 0:  # Marsaglia (1964), by two exponentials
            beyond = -math.log(1.0 - _unit(word)) / _NORMAL_TAIL
            state, word = _further_word(state)
            while -2.0 * math.log(1.0 - _unit(word)) <= beyond * beyond:
                state, word = _further_word(state)
                beyond = -math.log(1.0 - _unit(word)) / _NORMAL_TAIL
                state, word = _further_word(state)
            return sign * (_NORMAL_TAIL + beyond)
        low, high = _NORMAL_DENSITY[layer], _NORMAL_DENSITY[layer - 1]
        if low + (high - low) * _unit(word) < math.exp(-0.5 * drawn * drawn):
            return sign * drawn
        state, word = _further_word(state)


@kernel
def normal_pair(words):
    """Draw two independent standard normals. Uses two words."""
    return normal(words), normal(words)


@kernel
def geometric_size(words, scale):
    """Draw a geometric size of at least one lot with mean m. Uses one word.

    `scale` is -1 / log(1 - 1/m), and zero for a mean of one lot: then the size is always one.
    """
    return 1 + np.int64(exponential(words) * scale)
