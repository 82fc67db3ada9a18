"""Score a simulated market with LOB-Bench, by LOB-Bench's own code in an environment of its own.

LOB-Bench compares distributions of generated and real messages and books: L1 distance of histograms
(0 to 1) and Wasserstein distance of standardised values. 0 is best.

    git clone https://github.com/peernagy/lob_bench LOB_BENCH
    python3 -m venv OTHER && OTHER/bin/pip install numpy pandas scipy scikit-learn statsmodels \
        matplotlib seaborn plotly tqdm
    python -m validation.lob_bench prepare REAL_message.csv GENERATED_message.csv FOLDER
    OTHER/bin/python validation/lob_bench.py score LOB_BENCH FOLDER

`prepare` cuts both recordings into sequences of 500 messages, and writes them with the names that
LOB-Bench reads. It also writes a floor: every second real sequence as if it were generated. `score`
imports nothing of this package.

Nagy, Frey, Li, Sarkar, Vyetrenko, Zohren, Calinescu and Foerster (2025), LOB-Bench: Benchmarking
Generative AI for Finance, arXiv 2502.09172.
"""

import argparse
import contextlib
import importlib
import io
import math
import sys
from pathlib import Path
from typing import Any

_LENGTH = 500  # messages in a sequence
_DATE = "2012-06-21"  # LOB-Bench reads a date from the names; the scores do not depend on it
_METRICS = ("l1", "wasserstein")
_DEEP = ("ask_volume", "bid_volume", "levels")  # scores that need more levels than one

PUBLISHED: dict[str, tuple[float, float, float, float, float]] = {
    "spread": (0.245, 0.482, 0.445, 0.947, 1.675),
    "orderbook_imbalance": (0.102, 0.102, 0.458, 0.443, 0.682),
    "log_inter_arrival_time": (0.083, 0.075, 0.920, 0.377, 0.349),
    "log_time_to_cancel": (0.121, 0.231, 0.554, 0.222, 0.199),
    "ask_volume_touch": (0.176, 0.076, 0.834, 0.688, 0.842),
    "bid_volume_touch": (0.164, 0.141, 0.824, 0.570, 0.332),
    "ask_volume": (0.047, 0.062, 0.717, 0.892, 1.234),
    "bid_volume": (0.059, 0.003, 0.725, 0.724, 1.128),
    "limit_ask_order_depth": (0.197, 0.060, 0.386, 1.0, 2.027),
    "limit_bid_order_depth": (0.225, 0.066, 0.382, 1.0, math.nan),
    "ask_cancellation_depth": (0.195, 0.047, 0.384, 1.0, 2.019),
    "bid_cancellation_depth": (0.238, 0.088, 0.373, 1.0, math.nan),
    "limit_ask_order_levels": (0.061, 0.073, 0.141, 1.0, math.nan),
    "limit_bid_order_levels": (0.123, 0.099, 0.175, 1.0, math.nan),
    "ask_cancellation_levels": (0.056, 0.031, 0.147, 1.0, math.nan),
    "bid_cancellation_levels": (0.133, 0.136, 0.136, 1.0, math.nan),
}
"""Scores printed in LOB-Bench's `benchmark.ipynb` (commit 276baf3), for its own GOOG sequences: L1
and Wasserstein of GenS5 (a state-space model), L1 of Cont2010 (a parametric model), and L1 and
Wasserstein of Coletta (a conditional GAN)."""


