import io
import json
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.wrappers import ClipAction, FlattenObservation, TimeLimit

import mm_gym
from agents import make_agent
from mm_gym import configure
from mm_gym.core.layout import BID
from mm_gym.evaluation.replays import record_sessions
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.observations import quote_lots, quote_offsets
from mm_gym.parameters import to_parameters
from mm_gym.recorded_fills import HORIZONS
from mm_gym.rendering.recorder import record
from mm_gym.rendering.recording import LEVELS, Recording
from tests.random_quotes import play, quote, quote_near
from tests.rendering.recordings import MAKERS, by_hand, recorded

STEPS = 150
ARRAYS = ("decisions", "fills", "path", "trades")


def make(regime: str = "informed", **fields: Any) -> Any:
    return gymnasium.make("MarketMaking-v0", regime=regime, **{"session_steps": STEPS} | fields)


def same(left: Recording, right: Recording) -> bool:
    arrays = all(getattr(left, name).tobytes() == getattr(right, name).tobytes() for name in ARRAYS)
    return arrays and (left.label, left.seed, left.config) == (
        right.label,
        right.seed,
        right.config,
    )


# -------------------------------------------------------------------- what the environment has said


@pytest.mark.parametrize("regime", ["informed", "naive_informed", "dealer", "zero_intelligence"])
def test_a_recording_has_the_infos_fills_and_path_of_the_environment(regime: str) -> None:
    env = record(make(regime, maker_fee=0.125, latency=0.25), "random")
    infos = play(env, STEPS, seed=5)
    plain = make(regime, maker_fee=0.125, latency=0.25, record=5000)
    assert play(plain, STEPS, seed=5) == infos  # recording changes nothing
    recording = env.recording()
    for name in ("pnl", "cash", "inventory", "mid", "spread", "objective", "efficient_price"):
        np.testing.assert_array_equal(
            recording.decisions[name], [info[name] for info in infos], err_msg=name
        )
    interval = plain.unwrapped.config.decision_interval
    np.testing.assert_array_equal(recording.decisions["time"], interval * np.arange(STEPS + 1.0))
    assert (recording.label, recording.seed, recording.config) == (
        "random",
        5,
        plain.unwrapped.config,
    )
    fills, path = plain.unwrapped.recorded()
    assert len(fills) == sum(info["fills"] for info in infos) > 1
    for rows, theirs in ((recording.fills, fills), (recording.path, path)):
        for name in theirs.dtype.names:
            np.testing.assert_array_equal(rows[name], theirs[name], err_msg=name)
    parts = recording.decisions
    np.testing.assert_allclose(
        parts["spread_pnl"] + parts["inventory_pnl"] - parts["fees"] - parts["close_out"],
        parts["pnl"],
        atol=1e-9,
    )


def test_quotes_and_levels_are_those_that_the_agent_observes() -> None:
    env, config = record(make()), configure("informed", session_steps=STEPS)
    generator = np.random.default_rng(1)
    observations = [env.reset(seed=2)[0]]
    observations += [env.step(quote_near(generator))[0] for _ in range(STEPS)]
    seen = np.stack(observations)
    rows = env.recording().decisions
    np.testing.assert_array_equal(rows["quote_lots"], quote_lots(seen, config))
    resting = rows["quote_lots"] > 0
    distance = (rows["mid"][:, None] - rows["quote_price"]) * [1, -1]
    np.testing.assert_allclose(distance[resting], quote_offsets(seen, config)[resting], atol=1e-3)
    ahead = seen[:, [12, 13]] / float(to_parameters(config)["queue_scale"])
    np.testing.assert_allclose(rows["quote_lots_ahead"][resting], ahead[resting], atol=1e-4)
    for side in range(2):
        for row in rows[resting[:, side]]:
            level = list(row["level_price"][side]).index(row["quote_price"][side])
            assert (
                row["level_lots"][side, level]
                >= row["quote_lots"][side] + row["quote_lots_ahead"][side]
            )
    is_level = rows["level_lots"] > 0
    assert is_level.sum(axis=2).max() <= LEVELS
    prices = np.where(is_level, rows["level_price"], np.array([-(10**9), 10**9])[:, None])
    assert (np.diff(prices, axis=2) * np.array([-1, 1])[:, None] >= 0).all()  # best first
    bid, ask = rows["level_price"][:, 0, 0], rows["level_price"][:, 1, 0]
    both = is_level[:, :, 0].all(axis=1)
    assert (bid[both] < ask[both]).all()


