"""PPO of stable-baselines3 in less time, for Gaussian policies with separate networks.

The algorithm, its hyperparameters, its logs and what it saves are those of `PPO`. It differs in:

* a rollout evaluates the actor only; the critic evaluates the whole rollout at its end;
* log-probabilities are written out, without distribution objects;
* actor and critic share no weights, so each has its own optimisation steps. Their gradients are
  clipped separately, and with `learner_threads=2` they learn at the same time.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

_LOG_TWO_PI = math.log(2.0 * math.pi)


class FastPPO(PPO):
    """PPO for observations and actions that are vectors, and for sessions that are not truncated.

    Args:
        learner_threads: 1, or 2 to let actor and critic learn at the same time. The result does not
            depend on it.
        *args, **kwargs: of `PPO`.
    """

    learner_threads = 1
    critic_warm_up = 0.0
    """Share of the budget at whose start only the critic learns."""
    critic_learning_rate: Callable[[float], float] | None = None
    """Learning rate of the critic, given the remaining share of the budget. None: the actor's."""

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """The actor, from observations to mean actions, and the critic."""
        policy: Any = self.policy
        return (
            nn.Sequential(policy.mlp_extractor.policy_net, policy.action_net),
            nn.Sequential(policy.mlp_extractor.value_net, policy.value_net, nn.Flatten(0)),
        )

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer with decisions of the present policy. False if a callback stops it."""
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        actor, critic = self.networks()
        log_std = self.policy.get_parameter("log_std").detach()
        noise = torch.randn(n_rollout_steps, *rollout_buffer.actions.shape[1:])
        scaled_noise = (noise * log_std.exp()).numpy()
        rollout_buffer.log_probs[:] = _log_prob(noise, log_std).numpy()
        low, high = self.action_space.low, self.action_space.high  # type: ignore[attr-defined]
        observations: Any
        shown: Any
        for step in range(n_rollout_steps):
            observations = self._last_obs
            with torch.no_grad():
                actions = actor(torch.from_numpy(observations)).numpy() + scaled_noise[step]
            shown, rewards, dones, infos = env.step(np.clip(actions, low, high))
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                self._update_info_buffer([infos[market] for market in np.flatnonzero(dones)])
            rollout_buffer.observations[step] = observations
            rollout_buffer.actions[step] = actions
            rollout_buffer.rewards[step] = rewards
            rollout_buffer.episode_starts[step] = self._last_episode_starts
            self._last_obs, self._last_episode_starts = shown, dones
        rollout_buffer.full = True
        with torch.no_grad():
            for step, observations in enumerate(rollout_buffer.observations):
                rollout_buffer.values[step] = critic(torch.from_numpy(observations)).numpy()
            last = critic(torch.from_numpy(shown))
        rollout_buffer.compute_returns_and_advantage(last, dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update the policy with the rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        buffer = self.rollout_buffer
        n = buffer.buffer_size * buffer.n_envs
        data = {
            name: torch.from_numpy(getattr(buffer, name)).flatten(0, 1)
            for name in ("observations", "actions", "log_probs", "advantages", "returns")
        }
        epochs = []
        for _ in range(self.n_epochs):
            order = torch.randperm(n)
            epochs.append([order[i : i + self.batch_size] for i in range(0, n, self.batch_size)])
        actor, critic = self.networks()
        with ThreadPoolExecutor(1) as thread:
            losses = thread.submit(self._train_critic, critic, data, epochs)
            if self.learner_threads == 1:
                losses.result()
            figures = {}
            if 1.0 - self._current_progress_remaining >= self.critic_warm_up:
                figures = self._train_actor(actor, data, epochs)
            figures["value_loss"] = losses.result()
        self._n_updates += self.n_epochs
        figures["explained_variance"] = explained_variance(
            buffer.values.ravel(), buffer.returns.ravel()
        )
        for name, value in figures.items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _train_actor(
        self, actor: nn.Module, data: dict[str, Tensor], epochs: list[list[Tensor]]
    ) -> dict[str, float]:
        """Optimise the clipped surrogate of Schulman et al. (2017), equation 7."""
        log_std = self.policy.get_parameter("log_std")
        optimizer = self._optimizer([*actor.parameters(), log_std])
        clip = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        clipped, losses = [], []
        for batches in epochs:
            kls = []
            for batch in batches:
                observations, actions, log_probs, advantages = (
                    data[name].index_select(0, batch)  # three times as fast as data[name][batch]
                    for name in ("observations", "actions", "log_probs", "advantages")
                )
                mean = actor(observations)
                # The gradient is written out down to the means, where autograd would take as long
                # for the many small operations as for the network.
                with torch.no_grad():
                    if self.normalize_advantage and len(batch) > 1:
                        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
                    deviation = log_std.exp()
                    noise = (actions - mean) / deviation
                    log_ratio = _log_prob(noise, log_std) - log_probs
                    ratio = log_ratio.exp()
                    surrogate = advantages * ratio
                    bound = advantages * ratio.clamp(1.0 - clip, 1.0 + clip)
                    kls.append((ratio - 1.0 - log_ratio).mean())
                    clipped.append(((ratio - 1.0).abs() > clip).float().mean())
                    losses.append(-torch.min(surrogate, bound).mean())
                    # d loss / d log-probability, zero where the ratio is clipped
                    slope = torch.where(surrogate <= bound, surrogate, 0.0)[:, None] / -len(batch)
                if self.target_kl is not None and kls[-1] > 1.5 * self.target_kl:
                    break
                optimizer.zero_grad()
                mean.backward(slope * noise / deviation)
                # The entropy of the Gaussian is log_std plus a constant.
                log_std.grad = (slope * (noise * noise - 1.0)).sum(0) - self.ent_coef
                self._descend(optimizer)
            else:
                continue
            break
        deviations = log_std.detach()
        return {
            "approx_kl": float(torch.stack(kls).mean()),
            "clip_fraction": float(torch.stack(clipped).mean()),
            "policy_gradient_loss": float(torch.stack(losses).mean()),
            "entropy_loss": -float((0.5 + 0.5 * _LOG_TWO_PI + deviations).sum()),
            "std": float(deviations.exp().mean()),
            "clip_range": clip,
        }

    def _train_critic(
        self, critic: nn.Module, data: dict[str, Tensor], epochs: list[list[Tensor]]
    ) -> float:
        optimizer = self._optimizer([*critic.parameters()])
        if self.critic_learning_rate is not None:
            rate = self.critic_learning_rate(self._current_progress_remaining)
            optimizer.param_groups[0]["lr"] = rate
        losses = []
        for batches in epochs:
            for batch in batches:
                observations, returns = (
                    data[name].index_select(0, batch) for name in ("observations", "returns")
                )
                loss = nn.functional.mse_loss(critic(observations), returns)
                losses.append(loss.detach())
                optimizer.zero_grad()
                (self.vf_coef * loss).backward()  # type: ignore[no-untyped-call]
                self._descend(optimizer)
        return float(torch.stack(losses).mean())

    def _optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Adam:
        """A fused optimizer of some parameters. Its state is that of the policy's optimizer."""
        group = self.policy.optimizer.param_groups[0]
        optimizer = torch.optim.Adam(
            parameters, lr=group["lr"], betas=group["betas"], eps=group["eps"], fused=True
        )
        optimizer.state = self.policy.optimizer.state
        return optimizer

    def _descend(self, optimizer: torch.optim.Adam) -> None:
        nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], self.max_grad_norm)
        optimizer.step()


def _log_prob(noise: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of mean + exp(log_std) * noise, summed over the last axis."""
    return -(0.5 * noise * noise + log_std + 0.5 * _LOG_TWO_PI).sum(-1)
