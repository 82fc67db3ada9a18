"""The three action formats agree with their documentation and with the market's quotes."""

import math
import re
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
    to_offsets_of_one,
)

ACTION_FORMATS = ("offsets", "spread_skew", "discrete")
GRID = np.linspace(-1.0, 1.0, 41)
PAIRS = np.array([(first, second) for first in GRID for second in GRID], np.float32)


def scaled(shares: Any) -> np.ndarray:
    """Convert shares of max_offset to the core's scale: share = ((1 + a) / 2)^3."""
    return 2.0 * np.power(np.asarray(shares), 1.0 / 3.0) - 1.0


# -------------------------------------------------------------------------------------- conversion


def test_the_format_offsets_is_that_of_the_core() -> None:
    offsets = to_offsets("offsets", PAIRS, len(PAIRS))
    np.testing.assert_array_equal(offsets, PAIRS)
    assert offsets.dtype == np.float32
    assert offsets.flags.c_contiguous


@pytest.mark.parametrize(
    ("half_spread", "skew", "bid", "ask"),
    [
        (0.2, 0.0, 0.2, 0.2),
        (0.2, 0.1, 0.1, 0.3),  # up: the bid is nearer to the mid, and the ask is further away
        (0.2, -0.1, 0.3, 0.1),
        (0.2, 0.2, 0.0, 0.4),
        (0.2, 0.5, 0.0, 0.7),  # the bid is clipped at the mid
        (0.2, 1.0, 0.0, 1.0),  # the ask is clipped at max_offset
        (0.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 1.0, 1.0),
        (1.0, -0.25, 1.0, 0.75),
    ],
)
def test_spread_skew_is_half_spread_minus_and_plus_skew(
    half_spread: float, skew: float, bid: float, ask: float
) -> None:
    """All four are shares of max_offset.

    They are compared as shares, since the scale of actions has no slope at the mid.
    """
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


def test_half_spread_and_skew_are_clipped_before_they_are_combined() -> None:
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
    # Action 0 is an eighth of max_offset on both sides, as in the continuous formats. The other
    # offsets ascend.
    assert DISCRETE_OFFSETS[0] == 0.125
    assert list(DISCRETE_OFFSETS[1:]) == sorted(DISCRETE_OFFSETS[1:])


@pytest.mark.parametrize("action_format", ["offsets", "spread_skew"])
def test_continuous_formats_have_the_documented_box(action_format: Any) -> None:
    space = action_space(action_format)
    assert space == gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)


@pytest.mark.parametrize("action_format", ACTION_FORMATS)
def test_a_conversion_does_not_change_its_input(action_format: Any) -> None:
    actions = (
        np.arange(4)
        if action_format == "discrete"
        else np.linspace(-2.0, 2.0, 8, dtype=np.float32).reshape(4, 2)
    )
    before = actions.copy()
    to_offsets(action_format, actions, 4)
    np.testing.assert_array_equal(actions, before)


def test_lists_integers_and_doubles_are_accepted() -> None:
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


def test_every_format_gives_the_same_market_as_its_offsets() -> None:
    generator = np.random.default_rng(2)
    actions_of: dict[Any, Any] = {
        "spread_skew": np.stack(
            # Half-spreads of up to 3 ticks, and skews of up to 1.5 ticks in both directions.
            [
                from_ticks(generator.uniform(0.0, 3.0, 80), 15.0),
                np.cbrt(generator.uniform(-0.1, 0.1, 80)),
            ],
            axis=1,
            dtype=np.float32,
        ),
        "discrete": np.array([8 * bid + ask for bid, ask in generator.integers(0, 5, (80, 2))]),
    }
    for action_format, actions in actions_of.items():
        assert run(action_format, actions) == run("offsets", to_offsets(action_format, actions, 80))


def test_offsets_beyond_the_box_are_clipped_to_it() -> None:
    generator = np.random.default_rng(3)
    wild = generator.uniform(-3.0, 1.5, (80, 2)).astype(np.float32)
    assert (np.abs(wild) > 1.0).mean() > 0.3
    assert run("offsets", wild) == run("offsets", np.clip(wild, -1.0, 1.0))


@pytest.mark.parametrize("max_offset", [4.0, 10.0, 32.0])
def test_an_action_asks_for_its_cubic_share_of_max_offset(max_offset: float) -> None:
    """The price stays at 10,000, and the offsets are whole ticks."""
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
        prices = [int(price) for price in re.findall(r"1 lot at (\d+)", ladder)]
        assert sorted(prices) == [10_000 - ticks, 10_000 + mirrored]


# ---------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("action_format", ["offset", "", None, 3])
def test_an_unknown_format_is_refused_with_the_known_ones(action_format: Any) -> None:
    with pytest.raises(
        ConfigurationError,
        match=rf"action={action_format!r} is not offered: expected one of 'offsets', .*, got ",
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
        ValueError, match=r"action of market 2 is not finite: expected two .*, got \[0.0, "
    ):
        to_offsets(action_format, actions, 4)


@pytest.mark.parametrize(
    "actions", [[0.0], [0.0, 1.0], [[0.0, 1.0]], [[0.0], [1.0]], np.zeros((2, 3)), None]
)
@pytest.mark.parametrize("action_format", ["offsets", "spread_skew"])
def test_a_wrong_shape_is_refused_with_the_right_one(action_format: Any, actions: Any) -> None:
    with pytest.raises(
        ValueError, match=r"actions have a wrong shape: expected \(2, 2\), .*, got "
    ):
        to_offsets(action_format, actions, 2)


@pytest.mark.parametrize("action", [[0.0], [0.0] * 3, 0.0, None, [[0.0, 1.0]], np.zeros((2, 1))])
@pytest.mark.parametrize("action_format", ["offsets", "spread_skew"])
def test_a_wrong_shape_of_one_action_is_refused_with_the_shape_that_was_given(
    action_format: Any, action: Any
) -> None:
    wrong = r"the action has a wrong shape: expected \(2,\), a bid and an ask offset, got "
    with pytest.raises(ValueError, match=wrong + re.escape(str(np.shape(action)))):
        to_offsets_of_one(action_format, action)
    with pytest.raises(ValueError, match=r"expected \(3,\), a bid and an ask offset and a take"):
        to_offsets_of_one("quotes_and_take", action if np.shape(action) != (3,) else [0.0] * 4)


@pytest.mark.parametrize(
    "actions", ["ab", ["a", "b"], [["a", "b"], ["c", "d"]], [[0.0, 1.0], [0.0]], {}]
)
@pytest.mark.parametrize("action_format", ACTION_FORMATS)
def test_a_value_that_is_not_an_array_of_numbers_is_refused(
    action_format: Any, actions: Any
) -> None:
    with pytest.raises(ValueError, match=r"actions are (not an array|wrong).*: expected .*, got "):
        to_offsets(action_format, actions, 2)


@pytest.mark.parametrize(
    "actions", [[0.0, 1.0], [True, False], [[0, 1]], [1], [1, 2, 3], 1, [None, 1]]
)
def test_discrete_actions_are_one_whole_number_a_market(actions: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"discrete actions are wrong: expected 2 whole numbers from 0 to 63, one for each",
    ):
        to_offsets("discrete", actions, 2)


@pytest.mark.parametrize("action", [-1, 64, 1000, -(2**40)])
def test_a_discrete_action_out_of_range_is_refused(action: int) -> None:
    with pytest.raises(
        ValueError, match=rf"discrete action is out of range: expected .* 0 to 63, got {action}"
    ):
        to_offsets("discrete", [0, action], 2)
