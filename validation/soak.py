"""Hostile markets and policies drawn from a seed, with every event checked.

python -m validation.soak --seconds 600
make soak

Case k of a seed draws a configuration from every regime, with fields at the ends of their ranges,
and policies that hold, jump and lean against the inventory. `validation.audit` checks each event
and each decision. It checks every link and sum of the book after each decision and, in one case of
four, after each event (in the others after each 32nd). Each session is repeated by the entry points
that the environments use, which must give the same record. Every tenth case attacks the order book
on its own (`validation.book_attack`). A failure ends the run and prints one command that repeats
the case. Memory does not grow: a case starts from nothing.
"""

import dataclasses
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tyro

from agents.invocation import run_command
from mm_gym.config import MarketConfig, configure
from mm_gym.core.book import SOUND
from mm_gym.core.layout import STREAMS
from mm_gym.core.random import SEED_WORDS
from mm_gym.data import lobster
from mm_gym.data.simulation import record_market
from mm_gym.errors import ConfigurationError
from mm_gym.field_checks import RANGES
from mm_gym.market_size import expected_event_rate
from mm_gym.markets import Markets
from mm_gym.parameters import to_parameters
from mm_gym.regimes import REGIMES, REPLAY
from mm_gym.snapshots import FAULTS
from validation.audit.faults import Fault
from validation.audit.ledger import PROGRESS
from validation.audit.sessions import (
    audited_recorded_steps,
    audited_reset,
    audited_steps,
    repeated_recorded_steps,
    repeated_steps,
)
from validation.book_attack import SHAPES, attack

ROOT = Path(__file__).parents[1]
_MOST_EVENTS = 250_000  # of a case, but for the last session's warm-up and step
_MOST_STEPS = 25_000
_EVERY = (1, 32, 32, 32)  # events from one check of the whole book to the next
_EVENTS_PER_STEP = 5_000.0
_OPERATIONS = 100_000  # of an attack on the book
_ATTACKS_EVERY = 10


@dataclass(frozen=True)
class Arguments:
    """Check hostile markets drawn from a seed, event by event."""

    seconds: float = 60.0
    """[s] Time after which no new case starts."""
    events: int | None = None
    """Number of events after which no new case starts."""
    cases: int | None = None
    """Number of cases after which the run ends."""
    seed: int = 0
    """Seed of all cases."""
    first: int = 0
    """Number of the first case."""
    data: tuple[str, ...] = ()
    """Files of exchange data for the regime `replay`, beside a simulated one."""
    every: float = 60.0
    """[s] Time between two lines of progress."""


class CaseFailed(Exception):
    """A check of a case failed."""


@dataclass(frozen=True)
class Checked:
    """What a case has checked."""

    regime: str
    events: int
    steps: int = 0


def hostile_config(
    random: np.random.Generator,
    data: tuple[str, ...],
    regime: str | None = None,
    most_events: int = _MOST_EVENTS,
) -> MarketConfig:
    """Draw a configuration: a regime with up to eight fields at or between the ends of their range.

    Draws that are refused, or that would need more than a few thousand events a decision, are drawn
    again. A warm-up of more than `most_events` is left out.
    """
    regimes = (*REGIMES, REPLAY) if data else tuple(REGIMES)
    if regime is not None:
        regimes = (regime,)
    while True:
        regime = str(random.choice(regimes))
        fields: dict[str, Any] = {"session_steps": int(random.integers(1, 400))}
        if regime == REPLAY:
            fields["data"] = str(random.choice(data))
            fields["warm_up"] = 0.0
        for name in random.choice(list(RANGES), random.integers(0, 9), replace=False):
            fields[str(name)] = _hostile_value(str(name), random)
        for name in ("sniping", "refill", "informed_price_limit"):
            if random.random() < 0.2:
                fields[name] = bool(random.integers(2))
        if random.random() < 0.5:
            fields["reward"] = str(random.choice(["pnl", "inventory_penalty", "dampened", "cara"]))
        if random.random() < 0.1:
            fields["informed_kind"] = str(random.choice(["signal", "naive", "decoy"]))
        if random.random() < 0.1:
            n = int(random.integers(1, 5))
            fields["clustering"] = tuple(random.dirichlet(np.ones(n + 1))[:n].tolist())
            fields["clustering_half_lives"] = tuple((10.0 ** random.uniform(-4, 3, n)).tolist())
        if random.random() < 0.2:
            fields["latency"] = float(random.uniform(0.0, 3.0))
            fields["cancel_latency"] = float(random.uniform(0.0, 3.0))
            fields["latency_kind"] = str(random.choice(["constant", "exponential"]))
        if random.random() < 0.2:
            fields["fee_unit"] = "notional"
            fields["maker_fee"], fields["taker_fee"] = random.normal(0.0, 1e-3, 2).tolist()
        try:
            config = configure(regime, **fields)
            to_parameters(config)  # refuses a recording that is too short
        except ConfigurationError:
            continue
        rate = expected_event_rate(vars(config))
        if rate * config.decision_interval <= _EVENTS_PER_STEP:
            long = rate * config.warm_up > most_events
            return dataclasses.replace(config, warm_up=0.0) if long else config


