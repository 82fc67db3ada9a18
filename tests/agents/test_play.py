"""Trading by hand: keys move the quotes in the book, and the scores are those of the session."""

import os
import re
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from gymnasium.error import Error

from agents import name_agent
from agents.commands.play import Arguments, main
from agents.playing import scores
from agents.playing.game import DECIDE, Session, events, play
from agents.playing.quotes import Quotes
from agents.playing.screens import TerminalScreen, parse_keys
from agents.registry import AgentError
from mm_gym import REGIMES, configure
from mm_gym.core.layout import ASK, BID, TakerKind
from mm_gym.evaluation import run_sessions, summarise
from mm_gym.evaluation.metrics import with_informed_takers
from mm_gym.rendering.pace import Pace
from mm_gym.rendering.recording import DECISION, FILL, PATH, TRADE, Recording
from mm_gym.reporting.artefacts import ArtefactError

FIELDS = (("session_steps=300", "taker_rate=2.0"),)
MARKET = configure("informed", p_informed=0.6, session_steps=300, taker_rate=2.0)

# ------------------------------------------------------------------------------------------ quotes


@pytest.mark.parametrize(
    "keys, offsets",
    [
        ([], (2, 2)),
        (["w"], (1, 2)),
        (["s", "s"], (4, 2)),
        (["up"], (2, 3)),
        (["down", "down", "down"], (2, 0)),
        (["e"], (1, 3)),
        (["d"], (3, 1)),
        (["right"], (3, 3)),
        (["left", "up"], (1, 2)),
        (["s"] * 30, (15, 2)),
        (["x"], (15, 15)),
        (["s", "x", "x"], (3, 2)),
        (["x", "w"], (1, 2)),
        (["t", "+", "?"], (2, 2)),
    ],
)
def test_keys_move_the_offsets_of_the_quotes(keys: list[str], offsets: tuple[float, float]) -> None:
    quotes = Quotes(max_offset=15.0)
    for key in keys:
        quotes.press(key)
    assert quotes.offsets == offsets


def test_a_market_with_a_small_largest_offset_has_quotes_within_it() -> None:
    quotes = Quotes(max_offset=0.5)
    assert quotes.offsets == (0.5, 0.5)
    quotes.press("w")
    assert quotes.offsets == (0.0, 0.5)


def test_the_quotes_in_the_book_are_those_of_the_keys(
    read_queues: Callable[[Any, str], Any],
) -> None:
    # Without takers and with a threshold of zero, each decision's quotes rest in the book.
    session = Session(configure("noise", taker_rate=0.0, requote_threshold=0.0), seed=4)
    quotes = Quotes(session.config.max_offset)
    expected = iter([(2, 2), (4, 2), (4, 3), (5, 4), (15, 15), (4, 5)])
    compared = 0

    def script() -> Iterator[str]:
        nonlocal compared
        for keys in ([], ["s", "s"], ["up"], ["right"], ["x"], ["x", "e"]):
            yield from keys
            mid = float(session.market["mid"])
            yield DECIDE
            bid, ask = next(expected)
            found = {
                side: [
                    price
                    for price, queue in read_queues(session.market, side).items()
                    if any(order.own for order in queue)
                ]
                for side in ("bid", "ask")
            }
            assert found == {"bid": [np.floor(mid - bid)], "ask": [np.ceil(mid + ask)]}
            compared += 1

    play(session, quotes, script(), lambda news: None)
    assert (compared, session.steps) == (6, 6)


# ----------------------------------------------------------------------------------------- session


def test_a_session_ends_at_the_close_and_at_the_players_wish() -> None:
    session = Session(configure("noise", session_steps=5), seed=0)
    last = play(session, Quotes(15.0), [DECIDE] * 3 + ["q", DECIDE], lambda news: None)
    assert (session.steps, last) == (3, "q")
    shown = 0

    def show(news: str) -> None:
        nonlocal shown
        shown += 1

    play(session, Quotes(15.0), [DECIDE, "w", DECIDE, DECIDE], show)
    assert (session.steps, session.is_over) == (5, True)
    assert shown == 4  # at the start, and after each event until the close


def test_the_player_reads_about_each_fill() -> None:
    session = Session(MARKET, seed=1)
    lines: list[str] = []
    play(session, Quotes(15.0), [DECIDE] * 300, lines.append)
    said = [
        f"{'bought' if fill['side'] == BID else 'sold'} {fill['lots']} at {int(fill['price'])}"
        for fill in session.recording().fills
    ]
    assert len(said) > 10
    assert all(any(text in line for line in lines) for text in said)


