"""A maker trained by PPO: what its run folder holds, and how it quotes.

A run folder is what `train.py` writes: `run.json`, which says what was trained on what, `model.zip`, the latest
weights, from which a training goes on, and `best.zip`, those that did best on held-out sessions, which quote. Where Ray
RLlib was the engine, `policy.npz` quotes.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agents.base import AgentError
from agents.memory import REMEMBERED_NAMES, RememberingAgent
from agents.mlp import MLPAgent, load_policy
from agents.patience import made_patient
from mm_gym import OBSERVATION_NAMES, MarketConfig
from mm_gym.config import nearest

if TYPE_CHECKING:
    import torch
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
    from stable_baselines3.common.policies import BasePolicy

RUN_FILE = "run.json"
MODEL_FILE = "model.zip"
BEST_FILE = "best.zip"

ALGORITHMS = ("ppo", "recurrent_ppo")
"""PPO of stable-baselines3, and of sb3-contrib with an LSTM, which remembers what it saw."""

# What an action or an observation means hangs on these: a policy does not carry over to other values.
_UNITS = ("max_offset", "max_inventory")


@dataclass(frozen=True)
class Run:
    """What `run.json` says of a training.

    Raises:
        ValueError: for a number out of range, or settings that do not suit the algorithm.
    """

    config: MarketConfig
    """Of the markets it trains on."""
    seed: int
    n_envs: int
    """Number of markets side by side."""
    timesteps: int
    """The budget, in decisions of all markets together."""
    algorithm: str = "ppo"
    """One of `ALGORITHMS`."""
    steps_done: int = 0
    """Decisions learned from, at the last checkpoint."""
    loads: str = MODEL_FILE
    """The file whose weights quote when the folder is an agent: the best on held-out sessions, once there are any."""
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of the weights in `best.zip`: the decisions they had learned from, and the held-out objective."""
    patience: float = 0.0
    """[ticks] How far a resting quote may be from where the policy would have it, before it is moved."""
    command: str = ""
    """What was typed to train it."""
    observation: tuple[str, ...] = ()
    """Columns that the policy sees, in order; by default those that go with the settings."""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of the learning algorithm, as `agents.settings` reads them."""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    """Of Python and the packages."""
    engine: str = "sb3"
    """What learned: sb3 or rllib."""
    figures: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What it earned in an evaluation, where `agents.publish` has made one."""

    def __post_init__(self) -> None:
        for name, lowest in (("seed", 0), ("n_envs", 1), ("timesteps", 1)):
            value = getattr(self, name)
            if value < lowest:
                raise ValueError(f"{name}={value} is out of range; write a whole number from {lowest} up")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm={self.algorithm!r} is not offered; {nearest(self.algorithm, ALGORITHMS)}")
        if not self.observation:
            names = REMEMBERED_NAMES if self.settings.get("memory") else OBSERVATION_NAMES
            object.__setattr__(self, "observation", names)
        if self.remembers and self.algorithm == "recurrent_ppo":
            raise ValueError("recurrent_ppo came with a memory of means; it has its own: leave `memory` out")
        if self.settings.get("imitation") and self.algorithm == "recurrent_ppo":
            raise ValueError("recurrent_ppo came with `imitation`, which is for ppo; leave it out of the settings")

    @property
    def remembers(self) -> bool:
        """Whether the policy sees what `agents.memory.remember` gives."""
        return self.observation == REMEMBERED_NAMES


