"""Writing a file so that it is complete or as it was before."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically: at any time there is either the old file or the new one.

    Raises:
        OSError: if it cannot be written. The old file stays.
    """
    unfinished = path.with_name(path.name + ".partial")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
