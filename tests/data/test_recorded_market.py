"""Sessions in recorded data: equal environments, what is shown and evaluated, and refusals."""

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
from mm_gym.core.layout import ASK, BID
from mm_gym.core.scales import action_of_offset
from mm_gym.data.event_book import EventBook
from mm_gym.data.events import EVENT, DataFileError, Events, Source, convert
from mm_gym.data.events import read_events as load_events
from mm_gym.data.indexing import index
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.summary import summarise
from mm_gym.markets import Markets
from mm_gym.recordings import open_recording
from mm_gym.rendering.ladder import best_levels
from tests.data.made_up_day import AAPL, FIELDS, NS, made_up_day, sample
from tests.data.slow_replay import ADD, BUY, CANCEL, EXECUTE, SELL


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made_up_day(tmp_path_factory.mktemp("data") / "day.parquet", spread=3)


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
            until = int(record["recorded"]["origin"]) + round(float(record["time"]) * NS)
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
        return np.array(env.unwrapped._markets.records["recorded"]["origin"]) / NS

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
                time = origin + round(trade["time"] * NS)
                trades[time] = trades.get(time, 0) + int(trade["lots"])
                own[time] = own.get(time, 0) + int(trade["own_lots"])
        end = origin + FIELDS["session_steps"] * NS
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
        "MarketMaking-v0", num_envs=16, regime="replay", data=sample(AAPL), session_steps=300
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
        rows = np.array([(0, ADD, BUY, 1, 1, 5), (NS, ADD, BUY, 2, price, 5)], EVENT)
        path = tmp_path / f"{number}.parquet"
        convert(Source("made up", 0.01, 1.0, iter([rows])), path)
        with pytest.raises(ConfigurationError, match=message):
            configure("replay", data=str(path))


def test_a_file_whose_orders_are_all_older_is_refused(tmp_path: Path) -> None:
    rows = np.array([(0, CANCEL, BUY, 1, 100, 5), (NS, CANCEL, SELL, 2, 102, 5)], EVENT)
    with pytest.raises(DataFileError, match=r"late has no events .* got 2 events of orders from"):
        index(Events(rows, 0.01, 1.0, 1), "late")


def test_the_data_stay_for_all_episodes(day: str) -> None:
    env = gymnasium.make("MarketMaking-v0", data=day, **FIELDS)
    env.reset(options={"config": {"data_start": 0.5}})
    with pytest.raises(ConfigurationError, match="cannot change from episode to episode"):
        env.reset(options={"config": {"data": "other.parquet"}})


@pytest.mark.parametrize(
    ("column", "value"), [("kind", 9), ("size", -5), ("side", 3), ("time", -1)]
)
def test_events_of_an_edited_file_are_checked(column: str, value: int) -> None:
    rows = np.array([(0, ADD, BUY, 1, 100, 5), (NS, ADD, SELL, 2, 102, 5)], EVENT)
    rows[column][1] = value
    with pytest.raises(DataFileError, match=f"{column} of event 2 in edited is wrong: expected"):
        index(Events(rows, 0.01, 1.0, 1), "edited")
