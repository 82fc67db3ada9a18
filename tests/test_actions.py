"""The three action formats mean what they are documented to mean, and the market quotes
accordingly."""

import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from mm_gym import ConfigurationError
from mm_gym.actions import (
    DISCRETE_OFFSETS,
    action_space,
    check_action_format,
    from_ticks,
    to_offsets,
)

ACTION_FORMATS = ("offsets", "spread_skew", "discrete")
GRID = np.linspace(-1.0, 1.0, 41)
PAIRS = np.array([(first, second) for first in GRID for second in GRID], np.float32)


def scaled(shares: Any) -> np.ndarray:
    """Shares of max_offset, from 0 to 1, on the core's scale from -1 to 1: share = ((1 + a) /
    2)^3."""
    return 2.0 * np.power(np.asarray(shares), 1.0 / 3.0) - 1.0


# ------------------------------------------------------------------------------------- translation


def test_offsets_are_the_cores_own_action_format() -> None:
    offsets = to_offsets("offsets", PAIRS, len(PAIRS))
    np.testing.assert_array_equal(offsets, PAIRS)
    assert offsets.dtype == np.float32
    assert offsets.flags.c_contiguous


@pytest.mark.parametrize(
    ("half_spread", "skew", "bid", "ask"),
    [
        (0.2, 0.0, 0.2, 0.2),
        (0.2, 0.1, 0.1, 0.3),  # up: the bid comes nearer to the mid, the ask goes away from it
        (0.2, -0.1, 0.3, 0.1),
        (0.2, 0.2, 0.0, 0.4),
        (0.2, 0.5, 0.0, 0.7),  # the bid stops at the mid
        (0.2, 1.0, 0.0, 1.0),  # and the ask at max_offset
        (0.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 1.0, 1.0),
        (1.0, -0.25, 1.0, 0.75),
    ],
)
def test_spread_skew_is_half_spread_minus_and_plus_skew(
    half_spread: float, skew: float, bid: float, ask: float
) -> None:
    """All four as shares of max_offset; the action has the half-spread on the scale of offsets, and
    the skew's cube root. Compared in shares, since the scale has no slope at the mid."""
    offsets = to_offsets("spread_skew", [[scaled(half_spread), np.cbrt(skew)]], 1)
    np.testing.assert_allclose(((1.0 + offsets.astype(float)) / 2.0) ** 3, [[bid, ask]], atol=1e-6)


def test_spread_skew_has_its_closed_form_everywhere() -> None:
    offsets = to_offsets("spread_skew", PAIRS, len(PAIRS))
    half_spread, skew = (
        ((PAIRS[:, 0].astype(float) + 1.0) / 2.0) ** 3,
        PAIRS[:, 1].astype(float) ** 3,
    )
    bid = [min(max(h - s, 0.0), 1.0) for h, s in zip(half_spread, skew, strict=True)]
    ask = [min(max(h + s, 0.0), 1.0) for h, s in zip(half_spread, skew, strict=True)]
    np.testing.assert_allclose(
        ((1.0 + offsets.astype(float)) / 2.0) ** 3, np.array([bid, ask]).T, atol=1e-6
    )
    assert offsets.dtype == np.float32
    assert offsets.flags.c_contiguous


def test_spread_skew_beyond_its_range_is_clipped_before_it_is_combined() -> None:
    wild = np.array([[3.0, 0.5], [-3.0, 0.5], [0.0, 7.0], [0.0, -7.0], [9.0, -9.0]], np.float32)
    np.testing.assert_array_equal(
        to_offsets("spread_skew", wild, len(wild)),
        to_offsets("spread_skew", np.clip(wild, -1.0, 1.0), len(wild)),
    )


