"""Sessions in recorded data: fills against the slow replay, equality of faces, and refusals."""

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.rules import InventorySkewAgent, RandomAgent
from mm_gym import OBSERVATION_NAMES, ConfigurationError, configure
from mm_gym.core.book import BOOK_CROSSED, SOUND
from mm_gym.core.entry_points import book_audit
from mm_gym.core.layout import ASK, BID
from mm_gym.core.scales import action_of_offset
from mm_gym.data.event_book import EventBook
from mm_gym.data.events import EVENT, DataFileError, Events, Source, convert, load
from mm_gym.data.events import read_events as load_events
from mm_gym.data.formats import open_file
from mm_gym.data.recorded_market import index
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.summary import summarise
from mm_gym.markets import Markets
from mm_gym.recordings import open_recording
from mm_gym.rendering.ladder import best_levels
from tests.data.conftest import SAMPLES
from tests.data.slow_replay import (
    ADD,
    BUY,
    CANCEL,
    EXECUTE,
    HALT,
    HIDDEN,
    REDUCE,
    SELL,
    Fill,
    SlowReplay,
)

_NS = 1_000_000_000
_TICK = 100  # [price units] of the samples
_AAPL = "AAPL_2012-06-21_34200000_35400000_message_50.csv"
_GOOG = "GOOG_2012-06-21_34200000_57600000_message_1.csv"