def _hostile_value(name: str, random: np.random.Generator) -> Any:
    """Draw a value of a field: an end of its range, near its default, or anywhere in between."""
    low, high, _ = RANGES[name]
    default = getattr(_DEFAULT, name)
    kind = random.random()
    if kind < 0.15:
        value = low
    elif kind < 0.25:
        value = high
    elif kind < 0.75:
        value = (default or 1.0) * 10.0 ** random.normal(0.0, 1.0)
    else:
        top = math.log10(min(high, 1e12))
        value = 10.0 ** random.uniform(max(-6.0, math.log10(low) if low > 0.0 else -6.0), top)
        value *= -1.0 if low < 0.0 and random.random() < 0.5 else 1.0
    return round(value) if isinstance(default, int) and math.isfinite(value) else float(value)


_DEFAULT = MarketConfig()


def _hostile_actions(random: np.random.Generator, n: int) -> tuple[npt.NDArray[Any], float]:
    """Draw actions, shape (n, 3), and how much the quotes lean against the inventory."""
    kind = random.integers(5)
    if kind == 0:
        actions = random.uniform(-1.0, 1.0, (n, 2))
    elif kind == 1:
        actions = np.broadcast_to(random.choice([-1.0, 0.0, 1.0], 2), (n, 2))
    elif kind == 2:
        actions = random.choice([-1.0, 1.0], (n, 2))
    elif kind == 3:
        actions = np.clip(random.normal(-0.7, 0.3, (n, 2)), -1.0, 1.0)
    else:  # holds its quotes for some decisions, so that they keep their places
        held = np.repeat(random.uniform(-1.0, 0.5, (n, 2)), random.integers(1, 30), axis=0)
        actions = held[:n]
    skew = float(random.choice([0.0, 0.0, 1.0, -1.0, 5.0]))
    takes = random.random((n, 1)) < random.choice([0.0, 0.0, 0.1, 1.0])
    # Without a fixed order of memory, kind 1 would have the core compiled a second time.
    return np.ascontiguousarray(np.hstack([actions, takes]), np.float32), skew


def _fail(fault: int, where: str, config: MarketConfig | None) -> None:
    if fault == SOUND:
        return
    name = FAULTS[fault] if fault in FAULTS else Fault(fault).name
    changed = {}
    if config is not None:
        regular = vars(_DEFAULT)
        changed = {key: value for key, value in vars(config).items() if value != regular[key]}
    raise CaseFailed(f"{name} {where} of {changed}")


def check_market(
    random: np.random.Generator,
    data: tuple[str, ...],
    regime: str | None = None,
    most_events: int = _MOST_EVENTS,
) -> Checked:
    """Run and check one hostile market, of a regime or of any.

    Raises:
        CaseFailed: if a check fails.
    """
    config = hostile_config(random, data, regime, most_events)
    recorded = config.makers == "recorded"
    reduced = not recorded and random.random() < 0.3
    audited = Markets(config, 1, variance_reduction=reduced)
    # Half of the repetitions record, which is another path through the core.
    rows = (50, 200) if random.random() < 0.5 else (0, 0)
    repeated = Markets(config, 1, *rows, variance_reduction=reduced)
    progresses = np.zeros(1, PROGRESS)
    progress = progresses[0]
    progress.every = random.choice(_EVERY)
    while progress.events <= most_events and progress.steps <= _MOST_STEPS:
        seed = int(random.integers(2**32))
        progress.money = 0.0
        repeated.start([np.random.default_rng(seed)])
        if recorded:
            audited.start([np.random.default_rng(seed)])
        else:
            # The same words as in `Markets.reset`.
            words = np.random.default_rng(seed).integers(
                0, 2**64, size=STREAMS * SEED_WORDS, dtype=np.uint64
            )
            fault = audited_reset(audited.records, audited.parameters, words, progresses)
            _fail(fault, f"in the warm-up, event {progress.events},", config)
        actions, skew = _hostile_actions(random, min(config.session_steps, _MOST_STEPS))
        steps = int(progress.steps)
        arguments = (audited.records, audited.parameters, actions, skew, most_events, progresses)
        if recorded:
            fault = audited_recorded_steps(*arguments, *audited._recording)
        else:
            fault = audited_steps(*arguments)
        _fail(fault, f"at event {progress.events}, step {progress.steps},", config)
        done = actions[: int(progress.steps) - steps]
        recorder = (repeated.fill_rows, repeated.path_rows)
        if recorded:  # there are no market orders in recorded data
            again = (done[:, :2].copy(), *recorder, *repeated._recording)
            repeated_recorded_steps(repeated.records, repeated.parameters, *again)
        else:
            repeated_steps(repeated.records, repeated.parameters, done, *recorder)
        _compare(audited, repeated, config)
        if progress.events == 0 or config.session_steps > _MOST_STEPS:
            break
    return Checked(config.regime, int(progress.events), int(progress.steps))


