"""The results of a training: weights, and curves in the logs."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents.training.cloning
import agents.training.held_out
import agents.training.trainer
from agents import make_agent, name_agent, rules_for
from agents.learned.policy import load, quoting_agent
from agents.learned.run_folder import CHECKPOINT_FILE, POLICY_FILE, RUN_FILE, Run, read_run
from agents.training.held_out import HELD_OUT_SEED, HeldOut
from agents.training.trainer import algorithm_class, load_checkpoint, rollout_shape
from mm_gym import OBSERVATION_NAMES, configure
from mm_gym.actions import to_ticks
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.sb3 import SESSION_FIGURES, MarketMakingVecEnv
from tests.small_runs import (
    CONFIG,
    N_MARKETS,
    UPDATE,
    a_run,
    an_untrained_folder,
    weights,
    with_hyperparameters,
)
from tests.small_runs import small as small  # a fixture

pytestmark = pytest.mark.usefixtures("small")


def test_equal_seeds_train_equal_policies_and_seed_zero_is_valid(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        agents.training.trainer.train(tmp_path / name, a_run(2, seed))
    first, again, other = (weights(tmp_path / name) for name in "abc")
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_the_trained_policy_does_not_depend_on_the_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    class Noted(MarketMakingVecEnv):
        def __init__(self, num_envs: int, *, threads: int, **fields: Any) -> None:
            made.append(threads)
            super().__init__(num_envs, threads=threads, **fields)

    monkeypatch.setattr(agents.training.trainer, "MarketMakingVecEnv", Noted)
    for threads in (1, 2):
        agents.training.trainer.train(tmp_path / str(threads), a_run(2), threads=threads)
    assert made == [1, 2]
    one, two = (weights(tmp_path / str(threads)) for threads in made)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_the_logs_hold_trading_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[dict[str, float]] = []
    ended_by_update: list[list[dict[str, float]]] = []
    step_wait = MarketMakingVecEnv.step_wait
    ppo = algorithm_class("ppo")
    update = ppo.train

    def noting(self: MarketMakingVecEnv) -> object:
        result = step_wait(self)
        sessions.extend(info["episode"] for info in result[3] if info)
        return result

    def updating(self: ppo) -> None:
        ended_by_update.append(sessions[:])
        update(self)

    monkeypatch.setattr(MarketMakingVecEnv, "step_wait", noting)
    monkeypatch.setattr(ppo, "train", updating)
    agents.training.trainer.train(tmp_path, a_run(3))
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    for name in SESSION_FIGURES:
        logged = log.Scalars(f"market/{name}")
        assert [point.step for point in logged] == [UPDATE, 2 * UPDATE, 3 * UPDATE]
        for point, ended in zip(logged, ended_by_update, strict=True):
            latest = [session[name] for session in ended[-N_MARKETS:]]
            assert len(latest) == N_MARKETS
            assert point.value == pytest.approx(np.mean(latest), rel=1e-6)
    assert {"rollout/ep_rew_mean", "train/value_loss", "time/fps"} <= set(log.Tags()["scalars"])


def test_the_untrained_policy_quotes_an_eighth_of_max_offset_with_the_given_deviation() -> None:
    config = configure("noise", max_offset=16.0)
    quoting = {
        "policy_kwargs": {"net_arch": [64, 64], "activation_fn": "silu", "log_std_init": -2.0}
    }
    run = a_run(1, config=config, learning=quoting)
    model = agents.training.trainer.new_model(agents.training.trainer.training_markets(run), run)
    assert isinstance(model.policy.mlp_extractor.policy_net[1], torch.nn.SiLU)
    seen = np.zeros((10_000, len(run.observation)), np.float32)
    actions, _ = model.predict(seen[:1], deterministic=True)
    np.testing.assert_allclose(to_ticks(actions, config.max_offset), 2.0, atol=0.2)
    drawn, _ = model.predict(seen, deterministic=False)
    # The standard error of a standard deviation is s / sqrt(2 n).
    np.testing.assert_allclose(
        drawn.std(axis=0), np.exp(-2.0), atol=5 * np.exp(-2.0) / np.sqrt(20_000)
    )


def test_a_training_may_start_from_the_weights_of_another_maker(tmp_path: Path) -> None:
    """Policy and critic are those of the other maker. The exploration is that of the new run."""
    run = a_run(1, config=configure("informed", p_informed=0.8, session_steps=50))
    source = an_untrained_folder(tmp_path / "source", a_run(1))
    model = agents.training.trainer.new_model(agents.training.trainer.training_markets(run), run)
    agents.training.trainer.copy_weights(source, model, run)
    expected = weights(source)
    for name, tensor in model.policy.state_dict().items():
        if name == "log_std":
            np.testing.assert_allclose(tensor.numpy(), -1.9)
        else:
            np.testing.assert_array_equal(tensor.numpy(), expected[name])


def test_a_clone_quotes_as_its_rule_in_sessions_that_it_has_not_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agents.training.cloning, "DECISIONS", 600)
    run = a_run(1, config=configure("informed", p_informed=0.4, session_steps=50))
    run = dataclasses.replace(run, n_envs=64)
    model = agents.training.trainer.new_model(agents.training.trainer.training_markets(run), run)
    name = "inventory_skew:half_spread=1.5:skew=0.4"
    agents.training.trainer.clone_rule(name, model, run, MarketMakingVecEnv)
    rule = name_agent(name)(run.config)
    environment = agents.training.trainer.training_markets(run)
    environment.seed(99)
    seen: Any = environment.reset()
    differences, wanted = [], []
    for _ in range(40):
        actions = rule.predict(seen[:, : len(OBSERVATION_NAMES)])[0]
        differences.append(model.predict(seen, deterministic=True)[0] - actions)
        wanted.append(actions)
        seen = environment.step(actions)[0]
    # Inventory moves the quotes of the rule. The clone explains nine tenths of it at least.
    assert np.mean(np.square(differences)) < 0.1 * np.var(wanted)


def test_the_returns_of_demonstrations_are_discounted_sums_up_to_the_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agents.training.cloning, "DECISIONS", 6)
    monkeypatch.setattr(agents.training.cloning, "HORIZON", 4)
    random = np.random.default_rng(1)
    rewards = random.normal(size=(10, 3)).astype(np.float32)
    ends = random.random((10, 3)) < 0.2

    class Markets:
        num_envs, decision = 3, 0

        def seed(self, seed: int) -> None:
            pass

        def reset(self) -> np.ndarray:
            return np.zeros((3, len(OBSERVATION_NAMES)), np.float32)

        def step(self, actions: np.ndarray) -> tuple[Any, ...]:
            self.decision += 1
            now = self.decision - 1
            return self.reset(), rewards[now], ends[now], [{}] * 3

    rule = name_agent("fixed_spread")(CONFIG)
    shown = agents.training.cloning.demonstrate(rule, Markets(), 0, gamma=0.9)  # type: ignore[arg-type]
    assert shown.observations.shape == (18, len(OBSERVATION_NAMES))
    for row, found in enumerate(shown.returns):
        decision, market = divmod(row, 3)
        expected, weight = 0.0, 1.0
        for later in range(decision, 10):
            expected += weight * rewards[later, market]
            weight *= 0.9
            if ends[later, market]:
                break
        assert float(found) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "network", [{"net_arch": [64, 32]}, {"net_arch": [64, 64], "activation_fn": "silu"}]
)
def test_weights_of_another_network_are_refused(tmp_path: Path, network: dict[str, Any]) -> None:
    source = an_untrained_folder(tmp_path / "source", a_run(1, learning={"policy_kwargs": network}))
    run = a_run(1)
    model = agents.training.trainer.new_model(agents.training.trainer.training_markets(run), run)
    with pytest.raises(
        agents.training.trainer.TrainingError, match="do not fit: expected a network as in the"
    ):
        agents.training.trainer.copy_weights(source, model, run)


@pytest.mark.parametrize("n_envs", [1, 3, 8, 64, 100, 128, 1000, 5000])
def test_an_update_has_whole_batches_of_equal_size_for_any_number_of_markets(
    n_envs: int,
) -> None:
    shape = rollout_shape({"n_envs": 128, "n_steps": 128, "batch_size": 4096}, n_envs)
    assert n_envs * shape["n_steps"] == 4 * shape["batch_size"]
    if n_envs <= 128:
        assert shape["batch_size"] == pytest.approx(4096, rel=0.05)


def test_learning_improves_quotes_that_are_rarely_filled(tmp_path: Path) -> None:
    # In the dealer market a quote at offset d is filled at rate exp(-d / 3) / 2 a second and earns
    # d. In 100 seconds both sides earn 45 at 9 ticks, the initial offset, and 110 at 3, the best.
    config = configure(
        "dealer", session_steps=100, max_offset=72.0
    )  # an untrained policy quotes an eighth of max_offset
    hyperparameters = with_hyperparameters(
        learning={
            "n_envs": 64,
            "n_steps": 32,
            "batch_size": 512,
            "n_epochs": 8,
            "learning_rate": "lin_0.003",
            "gamma": 0.9,
            # A standard deviation of 3 ticks: the offset has a slope of 27 ticks per action there.
            "policy_kwargs": {"net_arch": [64, 64], "log_std_init": float(np.log(3.0 / 27.0))},
        },
    )
    run = Run(config, seed=0, n_envs=64, timesteps=60_000, hyperparameters=hyperparameters)
    agents.training.trainer.train(tmp_path / "untrained", dataclasses.replace(run, timesteps=1))
    agents.training.trainer.train(tmp_path / "trained", run)
    untrained, trained = (
        run_sessions(
            lambda config, name=name: load(tmp_path / name, config), config, episodes=64, seed=5
        )
        for name in ("untrained", "trained")
    )
    gain = trained.final_pnl - untrained.final_pnl  # 27, with a standard error of 2.3
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    assert gain.mean() > max(5.0 * error, 15.0)


def test_held_out_sessions_give_a_curve_and_do_not_select_weights(tmp_path: Path) -> None:
    # With this high learning rate the policy also gets worse at times.
    run = a_run(6, learning={"learning_rate": 0.02})
    run = agents.training.trainer.train(
        tmp_path, run, evaluate_every=UPDATE, held_out=HeldOut(CONFIG, 8)
    )
    assert run == read_run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        RUN_FILE,
        POLICY_FILE,
        CHECKPOINT_FILE,
        "tensorboard",
    }
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    judged = log.Scalars("held_out/objective")
    assert [point.step for point in judged] == [UPDATE * update for update in range(1, 7)]
    assert len({point.value for point in judged}) > 1
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.num_timesteps == run.steps_done == 6 * UPDATE
    for name, value in checkpoint.policy.state_dict().items():
        np.testing.assert_array_equal(weights(tmp_path)[name], value.numpy())
    sessions = run_sessions(functools.partial(make_agent, str(tmp_path)), CONFIG, 8, HELD_OUT_SEED)
    for scalar, figures in (
        ("objective", sessions.objective),
        ("fills", sessions.n_fills),
        ("mean_abs_inventory", sessions.mean_abs_inventory),
    ):
        logged = {point.step: point.value for point in log.Scalars(f"held_out/{scalar}")}
        assert logged[6 * UPDATE] == pytest.approx(figures.mean(), rel=1e-6)
    assert {"held_out/markout_5", "held_out/value_adverse_move_5"} <= set(log.Tags()["scalars"])


def test_another_process_evaluates_the_policy_as_it_was_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in `train.py --jobs 2`. The model's markets and logger cannot be pickled."""
    monkeypatch.setattr(agents.training.held_out, "rules_for", rules_for)  # as there
    run = a_run(1)
    model = agents.training.trainer.new_model(agents.training.trainer.training_markets(run), run)
    with HeldOut(CONFIG, 8) as here, HeldOut(CONFIG, 8, jobs=2) as beside:
        for held_out in (beside, here):
            assert held_out.finished() == []
            held_out.ask("maker", quoting_agent(model.policy, run), 0)
        with torch.no_grad():  # while the other process still starts
            model.policy.action_net.bias.fill_(3.0)
        ((alone,), (together,)) = (held_out.finished(wait=True) for held_out in (here, beside))
        np.testing.assert_equal(alone.row, together.row)  # with NaN where nothing was filled
        assert alone.row["fills"] > 0.0
        assert alone.gap == together.gap
        assert beside.after(0) is together
        assert beside.after(1) is None

        rules = here.rules()
        with monkeypatch.context() as patch:
            patch.setattr(agents.training.held_out, "run_rules", None)  # they are not run again
            here.ask("maker", quoting_agent(model.policy, run), 1)
        (quiet,) = here.finished()
        assert quiet.row["fills"] == 0.0
        assert quiet.rule == rules.best


