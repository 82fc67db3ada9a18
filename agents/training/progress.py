"""The progress of a training on the terminal.

A terminal shows five lines that change in place. Elsewhere, such as in a log file, a line is
printed now and then.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from .held_out import Evaluation

EVERY = 30.0  # [s] between two printed lines
_BAR = 40  # [characters]


class ProgressDisplay:
    """Shows decisions, speed, time left, and results beside those of the best rule.

    Use it as a context manager.

    Args:
        budget: of the training [decisions].
        console: to show it on. Default: standard output.
        clock: returns the time [s].
    """

    def __init__(
        self,
        budget: int,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget = budget
        self._done = 0
        self._console = Console() if console is None else console
        self._clock = clock
        self._printed_at = clock()
        self._start: tuple[int, float] | None = None  # decisions, and the time of the first ones
        self._paused = 0.0
        self._evaluating = False
        self._training = ""
        self._evaluation: Evaluation | None = None
        self._live = (
            Live(get_renderable=self._view, console=self._console, refresh_per_second=4)
            if self._console.is_terminal
            else None
        )

    def collected(self, done: int) -> None:
        """Note the number of decisions so far."""
        self._done = done
        self._start = self._start or (done, self._clock())
        if self._live is None and self._clock() >= self._printed_at + EVERY:
            self._print_decisions()

    def trained_on(self, objective: float, fills: float) -> None:
        """Note the means of the latest sessions of the training, which have exploration.

        Args:
            objective: [ticks x lots]
            fills: number per session.
        """
        self._training = f"objective {objective:,.1f}, {fills:,.0f} fills"

    def evaluated(self, evaluation: Evaluation) -> None:
        """Note an evaluation on held-out sessions."""
        self._evaluation = evaluation
        if self._live is None:
            self._print(f"held-out sessions: {_held_out(evaluation)}")
            self._print(f"best rule: {_best_rule(evaluation)}")

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Say that an evaluation holds up the training. Its time does not count for the speed."""
        since = self._clock()
        self._evaluating = True
        try:
            yield
        finally:
            self._evaluating = False
            self._paused += self._clock() - since

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def _print_decisions(self) -> None:
        self._printed_at = self._clock()
        share = f"{self._done:,} decisions ({min(1.0, self._done / self._budget):.0%})"
        parts = [share, self._speed("/s"), *([self._training] if self._training else [])]
        self._print(", ".join(parts))

    def _print(self, line: str) -> None:
        self._console.print(escape(line), highlight=False)

    def _speed(self, unit: str) -> str:
        first, started_at = self._start or (0, self._clock())
        seconds = self._clock() - started_at - self._paused
        if self._done <= first or seconds <= 0.0:
            return "starting"
        speed = (self._done - first) / seconds
        left = max(0, self._budget - self._done) / speed
        return f"{speed:,.0f}{unit}, {_duration(left)} left"

    def _view(self) -> RenderableType:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim")
        rows.add_column()
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(self._budget, min(self._done, self._budget), width=_BAR),
            f"{self._done:,} of {self._budget:,}",
        )
        rows.add_row("decisions", bar)
        rows.add_row("speed", self._speed(" a second") + ", evaluating" * self._evaluating)
        rows.add_row("training", self._training or "no session has ended yet")
        for name, line in (("held out", _held_out), ("best rule", _best_rule)):
            shown = "not evaluated yet" if self._evaluation is None else line(self._evaluation)
            rows.add_row(name, escape(shown))
        return rows


def _held_out(evaluation: Evaluation) -> str:
    row = evaluation.row
    return (
        f"objective {row['objective']:,.1f}, {row['fills']:,.0f} fills, "
        f"after {evaluation.steps_done:,} decisions"
    )


def _best_rule(evaluation: Evaluation) -> str:
    return (
        f"{evaluation.rule['objective']:,.1f} by {evaluation.rule['agent']}; gap {evaluation.gap}"
    )


def _duration(seconds: float) -> str:
    """As minutes and seconds, or as hours, minutes and seconds: 2:01, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
