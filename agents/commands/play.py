"""Trade by hand against any market, beside the makers on the same prices and takers.

python -m agents.commands.play
python -m agents.commands.play --regime informed --p-informed 0.6 --seed 3
python -m agents.commands.play --task informed-40 --terminal
"""

import secrets
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gymnasium.error import DependencyNotInstalled, Error
from rich.console import Console
from rich.table import Table

from mm_gym import MarketConfig
from mm_gym.evaluation.replays import record_sessions
from mm_gym.rendering.pace import KEYS, Pace
from mm_gym.rendering.recording import Recording
from mm_gym.rendering.replay import write_replay
from mm_gym.reporting import artefacts
from mm_gym.tasks import market_config

from ..invocation import check_different, command_name, listed, run_module
from ..playing import scores
from ..playing.game import END, Session, events, play
from ..playing.quotes import HELP as MOVES
from ..playing.quotes import Quotes
from ..playing.screens import Screen, TerminalScreen, WindowScreen
from ..registry import Agent, name_agent
from .options import (
    OptionalFields,
    OptionalFloat,
    OptionalInt,
    OptionalPath,
    OptionalText,
    fields_of,
)

RECORDING_FILE, REPLAY_FILE = "you.npz", "replay.html"
_MOST_MAKERS = 3  # a replay has room for four
_SEEDS = 100_000  # a seed that nobody named is below this number


@dataclass(frozen=True)
class Arguments:
    """Trade by hand: move a bid and an ask by keys, in real time.

    The end shows what makers earned on the same prices and takers.
    """

    regime: OptionalText = None
    """Order-flow regime. Default: informed."""
    p_informed: OptionalFloat = None
    """Share of informed takers, from 0 to 1. Default: the regime's own."""
    set: OptionalFields = ()
    """Other fields of the market, such as session_steps=300 latency=0.5."""
    task: OptionalText = None
    """Task of the benchmark suite, instead of a regime and fields."""
    agents: str = "inventory_skew,trained/mixed"
    """Comma-separated makers to compare with, at most three. Names are those of evaluate."""
    seed: OptionalInt = None
    """Seed of the session, as in evaluate. Default: a new session each time."""
    speed: float = 4.0
    """Seconds of the market per second."""
    terminal: bool = False
    """Play in the terminal, without a window."""
    out: OptionalPath = None
    """Folder for the recording and the replay. Default: a new folder in results/."""


def main(arguments: Arguments, screen: Screen | None = None) -> Path:
    """Play a session, print the comparison, and return the folder of its files.

    Args:
        arguments: of the command line.
        screen: where to play. Default: a window or the terminal, as the arguments say.

    Raises:
        ValueError: if an argument cannot be used, there is no display or terminal, or the player
            ended the session before the first decision.
        OSError: if the folder cannot be written.
    """
    if not 0.0 < arguments.speed < float("inf"):
        raise ValueError(
            f"speed={arguments.speed:g} is out of range: expected a number above 0, "
            f"got {arguments.speed:g}"
        )
    config = _market(arguments)
    seed = secrets.randbelow(_SEEDS) if arguments.seed is None else arguments.seed
    out = arguments.out or artefacts.fresh_folder(Path("results"), "play")
    names = list(filter(None, listed(arguments.agents)))
    check_different("--agents", names)
    if len(names) > _MOST_MAKERS:
        raise ValueError(
            f"--agents names too many makers: expected at most {_MOST_MAKERS}, got {len(names)}"
        )
    session = Session(config, seed)
    makers = {name: name_agent(name)(config) for name in names}  # errors come before the game
    screen = screen or (TerminalScreen() if arguments.terminal else WindowScreen())
    try:
        with screen:
            with artefacts.results_folder(out) as folder:
                last = _trade(session, screen, Pace(arguments.speed))
                results = compare(session, makers, seed)
                _write(folder, results, f"Traded by hand: {config.regime}, seed {seed}")
            with suppress(KeyboardInterrupt):
                if last != "quit" and not arguments.terminal:  # both print the scores only
                    _show_end(session, screen, results)
    except DependencyNotInstalled as error:
        raise ValueError(str(error)) from error
    except Error as error:
        raise ValueError(
            f"no window can be opened: expected a display, got {error.__cause__} "
            "(write --terminal to play in the terminal)"
        ) from error
    _print(results, config)
    print(f"Recording and replay: {out} (open {out / REPLAY_FILE})")
    print(f"The same session again: {_again(arguments, seed)}")
    return out


