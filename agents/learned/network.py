"""A maker whose policy is a small network, computed with NumPy alone: what RLlib has trained,
without Ray.

The file is read without unpickling. It holds arrays and no program: `weight_0`, `bias_0`,
`weight_1`, ... of the layers, and `log_std`.
"""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base import AgentError

POLICY_FILE = "policy.npz"

_Array = npt.NDArray[np.float32]


def _silu(x: _Array) -> _Array:
    half = np.float32(0.5)
    result: _Array = (
        half * x * (np.float32(1.0) + np.tanh(half * x))
    )  # x times the logistic function, without overflow
    return result


_ACTIVATIONS: dict[str, Callable[[_Array], _Array]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, np.float32(0.0)),
    "silu": _silu,
}


class MLPAgent:
    """Quotes the mean action of a Gaussian policy: layers with an activation between them, and a
    linear last one.

    Args:
        layers: weights of shape (out, in) and biases of shape (out,), as torch has them.
        log_std: of the policy's Gaussian, shape (2,).
        activation: `tanh`, `relu` or `silu`.
    """

    name = "mlp"

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
        """Actions of shape (n, 2) in [-1, 1] for observations of shape (n, columns), and the state,
        which it has not.

        Args:
            deterministic: the mean action; False draws from the policy.
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
    """The content of a policy file."""
    arrays = {"log_std": log_std}
    for number, (weight, bias) in enumerate(layers):
        arrays |= {f"weight_{number}": weight, f"bias_{number}": bias}
    content = BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # its stubs take the names for `allow_pickle`
    return content.getvalue()


def load_layers(folder: Path, widths: list[int], activation: str = "tanh") -> MLPAgent:
    """The maker in the folder.

    Args:
        folder: of the run.
        widths: of the layers, from the observation to the action.
        activation: `tanh`, `relu` or `silu`.

    Raises:
        AgentError: if there is none, its file is damaged, or its layers are not of these widths or
            not finite.
    """
    path = folder / POLICY_FILE
    if not path.is_file():
        raise AgentError(
            f"{folder} holds no {POLICY_FILE}; write a run folder in which train.py has saved a checkpoint"
        )
    wanted: dict[str, tuple[int, ...]] = {"log_std": (widths[-1],)}
    for number, (into, out) in enumerate(pairwise(widths)):
        wanted |= {f"weight_{number}": (out, into), f"bias_{number}": (out,)}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if sorted(arrays.files) != sorted(wanted):
                raise ValueError(
                    f"expected {', '.join(sorted(wanted))}, got {len(arrays.files)} arrays of other names"
                )
            found = {name: arrays[name] for name in wanted}
        for name, array in found.items():
            if array.shape != wanted[name] or array.dtype.kind != "f":
                raise ValueError(
                    f"{name}: expected numbers of shape {wanted[name]}, got {array.dtype} of {array.shape}"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    except Exception as error:  # a damaged zip may raise nearly anything
        raise AgentError(
            f"{path} is damaged ({type(error).__name__}: {error}); train again, or take the folder from a backup"
        ) from error
    arrays = {name: array.astype(np.float32) for name, array in found.items()}
    layers = [
        (arrays[f"weight_{number}"], arrays[f"bias_{number}"]) for number in range(len(widths) - 1)
    ]
    return MLPAgent(layers, arrays["log_std"], activation)
