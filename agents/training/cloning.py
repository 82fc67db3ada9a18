"""Behaviour cloning: first weights for a policy whose actions are those of a rule."""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import nn

from mm_gym import OBSERVATION_NAMES

from ..registry import Agent
from .history_vec_env import TrainingMarkets

DECISIONS = 900
"""Number of decisions in each market that the policy learns from."""
NOISE = 0.1
"""Standard deviation of the noise on the actions of every other market, so that the policy also
sees what follows from quotes that the rule would not choose."""
_EPOCHS, _BATCH, _RATE = 12, 2048, 1e-3


def clone(rule: Agent, model: OnPolicyAlgorithm, markets: TrainingMarkets, seed: int) -> float:
    """Fit the actor of a model to the actions of a rule. The critic is left as it is.

    Args:
        rule: the rule, for the configuration of the markets.
        model: has a policy with separate networks, as `FastPPO`.
        markets: those of a training. Sessions start anew.
        seed: of the markets, the noise and the order of the batches.

    Returns:
        The mean squared difference of the last epoch's actions.
    """
    observations, actions = _demonstrations(rule, markets, seed)
    policy = model.policy
    actor = nn.Sequential(policy.mlp_extractor.policy_net, policy.action_net)
    optimizer = torch.optim.Adam(actor.parameters(), _RATE)
    batches = max(1, len(actions) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _EPOCHS * batches)
    order = torch.Generator().manual_seed(seed)
    for _ in range(_EPOCHS):
        losses = []
        for batch in torch.randperm(len(actions), generator=order).tensor_split(batches):
            loss = nn.functional.mse_loss(actor(observations[batch]), actions[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _demonstrations(
    rule: Agent, markets: TrainingMarkets, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Observations and the rule's actions, shapes (n, columns) and (n, 2)."""
    n, own = markets.num_envs, len(OBSERVATION_NAMES)
    noise = np.random.default_rng(seed)
    markets.seed(seed)
    seen: Any = markets.reset()
    state, starts = None, np.ones(n, np.bool_)
    observations, actions = [], []
    for _ in range(DECISIONS):
        wanted, state = rule.predict(seen[:, :own].copy(), state, starts)
        wanted = np.clip(wanted, -1.0, 1.0).astype(np.float32)
        observations.append(seen)
        actions.append(wanted)
        disturbed = wanted.copy()
        disturbed[1::2] += noise.normal(0.0, NOISE, disturbed[1::2].shape)
        seen, _, starts, _ = markets.step(np.clip(disturbed, -1.0, 1.0))
    return (
        torch.from_numpy(np.concatenate(observations)),
        torch.from_numpy(np.concatenate(actions)),
    )
