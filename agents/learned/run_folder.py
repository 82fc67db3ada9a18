"""A maker trained by PPO: what its run folder holds, and how it quotes.

A run folder is data. `run.json` says what was trained on what, and every field of it is checked.
`policy.pth` holds the policy's weights (`policy.npz` where Ray RLlib was the engine). The network
is built from what `run.json` says and the weights are put into it: nothing is unpickled, so that
the folder of a stranger can be judged. `checkpoint.zip` is stable-baselines3's own file, a pickle,
which `train.py --resume` alone reads: resume only your own runs.
"""

import dataclasses
import json
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mm_gym import OBSERVATION_NAMES, MarketConfig
from mm_gym.actions import action_space
from mm_gym.config import nearest
from mm_gym.observations import observation_space

from ..base import AgentError
from .history_features import HISTORY_NAMES, HistoryAgent, history_space
from .hyperparameters import ACTIVATIONS, ALGORITHM_PART, POLICIES, check_hyperparameters, is_number
from .network import MLPAgent, load_layers

if TYPE_CHECKING:
    import torch
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
    from stable_baselines3.common.policies import ActorCriticPolicy

RUN_FILE = "run.json"
POLICY_FILE = "policy.pth"
CHECKPOINT_FILE = "checkpoint.zip"

ALGORITHMS = tuple(POLICIES)
"""PPO of stable-baselines3, and of sb3-contrib with an LSTM, which has a memory of its own."""
ENGINES = ("sb3", "rllib")

# What an action or an observation means hangs on these: a policy does not carry over to other
# values.
_UNITS = ("max_offset", "max_inventory")
_MOST = 10**15  # of counts
_LARGEST_RUN_FILE = 1_000_000  # [bytes]


@dataclass(frozen=True)
class Run:
    """What `run.json` says of a training.

    Raises:
        ValueError: for a field of a wrong type or out of range, or hyperparameters that do not suit the
            algorithm.
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
    command: str = ""
    """What was typed to train it."""
    observation: tuple[str, ...] = ()
    """Columns that the policy sees, in order; by default those that go with the hyperparameters."""
    hyperparameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of the learning algorithm, as `agents.learned.hyperparameters` reads them; where there are
    none, those of its class."""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    """Of Python and the packages."""
    engine: str = "sb3"
    """What learned: one of `ENGINES`."""
    figures: dict[str, float | None] = dataclasses.field(default_factory=dict)
    """What it earned in an evaluation, where `agents.tools.install` has made one."""

    def __post_init__(self) -> None:
        _expect(
            isinstance(self.config, MarketConfig), "config", "the fields of a market", self.config
        )
        for name, lowest in (("seed", 0), ("n_envs", 1), ("timesteps", 1), ("steps_done", 0)):
            value = getattr(self, name)
            _expect(
                is_number(value, lowest, _MOST, whole=True),
                name,
                f"a whole number from {lowest} up",
                value,
            )
        for name, choices in (("algorithm", ALGORITHMS), ("engine", ENGINES)):
            value = getattr(self, name)
            _expect(isinstance(value, str), name, f"one of {', '.join(choices)}", value)
            if value not in choices:
                raise ValueError(f"{name}={value!r} is not offered; {nearest(value, choices)}")
        _expect(isinstance(self.command, str), "command", "a text", self.command)
        _expect(
            _all_texts(self.observation, tuple), "observation", "names of columns", self.observation
        )
        _expect(
            isinstance(self.hyperparameters, dict),
            "hyperparameters",
            "a mapping",
            self.hyperparameters,
        )
        _expect(
            isinstance(self.versions, dict)
            and _all_texts([*self.versions, *self.versions.values()], list),
            "versions",
            "names and versions of packages",
            self.versions,
        )
        _expect(
            isinstance(self.figures, dict)
            and _all_texts([*self.figures], list)
            and all(
                value is None or is_number(value, -_MOST, _MOST) for value in self.figures.values()
            ),
            "figures",
            "numbers by name",
            self.figures,
        )
        if self.hyperparameters:
            check_hyperparameters(self.hyperparameters)
            self._check_together()
        if not self.observation:
            names = (
                HISTORY_NAMES if self.hyperparameters.get("history_features") else OBSERVATION_NAMES
            )
            object.__setattr__(self, "observation", names)

    def _check_together(self) -> None:
        policy = self.hyperparameters[ALGORITHM_PART]["policy"]
        if policy != POLICIES[self.algorithm]:
            raise ValueError(
                f"policy={policy} does not suit {self.algorithm}: expected {POLICIES[self.algorithm]}, got {policy}"
            )
        if self.algorithm == "recurrent_ppo":
            if self.hyperparameters.get("history_features"):
                raise ValueError(
                    "history_features is for ppo: expected hyperparameters of recurrent_ppo without it; leave it out"
                )
            return
        for name in ("lstm_hidden_size", "n_lstm_layers"):
            if name in self.policy_kwargs:
                raise ValueError(
                    f"{name} is for recurrent_ppo: expected hyperparameters of ppo without it; leave it out"
                )

    @property
    def has_history(self) -> bool:
        """Whether the policy sees history features (`agents.learned.history_features`)."""
        return self.observation == HISTORY_NAMES

    @property
    def policy_kwargs(self) -> dict[str, Any]:
        """What the hyperparameters say of the network."""
        kwargs: dict[str, Any] = self.hyperparameters.get(ALGORITHM_PART, {}).get(
            "policy_kwargs", {}
        )
        return kwargs


