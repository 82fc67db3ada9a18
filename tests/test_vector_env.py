"""The vector environment equals Gymnasium's `SyncVectorEnv` of single environments bit for bit."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import mm_gym
from mm_gym import MarketMakingVectorEnv
from tests.random_quotes import quote

REGIMES = ("noise", "imbalanced", "naive_informed", "informed", "dealer", "mixed")
MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)
N = 16


def assert_same(batch: Any, single: Any, where: str) -> None:
    """Equal in type, keys, shape, dtype and every bit; `where` is part of the message."""
    assert type(batch) is type(single), f"{where}: {type(batch)} and {type(single)}"
    if isinstance(batch, dict):
        assert batch.keys() == single.keys(), f"{where}: {sorted(batch)} and {sorted(single)}"
        for key in batch:
            assert_same(batch[key], single[key], f"{where}[{key!r}]")
    elif isinstance(batch, tuple):
        assert len(batch) == len(single), where
        for index, (one, other) in enumerate(zip(batch, single, strict=True)):
            assert_same(one, other, f"{where}[{index}]")
    elif isinstance(batch, np.ndarray) and batch.dtype == object:
        assert_same(tuple(batch), tuple(single), where)
    elif isinstance(batch, np.ndarray):
        assert (batch.shape, batch.dtype) == (single.shape, single.dtype), where
        markets = np.unique(np.argwhere(batch != single)[:, 0]).tolist()
        same = batch.tobytes() == single.tobytes()
        assert same, f"{where}: markets {markets} differ"
    else:
        assert batch == single, f"{where}: {batch!r} and {single!r}"


def pair(mode: AutoresetMode, **keywords: Any) -> tuple[Any, SyncVectorEnv]:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=N, autoreset_mode=mode, **keywords)
    makers = [lambda: gymnasium.make("MarketMaking-v0", **keywords)] * N
    return batch, SyncVectorEnv(makers, autoreset_mode=mode)


def reset_both(batch: Any, single: Any, where: str, seed: Any = None, mask: Any = None) -> None:
    # Gymnasium removes the mask from the options, so each environment gets its own options.
    options = [None if mask is None else {"reset_mask": mask.copy()} for _ in range(2)]
    assert_same(
        batch.reset(seed=seed, options=options[0]),
        single.reset(seed=seed, options=options[1]),
        where,
    )


def masks() -> Iterator[np.ndarray]:
    """Random masks, each with at least one market."""
    generator = np.random.default_rng(4)
    while True:
        mask = generator.random(N) < 0.3
        if mask.any():
            yield mask


def assert_equal_runs(batch: Any, single: Any, steps: int, seed: Any = 0) -> int:
    """Step both, through ends and through resets of some markets within a session.

    Returns:
        The number of ended sessions.
    """
    some = masks()
    batch.action_space.seed(7)
    reset_both(batch, single, "the first reset", seed=seed)
    ends = 0
    disabled = batch.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    for step in range(steps):
        actions = batch.action_space.sample()
        results = batch.step(actions)
        assert_same(results, single.step(actions), f"step {step}")
        ended = results[2] | results[3]
        ends += int(ended.sum())
        if disabled and ended.any():
            reset_both(batch, single, f"the reset after step {step}", mask=ended)
        # After a partial reset, the sessions of the markets end at different times.
        if step in (3, 10, 11, 25):
            reset_both(batch, single, f"the partial reset after step {step}", mask=next(some))
        if step == 17:
            seeds = [None if market % 3 else 100 + market for market in range(N)]
            reset_both(
                batch, single, f"the seeded reset after step {step}", seed=seeds, mask=next(some)
            )
    return ends


# ------------------------------------------------------------------------------------ equality


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("regime", REGIMES)
def test_the_batch_equals_the_singles_through_episode_ends(
    regime: str, mode: AutoresetMode
) -> None:
    batch, single = pair(mode, regime=regime, session_steps=9)
    assert assert_equal_runs(batch, single, 45) >= 3 * N


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action_format", ["spread_skew", "discrete"])
def test_the_batch_equals_the_singles_in_every_action_format(
    action_format: str, mode: AutoresetMode
) -> None:
    batch, single = pair(mode, regime="mixed", action=action_format, session_steps=9)
    assert assert_equal_runs(batch, single, 30) >= N


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("max_episode_steps", [1, 4, 9, 20])
def test_the_batch_equals_the_singles_under_a_time_limit(
    max_episode_steps: int, mode: AutoresetMode
) -> None:
    """The limit is shorter than the session, as long, or longer."""
    batch, single = pair(
        mode, regime="informed", session_steps=9, max_episode_steps=max_episode_steps
    )
    assert assert_equal_runs(batch, single, 30) >= N


@pytest.mark.parametrize("mode", MODES)
def test_the_batch_equals_the_singles_with_latency_fees_and_large_quotes(
    mode: AutoresetMode,
) -> None:
    batch, single = pair(
        mode, regime="informed", session_steps=30, latency=2.5, maker_fee=-0.1,
        close_out_impact=0.5, quote_size=3, max_inventory=4, max_offset=2.0, taker_rate=3.0,
        sniping=True, reward="dampened", reward_scale=0.7, requote_threshold=1.2,
    )  # fmt: skip
    assert_equal_runs(batch, single, 70)


@pytest.mark.parametrize("mode", MODES)
def test_markets_reset_one_after_the_other_keep_their_own_first_observation(
    mode: AutoresetMode,
) -> None:
    """Without a step between two resets, the second one returns the other markets' rows again."""
    batch, single = pair(mode, session_steps=9)
    some = masks()
    reset_both(batch, single, "the first reset", seed=3)
    for number in range(4):
        reset_both(batch, single, f"partial reset {number} after reset", mask=next(some))
    actions = batch.action_space.sample()
    assert_same(batch.step(actions), single.step(actions), "a step")
    for number in range(4):
        reset_both(batch, single, f"partial reset {number} after a step", mask=next(some))


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_results_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    made = [
        gymnasium.make_vec(
            "MarketMaking-v0",
            num_envs=5,
            regime="mixed",
            session_steps=8,
            record=50,
            threads=number,
        )
        for number in (1, threads)
    ]
    alone, together = (environment.unwrapped for environment in made)
    np.testing.assert_array_equal(alone.reset(seed=1)[0], together.reset(seed=1)[0])
    for _ in range(20):
        actions = 0.6 * alone.action_space.sample() - 0.4  # up to 3.2 ticks
        for ours, theirs in zip(alone.step(actions)[:4], together.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs, strict=True)
    assert alone.snapshot().records.tobytes() == together.snapshot().records.tobytes()
    for one, other in zip(alone.recorded(), together.recorded(), strict=True):
        assert [rows.tobytes() for rows in one] == [rows.tobytes() for rows in other]


