"""A policy network in NumPy: makers that RLlib trained quote with it, without Ray.

Its file holds the arrays `weight_0`, `bias_0`, `weight_1`, ... of the layers, and `log_std`. It is
read without unpickling.
"""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base import AgentError
from ..invocation import command_name

POLICY_FILE = "policy.npz"

_Array = npt.NDArray[np.float32]


def _silu(x: _Array) -> _Array:
    """x times the logistic function, without overflow."""
    half = np.float32(0.5)
    result: _Array = half * x * (np.float32(1.0) + np.tanh(half * x))
    return result


_ACTIVATIONS: dict[str, Callable[[_Array], _Array]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, np.float32(0.0)),
    "silu": _silu,
}


class MLPAgent:
    """Quotes the mean action of a Gaussian policy with a multilayer perceptron.

    Args:
        layers: weights of shape (out, in) and biases of shape (out,), as in torch.
        log_std: logarithm of the standard deviation of the Gaussian, shape (2,).
        activation: between the layers: `tanh`, `relu` or `silu`. The last layer is linear.
    """

    def __init__(
        self, layers: list[tuple[_Array, _Array]], log_std: _Array, activation: str = "tanh"
    ) -> None:
        self._layers = layers
        self._activation = _ACTIVATIONS[activation]
        self._std = np.exp(log_std)
        self._generator = np.random.default_rng(0)

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
            state: handed back unchanged, because the network has no state.
            episode_start: not used.
            deterministic: whether to return the mean action. False draws from the policy.

        Returns:
            Actions in [-1, 1], shape (n, 2), and the state.
        """
        layer = observation
        for weight, bias in self._layers[:-1]:
            layer = self._activation(layer @ weight.T + bias)
        weight, bias = self._layers[-1]
        actions = layer @ weight.T + bias
        if not deterministic:
            actions = actions + self._std * self._generator.standard_normal(
                actions.shape, np.float32
            )
        return np.clip(actions, -1.0, 1.0), state


def policy_bytes(layers: list[tuple[_Array, _Array]], log_std: _Array) -> bytes:
    """The content of a policy file with these layers."""
    arrays = {"log_std": log_std}
    for number, (weight, bias) in enumerate(layers):
        arrays |= {f"weight_{number}": weight, f"bias_{number}": bias}
    content = BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # its stubs take the names for `allow_pickle`
    return content.getvalue()


def load_layers(folder: Path, widths: list[int], activation: str = "tanh") -> MLPAgent:
    """Load the policy in a run folder.

    Args:
        folder: of the run.
        widths: of the layers, from the observation to the action.
        activation: `tanh`, `relu` or `silu`.

    Raises:
        AgentError: if there is no policy, its file is damaged, its layers have other widths, or a
            number is not finite.
    """
    path = folder / POLICY_FILE
    if not path.is_file():
        raise AgentError(
            f"{folder} holds no policy: expected {POLICY_FILE} in it, got none "
            f"(write a run folder in which {command_name('train')} has saved a checkpoint)"
        )
    wanted: dict[str, tuple[int, ...]] = {"log_std": (widths[-1],)}
    for number, (into, out) in enumerate(pairwise(widths)):
        wanted |= {f"weight_{number}": (out, into), f"bias_{number}": (out,)}
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except Exception as error:  # a damaged zip file may raise nearly any exception
        raise _damaged(path, "arrays", f"{type(error).__name__} ({error})") from error
    if sorted(found) != sorted(wanted):
        raise _damaged(path, ", ".join(sorted(wanted)), ", ".join(sorted(found)))
    for name, array in found.items():
        if array.shape != wanted[name] or array.dtype.kind != "f":
            numbers = f"numbers of shape {wanted[name]} as {name}"
            raise _damaged(path, numbers, f"{array.dtype} of {array.shape}")
        if not np.isfinite(array).all():
            raise _damaged(path, f"finite numbers in {name}", "NaN or infinity")
    arrays = {name: array.astype(np.float32) for name, array in found.items()}
    layers = [
        (arrays[f"weight_{number}"], arrays[f"bias_{number}"]) for number in range(len(widths) - 1)
    ]
    return MLPAgent(layers, arrays["log_std"], activation)


def _damaged(path: Path, expected: str, got: str) -> AgentError:
    return AgentError(
        f"{path} is damaged: expected {expected}, got {got} "
        "(train again, or restore the folder from a backup)"
    )