def prepare(real: Path, generated: Path, folder: Path, skip: float) -> None:
    """Cut two recordings into sequences and write them under `folder`.

    Args:
        real: message file of an exchange, with or without an order book file beside it.
        generated: message file that `python -m mm_gym.data export` wrote.
        folder: to write `market/` and `floor/`.
        skip: [s] at the start of both to leave out.
    """
    from mm_gym.data.lobster import Recording, order_book_of, read, read_messages, write
    from mm_gym.data.replay import rebuild

    def sequences(path: Path, n_levels: int) -> list[Recording]:
        book = order_book_of(path)
        whole = read(path, book) if book.exists() else rebuild(read_messages(path), n_levels)
        rows = whole.order_book
        # LOBSTER leaves out messages that touch no level of the file. Rebuilt rows have them all.
        touched = [True, *(rows[1:] != rows[:-1])]
        kept = (whole.messages["type"] == 5) | touched
        kept &= whole.messages["time"] >= whole.messages["time"][0] + skip
        messages, rows = whole.messages[kept], rows[kept]
        return [
            Recording(messages[at : at + _LENGTH], rows[at : at + _LENGTH], whole.tick_size)
            for at in range(0, len(messages) - _LENGTH + 1, _LENGTH)
        ]

    n_levels = read(generated).n_levels
    data, market = sequences(real, n_levels), sequences(generated, n_levels)
    for name, of_data, of_market in (
        ("market", data, market),
        ("floor", data[::2], data[1::2]),
    ):
        for kind, chosen in (("data_real", of_data), ("data_gen", of_market)):
            target = folder / name / kind
            target.mkdir(parents=True, exist_ok=True)
            for number in range(min(len(of_data), len(of_market))):
                end = f"real_id_{number}" + ("_gen_id_0" if kind == "data_gen" else "")
                names = (f"X_{_DATE}_{part}_{end}.csv" for part in ("message", "orderbook"))
                write(chosen[number], *(target / file for file in names))
        print(f"{name}: {min(len(of_data), len(of_market))} sequences of {_LENGTH} messages")


def score(lob_bench: Path, folder: Path) -> None:
    """Score what `prepare` wrote, and print a Markdown table beside the published scores."""
    sys.path.insert(0, str(lob_bench))
    bench, loading, scoring = map(importlib.import_module, ("run_bench", "data_loading", "scoring"))
    scores: dict[str, Any] = {}
    for name in ("floor", "market"):
        parts = [str(folder / name / kind) for kind in ("data_real", "data_gen", "data_cond")]
        loader = loading.Simple_Loader(*parts)
        sequences = [loader[number] for number in range(len(loader))]
        for sequence in sequences:
            sequence.materialize()
        n_levels = sequences[0].b_real.shape[1] // 4
        wanted = {
            key: how
            for key, how in bench.DEFAULT_SCORING_CONFIG.items()
            if n_levels >= 10 or not key.endswith(_DEEP)
        }
        with contextlib.redirect_stdout(io.StringIO()):
            scores[name] = scoring.run_benchmark(sequences, wanted, bench.DEFAULT_METRICS)[0]
    print(
        "| score | L1: floor | L1: market | GenS5 | Cont2010 | Coletta | W: floor | W: market "
        "| GenS5 | Coletta |\n|---|" + "---:|" * 9
    )
    for key, found in scores["market"].items():
        s5, s5_w, cont, gan, gan_w = PUBLISHED.get(key, (math.nan,) * 5)
        cells = []
        for metric, others in zip(_METRICS, ((s5, cont, gan), (s5_w, gan_w)), strict=True):
            value, (low, high), _ = found[metric]
            cells += [_cell(scores["floor"][key][metric][0])]
            interval = f" ({low:.2f}, {high:.2f})" if math.isfinite(low) else ""
            cells += [f"{value:.2f}{interval}", *map(_cell, others)]
        print(f"| {key} | {' | '.join(cells)} |")
    common = [key for key in scores["market"] if key in PUBLISHED]
    print(f"\nMeans of the {len(common)} scores that are published too:")
    rows = {
        name: [[s[key][m][0] for key in common] for m in _METRICS] for name, s in scores.items()
    }
    for name, at in (("GenS5", (0, 1)), ("Cont2010", (2,)), ("Coletta", (3,))):
        rows[name] = [[PUBLISHED[key][column] for key in common] for column in at]
    for name, columns in rows.items():
        means = (f"{metric} {sum(x) / len(x):.3f}" for metric, x in zip(_METRICS, columns))  # noqa: B905
        print(f"{name}: {', '.join(means)}")


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Score a simulated market with LOB-Bench.")
    commands = parser.add_subparsers(dest="command", required=True)
    added = commands.add_parser("prepare", help="cut recordings into sequences")
    added.add_argument("real", type=Path)
    added.add_argument("generated", type=Path)
    added.add_argument("folder", type=Path)
    added.add_argument("--skip", type=float, default=0.0, help="[s] at the start; default: 0")
    added = commands.add_parser("score", help="run LOB-Bench and print a table")
    added.add_argument("lob_bench", type=Path, help="folder of LOB-Bench")
    added.add_argument("folder", type=Path, help="that prepare wrote")
    given = vars(parser.parse_args())
    command = given.pop("command")
    prepare(**given) if command == "prepare" else score(**given)
