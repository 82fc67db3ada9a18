"""The text shows the state of the market."""

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

from mm_gym import MarketMakingEnv
from tests.random_quotes import quote
from tests.rendering.kit import EXTREME_MARKETS

DEPTH = 6  # levels shown a side


def started(seed: int = 0, **keywords: Any) -> Any:
    env = gymnasium.make("MarketMaking-v0", render_mode="ansi", **keywords).unwrapped
    env.reset(seed=seed)
    return env


def written(queue: list[Any]) -> str:
    """Return a queue as the ladder writes it: oldest first, an order of the agent as >lots<."""
    parts: list[str] = []
    others = 0
    for order in queue:
        if order.own:
            parts += [str(others)] * (others > 0) + [f">{order.lots}<"]
            others = 0
        else:
            others += order.lots
    return " + ".join(parts + [str(others)] * (others > 0))


def read_ladder(text: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return bids and asks as (price, queue), from the highest price to the lowest."""
    bids, asks = [], []
    for line in text.splitlines()[2:]:
        if line.count("|") == 2:
            bid, price, ask = (part.strip() for part in line.split("|"))
            assert (bid == "") != (ask == "")
            (bids if bid else asks).append((int(price), bid or ask))
    return bids, asks


@pytest.mark.parametrize("regime", ["noise", "informed", "dealer"])
def test_the_ladder_shows_the_book_of_the_record(
    regime: str, read_queues: Callable[..., Any]
) -> None:
    env = started(regime=regime, quote_size=3, maker_size=3.0, maker_depth=1.0)
    generator = np.random.default_rng(0)
    in_the_middle = 0
    for _ in range(300):
        env.step(generator.uniform(-1.0, -0.6, 2).astype(np.float32))
        text = env.render()
        bids, asks = read_ladder(text)
        book = {side: read_queues(env._markets.records[0], side) for side in ("bid", "ask")}
        assert bids == [
            (price, written(book["bid"][price]))
            for price in sorted(book["bid"], reverse=True)[:DEPTH]
        ]
        assert (
            asks
            == [(price, written(book["ask"][price])) for price in sorted(book["ask"])[:DEPTH]][::-1]
        )
        assert ("no bids" in text, "no asks" in text) == (not book["bid"], not book["ask"])
        in_the_middle += len(re.findall(r"\d \+ >\d<.* \+ \d", text))
    if regime != "dealer":
        assert in_the_middle > 10  # an order of the agent between other orders


def test_the_first_line_of_the_ladder_agrees_with_the_info() -> None:
    env = started(regime="informed", taker_rate=3.0, session_steps=40)
    fills = 0
    for step in range(1, 41):
        *_, info = env.step(np.array([-0.8, -0.8], np.float32))
        fills += info["fills"]
        head = env.render().splitlines()[0]
        numbers = re.fullmatch(
            r"t = (\S+) s   mid (\S+)   inventory ([+-]\d+)   PnL ([+-]\S+)", head
        )
        assert numbers is not None
        time, mid, inventory, pnl = (float(number) for number in numbers.groups())
        assert (time, mid, inventory) == (step, info["mid"], info["inventory"])
        assert pnl == pytest.approx(info["pnl"], abs=0.05)
    assert fills > 10


def test_the_ladder_of_an_empty_book_says_so() -> None:
    env = started(regime="dealer")
    assert env.render().splitlines()[-2:] == [
        f"{'no asks':^62}".rstrip(),
        f"{'no bids':^62}".rstrip(),
    ]
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
    assert text is not None
    assert "no asks" in text


@pytest.mark.parametrize("fields", EXTREME_MARKETS)
def test_no_line_of_the_ladder_is_wider_than_80_columns(fields: dict[str, Any]) -> None:
    env = started(**fields)
    generator = np.random.default_rng(1)
    widest = 0
    for _ in range(200):
        env.step(generator.uniform(-1.0, -0.9, 2).astype(np.float32))
        widest = max(widest, *(len(line) for line in env.render().splitlines()))
    assert widest <= 80


def test_negative_prices_are_sorted_from_the_highest_to_the_lowest() -> None:
    env = started(initial_price=0.0, maker_depth=1.0)
    env.step(quote(7.5, 7.5))
    bids, asks = read_ladder(env.render())
    prices = [price for price, _ in asks + bids]
    assert prices == sorted(prices, reverse=True)
    assert min(prices) < 0 < max(prices)


def test_without_a_render_mode_render_returns_none() -> None:
    env = gymnasium.make("MarketMaking-v0").unwrapped
    env.reset(seed=0)
    assert env.render() is None


def test_drawing_does_not_change_the_record() -> None:
    env = started()
    env.step(np.array([-0.7, -0.7], np.float32))
    before = env._markets.records.tobytes()
    assert env.render() == env.render()
    assert env._markets.records.tobytes() == before
