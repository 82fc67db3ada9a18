"""Where parallel work runs: in processes of this machine, or on a Ray or Dask cluster.

joblib starts the work in each case, so the results do not depend on the choice.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import joblib

from mm_gym.errors import SentenceError

from .invocation import INSTALLED

OBJECT_STORE = 200_000_000  # [bytes] a batch takes a few million; containers share little memory

Backend = Literal["ray", "dask"]


class BackendError(SentenceError):
    """A cluster that cannot be used. The message says what was expected."""


@contextmanager
def parallel(backend: Backend | None, address: str | None, jobs: int) -> Iterator[int | None]:
    """Choose where `joblib.Parallel` runs during the block.

    Args:
        backend: `ray` or `dask`. None means processes of this machine.
        address: of a cluster to join. Default: a new cluster of `jobs` processes on this machine,
            which ends with the block.
        jobs: number of processes. With an address it has to be 1, its default, because all cores of
            the cluster are used.

    Yields:
        The `jobs` to pass to `run_cells`. None means: as chosen here.

    Raises:
        BackendError: if the options contradict each other, the package is not installed or the
            cluster cannot be reached.
    """
    if backend is None:
        if address is not None:
            raise BackendError(
                "--address is an option of a backend: expected --backend ray or --backend dask, "
                "got none (write --backend too)"
            )
        yield jobs
        return
    if address is not None and jobs != 1:
        raise BackendError(
            "--jobs has no effect with --address: expected none, because all cores of the cluster "
            f"are used, got {jobs} (leave it out)"
        )
    if address is None and jobs < 1:
        raise BackendError(
            f"jobs={jobs} is out of range: expected a number of processes, at least 1, got {jobs}"
        )
    cluster = _ray if backend == "ray" else _dask
    with cluster(address, jobs):
        yield None


@contextmanager
def _ray(address: str | None, jobs: int) -> Iterator[None]:
    try:
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise _missing("ray", "Ray", error) from error
    with ray_cluster(address, jobs):
        register_ray()
        with joblib.parallel_config("ray", n_jobs=jobs if address is None else -1):
            yield


@contextmanager
def _dask(address: str | None, jobs: int) -> Iterator[None]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise _missing("dask", "Dask", error) from error
    if address is None:  # one thread each, as the processes of joblib
        cluster = LocalCluster(
            n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR"
        )
        with cluster, Client(cluster) as client, _dask_config(client):
            yield
        return
    try:
        joined = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise _unreachable("Dask", address, error, "dask scheduler") from error
    with joined, _dask_config(joined):
        yield


def _dask_config(client: Any) -> Any:
    return joblib.parallel_config("dask", client=client, n_jobs=-1)


@contextmanager
def ray_cluster(address: str | None, processes: int) -> Iterator[None]:
    """Run Ray during the block, with errors as its only log messages.

    Args:
        address: of a cluster to join. Default: a new one on this machine, which ends with the block
            and reports nothing to anybody.
        processes: number of cores of a new cluster.

    Raises:
        BackendError: if no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # avoids a needless warning
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    on_termination = signal.getsignal(signal.SIGTERM)
    if address is None:  # without "local" Ray would join any running cluster
        ray.init(
            "local",
            num_cpus=processes,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            **quiet,
        )
    else:
        try:
            host, _, port = address.rpartition(":")
            if host and "/" not in host:  # fails at once, while Ray would try for minutes
                socket.create_connection((host, int(port)), timeout=10.0).close()
            ray.init(address=address, **quiet)
        except (OSError, ValueError, RuntimeError) as error:
            raise _unreachable("Ray", address, error, "ray start --head") from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_termination)  # Ray's handler exits with 15
        yield
    finally:
        ray.shutdown()


def _missing(backend: Backend, name: str, error: ImportError) -> BackendError:
    install = f"pip install 'mm-gym[evaluate,{backend}]'" if INSTALLED else "make venv-ray"
    return BackendError(
        f"--backend {backend} needs {name}: expected an environment with {name}, got {error} "
        f"(write {install})"
    )


def _unreachable(name: str, address: str, error: Exception, start: str) -> BackendError:
    return BackendError(
        f"no {name} cluster answers at {address}: expected a running cluster, got "
        f"{type(error).__name__} ({error}) (start one with `{start}` and write --address with the "
        "address it prints, or leave --address out)"
    )