def test_decisions_are_due_at_the_pace_and_keys_come_between() -> None:
    polls = iter([["w"], [], ["space"], [], ["s"], ["n"], ["space"], []])
    timed = events(Pace(speed=1e9), lambda seconds: next(polls), 1.0)
    found = [next(timed) for _ in range(9)]
    assert found == ["w", DECIDE, DECIDE, "space", "s", "n", DECIDE, "space", DECIDE]


def test_the_players_session_is_that_of_every_agent_with_this_seed() -> None:
    """A player who presses no key quotes as `fixed_spread:half_spread=2` does."""
    session = Session(MARKET, seed=7)
    play(session, Quotes(MARKET.max_offset), [DECIDE] * 300, lambda news: None)
    sessions = run_sessions(name_agent("fixed_spread:half_spread=2"), MARKET, episodes=1, seed=7)
    recording, found = session.recording(), scores.score(session.recording())
    row = summarise("", sessions)
    assert recording.seed == sessions.seeds[0]
    np.testing.assert_array_equal(recording.decisions["inventory"][1:], sessions.inventory[0])
    assert found.n_fills == row["total_fills"] > 20
    assert found.n_informed == with_informed_takers(sessions).sum() > 3
    for name, column in [
        ("pnl", "final_pnl"),
        ("spread_pnl", "spread_pnl"),
        ("inventory_pnl", "inventory_pnl"),
        ("close_out", "close_out"),
        ("markout", "markout_50"),
        ("mean_abs_inventory", "mean_abs_inventory"),
    ]:
        assert getattr(found, name) == pytest.approx(row[column]), name


# ------------------------------------------------------------------------------------------ scores


def recorded(label: str, fills: Sequence[tuple[float, int, float, TakerKind]]) -> Recording:
    """A recording of 100 s whose mid falls by 1 tick a second from 200, with these fills."""
    decisions, path = np.zeros(3, DECISION), np.zeros(101, PATH)
    decisions["time"], decisions["inventory"] = [0.0, 50.0, 100.0], [0, -2, 4]
    decisions["pnl"], decisions["spread_pnl"] = [0, 1, -30], [0, 5, 12]
    decisions["inventory_pnl"] = [0, -4, -42]
    path["time"], path["mid"] = np.arange(101), 200.0 - np.arange(101)
    rows = np.zeros(len(fills), FILL)
    for row, (time, side, price, taker) in zip(rows, fills, strict=True):
        row["time"], row["side"], row["price"], row["taker"] = time, side, price, taker
    return Recording(label, 1, MARKET, decisions, rows, path, np.zeros(0, TRADE))


def test_the_sentences_say_what_cost_money() -> None:
    fills = [
        (10.0, BID, 143.0, TakerKind.INFORMED),  # the mid 50 s later is 140: -3
        (20.0, BID, 131.0, TakerKind.SNIPER),  # 130: -1
        (30.0, ASK, 125.0, TakerKind.NOISE),  # 120: +5
        (60.0, ASK, 150.0, TakerKind.NOISE),  # 50 s later is after the end
    ]
    found = [scores.score(recorded("you", fills)), scores.score(recorded("rule", []))]
    assert scores.sentences(found) == [
        "you -30, rule -30; you were filled 4 times, 2 by informed takers, markout 0.3 ticks.",
        "Adverse selection: 50 s later, fills by informed takers were worth -2.0 ticks on average, "
        "the others +5.0.",
        "The spread earned 12, inventory cost 42: you held 3.0 lots on average, rule 3.0.",
    ]
    assert scores.table(found)[1:] == [
        ("you", "-30", "12", "-42", "0", "0", "4", "2", "3.0"),
        ("rule", "-30", "12", "-42", "0", "0", "0", "0", "3.0"),
    ]
    assert scores.sentences(found[1:]) == [
        "rule -30; you were not filled.",
        "The spread earned 12, inventory cost 42: you held 3.0 lots on average.",
    ]


# ----------------------------------------------------------------------------------------- command