def compare(session: Session, makers: Mapping[str, Agent], seed: int) -> list[Recording]:
    """The recordings of the player and of the makers, over the same number of decisions.

    Args:
        session: of the player.
        makers: agents by name.
        seed: of the session.
    """
    agents = {name: lambda _, agent=agent: agent for name, agent in makers.items()}
    return [
        session.recording(),
        *record_sessions(agents, session.config, seed, steps=session.steps),
    ]


def _market(arguments: Arguments) -> MarketConfig:
    fields = fields_of(arguments)
    is_default = arguments.regime is None and arguments.task is None and "regime" not in fields
    regime = "informed" if is_default else fields.pop("regime", arguments.regime)
    return market_config(regime, arguments.task, fields)[0]


def _trade(session: Session, screen: Screen, pace: Pace) -> str:
    """Run the game and return its last event. Ctrl-C ends it, as `q` does."""
    quotes = Quotes(session.config.max_offset)
    pace.is_paused = True

    def show(news: str) -> None:
        news = news or ("space: start" if session.steps == 0 else "no fill so far")
        screen.show(session, [f"{quotes}   {pace}", news], [*MOVES, f"{KEYS}   q: end"])

    last = ""
    with suppress(KeyboardInterrupt):
        interval = session.config.decision_interval
        last = play(session, quotes, events(pace, screen.keys, interval), show)
    if session.steps == 0:
        raise ValueError("nothing was traded: expected at least one decision, got none")
    screen.show(session, ["The makers trade the same session ..."])
    return last


def _show_end(session: Session, screen: Screen, results: Sequence[Recording]) -> None:
    """Show the scores until the player closes the window."""
    found = [scores.score(recording) for recording in results]
    rows = [f"{row[0]}\t\t" + "\t".join(row[1:]) for row in scores.table(found)]
    lines, keys = [*scores.sentences(found), *rows], ["t: show the truth   q: close"]
    show_truth = False
    screen.show(session, lines, keys)
    while True:
        for key in screen.keys(0.05):
            if key in END:
                return
            if key == "t":
                show_truth = not show_truth
            screen.show(session, lines, keys, show_truth)


def _write(folder: Path, results: Sequence[Recording], title: str) -> None:
    """Write the player's recording, and the replay of all."""
    results[0].save(folder / RECORDING_FILE)
    write_replay(folder / REPLAY_FILE, results, title=title)


def _print(results: Sequence[Recording], config: MarketConfig) -> None:
    found = [scores.score(recording) for recording in results]
    headings, *rows = scores.table(found)
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    steps = len(results[0].decisions) - 1
    early = "" if steps == config.session_steps else ", ended early: marked to the mid"
    print(f"Ticks x lots, {steps:,} of {config.session_steps:,} decisions{early}.")
    for sentence in scores.sentences(found):
        print(sentence)


def _again(arguments: Arguments, seed: int) -> str:
    """The command that plays the same session."""
    options = {
        "--regime": arguments.regime,
        "--task": arguments.task,
        "--p-informed": arguments.p_informed,
        "--seed": seed,
    }
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    words += ["--terminal"] if arguments.terminal else []
    for fields in arguments.set:
        words += ["--set", *fields]
    return f"{command_name('play')} {shlex.join(map(str, words))}"


if __name__ == "__main__":
    run_module("commands.play", main, Arguments)
