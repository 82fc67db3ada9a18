"""Pretraining by behaviour cloning: a policy learns to quote as an expert does who sees the hidden state.

The best it can do is to quote what the expert would on average, given what was seen: it has learned to infer what the
expert knows. That is supervised learning, a hundred times cheaper than to find the same out by trial and error; PPO
starts from there. Chen, Zhou, Koltun and Kraehenbuehl (2020), Learning by cheating, have the idea; Ross, Gordon and
Bagnell (2011), A reduction of imitation learning and structured prediction to no-regret online learning, the loop: the
policy quotes, the expert says what it would have done there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import Progress, TimeElapsedColumn
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.base import AgentError
from agents.glosten_milgrom import GlostenMilgromAgent
from agents.history_vec_env import TrainingMarkets
from agents.oracle import OracleAgent
from agents.ppo import mean_action
from agents.signal_filter import accepts
from agents.tuned import tuned_rule
from mm_gym import MarketConfig
from mm_gym.actions import from_ticks, to_ticks
from mm_gym.core.scales import offset_of_action

LAST_EPOCHS = 6
"""Passes over all demonstrations in the end, unless the settings name another number."""
_ROUNDS = 8
_SETTLING_EPOCHS = 4
_BATCH, _PART = 2048, 65536
_COLLECTING = 8.0  # passes over a demonstration that take as long as to collect it
_LEARNING_RATE = 2e-3
_SETTLING_RATE = 5e-4
_NOISE = 0.5  # [ticks] standard deviation of what is added to the quotes, so that mistakes are seen

Said = Callable[[torch.Tensor], torch.Tensor]
"""From a mean action to what is compared with the target."""


class Oracle:
    """The expert: it quotes around what the asset is worth, and who imitates it learns to infer the signal.

    Its offsets are negative where it would quote beyond the mid. An action would stop at the mid, and the mean of what
    stops there is not what the asset is worth on average.

    A demonstration counts as often as somebody would trade at the quote, so that what is learned for the ask is what
    the asset is worth on the average of those moments at which a buyer comes: E[V | a buyer comes], as Glosten and
    Milgrom (1985) set the ask. Margin and skew are those that tuning found for `glosten_milgrom`, which quotes around
    the same mean.

    Args:
        config: of the markets.
    """

    def __init__(self, config: MarketConfig) -> None:
        self._config = config
        self._agent = OracleAgent(config, **_tuned_margin(config))

    def offsets(self, observations: npt.NDArray[np.float32], markets: TrainingMarkets) -> npt.NDArray[np.float64]:
        """Bid and ask offset [ticks], shape (n, 2), in these markets, which show these observations just now."""
        return np.stack(self._agent.quotes_knowing(observations, *markets.truth()), axis=1)

    def weights(self, markets: TrainingMarkets, offsets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How much a demonstration counts for either side, shape (n, 2), where these offsets [ticks] are being quoted:
        the share of takers who would sell at the bid, and buy at the ask.

        The side that an imbalance favours is left out: it says nothing of what the asset is worth.
        """
        signal, gap = markets.truth()
        informed = markets.hidden_flow()[0]
        side = np.array([-1.0, 1.0])
        worth = side * self._config.foreseen_price(gap, signal)[:, None]
        acting = side * signal[:, None] > self._config.signal_threshold
        if self._config.informed_price_limit:
            acting &= worth >= offsets
        others = 0.5 * accepts(offsets, self._config.taker_tolerance)
        return np.asarray(informed[:, None] * acting + (1.0 - informed[:, None]) * others)


def _tuned_margin(config: MarketConfig) -> dict[str, float]:
    """Half-spread and skew of `glosten_milgrom` as tuned in such markets; nothing where it was not tuned."""
    try:
        return tuned_rule(GlostenMilgromAgent.name, config).parameters
    except AgentError:
        return {}


