"""Fills in recorded data are those of the slow replay, in samples and in random flow."""

import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from mm_gym.core.book import BOOK_CROSSED, SOUND
from mm_gym.core.entry_points import book_audit
from mm_gym.core.layout import BID
from mm_gym.core.scales import action_of_offset
from mm_gym.data.events import Source, convert, load
from mm_gym.data.events import read_events as load_events
from mm_gym.data.formats import open_file
from tests.data.made_up_day import AAPL, FIELDS, GOOG, NS, made_up_day, sample
from tests.data.slow_replay import BUY, SELL, Fill, SlowReplay

_TICK = 100  # [price units] of the samples


def fills_of(env: Any, origin: int, tick: int = _TICK) -> list[Fill]:
    """The recorded fills of an environment, as the slow replay has them."""
    return [
        Fill(
            round(row["time"] * NS) + origin,
            BUY if row["side"] == BID else SELL,
            int(row["price"]) * tick,
            int(row["lots"]),
        )
        for row in env.recorded().fills
    ]


class Follower:
    """The slow replay with a maker that joins both recorded touches at each decision.

    While a side of the book is empty, the mid stays, moved only as far as the other touch requires,
    and both quotes are `max_offset` from it.

    Args:
        config: of the environment.
        origin: [ns] start of the session.
        tick: [price units]
    """

    def __init__(self, config: Any, origin: int, tick: int = _TICK) -> None:
        self.tick = tick
        sizes = config.lot_size, config.quote_size, config.max_inventory
        self.replay = SlowReplay(*sizes, tick=tick)
        self.config = config
        self.mid = config.initial_price * tick
        self.origin, self.end = origin, origin + round(config.session_length * NS)

    def run(self, events: Any) -> SlowReplay:
        """Apply events to the end of the session."""
        delay = round(self.config.latency * NS)
        decision, step = self.origin, round(self.config.decision_interval * NS)
        sent: list[tuple[int, int, int]] = []  # quotes under way
        for event in events:
            if event[0] > self.end:
                break
            while event[0] > min(decision, sent[0][0] if sent else self.end):
                if sent and sent[0][0] <= decision:
                    self.replay.quote(*sent.pop(0))
                else:
                    sent.append((decision + delay, *self.wanted()))
                    decision += step if decision + step < self.end else self.end
            self.replay.event(event)
            if event[0] > self.origin - round(self.config.warm_up * NS):
                self.look()
        return self.replay

    def look(self) -> tuple[int | None, int | None]:
        """Update the mid, and return the touch."""
        bid, ask = self.replay.touch(BUY), self.replay.touch(SELL)
        if bid is not None and ask is not None:
            self.mid = (bid + ask) / 2
        elif bid is not None:
            self.mid = max(self.mid, bid)
        elif ask is not None:
            self.mid = min(self.mid, ask)
        return bid, ask

    def wanted(self) -> tuple[int, int]:
        """Prices of bid and ask."""
        bid, ask = self.look()
        if bid is not None and ask is not None:
            return bid, ask
        offset = self.config.max_offset * self.tick
        lower, upper = (self.mid - offset) // self.tick, -((-self.mid - offset) // self.tick)
        return int(lower) * self.tick, int(upper) * self.tick


@pytest.mark.parametrize(
    ("name", "n_events", "fields"),
    [
        (AAPL, 30_000, {"session_steps": 600}),
        (AAPL, 30_000, {"latency": 0.037, "quote_size": 3, "max_inventory": 5}),
        (AAPL, 30_000, {"lot_size": 1, "quote_size": 100, "max_inventory": 10**6}),
        # A file of the best level only: orders that leave the view stay in the book.
        (GOOG, 5_000, {"session_steps": 1000}),
    ],
)
def test_a_maker_at_both_touches_has_the_fills_of_the_slow_replay(
    tmp_path: Path, name: str, n_events: int, fields: dict[str, Any]
) -> None:
    events = load(open_file(sample(name)))
    rows = events.rows[:n_events]
    source = Source(name, events.price_unit, events.size_unit, iter([rows]))
    convert(source, tmp_path / "day.parquet")
    env = gymnasium.make(
        "MarketMaking-v0", regime="replay", data=str(tmp_path / "day.parquet"), record=10_000,
        requote_threshold=0.0, **({"session_steps": 300} | fields),
    ).unwrapped  # fmt: skip
    _, info = env.reset(seed=3)
    origin = int(env._markets.records["recorded"]["origin"][0])
    terminated = False
    while not terminated:
        offset = action_of_offset(0.5 * info["spread"], env.config.max_offset)
        _, _, terminated, _, info = env.step(np.full(2, offset, np.float32))
    slow = Follower(env.config, origin).run(rows.tolist())
    assert fills_of(env, origin) == slow.fills
    assert len(slow.fills) > 20
    assert info["inventory"] == slow.inventory


class Wanderer(Follower):
    """A maker whose quotes are a random number of ticks from the mid, from 1 on."""

    def __init__(self, config: Any, origin: int, ticks: list[list[int]]) -> None:
        super().__init__(config, origin, tick=1)
        self.ticks = iter(ticks)

    def wanted(self) -> tuple[int, int]:
        self.look()
        bid, ask = next(self.ticks)
        return math.floor(self.mid) - bid, math.ceil(self.mid) + ask


@pytest.mark.parametrize("seed", range(6))
def test_random_quotes_in_random_flow_have_the_fills_of_the_slow_replay(
    tmp_path: Path, seed: int
) -> None:
    path = made_up_day(tmp_path / "day.parquet", 100, seed, strange=0.05, spread=3)
    random = np.random.default_rng(seed)
    fields = {
        "latency": [0.0, 0.13, 1.7][seed % 3], "lot_size": [1, 50][seed % 2], "session_steps": 80,
        "quote_size": int(random.integers(1, 5)), "max_inventory": 12,
    }  # fmt: skip
    env = gymnasium.make(
        "MarketMaking-v0", data=path, **FIELDS | fields, requote_threshold=0.0, record=10_000
    ).unwrapped
    _, info = env.reset(seed=seed)
    origin = int(env._markets.records["recorded"]["origin"][0])
    # Each quote is wanted for a few decisions.
    ticks = np.repeat(random.integers(1, 5, (20, 2)), 4, axis=0).tolist()
    for bid, ask in ticks:
        mid = info["mid"]
        offsets = np.array([mid - math.floor(mid) + bid, math.ceil(mid) - mid + ask])
        action = action_of_offset(offsets, env.config.max_offset).astype(np.float32)
        *_, info = env.step(action)
    slow = Wanderer(env.config, origin, ticks).run(load_events(path).rows.tolist())
    assert fills_of(env, origin, 1) == slow.fills
    assert len(slow.fills) > 3
    assert info["inventory"] == slow.inventory
    assert book_audit(env._markets.records["book"]) in (SOUND, BOOK_CROSSED)
