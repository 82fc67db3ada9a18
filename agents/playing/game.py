"""A session that a person trades, decision by decision."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy.typing as npt
from gymnasium.utils import seeding

from mm_gym import MarketConfig
from mm_gym.actions import from_ticks
from mm_gym.core.layout import BID
from mm_gym.evaluation.rollout import session_seeds
from mm_gym.markets import Markets
from mm_gym.rendering.history import History, Past
from mm_gym.rendering.pace import Pace
from mm_gym.rendering.recorder import Recorder
from mm_gym.rendering.recording import Recording

from .quotes import Quotes

YOU = "you"
"""Label of the player's recording."""
DECIDE = "decide"
"""The event that a decision is due. All other events are keys."""
END = ("q", "escape", "quit")
"""Keys that end a session."""


class Session:
    """One market, its recorder and its past.

    Args:
        config: the market.
        seed: of the evaluation: `run_sessions` with this seed begins with the same session.
    """

    def __init__(self, config: MarketConfig, seed: int) -> None:
        self.config = config
        self._markets = Markets(config, 1)
        self._recorder = Recorder(self._markets, YOU)
        self._history = History(1)
        self._recorder.make_room(config)
        first = int(session_seeds(seed, 1)[0])
        self._markets.start([seeding.np_random(first)[0]])
        self._recorder.start(first)
        self._history.note(self._markets.records)

    @property
    def market(self) -> Any:
        """The record of the market."""
        return self._markets.shown(0)

    @property
    def parameters(self) -> Any:
        """The parameters of the market."""
        return self._markets.parameters_of(0)

    @property
    def past(self) -> Past:
        """What a picture shows of the session so far."""
        return self._history.of(0, self.steps)

    @property
    def steps(self) -> int:
        """Number of decisions so far."""
        return int(self.market["steps"])

    @property
    def is_over(self) -> bool:
        """Whether the session has reached its close."""
        return self.steps >= self.config.session_steps

    def step(self, offsets: tuple[float, float]) -> npt.NDArray[Any]:
        """Quote, simulate one decision interval, and return the new fills.

        Args:
            offsets: of bid and ask from the public mid [ticks].

        Returns:
            Rows of `layout.FILL_ROW`.
        """
        before = int(self.market["n_fill_rows"])
        self._recorder.prepare()
        self._markets.step(from_ticks([offsets], self.config.max_offset))
        self._recorder.note()
        self._history.note(self._markets.records)
        return self._markets.fill_rows[0, before : int(self.market["n_fill_rows"])]

    def recording(self) -> Recording:
        """The session so far."""
        return self._recorder.recording(self.config)


def events(pace: Pace, read_keys: Callable[[float], list[str]], interval: float) -> Iterator[str]:
    """The keys as they are pressed, and `DECIDE` whenever a decision is due, without an end.

    Args:
        pace: of the session.
        read_keys: see `Pace.wait`.
        interval: [s] between two decisions at speed 1.
    """
    while True:
        yield from pace.wait(read_keys, interval)
        yield DECIDE


def play(
    session: Session,
    quotes: Quotes,
    happenings: Iterable[str],
    show: Callable[[str], None],
) -> str:
    """Trade until the close, or until the player ends the session.

    Args:
        session: a new session.
        quotes: of the player.
        happenings: see `events`.
        show: called after each event with a line about the latest fills.

    Returns:
        The last event.
    """
    news, event = "", ""
    show(news)
    for event in happenings:
        if event in END:
            return event
        if event == DECIDE:
            fills = session.step(quotes.offsets)
            news = _news(fills) if len(fills) else news
        else:
            quotes.press(event)
        show(news)
        if session.is_over:
            return event
    return event


def _news(fills: npt.NDArray[Any]) -> str:
    return ", ".join(
        f"{'bought' if fill['side'] == BID else 'sold'} {fill['lots']} at {fill['price']:.10g}"
        for fill in fills
    )
