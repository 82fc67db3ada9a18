"""The render modes of the environments: what is drawn of a market, and when."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mm_gym.argument_checks import check_switch
from mm_gym.core.layout import Outcome
from mm_gym.display import Image
from mm_gym.errors import ConfigurationError
from mm_gym.rendering.history import History
from mm_gym.rendering.ladder import ladder

if TYPE_CHECKING:
    from mm_gym.markets import Markets
    from mm_gym.rendering.window import Window

Frame = str | npt.NDArray[np.uint8]
"""The order book as text, or an image of shape (height, width, 3)."""

_PICTURES = ("rgb_array", "human")  # render modes that draw pictures


def check_render_mode(mode: str | None, offered: Sequence[str]) -> str | None:
    """Return the mode if it is None or one of `offered`.

    Raises:
        ConfigurationError: the mode is not offered.
    """
    if mode is None or (isinstance(mode, str) and mode in offered):
        return mode
    is_window = isinstance(mode, str) and mode == "human"
    hint = " (for a window use gymnasium.wrappers.vector.HumanRendering)" if is_window else ""
    raise ConfigurationError(
        f"render_mode={mode!r} is not offered: expected None or one of "
        f"{', '.join(map(repr, offered))}, got {mode!r}{hint}"
    )


def check_show_truth(show_truth: Any, mode: str | None) -> bool:
    """Return the argument `show_truth` as a bool.

    Raises:
        ConfigurationError: it is not a bool, or it has no effect in this render mode.
    """
    shown = check_switch("show_truth", show_truth)
    if shown and mode not in _PICTURES:
        raise ConfigurationError(
            "show_truth=True has no effect: expected a render_mode that draws pictures "
            f"({', '.join(map(repr, _PICTURES))}) beside it, got {mode!r}"
        )
    return shown


class Renderer:
    """Draws `n` markets in one render mode. It does not change them.

    Pillow and pygame are imported when the first picture is drawn. An environment can therefore be
    made without them.

    Args:
        mode: as in `MarketMakingEnv`.
        n: number of markets.
        show_truth: as in `MarketMakingEnv`.
    """

    def __init__(self, mode: str | None, n: int = 1, show_truth: bool = False) -> None:
        self._mode = mode
        self._show_truth = show_truth
        self._history = History(n) if mode in _PICTURES else None
        self._window: Window | None = None

    def update(self, markets: "Markets", fps: float) -> None:
        """Store the state after a reset or a step and, in `human` mode, show it in the window."""
        if self._history is None:
            return
        self._history.note(markets.records)
        if self._mode == "human":
            from mm_gym.rendering.window import Window

            self._window = self._window or Window(self._show_truth)
            last = bool(markets.records[0]["outcome"][Outcome.TERMINATED] > 0.0)
            self._window.show(functools.partial(self._picture, markets, 0), fps, last)

    def render(self, markets: "Markets") -> tuple[Frame, ...] | None:
        """Return a frame of each market, or None in `human` mode and without a render mode."""
        if self._mode == "ansi":
            return tuple(
                ladder(markets.shown(market), markets.parameters_of(market))
                for market in range(len(markets))
            )
        if self._mode == "rgb_array":
            return tuple(picture.view(Image) for picture in self.pictures(markets))
        return None

    def pictures(self, markets: "Markets") -> list[npt.NDArray[np.uint8]]:
        """Return a picture of each market, shape (540, 960, 3)."""
        return [self._picture(markets, market, self._show_truth) for market in range(len(markets))]

    def forget(self, markets: "Markets") -> None:
        """Drop the stored past after a checkpoint is restored: it belongs to another session."""
        if self._history is not None:
            self._history.forget(markets.records)

    def close(self) -> None:
        """Close the window, if there is one. The next `update` opens a new one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _picture(self, markets: "Markets", market: int, show_truth: bool) -> npt.NDArray[np.uint8]:
        from mm_gym.rendering.picture import draw

        assert self._history is not None
        record = markets.shown(market)
        past = self._history.of(market, int(record["steps"]))
        return draw(record, markets.parameters_of(market), past, show_truth)

    def __getstate__(self) -> dict[str, Any]:
        # A copy of an environment opens a window of its own.
        return {**self.__dict__, "_window": None}
