"""The picture shows the state of the market and the session so far."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mm_gym import MarketMakingEnv
from mm_gym.actions import from_ticks
from tests.rendering.kit import (
    ASKS,
    BIDS,
    CHART,
    EXTREME_MARKETS,
    GREEN,
    HEIGHT,
    INVENTORY,
    N_ROWS,
    OWN,
    PNL,
    PRICES,
    PUBLIC,
    ROW,
    TOP,
    WHITE,
    WIDTH,
    Image,
    drawn,
    where,
)


def read_bars(image: Image, side: str, mid: float) -> dict[int, list[tuple[bool, int]]]:
    """Return, for each price, the pieces of its bar as (agent's own, pixels), outwards."""
    bars = {}
    for row in range(N_ROWS):
        line = image[TOP + ROW * row + ROW // 2, BIDS if side == "bid" else ASKS][None]
        pieces: list[tuple[bool, int]] = []
        kinds = where(line, OWN[side])[0] * 2 + where(line, PUBLIC[side])[0]
        for kind in kinds[::-1] if side == "bid" else kinds:
            if kind and pieces and pieces[-1][0] == (kind == 2):
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + 1)
            elif kind:
                pieces.append((bool(kind == 2), 1))
        if pieces:
            bars[int(np.floor(mid)) + N_ROWS // 2 - row] = pieces
    return bars


@pytest.mark.parametrize("regime", ["noise", "informed", "dealer", "zero_intelligence"])
def test_the_bars_of_the_picture_show_the_queues_of_the_record(
    regime: str, read_queues: Callable[..., Any]
) -> None:
    env = drawn(regime=regime, quote_size=3, maker_size=3.0, maker_depth=1.0)
    generator = np.random.default_rng(0)
    own_bars = 0
    for _ in range(60):
        *_, info = env.step(generator.uniform(-1.0, -0.6, 2).astype(np.float32))
        image, mid = env.render(), info["mid"]
        shown = {}
        for side in ("bid", "ask"):
            for price, queue in read_queues(env._markets.records[0], side).items():
                if -(N_ROWS // 2) < price - np.floor(mid) <= N_ROWS // 2:
                    shown[side, price] = queue
        most = max((sum(order.lots for order in queue) for queue in shown.values()), default=1)
        bars = {
            (side, price): bar for side in OWN for price, bar in read_bars(image, side, mid).items()
        }
        assert bars.keys() == shown.keys()
        for place, queue in shown.items():
            # Neighbouring orders of other makers are one piece.
            pieces: list[tuple[bool, int]] = []
            for order in queue:
                if pieces and not order.own and not pieces[-1][0]:
                    pieces[-1] = (False, pieces[-1][1] + order.lots)
                else:
                    pieces.append((order.own, order.lots))
            assert [own for own, _ in bars[place]] == [own for own, _ in pieces]
            for (_, pixels), (_, lots) in zip(bars[place], pieces, strict=True):
                assert pixels == pytest.approx(max(104 * lots / most, 3), abs=5)
            own_bars += any(own for own, _ in pieces)
    assert own_bars > 60


def test_the_own_bid_is_one_row_lower_for_each_tick() -> None:
    rows = []
    for offset in range(1, 11):
        env = drawn(regime="dealer", volatility=0.0, taker_rate=0.0)
        env.step(from_ticks([offset, 15.0], 15.0))
        lines = np.flatnonzero(where(env.render()[TOP:, BIDS], OWN["bid"]).any(axis=1))
        assert len(lines) < ROW
        rows.append(int(lines.min()) // ROW)
    assert rows == list(range(13, 23))  # the mid is a whole tick, in row 12


def test_an_own_order_beyond_the_ladder_is_shown_at_its_edge() -> None:
    env = drawn(regime="dealer", volatility=0.0, taker_rate=0.0, max_offset=100.0)
    env.step(np.array([0.0, 0.0], np.float32))
    ladder = env.render()[:, :376]
    assert where(ladder[TOP : TOP + ROW], OWN["ask"]).any()
    assert where(ladder[TOP + (N_ROWS - 1) * ROW :], OWN["bid"]).any()
    assert not where(ladder[TOP + ROW : TOP + (N_ROWS - 1) * ROW], OWN["bid"]).any()


def test_a_long_inventory_is_blue_above_zero_and_a_short_one_orange_below() -> None:
    for action, above, below in (([-0.9, 1.0], True, False), ([1.0, -0.9], False, True)):
        env = drawn(regime="dealer", taker_rate=20.0, volatility=0.0, max_inventory=1)
        before = env.render()
        env.step(np.array(action, np.float32))
        *_, info = env.step(np.array(action, np.float32))
        assert info["inventory"] == (1 if above else -1)
        image = env.render()
        chart = image[INVENTORY, CHART]
        assert where(chart[:36], OWN["bid"]).any() == above
        assert where(chart[42:], OWN["ask"]).any() == below
        assert not where(chart, OWN["ask" if above else "bid"]).any()
        assert (image[INVENTORY, CHART] != before[INVENTORY, CHART]).any()


def test_the_lines_of_mid_and_pnl_show_the_infos() -> None:
    # A session of 487 decisions has one column of pixels for each decision.
    env = drawn(regime="informed", session_steps=487, taker_rate=3.0)
    mids, pnls = [env._markets.records[0]["mid"]], [0.0]
    for _ in range(487):
        *_, info = env.step(np.array([-0.85, -0.85], np.float32))
        mids.append(info["mid"])
        pnls.append(info["pnl"])
    image = env.render()
    for rows, colour, values in ((PRICES, WHITE, mids), (PNL, GREEN, pnls)):
        line = where(image[rows, CHART], colour)[:, :-8]  # the dot covers the last columns
        assert line.any(axis=0).all()
        heights = [np.flatnonzero(column).mean() for column in line.T]
        assert np.corrcoef(heights, values[: len(heights)])[0, 1] < -0.99


def test_the_stored_past_equals_the_infos_and_the_quotes_in_the_book(
    read_queues: Callable[..., Any],
) -> None:
    env = drawn(regime="informed", session_steps=600, taker_rate=3.0, max_inventory=2)
    generator = np.random.default_rng(0)
    for seed in (1, 2):  # the second session shows nothing of the first
        _, info = env.reset(seed=seed)
        expected = []
        for step in range(1 + (600 if seed == 1 else 50)):
            if step:
                *_, info = env.step(generator.uniform(-1.0, -0.6, 2).astype(np.float32))
            prices = []
            for side in ("bid", "ask"):
                queues = read_queues(env._markets.records[0], side)
                prices += [
                    price for price, queue in queues.items() if any(order.own for order in queue)
                ] or [np.nan]
            expected.append([info["mid"], info["inventory"], info["pnl"], *prices])
        past = env._renderer._history.of(0, step)
        assert past.first == 0
        np.testing.assert_array_equal(np.transpose(past[1:]), expected)
        assert 0.1 < np.isnan(np.array(expected)[:, 3:]).mean() < 0.9


def test_the_picture_does_not_show_hidden_state() -> None:
    env = drawn(regime="informed")
    env.step(np.array([-0.8, -0.8], np.float32))
    before = env.render()
    for name in ("efficient_price", "signal", "decoy"):
        env._markets.records[0][name] += 1.0
    np.testing.assert_array_equal(env.render(), before)


def test_frames_share_no_memory_and_exist_before_the_first_reset() -> None:
    env = MarketMakingEnv(render_mode="rgb_array")
    frames = [env.render()]
    env.reset(seed=0)
    frames += [env.render(), env.render()]
    for frame in frames:
        assert isinstance(frame, np.ndarray)
        assert (frame.shape, frame.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert frame.flags.writeable
    assert not any(np.shares_memory(frames[a], frames[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    kept = frames[1].copy()
    frames[2][:] = 0
    np.testing.assert_array_equal(env.render(), kept)


@pytest.mark.parametrize(
    "fields",
    [
        *EXTREME_MARKETS,
        {"session_steps": 1},
        {"session_steps": 10**9, "decision_interval": 1e-3, "latency": 0.01},
    ],
)
def test_extreme_markets_are_drawn_without_an_error(fields: dict[str, Any]) -> None:
    env = drawn(**fields)
    generator = np.random.default_rng(1)
    terminated = False
    for _ in range(100):
        if not terminated:
            _, _, terminated, _, _ = env.step(generator.uniform(-1.0, -0.9, 2).astype(np.float32))
        assert env.render().shape == (HEIGHT, WIDTH, 3)
