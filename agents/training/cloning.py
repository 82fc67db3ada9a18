"""Behaviour cloning: first weights of a policy from the quotes of a rule.

The actor learns the actions of the rule, and the critic the returns that follow. A critic without
this would lead the actor away from the rule in the first updates of PPO.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from mm_gym import OBSERVATION_NAMES

from ..registry import Agent
from .fast_ppo import FastPPO
from .history_vec_env import TrainingMarkets

DECISIONS = 3600
"""Number of decisions in each market that the policy learns from."""
HORIZON = 300
"""Number of decisions after these, from which the last returns are computed."""
NOISE = 0.1
"""Standard deviation of the noise on the actions of every other market, so that the policy also
sees what follows from quotes that the rule would not choose."""
_EPOCHS, _BATCH, _RATE = 6, 2048, 1e-3
_VALUE_WEIGHT = 0.1  # of the critic's loss


class Demonstrations(NamedTuple):
    """What a rule did, in n decisions."""

    observations: torch.Tensor
    """Shape (n, columns)."""
    actions: torch.Tensor
    """The actions of the rule, in [-1, 1], shape (n, 2)."""
    returns: torch.Tensor
    """Discounted sums of the following rewards, shape (n,)."""


def clone(rule: Agent, model: FastPPO, markets: TrainingMarkets, seed: int) -> None:
    """Fit a model to a rule: the actor to its actions, and the critic to its returns.

    Args:
        rule: the rule, for the configuration of the markets.
        model: the untrained model.
        markets: those of a training. Sessions start anew.
        seed: of the markets, the noise and the order of the batches.
    """
    shown = demonstrate(rule, markets, seed, model.gamma)
    actor, critic = model.networks()
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], _RATE)
    batches = max(1, len(shown.actions) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _EPOCHS * batches)
    order = torch.Generator().manual_seed(seed)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(shown.actions), generator=order).tensor_split(batches):
            observations = shown.observations[batch]
            loss = nn.functional.mse_loss(actor(observations), shown.actions[batch])
            loss += _VALUE_WEIGHT * nn.functional.mse_loss(
                critic(observations), shown.returns[batch]
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def demonstrate(rule: Agent, markets: TrainingMarkets, seed: int, gamma: float) -> Demonstrations:
    """Let a rule quote, with noise in every other market.

    Args:
        rule, markets, seed: as in `clone`.
        gamma: discount factor of a decision.
    """
    n, own = markets.num_envs, len(OBSERVATION_NAMES)
    noise = np.random.default_rng(seed)
    markets.seed(seed)
    seen: Any = markets.reset()
    state, ended = None, np.ones(n, np.bool_)
    observations, actions, rewards, ends = [], [], [], []
    for _ in range(DECISIONS + HORIZON):
        wanted, state = rule.predict(seen[:, :own].copy(), state, ended)
        wanted = np.clip(wanted, -1.0, 1.0).astype(np.float32)
        disturbed = wanted.copy()
        disturbed[1::2] += noise.normal(0.0, NOISE, disturbed[1::2].shape)
        observations.append(seen)
        seen, reward, ended, _ = markets.step(np.clip(disturbed, -1.0, 1.0))
        actions.append(wanted)
        rewards.append(reward)
        ends.append(ended)
    returns = np.zeros((len(rewards) + 1, n), np.float32)
    for step in range(len(rewards) - 1, -1, -1):
        returns[step] = rewards[step] + gamma * np.where(ends[step], 0.0, returns[step + 1])
    return Demonstrations(
        torch.from_numpy(np.concatenate(observations[:DECISIONS])),
        torch.from_numpy(np.concatenate(actions[:DECISIONS])),
        torch.from_numpy(returns[:DECISIONS].ravel()),
    )
