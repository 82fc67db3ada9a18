"""`FastPPO` against the PPO of stable-baselines3."""

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

import agents.training.trainer
from agents.training.fast_ppo import FastPPO
from agents.training.trainer import new_model, training_markets
from tests.small_runs import UPDATE, a_run

BUFFERS = ("observations", "actions", "rewards", "episode_starts", "values", "log_probs")


def a_model(kind: type[PPO], monkeypatch: pytest.MonkeyPatch, **learning: Any) -> PPO:
    monkeypatch.setattr(agents.training.trainer, "algorithm_class", lambda algorithm: kind)
    learning = {"learning_rate": 0.002, **learning}  # a schedule would end at 0 in a short training
    run = dataclasses.replace(a_run(1, learning=learning), n_envs=16)
    model = new_model(training_markets(run), run)
    model.set_logger(Logger(None, []))
    return model


def weights(model: PPO) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.policy.state_dict().items()}


@pytest.mark.parametrize("entropy", [0.0, 0.02])
def test_rollouts_and_updates_are_those_of_stable_baselines3(
    monkeypatch: pytest.MonkeyPatch, entropy: float
) -> None:
    # One batch per epoch, so that its order does not matter. Gradients are not clipped, because
    # the norm of stable-baselines3 is that of actor and critic together.
    learning = {"batch_size": UPDATE, "max_grad_norm": 1e9, "ent_coef": entropy, "n_epochs": 4}
    theirs, ours = (a_model(kind, monkeypatch, **learning) for kind in (PPO, FastPPO))
    start = weights(theirs)
    for model in (theirs, ours):
        torch.manual_seed(5)
        model.learn(UPDATE)
    for name in BUFFERS:
        one, two = (getattr(model.rollout_buffer, name) for model in (theirs, ours))
        if name not in ("rewards", "episode_starts"):  # PPO flattens the arrays that it learns from
            one = np.swapaxes(one.reshape(16, -1, *two.shape[2:]), 0, 1)
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5, err_msg=name)
    for name, value in weights(theirs).items():
        moved = np.abs(value - start[name]).max()
        assert moved > 1e-4
        np.testing.assert_allclose(weights(ours)[name], value, atol=0.01 * moved, err_msg=name)
    logged, expected = (model.logger.name_to_value for model in (ours, theirs))
    for name in ("approx_kl", "clip_fraction", "entropy_loss", "value_loss", "explained_variance"):
        assert logged[f"train/{name}"] == pytest.approx(
            expected[f"train/{name}"], rel=0.02, abs=1e-6
        )


def test_actor_and_critic_learn_the_same_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (1, 2):
        model = a_model(FastPPO, monkeypatch)
        model.learner_threads = threads
        found.append(weights(model.learn(3 * UPDATE)))
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


def test_what_it_saves_is_read_and_trained_on_by_stable_baselines3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = a_model(FastPPO, monkeypatch)
    model.learn(2 * UPDATE)
    model.save(tmp_path / "model.zip")
    plain = PPO.load(tmp_path / "model.zip", env=model.get_env(), device="cpu")
    assert all(
        np.array_equal(value, weights(plain)[name]) for name, value in weights(model).items()
    )
    moments = plain.policy.optimizer.state_dict()["state"]
    assert len(moments) == len(weights(model))
    assert all(bool(moment["exp_avg_sq"].any()) for moment in moments.values())
    plain.learn(UPDATE, reset_num_timesteps=False)
    assert plain.num_timesteps == 3 * UPDATE


def test_the_actor_stops_at_the_target_of_the_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_model(FastPPO, monkeypatch, target_kl=1e-6, n_epochs=4)
    start = weights(model)
    model.learn(UPDATE)
    moved = {name: np.abs(value - start[name]).max() for name, value in weights(model).items()}
    assert moved["value_net.weight"] > 5 * moved["action_net.weight"]


def test_only_the_critic_learns_in_its_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_model(FastPPO, monkeypatch)
    model.critic_warm_up = 0.5  # type: ignore[attr-defined]
    seen = [weights(model)]

    class Look(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            seen.append(weights(self.model))

    model.learn(4 * UPDATE, callback=Look())
    seen.append(weights(model))

    def moves(part: str) -> list[bool]:
        return [
            any((one[name] != two[name]).any() for name in one if part in name)
            for one, two in pairwise(seen[1:])
        ]

    assert moves("value_net") == [True, True, True, True]
    assert moves("action_net") == moves("log_std") == [False, True, True, True]


def test_the_critic_can_have_a_learning_rate_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step of Adam is the rate times the sign of the gradient, whatever its size."""
    model = a_model(FastPPO, monkeypatch, n_epochs=1, batch_size=UPDATE)
    model.critic_learning_rate = lambda left: 0.01 * left  # type: ignore[attr-defined]
    start = weights(model)
    model.learn(2 * UPDATE)  # half of the budget is left at the first update, nothing at the second
    moved = {name: np.abs(value - start[name]).max() for name, value in weights(model).items()}
    assert moved["value_net.bias"] == pytest.approx(0.005, rel=1e-3)
    assert 0.002 * 0.99 < moved["action_net.bias"] < 0.004 * 1.01
