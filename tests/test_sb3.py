"""`MarketMakingVecEnv` equals stable-baselines3's `DummyVecEnv` over single environments."""

import copy
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

import mm_gym
from mm_gym.sb3 import SESSION_FIGURES, MarketMakingVecEnv
from tests.random_quotes import quote

N_MARKETS = 5
SESSION = 40


def one_by_one(regime: str, **fields: object) -> DummyVecEnv:
    def make() -> Monitor:
        return Monitor(
            gymnasium.make("MarketMaking-v0", regime=regime, session_steps=SESSION, **fields)
        )

    return DummyVecEnv([make for _ in range(N_MARKETS)])


def random_actions(space: gymnasium.Space, steps: int) -> list[np.ndarray]:
    """Random actions. Half of them quote near the touch, where orders are filled."""
    space.seed(3)
    actions = [np.stack([space.sample() for _ in range(N_MARKETS)]) for _ in range(steps)]
    if isinstance(space, gymnasium.spaces.Box):
        for action in actions[::2]:
            action[:] = 0.6 * action - 0.4  # up to 3.2 ticks
    return actions


@pytest.mark.parametrize("regime", mm_gym.REGIMES)
def test_the_batch_is_a_dummy_vec_env_of_monitored_singles_bit_for_bit(regime: str) -> None:
    batch, singles = (
        MarketMakingVecEnv(N_MARKETS, regime, session_steps=SESSION),
        one_by_one(regime),
    )
    assert batch.seed(0) == singles.seed(0) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(batch.reset(), singles.reset(), strict=True)
    assert batch.reset_infos == singles.reset_infos
    fills = 0
    for action in random_actions(batch.action_space, 3 * SESSION + 7):
        of_batch, of_singles = batch.step(action), singles.step(action)
        for ours, theirs in zip(of_batch[:3], of_singles[:3], strict=True):
            np.testing.assert_array_equal(ours, theirs, strict=True)
        for ended, ours, theirs in zip(of_batch[2], of_batch[3], of_singles[3], strict=True):
            fills += theirs["fills"]
            if not ended:
                assert ours == {}
                continue
            np.testing.assert_array_equal(
                ours.pop("terminal_observation"), theirs.pop("terminal_observation"), strict=True
            )
            session, monitored = ours.pop("episode"), theirs.pop("episode")
            assert (session["r"], session["l"]) == (monitored["r"], monitored["l"])
            assert ours == theirs
            assert theirs["TimeLimit.truncated"] is False
        assert batch.reset_infos == singles.reset_infos
    assert fills > 0


@pytest.mark.parametrize("action_format", ["discrete", "spread_skew"])
def test_the_batch_is_the_singles_in_every_action_format(action_format: str) -> None:
    batch = MarketMakingVecEnv(N_MARKETS, session_steps=SESSION, action=action_format)
    singles = one_by_one("noise", action=action_format)
    assert batch.action_space == singles.action_space
    for venv in (batch, singles):
        venv.seed(0)
        venv.reset()
    for action in random_actions(batch.action_space, SESSION + 5):
        ours, theirs = batch.step(action), singles.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_session_figures_are_the_sums_of_the_infos_of_single_environments() -> None:
    fees = {"maker_fee": 0.1, "close_out_impact": 0.05}
    batch = MarketMakingVecEnv(N_MARKETS, "informed", session_steps=SESSION, **fees)
    singles = one_by_one("informed", **fees)
    for venv in (batch, singles):
        venv.seed(0)
        venv.reset()
    fills, lots_held, close_out = np.zeros(N_MARKETS), np.zeros(N_MARKETS), np.zeros(N_MARKETS)
    for action in random_actions(batch.action_space, SESSION):
        *_, ours = batch.step(action)
        *_, theirs = singles.step(action)
        fills += [info["fills"] for info in theirs]
        lots_held += [abs(info["inventory"]) for info in theirs]
        close_out -= [info["reward_close_out"] / 0.1 for info in theirs]  # reward_scale
    for market, session in enumerate(info["episode"] for info in ours):
        assert set(session) == {"r", "l", "t", *SESSION_FIGURES}
        assert session["pnl"] == theirs[market]["pnl"]
        assert session["fills"] == fills[market] > 0
        assert session["mean_abs_inventory"] == pytest.approx(lots_held[market] / SESSION)
        assert session["close_out"] == pytest.approx(close_out[market])
        assert session["fees"] == pytest.approx(0.1 * fills[market])  # quotes of one lot
        parts = (
            session["spread_pnl"]
            + session["inventory_pnl"]
            - session["fees"]
            - session["close_out"]
        )
        assert session["pnl"] == pytest.approx(parts)


