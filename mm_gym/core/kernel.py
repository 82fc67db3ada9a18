"""Compilation with Numba: decorators for kernels and a fingerprint for the on-disk cache.

The on-disk cache checks only the file that holds the compiled entry point. When a kernel in another
file changes, it would still serve the old machine code. The values in an entry point's closure are
part of its key. Every cached entry point therefore closes over
`FINGERPRINT`, a digest of all source files in this folder.
"""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from mm_gym.core.cache import enable_cache

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function of the core. Only the entry points that call it are cached.

    Division by zero raises no exception, as in NumPy: kernels trust their arguments.
    """
    return cast(_Function, numba.njit(error_model="numpy")(function))


def hot_kernel(function: _Function) -> _Function:
    """Compile a function of the core and inline it into its callers.

    Use it for functions that run at every event, where a call would cost as much as the work.
    """
    return cast(_Function, numba.njit(error_model="numpy", forceinline=True)(function))


def entry_point(function: _Function) -> _Function:
    """Compile and cache a function that Python calls. It must close over `FINGERPRINT`.

    Raises:
        TypeError: the closure of `function` does not hold the fingerprint, so its cached machine
            code could be stale.
    """
    if FINGERPRINT not in inspect.getclosurevars(function).nonlocals.values():
        raise TypeError(
            f"entry point {function.__qualname__!r} has no fingerprint in its closure: expected a "
            "function that closes over `fingerprint`, got one that closes over "
            f"{sorted(inspect.getclosurevars(function).nonlocals)} (write it inside a function "
            "that takes `fingerprint`, and name `fingerprint` in its body)"
        )
    compiled = numba.njit(error_model="numpy", nogil=True)(function)
    return cast(_Function, enable_cache(compiled))


def source_fingerprint(folder: Path) -> str:
    """Return a digest of the names and contents of all Python files in `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


FINGERPRINT = source_fingerprint(Path(__file__).parent)
