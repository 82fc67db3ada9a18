"""Interpreted kernels give the same results as compiled ones, so a debugger can be used."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest

from mm_gym.config import configure
from mm_gym.core.layout import FILL_ROW, MARKET, PATH_ROW
from mm_gym.markets import Markets
from tests.random_quotes import quote_near

ROOT = Path(__file__).parents[2]
RUN_AND_SAVE = """
import sys
import numpy
from tests.core.test_without_compiling import REGIMES, a_short_run
for regime in REGIMES:
    numpy.savez(f"{sys.argv[1]}/{regime}.npz", **a_short_run(regime))
"""

REGIMES = ("noise", "informed", "mixed", "dealer", "clustered")


def a_short_run(regime: str) -> dict[str, npt.NDArray[np.float64]]:
    """Return everything that 20 decisions of two markets with latency and snipers produce."""
    fields = {
        "warm_up": 3.0,
        "latency": 1.5,
        "sniping": True,
        "maker_size": 2.0,
        "taker_rate": 2.0,
        "session_steps": 20,
    }
    markets = Markets(configure(regime, **fields), 2, fill_rows=100, path_rows=500)
    random = np.random.default_rng(7)
    observations, outcomes = markets.empty_results()
    markets.reset(
        np.arange(2), [np.random.default_rng(i) for i in range(2)], observations, outcomes
    )
    seen = [(observations, outcomes)]
    for _ in range(20):
        seen.append(
            markets.step(
                quote_near(
                    random,
                    high=5.25,
                    shape=(2, 2),
                    max_offset=float(markets.parameters["max_offset"][0]),
                )
            )
        )
    fills = np.array(markets.fill_rows.tolist(), dtype=float)
    paths = np.array(markets.path_rows.tolist(), dtype=float)
    assert markets.records["n_fill_rows"].sum() > 0
    return {
        "observations": np.array([observations for observations, _ in seen]),
        "outcomes": np.array([outcomes for _, outcomes in seen]),
        "fills": fills,
        "paths": paths,
        "maker_words": markets.records["maker_words"],
        "taker_words": markets.records["taker_words"],
        "value_words": markets.records["value_words"],
    }


def test_interpreted_kernels_equal_compiled_ones(tmp_path: Path) -> None:
    assert not numba.config.DISABLE_JIT
    finished = subprocess.run(
        # The random words overflow, which NumPy warns about.
        [sys.executable, "-W", "ignore::RuntimeWarning", "-c", RUN_AND_SAVE, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    for regime in REGIMES:
        interpreted, compiled = np.load(tmp_path / f"{regime}.npz"), a_short_run(regime)
        assert compiled.keys() == set(interpreted.files)
        for name, values in compiled.items():
            if values.dtype == np.uint64:
                np.testing.assert_array_equal(values, interpreted[name], err_msg=f"{regime} {name}")
            else:
                # The compiler may fuse and reorder operations, so the last digits may differ.
                np.testing.assert_allclose(
                    values, interpreted[name], rtol=1e-9, atol=1e-9, err_msg=f"{regime} {name}"
                )


def _field_names(dtype: np.dtype[Any]) -> Iterator[str]:
    for name in dtype.names or ():
        yield name
        yield from _field_names(dtype[name].base)


@pytest.mark.parametrize(
    "dtype", [MARKET, FILL_ROW, PATH_ROW], ids=["market", "fill row", "path row"]
)
def test_no_field_has_the_name_of_an_attribute_of_numpys_records(
    dtype: np.dtype[Any],
) -> None:
    # Without the compiler, `record.size` is the number of elements, not the field of that name.
    assert set(_field_names(dtype)) & set(dir(np.record)) == set()
