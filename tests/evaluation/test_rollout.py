"""Evaluated sessions equal those of the environments, and prices after fills are those that held
then."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from agents import RULES, make_agent
from mm_gym import REGIMES, MarketConfig, configure
from mm_gym.core.layout import FILL_ROW
from mm_gym.evaluation import rollout
from mm_gym.evaluation.rollout import Cell, run_cells, run_sessions
from mm_gym.evaluation.sessions import Sessions

rule = default = partial(make_agent, "inventory_skew")
at_touch = partial(make_agent, "inventory_skew", half_spread=0.25)
near = partial(make_agent, "fixed_spread", half_spread=0.0)


def assert_equal(left: Sessions, right: Sessions) -> None:
    """Every field, bit for bit."""
    for field in fields(Sessions):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            assert a.tobytes() == b.tobytes(), field.name
        else:
            assert a == b, field.name


def step_through(
    agent: Any, config: MarketConfig, seed: int
) -> tuple[list[dict[str, Any]], list[float], Any]:
    """Run one session of one environment: its infos from reset on, rewards and recording."""
    env: Any = gymnasium.make("MarketMaking-v0", **config.to_dict(), record=20_000).unwrapped
    observation, info = env.reset(seed=seed)
    infos, rewards, ended = [info], [], False
    while not ended:
        observation, reward, ended, _, info = env.step(agent.predict(observation)[0])
        infos.append(info)
        rewards.append(reward)
    return infos, rewards, env.recorded()


# ----------------------------------------------------------------------- the environments' sessions


@pytest.mark.parametrize("regime", REGIMES)
def test_a_session_is_that_of_the_single_environment_with_its_seed(regime: str) -> None:
    config = configure(
        regime, session_steps=80, maker_fee=0.125, close_out_impact=0.25, latency=0.25
    )
    # The default quotes behind the long queues of a large tick.
    rule = at_touch if regime == "large_tick" else default
    sessions = run_sessions(rule, config, episodes=3, seed=4)
    # The zero-intelligence market has few trades.
    assert sessions.n_fills.sum() > (1 if regime == "zero_intelligence" else 5)
    for session, seed in enumerate(sessions.seeds.tolist()):
        infos, rewards, recorded = step_through(rule(config), config, seed)
        inventories = np.array([info["inventory"] for info in infos])
        assert sessions.final_pnl[session] == infos[-1]["pnl"]
        assert sessions.n_fills[session] == sum(info["fills"] for info in infos)
        assert sessions.final_mid[session] == infos[-1]["mid"]
        # Paths have 200 points, so they hold all of 80 decisions.
        np.testing.assert_array_equal(sessions.inventory_path[session], inventories)
        np.testing.assert_array_equal(sessions.inventory[session], inventories[1:])
        for name, path in (("pnl", sessions.pnl_path), ("mid", sessions.mid_path)):
            np.testing.assert_array_equal(path[session], [info[name] for info in infos])
        np.testing.assert_array_equal(
            sessions.value_path[session], [info["efficient_price"] for info in infos]
        )
        assert (
            sessions.fills[sessions.fill_session == session].tobytes() == recorded.fills.tobytes()
        )
        # The default reward is the objective, scaled.
        assert sessions.objective[session] == pytest.approx(
            sum(rewards) / config.reward_scale, abs=1e-8
        )
        assert sessions.objective[session] == pytest.approx(infos[-1]["objective"], abs=1e-8)
        edge = config.signal_drift * config.signal_half_life / np.log(2.0)
        worth = np.array([info["efficient_price"] + edge * info["signal"] for info in infos])
        variate = (inventories[:-1] * np.diff(worth)).sum()
        expected = 0.0 if regime == "zero_intelligence" else variate
        assert sessions.control_variate[session] == pytest.approx(expected, abs=1e-8)
        assert sessions.mean_abs_inventory[session] == np.abs(inventories[1:]).mean()
        assert sessions.max_abs_inventory[session] == np.abs(inventories).max()


@pytest.mark.parametrize("agent", ["fixed_spread", "inventory_skew", "glosten_milgrom", "oracle"])
@pytest.mark.parametrize("regime", ["informed", "imbalanced"])
def test_the_control_variate_has_mean_zero_for_every_agent_and_explains_most_of_the_variance(
    regime: str, agent: str
) -> None:
    config = configure(regime, session_steps=150)
    sessions = run_sessions(partial(make_agent, agent), config, episodes=512, horizons=())
    error = sessions.control_variate.std(ddof=1) / np.sqrt(len(sessions))  # 0.7 to 4
    assert abs(sessions.control_variate.mean()) < 3.5 * error
    assert sessions.variance_reduced_objective.std() < 0.7 * sessions.objective.std()


@pytest.mark.parametrize("regime", ["noise", "mixed"])
def test_recording_a_session_does_not_change_it(regime: str) -> None:
    """In 300 decisions a side of the book is sometimes empty. The last mid then stays in force."""
    paths = []
    for record in (0, 5000):
        env = gymnasium.make_vec(
            "MarketMaking-v0", num_envs=32, regime=regime, session_steps=300, record=record
        )
        agent = rule(env.unwrapped.config)
        observations, infos = env.reset(seed=0)
        path = [infos]
        for _ in range(300):
            observations, _, _, _, infos = env.step(agent.predict(observations)[0])
            path.append(infos)
        paths.append(path)
    assert any(
        (infos["spread"] == 30.0).any() for infos in paths[0]
    )  # twice max_offset: a side is empty
    for name in ("mid", "pnl", "inventory", "spread"):
        np.testing.assert_array_equal(
            *([infos[name] for infos in path] for path in paths), err_msg=name
        )


def test_sessions_are_those_of_the_vector_environment_with_their_seeds() -> None:
    config = configure("mixed", session_steps=80)
    sessions = run_sessions(rule, config, episodes=8, seed=2)
    env = gymnasium.make_vec("MarketMaking-v0", num_envs=8, **config.to_dict())
    agent = rule(config)
    observations, infos = env.reset(seed=sessions.seeds.tolist())
    inventories, n_fills = [infos["inventory"]], np.zeros(8, int)
    for _ in range(80):
        observations, _, terminated, _, infos = env.step(agent.predict(observations)[0])
        inventories.append(infos["inventory"])
        n_fills += infos["fills"]
    assert terminated.all()
    np.testing.assert_array_equal(sessions.final_pnl, infos["pnl"])
    np.testing.assert_array_equal(sessions.inventory_path, np.array(inventories).T)
    np.testing.assert_array_equal(sessions.n_fills, n_fills)


def test_points_of_the_path_lie_evenly_from_the_start_to_the_close() -> None:
    sessions = run_sessions(
        rule, configure("noise", session_steps=1000, decision_interval=0.5), episodes=1
    )
    assert sessions.path_times[0] == 0.0
    assert sessions.path_times[-1] == 500.0
    assert sessions.pnl_path.shape == (1, len(sessions.path_times)) == (1, 200)
    assert np.ptp(np.diff(sessions.path_times)) <= 0.5


# --------------------------------------------------------------------------------- batches and jobs


def test_sessions_depend_neither_on_processes_nor_on_how_many_run_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollout, "SESSIONS_AT_ONCE", 4)
    cells = [
        Cell(name, partial(make_agent, name), configure(regime, session_steps=40))
        for name, regime in (("inventory_skew", "informed"), ("avellaneda_stoikov", "mixed"))
    ]
    done: list[int] = []
    alone = run_cells(cells, episodes=10, seed=1, jobs=1, on_batch=done.append)
    assert done == [4, 4, 2] * 2
    for one, other in zip(alone, run_cells(cells, episodes=10, seed=1, jobs=2), strict=True):
        assert_equal(one, other)
    monkeypatch.setattr(rollout, "SESSIONS_AT_ONCE", 64)
    for one, cell in zip(alone, cells, strict=True):
        assert_equal(one, run_sessions(cell.make_agent, cell.config, episodes=10, seed=1))
    assert alone[0].fill_session.max() > 4


def test_a_longer_evaluation_begins_with_the_sessions_of_a_shorter_one() -> None:
    config = configure("noise", session_steps=30)
    few, many = run_sessions(rule, config, 5, seed=9), run_sessions(rule, config, 8, seed=9)
    np.testing.assert_array_equal(many.seeds[:5], few.seeds)
    np.testing.assert_array_equal(many.pnl_path[:5], few.pnl_path)
    assert not np.isin(run_sessions(rule, config, 8, seed=10).seeds, many.seeds).any()


@pytest.mark.parametrize(
    "episodes, seed, message",
    [
        (0, 0, "episodes=0 is out of range: expected a whole number, at least 1, got 0"),
        (-3, 0, "episodes=-3 is out of range: expected a whole number, at least 1, got -3"),
        (1, -1, "seed=-1 is out of range: expected a whole number, at least 0, got -1"),
    ],
)
def test_a_number_of_sessions_or_a_seed_out_of_range_is_refused(
    episodes: int, seed: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run_sessions(rule, configure("noise"), episodes, seed)


def test_an_agent_in_place_of_a_function_that_makes_one_is_refused() -> None:
    agent: Any = rule(configure("noise"))
    with pytest.raises(ValueError, match=r"the agent is not callable: expected .* got Inventory"):
        run_sessions(agent, configure("noise"), 2)


# ------------------------------------------------------------------------------ prices after a fill


def scan(path: npt.NDArray[Any], column: str, time: float) -> float:
    """The value in force at a time, by a scan of all rows."""
    held = float("nan")
    for row_time, value in zip(path["time"].tolist(), path[column].tolist(), strict=True):
        if row_time <= time:
            held = value
    return held


@pytest.mark.parametrize("regime", ["informed", "dealer"])
def test_prices_a_horizon_after_a_fill_are_those_that_held_then(regime: str) -> None:
    """Against a scan of the recorded path, which equals `info` at decisions."""
    config = configure(regime, session_steps=60, taker_rate=2.0, taker_size=4.0)
    horizons = (0.0, 0.7, 5.0, 20.0, 50.0)
    sessions = run_sessions(near, config, episodes=2, seed=7, horizons=horizons)
    looked_up = 0
    for session, seed in enumerate(sessions.seeds.tolist()):
        infos, _, recorded = step_through(near(config), config, seed)
        for step, info in enumerate(infos):
            assert scan(recorded.path, "mid", float(step)) == info["mid"]
            assert scan(recorded.path, "efficient_price", float(step)) == info["efficient_price"]
        for fill in np.flatnonzero(sessions.fill_session == session):
            for column, horizon in enumerate(horizons):
                time = sessions.fills["time"][fill] + horizon
                found = sessions.later_mid[fill, column], sessions.later_value[fill, column]
                if time > 60.0:
                    assert np.isnan(found).all()
                else:
                    wanted = (
                        scan(recorded.path, "mid", time),
                        scan(recorded.path, "efficient_price", time),
                    )
                    assert found == wanted
                    looked_up += 1
    assert looked_up > 200


def test_the_efficient_price_after_a_fill_is_that_of_the_time_grid() -> None:
    """V moves every half second, whatever the agent quotes. An environment with a decision every
    half second shows each of its values."""
    config = configure("informed", session_steps=100)
    sessions = run_sessions(rule, config, episodes=4, seed=3)
    half_seconds = configure("informed", session_steps=200, decision_interval=0.5)
    for session, seed in enumerate(sessions.seeds.tolist()):
        infos, _, _ = step_through(rule(half_seconds), half_seconds, seed)
        values = np.array([info["efficient_price"] for info in infos])
        mine = sessions.fill_session == session
        times = sessions.fills["time"][mine]
        np.testing.assert_array_equal(
            sessions.fills["efficient_price"][mine], values[(times // 0.5).astype(int)]
        )
        for column, horizon in enumerate(sessions.horizons):
            later = times + horizon
            known = later <= 100.0
            assert np.isnan(sessions.later_value[mine, column][~known]).all()
            points = (later[known] // 0.5).astype(int)
            np.testing.assert_array_equal(sessions.later_value[mine, column][known], values[points])


def test_a_session_without_a_fill_has_all_figures() -> None:
    sessions = run_sessions(near, configure("noise", session_steps=20, taker_rate=0.0), episodes=2)
    assert sessions.fills.shape == (0,)
    assert sessions.fills.dtype == FILL_ROW
    assert sessions.later_mid.shape == sessions.later_value.shape == (0, 5)
    np.testing.assert_array_equal(sessions.final_pnl, [0.0, 0.0])


# ------------------------------------------------------------------------------ the recorder's room


@pytest.mark.parametrize("make", [near, partial(make_agent, "random")], ids=["fixed", "random"])
@pytest.mark.parametrize(
    "fields, full",
    [
        ({"session_steps": 150}, "path_rows"),
        ({"session_steps": 600, "taker_rate": 20.0}, "fill_rows"),
    ],
)
def test_a_recorder_that_is_too_small_is_enlarged(
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    full: str,
    make: Callable[[MarketConfig], Any],
) -> None:
    config = configure("noise", **fields)
    rooms: list[int] = []

    class Noted(rollout.Markets):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            rooms.append(getattr(self, full).shape[1])

    monkeypatch.setattr(rollout, "Markets", Noted)
    if full == "path_rows":
        monkeypatch.setattr("mm_gym.recorded_fills._ROWS_PER_EVENT", 0.0)
    else:
        monkeypatch.setattr("mm_gym.recorded_fills._FIRST_FILLS", 256)
    sessions = run_sessions(make, config, episodes=3)
    assert len(rooms) == 2
    assert rooms[1] > rooms[0]
    for session, seed in enumerate(sessions.seeds.tolist()):
        if make is near:  # random draws depend on how many sessions run beside it
            _, _, recorded = step_through(make(config), config, seed)
            assert (
                sessions.fills[sessions.fill_session == session].tobytes()
                == recorded.fills.tobytes()
            )
            assert max(len(recorded.fills), len(recorded.path)) > 256
    if full == "path_rows":
        rooms.clear()
        monkeypatch.setattr("mm_gym.recorded_fills._ROWS_PER_EVENT", 1.2)
        assert_equal(run_sessions(make, config, episodes=3), sessions)
        assert len(rooms) == 1


# ---------------------------------------------------------------------------- common random numbers


def test_agents_and_regimes_are_compared_on_the_same_prices() -> None:
    four = [
        configure(regime, session_steps=50)
        for regime in ("noise", "imbalanced", "naive_informed", "informed")
    ]
    cells = [
        Cell(name, partial(make_agent, name), config)
        for config in four
        for name in RULES
        if RULES[name].suits(config)
    ]
    results = run_cells(cells, episodes=5, seed=6)
    for sessions in results[1:]:
        np.testing.assert_array_equal(sessions.seeds, results[0].seeds)
        np.testing.assert_array_equal(sessions.value_path, results[0].value_path)
    assert np.unique(results[0].value_path).size == results[0].value_path.size
    assert len({sessions.final_pnl.tobytes() for sessions in results}) == len(cells)
