"""How a command ends: bad input, Ctrl-C, SIGTERM and lack of memory give one sentence and a code.

| end | exit code |
|---|---|
| bad input, a file that cannot be used, not enough memory | 2 |
| Ctrl-C (SIGINT) | 130 |
| SIGTERM, as containers and batch systems send it before they kill | 143 |
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

BAD_INPUT = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM. Whatever cleans up after Ctrl-C cleans up after this."""


def exit_code(stopped: KeyboardInterrupt) -> int:
    """The exit code of a program that a signal stopped: 128 and the number of the signal."""
    return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)


@contextmanager
def raise_on_termination() -> Iterator[None]:
    """SIGTERM raises `Terminated` in this block, as SIGINT raises `KeyboardInterrupt`."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handlers({signal.SIGTERM: terminate}):
        yield


@contextmanager
def deferred_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM wait until this block ends. A second one does not wait.

    Yields:
        An event that is set when a signal waits.
    """
    waits, first = threading.Event(), 0
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal first
        first = number
        waits.set()
        for other, handler in before.items():
            signal.signal(other, handler)

    with _handlers(dict.fromkeys(_SIGNALS, note)):
        yield waits
    if first:
        signal.raise_signal(first)


@contextmanager
def _handlers(
    wanted: Mapping[signal.Signals, Callable[[int, FrameType | None], None]],
) -> Iterator[None]:
    """Handle signals in this block."""
    if threading.current_thread() is not threading.main_thread():  # only there may they be set
        yield
        return
    before = {number: signal.getsignal(number) for number in wanted}
    try:
        for number, handler in wanted.items():
            signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run a command, and end the process as the table of this module says.

    Args:
        name: of the command, which starts the sentence, such as `agents.tuning`.
        command: parses the command line and does the work.
    """
    try:
        with raise_on_termination():
            command()
    except KeyboardInterrupt as stopped:
        by = "SIGTERM" if isinstance(stopped, Terminated) else "Ctrl-C"
        print(  # noqa: T201
            f"{name}: stopped by {by}. Files that were not complete are removed.", file=sys.stderr
        )
        sys.exit(exit_code(stopped))
    except BrokenPipeError:
        # The reader of a pipe has seen enough. Python would fail again when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BAD_INPUT)
    except MemoryError as error:
        print(  # noqa: T201
            f"{name}: there is not enough memory: expected a smaller size, got "
            f"{str(error) or 'none left'}",
            file=sys.stderr,
        )
        sys.exit(BAD_INPUT)
    except (ValueError, OSError) as error:
        print(f"{name}: {_sentence(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(BAD_INPUT)


def _sentence(error: ValueError | OSError) -> str:
    """The message of an error. Python's own message about a file becomes a sentence."""
    path = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if not isinstance(error, OSError) or path is None:
        return " ".join(str(error).split())  # a value that is shown may contain line breaks
    path = str(path).removesuffix(".partial")  # the end of files that are being written
    return (
        f"{path} cannot be used: expected a path that can be read or written, got {error.strerror}"
    )