def test_the_ramp_of_informed_takers_is_a_share_of_the_budget() -> None:
    """A quarter of 8,000 decisions in 8 markets are 250 of each. Sessions have 50."""
    run = a_run(1, config=configure("informed", p_informed=0.8, session_steps=50))
    run = dataclasses.replace(
        run, timesteps=8_000, hyperparameters=run.hyperparameters | {"informed_ramp": 0.25}
    )
    far = np.ones((N_MARKETS, 2), np.float32)
    markets = agents.training.trainer.training_markets(run)
    plain = agents.training.trainer.training_markets(
        dataclasses.replace(run, config=dataclasses.replace(run.config, p_informed=0.0))
    )
    resumed = agents.training.trainer.training_markets(dataclasses.replace(run, steps_done=2_000))
    informed = agents.training.trainer.training_markets(
        dataclasses.replace(run, hyperparameters=run.hyperparameters | {"informed_ramp": 0.0})
    )
    for first, second in ((markets, plain), (resumed, informed)):
        for environment in (first, second):
            environment.seed(0)
        np.testing.assert_array_equal(first.reset(), second.reset())
        for _ in range(10):
            for ours, theirs in zip(first.step(far)[:3], second.step(far)[:3], strict=True):
                np.testing.assert_array_equal(ours, theirs)
