"""The picture shows the state of the market and the session so far."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mm_gym import MarketMakingEnv, palette
from mm_gym.actions import from_ticks
from mm_gym.rendering.canvas import Canvas
from tests.rendering.kit import (
    ASKS,
    BIDS,
    CHART,
    EFFICIENT_PRICE,
    EXTREME_MARKETS,
    HEIGHT,
    HELD,
    INVENTORY,
    MID,
    MID_ROW,
    N_ROWS,
    OWN,
    PNL,
    PRICES,
    PUBLIC,
    RGB,
    ROW,
    TOP,
    TRADE_ROW,
    TRADES,
    WIDTH,
    Image,
    drawn,
    heights,
    rgb,
    where,
)

CLOSE = np.array([-0.8, -0.8], np.float32)  # quotes close to the mid


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
            bars[int(np.floor(mid)) + MID_ROW - row] = pieces
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
                if abs(price - np.floor(mid)) <= MID_ROW:
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
    for offset in range(1, 10):
        env = drawn(regime="dealer", volatility=0.0, taker_rate=0.0)
        env.step(from_ticks([offset, 15.0], 15.0))
        lines = np.flatnonzero(where(env.render()[TOP:, BIDS], OWN["bid"]).any(axis=1))
        assert len(lines) < ROW
        rows.append(int(lines.min()) // ROW)
    assert rows == list(range(MID_ROW + 1, N_ROWS))  # the mid is a whole tick


def test_an_own_order_beyond_the_ladder_is_shown_at_its_edge() -> None:
    env = drawn(regime="dealer", volatility=0.0, taker_rate=0.0, max_offset=100.0)
    env.step(np.array([0.0, 0.0], np.float32))
    ladder = env.render()[:, :376]
    assert where(ladder[TOP : TOP + ROW], OWN["ask"]).any()
    assert where(ladder[TOP + (N_ROWS - 1) * ROW :], OWN["bid"]).any()
    assert not where(ladder[TOP + ROW : TOP + (N_ROWS - 1) * ROW], OWN["bid"]).any()


def shows(
    image: Image, at: tuple[float, float], text: str, colour: RGB, size: int, anchor: str
) -> bool:
    """Whether the picture shows a line of text at a place, on one background."""
    blank = Canvas.plain(WIDTH, HEIGHT, (0, 0, 0))
    blank.write(at, text, (255, 255, 255), size, anchor)
    letters = np.array(blank.image)[:, :, 0] > 250
    assert letters.any()
    return bool(where(image[letters][None], colour, tolerance=8).all())


def test_the_ladder_says_the_size_and_the_queue_position_of_the_own_orders(
    read_queues: Callable[..., Any],
) -> None:
    env = drawn(quote_size=3, maker_size=3.0, maker_depth=1.0, taker_size=1.0)
    generator = np.random.default_rng(0)
    behind, first = 0, 0
    for _ in range(100):
        *_, info = env.step(generator.uniform(-1.0, -0.6, 2).astype(np.float32))
        image = env.render()
        for side, x, anchor in (("bid", 240, "l"), ("ask", 152, "r")):
            for price, queue in read_queues(env._markets.records[0], side).items():
                places = [place for place, order in enumerate(queue) if order.own]
                row = MID_ROW + int(np.floor(info["mid"])) - price
                if places and 0 <= row < N_ROWS:
                    ahead = sum(order.lots for order in queue[: places[0]])
                    place = f"{ahead} ahead" if ahead else "first"
                    text = f"own {queue[places[0]].lots}, {place}"
                    at = (x, TOP + ROW * row + ROW / 2)
                    assert shows(image, at, text, OWN[side], 12, anchor), text
                    behind, first = behind + (ahead > 0), first + (ahead == 0)
    assert behind > 5
    assert first > 5


def test_the_header_shows_the_info() -> None:
    env = drawn(regime="informed", taker_rate=3.0)
    fills = 0
    for step in range(1, 31):
        *_, info = env.step(CLOSE)
        fills += int(info["fills"])
        image = env.render()
        lots = int(info["inventory"])
        colour = rgb(palette.TEXT) if lots == 0 else OWN["bid" if lots > 0 else "ask"]
        for cell, text in enumerate(
            (
                f"{step}",
                f"{info['mid']:.1f}",
                f"{info['spread']:.1f}",
                f"{lots:+d}" if lots else "0",
                f"{fills}",
                f"{info['pnl']:+.1f}",
            )
        ):
            own = colour if cell == 3 else rgb(palette.TEXT)
            assert shows(image, (16 + 154 * cell, 40), text, own, 21, "l"), text
    assert fills > 10


def test_the_latest_trades_are_those_of_the_tape() -> None:
    env = drawn(regime="informed", p_informed=0.5, signal_threshold=0.0, show_truth=True)
    own, kinds = 0, set()
    for _ in range(30):
        env.step(CLOSE)
    image = env.render()
    market = env._markets.records[0]
    n_trades, tape = int(market["n_trades"]), market["tape"]
    for line in range(5):
        trade = tape[(n_trades - 1 - line) % len(tape)]
        y = TRADES + (line + 0.5) * TRADE_ROW
        buys = trade["side"] == 0
        informed = trade["kind"] == 2
        kinds.add(bool(informed))
        cells = [
            (48, f"{trade['time']:.1f} s", rgb(palette.MUTED)),
            (120, f"{trade['lots']} at {trade['price']}", rgb(palette.TEXT)),
            (
                322,
                "informed" if informed else "noise",
                rgb(palette.INFORMED if informed else palette.NOISE),
            ),
        ]
        if trade["own_lots"]:
            own += 1
            side, done = ("ask", "sold") if buys else ("bid", "bought")
            cells.append((222, f"own {done} {trade['own_lots']}", OWN[side]))
        for x, text, colour in cells:
            assert shows(image, (x, y), text, colour, 12, "l"), text
        mark = image[round(y) - 4 : round(y) + 5, 20:37]
        assert where(mark, OWN["bid" if buys else "ask"]).sum() > 20
        assert not where(mark, OWN["ask" if buys else "bid"]).any()
    assert own
    assert kinds == {True, False}


def test_a_long_inventory_is_above_zero_and_a_short_one_below() -> None:
    for action, above, below in (([-0.9, 1.0], True, False), ([1.0, -0.9], False, True)):
        env = drawn(regime="dealer", taker_rate=20.0, volatility=0.0, max_inventory=1)
        env.step(np.array(action, np.float32))
        *_, info = env.step(np.array(action, np.float32))
        assert info["inventory"] == (1 if above else -1)
        chart = env.render()[INVENTORY, CHART]
        middle = len(chart) // 2
        assert where(chart[: middle - 2], HELD["bid"]).any() == above
        assert where(chart[middle + 2 :], HELD["ask"]).any() == below
        assert not where(chart, HELD["ask" if above else "bid"]).any()


def scale_of(rows: Any, values: Any) -> tuple[float, float]:
    """The row of pixels of value 0, and the rows per unit, from the points of a line."""
    known = np.isfinite(rows)
    slope, origin = np.polyfit(np.asarray(values)[known], rows[known], 1)
    return float(origin), float(slope)


def test_the_lines_of_pnl_and_its_parts_show_the_account() -> None:
    # A session of 487 decisions has one column of pixels for each decision.
    env = drawn(3, regime="informed", session_steps=487, taker_rate=3.0, maker_fee=0.2)
    account = env._markets.records[0]["account"]
    rows = [(0.0, 0.0, 0.0, 0.0)]
    for _ in range(487):
        *_, info = env.step(np.array([-0.85, -0.85], np.float32))
        costs = account["fees"] + account["close_out"]
        rows.append((info["pnl"], account["spread_pnl"], account["inventory_pnl"], -costs))
    pnl, spread, holding, costs = np.array(rows)[:-8].T  # dots cover the last columns
    np.testing.assert_allclose(pnl, spread + holding + costs, atol=1e-9)
    chart = env.render()[PNL, CHART][:, :-8]
    seen = heights(chart, rgb(palette.TOTAL))
    assert np.isfinite(seen[1:]).all()
    origin, slope = scale_of(seen, pnl)
    assert slope < 0.0
    for colour, values, share in (
        (palette.TOTAL, pnl, 0.99),
        (palette.SPREAD, spread, 0.8),
        (palette.INVENTORY, holding, 0.3),  # dashed
        (palette.FEES, costs, 0.3),
    ):
        seen = heights(chart, rgb(colour))
        known = np.isfinite(seen)
        assert known.mean() >= share
        # A line is up to three pixels high, and steep between two values that differ much.
        steep = np.abs(np.gradient(values)) * -slope
        wrong = np.abs(seen - origin - slope * values)[known]
        assert (wrong <= 2.5 + steep[known]).all()
        assert np.median(wrong) < 1.0


def fills_of(env: Any) -> Any:
    return env._renderer._history.of(0, int(env._markets.records[0]["steps"])).fills


@pytest.mark.parametrize("show_truth", [False, True])
def test_quotes_and_fills_are_drawn_at_their_prices(show_truth: bool) -> None:
    # A session of 160 decisions has three columns of pixels for each decision.
    env = drawn(
        seed=1,
        regime="informed",
        p_informed=0.6,
        session_steps=160,
        record=1000,
        show_truth=show_truth,
    )
    mids = [float(env._markets.records[0]["mid"])]
    values = [float(env._markets.records[0]["efficient_price"])]
    for _ in range(160):
        *_, info = env.step(CLOSE)
        mids.append(float(info["mid"]))
        values.append(float(info["efficient_price"]))
    chart = env.render()[PRICES, CHART]
    seen = heights(chart, MID)
    columns = np.arange(161) * 479 / 160
    origin, slope = scale_of(seen, np.interp(np.arange(488), columns, mids))
    at = np.round(columns).astype(int)
    assert np.nanmedian(np.abs(seen[at] - origin - slope * np.array(mids))) < 1.0

    fills = env.recorded().fills
    assert len(fills) > 20
    as_drawn = 0
    for fill in fills:
        x = round(fill["time"] * 479 / 160)
        y = round(origin + slope * fill["price"])
        informed = fill["taker"] == 2
        side = rgb((palette.BID, palette.ASK)[fill["side"]])
        kind = rgb(palette.INFORMED if informed else palette.NOISE)
        mark = chart[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
        middle = chart[y - 1 : y + 2, max(x - 1, 0) : x + 2]
        colour = kind if show_truth else side
        hollow = show_truth and not informed
        filled = where(middle, colour).mean() > 0.7
        as_drawn += where(mark, colour).sum() > 8 and filled != hollow
    assert as_drawn > 0.7 * len(fills)  # later fills cover some

    # Rows of the efficient price are seen where its dashes are not covered.
    seen = heights(chart, EFFICIENT_PRICE)
    if show_truth:
        wrong = np.abs(seen[at] - origin - slope * np.array(values))
        assert np.isfinite(wrong).sum() > 30
        assert np.nanmedian(wrong) < 1.5
    else:
        assert np.isnan(seen).all()


def test_bought_points_up_and_sold_points_down() -> None:
    for action, colour, up in (
        ([-0.9, 1.0], OWN["bid"], True),
        ([1.0, -0.9], OWN["ask"], False),
    ):
        market = {"regime": "dealer", "taker_rate": 20.0, "taker_tolerance": 1.0}
        env = drawn(2, **market, volatility=0.0, max_inventory=1)
        env.step(np.array(action, np.float32))
        assert len(fills_of(env)) == 1
        env.step(np.ones(2, np.float32))
        env.step(np.ones(2, np.float32))
        marks = where(env.render()[PRICES, CHART], colour, tolerance=12)[:, :12]
        widths = marks.sum(axis=1)
        widths = widths[widths > 0]
        assert (widths[0] < widths[-1]) == up


def test_the_past_holds_exactly_the_fills_of_the_recorder() -> None:
    keywords: dict[str, Any] = {"quote_size": 3, "taker_size": 2.0, "taker_rate": 2.0}
    env = drawn(regime="informed", p_informed=0.5, session_steps=80, record=1000, **keywords)
    several = 0
    for seed in (1, 2):  # the second session has none of the fills of the first
        env.reset(seed=seed)
        for _ in range(80 if seed == 1 else 40):
            *_, info = env.step(np.array([-0.9, -0.9], np.float32))
            several += info["fills"] > 1
        fills, past = env.recorded().fills, fills_of(env)
        assert len(fills) > 20
        np.testing.assert_array_equal(past["side"], 1 - fills["side"])  # of the taker
        for ours, theirs in (
            ("time", "time"),
            ("price", "price"),
            ("own_lots", "lots"),
            ("kind", "taker"),
        ):
            np.testing.assert_array_equal(past[ours], fills[theirs])
    assert several > 5


def test_the_stored_past_equals_the_infos_and_the_quotes_in_the_book(
    read_queues: Callable[..., Any],
) -> None:
    env = drawn(regime="informed", session_steps=600, taker_rate=3.0, max_inventory=2)
    generator = np.random.default_rng(0)
    account = env._markets.records[0]["account"]
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
            shown = [info[name] for name in ("mid", "inventory", "pnl", "efficient_price")]
            parts = [
                float(account[name])
                for name in ("spread_pnl", "inventory_pnl", "fees", "close_out")
            ]
            expected.append([*shown, *parts, *prices])
        past = env._renderer._history.of(0, step)
        assert past.first == 0
        np.testing.assert_array_equal(np.transpose(past[2:]), expected)
        assert 0.1 < np.isnan(np.array(expected)[:, -2:]).mean() < 0.9


def test_hidden_state_is_shown_only_on_request() -> None:
    for show_truth in (False, True):
        env = drawn(regime="informed", p_informed=0.5, show_truth=show_truth)
        for _ in range(60):
            env.step(CLOSE)
        before, history = env.render(), env._renderer._history
        market = env._markets.records[0]
        assert {0, 2} <= set(fills_of(env)["kind"])
        for name in ("efficient_price", "signal", "decoy"):
            market[name] += 1.0
        np.testing.assert_array_equal(env.render(), before)  # the past was stored earlier
        history._rows[0, :61, 3] += 1.0  # the efficient price
        assert (env.render() != before).any() == show_truth
        history._rows[0, :61, 3] -= 1.0
        np.testing.assert_array_equal(env.render(), before)
        history._fills["kind"][:] = 0
        assert (env.render() != before).any() == show_truth
        market["tape"]["kind"] = 2 - market["tape"]["kind"]
        assert (env.render()[TRADES:, :376] != before[TRADES:, :376]).any() == show_truth


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
    for step in range(100):
        if not terminated:
            _, _, terminated, _, _ = env.step(generator.uniform(-1.0, -0.9, 2).astype(np.float32))
        if step % 9 == 0:
            assert env.render().shape == (HEIGHT, WIDTH, 3)