def test_every_fill_is_part_of_a_trade_on_the_other_side() -> None:
    for recording in recorded():
        trades = {
            (trade["time"], trade["price"]): (trade["side"], trade["lots"], trade["kind"])
            for trade in recording.trades
        }
        assert len(trades) > len(recording.fills) > 5
        for fill in recording.fills:
            side, lots, kind = trades[fill["time"], int(fill["price"])]
            assert side != fill["side"]
            assert lots >= fill["lots"]
            assert kind == fill["taker"]


def test_an_environment_may_be_wrapped_inside_and_outside() -> None:
    env = TimeLimit(ClipAction(record(FlattenObservation(make()), "middle")), 40)
    env.reset(seed=1)
    truncated, steps = False, 0
    while not truncated:
        *_, truncated, _ = env.step(quote(1.0, 1.0))
        steps += 1
    recording = env.get_wrapper_attr("recording")()
    assert steps == 40
    assert recording.decisions["step"].tolist() == list(range(41))


def test_a_reset_starts_a_new_recording() -> None:
    env = record(make())
    play(env, 20, seed=1)
    play(env, 10, seed=None)
    recording = env.recording()
    assert recording.decisions["step"].tolist() == list(range(11))
    assert recording.seed is None
    assert (recording.trades["time"] <= 10.0).all()


def test_a_restored_checkpoint_continues_its_recording() -> None:
    env = record(make())
    infos = play(env, 30, seed=1)
    snapshot = env.unwrapped.snapshot()
    actions = [quote(2.0, 1.0)] * 10
    for action in actions:
        env.step(action)
    straight = env.recording()
    env.unwrapped.restore(snapshot)
    env.step(quote(0.5, 9.0))
    env.unwrapped.restore(snapshot)
    for action in actions:
        env.step(action)
    assert same(env.recording(), straight)
    assert straight.decisions["pnl"][30] == infos[30]["pnl"]
    play(env, 5, seed=2)  # another session, which the checkpoint does not continue
    env.unwrapped.restore(snapshot)
    env.step(actions[0])
    assert env.recording().decisions["step"].tolist() == [30, 31]


def test_a_session_with_more_fills_than_expected_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = record(make("dealer"))
    play(env, STEPS)
    monkeypatch.setattr("mm_gym.recorded_fills._FIRST_FILLS", 4)
    monkeypatch.setattr("mm_gym.recorded_fills._ROWS_PER_EVENT", -0.2)
    small = record(make("dealer"))
    play(small, STEPS)
    assert same(small.recording(), env.recording())
    assert len(env.recording().fills) > 8


@pytest.mark.parametrize(
    "make_env, error",
    [
        (lambda: gymnasium.make("CartPole-v1"), TypeError),
        (lambda: gymnasium.make_vec("MarketMaking-v0", num_envs=2), (TypeError, AssertionError)),
    ],
)
def test_only_a_single_market_is_recorded(make_env: Callable[[], Any], error: Any) -> None:
    with pytest.raises(error):
        record(make_env())


def test_nothing_is_recorded_before_the_first_reset() -> None:
    with pytest.raises(ValueError, match=r"expected a call of reset\(\) first"):
        record(make()).recording()


# ------------------------------------------------------------------------------ evaluation sessions


def test_recorded_sessions_are_those_of_an_evaluation() -> None:
    config = configure("informed", session_steps=STEPS)
    for name, recording in zip(MAKERS, recorded(), strict=True):
        sessions = run_sessions(partial(make_agent, name), config, episodes=1, seed=3)
        last = recording.decisions[-1]
        assert recording.seed == sessions.seeds[0]
        assert last["pnl"] == sessions.final_pnl[0]
        assert last["objective"] == pytest.approx(sessions.objective[0], abs=1e-9)
        for part in ("spread_pnl", "inventory_pnl", "fees", "close_out"):
            assert last[part] == getattr(sessions, part)[0], part
        direction = np.where(sessions.fills["side"] == BID, -1.0, 1.0)[:, None]
        price = sessions.fills["price"][:, None]
        for ours, later in zip(
            recording.markouts(), (sessions.later_mid, sessions.later_value), strict=True
        ):
            np.testing.assert_array_equal(ours, direction * (price - later))
    assert recorded()[2].label == "oracle (shown the signal)"


