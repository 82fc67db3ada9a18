"""A maker whose policy is a small network, computed with NumPy alone: what RLlib has trained, without Ray.

The file holds arrays and no program: `weight_0`, `bias_0`, `weight_1`, ... of the layers, and `log_std`.
"""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.base import AgentError

POLICY_FILE = "policy.npz"

_Array = npt.NDArray[np.float32]


class MLPAgent:
    """Quotes the mean action of a Gaussian policy: layers with tanh between them, and a linear last one.

    Args:
        layers: weights of shape (out, in) and biases of shape (out,), as torch has them.
        log_std: of the policy's Gaussian, shape (2,).
    """

    name = "mlp"

    def __init__(self, layers: list[tuple[_Array, _Array]], log_std: _Array) -> None:
        self._layers = layers
        self._std = np.exp(log_std)
        self._generator = np.random.default_rng(0)

    def predict(
        self,
        observation: npt.NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]:
        """Actions of shape (n, 2) in [-1, 1] for observations of shape (n, columns), and the state, which it has not.

        Args:
            deterministic: the mean action; False draws from the policy.
        """
        layer = observation
        for weight, bias in self._layers[:-1]:
            layer = np.tanh(layer @ weight.T + bias)
        weight, bias = self._layers[-1]
        actions = layer @ weight.T + bias
        if not deterministic:
            actions = actions + self._std * self._generator.standard_normal(actions.shape, np.float32)
        return np.clip(actions, -1.0, 1.0), state


def policy_bytes(layers: list[tuple[_Array, _Array]], log_std: _Array) -> bytes:
    """The content of a policy file."""
    arrays = {"log_std": log_std}
    for number, (weight, bias) in enumerate(layers):
        arrays |= {f"weight_{number}": weight, f"bias_{number}": bias}
    content = BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # its stubs take the names for `allow_pickle`
    return content.getvalue()


def load_policy(folder: Path) -> MLPAgent:
    """The maker in the folder.

    Raises:
        AgentError: if there is none, or its file is damaged.
    """
    path = folder / POLICY_FILE
    if not path.is_file():
        raise AgentError(
            f"{folder} holds no {POLICY_FILE}; write a run folder in which train.py has saved a checkpoint"
        )
    try:
        with np.load(path) as arrays:  # pickles in it are refused
            count = sum(name.startswith("weight_") for name in arrays)
            layers = [(arrays[f"weight_{number}"], arrays[f"bias_{number}"]) for number in range(count)]
            log_std = arrays["log_std"]
        wide = [weight.shape for weight, _ in layers]
        if [out for out, _ in wide[:-1]] != [into for _, into in wide[1:]] or wide[-1][0] != len(log_std):
            raise ValueError(f"the layers, of shapes {wide}, do not fit together")
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise AgentError(
            f"{path} is damaged ({type(error).__name__}: {error}); train again, or take the folder from a backup"
        ) from error
    return MLPAgent(layers, log_std)
