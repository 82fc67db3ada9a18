"""What PPO of stable-baselines3 learns with its default hyperparameters.

python -m benchmarks.sb3_defaults
python -m benchmarks.sb3_defaults --regime informed --p-informed 0.4 --variance-reduction --seed 1

Each line has the decisions, the mean objective per session [ticks x lots] with its standard error,
and the fills per session. The sessions are not used in training. The control variate estimates the
objective.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import tyro
from stable_baselines3 import PPO

from mm_gym.sb3 import MarketMakingVecEnv

EVALUATION_SEED = 987654


@dataclass(frozen=True)
class Arguments:
    """Train PPO with its default hyperparameters, and evaluate it on the way."""

    regime: str = "noise"
    """Order-flow regime."""
    p_informed: float | None = None
    """Share of informed takers. Default: the regime's own."""
    variance_reduction: bool = False
    """Train with variance-reduced rewards."""
    seed: int = 0
    """Training seed."""
    n_envs: int = 8
    """Number of parallel markets."""
    decisions: tuple[int, ...] = (100_000, 300_000, 1_000_000)
    """Decisions after which to evaluate, ascending. Each is rounded up to whole rollouts."""
    sessions: int = 2048
    """Sessions of an evaluation."""


def main(arguments: Arguments) -> None:
    """Train and print."""
    torch.set_num_threads(1)
    market = {"regime": arguments.regime}
    if arguments.p_informed is not None:
        market["p_informed"] = arguments.p_informed
    markets = MarketMakingVecEnv(
        arguments.n_envs, variance_reduction=arguments.variance_reduction, **market
    )
    model = PPO("MlpPolicy", markets, seed=arguments.seed, device="cpu")
    trained = 0
    for decisions in arguments.decisions:
        model.learn(decisions - trained, reset_num_timesteps=trained == 0)
        trained = decisions
        objective, error, fills = evaluate(model, arguments.sessions, market)
        print(f"{decisions:>9,}  {objective:8.1f} +/- {error:.1f}  {fills:.0f} fills", flush=True)


def evaluate(model: PPO, sessions: int, market: dict) -> tuple[float, float, float]:
    """Mean objective, its standard error, and mean fills of the deterministic policy."""
    markets = MarketMakingVecEnv(sessions, variance_reduction=True, **market)
    markets.seed(EVALUATION_SEED)
    observations = markets.reset()
    for _ in range(markets.get_attr("config")[0].session_steps):
        actions, _ = model.predict(observations, deterministic=True)
        observations, _, _, infos = markets.step(actions)
    scale = markets.get_attr("config")[0].reward_scale
    objectives = np.array([info["episode"]["r"] for info in infos]) / scale
    fills = np.mean([info["episode"]["fills"] for info in infos])
    return objectives.mean(), objectives.std(ddof=1) / math.sqrt(sessions), float(fills)


if __name__ == "__main__":
    main(tyro.cli(Arguments, prog="python -m benchmarks.sb3_defaults"))
