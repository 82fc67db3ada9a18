"""One line for people who wait while the core is compiled for the first time."""

import sys
from typing import Any

from numba.core import event

from mm_gym.core import entry_points


class CompilationNotice(event.Listener):
    """Writes a line to a terminal or a notebook when the compiled core is not in the cache.

    Logs and pipes get no line, because nobody waits there.
    """

    def __init__(self) -> None:
        self._written = False

    def on_start(self, event: Any) -> None:
        """Write the line once per process, if a function of this package is compiled."""
        function = event.data["dispatcher"].py_func
        if self._written or function.__module__ != entry_points.__name__:
            return
        if sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules):
            self._written = True
            sys.stderr.write(
                "mm_gym compiles its core. This takes about half a minute, once per installation.\n"
            )
            sys.stderr.flush()

    def on_end(self, event: Any) -> None:
        """Do nothing."""


def announce_compilation() -> None:
    """Write the line of `CompilationNotice` from now on."""
    event.register("numba:compile", CompilationNotice())  # type: ignore[no-untyped-call]
