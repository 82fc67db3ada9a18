"""Damaged snapshots: each is refused in one sentence, or its market goes on as a sound one.

Damage is drawn: random bytes, and numbers of any field replaced by edges of their type. First the
checksum finds all of it. Then the same damage gets a checksum that fits, so that only the checks of
`mm_gym.core.soundness` stand before the core.
"""

import dataclasses
import math
import pickle
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest

from mm_gym.core.layout import BOOK_ROOMS
from mm_gym.errors import ConfigurationError
from mm_gym.markets import Markets
from mm_gym.parameters import book_room
from mm_gym.snapshots import Snapshot, checksum
from tests.data.made_up_day import made_up_day
from tests.trust.kit import INPUTS, answer
from validation.soak import hostile_config

DAMAGED = INPUTS // 4  # in each market
MARKETS: dict[str, dict[str, Any]] = {
    "informed": {"regime": "informed"},
    "messages under way": {
        "regime": "mixed", "latency": 1.5, "cancel_latency": 0.5, "quote_size": 3,
        "variance_reduction": True,
    },
    "clustered": {"regime": "clustered"},
    "zero intelligence": {"regime": "zero_intelligence"},
    "dealer": {"regime": "dealer"},
    "replay": {"regime": "replay"},
}  # fmt: skip


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made_up_day(tmp_path_factory.mktemp("data") / "day.parquet", seconds=300)


def batch(name: str, day: str, steps: int = 17) -> Any:
    fields = MARKETS[name] | ({"data": day} if name == "replay" else {})
    env = gymnasium.make_vec("MarketMaking-v0", num_envs=2, session_steps=40, **fields).unwrapped
    env.reset(seed=3)
    for _ in range(steps):
        env.step(np.full((2, 2), -0.7, np.float32))
    return env


def numbers_of(array: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of plain numbers inside an array of records, with the names of their fields."""
    if array.dtype.names is None:
        yield path, array
        return
    for name in array.dtype.names:
        yield from numbers_of(array[name], f"{path}.{name}")


def edges(number: Any) -> list[Any]:
    """Hostile values in place of a number."""
    kind = number.dtype
    if kind.kind == "f":
        return [math.nan, math.inf, -math.inf, -number, number + 1.0, 0.0, 1e300, -1e300, 5e-324]
    ends = np.iinfo(kind)
    values = [ends.min, ends.max, 0, 1, -1, int(number) - 1, int(number) + 1]
    return [value for value in values if ends.min <= value <= ends.max]


def damaged(records: Any, random: np.random.Generator) -> tuple[Any, str]:
    """A copy of the records with some damage, and what it is."""
    copied = records.copy()
    fields = [(path, field) for path, field in numbers_of(copied) if field.size]
    what = ""
    for _ in range(random.integers(1, 3)):
        if random.random() < 0.3:
            place = int(random.integers(copied.nbytes))
            copied.view(np.uint8)[place] ^= random.integers(1, 256)
            what += f" byte {place}"
            continue
        path, field = fields[random.integers(len(fields))]
        place = tuple(int(random.integers(n)) for n in field.shape)
        if "book" in path and random.random() < 0.8:  # most places of a book are not in use
            place = (*place[:-1], place[-1] % 8)
        values = edges(field[place])
        with np.errstate(over="ignore"):
            field[place] = np.array(values[random.integers(len(values))]).astype(field.dtype)
        what += f" {path}{place}={field[place]!r}"
    return copied, what


def sealed_again(snapshot: Snapshot, records: Any) -> Snapshot:
    total = checksum(records, snapshot.parameters, *snapshot.recorded)
    return dataclasses.replace(snapshot, records=records, checksum=total)


@pytest.mark.parametrize("name", MARKETS)
def test_a_damaged_snapshot_is_refused(name: str, day: str) -> None:
    env, random = batch(name, day), np.random.default_rng(1)
    snapshot = env.snapshot()
    before = pickle.dumps(env.snapshot())
    for _ in range(DAMAGED // 10):
        records, _ = damaged(snapshot.records, random)
        if records.tobytes() == snapshot.records.tobytes():
            continue
        tampered = dataclasses.replace(snapshot, records=records)
        with pytest.raises(ValueError, match=r"the snapshot is damaged: .*, got bytes whose"):
            env.restore(tampered)
    assert pickle.dumps(env.snapshot()) == before


@pytest.mark.parametrize("name", MARKETS)
def test_without_the_checksum_a_damaged_snapshot_is_refused_or_goes_on_as_a_sound_market(
    name: str, day: str
) -> None:
    env, random = batch(name, day), np.random.default_rng(2)
    snapshot, actions = env.snapshot(), np.full((2, 2), -0.7, np.float32)
    refused = 0
    for _ in range(DAMAGED):
        records, what = damaged(snapshot.records, random)
        again = sealed_again(snapshot, records)
        if answer(lambda again=again: env.restore(again) or True) is None:
            refused += 1
            continue
        for _ in range(3):
            results = env.step(actions)
            assert np.isfinite(results[1]).all(), what
        # A market that is not sound is refused.
        assert answer(lambda: env.restore(env.snapshot()) or True), what
    assert DAMAGED // 10 < refused < DAMAGED


@pytest.mark.parametrize("what", ["version", "attributes", "parameters", "records", "recorded"])
def test_other_parts_of_a_snapshot_are_checked(what: str, day: str) -> None:
    env = batch("informed", day)
    whole = env.snapshot()
    wrong: dict[str, list[Any]] = {
        "version": ["", None, "0.1.0"],
        "attributes": [
            {}, None, whole.attributes | {"_generators": [1, 2]},
            whole.attributes | {"_ended": np.zeros(1, bool)},
        ],
        "parameters": [None, whole.parameters[0], whole.parameters[:0], np.zeros(3)],
        "records": [None, [], whole.records[:1], whole.records["book"], whole.records.tobytes()],
        "recorded": [None, (), (None, None), whole.recorded[::-1], (np.zeros(3), np.zeros(3))],
    }  # fmt: skip
    for value in wrong[what]:
        refused = dataclasses.replace(whole, **{what: value})
        assert answer(lambda refused=refused: env.restore(refused) or True) is None
    rows = np.concatenate([whole.parameters, whole.parameters])
    rows["taker_rate"][1] = math.nan
    with pytest.raises(ValueError, match="got bytes whose checksum"):
        env.restore(dataclasses.replace(whole, parameters=rows))
    env.restore(pickle.loads(pickle.dumps(whole)))


def test_every_snapshot_of_hostile_markets_is_accepted() -> None:
    tried = 0
    for number in range(INPUTS // 50):
        random = np.random.default_rng([4, number])
        try:
            config = hostile_config(random, ())
        except ConfigurationError:
            continue
        if book_room(config) != BOOK_ROOMS[0]:
            continue
        markets = Markets(config, 2)
        if config.taker_rate + config.maker_rate > 1e3:
            continue
        markets.restore(markets.snapshot({}), {})
        markets.start(np.random.default_rng([4, number, i]) for i in range(2))
        for _ in range(min(20, config.session_steps)):
            markets.restore(markets.snapshot({}), {})
            actions = random.uniform(-1.0, 1.0, (2, 3)) * np.array([1, 1, random.integers(2)])
            markets.step(actions.astype(np.float32))
        markets.restore(markets.snapshot({}), {})
        tried += 1
    assert tried > INPUTS // 200