def _expect(good: bool, name: str, what: str, value: object) -> None:
    if not good:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise ValueError(f"{name}={shown} is out of range: expected {what}, got {shown}")


def _all_texts(values: object, kind: type) -> bool:
    return isinstance(values, kind) and all(isinstance(value, str) for value in values)  # type: ignore[attr-defined]


def read_run(folder: Path) -> Run:
    """What the run folder says of itself.

    Raises:
        AgentError: if it is no run folder or its `run.json` cannot be used.
    """
    path = folder / RUN_FILE
    try:
        size = path.stat().st_size
        text = path.read_text() if size <= _LARGEST_RUN_FILE else ""
    except OSError as error:
        raise AgentError(
            f"{folder} is no run folder: {RUN_FILE} in it cannot be read ({error.strerror}); write a folder that "
            "train.py has written"
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, str(error)) from error
    if size > _LARGEST_RUN_FILE:
        raise _damaged(path, f"expected at most {_LARGEST_RUN_FILE:,} bytes, got {size:,}")
    try:
        return _run_of(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> AgentError:
    return AgentError(
        f"{path} is damaged or of another version of mm_gym ({why}); write another run folder, or train again"
    )


def _run_of(plain: object) -> Run:
    if not isinstance(plain, dict):
        raise ValueError(f"expected a mapping of fields, got a {type(plain).__name__}")
    fields = {field.name: field for field in dataclasses.fields(Run)}
    for name in plain:
        if name not in fields:
            raise ValueError(f"unknown field {name!r}; {nearest(name, fields)}")
    for name, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in plain and not optional:
            raise ValueError(f"field {name!r} is missing")
    config, observation = plain["config"], plain.get("observation")
    if not isinstance(config, dict):
        raise ValueError(f"config: expected the fields of a market, got {config!r}")
    read = {**plain, "config": MarketConfig(**config)}
    if isinstance(observation, list):
        read["observation"] = tuple(observation)
    return Run(**read)


class PPOAgent:
    """The policy of a PPO model, or the model itself, as stable-baselines3's `predict` has it."""

    name = "ppo"

    def __init__(self, model: "OnPolicyAlgorithm | ActorCriticPolicy") -> None:
        self._model = model

    def predict(
        self,
        observation: npt.NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """Actions of shape (n, 2) in [-1, 1] for observations of shape (n, columns), and the state
        to hand back.

        Args:
            state: of the LSTM, where there is one; None at the start.
            episode_start: shape (n,), whether a session starts: the LSTM forgets.
            deterministic: the mean action; False draws from the policy, with torch's global
                generator.
        """
        actions, state = self._model.predict(observation, state, episode_start, deterministic)
        return actions, state


def quoting_agent(policy: "OnPolicyAlgorithm | ActorCriticPolicy | MLPAgent", run: Run) -> Any:
    """The maker that quotes by the policy that the run has trained, with history features if it was
    trained on them."""
    agent = policy if isinstance(policy, MLPAgent) else PPOAgent(policy)
    return HistoryAgent(agent) if run.has_history else agent


def load(folder: Path, config: MarketConfig) -> Any:
    """The maker that was trained in this folder, to quote in markets of this configuration. Nothing
    is unpickled.

    Raises:
        AgentError: if the folder cannot be read, or the policy was trained in other units than
            these markets have.
    """
    run = read_run(folder)
    check_fits(folder, run, config)
    policy = (
        load_layers(folder, *layers_of(run)) if run.engine == "rllib" else load_policy(folder, run)
    )
    return quoting_agent(policy, run)


def layers_of(run: Run) -> tuple[list[int], str]:
    """Widths of the policy's layers, from the observation to the action, and its activation: as
    RLlib trains it."""
    widths = run.policy_kwargs.get("net_arch", [64, 64])
    hidden = widths["pi"] if isinstance(widths, dict) else widths
    return [len(run.observation), *hidden, 2], run.policy_kwargs.get("activation_fn", "tanh")


def check_fits(folder: Path, run: Run, config: MarketConfig) -> None:
    """Make sure that what the run in this folder has learned means the same in markets of this
    configuration.

    Raises:
        AgentError: if it was trained on other observations or in other units.
    """
    if run.observation not in (OBSERVATION_NAMES, HISTORY_NAMES):
        raise AgentError(
            f"{folder} was trained on {len(run.observation)} observations, these markets show "
            f"{len(OBSERVATION_NAMES)} ({', '.join(OBSERVATION_NAMES)}); use the version of mm_gym that "
            f"trained it, {run.versions.get('mm-gym', 'unknown')!r}, or train again"
        )
    for name in _UNITS:
        trained, wanted = getattr(run.config, name), getattr(config, name)
        if trained != wanted:
            raise AgentError(
                f"{folder} was trained with {name}={trained:g}, these markets have {wanted:g}, and its actions and "
                f"observations are in shares of it; write {name}={trained:g}"
            )


def mean_action(policy: Any, observations: "torch.Tensor") -> "torch.Tensor":
    """The mean of the policy's Gaussian, before it is cut off at -1 and 1: shape (n, 2) for (n,
    columns)."""
    mean: torch.Tensor = policy.get_distribution(observations).distribution.mean
    return mean


# ----------------------------------------------------------------------------- the policy's weights


def policy_kwargs(run: Run) -> dict[str, Any]:
    """What the hyperparameters say of the network, as stable-baselines3's policies take it."""
    from torch import nn

    kwargs = dict(run.policy_kwargs)
    if "activation_fn" in kwargs:
        kwargs["activation_fn"] = getattr(nn, ACTIVATIONS[kwargs["activation_fn"]])
    return kwargs


def new_policy(run: Run) -> "ActorCriticPolicy":
    """An untrained policy of stable-baselines3's own class with the run's network."""
    space = history_space() if run.has_history else observation_space()
    policy: ActorCriticPolicy = _policy_class(run.algorithm)(
        space, action_space("offsets"), lambda _: 0.0, **policy_kwargs(run)
    )
    policy.set_training_mode(False)
    return policy


def policy_content(policy: "ActorCriticPolicy") -> bytes:
    """The content of a `policy.pth`."""
    import torch

    content = BytesIO()
    torch.save(policy.state_dict(), content)
    return content.getvalue()


def load_policy(folder: Path, run: Run) -> "ActorCriticPolicy":
    """The policy that the run in this folder has trained, by stable-baselines3.

    Raises:
        AgentError: if there is none, or its weights are not those of the run's network.
    """
    import torch

    if run.engine != "sb3":
        raise AgentError(
            f"{folder} was trained by {run.engine}: expected a run of stable-baselines3 here"
        )
    path = folder / POLICY_FILE
    if not path.is_file():
        raise AgentError(
            f"{folder} holds no {POLICY_FILE}; write a run folder in which train.py has saved a checkpoint"
        )
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # torch's, of pickles in another form than its own
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise nearly anything; a pickle with code in it is refused here
        first = (str(error).splitlines() or [""])[0]
        raise AgentError(
            f"{path} is damaged or no file of weights ({type(error).__name__}: {first}); train again, or take the "
            "folder from a backup"
        ) from error
    policy = new_policy(run)
    _check_weights(path, weights, policy.state_dict())
    policy.load_state_dict(weights, strict=True)
    return policy


def _check_weights(path: Path, weights: object, wanted: dict[str, "torch.Tensor"]) -> None:
    """Make sure that these are the tensors that the network needs, and finite."""
    import torch

    def refuse(what: str) -> AgentError:
        return AgentError(
            f"{path} does not fit {RUN_FILE} beside it: {what}; train again, or take another run folder"
        )

    if not isinstance(weights, dict):
        raise refuse(f"expected tensors by name, got a {type(weights).__name__}")
    for name in wanted:
        if name not in weights:
            raise refuse(f"expected a tensor {name!r}, got none")
    for name, value in weights.items():
        if name not in wanted:
            raise refuse(f"expected no tensor {name!r}, got one")
        if not isinstance(value, torch.Tensor):
            raise refuse(f"{name!r}: expected a tensor, got a {type(value).__name__}")
        if (
            value.dtype != wanted[name].dtype
            or value.layout != torch.strided
            or value.device.type != "cpu"
        ):
            raise refuse(
                f"{name!r}: expected numbers of type {wanted[name].dtype}, got {value.dtype}"
            )
        if value.shape != wanted[name].shape:
            raise refuse(
                f"{name!r}: expected shape {tuple(wanted[name].shape)}, got {tuple(value.shape)}"
            )
        if not bool(torch.isfinite(value).all()):
            raise refuse(f"{name!r}: expected finite numbers, got NaN or infinity")


def load_checkpoint(folder: Path, algorithm: str = "ppo", **arguments: Any) -> "OnPolicyAlgorithm":
    """The model from which a training goes on. This unpickles, and so can run any program: for
    one's own runs only.

    Args:
        folder: of the run.
        algorithm: one of `ALGORITHMS`.
        **arguments: to stable-baselines3's `load`, such as `env`.

    Raises:
        AgentError: if there is none, or it cannot be read.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise AgentError(
            f"{folder} cannot be resumed: expected a {CHECKPOINT_FILE} in it, got none (makers that are shipped have "
            "none); write a run folder of your own"
        )
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


def _policy_class(algorithm: str) -> Any:
    if algorithm == "recurrent_ppo":
        from sb3_contrib.ppo_recurrent.policies import MlpLstmPolicy

        return MlpLstmPolicy
    from stable_baselines3.ppo import MlpPolicy

    return MlpPolicy
