"""A market takes little memory, and markets share the parameters of equal configurations."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mm_gym.config import MarketConfig, configure
from mm_gym.core.layout import BOOK_ROOMS, MARKET, book_dtype
from mm_gym.markets import Markets
from mm_gym.parameters import book_room, to_parameters
from tests.core.kit import started, step

ROOT = Path(__file__).parents[2]


def test_a_market_takes_at_most_12_000_bytes_and_the_parameters_are_stored_once() -> None:
    assert MARKET.itemsize <= 12_000
    book = book_dtype(*BOOK_ROOMS[0], compact=True)
    assert book["orders"].base.itemsize == book["levels"].base.itemsize == 16
    markets = started(300)
    assert markets.records.nbytes + markets.parameters.nbytes <= 300 * 12_000
    assert markets.parameters.shape == (1,)


@pytest.mark.parametrize(
    "fields, orders",
    [
        ({}, 256),
        ({"regime": "dealer"}, 256),
        ({"regime": "zero_intelligence"}, 256),
        ({"maker_rate": 64.0, "maker_cancel_rate": 1.0}, 256),
        ({"maker_rate": 64.1, "maker_cancel_rate": 1.0}, 4096),
        ({"maker_rate": 1024.0, "maker_cancel_rate": 1.0}, 4096),
    ],
)
def test_the_book_has_the_smallest_room_for_four_times_the_mean_number_of_orders_a_side(
    fields: dict[str, Any], orders: int
) -> None:
    config = configure(**fields)
    assert book_room(config)[1] == orders
    records = Markets(config, 1).records
    assert records["book"]["live"].shape[1] == orders


def test_a_market_of_the_larger_class_holds_more_orders_than_the_smaller_class_has_room_for() -> (
    None
):
    # Interpreted: the compiler would take much longer than this run.
    run = """
from mm_gym.core.entry_points import book_audit
from tests.core.kit import started, step
markets = started(1, maker_rate=100.0, maker_cancel_rate=0.5, maker_depth=2.0, warm_up=4.0)
step(markets)
print(int(markets.records["book"]["n_live"][0]), book_audit(markets.records["book"]))
"""
    finished = subprocess.run(
        [sys.executable, "-W", "ignore::RuntimeWarning", "-c", run],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    n_live, fault = map(int, finished.stdout.split())
    # Without takers, Poisson with mean 400 (1 - exp(-2.5)) = 367.
    assert 256 < n_live < 450
    assert fault == 0


def _reset(markets: Markets, chosen: list[int], config: MarketConfig | None, seed: int) -> None:
    generators = [np.random.default_rng([seed, i]) for i in range(len(markets))]
    markets.reset(np.array(chosen), generators, *markets.empty_results(), config)


def _parameters(config: MarketConfig) -> bytes:
    """The parameters of a configuration in `Markets` without options."""
    parameters: bytes = Markets(config, 1).parameters[0].tobytes()
    return parameters


def test_markets_whose_sessions_have_equal_configurations_share_a_row() -> None:
    own = configure(session_steps=50)
    markets = started(6, session_steps=50)
    calm, wild = (configure(session_steps=50, volatility=v) for v in (0.1, 2.0))
    in_use: list[MarketConfig] = [own] * 6
    random = np.random.default_rng(0)
    for seed in range(200):
        config = [None, own, calm, wild, configure(taker_rate=float(seed + 1))][seed % 5]
        chosen = random.choice(6, random.integers(1, 7), replace=False).tolist()
        _reset(markets, chosen, config, seed)
        for market in chosen:
            in_use[market] = config or own
        rows = markets.records["configuration"].tolist()
        assert [markets.parameters_of(i).tobytes() for i in range(6)] == list(
            map(_parameters, in_use)
        )
        assert len(set(rows)) == len(set(in_use))
        assert len(markets.parameters) <= 4 * len({*in_use, own})
    _reset(markets, list(range(6)), None, 0)
    assert markets.parameters.shape == (1,)


def test_a_checkpoint_brings_the_configurations_of_its_sessions_back() -> None:
    markets, other = started(3, session_steps=50), started(3, session_steps=50)
    _reset(markets, [1], configure(session_steps=50, volatility=3.0), 5)
    snapshot = markets.snapshot({})
    ahead = [step(markets).tobytes() for _ in range(10)]
    for market in range(3):  # other rows in the meantime
        _reset(markets, [market], configure(taker_rate=2.0 + market), 6)
    for one in (markets, other):
        one.restore(snapshot, {})
        assert [step(one).tobytes() for _ in range(10)] == ahead
    assert to_parameters(configure(volatility=3.0))["volatility"] in other.parameters["volatility"]
