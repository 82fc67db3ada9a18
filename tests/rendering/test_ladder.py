"""The text shows the state of the market: it is read back and compared with the record."""

import io
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest

from mm_gym import MarketMakingEnv, palette
from mm_gym.core.layout import ASK, BID, TAPE_ROWS
from mm_gym.rendering import ladder
from mm_gym.rendering.ladder import has_colour, short
from tests.random_quotes import quote
from tests.rendering.kit import EXTREME_MARKETS

DEPTH = 6  # levels shown a side
N_LINES = 20
ROWS = slice(3, 16)  # lines of the levels and the trades
COLUMNS = 80
SIDES = {"bid": BID, "ask": ASK}
CODE = re.compile(r"\x1b\[[\d;]*m")


class Level(NamedTuple):
    """One price of the book."""

    price: int
    lots: int
    bar: str  # oldest lots first


class Trade(NamedTuple):
    """One row of the latest trades."""

    side: int
    lots: int
    price: int
    own_lots: int
    age: float


def started(seed: int = 0, **keywords: Any) -> Any:
    env = gymnasium.make("MarketMaking-v0", render_mode="ansi", **keywords).unwrapped
    env.reset(seed=seed)
    return env


def read_levels(text: str) -> dict[str, list[Level]]:
    """Return the levels of bids and asks, from the highest price to the lowest."""
    levels: dict[str, list[Level]] = {"bid": [], "ask": []}
    for line in text.splitlines()[ROWS]:
        left = line.partition("│")[0].strip()
        bid = re.fullmatch(r"([▒█]*) +(\d+) +(-?\d+)", left)
        ask = re.fullmatch(r"(-?\d+) +(\d+) *([▒█]*)", left)
        if left and left[0] in "▒█":
            assert bid is not None
            levels["bid"].append(Level(int(bid[3]), int(bid[2]), bid[1][::-1]))
        elif ask is not None:
            levels["ask"].append(Level(int(ask[1]), int(ask[2]), ask[3]))
        else:
            assert left == "" or left.startswith(("no ", "┄"))
    return levels


def read_trades(text: str) -> list[Trade]:
    """Return the trades, the latest first."""
    trades = []
    for line in text.splitlines()[ROWS]:
        right = line.partition("│")[2].strip()
        if right:
            match = re.fullmatch(r"(buy|sell) +(\d+) @ +(-?\d+)(?: +(\d+))? +(\d+\.\d) s", right)
            assert match is not None, right
            side, lots, price, own, age = match.groups()
            trades.append(
                Trade(
                    BID if side == "buy" else ASK, int(lots), int(price), int(own or 0), float(age)
                )
            )
    return trades


@pytest.mark.parametrize("regime", ["noise", "informed", "dealer", "zero_intelligence"])
def test_the_ladder_shows_the_book_of_the_record(
    regime: str, read_queues: Callable[..., Any]
) -> None:
    env = started(regime=regime, quote_size=3, maker_size=2.0, maker_depth=1.0)
    generator = np.random.default_rng(0)
    in_the_middle = 0
    for _ in range(200):
        env.step(generator.uniform(-1.0, -0.6, 2).astype(np.float32))
        text = env.render()
        shown = read_levels(text)
        best = {}
        for side, line in (("bid", -3), ("ask", -2)):
            queues = read_queues(env._markets.records[0], side)
            prices = sorted(queues, reverse=True)
            best[side] = [
                (price, queues[price])
                for price in (prices[:DEPTH] if side == "bid" else prices[-DEPTH:])
            ]
            own = [own_quote(*place) for place in queues.items() if any(o.own for o in place[1])]
            assert text.splitlines()[line] == f" own {side}  {''.join(own) or 'none'}"
        totals = [sum(order.lots for order in queue) for side in best.values() for _, queue in side]
        for side, levels in best.items():
            for (price, queue), level in zip(levels, shown[side], strict=True):
                assert (level.price, level.lots) == (price, sum(order.lots for order in queue))
                bar = "".join(("█" if order.own else "▒") * order.lots for order in queue)
                if max(totals) <= 14:
                    assert level.bar == bar
                else:  # bars may be shorter than the queues
                    assert len(level.bar) <= min(16, len(bar))
                    assert re.sub(r"(.)\1+", r"\1", level.bar) == re.sub(r"(.)\1+", r"\1", bar)
                in_the_middle += "▒█" in level.bar and "█▒" in level.bar
        assert ("no bids" in text, "no asks" in text) == (not best["bid"], not best["ask"])
    if regime != "dealer":
        assert in_the_middle > 5  # an order of the agent between other orders


