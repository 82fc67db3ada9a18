"""The soak: hostile markets and attacks on the book find nothing, and planted faults are found."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
import pytest
import tyro

from mm_gym.config import configure
from mm_gym.core import soundness
from mm_gym.core.book import SOUND, WRONG_LEVEL_SIZE
from mm_gym.core.layout import NO_ORDER
from mm_gym.markets import Markets
from mm_gym.regimes import REGIMES
from validation import soak
from validation.audit.faults import Fault
from validation.audit.ledger import PROGRESS
from validation.audit.sessions import audited_steps
from validation.book_attack import SHAPES, attack
from validation.soak import check_market, hostile_config, simulated_data

INTERPRETED = numba.config.DISABLE_JIT  # as in `validation.mutants`


@pytest.mark.parametrize("shape", SHAPES)
def test_a_fifth_of_a_million_operations_on_each_shape_of_book_agree_with_a_slow_book(
    shape: str,
) -> None:
    n = 60 if INTERPRETED else 200_000
    done, fault, seen = attack(shape, 1, n)
    assert (done, fault) == (n, SOUND)
    if not INTERPRETED:
        assert min(seen.values()) > n // 1_000, seen


@pytest.mark.parametrize("regime", REGIMES)
def test_hostile_markets_of_each_regime_have_no_fault(regime: str) -> None:
    for number in range(1 if INTERPRETED else 3):
        random = np.random.default_rng([21, number])
        checked = check_market(random, (), regime, most_events=30 if INTERPRETED else 5_000)
        assert checked.events > 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return simulated_data(tmp_path_factory.mktemp("recorded"), seconds=300.0)


@pytest.mark.skipif(INTERPRETED, reason="the readers of exchange data are always compiled")
@pytest.mark.parametrize("seed", range(3))
def test_a_hostile_recorded_market_has_no_fault(seed: int, data: str) -> None:
    random = np.random.default_rng([22, seed])
    checked = check_market(random, (data,), "replay", most_events=3_000)
    assert checked.regime == "replay"
    assert checked.events > 0


def test_the_seed_and_the_number_of_a_case_repeat_it() -> None:
    first, again, other = (
        hostile_config(np.random.default_rng([21, number]), ()) for number in (5, 5, 6)
    )
    assert first == again != other


def test_a_failure_prints_the_command_that_repeats_it(
    data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cash from nowhere is planted in sessions with informed takers; the audit has to find it."""

    def planted(records: Any, parameters: Any, *rest: Any) -> int:
        if parameters["p_informed"][0] > 0.0:
            records["account"]["cash"] += 0.5
        return int(audited_steps(records, parameters, *rest))

    monkeypatch.setattr(soak, "audited_steps", planted)
    monkeypatch.setattr(soak, "simulated_data", lambda folder: data)
    monkeypatch.setattr(soak, "check_market", partial(check_market, most_events=500))

    def failed(words: list[str]) -> tuple[str, list[str]]:
        with pytest.raises(SystemExit, match="1"):
            soak.main(tyro.cli(soak.Arguments, args=words))
        fault, command = capsys.readouterr().out.splitlines()[-2:]
        checkout, _, repeat = command.removeprefix("repeat it with: ").partition(" && ")
        assert re.fullmatch(r"git checkout \S+", checkout)
        program, _, options = repeat.partition(" --")
        assert program == "python -m validation.soak"
        return fault, f"--{options}".split()

    fault, command = failed(["--seed", "8", "--cases", "100"])
    assert "WEALTH" in fault
    assert command[:2] == ["--seed", "8"]
    assert int(command[command.index("--first") + 1]) > 0, "the first case fails: choose a seed"
    assert failed(command) == (fault, command)


def _wrong_level(market: Any) -> None:
    side = 0 if market["book"]["n_levels"][0] else 1
    market["book"]["levels"][side, 0]["lots"] += 1


def _stray_quote(market: Any) -> None:
    market["quotes"]["slot"][:] = NO_ORDER


def _add(record: str, field: str, amount: float) -> Callable[[Any], None]:
    def plant(market: Any) -> None:
        market[record][field] += amount

    return plant


def _old_event(market: Any) -> None:
    market["next_taker"] = market["time"] - 1.0


def _not_a_number(market: Any) -> None:
    market["signal"] = np.nan


PLANTED: dict[str, tuple[Callable[[Any], None], int]] = {
    "lots that no order has": (_wrong_level, WRONG_LEVEL_SIZE),
    "an order that no quote names": (_stray_quote, soundness.QUOTE),
    "cash from nowhere": (_add("account", "cash", 1e-6), Fault.WEALTH),
    "a fee that nobody paid": (_add("account", "fees", 1e-6), Fault.WEALTH),
    "too large a position": (_add("account", "inventory", 1_000), Fault.INVENTORY),
    "an event in the past": (_old_event, Fault.TIME),
    "a signal that is no number": (_not_a_number, Fault.NOT_A_NUMBER),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    plant, fault = PLANTED[name]
    # Quotes that arrive after the session stay as they are, and so does the planted fault.
    markets = Markets(configure("informed", latency=0.0, requote_threshold=10.0), 1)
    markets.start([np.random.default_rng(1)])
    actions = np.full((50, 3), -0.5, np.float32)

    def audited(n: int) -> int:
        progresses = np.zeros(1, PROGRESS)
        progresses["every"] = 1
        given = (markets.records, markets.parameters, actions[:n], 0.0, 10**6, progresses)
        return int(audited_steps(*given))

    assert audited(20) == SOUND
    plant(markets.records[0])
    assert audited(20) == fault
