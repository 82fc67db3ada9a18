"""Evaluation and tuning on clusters of two processes give the results of one process."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "ray", reason="Ray is not installed; it is tested in an environment of its own: make test-ray"
)
pytest.importorskip(
    "distributed",
    reason="Dask is not installed; it is tested in an environment of its own: make test-ray",
)

import distributed
import ray
from joblib import delayed
from ray.cluster_utils import Cluster

from agents.backends import OBJECT_STORE, BackendError, parallel
from agents.commands import evaluate
from agents.rules.tuned import TUNED_FILE
from agents.tuning import __main__ as tuning
from agents.tuning.search import Effort
from mm_gym.evaluation.rollout import results_in_order

EPISODES = 130  # three batches
BACKENDS = ["dask", "ray"]


def evaluated(out: Path, **options: Any) -> bytes:
    agents = "inventory_skew,trained/mixed"
    arguments = evaluate.Arguments(agents=agents, regimes="informed", episodes=EPISODES)
    evaluate.main(replace(arguments, out=out, **options))
    return (out / "summary.csv").read_bytes()


def tuned(out: Path, **options: Any) -> bytes:
    out.write_bytes(TUNED_FILE.read_bytes())
    effort = Effort(trials=3, sessions=4, finalists=2, final_sessions=8)
    rules, markets = "inventory_skew,fixed_spread", "noise,imbalanced"
    tuning.main(tuning.Arguments(rules, markets, effort=effort, out=out, **options))
    return out.read_bytes()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The files that one process writes."""
    folder = tmp_path_factory.mktemp("alone")
    return evaluated(folder / "results"), tuned(folder / "tuned.json")


def other_processes(jobs: int | None) -> set[int]:
    """The processes that took part in 40 tasks, this one left out."""
    return set(results_in_order(jobs, (delayed(os.getpid)() for _ in range(40)))) - {os.getpid()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_local_cluster_of_two_processes_writes_the_files_of_one(
    alone: tuple[bytes, bytes], backend: Any, tmp_path: Path
) -> None:
    there = {"backend": backend, "jobs": 2}
    assert evaluated(tmp_path / "results", **there) == alone[0]
    assert tuned(tmp_path / "tuned.json", **there) == alone[1] != TUNED_FILE.read_bytes()
    with parallel(backend, None, 2) as jobs:
        assert len(other_processes(jobs)) == 2


@pytest.fixture(params=BACKENDS)
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[Any, str]]:
    """A running cluster of two processes: its backend and its address."""
    if request.param == "dask":
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as workers:
            yield "dask", workers.scheduler_address
        return
    machine = {"num_cpus": 2, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
    workers = Cluster(initialize_head=True, head_node_args=machine)
    try:
        yield "ray", workers.address
    finally:
        workers.shutdown()


def test_a_cluster_is_joined_by_its_address_and_keeps_running(
    cluster: tuple[Any, str], alone: tuple[bytes, bytes], tmp_path: Path
) -> None:
    backend, address = cluster
    there = {"backend": backend, "address": address}
    assert tuned(tmp_path / "tuned.json", **there) == alone[1]
    for _ in range(2):  # the second time after the first has left
        with parallel(backend, address, 1) as jobs:
            assert len(other_processes(jobs)) == 2
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    "backend, address",
    [("dask", "tcp://127.0.0.1:1"), ("dask", "nowhere"), ("ray", "127.0.0.1:1"), ("ray", "auto")],
)
def test_a_cluster_that_does_not_answer_is_named(backend: Any, address: str) -> None:
    with (
        pytest.raises(BackendError, match=f"no {backend.title()} cluster answers at {address}: "),
        parallel(backend, address, 1),
    ):
        pass


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_in_another_process_arrives_here(backend: Any) -> None:
    fails = partial(int, "no number")
    with (
        parallel(backend, None, 2) as jobs,
        pytest.raises(ValueError, match="invalid literal for int"),
    ):
        list(results_in_order(jobs, (delayed(fails)() for _ in range(4))))
