"""The file beside a large file of exchange data in which its indexed form is kept.

Running a day through the order book takes a second per two million events. The result is kept, and
later calls map it into memory: all processes of a machine then share it. The file is used only with
the very file of data that it was made of, which has the same size, times and inode, and by the code
that made it. Otherwise, or if it is incomplete, the data are indexed again.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.core.kernel import FINGERPRINT, source_fingerprint

Arrays = Mapping[str, npt.NDArray[Any]]
_BLOCK = 4096  # bytes to which the header and each array are padded
_CODE = [FINGERPRINT, source_fingerprint(Path(__file__).parent)]


def index_path(path: Path) -> Path:
    """The file in which the index of a file of data is kept."""
    return path.with_name(path.name + ".index")


def stamp(path: Path) -> list[int]:
    """What changes when a file changes or is copied.

    Raises:
        OSError: if there is no file.
    """
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def keep(path: Path, source: list[int], arrays: Arrays, figures: Mapping[str, Any]) -> None:
    """Keep the index of a file of data, if the folder allows it.

    Args:
        path: of the data.
        source: `stamp` of the data before they were read.
        arrays: by name.
        figures: values for JSON.
    """
    places: dict[str, tuple[int, tuple[int, ...]]] = {}
    at = _BLOCK
    for name, array in arrays.items():
        places[name] = at, array.shape
        at += -(-array.nbytes // _BLOCK) * _BLOCK
    about = {"code": _CODE, "source": source, "figures": figures, "arrays": places, "end": at}
    header = json.dumps(about).encode()
    kept = index_path(path)
    unfinished = kept.with_name(f"{kept.name}.{os.getpid()}.partial")
    try:
        with unfinished.open("wb") as file:
            file.write(header.ljust(_BLOCK))
            for name, array in arrays.items():
                file.seek(places[name][0])
                file.write(np.ascontiguousarray(array).view(np.uint8).data)
            file.truncate(at)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, kept)
    except OSError:  # a read-only folder, or a full disk
        with contextlib.suppress(OSError):
            unfinished.unlink()


def kept(
    path: Path, source: list[int], dtypes: Mapping[str, np.dtype[Any]]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The arrays and figures of `keep`, or None if there are none of this very file.

    The arrays are mapped into memory. What is written to them stays in this process.
    """
    try:
        with index_path(path).open("rb") as file:
            about = json.loads(file.read(_BLOCK))
            size = os.fstat(file.fileno()).st_size
            if about["code"] != _CODE or about["source"] != source or about["end"] != size:
                return None
            memory = np.memmap(file, np.uint8, "c")
        arrays = {}
        for name, dtype in dtypes.items():
            at, shape = about["arrays"][name]
            n_bytes = int(np.prod(shape)) * dtype.itemsize
            arrays[name] = memory[at : at + n_bytes].view(np.ndarray).view(dtype).reshape(shape)
        return arrays, about["figures"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