class Counting:
    """A recurrent agent: it quotes further away from decision to decision."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, **_: Any
    ) -> tuple[npt.NDArray[np.float32], Any]:
        state = np.zeros(len(observation)) if state is None else state
        state = np.where(episode_start, 0.0, state) + 1.0
        return np.stack([quote(0.04 * count, 0.04 * count) for count in state]), state


def test_a_recurrent_agent_keeps_its_state() -> None:
    config = configure("noise", session_steps=STEPS)
    (recording,) = record_sessions({"counting": lambda _: Counting()}, config, seed=1)
    sessions = run_sessions(lambda _: Counting(), config, episodes=1, seed=1)
    assert recording.decisions["pnl"][-1] == sessions.final_pnl[0]
    early, late = recording.decisions[10], recording.decisions[-5]
    assert early["mid"] - early["quote_price"][0] < 3.5 < late["mid"] - late["quote_price"][0]


def test_makers_are_recorded_on_the_same_prices_and_arrivals() -> None:
    one, *others = recorded()
    for other in others:
        for name in ("efficient_price", "signal"):
            np.testing.assert_array_equal(other.decisions[name], one.decisions[name])


# ----------------------------------------------------------------------------------------- markouts


def test_markouts_are_those_worked_out_by_hand() -> None:
    mid, value = by_hand().markouts()
    assert HORIZONS == (1.0, 5.0, 20.0, 50.0, 100.0)
    # Bought at 99 at 4 s: the mid is 102 at 5 s and 101 at 9 s. Sold at 103 at 12.5 s: 101, 98.
    np.testing.assert_array_equal(
        mid, [[3.0, 2.0, np.nan, np.nan, np.nan], [2.0, 5.0, np.nan, np.nan, np.nan]]
    )
    assert np.isnan(value).all()


# -------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("make_one", [lambda: recorded()[0], lambda: by_hand(label="a/<b>\u2603")])
def test_a_saved_recording_is_loaded_again(
    make_one: Callable[[], Recording], tmp_path: Path
) -> None:
    recording = make_one()
    path = recording.save(tmp_path / "session")
    assert path == tmp_path / "session.npz"
    assert same(Recording.load(path), recording)
    with zipfile.ZipFile(path) as archive:
        assert not any(b"pickle" in archive.read(name) for name in archive.namelist())


def rewritten(path: Path, changes: dict[str, Any]) -> Path:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, allow_pickle=True, **arrays | changes)
    return path


def about(**changes: Any) -> npt.NDArray[Any]:
    known = {"format": 1, "label": "x", "seed": 1, "config": None}
    return np.array(json.dumps(known | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"fills": np.array([{"a": 1}], dtype=object)},  # would need pickle
        {"fills": np.zeros(3)},
        {"decisions": by_hand().decisions[::-1]},
        {"decisions": by_hand().decisions[:0]},
        {"path": by_hand().path.reshape(2, 2)},
        {"path": by_hand().path[2:]},
        {"about": about(format=2)},
        {"about": about(label=3)},
        {"about": about(seed="1")},
        {"about": about(config={"volatility": -1.0})},
        {"about": about(config={"unknown": 1})},
        {"about": np.array("{")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_foreign_file_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    path = rewritten(by_hand().save(tmp_path / "foreign"), changes)
    with pytest.raises(ValueError, match="is not a recording: expected a file written by"):
        Recording.load(path)


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    for content in (b"", b"text", buffer.getvalue()):
        (tmp_path / "file.npz").write_bytes(content)
        with pytest.raises(ValueError, match="is not a recording"):
            Recording.load(tmp_path / "file.npz")
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "missing.npz")


def test_the_reference_names_every_column() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "python-api.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", text, re.MULTILINE))
    for name in ARRAYS:
        columns = re.findall(r"`(\w+)`", rows[name])
        assert columns == list(getattr(by_hand(), name).dtype.names), name


def test_the_wrapper_is_exported() -> None:
    assert mm_gym.rendering.record is record
