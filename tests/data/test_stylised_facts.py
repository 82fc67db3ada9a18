"""Stylised facts: against plain loops, closed forms, and the sample day's published figures."""

import csv
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mm_gym import configure
from mm_gym.data import DataError, Recording, describe, read, record_market, write
from mm_gym.data.__main__ import main
from mm_gym.data.lobster import MESSAGE, order_book_dtype, read_messages
from mm_gym.data.replay import rebuild
from mm_gym.data.stylised_facts import stylised_facts

from .conftest import SAMPLES


def made(
    time: Sequence[float] | npt.NDArray[Any],
    mid: Sequence[float] | npt.NDArray[Any],
    sign: Sequence[int] | npt.NDArray[Any] | None = None,
    spread: Sequence[int] | npt.NDArray[Any] | int = 2,
) -> Recording:
    """One execution per message, of takers with the given signs, and a book with the given mid.

    Args:
        time: [s] of each message.
        mid: [ticks] after each message; a whole number for an even spread.
        sign: of the taker; default: buys.
        spread: [ticks] after each message.
    """
    messages = np.zeros(len(time), MESSAGE)
    messages["time"], messages["type"], messages["size"] = time, 4, 100
    messages["side"] = -1 if sign is None else -np.asarray(sign)
    rows = np.zeros(len(time), order_book_dtype(1))
    for side, number in (("bid", -0.5), ("ask", 0.5)):
        rows[f"{side}_price"][:, 0] = np.asarray(mid) + number * np.asarray(spread)
        rows[f"{side}_size"] = 100
    return Recording(messages, rows, 1)


# ------------------------------------------------------------------------------ against plain loops


def weighted_quantile(values: list[float], weights: list[float], share: float) -> float:
    below = 0.0
    for value, weight in sorted(zip(values, weights, strict=True)):
        below += weight
        if below >= share * sum(weights) - 1e-9:
            return value
    return math.nan


def pearson(x: list[float], y: list[float]) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def slow_facts(recording: Recording, lot: int) -> dict[str, float]:
    """The facts of one recording, message by message."""
    messages = recording.messages.tolist()
    books = [
        {name: row[name].tolist() for name in recording.order_book.dtype.names or ()}
        for row in recording.order_book
    ]
    tick = recording.tick_size
    time = [message[0] for message in messages]
    step = [later - now for now, later in itertools.pairwise(time)]
    mids = [(book["bid_price"][0] + book["ask_price"][0]) / 2 / tick for book in books]
    spreads = [(book["ask_price"][0] - book["bid_price"][0]) / tick for book in books[:-1]]
    length = sum(step)
    found = {
        "spread": sum(w * x for w, x in zip(step, spreads, strict=True)) / length,
        "spread_one_tick": sum(w for w, x in zip(step, spreads, strict=True) if x == 1) / length,
        "message_rate": len(step) / length,
        "message_variation": pstdev(step) / mean(step),
        "execution": mean(m[3] / lot for m in messages if m[1] == 4),
    }
    for percent in (10, 50, 90):
        found[f"spread_{percent}"] = weighted_quantile(spreads, step, percent / 100)
    for level in (1, 2, 5):
        found[f"size_{level}"] = (
            sum(
                w * (book["bid_size"][level - 1] + book["ask_size"][level - 1]) / 2 / lot
                for w, book in zip(step, books[:-1], strict=True)
            )
            / length
        )
    sizes = [book[f"{side}_size"][0] / lot for book in books[:-1] for side in ("bid", "ask")]
    found["size_1_median"] = weighted_quantile(sizes, [w for w in step for _ in range(2)], 0.5)

    takers: list[tuple[float, int, int]] = []  # time, sign, row
    for row, message in enumerate(messages):
        if message[1] == 4 and not (takers and takers[-1][:2] == (message[0], -message[5])):
            takers.append((message[0], -message[5], row))
    gaps = [later[0] - now[0] for now, later in itertools.pairwise(takers)]
    found["trade_rate"], found["trade_variation"] = 1 / mean(gaps), pstdev(gaps) / mean(gaps)
    signs = [float(sign) for _, sign, _ in takers]
    for lag in (1, 2, 5, 10):
        found[f"sign_{lag}"] = pearson(signs[:-lag], signs[lag:])
        moves = [
            now[1] * (mids[later[2] - 1] - mids[now[2] - 1])
            for now, later in zip(takers, takers[lag:], strict=False)
            if now[2] > 0
        ]
        found[f"response_{lag}"] = mean(moves) / found["spread"]

    seconds = []  # the mid at each whole second
    second = math.ceil(time[0])
    while second < time[-1]:
        seconds.append(mids[max(row for row, at in enumerate(time) if at <= second)])
        second += 1
    volatility = {
        interval: math.sqrt(
            mean(
                (later - now) ** 2 for now, later in zip(seconds, seconds[interval:], strict=False)
            )
            / interval
        )
        for interval in (1, 5, 60)
    }
    found["volatility"] = volatility[60]
    for interval in (1, 5):
        found[f"signature_{interval}"] = volatility[interval] / volatility[60]
    returns = [1e4 * math.log(later / now) for now, later in itertools.pairwise(seconds)]
    found["return_sd"] = math.sqrt(mean(r**2 for r in returns))
    found["return_kurtosis"] = mean(r**4 for r in returns) / found["return_sd"] ** 4
    found["returns_1"] = pearson(returns[:-1], returns[1:])
    found["abs_returns_10"] = pearson([*map(abs, returns[:-10])], [*map(abs, returns[10:])])

    lifetimes, ended = [], []
    fills: dict[int, list[int]] = {}
    for row, (at, kind, order_id, size, price, side) in enumerate(messages):
        if row == 0 or kind != 1:
            continue
        name = "bid" if side == 1 else "ask"
        best, queue = books[row - 1][f"{name}_price"][0], books[row - 1][f"{name}_size"][0]
        if side * (price - best) < 0:
            continue
        ahead = 0.0 if price != best else queue / lot
        number = sum(ahead > end for end in (0, 1, 5, 25, 100))
        later = [m for m in messages[row + 1 :] if m[2] == order_id and m[1] in (2, 3, 4)]
        fills.setdefault(number, []).append(any(m[1] == 4 for m in later))
        ended.append(sum(m[3] for m in later) >= size)
        if ended[-1]:
            lifetimes.append(later[-1][0] - at)
    found["lifetime_50"] = weighted_quantile(lifetimes, [1.0] * len(lifetimes), 0.5)
    found["ended"] = mean(ended)
    for number, filled in fills.items():
        found[f"fill_{number}"] = mean(filled) if len(filled) >= 20 else math.nan
    stands = []
    for name in ("bid", "ask"):
        changed = [
            time[row]
            for row in range(1, len(books))
            if books[row][f"{name}_price"][0] != books[row - 1][f"{name}_price"][0]
        ]
        stands += [later - now for now, later in itertools.pairwise(changed)]
    found["best_duration"] = mean(stands)
    return found


