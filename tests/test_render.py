"""Text and pictures show the state of the market, and they work with Gymnasium's own tools."""

import copy
import os
import pickle
import re
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.error import DependencyNotInstalled
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import AddRenderObservation, HumanRendering, RecordVideo

from mm_gym import ConfigurationError, MarketMakingEnv
from mm_gym.actions import from_ticks
from tests.random_quotes import quote

ROOT = Path(__file__).resolve().parent.parent
DEPTH = 6  # levels shown a side
MODES = ("human", "rgb_array", "ansi")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show frames without a delay and close the window after each test."""
    monkeypatch.setitem(MarketMakingEnv.metadata, "render_fps", 1000)
    yield
    if sys.modules.get("pygame") is not None:
        sys.modules["pygame"].quit()


# ------------------------------------------------------------------------------------------ ladder


def started(seed: int = 0, **keywords: Any) -> Any:
    env = gymnasium.make("MarketMaking-v0", render_mode="ansi", **keywords).unwrapped
    env.reset(seed=seed)
    return env


def written(queue: list[Any]) -> str:
    """Return a queue as the ladder writes it: oldest first, an order of the agent as >lots<."""
    parts: list[str] = []
    others = 0
    for order in queue:
        if order.own:
            parts += [str(others)] * (others > 0) + [f">{order.lots}<"]
            others = 0
        else:
            others += order.lots
    return " + ".join(parts + [str(others)] * (others > 0))


def read_ladder(text: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return bids and asks as (price, queue), from the highest price to the lowest."""
    bids, asks = [], []
    for line in text.splitlines()[2:]:
        if line.count("|") == 2:
            bid, price, ask = (part.strip() for part in line.split("|"))
            assert (bid == "") != (ask == "")
            (bids if bid else asks).append((int(price), bid or ask))
    return bids, asks


@pytest.mark.parametrize("regime", ["noise", "informed", "dealer"])
def test_the_ladder_shows_the_book_of_the_record(
    regime: str, read_queues: Callable[..., Any]
) -> None:
    env = started(regime=regime, quote_size=3, maker_size=3.0, maker_depth=1.0)
    generator = np.random.default_rng(0)
    in_the_middle = 0
    for _ in range(300):
        env.step(generator.uniform(-1.0, -0.6, 2).astype(np.float32))
        text = env.render()
        bids, asks = read_ladder(text)
        book = {side: read_queues(env._markets.records[0], side) for side in ("bid", "ask")}
        assert bids == [
            (price, written(book["bid"][price]))
            for price in sorted(book["bid"], reverse=True)[:DEPTH]
        ]
        assert (
            asks
            == [(price, written(book["ask"][price])) for price in sorted(book["ask"])[:DEPTH]][::-1]
        )
        assert ("no bids" in text, "no asks" in text) == (not book["bid"], not book["ask"])
        in_the_middle += len(re.findall(r"\d \+ >\d<.* \+ \d", text))
    if regime != "dealer":
        assert in_the_middle > 10  # an order of the agent between other orders


def test_the_first_line_of_the_ladder_agrees_with_the_info() -> None:
    env = started(regime="informed", taker_rate=3.0, session_steps=40)
    fills = 0
    for step in range(1, 41):
        *_, info = env.step(np.array([-0.8, -0.8], np.float32))
        fills += info["fills"]
        head = env.render().splitlines()[0]
        numbers = re.fullmatch(
            r"t = (\S+) s   mid (\S+)   inventory ([+-]\d+)   PnL ([+-]\S+)", head
        )
        assert numbers is not None
        time, mid, inventory, pnl = (float(number) for number in numbers.groups())
        assert (time, mid, inventory) == (step, info["mid"], info["inventory"])
        assert pnl == pytest.approx(info["pnl"], abs=0.05)
    assert fills > 10


