"""Trained policies: loading them from run folders, and quoting with them.

The network is built from `run.json`, and the weights are read as plain tensors. Nothing is
unpickled.
"""

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mm_gym import OBSERVATION_NAMES, MarketConfig
from mm_gym.actions import action_space
from mm_gym.observations import observation_space

from ..base import AgentError
from ..invocation import command_name
from .history_features import HISTORY_NAMES, HistoryAgent, history_space
from .hyperparameters import ACTIVATIONS
from .network import MLPAgent, load_layers
from .run_folder import POLICY_FILE, RUN_FILE, Run, read_run

if TYPE_CHECKING:
    import torch
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy

# Actions and observations are scaled by these fields, so a policy needs markets of equal values.
_UNITS = ("max_offset", "max_inventory")


class PPOAgent:
    """Quotes with a model or policy of stable-baselines3, such as PPO or SAC."""

    def __init__(self, model: "BaseAlgorithm | BasePolicy") -> None:
        self._model = model

    def predict(
        self,
        observation: npt.NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """Actions for a batch of observations.

        Args:
            observation: shape (n, columns).
            state: of the LSTM, if the policy has one. None at the start.
            episode_start: whether a session starts, which resets the LSTM, shape (n,).
            deterministic: whether to return the mean action. False draws from the policy with
                torch's global generator.

        Returns:
            Actions in [-1, 1], shape (n, 2), and the state for the next call.
        """
        actions, state = self._model.predict(observation, state, episode_start, deterministic)
        return actions, state


def quoting_agent(policy: "BaseAlgorithm | BasePolicy | MLPAgent", run: Run) -> Any:
    """The agent of a trained policy, with history features if it was trained on them."""
    agent = policy if isinstance(policy, MLPAgent) else PPOAgent(policy)
    return HistoryAgent(agent) if run.has_history else agent


def load(folder: Path, config: MarketConfig) -> Any:
    """The agent of a run folder, for markets of this configuration. Nothing is unpickled.

    Raises:
        AgentError: if the folder cannot be read, or the policy was trained in markets of other
            units.
    """
    run = read_run(folder)
    check_fits(folder, run, config)
    policy = (
        load_layers(folder, *layers_of(run)) if run.engine == "rllib" else load_policy(folder, run)
    )
    return quoting_agent(policy, run)


def layers_of(run: Run) -> tuple[list[int], str]:
    """Widths of the policy's layers, from the observation to the action, and its activation.

    They are those of a policy that RLlib trains.
    """
    widths = run.policy_kwargs.get("net_arch", [64, 64])
    hidden = widths["pi"] if isinstance(widths, dict) else widths
    return [len(run.observation), *hidden, 2], run.policy_kwargs.get("activation_fn", "tanh")


def check_fits(folder: Path, run: Run, config: MarketConfig) -> None:
    """Check that the observations and actions of the run fit markets of this configuration.

    Raises:
        AgentError: if the run was trained on other observations or in other units.
    """
    if run.observation not in (OBSERVATION_NAMES, HISTORY_NAMES):
        raise AgentError(
            f"{folder} was trained on other observations: expected the {len(OBSERVATION_NAMES)} "
            f"columns {', '.join(OBSERVATION_NAMES)}, got {len(run.observation)} columns "
            f"(train again, or use mm_gym {run.versions.get('mm-gym', 'of an unknown version')})"
        )
    for name in _UNITS:
        trained, wanted = getattr(run.config, name), getattr(config, name)
        if trained != wanted:
            raise AgentError(
                f"{folder} was trained in markets of other units: expected {name}={trained:g}, "
                f"got {wanted:g} (write {name}={trained:g})"
            )


# --------------------------------------------------------------------------- weights of the policy


def policy_kwargs(run: Run) -> dict[str, Any]:
    """The arguments of the network, as policies of stable-baselines3 take them."""
    from torch import nn

    kwargs = dict(run.policy_kwargs)
    if "activation_fn" in kwargs:
        kwargs["activation_fn"] = getattr(nn, ACTIVATIONS[kwargs["activation_fn"]])
    return kwargs


def new_policy(run: Run) -> "BasePolicy":
    """An untrained policy of stable-baselines3 with the network of the run."""
    space = history_space() if run.has_history else observation_space()
    policy: BasePolicy = _acting(
        _policy_class(run.algorithm)(
            space, action_space("offsets"), lambda _: 0.0, **policy_kwargs(run)
        )
    )
    policy.set_training_mode(False)
    return policy


def policy_content(policy: "BasePolicy") -> bytes:
    """The content of a `policy.pth` with the weights of this policy."""
    import torch

    content = BytesIO()
    torch.save(_acting(policy).state_dict(), content)
    return content.getvalue()


def _acting(policy: Any) -> Any:
    """The part of a policy that quotes: SAC's actor, without its four large critics."""
    from stable_baselines3.sac.policies import SACPolicy

    return policy.actor if isinstance(policy, SACPolicy) else policy


def load_policy(folder: Path, run: Run) -> "BasePolicy":
    """The policy of a run folder that stable-baselines3 trained.

    Raises:
        AgentError: if there is no such policy, or its weights do not fit the network of the run.
    """
    import torch

    if run.engine != "sb3":
        raise AgentError(
            f"{folder} has another engine: expected a run of stable-baselines3, got {run.engine}"
        )
    path = folder / POLICY_FILE
    if not path.is_file():
        raise AgentError(
            f"{folder} holds no policy: expected {POLICY_FILE} in it, got none "
            f"(write a run folder in which {command_name('train')} has saved a checkpoint)"
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # torch warns of foreign pickles
            weights = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file may raise nearly any exception. A pickle with code in it raises here.
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise AgentError(
            f"{path} is damaged or no file of weights: expected tensors, "
            f"got {type(error).__name__} ({first}) "
            "(train again, or restore the folder from a backup)"
        ) from error
    policy = new_policy(run)
    _check_weights(path, weights, policy.state_dict())
    policy.load_state_dict(weights, strict=True)
    return policy


def _check_weights(path: Path, weights: object, wanted: dict[str, "torch.Tensor"]) -> None:
    """Check that these are the tensors of the network, and that they are finite."""
    import torch

    def refuse(expected: str, got: str) -> AgentError:
        return AgentError(
            f"{path} does not fit the {RUN_FILE} in its folder: expected {expected}, got {got} "
            "(train again, or use another run folder)"
        )

    if not isinstance(weights, dict):
        raise refuse("tensors by name", f"a {type(weights).__name__}")
    for name in wanted:
        if name not in weights:
            raise refuse(f"a tensor {name!r}", "none")
    for name, value in weights.items():
        if name not in wanted:
            raise refuse(f"no tensor {name!r}", "one")
        if not isinstance(value, torch.Tensor):
            raise refuse(f"a tensor {name!r}", f"a {type(value).__name__}")
        dtype, shape = wanted[name].dtype, tuple(wanted[name].shape)
        is_plain = value.layout == torch.strided and value.device.type == "cpu"
        if value.dtype != dtype or not is_plain:
            raise refuse(
                f"a dense {dtype} on the CPU as {name!r}",
                f"{value.dtype}, {value.layout}, on {value.device.type}",
            )
        if value.shape != shape:
            raise refuse(f"{name!r} of shape {shape}", f"{tuple(value.shape)}")
        if not bool(torch.isfinite(value).all()):
            raise refuse(f"finite numbers in {name!r}", "NaN or infinity")


def _policy_class(algorithm: str) -> Any:
    if algorithm == "recurrent_ppo":
        from sb3_contrib.ppo_recurrent.policies import MlpLstmPolicy

        return MlpLstmPolicy
    if algorithm == "sac":
        from stable_baselines3.sac import MlpPolicy as SACMlpPolicy

        return SACMlpPolicy
    from stable_baselines3.ppo import MlpPolicy

    return MlpPolicy