def read_run(folder: Path) -> Run:
    """What the run folder says of itself.

    Raises:
        AgentError: if it is no run folder or its `run.json` cannot be read.
    """
    try:
        plain = json.loads((folder / RUN_FILE).read_text())
        plain["config"] = MarketConfig(**plain["config"])
        plain["observation"] = tuple(plain["observation"])
        return Run(**plain)
    except OSError as error:
        raise AgentError(
            f"{folder} is no run folder: {RUN_FILE} in it cannot be read ({error.strerror}); write a folder that "
            "train.py has written"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise AgentError(
            f"{folder / RUN_FILE} is damaged or of another version of mm_gym ({error}); write another run folder, or "
            "train again"
        ) from error


class PPOAgent:
    """The policy of a PPO model, or the model itself, as stable-baselines3's `predict` has it."""

    name = "ppo"

    def __init__(self, model: "OnPolicyAlgorithm | BasePolicy") -> None:
        self._model = model

    def predict(
        self,
        observation: npt.NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """Actions of shape (n, 2) in [-1, 1] for observations of shape (n, columns), and the state to hand back.

        Args:
            state: of the LSTM, where there is one; None at the start.
            episode_start: shape (n,), whether a session starts: the LSTM forgets.
            deterministic: the mean action; False draws from the policy, with torch's global generator.
        """
        actions, state = self._model.predict(observation, state, episode_start, deterministic)
        return actions, state


def quoting_agent(policy: "OnPolicyAlgorithm | BasePolicy | MLPAgent", run: Run) -> Any:
    """The maker that quotes by the policy that the run has trained, with its memory and its patience."""
    agent = policy if isinstance(policy, MLPAgent) else PPOAgent(policy)
    return made_patient(RememberingAgent(agent) if run.remembers else agent, run.config, run.patience)


def load(folder: Path, config: MarketConfig) -> Any:
    """The maker that was trained in this folder, to quote in markets of this configuration.

    Model files are pickles, and reading one can run any program: load only those you trust.

    Raises:
        AgentError: if the folder cannot be read, or the policy was trained in other units than these markets have.
    """
    run = read_run(folder)
    check_fits(folder, run, config)
    policy = load_policy(folder) if run.engine == "rllib" else load_model(folder, run.algorithm, run.loads)
    return quoting_agent(policy, run)


def check_fits(folder: Path, run: Run, config: MarketConfig) -> None:
    """Make sure that what the run in this folder has learned means the same in markets of this configuration.

    Raises:
        AgentError: if it was trained on other observations or in other units.
    """
    if run.observation not in (OBSERVATION_NAMES, REMEMBERED_NAMES):
        raise AgentError(
            f"{folder} was trained on {len(run.observation)} observations ({', '.join(run.observation)}), these "
            f"markets show {len(OBSERVATION_NAMES)} ({', '.join(OBSERVATION_NAMES)}); use the version of mm_gym that "
            f"trained it, {run.versions.get('mm-gym', 'unknown')}, or train again"
        )
    for name in _UNITS:
        trained, wanted = getattr(run.config, name), getattr(config, name)
        if trained != wanted:
            raise AgentError(
                f"{folder} was trained with {name}={trained:g}, these markets have {wanted:g}, and its actions and "
                f"observations are in shares of it; write {name}={trained:g}"
            )


def mean_action(policy: Any, observations: "torch.Tensor") -> "torch.Tensor":
    """The mean of the policy's Gaussian, before it is cut off at -1 and 1: shape (n, 2) for (n, columns)."""
    mean: torch.Tensor = policy.get_distribution(observations).distribution.mean
    return mean


def load_model(folder: Path, algorithm: str = "ppo", file: str = MODEL_FILE, **arguments: Any) -> "OnPolicyAlgorithm":
    """The model in the folder.

    Args:
        algorithm: one of `ALGORITHMS`.
        file: `model.zip` or `best.zip`.
        **arguments: to stable-baselines3's `load`, such as `env`.

    Raises:
        AgentError: if there is none, or it cannot be read.
    """
    path = folder / file
    if not path.is_file():
        raise AgentError(f"{folder} holds no {file}; write a run folder in which train.py has saved a checkpoint")
    try:
        return algorithm_class(algorithm).load(path, device="cpu", **arguments)
    except Exception as error:  # a damaged zip, pickle or state may raise nearly anything
        raise AgentError(
            f"{path} is damaged or of another version ({type(error).__name__}: {error}); train again, or take the "
            "folder from a backup"
        ) from error


def algorithm_class(algorithm: str) -> "type[OnPolicyAlgorithm]":
    """The class of one of `ALGORITHMS`; torch is loaded only for those who call this."""
    if algorithm == "recurrent_ppo":
        from sb3_contrib import RecurrentPPO

        return RecurrentPPO
    from stable_baselines3 import PPO

    return PPO