def clone_behaviour(
    model: OnPolicyAlgorithm,
    markets: TrainingMarkets,
    config: MarketConfig,
    decisions: int,
    seed: int,
    last_epochs: int = LAST_EPOCHS,
) -> float:
    """Fit the quotes of the policy's mean action to the oracle's, in ticks; shows a bar.

    The oracle may say more than an action can: offsets below zero. At last the policy then learns to say what an action
    can, since where its mean lies beyond, exploration does not reach the range, and PPO has nothing to learn from.

    Args:
        model: with a policy that is no recurrent one.
        markets: to collect in; they are reset.
        config: of the markets.
        decisions: to learn from, of all markets together.
        seed: of the noise and of the order of batches.
        last_epochs: passes over all demonstrations in the end.

    Returns:
        The root mean square error of an offset at the end [ticks], demonstrations counting as the oracle weighs them;
        the hidden state that nobody can infer is most of it.
    """
    policy, expert = model.policy, Oracle(config)
    generator = np.random.default_rng(seed)
    torch_generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=_LEARNING_RATE)
    steps = max(1, decisions // (_ROUNDS * markets.num_envs))
    in_ticks: Said = partial(offset_of_action, max_offset=config.max_offset)
    observations = markets.reset()
    seen: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []
    weighed: list[torch.Tensor] = []
    error = 0.0
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as bar:
        collected = steps * markets.num_envs  # in each round; a round learns from all so far
        total = collected * (_ROUNDS * _COLLECTING + sum(range(1, _ROUNDS)) + _ROUNDS * last_epochs)
        task = bar.add_task("behaviour cloning", total=total)
        advance = partial(bar.advance, task)
        for round_ in range(_ROUNDS):
            for _ in range(steps):
                target = expert.offsets(observations, markets)
                seen.append(torch.from_numpy(observations))
                wanted.append(torch.from_numpy(target.astype(np.float32)))
                quotes = target
                if round_ > 0:
                    quotes = to_ticks(model.predict(observations, deterministic=True)[0], config.max_offset)
                quotes = np.clip(quotes, 0.0, config.max_offset) + generator.normal(0.0, _NOISE, size=quotes.shape)
                actions = from_ticks(quotes, config.max_offset)
                weights = expert.weights(markets, to_ticks(actions, config.max_offset))
                weighed.append(torch.from_numpy(weights.astype(np.float32)))
                markets.step_async(actions)
                observations = cast("npt.NDArray[np.float32]", markets.step_wait()[0])
                advance(_COLLECTING * len(observations))
            inputs, targets, counts = torch.cat(seen), torch.cat(wanted), torch.cat(weighed)
            counts = counts / counts.mean()
            last = round_ == _ROUNDS - 1
            beyond = last and bool((targets < 0.0).any())
            if beyond:
                bar.update(task, total=total + _SETTLING_EPOCHS * len(inputs))
            epochs = last_epochs if last else 1
            error = _fit(policy, inputs, targets, counts, optimizer, epochs, torch_generator, advance, last, in_ticks)
        if beyond:
            optimizer = torch.optim.Adam(policy.parameters(), lr=_SETTLING_RATE)
            parts: Any = inputs.split(_PART)  # type: ignore[no-untyped-call]
            within = torch.cat([mean_action(policy, part).detach() for part in parts]).clamp(-1.0, 1.0)
            alike = torch.ones_like(counts)
            _fit(policy, inputs, within, alike, optimizer, _SETTLING_EPOCHS, torch_generator, advance, True)
    return error


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
    said: Said = lambda action: action,
) -> float:
    """Fit the mean action, with a learning rate that falls nearly to zero or stands; root mean square error at last."""
    n_batches = epochs * -(-len(inputs) // _BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02 if falls else 1.0, n_batches)
    squares = 0.0
    for _ in range(epochs):
        squares = 0.0
        order: Any = torch.randperm(len(inputs), generator=generator)
        for batch in order.split(_BATCH):
            found = said(mean_action(policy, inputs[batch]))
            loss: Any = (counts[batch] * (found - targets[batch]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            squares += float(loss.detach()) * len(batch)
            advance(len(batch))
    return float((squares / len(inputs)) ** 0.5)