def own_quote(price: int, queue: list[Any]) -> str:
    """Return what the text says about the agent's order in a queue."""
    place = [order.own for order in queue].index(True)
    lots, total = queue[place].lots, sum(order.lots for order in queue)
    ahead = sum(order.lots for order in queue[:place])
    one, all_of_them = ("lot" if n == 1 else "lots" for n in (lots, total))
    return f"{lots} {one} at {price}, {ahead} of {total} {all_of_them} ahead"


def test_the_trades_of_the_text_are_the_latest_ones_of_the_record() -> None:
    env = started(regime="informed", taker_rate=2.0, taker_size=3.0, quote_size=3)
    sides, own = set(), 0
    seen = 0
    assert read_trades(env.render()) == []
    for _ in range(100):
        env.step(np.array([-0.8, -0.8], np.float32))
        record = env._markets.records[0]
        trades = read_trades(env.render())
        assert len(trades) == min(13, record["n_trades"])
        for number, trade in enumerate(trades):
            row = record["tape"][(record["n_trades"] - 1 - number) % TAPE_ROWS]
            expected = Trade(
                *(int(row[name]) for name in ("side", "lots", "price", "own_lots")),
                pytest.approx(record["time"] - row["time"], abs=0.0501),
            )
            assert trade == expected
            sides.add(trade.side)
            own += trade.own_lots
        assert [trade.age for trade in trades] == sorted(trade.age for trade in trades)
        seen = int(record["n_trades"])
    assert sides == {BID, ASK}
    assert min(own, seen) > 50


def test_time_inventory_fills_mid_and_pnl_agree_with_the_info() -> None:
    env = started(regime="informed", taker_rate=3.0, session_steps=40, maker_fee=0.1)
    fills = 0
    for step in range(1, 41):
        *_, info = env.step(np.array([-0.8, -0.8], np.float32))
        fills += info["fills"]
        lines = env.render().splitlines()
        time = f"{step} s of 40 s" if step < 40 else "closed at 40 s"
        inventory = f"{info['inventory']:+d}" if info["inventory"] else "0"
        assert re.split(" {2,}", lines[0].strip()) == [
            time,
            f"inventory {inventory}",
            f"fills {fills}",
        ]
        mid = rf"┄ {info['mid']:.1f}  spread {info['spread']:.1f} ┄"
        assert len(re.findall(mid, "\n".join(lines))) == 1
        numbers = re.fullmatch(
            r" PnL (\S+)  =  spread (\S+)  inventory (\S+)  fees (\S+)", lines[-1]
        )
        assert numbers is not None
        pnl, spread, holding, fees = (float(number) for number in numbers.groups())
        assert pnl == pytest.approx(info["pnl"], abs=0.051)
        assert pnl == pytest.approx(spread + holding + fees, abs=0.21)
        close_out = abs(info["inventory"]) if step == 40 else 0.0
        assert fees == pytest.approx(-0.1 * fills - close_out, abs=0.051)
    assert fills > 10
    assert close_out > 0.0


def test_the_ladder_of_an_empty_book_says_so() -> None:
    env = started(regime="dealer")
    text = env.render()
    for words in ("no asks", "no bids", "own bid  none", "own ask  none"):
        assert words in text
    # At the bound of inventory the agent does not quote the bid, and nobody else quotes.
    env = started(regime="dealer", max_inventory=1, taker_rate=50.0, taker_tolerance=1.0)
    env.step(np.array([-0.9, 1.0], np.float32))
    env.step(np.array([-0.9, 1.0], np.float32))
    text = env.render()
    assert "inventory +1" in text
    assert "no bids" in text
    assert "no asks" not in text


def test_before_the_first_reset_the_ladder_is_empty() -> None:
    text = MarketMakingEnv(render_mode="ansi").render()
    assert isinstance(text, str)
    assert "no asks" in text
    assert read_trades(text) == []