def test_the_ladder_of_an_empty_book_says_so() -> None:
    env = started(regime="dealer")
    assert env.render().splitlines()[-2:] == [
        f"{'no asks':^62}".rstrip(),
        f"{'no bids':^62}".rstrip(),
    ]
    # At the bound of inventory the agent does not quote the bid, and nobody else quotes.
    env = started(regime="dealer", max_inventory=1, taker_rate=50.0, taker_tolerance=1.0)
    env.step(np.array([-0.9, 1.0], np.float32))
    env.step(np.array([-0.9, 1.0], np.float32))
    text = env.render()
    assert "inventory +1" in text
    assert "no bids" in text
    assert "no asks" not in text


def test_before_the_first_reset_the_ladder_is_empty() -> None:
    text = MarketMakingEnv(render_mode="ansi").render()
    assert text is not None
    assert "no asks" in text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"initial_price": -1e12, "tick_size": 1e-9},
        {
            "quote_size": 10**6,
            "max_inventory": 10**9,
            "maker_size": 1e6,
            "taker_size": 1e6,
            "maker_depth": 0.2,
        },
        {"max_offset": 1e6, "maker_depth": 1e6, "volatility": 1e4, "taker_tolerance": 1e5},
        {
            "regime": "dealer",
            "initial_price": 1e12,
            "quote_size": 10**6,
            "max_inventory": 10**9,
            "taker_size": 1e6,
        },
    ],
)
def test_no_line_of_the_ladder_is_wider_than_80_columns(fields: dict[str, Any]) -> None:
    env = started(**fields)
    generator = np.random.default_rng(1)
    widest = 0
    for _ in range(200):
        env.step(generator.uniform(-1.0, -0.9, 2).astype(np.float32))
        widest = max(widest, *(len(line) for line in env.render().splitlines()))
    assert widest <= 80


def test_negative_prices_are_sorted_from_the_highest_to_the_lowest() -> None:
    env = started(initial_price=0.0, maker_depth=1.0)
    env.step(quote(7.5, 7.5))
    bids, asks = read_ladder(env.render())
    prices = [price for price, _ in asks + bids]
    assert prices == sorted(prices, reverse=True)
    assert min(prices) < 0 < max(prices)


def test_without_a_render_mode_render_returns_none() -> None:
    env = gymnasium.make("MarketMaking-v0").unwrapped
    env.reset(seed=0)
    assert env.render() is None


def test_drawing_does_not_change_the_record() -> None:
    env = started()
    env.step(np.array([-0.7, -0.7], np.float32))
    before = env._markets.records.tobytes()
    assert env.render() == env.render()
    assert env._markets.records.tobytes() == before


# ----------------------------------------------------------------------------------------- picture

HEIGHT, WIDTH = 540, 960
# Positions [pixels] and colours of the parts of the picture.
TOP, ROW, N_ROWS = 92, 18, 24  # rows of the ladder; row 12 is that of the mid, rounded down
# Columns of the bars in the ladder, which start at the price column in the middle.
BIDS, ASKS = slice(56, 160), slice(232, 336)
PRICES, INVENTORY, PNL = (slice(92, 296), slice(332, 408), slice(444, 508))  # rows of the charts
CHART = slice(456, 944)
OWN = {"bid": (86, 190, 255), "ask": (255, 166, 43)}
PUBLIC = {"bid": (38, 78, 112), "ask": (112, 72, 30)}
WHITE, GREEN = (222, 228, 236), (64, 200, 150)

Image = npt.NDArray[np.uint8]


def drawn(seed: int = 0, **keywords: Any) -> Any:
    env = gymnasium.make("MarketMaking-v0", render_mode="rgb_array", **keywords).unwrapped
    env.reset(seed=seed)
    return env


