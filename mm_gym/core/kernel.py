"""How this package compiles: one decorator for kernels, one fingerprint for the cache.

Numba's on-disk cache checks the file that holds the compiled entry point and no other. A kernel in
another file can change, on a developer's disk or in an upgrade, and the old machine code is still
served. Numba does put the values in an entry point's closure into the cache key, so every cached
entry point in this package is made by a function that closes over `FINGERPRINT`: a digest of all
sources in this folder, and of the arguments that change what they compile to.
"""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function of the core. It is not cached by itself: the entry points that call it
    are.

    Divisions follow NumPy (no exception on zero): kernels trust, the faces check.
    """
    return cast(_Function, numba.njit(error_model="numpy")(function))


def hot_kernel(function: _Function) -> _Function:
    """The same, melted into its callers: for what runs at every event, where calls would cost as
    much as the work."""
    return cast(_Function, numba.njit(error_model="numpy", forceinline=True)(function))


def entry_point(function: _Function) -> _Function:
    """Compile and cache a function that Python calls; it must close over `FINGERPRINT` (see above).

    Raises:
        TypeError: if the function's closure does not hold the fingerprint, since its cached code
            could be stale.
    """
    if FINGERPRINT not in inspect.getclosurevars(function).nonlocals.values():
        raise TypeError(
            f"entry point {function.__qualname__!r} does not close over the core's fingerprint, so its cached "
            "machine code could outlive a change of a kernel; define it inside a function that takes "
            "`fingerprint` and name that variable in its body"
        )
    return cast(_Function, numba.njit(error_model="numpy", cache=True, nogil=True)(function))


def source_fingerprint(folder: Path) -> str:
    """A digest of every Python source below `folder`: names and contents, in a fixed order."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


FINGERPRINT = source_fingerprint(Path(__file__).parent)