def test_staggered_markets_equal_singles_that_have_played_part_of_a_session() -> None:
    batch = MarketMakingVecEnv(N_MARKETS, "mixed", session_steps=SESSION, staggered=True)
    batch.seed(0)
    observations = batch.reset()
    far = np.ones(2, np.float32)
    singles = []
    for market, decisions in enumerate([0, 8, 16, 24, 32]):  # of 40
        single = mm_gym.MarketMakingEnv("mixed", session_steps=SESSION)
        single.reset(seed=market)
        observation, _ = single.reset()
        returned = 0.0
        for _ in range(decisions):
            observation, reward, *_ = single.step(far)
            returned += reward
        np.testing.assert_array_equal(observations[market], observation)
        singles.append((single, returned))
    ends = []
    for step, action in enumerate(random_actions(batch.action_space, SESSION), start=1):
        observations, _, dones, infos = batch.step(action)
        for market in np.flatnonzero(dones):
            ends.append((int(market), step))
            assert infos[market]["episode"]["l"] == SESSION
        if step <= 8:  # before any of them ends
            rewards = [single.step(action[market])[1] for market, (single, _) in enumerate(singles)]
            singles = [
                (single, returned + reward)
                for (single, returned), reward in zip(singles, rewards, strict=True)
            ]
            if step == 8:
                assert infos[4]["episode"]["r"] == pytest.approx(singles[4][1], abs=1e-6)
    assert ends == [(4, 8), (3, 16), (2, 24), (1, 32), (0, 40)]


@pytest.mark.parametrize("n_envs", [1, SESSION, 2 * SESSION + 1])
def test_any_number_of_staggered_markets_is_within_their_sessions(n_envs: int) -> None:
    batch = MarketMakingVecEnv(n_envs, session_steps=SESSION, staggered=True)
    time_left = batch.reset()[:, mm_gym.OBSERVATION_NAMES.index("time_left")]
    assert time_left.max() == 1.0
    assert time_left.min() > 0.0
    ends = np.zeros(n_envs, int)
    for _ in range(SESSION):
        _, _, dones, _ = batch.step(np.ones((n_envs, 2), np.float32))
        ends += dones
    assert (ends == 1).all()


def test_a_reward_scale_multiplies_rewards_and_nothing_else() -> None:
    plain, scaled = (
        MarketMakingVecEnv(N_MARKETS, session_steps=SESSION, reward_scale=scale)
        for scale in (1.0, 0.25)
    )
    for venv in (plain, scaled):
        venv.seed(0)
        venv.reset()
    for action in random_actions(plain.action_space, SESSION):
        (seen, rewards, _, infos), (also_seen, quarter, _, also_infos) = (
            plain.step(action),
            scaled.step(action),
        )
        np.testing.assert_array_equal(seen, also_seen)
        np.testing.assert_array_equal(0.25 * rewards, quarter)  # a power of two: exact
        assert rewards.any()
    for info, also_info in zip(infos, also_infos, strict=True):
        assert 0.25 * info["episode"]["r"] == pytest.approx(
            also_info["episode"]["r"], abs=1e-6
        )  # rounded, as Monitor's
        assert 0.25 * info["reward_wealth"] == also_info["reward_wealth"]
        for name in ("objective", "pnl", "fills"):
            assert info["episode"][name] == also_info["episode"][name]


