"""Where parallel work runs. tests/ray has the tests that need Ray or Dask."""

import sys
from pathlib import Path
from typing import Any

import pytest
from joblib import delayed, parallel_config

from agents.backends import BackendError, parallel
from agents.tuning.__main__ import Arguments, main
from agents.tuning.search import Effort
from mm_gym.evaluation.rollout import results_in_order


@pytest.mark.parametrize(
    "options, message",
    [
        ((None, "auto", 1), "expected --backend ray or --backend dask, got none"),
        (("ray", "auto", 4), "--jobs has no effect with --address: expected none, .*, got 4"),
        (("dask", None, -1), "jobs=-1 is out of range: expected a number of processes, at least 1"),
        (("ray", None, 2), r"--backend ray needs Ray: .* \(write make venv-ray\)"),
        (("dask", None, 2), r"--backend dask needs Dask: .* \(write make venv-ray\)"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    options: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("ray.util.joblib", "distributed"):  # as if they were not installed
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendError, match=message), parallel(*options):
        pass


def test_results_come_in_order_from_a_backend_that_has_no_generator() -> None:
    """As Ray's. There are more tasks than one list holds."""
    tasks = (delayed(abs)(-number) for number in range(30))
    with parallel_config("multiprocessing", n_jobs=2):
        assert list(results_in_order(None, tasks)) == list(range(30))


def test_tuning_in_two_processes_writes_the_file_of_one(tmp_path: Path) -> None:
    """Without Ray or Dask. With `only`, no search depends on what another one has written."""
    files = []
    for jobs in (1, 2):
        path = tmp_path / f"{jobs}.json"
        effort = Effort(trials=2, sessions=4, finalists=1, final_sessions=4)
        main(
            Arguments(
                "inventory_skew", "noise,imbalanced", effort=effort, out=path, only="skew",
                jobs=jobs,
            )
        )  # fmt: skip
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert files[0].count(b'"inventory_skew"') == 2