class Scripted:
    """A screen that gets its keys from a list: one entry each time that somebody looks."""

    def __init__(self, looks: Sequence[list[str]] = ()) -> None:
        self.looks = [["space"], *looks]
        self.shown: list[tuple[int, list[str], bool]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(
        self,
        session: Session,
        lines: Sequence[str],
        keys: Sequence[str] = (),
        show_truth: bool = False,
    ) -> None:
        self.shown.append((session.steps, [*lines], show_truth))
        self.at_the_end = any("close" in line for line in keys)

    def keys(self, seconds: float) -> list[str]:
        if self.looks:
            return self.looks.pop(0)
        return ["q"] if self.at_the_end else []


def run(looks: Sequence[list[str]] = (), **arguments: Any) -> Scripted:
    """Run the command on a screen with these keys, as fast as possible."""
    screen = Scripted(looks)
    given = {"p_informed": 0.6, "set": FIELDS, "seed": 7, "speed": 1e9, **arguments}
    main(Arguments(**given), screen)
    return screen


def printed_rows(printed: str) -> list[list[str]]:
    """The cells of the table, without its headings."""
    rows = [line.split() for line in printed.splitlines()]
    return [row for row in rows if len(row) == len(scores.HEADINGS) and row[0] != "maker"]


def test_the_printed_figures_are_those_of_run_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    screen = run(agents="inventory_skew,glosten_milgrom")
    printed = capsys.readouterr().out
    expected = {}
    for label, agent in [
        ("you", "fixed_spread:half_spread=2"),
        ("inventory_skew", "inventory_skew"),
        ("glosten_milgrom", "glosten_milgrom"),
    ]:
        row = summarise("", run_sessions(name_agent(agent), MARKET, episodes=1, seed=7))
        expected[label] = [f"{row['final_pnl']:.0f}", str(row["total_fills"])]
    found = {row[0]: [row[1], row[6]] for row in printed_rows(printed)}
    assert len({pnl for pnl, _ in found.values()}) == 3
    assert found == expected
    scored = ", ".join(f"{label} {pnl}" for label, (pnl, _) in expected.items())
    assert f"{scored}; you were filled {expected['you'][1]} times, " in printed
    assert "300 of 300 decisions.\n" in printed
    assert screen.shown[-1][1][0].startswith(scored)  # the window shows the same sentence
    folder = Path("results") / "play-1"
    assert f"Recording and replay: {folder} (open {folder / 'replay.html'})" in printed
    kept = Recording.load(folder / "you.npz")
    assert f"{kept.decisions['pnl'][-1]:.0f}" == expected["you"][0]
    assert kept.config == MARKET
    page = (folder / "replay.html").read_text()
    assert all(label in page for label in expected)
    again = "--p-informed 0.6 --seed 7 --set session_steps=300 taker_rate=2.0"
    assert printed.rstrip().endswith(f"python -m agents.commands.play {again}")


def test_an_early_end_compares_the_same_number_of_decisions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = run(
        [[]] * 30 + [["q"]],
        agents="fixed_spread:half_spread=2",
        seed=8,
        out=tmp_path / "out",
    )
    printed = capsys.readouterr().out
    assert screen.shown[-1][0] == 30
    assert "30 of 300 decisions, ended early: marked to the mid." in printed
    you, rule = printed_rows(printed)
    assert you[1:] == rule[1:]  # the same quotes on the same session, both without the close
    assert int(you[6]) > 0


@pytest.mark.parametrize("regime", REGIMES)
def test_every_regime_can_be_played(
    regime: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = {"regime": regime, "p_informed": None, "set": [["session_steps=20"]]}
    run(**market, agents="inventory_skew", out=tmp_path / "out")
    assert "20 of 20 decisions." in capsys.readouterr().out
    kept = Recording.load(tmp_path / "out" / "you.npz")
    assert kept.config == configure(regime, session_steps=20)


def test_the_truth_is_shown_after_the_end_only(tmp_path: Path) -> None:
    screen = run(
        [["t"]] * 10 + [["q"], ["t"], ["t"], ["t"], ["escape"]],
        agents="fixed_spread",
        out=tmp_path / "out",
    )
    truths = [truth for *_, truth in screen.shown]
    assert truths[-4:] == [False, True, False, True]
    assert not any(truths[:-4])


def test_who_closes_the_window_sees_the_scores_in_the_terminal_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = run([[], [], ["quit"]], agents="", out=tmp_path / "out")
    assert "you were filled" not in "".join(screen.shown[-1][1])
    assert "2 of 300 decisions, ended early" in capsys.readouterr().out


def test_an_interruption_ends_the_session_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Scripted, seconds: float) -> list[str]:
        if self.at_the_end or self.shown[-1][0] == 4:
            raise KeyboardInterrupt
        return self.looks.pop(0) if self.looks else []

    monkeypatch.setattr(Scripted, "keys", interrupt)
    run(agents="", out=tmp_path / "out")
    assert Recording.load(tmp_path / "out" / "you.npz").decisions["step"][-1] == 4


def test_a_session_without_a_decision_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^nothing was traded: expected at least one decision"):
        run([["q"]], agents="", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, error, sentence",
    [
        ({"agents": "nobody"}, AgentError, "agent 'nobody' is unknown: expected"),
        ({"agents": "a,b,c,d"}, ValueError, "too many makers: expected at most 3, got 4"),
        ({"speed": 0.0}, ValueError, "speed=0 is out of range: expected a number above 0, got 0"),
        ({"seed": -1}, ValueError, "seed=-1 is out of range: expected a whole number"),
        ({"task": "informed-40"}, ValueError, "task 'informed-40' is frozen: expected no regime"),
        ({"regime": "quiet"}, ValueError, "'quiet'"),
    ],
)
def test_bad_arguments_are_errors_before_the_game(
    arguments: dict[str, Any],
    error: type[Exception],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scripted, "show", lambda *_: pytest.fail("the game has begun"))
    with pytest.raises(error, match=sentence):
        run(**{"out": tmp_path / "out", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_contents_is_an_error_before_the_game(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.txt").touch()
    monkeypatch.setattr(Scripted, "show", lambda *_: pytest.fail("the game has begun"))
    with pytest.raises(ArtefactError, match="is occupied: expected a new or empty folder"):
        run(agents="", out=tmp_path)


# ------------------------------------------------------------------------------ window and terminal


def test_the_window_sends_the_keys_of_pygame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pygame = pytest.importorskip("pygame")
    waits = iter(["s", "up", "n", "n", "t", "q", "q"])
    bottoms = []

    def wait(milliseconds: int) -> None:
        if milliseconds > 0:
            bottoms.append(pygame.surfarray.array3d(pygame.display.get_surface())[:, 540:].copy())
            event = pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(next(waits)))
            pygame.event.post(event)

    monkeypatch.setattr(pygame.time, "wait", wait)
    # A decision is due in a billion seconds, or at the key `n`.
    arguments = Arguments(
        p_informed=0.6, set=FIELDS, seed=7, agents="", speed=1e-9, out=tmp_path / "out"
    )
    main(arguments)
    assert next(waits, None) is None
    kept = Recording.load(tmp_path / "out" / "you.npz")
    mid, quotes = kept.decisions["mid"], kept.decisions["quote_price"]
    assert len(mid) == 3
    assert quotes[1].tolist() == [np.floor(mid[0] - 3), np.ceil(mid[0] + 3)]
    assert (bottoms[0] != bottoms[1]).any()  # the line of the quotes
    assert pygame.display.get_surface() is None
    assert "2 of 300 decisions, ended early" in capsys.readouterr().out


def test_without_a_display_the_error_names_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pygame")
    from mm_gym.rendering import window

    def refuse(size: tuple[int, int]) -> Any:
        raise Error("render_mode") from RuntimeError("no video device")

    monkeypatch.setattr(window, "_surface", refuse)
    sentence = r"^no window can be opened: expected a display, got no video device \(write --term"
    with pytest.raises(ValueError, match=sentence):
        main(Arguments(agents="", out=tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "typed, keys",
    [
        ("w", ["w"]),
        ("\x1b[A\x1b[B\x1bOC\x1bOD", ["up", "down", "right", "left"]),
        (" +q", ["space", "+", "q"]),
        ("\x1b[5~x\x1b", ["x"]),  # page down, x, and the start of a sequence
    ],
)
def test_the_terminal_names_keys_as_the_window_does(typed: str, keys: list[str]) -> None:
    assert parse_keys(typed) == keys


def test_a_session_is_played_in_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pty = pytest.importorskip("pty", reason="there are no terminals of this kind here")
    import termios

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    ours, theirs = pty.openpty()
    monkeypatch.setattr(sys, "stdin", os.fdopen(theirs))
    before = termios.tcgetattr(theirs)
    typed = iter([b"w", b"\x1b[A", b"nn", b"q"])
    wait = select.select

    def type_and_wait(*arguments: Any) -> Any:
        os.write(ours, next(typed, b""))
        return wait(*arguments)

    monkeypatch.setattr(select, "select", type_and_wait)
    main(Arguments(set=FIELDS, seed=7, agents="", speed=1e-9, terminal=True, out=tmp_path / "out"))
    assert termios.tcgetattr(theirs) == before
    kept = Recording.load(tmp_path / "out" / "you.npz")
    mid, quotes = kept.decisions["mid"], kept.decisions["quote_price"]
    assert quotes[1].tolist() == [np.floor(mid[0] - 1), np.ceil(mid[0] + 3)]
    written = capsys.readouterr().out
    assert "bid at mid - 1, ask at mid + 3   paused" in written
    assert "2 of 300 decisions" in written
    frames = written.split("\x1b[H")[1:-1]
    plain = [re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", frame).splitlines() for frame in frames]
    assert max(len(line) for lines in plain for line in lines) <= 80
    assert {len(lines) for lines in plain} == {24}
    os.close(ours)


def test_a_small_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("termios")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    with pytest.raises(ValueError, match="expected at least 80 x 24 characters, got 60 x 24"):
        TerminalScreen().__enter__()


def test_without_a_terminal_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("termios")
    with (tmp_path / "input").open("w+") as file:
        monkeypatch.setattr(sys, "stdin", file)
        with pytest.raises(ValueError, match="read key by key: expected an interactive terminal"):
            TerminalScreen().__enter__()