@pytest.mark.parametrize(
    "fields, unwinding_time",
    [
        ({}, 0.0),
        ({"inventory_penalty": 0.01}, 30.0),
        ({"value_interval": 0.3}, 0.0),  # V moves three or four times between two decisions
        ({"signal_drift": 0.0, "reward": "dampened"}, 0.0),
    ],
)
def test_variance_reduced_rewards_follow_from_the_infos_of_plain_singles(
    fields: dict[str, object], unwinding_time: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = MarketMakingVecEnv(
        N_MARKETS,
        "informed",
        session_steps=SESSION,
        variance_reduction=True,
        unwinding_time=unwinding_time,
        **fields,
    )
    singles = one_by_one("informed", **fields)
    for venv in (batch, singles):
        venv.seed(0)
        venv.reset()
    config = batch.config
    edge = config.signal_drift * config.signal_half_life / np.log(2.0)

    def worth(info: dict[str, float]) -> float:
        """[ticks] The expected efficient price in the long run, given the signal."""
        return info["efficient_price"] + edge * info["signal"]

    def shaped(info: dict[str, float]) -> float:
        """[ticks x lots] Value of inventory beyond the mid, minus its expected holding cost."""
        held = info["inventory"]
        return (
            held * (worth(info) - info["mid"]) - config.inventory_penalty * unwinding_time * held**2
        )

    # The term of fills is not in the infos (see tests/core/test_control_variate.py), so it is read
    # from the records before the next session starts.
    advance, of_fills = batch._markets.step, np.empty(N_MARKETS)
    price = config.inventory_penalty * unwinding_time

    def step_and_read(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        results = advance(offsets)
        terms = batch._markets.records["control_variate"]
        of_fills[:] = terms["edge"] - price * terms["lots_squared"]
        return results

    monkeypatch.setattr(batch._markets, "step", step_and_read)
    before = singles.reset_infos
    for action in random_actions(batch.action_space, 2 * SESSION):
        _, ours, dones, _ = batch.step(action)
        _, rewards, _, infos = singles.step(action)
        for market, (then, info) in enumerate(zip(before, infos, strict=True)):
            surprise = worth(info) - worth(then)
            after = 0.0 if dones[market] else shaped(info)  # the close settles at the mid
            reduction = after - shaped(then) - then["inventory"] * surprise - of_fills[market]
            assert ours[market] == pytest.approx(
                rewards[market] + config.reward_scale * reduction, abs=1e-5
            )
        before = [
            singles.reset_infos[market] if dones[market] else infos[market]
            for market in range(N_MARKETS)
        ]


def test_the_control_variate_has_mean_zero_and_most_of_the_variance_of_a_loser() -> None:
    # The maker ignores its inventory, and informed takers trade with it. So the signal predicts
    # losses on the lots that it holds.
    plain, reduced = (
        MarketMakingVecEnv(
            512, "informed", p_informed=0.8, session_steps=100, variance_reduction=reduced
        )
        for reduced in (False, True)
    )
    action = np.tile(quote(1.5, 1.5), (512, 1))
    for venv in (plain, reduced):
        venv.seed(1)
        venv.reset()
    paid = np.array([(plain.step(action)[1], reduced.step(action)[1]) for _ in range(300)])
    taken = (paid[:, 0] - paid[:, 1]).astype(float).reshape(3, 100, 512).sum(axis=1).ravel()
    error = taken.std(ddof=1) / np.sqrt(taken.size)  # 0.08
    assert abs(taken.mean()) < 4.0 * error
    # A control variate with the predictable part of V's moves would have this loss as its mean.
    loss = paid[:, 0].astype(float).reshape(3, 100, 512).sum(axis=1).ravel()
    assert loss.mean() < -8.0 * error
    assert paid[:, 1].std() < 0.5 * paid[:, 0].std()


def test_a_reset_without_a_seed_continues_and_with_one_starts_over() -> None:
    batch, singles = MarketMakingVecEnv(N_MARKETS, session_steps=SESSION), one_by_one("noise")
    first = {}
    for name, venv in (("batch", batch), ("singles", singles)):
        venv.seed(7)
        first[name] = venv.reset()
    second = batch.reset()
    np.testing.assert_array_equal(second, singles.reset())
    assert not np.array_equal(second, first["batch"])
    batch.seed(7)
    np.testing.assert_array_equal(batch.reset(), first["batch"])


def test_markets_without_a_seed_differ_from_run_to_run() -> None:
    first, second = (MarketMakingVecEnv(N_MARKETS).reset() for _ in range(2))
    assert not np.array_equal(first, second)


def test_later_steps_do_not_change_the_results_of_a_step() -> None:
    batch = MarketMakingVecEnv(N_MARKETS, session_steps=2)
    batch.seed(0)
    kept = [batch.reset()]
    copies = [kept[0].copy()]
    last_infos = []
    for action in random_actions(batch.action_space, 6):
        observations, rewards, dones, infos = batch.step(action)
        kept += [observations, rewards, dones]
        copies += [observations.copy(), rewards.copy(), dones.copy()]
        last_infos.append(infos)
        infos[0]["note"] = len(last_infos)
    for then, now in zip(copies, kept, strict=True):
        np.testing.assert_array_equal(then, now)
    assert [infos[0]["note"] for infos in last_infos] == [1, 2, 3, 4, 5, 6]
    terminal = [infos[1]["terminal_observation"] for infos in last_infos[1::2]]
    assert not np.array_equal(terminal[0], terminal[1])


def test_infos_are_read_copied_and_filled_as_a_list_of_dictionaries() -> None:
    batch = MarketMakingVecEnv(N_MARKETS, session_steps=9)
    batch.reset()
    empty = [{} for _ in range(N_MARKETS)]

    def fresh() -> list[dict[str, Any]]:
        return batch.step(np.zeros((N_MARKETS, 2), np.float32))[3]

    assert list(fresh()) == empty
    assert fresh()[1:-1] == empty[1:-1]
    assert copy.deepcopy(fresh()) == empty
    assert pickle.loads(pickle.dumps(fresh())) == empty
    assert [info.get("episode") for info in np.array(fresh(), dtype=object)] == [None] * N_MARKETS
    filled = fresh()
    filled[-1]["note"] = "last"
    for info in filled:
        info.setdefault("note", "others")
    assert [info["note"] for info in filled] == ["others"] * (N_MARKETS - 1) + ["last"]


def test_the_environment_checker_of_stable_baselines3_has_no_remarks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for action_format in ("offsets", "spread_skew", "discrete"):
            check_env(
                mm_gym.MarketMakingEnv("mixed", session_steps=SESSION, action=action_format),
                warn=True,
            )


def test_evaluate_policy_of_stable_baselines3_measures_the_same_sessions() -> None:
    class Still:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return np.tile(quote(0.75, 0.75), (len(observation), 1)), state

    returns = []
    for venv in (MarketMakingVecEnv(N_MARKETS, session_steps=SESSION), one_by_one("noise")):
        venv.seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it warns if an environment has no Monitor
            measured, _ = evaluate_policy(
                Still(), venv, n_eval_episodes=10, return_episode_rewards=True
            )
        returns.append(measured)
    assert len(set(returns[0])) == 10
    assert returns[0] == returns[1]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pickled_batch_has_the_same_future(threads: int) -> None:
    batch = MarketMakingVecEnv(N_MARKETS, "mixed", session_steps=SESSION, threads=threads)
    batch.seed(0)
    batch.reset()
    actions = random_actions(batch.action_space, SESSION + 10)
    for action in actions[:20]:
        batch.step(action)
    copy = pickle.loads(pickle.dumps(batch))
    for action in actions[20:]:
        ours, theirs = batch.step(action), copy.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_all_markets_share_attributes_that_cannot_change() -> None:
    batch = MarketMakingVecEnv(3, "informed", p_informed=0.4)
    assert [config.p_informed for config in batch.get_attr("config")] == [0.4] * 3
    assert batch.get_attr("render_mode", indices=[0, 2]) == [None, None]
    assert batch.get_attr("num_envs", indices=1) == [3]
    assert not batch.has_attr("action_masks")
    assert batch.env_is_wrapped(Monitor) == [True] * 3
    assert batch.env_is_wrapped(gymnasium.wrappers.TimeLimit, indices=0) == [False]
    with pytest.raises(
        AttributeError, match=r"expected another MarketMakingVecEnv .*\('config', None"
    ):
        batch.set_attr("config", None)
    with pytest.raises(
        AttributeError, match=r"expected a DummyVecEnv .* got env_method\('snapshot'\)"
    ):
        batch.env_method("snapshot")


def test_bad_input_is_refused() -> None:
    with pytest.raises(
        mm_gym.ConfigurationError, match="expected a whole number of markets, at le"
    ):
        MarketMakingVecEnv(0)
    with pytest.raises(mm_gym.ConfigurationError, match="did you mean 'latency'"):
        MarketMakingVecEnv(2, latancy=1.0)
    batch = MarketMakingVecEnv(2)
    with pytest.raises(ResetNeeded, match="expected a call of reset"):
        batch.step(np.zeros((2, 2), np.float32))
    batch.reset()
    with pytest.raises(ValueError, match=r"expected \(2, 2\), .*, got \(3, 2\)"):
        batch.step(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="is not finite: expected"):
        batch.step(np.full((2, 2), np.nan, np.float32))


def test_the_share_of_informed_takers_rises_from_session_to_session() -> None:
    """Session by session, a market with a ramp equals a single one with the share of that time."""
    batch = MarketMakingVecEnv(
        1, "informed", p_informed=0.8, session_steps=SESSION, informed_ramp=4 * SESSION
    )
    single = mm_gym.MarketMakingEnv("informed", p_informed=0.8, session_steps=SESSION)
    batch.seed(0)
    seen = batch.reset()[0]
    for session, share in enumerate([0.0, 0.2, 0.4, 0.6, 0.8, 0.8]):
        expected, _ = single.reset(
            seed=None if session else 0, options={"config": {"p_informed": share}}
        )
        for action in np.random.default_rng(session).uniform(-1.0, 0.2, (SESSION, 1, 2)):
            np.testing.assert_array_equal(seen, expected)
            observations, _, ends, infos = batch.step(action.astype(np.float32))
            expected, *_ = single.step(action[0].astype(np.float32))
            seen = observations[0]
        assert ends.all()
        np.testing.assert_array_equal(infos[0]["terminal_observation"], expected)
    assert batch.decisions == 6 * SESSION


@pytest.mark.parametrize("ramp", [-1, 0.5, None, True, "long"])
def test_an_informed_ramp_is_a_whole_number_of_decisions(ramp: object) -> None:
    with pytest.raises(
        mm_gym.ConfigurationError, match=r"informed_ramp=.* expected a whole number of decisions"
    ):
        MarketMakingVecEnv(2, "informed", informed_ramp=ramp)