@pytest.mark.parametrize("threads", [0, -2, 1.5, "two", True])
def test_a_wrong_number_of_threads_is_refused(threads: Any) -> None:
    message = f"threads={threads!r} is out of range: expected a whole number of threads, at least 1"
    with pytest.raises(mm_gym.ConfigurationError, match=message):
        gymnasium.make_vec("MarketMaking-v0", num_envs=2, threads=threads)


@pytest.mark.parametrize("seed", [0, 5, list(range(40, 40 + N))])
def test_market_i_is_the_single_environment_of_its_own_seed(seed: Any) -> None:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=N, regime="informed")
    observations, infos = batch.reset(seed=seed)
    for market in range(N):
        single = gymnasium.make("MarketMaking-v0", regime="informed")
        observation, info = single.reset(
            seed=seed + market if isinstance(seed, int) else seed[market]
        )
        np.testing.assert_array_equal(observations[market], observation)
        assert {key: infos[key][market].item() for key in info} == info


def test_sessions_without_a_seed_all_differ() -> None:
    firsts = []
    for _ in range(2):
        batch = gymnasium.make_vec("MarketMaking-v0", num_envs=N)
        firsts += [row.tobytes() for row in batch.reset()[0]]
        firsts += [row.tobytes() for row in batch.reset()[0]]
    assert len(set(firsts)) == 4 * N


def test_the_ladders_of_the_batch_are_those_of_the_singles() -> None:
    batch, single = pair(AutoresetMode.NEXT_STEP, render_mode="ansi")
    reset_both(batch, single, "reset", seed=0)
    for _ in range(5):
        actions = batch.action_space.sample()
        batch.step(actions)
        single.step(actions)
    assert batch.render() == single.render()
    assert gymnasium.make_vec("MarketMaking-v0", num_envs=2).render() is None


def test_the_batch_records_the_same_rows_as_the_singles() -> None:
    batch, single = pair(
        AutoresetMode.NEXT_STEP, regime="informed", record=500, session_steps=40, taker_rate=3.0
    )
    reset_both(batch, single, "reset", seed=0)
    for _ in range(60):  # beyond the end: the current session is the second one
        actions = np.tile(quote(1.5, 1.5), (N, 1))
        batch.step(actions)
        single.step(actions)
    recorded = batch.unwrapped.recorded()
    for market, env in enumerate(single.envs):
        assert_same(tuple(recorded[market]), tuple(env.unwrapped.recorded()), f"market {market}")
    assert sum(len(rows.fills) for rows in recorded) > 5 * N


