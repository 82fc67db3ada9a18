"""Proximal policy optimisation (Schulman et al. 2017) in one file.

    python examples/ppo.py
    python examples/ppo.py --regime informed --p-informed 0.4 --seed 1

The file needs `mm_gym` and torch only. It follows CleanRL's `ppo_continuous_action.py` (Huang et
al. 2022), with two differences. Both come from the autoreset mode NEXT_STEP, Gymnasium's default:

* The step after the end of a session ignores the action, resets the market and returns a reward of
  0. It is no transition of the task, so it is left out of the batch.
* The last observation of a session is returned when the session ends. Its value bootstraps a
  truncated session. The value after a terminated session is 0.
"""

import argparse
import time

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Normal

import mm_gym  # registers MarketMaking-v0

# Seed of the evaluation. Training uses --seed and the numbers after it.
HELD_OUT = 1_000_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    option = parser.add_argument
    option("--regime", default="noise", choices=mm_gym.REGIMES, help="order flow")
    option("--p-informed", type=float, help="share of informed takers; default: the regime's")
    option("--seed", type=int, default=0)
    option("--decisions", type=int, default=5_000_000, help="budget of all markets together")
    option("--num-envs", type=int, default=256, help="number of markets")
    option("--num-steps", type=int, default=64, help="decisions of each market per update")
    option("--batch-size", type=int, default=4096, help="transitions per gradient step")
    option("--epochs", type=int, default=6, help="passes over the data of an update")
    option("--learning-rate", type=float, default=0.002, help="decreases linearly to 0")
    option("--gamma", type=float, default=0.99, help="discount factor")
    option("--gae-lambda", type=float, default=0.9, help="of generalised advantage estimation")
    option("--clip", type=float, default=0.2, help="clip range of the probability ratio")
    option("--max-grad-norm", type=float, default=0.5, help="largest norm of a gradient")
    option("--log-std", type=float, default=-1.0, help="initial log standard deviation")
    option("--evaluation-sessions", type=int, default=256, help="number of held-out sessions")
    option("--threads", type=int, default=1, help="number of threads of torch")
    return parser.parse_args()


class Agent(nn.Module):
    """A Gaussian policy and a value function with separate networks."""

    def __init__(self, n_observations: int, n_actions: int, log_std: float) -> None:
        super().__init__()
        self.mean = network(n_observations, n_actions, last_gain=0.01)
        self.value = network(n_observations, 1, last_gain=1.0)
        self.log_std = nn.Parameter(torch.full((n_actions,), log_std))

    def policy(self, observations: torch.Tensor) -> Normal:
        return Normal(self.mean(observations), self.log_std.exp(), validate_args=False)

    def values(self, observations: torch.Tensor) -> torch.Tensor:
        return self.value(observations).squeeze(-1)


def network(n_inputs: int, n_outputs: int, last_gain: float) -> nn.Sequential:
    layers = [nn.Linear(n_inputs, 64), nn.Linear(64, 64), nn.Linear(64, n_outputs)]
    for layer, gain in zip(layers, (2**0.5, 2**0.5, last_gain), strict=True):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])