def where(image: Image, colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray((image == colour).all(axis=2))


def read_bars(image: Image, side: str, mid: float) -> dict[int, list[tuple[bool, int]]]:
    """Return, for each price, the pieces of its bar as (agent's own, pixels), outwards."""
    bars = {}
    for row in range(N_ROWS):
        line = image[TOP + ROW * row + ROW // 2, BIDS if side == "bid" else ASKS][None]
        pieces: list[tuple[bool, int]] = []
        kinds = where(line, OWN[side])[0] * 2 + where(line, PUBLIC[side])[0]
        for kind in kinds[::-1] if side == "bid" else kinds:
            if kind and pieces and pieces[-1][0] == (kind == 2):
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + 1)
            elif kind:
                pieces.append((bool(kind == 2), 1))
        if pieces:
            bars[int(np.floor(mid)) + N_ROWS // 2 - row] = pieces
    return bars


@pytest.mark.parametrize("regime", ["noise", "informed", "dealer", "zero_intelligence"])
def test_the_bars_of_the_picture_show_the_queues_of_the_record(
    regime: str, read_queues: Callable[..., Any]
) -> None:
    env = drawn(regime=regime, quote_size=3, maker_size=3.0, maker_depth=1.0)
    generator = np.random.default_rng(0)
    own_bars = 0
    for _ in range(60):
        *_, info = env.step(generator.uniform(-1.0, -0.6, 2).astype(np.float32))
        image, mid = env.render(), info["mid"]
        shown = {}
        for side in ("bid", "ask"):
            for price, queue in read_queues(env._markets.records[0], side).items():
                if -(N_ROWS // 2) < price - np.floor(mid) <= N_ROWS // 2:
                    shown[side, price] = queue
        most = max((sum(order.lots for order in queue) for queue in shown.values()), default=1)
        bars = {
            (side, price): bar for side in OWN for price, bar in read_bars(image, side, mid).items()
        }
        assert bars.keys() == shown.keys()
        for place, queue in shown.items():
            # Neighbouring orders of other makers are one piece.
            pieces: list[tuple[bool, int]] = []
            for order in queue:
                if pieces and not order.own and not pieces[-1][0]:
                    pieces[-1] = (False, pieces[-1][1] + order.lots)
                else:
                    pieces.append((order.own, order.lots))
            assert [own for own, _ in bars[place]] == [own for own, _ in pieces]
            for (_, pixels), (_, lots) in zip(bars[place], pieces, strict=True):
                assert pixels == pytest.approx(max(104 * lots / most, 3), abs=5)
            own_bars += any(own for own, _ in pieces)
    assert own_bars > 60


def test_the_own_bid_is_one_row_lower_for_each_tick() -> None:
    rows = []
    for offset in range(1, 11):
        env = drawn(regime="dealer", volatility=0.0, taker_rate=0.0)
        env.step(from_ticks([offset, 15.0], 15.0))
        lines = np.flatnonzero(where(env.render()[TOP:, BIDS], OWN["bid"]).any(axis=1))
        assert len(lines) < ROW
        rows.append(int(lines.min()) // ROW)
    assert rows == list(range(13, 23))  # the mid is a whole tick, in row 12


def test_an_own_order_beyond_the_ladder_is_shown_at_its_edge() -> None:
    env = drawn(regime="dealer", volatility=0.0, taker_rate=0.0, max_offset=100.0)
    env.step(np.array([0.0, 0.0], np.float32))
    ladder = env.render()[:, :376]
    assert where(ladder[TOP : TOP + ROW], OWN["ask"]).any()
    assert where(ladder[TOP + (N_ROWS - 1) * ROW :], OWN["bid"]).any()
    assert not where(ladder[TOP + ROW : TOP + (N_ROWS - 1) * ROW], OWN["bid"]).any()


def test_a_long_inventory_is_blue_above_zero_and_a_short_one_orange_below() -> None:
    for action, above, below in (([-0.9, 1.0], True, False), ([1.0, -0.9], False, True)):
        env = drawn(regime="dealer", taker_rate=20.0, volatility=0.0, max_inventory=1)
        before = env.render()
        env.step(np.array(action, np.float32))
        *_, info = env.step(np.array(action, np.float32))
        assert info["inventory"] == (1 if above else -1)
        image = env.render()
        chart = image[INVENTORY, CHART]
        assert where(chart[:36], OWN["bid"]).any() == above
        assert where(chart[42:], OWN["ask"]).any() == below
        assert not where(chart, OWN["ask" if above else "bid"]).any()
        assert (image[INVENTORY, CHART] != before[INVENTORY, CHART]).any()


def test_the_lines_of_mid_and_pnl_show_the_infos() -> None:
    # A session of 487 decisions has one column of pixels for each decision.
    env = drawn(regime="informed", session_steps=487, taker_rate=3.0)
    mids, pnls = [env._markets.records[0]["mid"]], [0.0]
    for _ in range(487):
        *_, info = env.step(np.array([-0.85, -0.85], np.float32))
        mids.append(info["mid"])
        pnls.append(info["pnl"])
    image = env.render()
    for rows, colour, values in ((PRICES, WHITE, mids), (PNL, GREEN, pnls)):
        line = where(image[rows, CHART], colour)[:, :-8]  # the dot covers the last columns
        assert line.any(axis=0).all()
        heights = [np.flatnonzero(column).mean() for column in line.T]
        assert np.corrcoef(heights, values[: len(heights)])[0, 1] < -0.99


def test_the_stored_past_equals_the_infos_and_the_quotes_in_the_book(
    read_queues: Callable[..., Any],
) -> None:
    env = drawn(regime="informed", session_steps=600, taker_rate=3.0, max_inventory=2)
    generator = np.random.default_rng(0)
    for seed in (1, 2):  # the second session shows nothing of the first
        _, info = env.reset(seed=seed)
        expected = []
        for step in range(1 + (600 if seed == 1 else 50)):
            if step:
                *_, info = env.step(generator.uniform(-1.0, -0.6, 2).astype(np.float32))
            prices = []
            for side in ("bid", "ask"):
                queues = read_queues(env._markets.records[0], side)
                prices += [
                    price for price, queue in queues.items() if any(order.own for order in queue)
                ] or [np.nan]
            expected.append([info["mid"], info["inventory"], info["pnl"], *prices])
        past = env._renderer._history.of(0, step)
        assert past.first == 0
        np.testing.assert_array_equal(np.transpose(past[1:]), expected)
        assert 0.1 < np.isnan(np.array(expected)[:, 3:]).mean() < 0.9


def test_the_picture_does_not_show_hidden_state() -> None:
    env = drawn(regime="informed")
    env.step(np.array([-0.8, -0.8], np.float32))
    before = env.render()
    for name in ("efficient_price", "signal", "decoy"):
        env._markets.records[0][name] += 1.0
    np.testing.assert_array_equal(env.render(), before)


def test_frames_share_no_memory_and_exist_before_the_first_reset() -> None:
    env = MarketMakingEnv(render_mode="rgb_array")
    frames = [env.render()]
    env.reset(seed=0)
    frames += [env.render(), env.render()]
    for frame in frames:
        assert isinstance(frame, np.ndarray)
        assert (frame.shape, frame.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert frame.flags.writeable
    assert not any(np.shares_memory(frames[a], frames[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    kept = frames[1].copy()
    frames[2][:] = 0
    np.testing.assert_array_equal(env.render(), kept)


@pytest.mark.parametrize(
    "fields",
    [
        {"initial_price": -1e12, "tick_size": 1e-9},
        {
            "quote_size": 10**6,
            "max_inventory": 10**9,
            "maker_size": 1e6,
            "taker_size": 1e6,
            "maker_depth": 0.2,
        },
        {"max_offset": 1e6, "maker_depth": 1e6, "volatility": 1e4, "taker_tolerance": 1e5},
        {
            "regime": "dealer",
            "initial_price": 1e12,
            "quote_size": 10**6,
            "max_inventory": 10**9,
            "taker_size": 1e6,
        },
        {"session_steps": 1},
        {"session_steps": 10**9, "decision_interval": 1e-3, "latency": 0.01},
    ],
)
def test_extreme_markets_are_drawn_without_an_error(fields: dict[str, Any]) -> None:
    env = drawn(**fields)
    generator = np.random.default_rng(1)
    terminated = False
    for _ in range(100):
        if not terminated:
            _, _, terminated, _, _ = env.step(generator.uniform(-1.0, -0.9, 2).astype(np.float32))
        assert env.render().shape == (HEIGHT, WIDTH, 3)


# -------------------------------------------------------------------- environments that are drawn


@pytest.mark.parametrize("mode", MODES)
def test_a_run_is_the_same_with_and_without_drawing(mode: str) -> None:
    plain = gymnasium.make("MarketMaking-v0", regime="mixed", session_steps=30).unwrapped
    env = gymnasium.make(
        "MarketMaking-v0", regime="mixed", session_steps=30, render_mode=mode
    ).unwrapped
    generator = np.random.default_rng(0)
    plain.reset(seed=3)
    env.reset(seed=3)
    for session in range(3):
        if session:
            plain.reset()
            env.reset()
        for _ in range(30):
            action = generator.uniform(-1.0, -0.6, 2).astype(np.float32)
            env.render()
            ours, theirs = env.step(action), plain.step(action)
            np.testing.assert_array_equal(ours[0], theirs[0])
            assert ours[1:] == theirs[1:]
            assert env._markets.records.tobytes() == plain._markets.records.tobytes()
    env.close()


@pytest.mark.parametrize("mode", ["human", "rgb_array"])
def test_a_restored_market_has_the_same_future_and_no_stored_past(mode: str) -> None:
    env = gymnasium.make("MarketMaking-v0", regime="informed", render_mode=mode).unwrapped
    action = np.array([-0.8, -0.8], np.float32)
    env.reset(seed=0)
    for _ in range(10):
        env.step(action)
    checkpoint, before = env.snapshot(), env.render()
    future = [env.step(action)[1] for _ in range(60)]
    env.restore(checkpoint)
    after = env.render()
    if mode == "rgb_array":
        np.testing.assert_array_equal(after[:, :376], before[:, :376])  # the ladder
        assert not where(after[PRICES, CHART], WHITE).any()  # no stored past
    assert [env.step(action)[1] for _ in range(60)] == future
    env.reset(seed=0)
    for _ in range(10):
        env.step(action)
    np.testing.assert_array_equal(env.render(), before)
    env.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_draws_its_own_market(mode: str, copier: Callable[[Any], Any]) -> None:
    env = gymnasium.make("MarketMaking-v0", regime="informed", render_mode=mode)
    action = np.array([-0.8, -0.8], np.float32)
    env.reset(seed=0)
    env.step(action)
    copied = copier(env)
    for _ in range(20):
        copied.step(action)
    for _ in range(20):
        env.step(action)
    np.testing.assert_array_equal(env.render(), copied.render())
    copied.close()
    env.step(action)
    env.close()


# ------------------------------------------------------------------------------------------ window


def screen() -> Any:
    return sys.modules["pygame"].display.get_surface()


def pixels(surface: Any) -> Image:
    return np.asarray(sys.modules["pygame"].surfarray.array3d(surface).swapaxes(0, 1))


def test_the_window_shows_the_picture_after_each_step() -> None:
    pytest.importorskip("pygame")
    env, reference = gymnasium.make("MarketMaking-v0", render_mode="human"), drawn(seed=5)
    env.reset(seed=5)
    np.testing.assert_array_equal(pixels(screen()), reference.render())
    for _ in range(5):
        action = np.array([-0.8, -0.8], np.float32)
        env.step(action)
        reference.step(action)
        np.testing.assert_array_equal(pixels(screen()), reference.render())
        assert env.render() is None
    env.close()
    assert screen() is None
    env.close()


def test_the_window_is_paced_by_render_fps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MarketMakingEnv.metadata, "render_fps", 25)
    env = gymnasium.make("MarketMaking-v0", render_mode="human")
    env.reset(seed=0)
    start = time.perf_counter()
    for _ in range(10):
        env.step(env.action_space.sample())
    assert time.perf_counter() - start > 0.9 * 10 / 25
    env.close()


def test_a_window_closed_by_the_user_stays_closed_and_the_run_continues() -> None:
    pygame = pytest.importorskip("pygame")
    env = gymnasium.make("MarketMaking-v0", render_mode="human")
    env.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_a))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    env.step(env.action_space.sample())
    assert screen() is None
    env.step(env.action_space.sample())
    env.reset()
    assert screen() is None
    env.close()
    env.reset()  # after close() a new window opens
    assert screen() is not None
    env.close()


def test_key_events_stay_in_the_queue_for_the_program() -> None:
    pygame = pytest.importorskip("pygame")
    env = gymnasium.make("MarketMaking-v0", render_mode="human")
    env.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_a))
    env.step(env.action_space.sample())
    assert [event.key for event in pygame.event.get(pygame.KEYDOWN)] == [pygame.K_a]
    env.close()


def test_two_environments_share_the_window_and_either_may_close_it() -> None:
    first, second = (gymnasium.make("MarketMaking-v0", render_mode="human") for _ in range(2))
    first.reset(seed=0)
    second.reset(seed=1)
    first.close()
    second.step(second.action_space.sample())
    assert screen() is not None
    second.close()


# ---------------------------------------------------------------------------- Gymnasium's own tools


@pytest.mark.parametrize("skip_render_check", [True, False])
def test_gymnasiums_checker_accepts_the_render_modes(skip_render_check: bool) -> None:
    assert MarketMakingEnv.metadata["render_modes"] == list(MODES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("MarketMaking-v0").unwrapped
        check_env(env, skip_render_check=skip_render_check)
        for mode in MODES:
            made = gymnasium.make("MarketMaking-v0", render_mode=mode)
            made.reset(seed=0)
            made.render()
            made.close()


class _Clip:
    """A stand-in for the clip of moviepy, a package of 165 MB. It stores its arguments."""

    written: list[tuple[list[Image], float, str]] = []

    def __init__(self, frames: list[Image], fps: float) -> None:
        self.frames, self.fps = frames, fps

    def write_videofile(self, path: str, **_: Any) -> None:
        self.written.append((self.frames, self.fps, path))


def record_a_session(folder: Path) -> list[Image]:
    """Record a session of ten decisions with `RecordVideo` and return its frames."""
    env: Any = gymnasium.make("MarketMaking-v0", session_steps=10, render_mode="rgb_array")
    env = RecordVideo(env, str(folder / "videos"), episode_trigger=lambda _: True)
    env.reset(seed=0)
    frames = [env.render()]
    terminated = False
    while not terminated:
        *_, terminated, _, _ = env.step(np.array([-0.8, -0.8], np.float32))
        frames.append(env.render())
    env.close()
    return frames


def test_record_video_receives_every_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = types.ModuleType("moviepy.video.io.ImageSequenceClip")
    clips.ImageSequenceClip = _Clip  # type: ignore[attr-defined]
    for name in ("moviepy", "moviepy.video", "moviepy.video.io"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, clips.__name__, clips)
    monkeypatch.setattr(_Clip, "written", [])
    frames = record_a_session(tmp_path)
    ((recorded, fps, path),) = _Clip.written
    assert fps == MarketMakingEnv.metadata["render_fps"]
    assert Path(path) == tmp_path / "videos" / "rl-video-episode-0.mp4"
    np.testing.assert_array_equal(recorded, frames)
    assert len(frames) == 11


def test_record_video_writes_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moviepy", reason='moviepy is not installed: pip install "mm-gym[video]"')
    import imageio_ffmpeg

    monkeypatch.setitem(MarketMakingEnv.metadata, "render_fps", 20)
    frames = record_a_session(tmp_path)
    path = str(tmp_path / "videos" / "rl-video-episode-0.mp4")
    assert imageio_ffmpeg.count_frames_and_secs(path) == (
        len(frames),
        pytest.approx(len(frames) / 20),
    )
    reader = imageio_ffmpeg.read_frames(path)
    assert next(reader)["size"] == (WIDTH, HEIGHT)
    for frame, seen in zip(frames, reader, strict=True):
        difference = np.frombuffer(seen, np.uint8).reshape(HEIGHT, WIDTH, 3).astype(int) - frame
        assert np.abs(difference).mean() < 5  # compression changes the colours slightly


def test_human_rendering_shows_the_picture() -> None:
    pytest.importorskip("pygame")
    env = HumanRendering(gymnasium.make("MarketMaking-v0", render_mode="rgb_array"))
    reference = drawn(seed=2)
    env.reset(seed=2)
    env.step(np.array([-0.8, -0.8], np.float32))
    reference.step(np.array([-0.8, -0.8], np.float32))
    np.testing.assert_array_equal(pixels(env.window), reference.render())
    env.close()


@pytest.mark.parametrize("render_only", [True, False])
def test_a_policy_may_observe_pixels(render_only: bool) -> None:
    env = AddRenderObservation(
        gymnasium.make("MarketMaking-v0", render_mode="rgb_array"), render_only=render_only
    )
    first, _ = env.reset(seed=0)
    assert first in env.observation_space
    second, *_ = env.step(np.array([-0.8, -0.8], np.float32))
    assert second in env.observation_space
    np.testing.assert_array_equal(second if render_only else second["pixels"], env.render())
    assert (np.asarray(first if render_only else first["pixels"]) != env.render()).any()


def test_frames_are_collected_in_a_list() -> None:
    env = gymnasium.make("MarketMaking-v0", render_mode="rgb_array_list")
    env.reset(seed=0)
    for _ in range(4):
        env.step(env.action_space.sample())
    frames: Any = env.render()
    assert np.shape(frames) == (5, HEIGHT, WIDTH, 3)


def test_gymnasium_play_sends_the_actions_of_keys() -> None:
    # It runs in a separate process, since importing `gymnasium.utils.play` changes the backend of
    # matplotlib.
    code = """
import gymnasium, mm_gym, pygame
from gymnasium.utils.play import play
actions = []
def callback(before, after, action, reward, terminated, truncated, info):
    actions.append(action)
    key = {1: pygame.K_b, 3: pygame.K_ESCAPE}.get(len(actions))
    if key is not None:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
env = gymnasium.make("MarketMaking-v0", action="discrete", render_mode="rgb_array")
play(env, keys_to_action={"b": 27}, noop=9, callback=callback, fps=1000, seed=0)
print(actions)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[9, 27, 27]"


def test_make_vec_env_of_stable_baselines3_draws_a_batch() -> None:
    env_util = pytest.importorskip("stable_baselines3.common.env_util")
    batch = env_util.make_vec_env("mm_gym:MarketMaking-v0", n_envs=2, seed=0)
    observations = batch.reset()
    assert observations.shape == (2, 18)
    batch.step(np.full((2, 2), -0.8, np.float32))
    images = batch.get_images()
    assert [image.shape for image in images] == [(HEIGHT, WIDTH, 3)] * 2
    assert (images[0] != images[1]).any()
    assert batch.render().shape == (2 * HEIGHT, WIDTH, 3) or batch.render().shape == (
        HEIGHT,
        2 * WIDTH,
        3,
    )
    batch.close()


# ------------------------------------------------------------------------------------------- batch


@pytest.mark.parametrize(
    "mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=["next_step", "same_step"]
)
def test_the_pictures_of_a_batch_equal_those_of_single_environments(mode: AutoresetMode) -> None:
    keywords: dict[str, Any] = {"regime": "mixed", "session_steps": 7, "render_mode": "rgb_array"}
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=2, autoreset_mode=mode, **keywords)
    single = SyncVectorEnv([lambda: MarketMakingEnv(**keywords)] * 2, autoreset_mode=mode)
    batch.reset(seed=0)
    single.reset(seed=0)
    generator = np.random.default_rng(0)
    for _ in range(20):
        actions = generator.uniform(-1.0, -0.6, (2, 2)).astype(np.float32)
        batch.step(actions)
        single.step(actions)
        ours, theirs = batch.render(), single.render()
        assert isinstance(ours, tuple)
        np.testing.assert_array_equal(ours, theirs)


def test_a_partial_reset_of_a_batch_keeps_the_past_of_the_other_markets() -> None:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode="rgb_array")
    batch.reset(seed=0)
    for _ in range(5):
        batch.step(np.full((2, 2), -0.8, np.float32))
    before: Any = batch.render()
    batch.reset(options={"reset_mask": np.array([True, False])})
    after: Any = batch.render()
    assert (after[0] != before[0]).any()
    np.testing.assert_array_equal(after[1], before[1])


@pytest.mark.filterwarnings("ignore:.*not in the possible render_modes:UserWarning")
def test_a_batch_refuses_human_mode_and_names_the_wrapper() -> None:
    sentence = (
        r"None or one of 'rgb_array', 'ansi', got 'human' "
        r"\(for a window use gymnasium\.wrappers\.vector\.HumanRendering\)"
    )
    with pytest.raises(ConfigurationError, match=sentence):
        gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode="human")


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "mode, package, module, sentence",
    [
        (
            "rgb_array",
            "PIL",
            "picture",
            r'Pillow is not installed: expected .* \(write `pip install "mm-gym\[render\]"`\)',
        ),
        (
            "human",
            "pygame",
            "window",
            r'pygame-ce is not installed: expected .* \(write `pip install "mm-gym\[render\]"`\)',
        ),
    ],
)
def test_a_missing_package_is_an_error_at_the_first_picture(
    mode: str, package: str, module: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"mm_gym.rendering.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    env = gymnasium.make("MarketMaking-v0", render_mode=mode).unwrapped
    if mode == "human":
        with pytest.raises(DependencyNotInstalled, match=sentence):
            env.reset(seed=0)
    else:
        env.reset(seed=0)
        with pytest.raises(DependencyNotInstalled, match=sentence):
            env.render()
    env.close()


def test_without_a_display_the_error_says_what_to_do() -> None:
    # It runs in a separate process, since SDL chooses its driver only once.
    code = """
import gymnasium, mm_gym
try:
    gymnasium.make("MarketMaking-v0", render_mode="human").reset()
except gymnasium.error.Error as error:
    print(error)
"""
    environment = {**os.environ, "SDL_VIDEODRIVER": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "render_mode='human' cannot open a window: expected a display, got" in done.stdout
    assert "(write render_mode='rgb_array'" in done.stdout


@pytest.mark.parametrize("mode", ["text", "", 3])
def test_an_unknown_render_mode_is_an_error_that_lists_the_modes(mode: Any) -> None:
    got = f"got {mode!r}$"
    with pytest.raises(
        ConfigurationError, match=f"None or one of 'human', 'rgb_array', 'ansi', {got}"
    ):
        MarketMakingEnv(render_mode=mode)
    with pytest.raises(ConfigurationError, match=f"None or one of 'rgb_array', 'ansi', {got}"):
        gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode=mode)


@pytest.mark.filterwarnings("ignore:.*not in the possible render_modes:UserWarning")
def test_make_refuses_an_unknown_render_mode_with_the_same_error() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"render_mode='svg' is not offered: expected None or one of .*, got 'svg'",
    ):
        gymnasium.make("MarketMaking-v0", render_mode="svg")