def test_spaces_and_metadata_are_those_of_the_singles() -> None:
    for mode, action_format in itertools.product(MODES, ("offsets", "discrete")):
        batch, single = pair(mode, action=action_format)
        for name in (
            "single_observation_space",
            "single_action_space",
            "observation_space",
            "action_space",
        ):
            assert getattr(batch, name) == getattr(single, name)
        # The batch has no window.
        offered = [mode for mode in single.metadata["render_modes"] if mode != "human"]
        assert batch.metadata == {**single.metadata, "render_modes": offered}
        assert batch.num_envs == single.num_envs
    assert batch.unwrapped.config == single.envs[0].unwrapped.config
    # Instances do not change the metadata of the class.
    assert MarketMakingVectorEnv.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert (
        gymnasium.make_vec("mm_gym:MarketMaking-v0", num_envs=2).metadata["autoreset_mode"].value
        == "NextStep"
    )


def test_gymnasiums_own_episode_statistics_agree_with_the_market() -> None:
    batch = gymnasium.make_vec(
        "MarketMaking-v0",
        num_envs=N,
        session_steps=12,
        reward="pnl",
        reward_scale=1.0,
        regime="dealer",
    )
    batch = gymnasium.wrappers.vector.RecordEpisodeStatistics(batch)
    batch.reset(seed=0)
    for _ in range(12):
        *_, infos = batch.step(np.tile(quote(0.75, 0.75), (N, 1)))
    np.testing.assert_array_equal(infos["episode"]["l"], np.full(N, 12))
    np.testing.assert_allclose(infos["episode"]["r"], infos["pnl"], atol=1e-5)
    assert np.abs(infos["pnl"]).max() > 1.0


# ------------------------------------------------------------------------------- shared memory


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, np.ndarray):
        yield value
        value = tuple(value) if value.dtype == object else ()
    if isinstance(value, tuple):
        for item in value:
            yield from arrays_in(item)


@pytest.mark.parametrize("mode", MODES)
def test_results_of_different_calls_share_no_memory(mode: AutoresetMode) -> None:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=4, session_steps=3, autoreset_mode=mode)
    some = np.array([True, False, True, False])
    calls = [batch.reset(seed=0), batch.reset(options={"reset_mask": some}), batch.reset()]
    for _ in range(2 if mode == AutoresetMode.DISABLED else 5):
        calls.append(batch.step(batch.action_space.sample()))
    calls.append(batch.reset(options={"reset_mask": some}))
    for one, other in itertools.combinations([list(arrays_in(call)) for call in calls], 2):
        for a, b in itertools.product(one, other):
            assert not np.shares_memory(a, b)
    # They do not share memory with the mask either.
    assert not any(np.shares_memory(some, array) for call in calls for array in arrays_in(call))
    np.testing.assert_array_equal(some, [True, False, True, False])


def test_writing_into_an_observation_does_not_change_later_ones() -> None:
    some = np.array([True, False, False, True])

    def run(spoil: bool) -> list[np.ndarray]:
        batch = gymnasium.make_vec("MarketMaking-v0", num_envs=4)
        seen = [batch.reset(seed=0)[0]]
        for _ in range(3):
            observations = batch.step(np.tile(quote(2.25, 2.25), (4, 1)))[0]
            seen.append(observations.copy())
            if spoil:
                observations[:] = np.nan
        return [*seen[1:], batch.reset(options={"reset_mask": some})[0]]

    for plain, spoilt in zip(run(False), run(True), strict=True):
        np.testing.assert_array_equal(plain, spoilt)


# --------------------------------------------------------------------------------------- bad input


def started(num_envs: int = 3, **keywords: Any) -> Any:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=num_envs, **keywords)
    batch.reset(seed=0)
    return batch


@pytest.mark.parametrize("shape", [(2,), (3,), (3, 1), (2, 2), (4, 2), (3, 2, 1), (1, 3, 2)])
def test_actions_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    batch = started()
    before = batch.unwrapped._markets.records.tobytes()
    with pytest.raises(
        ValueError,
        match=r"actions have a wrong shape: expected \(3, 2\), .*, got " + re.escape(str(shape)),
    ):
        batch.step(np.zeros(shape, np.float32))
    assert batch.unwrapped._markets.records.tobytes() == before


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_not_finite_is_refused_and_its_market_named(number: float) -> None:
    batch = started()
    actions = np.zeros((3, 2), np.float32)
    actions[1, 0] = number
    before = batch.unwrapped._markets.records.tobytes()
    with pytest.raises(
        ValueError, match=r"action of market 1 is not finite: expected two numbers .*, got \["
    ):
        batch.step(actions)
    assert batch.unwrapped._markets.records.tobytes() == before


