"""The cache of machine code on disk: whatever happens to it, the core still runs.

Numba's own cache fails the program if no folder can be written, if a file is damaged, or if the
disk is full. Its index can also name the code of another function after two processes wrote at
once. Here each compiled function is one file. Its name is a digest of everything the machine code
depends on, it starts with a digest of its content, and it is replaced atomically. A file that
cannot be used is compiled again. A file that cannot be written costs one warning.
"""

import hashlib
import os
import pickle
import warnings
from pathlib import Path

import numba
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.serialize import dumps

# mypy: disable-error-code="no-untyped-call, misc"

_DIGEST = 32  # bytes of SHA-256


def enable_cache(dispatcher):
    """Let a function that numba compiles keep its machine code on disk, if a folder allows it."""
    if numba.config.DISABLE_JIT:  # it is a plain function then
        return dispatcher
    try:
        dispatcher._cache = _CodeCache(dispatcher.py_func)
    except (RuntimeError, OSError) as error:  # numba found no folder
        _warn(error)
    return dispatcher


class _CodeCache(_Cache):
    def __init__(self, function):
        self._how = CompileResultCacheImpl(function)
        self._function = function
        self._enabled = True

    @property
    def cache_path(self):
        return self._how.locator.get_cache_path()

    def enable(self):
        self._enabled = True

    def disable(self):
        self._enabled = False

    def flush(self):
        for path in Path(self.cache_path).glob(f"{self._how.filename_base}.*.nbc"):
            path.unlink(missing_ok=True)

    def load_overload(self, sig, target_context):
        """The compiled function, or None if there is none that can be used."""
        target_context.refresh()
        if not self._enabled:
            return None
        try:
            content = self._path(sig, target_context.codegen()).read_bytes()
            digest, code = content[:_DIGEST], content[_DIGEST:]
            if hashlib.sha256(code).digest() != digest:
                return None
            return self._how.rebuild(target_context, pickle.loads(code))
        except Exception:  # of another version of Python or numba, or written by nobody knows whom
            return None

    def save_overload(self, sig, data):
        """Keep a compiled function."""
        if not self._enabled or not self._how.check_cachable(data):
            return
        code = dumps(self._how.reduce(data))
        unfinished = None
        try:
            path = self._path(sig, data.codegen)
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"{path.name}.{os.getpid()}.partial")
            unfinished.write_bytes(hashlib.sha256(code).digest() + code)
            os.replace(unfinished, path)
        except OSError as error:
            if unfinished is not None:
                unfinished.unlink(missing_ok=True)
            _warn(error)

    def _path(self, sig, codegen):
        """The file of a function: all that its machine code depends on is in the name."""
        closure = tuple(cell.cell_contents for cell in self._function.__closure__ or ())
        depends_on = (
            numba.__version__,
            self._how.locator.get_source_stamp(),
            str(sig),
            codegen.magic_tuple(),
            hashlib.sha256(self._function.__code__.co_code).hexdigest(),
            closure,
        )
        digest = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]
        return Path(self.cache_path) / f"{self._how.filename_base}.{digest}.nbc"


_warned = False


def _warn(error):
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "the compiled core of mm_gym cannot be kept: expected a folder with space where this "
            f"user may write, got {error}; every start takes half a minute longer "
            "(set NUMBA_CACHE_DIR to such a folder)",
            RuntimeWarning,
            stacklevel=2,
        )