@pytest.mark.parametrize(
    "fields",
    [
        *EXTREME_MARKETS,
        {"initial_price": -5e8, **EXTREME_MARKETS[2], "maker_fee": 1e6, "close_out_impact": 1e6},
        {"session_steps": 10**9, "decision_interval": 1e-5, "latency": 0.0, "taker_rate": 1e3},
        {"decision_interval": 1e6, "session_steps": 10**9, "warm_up": 0.0, "maker_rate": 0.0,
         "taker_rate": 1e-4, "value_interval": 1e6, "regime": "dealer"},
    ],
)  # fmt: skip
def test_every_frame_is_aligned_within_80_columns(fields: dict[str, Any]) -> None:
    env = started(**fields)
    generator = np.random.default_rng(1)
    for _ in range(60):
        env.step(generator.uniform(-1.0, -0.9, 2).astype(np.float32))
        lines = env.render().splitlines()
        assert len(lines) == N_LINES
        assert max(len(line) for line in lines) == COLUMNS == len(lines[1]) == len(lines[16])
        between = lines[1].index("┬")
        assert lines[16].index("┴") == between
        assert {line.index("│") for line in lines[2:16]} == {between}
        assert {line.count("│") for line in lines[2:16]} == {1}
    # The columns of a number end at one place, those of the asks start at one.
    for pattern in (r"(-?\d+)  +(?=\d+\S? *[▒█])", r"@ +(-?\d+)", r"(\S+) s *$"):
        rows = "\n".join(lines[ROWS])
        ends = {match.end(1) for line in rows.splitlines() for match in re.finditer(pattern, line)}
        assert len(ends) <= 1, rows


@pytest.mark.parametrize(
    "lots, text",
    [
        (0, "0"),
        (99_999, "99999"),
        (100_000, "100k"),
        (1_234_567, "1.23M"),
        (12_345_678, "12.3M"),
        (999_600_000, "1.00G"),
        (2**62, "4.61E"),
    ],
)
def test_large_numbers_of_lots_have_three_digits(lots: int, text: str) -> None:
    assert short(lots) == text


def test_negative_prices_are_sorted_from_the_highest_to_the_lowest() -> None:
    env = started(initial_price=0.0, maker_depth=1.0)
    env.step(quote(7.5, 7.5))
    levels = read_levels(env.render())
    prices = [level.price for level in levels["ask"] + levels["bid"]]
    assert prices == sorted(prices, reverse=True)
    assert min(prices) < 0 < max(prices)


def test_without_a_render_mode_render_returns_none() -> None:
    env = gymnasium.make("MarketMaking-v0").unwrapped
    env.reset(seed=0)
    assert env.render() is None


def test_the_text_does_not_show_hidden_state() -> None:
    env = started(regime="informed", p_informed=0.5)
    for _ in range(30):
        env.step(np.array([-0.8, -0.8], np.float32))
    record, before = env._markets.records[0], env.render()
    assert record["n_trades"] > 0
    for name in ("efficient_price", "signal", "decoy"):
        record[name] += 1.0
    record["tape"]["kind"] = 0
    record["flow"]["p_informed"] = record["flow"]["imbalance"] = 0.5
    assert env.render() == before


# ------------------------------------------------------------------------------------------ colour


class Terminal(io.StringIO):
    """A standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "terminal, variables, expected",
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_text_has_colour_where_the_terminal_has_it(
    terminal: bool, variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal() if terminal else io.StringIO())
    assert has_colour() == expected
    assert ("\x1b" in started(regime="informed").render()) == expected


@pytest.mark.parametrize("fields", EXTREME_MARKETS)
def test_colours_change_no_character(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = started(**fields)
    for _ in range(20):
        env.step(np.array([-0.9, -0.9], np.float32))
    monkeypatch.setenv("NO_COLOR", "1")
    plain = env.render()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = env.render().splitlines()
    visible = [CODE.sub("", line) for line in lines]
    assert {len(line) for line in visible} == {COLUMNS}
    assert [line.rstrip() for line in visible] == plain.splitlines()
    assert all(line.endswith("\x1b[0m") for line in lines)  # no colour leaks into the next line


def test_bids_and_asks_have_the_colours_of_the_palette(monkeypatch: pytest.MonkeyPatch) -> None:
    rich_color = pytest.importorskip("rich.color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    env = started(regime="informed")
    env.step(np.array([-0.8, -0.8], np.float32))
    lines = env.render().splitlines()
    for side, colour in (("bid", palette.BID), ("ask", palette.ASK)):
        (line,) = [line for line in lines if f"own {side}" in line]
        codes = re.findall(r"\x1b\[38;5;(\d+)m\d+ lot", line)
        assert len(codes) == 1
        shown = rich_color.Color.from_ansi(int(codes[0])).get_truecolor()
        wanted = rich_color.Color.parse(colour.dark.lower()).get_truecolor()
        assert np.abs(np.subtract(shown, wanted)).max() < 32
    assert ladder.WIDTH == COLUMNS