def sample(name: str) -> str:
    """The path of a sample."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the sample {name} is not in ../shared/data, and not part of the project")
    return str(path)


def fills_of(env: Any, origin: int, tick: int = _TICK) -> list[Fill]:
    """The recorded fills of an environment, as the slow replay has them."""
    return [
        Fill(
            round(row["time"] * _NS) + origin,
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
        self.origin, self.end = origin, origin + round(config.session_length * _NS)

    def run(self, events: Any) -> SlowReplay:
        """Apply events to the end of the session."""
        delay = round(self.config.latency * _NS)
        decision, step = self.origin, round(self.config.decision_interval * _NS)
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
            if event[0] > self.origin - round(self.config.warm_up * _NS):
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
        (_AAPL, 30_000, {"session_steps": 600}),
        (_AAPL, 30_000, {"latency": 0.037, "quote_size": 3, "max_inventory": 5}),
        (_AAPL, 30_000, {"lot_size": 1, "quote_size": 100, "max_inventory": 10**6}),
        # A file of the best level only: orders that leave the view stay in the book.
        (_GOOG, 5_000, {"session_steps": 1000}),
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


# ------------------------------------------------------------------------------------------- faces


def made_up_day(
    path: Path, seconds: int = 120, seed: int = 0, strange: float = 0.0, spread: int = 1
) -> str:
    """Write a made-up recording with orders that come, go and trade at a few prices.

    Executions are those of a real queue: the oldest order at the best price is next. No new order
    is nearer than `spread` ticks to the other side. A share `strange` of the events are hidden
    executions, halts and executions of unknown orders.
    """
    random = np.random.default_rng(seed)
    queues: dict[int, dict[int, list[list[int]]]] = {BUY: {}, SELL: {}}
    rows = []

    def rest(side: int, price: int, order_id: int, size: int) -> None:
        queues[side].setdefault(price, []).append([order_id, size])
        rows.append((time, ADD, side, order_id, price, size))

    def take(side: int, price: int, place: int, size: int, kind: int) -> None:
        order = queues[side][price][place]
        rows.append((time, kind, side, order[0], price, size))
        order[1] -= size
        if order[1] == 0:
            queues[side][price].pop(place)
        if not queues[side][price]:
            del queues[side][price]

    time, n = 0, 0
    for side in (BUY, SELL):
        for depth in range(1, 9):
            n += 1
            rest(side, 1000 - side * depth, n, 900)
    while time < seconds * _NS:
        time += int(random.exponential(0.05) * _NS)
        side = int(random.choice([BUY, SELL]))
        prices = sorted(queues[side], key=lambda price: -side * price)
        draw = random.random()
        if draw < strange:
            kind = int(random.choice([HIDDEN, HALT, HALT, EXECUTE]))
            if kind == HALT:
                rows.append((time, HALT, 0, 0, 0, int(random.integers(2))))
            else:  # a hidden order, or one from before the recording
                price = prices[0] + int(random.integers(-1, 2))
                order_id = 0 if kind == HIDDEN else 10**6 + len(rows)
                rows.append((time, kind, side, order_id, price, int(random.integers(1, 200))))
        elif draw < 0.45 or len(prices) < 3:
            n += 1
            other = min(queues[-side], key=lambda price: -side * price)
            price = other - side * int(random.integers(spread, 7 + spread))
            rest(side, price, n, int(random.integers(1, 300)))
        elif draw < 0.8:
            price = int(random.choice(prices))
            place = int(random.integers(len(queues[side][price])))
            whole = queues[side][price][place][1]
            part = int(random.integers(1, whole + 1))
            take(side, price, place, part, CANCEL if part == whole else REDUCE)
        else:
            size = int(random.integers(1, 400))
            while size > 0 and queues[side][prices[0]]:
                traded = min(size, queues[side][prices[0]][0][1])
                take(side, prices[0], 0, traded, EXECUTE)
                size -= traded
                if prices[0] not in queues[side]:
                    break
    convert(Source("made up", 0.01, 1.0, iter([np.array(rows, EVENT)])), path)
    return str(path)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made_up_day(tmp_path_factory.mktemp("data") / "day.parquet", spread=3)


FIELDS: dict[str, Any] = {
    "regime": "replay", "session_steps": 20, "warm_up": 5.0, "lot_size": 50, "latency": 0.3,
    "quote_size": 2, "max_offset": 12.0,
}  # fmt: skip


def quotes(steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """Actions that are near the touch or inside of it, and change now and then."""
    random = np.random.default_rng(1)
    held = random.uniform(-1.0, 0.2, (steps, *shape))
    return np.repeat(held[::3], 3, axis=0)[:steps].astype(np.float32)


def test_a_batch_equals_single_markets_with_any_number_of_threads(day: str) -> None:
    actions = quotes(45, (3, 2))
    batches = [
        gymnasium.make_vec("MarketMaking-v0", num_envs=3, data=day, threads=threads, **FIELDS)
        for threads in (1, 2)
    ]
    singles = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("MarketMaking-v0", data=day, **FIELDS) for _ in range(3)]
    )
    seen = []
    for env in (*batches, singles):
        observations, infos = env.reset(seed=4)
        rows = [observations]
        for action in actions:
            observations, rewards, _, _, infos = env.step(action)
            rows.append(np.column_stack([observations, rewards, infos["pnl"], infos["mid"]]))
        seen.append(np.concatenate(rows, axis=1))
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    assert np.abs(infos["inventory"]).sum() > 0


def test_a_checkpoint_has_the_same_future_and_fits_its_recording_only(
    day: str, tmp_path: Path
) -> None:
    env, other = (
        gymnasium.make("MarketMaking-v0", data=path, **FIELDS).unwrapped
        for path in (day, made_up_day(tmp_path / "other.parquet", seed=1))
    )
    env.reset(seed=2)
    actions = quotes(15, (2,))
    for action in actions[:5]:
        env.step(action)
    snapshot = env.snapshot()
    first, _, again = (
        [env.step(action)[0].tobytes() for action in actions[5:]],
        env.restore(snapshot),
        [env.step(action)[0].tobytes() for action in actions[5:]],
    )
    assert first == again
    with pytest.raises(ValueError, match="the snapshot does not fit"):
        other.restore(snapshot)


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


def a_short_run(day: str) -> np.ndarray:
    """Observations, outcomes and fills of ten decisions of two markets."""
    markets = Markets(configure(data=day, **FIELDS), 2, fill_rows=50, path_rows=2000)
    rows = [markets.start(np.random.default_rng(i) for i in range(2))]
    rows += [markets.step(action) for action in quotes(10, (2, 2))]
    assert markets.records["n_fill_rows"].sum() > 0
    kept = [array.ravel() for row in rows for array in row]
    return np.concatenate([*kept, np.array(markets.fill_rows.tolist(), float).ravel()])


def test_interpreted_kernels_equal_compiled_ones(day: str, tmp_path: Path) -> None:
    # The kernels that read files need the compiler. The others get what they have read.
    program = (
        "import pickle, sys, numpy, mm_gym.recordings\n"
        "read = pickle.load(open(sys.argv[3], 'rb'))\n"
        "mm_gym.recordings._open = lambda *_: read\n"
        "from tests.data.test_recorded_market import a_short_run\n"
        "numpy.save(sys.argv[1], a_short_run(sys.argv[2]))\n"
    )
    (tmp_path / "read").write_bytes(pickle.dumps(open_recording(day)))
    root, path = Path(__file__).parents[2], tmp_path / "interpreted.npy"
    subprocess.run(
        # The random words overflow, which NumPy warns about.
        [
            sys.executable,
            "-W",
            "ignore::RuntimeWarning",
            "-c",
            program,
            str(path),
            day,
            str(tmp_path / "read"),
        ],
        cwd=root,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(root)},
        check=True,
    )
    np.testing.assert_allclose(np.load(path), a_short_run(day), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("latency", [0.0, 0.3])
def test_events_that_are_skipped_change_nothing(tmp_path: Path, latency: float) -> None:
    """A recorder looks at every event. Without one, most events are skipped."""
    path = made_up_day(tmp_path / "day.parquet", 60, seed=2, strange=0.05)
    config = configure(data=path, **FIELDS | {"latency": latency, "max_offset": 6.0})
    looking, skipping = Markets(config, 8, 1000, 10_000), Markets(config, 8)
    for markets in (looking, skipping):
        markets.start(np.random.default_rng(i) for i in range(8))
    for action in quotes(20, (8, 2)):
        for seen, expected in zip(skipping.step(action), looking.step(action), strict=True):
            np.testing.assert_array_equal(seen, expected)
    for records in (looking.records, skipping.records):
        records["n_fill_rows"], records["n_path_rows"], records["n_new_fills"] = 0, 0, 0
        records["quotes"]["time_at_touch"] = 0.0
    assert looking.records.tobytes() == skipping.records.tobytes()
    assert looking.records["account"]["n_fills"].min() > 0


def test_the_book_that_is_shown_is_the_recorded_one_with_the_quotes_of_the_agent(day: str) -> None:
    markets = Markets(configure(data=day, **FIELDS), 2)
    markets.start(np.random.default_rng(i) for i in range(2))
    events, own = load_events(day).rows, 0
    for action in quotes(20, (2, 2)):
        markets.step(action)
        for market in range(2):
            record = markets.shown(market)
            until = int(record["recorded"]["origin"]) + round(float(record["time"]) * _NS)
            book = EventBook()
            book.apply(events[events["time"] <= until])
            for side, levels in zip((BID, ASK), book.levels(100), strict=True):
                shown = []
                for price, queue in best_levels(record["book"], side, 100):
                    public = sum(lots for lots, of_agent in queue if not of_agent)
                    own += sum(of_agent for _, of_agent in queue)
                    shown += [(price, public)] * (public > 0)
                assert shown == levels
    assert own > 20


def test_the_start_depends_on_the_seed_and_lies_in_the_chosen_part(day: str) -> None:
    def starts(**part: float) -> np.ndarray:
        env = gymnasium.make_vec("MarketMaking-v0", num_envs=50, data=day, **FIELDS, **part)
        env.reset(seed=0)
        return np.array(env.unwrapped._markets.records["recorded"]["origin"]) / _NS

    early, late = starts(data_end=0.5), starts(data_start=0.5)
    length, warm_up = FIELDS["session_steps"], FIELDS["warm_up"]
    assert len(np.unique(early)) == 50
    np.testing.assert_array_equal(early, starts(data_end=0.5))
    assert warm_up <= early.min() < 0.25 * 120
    assert early.max() + length <= 0.5 * 121
    assert late.min() >= 0.5 * 120 + warm_up
    assert 0.8 * 120 < late.max() + length <= 121


def test_each_recorded_lot_trades_once_whoever_takes_it(day: str) -> None:
    """At the time of each recorded execution, the trades have the executed size in sum."""
    own_lots = []
    for action in (-0.6, 1.0):
        env = gymnasium.make("MarketMaking-v0", data=day, **FIELDS).unwrapped
        env.reset(seed=5)
        origin = int(env._markets.records["recorded"]["origin"][0])
        tape, n = env._markets.records["tape"][0], 0
        trades: dict[int, int] = {}
        own: dict[int, int] = {}
        for _ in range(FIELDS["session_steps"]):
            env.step(np.full(2, action, np.float32))
            before, n = n, int(env._markets.records["n_trades"][0])
            assert n - before <= len(tape)
            for trade in (tape[k % len(tape)] for k in range(before, n)):
                time = origin + round(trade["time"] * _NS)
                trades[time] = trades.get(time, 0) + int(trade["lots"])
                own[time] = own.get(time, 0) + int(trade["own_lots"])
        end = origin + FIELDS["session_steps"] * _NS
        executed: dict[int, int] = {}
        for time, kind, _, _, _, size in load_events(day).rows.tolist():
            if origin < time <= end and kind == EXECUTE:
                executed[time] = executed.get(time, 0) + size
        assert {time: trades[time] for time in executed} == executed
        # Other trades are those of new orders that would have met the agent.
        assert all(trades[time] == own[time] for time in trades.keys() - executed.keys())
        own_lots.append(sum(own[time] for time in executed))
        assert len(executed) > 20
    assert own_lots[0] > 50
    assert own_lots[1] == 0


def test_columns_of_the_observation_vary_by_about_a_unit() -> None:
    env = gymnasium.make_vec(
        "MarketMaking-v0", num_envs=16, regime="replay", data=sample(_AAPL), session_steps=300
    )
    _, infos = env.reset(seed=0)
    seen = []
    for _ in range(299):
        offset = action_of_offset(0.5 * infos["spread"], env.unwrapped.config.max_offset)
        observations, _, _, _, infos = env.step(np.stack([offset, offset], 1).astype(np.float32))
        seen.append(observations)
    deviations = np.std(seen, axis=(0, 1))
    # As in tests/test_face_scales.py; columns of the market have 0.3 as their unit.
    assert dict(zip(OBSERVATION_NAMES, (deviations > 0.15) & (deviations < 3.0), strict=True)) == (
        dict.fromkeys(OBSERVATION_NAMES, True)
    )


def test_an_evaluation_has_no_columns_that_need_hidden_truth(day: str) -> None:
    config = configure(data=day, **FIELDS)
    sessions = run_sessions(InventorySkewAgent, config, episodes=4)
    row = summarise("skew", sessions)
    assert row["total_fills"] > 0
    assert np.isfinite([row["final_pnl"], row["effective_half_spread"], row["markout_1"]]).all()
    assert np.isnan([value for name, value in row.items() if name.startswith("value_")]).all()
    assert np.isnan([row["inventory_pnl_informed"], row["inventory_pnl_noise"]]).all()
    # Paired: another agent meets the same prices.
    other = run_sessions(RandomAgent, config, episodes=4)
    np.testing.assert_array_equal(sessions.mid_path, other.mid_path)


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "regime 'replay' needs recorded data: expected data with the path"),
        ({"data": "no/such.parquet"}, "data='no/such.parquet' cannot be read: expected the path"),
        ({"session_steps": 200}, r"day.parquet is too short: expected at least 220 s .* got 1"),
        ({"data_start": 0.9}, "day.parquet is too short"),
        ({"data_start": 0.7, "data_end": 0.3}, "data_start=0.7 is too late"),
        ({"p_informed": 0.3}, "p_informed=0.3 contradicts regime 'replay'"),
        ({"makers": "anchored"}, "makers='anchored' contradicts regime 'replay'"),
        ({"variance_reduction": True}, "variance_reduction=True contradicts regime 'replay'"),
        ({"regime": "noise"}, "data='.*' has no effect in regime 'noise'"),
        ({"quote_size": 10**6, "lot_size": 10**6}, "quote_size=1000000 is too large"),
    ],
)
def test_what_recorded_data_do_not_allow_is_refused(
    day: str, fields: dict[str, Any], message: str
) -> None:
    given = {"regime": "replay", "data": day, "session_steps": 20, **fields}
    if not fields:
        del given["data"]
    with pytest.raises(ConfigurationError, match=message) as raised:
        gymnasium.make("MarketMaking-v0", **given)
    assert "\n" not in str(raised.value)


def test_a_file_without_a_spread_or_with_huge_prices_is_refused(tmp_path: Path) -> None:
    for number, (price, message) in enumerate(
        [(100, "has no mid price"), (2**62 + 1, "has a price that is too large")]
    ):
        rows = np.array([(0, ADD, BUY, 1, 1, 5), (_NS, ADD, BUY, 2, price, 5)], EVENT)
        path = tmp_path / f"{number}.parquet"
        convert(Source("made up", 0.01, 1.0, iter([rows])), path)
        with pytest.raises(ConfigurationError, match=message):
            configure("replay", data=str(path))


def test_the_data_stay_for_all_episodes(day: str) -> None:
    env = gymnasium.make("MarketMaking-v0", data=day, **FIELDS)
    env.reset(options={"config": {"data_start": 0.5}})
    with pytest.raises(ConfigurationError, match="cannot change from episode to episode"):
        env.reset(options={"config": {"data": "other.parquet"}})


@pytest.mark.parametrize(
    ("column", "value"), [("kind", 9), ("size", -5), ("side", 3), ("time", -1)]
)
def test_events_of_an_edited_file_are_checked(column: str, value: int) -> None:
    rows = np.array([(0, ADD, BUY, 1, 100, 5), (_NS, ADD, SELL, 2, 102, 5)], EVENT)
    rows[column][1] = value
    with pytest.raises(DataFileError, match=f"{column} of event 2 in edited is wrong: expected"):
        index(Events(rows, 0.01, 1.0, 1), "edited")