def test_the_facts_are_those_of_plain_loops() -> None:
    """A market with large sizes: trades have several executions, and orders are hit in parts."""
    config = configure("informed", taker_size=2.0, maker_size=3.0, maker_rate=8.0)
    recording = record_market(config, 90.0, seed=2, n_levels=5)
    assert all((recording.order_book[f"{side}_size"][:, 0] > 0).all() for side in ("bid", "ask"))
    expected = slow_facts(recording, 100)
    found = stylised_facts([recording])
    assert {"fill_0", "fill_1", "fill_2"} <= expected.keys()
    for name, value in expected.items():
        tolerance = 0.006 if name.startswith("lifetime") else 1e-6  # three digits
        assert found[name].value == pytest.approx(value, rel=tolerance, abs=1e-9, nan_ok=True), name
    assert math.isnan(found["size_10"].value)  # the rows have five levels
    several = stylised_facts([recording, recording])
    assert several["trade_variation"].value == pytest.approx(expected["trade_variation"])


def test_an_order_that_is_filled_in_part_and_then_cancelled(hand_session: Recording) -> None:
    """The session written by hand: orders 2, 3 and 4 join or better the touch; order 3 is reduced
    after 1 s and deleted after 3 s. Order 2 is hit. Order 1 came with the first row."""
    many = [hand_session] * 20
    found = stylised_facts(many)
    assert found["lifetime_50"].value == 3.0
    assert found["ended"].value == pytest.approx(1 / 3)
    assert found["fill_0"].value == 0.0  # orders 3 and 4
    assert found["fill_1"].value == 1.0  # order 2, behind 100 shares


# ------------------------------------------------------------------------------------ closed forms