def staggered_reset(env: gymnasium.vector.VectorEnv, seed: int) -> np.ndarray:
    """Start with sessions of 16 different lengths, so that markets close in different steps."""
    session_steps = env.unwrapped.config.session_steps
    observations, _ = env.reset(seed=seed)
    for part in range(1, 17):
        mask = np.arange(env.num_envs) % 16 == part % 16
        if mask.any():
            shorter = {"session_steps": max(1, session_steps * part // 16)}
            observations, _ = env.reset(options={"reset_mask": mask, "config": shorter})
    return observations


def advantages(rewards, values, terminated, ended, gamma: float, gae_lambda: float) -> torch.Tensor:
    """Generalised advantage estimation (Schulman et al. 2016).

    Args:
        rewards: shape (steps, markets).
        values: shape (steps + 1, markets). The last row is for the observations after the last
            step.
        terminated: shape (steps, markets).
        ended: terminated or truncated, shape (steps, markets).
        gamma: discount factor.
        gae_lambda: of the exponential average.
    """
    result = torch.zeros_like(rewards)
    later = torch.zeros_like(rewards[0])
    for step in reversed(range(len(rewards))):
        error = rewards[step] + gamma * values[step + 1] * ~terminated[step] - values[step]
        later = error + gamma * gae_lambda * later * ~ended[step]
        result[step] = later
    return result


def train(args: argparse.Namespace, market: dict) -> Agent:
    env = gymnasium.make_vec(
        "MarketMaking-v0", num_envs=args.num_envs, variance_reduction=True, **market
    )
    n_observations, n_actions = (
        env.single_observation_space.shape[0],
        env.single_action_space.shape[0],
    )
    agent = Agent(n_observations, n_actions, args.log_std)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)

    shape = (args.num_steps, args.num_envs)
    observations = torch.zeros(args.num_steps + 1, args.num_envs, n_observations)
    actions = torch.zeros(*shape, n_actions)
    rewards, log_probs = torch.zeros(shape), torch.zeros(shape)
    terminated, ended, real = (torch.zeros(shape, dtype=torch.bool) for _ in range(3))

    observations[-1] = torch.as_tensor(staggered_reset(env, args.seed))
    # The next step only resets the markets that ended before it.
    ended_before = torch.zeros(args.num_envs, dtype=torch.bool)
    objectives: list[float] = []
    started = time.monotonic()
    n_updates = max(1, args.decisions // (args.num_steps * args.num_envs))
    for update in range(n_updates):
        optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - update / n_updates)

        observations[0] = observations[-1]
        for step in range(args.num_steps):
            with torch.no_grad():
                policy = agent.policy(observations[step])
                actions[step] = policy.sample()
                log_probs[step] = policy.log_prob(actions[step]).sum(-1)
            # The environment clips actions to [-1, 1] by itself.
            observation, reward, termination, truncation, info = env.step(actions[step].numpy())
            observations[step + 1] = torch.as_tensor(observation)
            rewards[step] = torch.as_tensor(reward)
            terminated[step] = torch.as_tensor(termination)
            ended[step] = torch.as_tensor(termination | truncation)
            real[step] = ~ended_before
            ended_before = ended[step].clone()
            objectives.extend(info["objective"][termination | truncation])

        with torch.no_grad():
            values = agent.values(observations)
            gains = advantages(rewards, values, terminated, ended, args.gamma, args.gae_lambda)
        targets = (gains + values[:-1])[real]
        gains = gains[real]
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        batch = (observations[:-1][real], actions[real], log_probs[real], gains, targets)

        for _ in range(args.epochs):
            for rows in torch.randperm(len(gains)).split(args.batch_size):
                seen, done, old_log_prob, gain, target = (column[rows] for column in batch)
                log_prob = agent.policy(seen).log_prob(done).sum(-1)
                ratio = (log_prob - old_log_prob).exp()
                policy_loss = -torch.min(
                    gain * ratio, gain * ratio.clamp(1 - args.clip, 1 + args.clip)
                ).mean()
                value_loss = 0.5 * (agent.values(seen) - target).square().mean()
                optimizer.zero_grad()
                (policy_loss + 0.5 * value_loss).backward()
                nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                optimizer.step()

        if (update + 1) % max(1, n_updates // 10) == 0:
            decisions = (update + 1) * args.num_steps * args.num_envs
            recent = np.mean(objectives[-args.num_envs :]) if objectives else float("nan")
            seconds = time.monotonic() - started
            print(
                f"{decisions:>10,} decisions  {seconds:5.0f} s  "
                f"objective with exploration {recent:7.1f}"
            )
    env.close()
    return agent


def evaluate(agent: Agent, n_sessions: int, market: dict) -> tuple[np.ndarray, np.ndarray]:
    """Objective [ticks x lots] and number of fills of held-out sessions, without exploration.

    The objective is not variance-reduced.
    """
    env = gymnasium.make_vec("MarketMaking-v0", num_envs=n_sessions, **market)
    observation, _ = env.reset(seed=HELD_OUT)
    fills, termination = np.zeros(n_sessions), np.zeros(n_sessions, dtype=bool)
    while not termination.all():  # all sessions have the same length
        with torch.no_grad():
            action = agent.mean(torch.as_tensor(observation)).numpy()
        observation, _, termination, _, info = env.step(action)
        fills += info["fills"]
    env.close()
    return info["objective"], fills


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    market = {"regime": args.regime} | (
        {} if args.p_informed is None else {"p_informed": args.p_informed}
    )
    agent = train(args, market)
    objectives, fills = evaluate(agent, args.evaluation_sessions, market)
    error = objectives.std(ddof=1) / len(objectives) ** 0.5
    print(
        f"{len(objectives)} held-out sessions of {args.regime}, "
        f"{fills.mean():.0f} fills per session"
    )
    print(f"objective {objectives.mean():.1f} +- {error:.1f} ticks x lots (standard error)")


if __name__ == "__main__":
    main()
