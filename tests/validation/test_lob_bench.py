"""The sequences that `validation.lob_bench` writes for LOB-Bench, and the scores that it quotes."""

import math
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from mm_gym import configure
from mm_gym.data import Recording, read, record_market, write
from validation.lob_bench import PUBLISHED, prepare


def written(folder: Path, end: str, n: int) -> list[Recording]:
    """The sequences with numbers from 0, in order."""
    names = [folder / f"X_2012-06-21_message_real_id_{number}{end}.csv" for number in range(n)]
    assert len(list(folder.glob("*message*"))) == len(list(folder.glob("*orderbook*"))) == n
    return [read(name) for name in names]


def test_sequences_are_the_recordings_in_order_and_the_floor_is_the_data_against_itself(
    tmp_path: Path,
) -> None:
    real, generated = tmp_path / "R_message.csv", tmp_path / "G_message.csv"
    # The data have all levels and no order book file, so their rows are rebuilt.
    data = record_market(configure("noise"), 330.0, seed=1, n_levels=64)
    write(data, real, tmp_path / "elsewhere.csv")
    market = record_market(configure("noise"), 330.0, seed=2, n_levels=3)
    write(market, generated, tmp_path / "G_orderbook.csv")
    prepare(real, generated, tmp_path, skip=20.0)

    ours = written(tmp_path / "market" / "data_gen", "_gen_id_0", 4)
    begin = int(np.searchsorted(market.messages["time"], market.messages["time"][0] + 20.0))
    for column in ("messages", "order_book"):
        whole = np.concatenate([getattr(sequence, column) for sequence in ours])
        kept = getattr(market, column)[begin : begin + 2000]
        for name in whole.dtype.names:
            np.testing.assert_allclose(whole[name], kept[name], atol=1e-8, rtol=0)

    theirs = written(tmp_path / "market" / "data_real", "", 4)
    rows = np.concatenate([sequence.order_book for sequence in theirs])
    assert (rows[1:] != rows[:-1]).all()  # messages beyond three levels are left out
    assert theirs[0].messages["time"][0] >= data.messages["time"][0] + 20.0
    first, second = (
        written(tmp_path / "floor" / kind, end, 2)
        for kind, end in (("data_real", ""), ("data_gen", "_gen_id_0"))
    )
    for number in range(4):
        part = (first, second)[number % 2][number // 2]
        np.testing.assert_array_equal(part.messages, theirs[number].messages)


def test_the_quoted_scores_have_the_means_that_the_notebook_prints() -> None:
    s5, s5_w, cont, gan, _ = zip(*PUBLISHED.values(), strict=True)
    assert mean(s5) == pytest.approx(0.13909, abs=5e-4)
    assert mean(s5_w) == pytest.approx(0.11067, abs=5e-4)
    assert mean(cont) == pytest.approx(0.47504, abs=5e-4)
    assert max(gan) == 1.0
    assert not any(map(math.isnan, s5))