def test_poisson_arrivals_vary_by_one_and_alternating_signs_have_correlation_minus_one() -> None:
    n = 20_000
    time = 34_200.0 + np.cumsum(np.random.default_rng(1).exponential(0.5, n))
    found = stylised_facts([made(time, np.full(n, 1000), (-1) ** np.arange(n))])
    # Of exponential gaps the estimate has a standard error of 1 / sqrt(n) = 0.007.
    assert found["trade_variation"].value == pytest.approx(1.0, abs=0.028)
    low, high = found["trade_variation"][-2:]
    assert 0.5 * 4 * 0.007 < high - low < 1.5 * 4 * 0.007
    for lag in (1, 2, 5, 10, 50, 100):
        assert found[f"sign_{lag}"][-3:] == pytest.approx([(-1.0) ** lag] * 3, abs=1e-3)
    regular = stylised_facts([made(np.arange(n) * 0.5, np.full(n, 1000))])
    assert regular["trade_variation"].value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_the_signature_of_a_random_walk_is_flat_and_noise_raises_it(noise: float) -> None:
    """A walk with variance s^2 per second and independent noise of variance v has moves of variance
    s^2 t + 2 v over t seconds."""
    n, rng = 60_000, np.random.default_rng(3)
    walk = 100_000 + np.cumsum(rng.normal(0.0, 2.0, n))
    mid = walk + rng.normal(0.0, noise, n) if noise else walk
    found = stylised_facts([made(np.arange(n, dtype=float), np.rint(mid))])
    extra = 2.0 * (noise**2 + 1 / 12)  # with the rounding to ticks
    for interval in (1, 5, 10, 30):
        expected = math.sqrt((4.0 + extra / interval) / (4.0 + extra / 60))
        # The variance over 60 s has a relative standard error of sqrt(4/3 60/n) = 0.037.
        assert found[f"signature_{interval}"].value == pytest.approx(expected, rel=0.074)
    assert found["volatility"].value == pytest.approx(math.sqrt(4.0 + extra / 60), rel=0.074)
    assert found["return_kurtosis"].value == pytest.approx(3.0, abs=4 * math.sqrt(24 / n))
    expected = -0.5 * extra / (4.0 + extra)
    assert found["returns_1"].value == pytest.approx(expected, abs=4 / math.sqrt(n))


def test_a_trade_that_moves_the_mid_by_a_tick_for_good_has_that_response_at_all_lags() -> None:
    """Independent signs: the response is one tick, over a spread of two ticks, plus the signs of
    the trades in between, whose standard error is sqrt(lag / n)."""
    n, rng = 40_000, np.random.default_rng(5)
    sign = rng.choice([-1, 1], n)
    found = stylised_facts([made(np.arange(n, dtype=float), 10_000 + np.cumsum(sign), sign)])
    for lag in (1, 2, 5, 10, 50):
        error = 0.5 * math.sqrt(lag / n)
        assert found[f"response_{lag}"].value == pytest.approx(0.5, abs=4 * error)
        assert abs(found[f"sign_{lag}"].value) < 4 / math.sqrt(n)


