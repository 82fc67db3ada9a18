"""Damaged files for every reader, led by coverage: `python -m validation.fuzz_files FORMAT`.

Needs the fuzzer atheris (`pip install atheris`), which is no dependency of this project. FORMAT is
one of exchange formats, `events`, `market` or `run`. Further arguments are those of libFuzzer, such
as `-max_total_time=60`, and a folder for the inputs that reach new code. A reader gives a result or
refuses the file in one sentence. Anything else is printed with the file that caused it.

The machine code of the compiled readers is not seen by the fuzzer. What Python decides is.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

_INSTRUMENTED = [
    "mm_gym.data",
    "mm_gym.market_file",
    "mm_gym.config_checks",
    "mm_gym.field_checks",
    "agents.learned",
]
_COMPILED = [f"mm_gym.data.{name}" for name in ("event_book", "hawkes_kernels", "kernels")]
_COMPILED += ["mm_gym.data.simulation"]

with atheris.instrument_imports(include=_INSTRUMENTED, exclude=_COMPILED):
    from agents.learned.run_folder import RUN_FILE, read_run
    from mm_gym.data.events import convert, read_events
    from mm_gym.data.formats import FORMATS, open_file
    from mm_gym.market_file import read_market

_LONGEST = 2_000  # characters of a sentence


def _exchange(format: str) -> Callable[[Path], Any]:
    symbol = "AAPL" if format == "itch" else None

    def read(path: Path) -> Any:
        out = path.with_suffix(".parquet")
        convert(open_file(path, format, symbol, chunk=50), out)
        return read_events(out)

    return read


READERS: dict[str, Callable[[Path], Any]] = {
    **{name: _exchange(name) for name in FORMATS},
    "events": read_events,
    "market": read_market,
    "run": lambda path: read_run(path.parent),
}


def check(reader: Callable[[Path], Any], path: Path, content: bytes) -> None:
    """Give the reader a file with this content.

    Raises:
        AssertionError: if it is refused, but not in one sentence.
    """
    path.write_bytes(content)
    try:
        reader(path)
    except (ValueError, TypeError, OSError) as error:
        sentence = str(error)
        if "\n" in sentence or len(sentence) > _LONGEST or "expected" not in sentence:
            raise AssertionError(f"not one sentence: {sentence!r}") from error


def main(arguments: list[str]) -> None:
    """Fuzz the reader that the first argument names."""
    format, *options = arguments
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/dev/shm")))
    path = folder / (RUN_FILE if format == "run" else "file")
    atheris.Setup([sys.argv[0], *options], lambda content: check(READERS[format], path, content))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