def _compare(audited: Markets, repeated: Markets, config: MarketConfig) -> None:
    """Compare the records, without what only a recorder counts or reads.

    Raises:
        CaseFailed: if they differ.
    """
    records = [audited.records.copy(), repeated.records.copy()]
    for record in records:
        record["configuration"] = 0
        for name in ("n_fill_rows", "n_path_rows", "n_new_fills"):
            record[name] = 0
        record["quotes"]["time_at_touch"] = 0.0
    if records[0].tobytes() != records[1].tobytes():
        _fail(Fault.NOT_REPEATED, "at the end", config)


def check_book(random: np.random.Generator) -> Checked:
    """Attack the order book on its own.

    Raises:
        CaseFailed: if it differs from the reference.
    """
    shape = str(random.choice(list(SHAPES)))
    seed = int(random.integers(2**63))
    done, fault, _ = attack(shape, seed, _OPERATIONS)
    if done < _OPERATIONS:
        raise CaseFailed(f"code {fault} at operation {done} on the book {shape!r}")
    return Checked("order book", done)


def check_case(seed: int, number: int, data: tuple[str, ...]) -> Checked:
    """Run case `number` of a seed.

    Raises:
        CaseFailed: if a check fails.
    """
    random = np.random.default_rng([seed, number])
    if number % _ATTACKS_EVERY == _ATTACKS_EVERY - 1:
        return check_book(random)
    return check_market(random, data)


def simulated_data(folder: Path, seconds: float = 600.0) -> str:
    """Write LOBSTER files of a simulated market, and return the path of the messages."""
    path = folder / "simulated_message_5.csv"
    recording = record_market(configure("informed"), seconds, seed=1, n_levels=5)
    lobster.write(recording, path, lobster.order_book_of(path))
    return str(path)


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return found.stdout.strip() or "this version"


def _memory() -> str:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # [kB]
    return f"at most {most / 1024:.0f} MB of memory"


def main(arguments: Arguments) -> None:
    """Run cases until the time, the events or the cases are used up."""
    events: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    steps, number = 0, arguments.first
    with tempfile.TemporaryDirectory() as folder:
        data = (simulated_data(Path(folder)), *arguments.data)
        start = shown = time.monotonic()
        while number == arguments.first or (
            time.monotonic() - start < arguments.seconds
            and (arguments.events is None or events.total() < arguments.events)
            and (arguments.cases is None or cases.total() < arguments.cases)
        ):
            try:
                checked = check_case(arguments.seed, number, data)
            except Exception as error:
                files = f" --data {' '.join(arguments.data)}" if arguments.data else ""
                print(
                    f"case {number} failed: {error!r}\n"
                    f"repeat it with: git checkout {_commit()} && python -m validation.soak "
                    f"--seed {arguments.seed} --first {number} --cases 1{files}"
                )
                sys.exit(1)
            number += 1
            events[checked.regime] += checked.events
            cases[checked.regime] += 1
            steps += checked.steps
            if time.monotonic() - shown >= arguments.every:
                shown = time.monotonic()
                print(
                    f"{shown - start:.0f} s: {events.total():,} events, {steps:,} decisions, "
                    f"{cases.total():,} cases; next case {number}; {_memory()}",
                    flush=True,
                )
    print("| regime | cases | events |\n|---|---|---|")
    for regime in sorted(events):
        print(f"| {regime} | {cases[regime]:,} | {events[regime]:,} |")
    print(f"| all | {cases.total():,} | {events.total():,} |")
    print(
        f"No fault in {steps:,} decisions (commit {_commit()}, seed {arguments.seed}, "
        f"{time.process_time():.0f} s of processor time, {_memory()})."
    )


if __name__ == "__main__":
    run_command("validation.soak", lambda: main(tyro.cli(Arguments)))