def test_intervals_are_those_of_a_mean_of_independent_sessions() -> None:
    """Sessions with constant spreads: the mean spread has standard error sd / sqrt(sessions)."""
    spreads = 2 * np.random.default_rng(7).integers(1, 50, size=40)
    sessions = [made([0.0, 1.0, 2.0], [1000] * 3, spread=int(spread)) for spread in spreads]
    found = stylised_facts(sessions)["spread"]
    error = spreads.std() / math.sqrt(len(spreads))
    assert found.value == pytest.approx(spreads.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert found.high + found.low == pytest.approx(2 * spreads.mean(), rel=0.03)
    again = stylised_facts(sessions, seed=1)["spread"]
    assert again.low != found.low
    assert stylised_facts(sessions)["spread"] == found


def test_times_without_a_bid_or_ask_count_for_nothing() -> None:
    recording = made(
        [0.0, 1.0, 3.0, 6.0, 10.0], [1000, 1010, 1020, 1020, 1020], spread=[2, 9, 4, 8, 8]
    )
    recording.order_book["ask_size"][1] = 0
    found = stylised_facts([recording])
    assert found["spread"].value == pytest.approx((1 * 2 + 3 * 4 + 4 * 8) / 8)
    assert found["empty_side"].value == pytest.approx(2 / 10)
    assert found["return_sd"].value == 0.0  # no whole second with a move has both mids


def test_recordings_without_messages_are_refused() -> None:
    one = made([0.0], [1000])
    for recordings, got in (([], "0 with 0"), ([one], "1 with 1")):
        with pytest.raises(DataError, match=f"two messages or more, got {got} or more"):
            stylised_facts(recordings)


# ----------------------------------------------------------------------------------- the sample day


def test_the_sample_day_has_its_published_figures(goog: Recording) -> None:
    found = stylised_facts([goog])
    for lag, value in ((1, 0.63), (2, 0.45), (5, 0.19), (10, 0.05)):
        assert found[f"sign_{lag}"].value == pytest.approx(value, abs=0.006)
    assert found["sign_1"].low > 0.5
    assert found["message_rate"].value == pytest.approx(2.11, abs=0.005)
    assert found["message_variation"].value == pytest.approx(3.0, abs=0.05)
    assert found["execution"].value == pytest.approx(0.63, abs=0.005)
    assert found["execution_median"].value == 0.64
    described = describe(goog)
    for name in ("spread", "sign_autocorrelation_1", "gap_variation"):
        ours = {"sign_autocorrelation_1": "sign_1", "gap_variation": "trade_variation"}
        fact = found[ours.get(name, name)]
        assert fact.value == pytest.approx(described[name].value, rel=1e-3)
        # The jackknife of the same blocks is an independent estimate of the interval.
        assert fact.high - fact.low == pytest.approx(3.92 * described[name].standard_error, rel=0.3)

    # The published spread is a mean over messages, and the published moves begin after a minute.
    equal = goog.messages.copy()
    equal["time"] = 34_200.0 + np.arange(len(equal))
    by_message = stylised_facts([replace(goog, messages=equal)])
    assert by_message["spread"].value == pytest.approx(31.1, abs=0.05)
    assert by_message["spread_50"].value == 29.0
    later = goog.messages["time"] >= 34_260.0
    moves = stylised_facts([Recording(goog.messages[later], goog.order_book[later], 100)])
    assert moves["return_sd"].value == pytest.approx(0.68, abs=0.006)
    assert moves["return_kurtosis"].value == pytest.approx(79.0, abs=0.6)
    assert moves["returns_1"].value == pytest.approx(-0.03, abs=0.01)
    assert moves["abs_returns_1"].value == pytest.approx(0.12, abs=0.006)
    assert moves["abs_returns_10"].value == pytest.approx(0.06, abs=0.006)


def test_the_book_rebuilt_from_aapl_s_messages_has_the_exchange_s_best_prices(
    aapl: Recording,
) -> None:
    """AAPL's facts rest on a book that starts empty. Here it is beside the exchange's."""
    path = SAMPLES / "AAPL_2012-06-21_34200000_35400000_message_50.csv"
    if not path.exists():
        pytest.skip(f"the sample {path.name} is not in ../shared/data, and not part of the project")
    messages = read_messages(path)
    rebuilt = rebuild(messages[messages["time"] <= aapl.messages["time"][-1]])
    at = np.searchsorted(rebuilt.messages["time"], aapl.messages["time"], side="right") - 1
    for side in ("bid_price", "ask_price"):
        agree = (rebuilt.order_book[side][at] == aapl.order_book[side]).mean(axis=0)
        assert agree[0] > 0.95
        assert agree[9] < 0.22  # deep levels came before the file


# -------------------------------------------------------------------------------------- the command


def test_the_command_prints_all_sources_and_marks_what_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tmp_path / "SIM_message_3.csv", tmp_path / "SIM_orderbook_3.csv"
    write(record_market(configure("imbalanced", imbalance=0.9), 300.0, seed=1, n_levels=3), *names)
    out = tmp_path / "facts.csv"
    options = ["--regimes", "noise,dealer", "--sessions", "4", "--seconds", "100"]
    monkeypatch.setattr("mm_gym.data.calibration._ROUNDS", 2)
    main(["facts", str(names[0]), *options, "--out", str(out)])
    printed = capsys.readouterr().out
    *lines, path_of_file = printed.splitlines()
    assert max(map(len, lines)) <= 80
    assert str(out) in path_of_file
    assert printed.splitlines()[0].split() == ["SIM", "SIM", "calibrated", "noise"]
    assert "dealer is left out: the recording is empty" in printed
    assert "block bootstrap, blocks of 15 s" in printed
    with out.open() as file:
        rows = {(row["source"], row["fact"]): row for row in csv.DictReader(file)}
    sessions = [record_market(configure("noise"), 100.0, seed, 10) for seed in range(4)]
    for source, recordings in (("SIM", [read(names[0])]), ("noise", sessions)):
        for name, fact in stylised_facts(recordings).items():
            row = rows[source, name]
            assert (row["section"], row["label"]) == fact[:2]
            np.testing.assert_equal(
                [float(row[x]) for x in ("value", "low", "high")], list(fact[2:])
            )
    # Signs with a bias have memory, and the calibrated market has none.
    (lag,) = (line for line in printed.splitlines() if line.startswith("lag 1 "))
    assert lag.count("*[") == 1
    assert float(rows["SIM", "sign_1"]["low"]) > float(rows["SIM calibrated", "sign_1"]["high"])

    with pytest.raises(ValueError, match="regime"):
        main(["facts", "--regimes", "nose"])