def test_discrete_actions_choose_from_the_documented_offsets_bid_first() -> None:
    n_choices = len(DISCRETE_OFFSETS)
    actions = np.arange(n_choices**2)
    offsets = to_offsets("discrete", actions, len(actions))
    expected = [
        scaled([DISCRETE_OFFSETS[a // n_choices], DISCRETE_OFFSETS[a % n_choices]])
        for a in actions.tolist()
    ]
    np.testing.assert_allclose(offsets, expected, atol=1e-6)
    assert (
        action_space("discrete")
        == gymnasium.spaces.Discrete(64)
        == gymnasium.spaces.Discrete(n_choices**2)
    )
    assert offsets.dtype == np.float32
    assert (min(DISCRETE_OFFSETS), max(DISCRETE_OFFSETS)) == (0.0, 1.0)
    assert len(set(DISCRETE_OFFSETS)) == n_choices
    # Action 0 is that of the continuous formats: an eighth of max_offset on both sides. The rest
    # ascends.
    assert DISCRETE_OFFSETS[0] == 0.125
    assert list(DISCRETE_OFFSETS[1:]) == sorted(DISCRETE_OFFSETS[1:])


@pytest.mark.parametrize("action_format", ["offsets", "spread_skew"])
def test_continuous_dialects_have_the_box_of_the_contract(action_format: Any) -> None:
    space = action_space(action_format)
    assert space == gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)


@pytest.mark.parametrize("action_format", ACTION_FORMATS)
def test_a_translation_writes_nothing_into_what_it_is_given(action_format: Any) -> None:
    actions = (
        np.arange(4)
        if action_format == "discrete"
        else np.linspace(-2.0, 2.0, 8, dtype=np.float32).reshape(4, 2)
    )
    before = actions.copy()
    to_offsets(action_format, actions, 4)
    np.testing.assert_array_equal(actions, before)


def test_lists_integers_and_doubles_are_understood() -> None:
    for actions in (
        [[0, 1], [-1, 0]],
        ((0.0, 1.0), (-1.0, 0.0)),
        np.array([[0, 1], [-1, 0]], np.int8),
    ):
        np.testing.assert_array_equal(to_offsets("offsets", actions, 2), [[0.0, 1.0], [-1.0, 0.0]])
    strided = np.zeros((2, 4))[:, ::2]
    assert to_offsets("offsets", strided, 2).flags.c_contiguous
    assert to_offsets("discrete", [3, 5], 2).shape == (2, 2)
    assert to_offsets("discrete", np.array([3, 5], np.uint8), 2).shape == (2, 2)


# ------------------------------------------------------------------------------------ in the market


def run(action_format: str, actions: Any) -> list[tuple[bytes, float]]:
    env = gymnasium.make(
        "MarketMaking-v0", regime="informed", action=action_format, taker_rate=3.0
    ).unwrapped
    env.reset(seed=0)
    results = [env.step(action) for action in actions]
    assert sum(result[4]["fills"] for result in results) > 5
    return [(observation.tobytes(), reward) for observation, reward, *_ in results]


def test_every_dialect_makes_the_market_that_its_offsets_make() -> None:
    generator = np.random.default_rng(2)
    said: dict[Any, Any] = {
        "spread_skew": np.stack(
            # Half-spreads up to 3 ticks, skews up to 1.5 ticks either way.
            [
                from_ticks(generator.uniform(0.0, 3.0, 80), 15.0),
                np.cbrt(generator.uniform(-0.1, 0.1, 80)),
            ],
            axis=1,
            dtype=np.float32,
        ),
        "discrete": np.array([8 * bid + ask for bid, ask in generator.integers(0, 5, (80, 2))]),
    }
    for action_format, actions in said.items():
        assert run(action_format, actions) == run("offsets", to_offsets(action_format, actions, 80))


def test_offsets_beyond_the_box_are_the_box_s_ends() -> None:
    generator = np.random.default_rng(3)
    wild = generator.uniform(-3.0, 1.5, (80, 2)).astype(np.float32)
    assert (np.abs(wild) > 1.0).mean() > 0.3
    assert run("offsets", wild) == run("offsets", np.clip(wild, -1.0, 1.0))


@pytest.mark.parametrize("max_offset", [4.0, 10.0, 32.0])
def test_an_action_asks_for_its_cubic_share_of_max_offset(max_offset: float) -> None:
    """In a market that stands still at 10,000, with offsets that fall on whole ticks; the curve is
    written out here."""
    env = gymnasium.make(
        "MarketMaking-v0",
        regime="dealer",
        volatility=0.0,
        taker_rate=0.0,
        max_offset=max_offset,
        render_mode="ansi",
    )
    env.reset(seed=0)
    for ticks in range(1, int(max_offset) + 1):
        mirrored = int(max_offset) - ticks + 1
        env.step(
            np.array(
                [2.0 * (share / max_offset) ** (1 / 3) - 1.0 for share in (ticks, mirrored)],
                np.float32,
            )
        )
        ladder = str(env.render())
        prices = [int(line.split("|")[1]) for line in ladder.splitlines() if ">1<" in line]
        assert prices == [10_000 + mirrored, 10_000 - ticks]


# ---------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("action_format", ["offset", "", None, 3])
def test_an_unknown_dialect_is_refused_with_those_that_are_known(action_format: Any) -> None:
    with pytest.raises(
        ConfigurationError,
        match=rf"action={action_format!r} is not offered; write one of 'offsets', ",
    ):
        check_action_format(action_format)
    for make in gymnasium.make, gymnasium.make_vec:
        with pytest.raises(ConfigurationError, match=rf"action={action_format!r} is not offered"):
            make("MarketMaking-v0", action=action_format)


@pytest.mark.parametrize("action_format", ["offsets", "spread_skew"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_and_the_market_is_named(
    action_format: Any, number: float
) -> None:
    actions = np.zeros((4, 2))
    actions[2, 1] = number
    with pytest.raises(
        ValueError, match=r"action of market 2 is \[0.0, .*finite numbers in \[-1, 1\] were wanted"
    ):
        to_offsets(action_format, actions, 4)


@pytest.mark.parametrize(
    "actions", [[0.0], [0.0, 1.0], [[0.0, 1.0]], [[0.0], [1.0]], np.zeros((2, 3)), None]
)
@pytest.mark.parametrize("action_format", ["offsets", "spread_skew"])
def test_a_wrong_shape_is_refused_with_the_one_that_is_wanted(
    action_format: Any, actions: Any
) -> None:
    with pytest.raises(ValueError, match=r"came.*\(2, 2\) was wanted; write"):
        to_offsets(action_format, actions, 2)


@pytest.mark.parametrize(
    "actions", ["ab", ["a", "b"], [["a", "b"], ["c", "d"]], [[0.0, 1.0], [0.0]], {}]
)
@pytest.mark.parametrize("action_format", ACTION_FORMATS)
def test_what_is_no_array_of_numbers_is_refused_in_a_sentence(
    action_format: Any, actions: Any
) -> None:
    with pytest.raises(ValueError, match=r"came.*wanted; write"):
        to_offsets(action_format, actions, 2)


@pytest.mark.parametrize(
    "actions", [[0.0, 1.0], [True, False], [[0, 1]], [1], [1, 2, 3], 1, [None, 1]]
)
def test_discrete_actions_are_one_whole_number_a_market(actions: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"came, 2 whole numbers were wanted; write one from 0 to 63 for each market",
    ):
        to_offsets("discrete", actions, 2)


@pytest.mark.parametrize("action", [-1, 64, 1000, -(2**40)])
def test_a_discrete_action_that_does_not_exist_is_named(action: int) -> None:
    with pytest.raises(
        ValueError, match=rf"discrete action {action} does not exist; write one from 0 to 63"
    ):
        to_offsets("discrete", [0, action], 2)