@pytest.mark.parametrize(
    "mask",
    [
        [True, False, True],
        np.array([1, 0, 1]),
        np.array([True, False]),
        np.array([[True, False, True]]),
        True,
    ],
)
def test_a_wrong_mask_is_refused(mask: Any) -> None:
    with pytest.raises(
        ValueError, match=r"reset_mask is wrong: expected a NumPy array of 3 booleans, .*, got "
    ):
        started().reset(options={"reset_mask": mask})


def test_an_empty_mask_and_a_mask_before_the_first_reset_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reset_mask chooses no market: expected at least one"):
        started().reset(options={"reset_mask": np.zeros(3, np.bool_)})
    fresh = gymnasium.make_vec("MarketMaking-v0", num_envs=3)
    with pytest.raises(ResetNeeded, match=r"no session is running: expected .* without reset_mask"):
        fresh.reset(options={"reset_mask": np.array([True, False, False])})


@pytest.mark.parametrize("seeds", [[], [1, 2], [1, 2, 3, 4], np.arange(2)])
def test_a_wrong_number_of_seeds_is_refused(seeds: Any) -> None:
    with pytest.raises(
        ValueError,
        match=rf"seed has a wrong length: expected one number, or 3 .*, got {len(seeds)}",
    ):
        started().reset(seed=seeds)


@pytest.mark.parametrize("mode", MODES)
def test_a_step_before_the_first_reset_is_refused(mode: AutoresetMode) -> None:
    batch = gymnasium.make_vec("MarketMaking-v0", num_envs=2, autoreset_mode=mode)
    with pytest.raises(ResetNeeded, match=r"expected a call of reset\(\) first, got step\(\)"):
        batch.step(np.zeros((2, 2), np.float32))


def test_without_autoreset_a_step_after_an_end_is_refused_and_names_the_markets() -> None:
    batch = started(session_steps=2, autoreset_mode="Disabled")
    quotes = np.zeros((3, 2), np.float32)
    batch.step(quotes)
    batch.reset(options={"reset_mask": np.array([False, True, False])})
    batch.step(quotes)
    for _ in range(2):
        with pytest.raises(
            ResetNeeded, match=r"sessions have ended: expected .* markets \[0, 2\] \(write reset\("
        ):
            batch.step(quotes)
    batch.reset(options={"reset_mask": np.array([True, False, True])})
    batch.step(quotes)


@pytest.mark.parametrize("num_envs", [0, -1, 1.5, "two", None, True])
def test_a_wrong_number_of_markets_is_refused(num_envs: Any) -> None:
    with pytest.raises(
        mm_gym.ConfigurationError, match=rf"num_envs={num_envs!r} is out of range: .*, at least 1"
    ):
        MarketMakingVectorEnv(num_envs=num_envs)


@pytest.mark.parametrize("mode", ["nextstep", "always", None, 1])
def test_an_unknown_autoreset_mode_is_refused(mode: Any) -> None:
    with pytest.raises(
        mm_gym.ConfigurationError,
        match=r"is not offered: expected one of 'NextStep', 'SameStep', 'Disabled', got ",
    ):
        MarketMakingVectorEnv(autoreset_mode=mode)


@pytest.mark.parametrize("limit", [0, -5, 2.5, "ten", True])
def test_a_wrong_time_limit_is_refused(limit: Any) -> None:
    message = rf"max_episode_steps={limit!r} is out of range: .*, at least 1, or None, got"
    with pytest.raises(mm_gym.ConfigurationError, match=message):
        MarketMakingVectorEnv(max_episode_steps=limit)


def test_a_time_limit_of_minus_one_means_none_as_it_does_in_make() -> None:
    batch = started(session_steps=4, max_episode_steps=-1)
    ends = [batch.step(np.zeros((3, 2), np.float32))[2:4] for _ in range(4)]
    assert [(terminated.all(), truncated.any()) for terminated, truncated in ends] == [
        (False, False)
    ] * 3 + [(True, False)]


def test_call_returns_frames_and_shared_attributes() -> None:
    envs = gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode="ansi").unwrapped
    envs.reset(seed=0)
    assert envs.call("render") == envs.render()
    assert envs.call("config") == (envs.config, envs.config)
    with pytest.raises(
        AttributeError, match=r"call\('step'\) is not offered: expected 'render' or"
    ):
        envs.call("step")
    assert gymnasium.make_vec("MarketMaking-v0", num_envs=2).unwrapped.call("render") == (
        None,
        None,
    )
