"""A head start for a policy: it learns to quote as a teacher does who sees the truth, from observations that do not.

The best that it can then do is to quote what the teacher would on average, given what was seen: it has learned to infer
what the teacher knows. That is supervised learning, a hundred times cheaper than to find the same out by trial and
error; PPO starts from there. Chen, Zhou, Koltun and Kraehenbuehl (2020), Learning by cheating, have the idea; Ross,
Gordon and Bagnell (2011), A reduction of imitation learning and structured prediction to no-regret online learning, the
loop: the policy drives, the teacher says what it would have done there. At last the critic learns what the imitator
earns, so that PPO has something to go by.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import Progress, TimeElapsedColumn
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.ppo import mean_action
from agents.teachers import Teacher, TrainingMarkets
from mm_gym import MarketConfig
from mm_gym.actions import to_ticks

LAST_EPOCHS = 6
"""Passes over all lessons in the end, unless the settings name another number."""
_ROUNDS = 8
_SETTLING_EPOCHS = 4
_BATCH, _PART = 2048, 65536
_COLLECTING = 8.0  # passes over a lesson that take as long as to collect it
_LEARNING_RATE = 2e-3
_SETTLING_RATE = 5e-4
_CRITIC_RATE = 1e-3
_JITTER = 0.5  # [ticks] standard deviation of what is added to the driver's quotes, so that mistakes are seen


def imitate(
    model: OnPolicyAlgorithm,
    markets: TrainingMarkets,
    config: MarketConfig,
    teacher: Teacher,
    decisions: int,
    seed: int,
    last_epochs: int = LAST_EPOCHS,
) -> float:
    """Fit the policy's mean action to the teacher's, over so many decisions of all markets together; shows a bar.

    A teacher may say more than an action can: offsets below zero. At last the policy then learns to say what an action
    can, since where its mean lies beyond, exploration does not reach the range, and PPO has nothing to learn from.

    Args:
        model: with a policy that is no recurrent one.
        markets: to collect in; they are reset.
        config: of the markets.
        teacher: who quotes.
        decisions: to learn from.
        seed: of the jitter and of the order of batches.
        last_epochs: passes over all lessons in the end.

    Returns:
        The root mean square error of an offset at the end [ticks], lessons counting as the teacher weighs them; the
        truth that nobody can infer is most of it.
    """
    policy = model.policy
    generator = np.random.default_rng(seed)
    torch_generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=_LEARNING_RATE)
    steps = max(1, decisions // (_ROUNDS * markets.num_envs))
    jitter = 2.0 * _JITTER / config.max_offset
    observations = markets.reset()
    seen: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []
    weighed: list[torch.Tensor] = []
    error = 0.0
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as bar:
        lessons = steps * markets.num_envs  # of each round; a round learns from all so far
        total = lessons * (_ROUNDS * _COLLECTING + sum(range(1, _ROUNDS)) + _ROUNDS * last_epochs)
        task = bar.add_task("imitating", total=total)
        advance = partial(bar.advance, task)
        for round_ in range(_ROUNDS):
            for _ in range(steps):
                target = (2.0 * teacher.offsets(observations, markets) / config.max_offset - 1.0).astype(np.float32)
                seen.append(torch.from_numpy(observations))
                wanted.append(torch.from_numpy(target))
                driver = target if round_ == 0 else model.predict(observations, deterministic=True)[0]
                actions = np.clip(driver + generator.normal(0.0, jitter, size=driver.shape), -1.0, 1.0)
                weights = teacher.weights(observations, markets, to_ticks(actions, config.max_offset))
                weighed.append(torch.from_numpy(weights.astype(np.float32)))
                markets.step_async(actions.astype(np.float32))
                observations = cast("npt.NDArray[np.float32]", markets.step_wait()[0])
                advance(_COLLECTING * len(observations))
            inputs, targets, counts = torch.cat(seen), torch.cat(wanted), torch.cat(weighed)
            counts = counts / counts.mean()
            last = round_ == _ROUNDS - 1
            beyond = last and bool((targets.abs() > 1.0).any())
            if beyond:
                bar.update(task, total=total + _SETTLING_EPOCHS * len(inputs))
            n_epochs = last_epochs if last else 1
            error = _fit(policy, inputs, targets, counts, optimizer, n_epochs, torch_generator, advance, falls=last)
        if beyond:
            optimizer = torch.optim.Adam(policy.parameters(), lr=_SETTLING_RATE)
            parts: Any = inputs.split(_PART)  # type: ignore[no-untyped-call]
            within = torch.cat([mean_action(policy, part).detach() for part in parts]).clamp(-1.0, 1.0)
            alike = torch.ones_like(counts)
            _fit(policy, inputs, within, alike, optimizer, _SETTLING_EPOCHS, torch_generator, advance, falls=True)
    return 0.5 * config.max_offset * error


def teach_critic(model: OnPolicyAlgorithm, decisions: int) -> None:
    """Let the model's own updates fit its critic to what the policy earns, the policy standing still; shows a bar.

    A policy that has imitated is good, and a critic that has learned nothing is wrong about it for a million decisions:
    what it takes for an advantage would undo the head start.

    Args:
        model: with a policy that is no recurrent one; it has done no steps afterwards, and its optimizer is new.
        decisions: of all markets together, rounded up to whole updates.
    """
    policy = model.policy
    still = [part for name, part in policy.named_parameters() if "value_net" not in name]
    schedule = model.lr_schedule
    model.lr_schedule = lambda _: _CRITIC_RATE
    for part in still:
        part.requires_grad_(False)
    model.learn(decisions, progress_bar=True)
    for part in still:
        part.requires_grad_(True)
    model.lr_schedule = schedule
    model.num_timesteps = model._n_updates = 0
    policy.optimizer = policy.optimizer_class(policy.parameters(), lr=schedule(1.0), **policy.optimizer_kwargs)  # type: ignore[call-arg]


def _fit(
    policy: Any,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    counts: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    generator: torch.Generator,
    advance: Callable[[float], None],
    falls: bool,
) -> float:
    """Fit the mean action, with a learning rate that falls nearly to zero or stands; root mean square error at last."""
    n_batches = epochs * -(-len(inputs) // _BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02 if falls else 1.0, n_batches)
    squares = 0.0
    for _ in range(epochs):
        squares = 0.0
        order: Any = torch.randperm(len(inputs), generator=generator)
        for batch in order.split(_BATCH):
            loss: Any = (counts[batch] * (mean_action(policy, inputs[batch]) - targets[batch]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            squares += float(loss.detach()) * len(batch)
            advance(len(batch))
    return float((squares / len(inputs)) ** 0.5)
