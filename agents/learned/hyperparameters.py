"""Reading and checking hyperparameters: YAML files in the format of rl_zoo3.

The files of this project are in `agents/training/hyperparameters`. The part `MarketMaking-v0` is
the one that rl_zoo3 reads with `--conf-file`. It holds arguments of the algorithm, the number of
markets and the budget. A file for one market also has fields of `MarketConfig` in `env_kwargs`.

`policy_kwargs` may be a string such as `dict(net_arch=[64, 64], activation_fn=nn.SiLU)`. rl_zoo3
evaluates it. Here it is parsed and never evaluated. A mapping with `activation_fn: silu` is
equivalent.

The other parts are optional, and rl_zoo3 ignores them:

* `informed_ramp`: share of the budget over which `p_informed` rises from 0 to its value, as in
  `MarketMakingVecEnv`;
* `critic_warm_up`: share of the budget at whose start only the critic learns;
* `critic_learning_rate`: of the critic, by default that of the actor;
* `history_features: true`: append history features (`agents.learned.history_features`).
"""

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mm_gym.config import FIELD_NAMES
from mm_gym.errors import SentenceError, nearest

FOLDER = Path(__file__).parents[1] / "training" / "hyperparameters"
ALGORITHM_PART = "MarketMaking-v0"

ACTIVATIONS = {"silu": "SiLU", "tanh": "Tanh", "relu": "ReLU"}
"""Allowed activation functions, and their names in `torch.nn`."""

POLICIES = {"ppo": "MlpPolicy", "recurrent_ppo": "MlpLstmPolicy"}
"""Algorithms, and the policy class that each of them trains."""

MOST_LAYERS, MOST_UNITS = 8, 1024
"""Limits of a network. They keep the run folder of a stranger from exhausting the memory."""

_FAR = 1e9


class HyperparameterError(SentenceError):
    """Hyperparameters that cannot be used."""


def hyperparameters_name(algorithm: str, *markets: str | None) -> str:
    """The name of the file for an algorithm in a market.

    Args:
        algorithm: one of `POLICIES`.
        *markets: names of the market, such as its task and its regime. The first that has a file of
            its own counts. Without one, the file is that of the algorithm.
    """
    for market in markets:
        own = f"{algorithm}-{market}"
        if (FOLDER / f"{own}.yml").is_file():
            return own
    return algorithm


def read_hyperparameters(name: str) -> dict[str, Any]:
    """Read and check a hyperparameters file.

    Args:
        name: of a file in `FOLDER`, without its suffix, or a path.

    Returns:
        The parts by name, with `policy_kwargs` as a mapping.

    Raises:
        HyperparameterError: if the file cannot be read or is not of this format.
    """
    path = FOLDER / f"{name}.yml"
    if not path.is_file():
        path = Path(name)
    try:
        hyperparameters = yaml.safe_load(path.read_text())
    except OSError as error:
        known = [file.stem for file in FOLDER.glob("*.yml")]
        raise HyperparameterError(
            f"hyperparameters {name!r} cannot be read: expected the name of a file in {FOLDER.name}"
            f" or a path, got {error.strerror} ({nearest(name, known)})"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HyperparameterError(
            f"{path} cannot be read: expected YAML, got {' '.join(str(error).split())} "
            f"(write it like {FOLDER.name}/ppo.yml)"
        ) from error
    try:
        if isinstance(hyperparameters, dict) and isinstance(
            learning := hyperparameters.get(ALGORITHM_PART), dict
        ):
            kwargs = learning.get("policy_kwargs")
            if isinstance(kwargs, str):
                learning["policy_kwargs"] = _parsed(kwargs)
        check_hyperparameters(hyperparameters)
    except HyperparameterError as error:
        raise HyperparameterError(
            f"{path}: {error} (write it like {FOLDER.name}/ppo.yml)"
        ) from error
    return dict(hyperparameters)


def check_hyperparameters(hyperparameters: object) -> None:
    """Check names, types and ranges of hyperparameters.

    Raises:
        HyperparameterError: if one is wrong.
    """
    parts = _check_names(hyperparameters, _PARTS, "the hyperparameters", needed=(ALGORITHM_PART,))
    for name, value in parts.items():
        _PARTS[name](value, name)


def parse_fields(texts: Iterable[str]) -> dict[str, Any]:
    """Parse texts such as `["latency=0.5", "makers=none"]` into keywords of `configure`.

    `configure` checks the names and values.

    Raises:
        HyperparameterError: if a text is not of the form name=value, or a name comes twice.
    """
    fields: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise HyperparameterError(
                f"field {text!r} cannot be read: expected name=value, got {text!r} "
                "(write for example latency=0.5)"
            )
        if name.strip() in fields:
            raise HyperparameterError(
                f"field {name.strip()!r} is set twice: expected one value, got {text!r} "
                f"after {name.strip()}={fields[name.strip()]}"
            )
        fields[name.strip()] = _plain(value.strip())
    return fields


def is_number(value: object, low: float, high: float, whole: bool = False) -> bool:
    """Whether the value is a number in the range. Booleans are not numbers.

    Args:
        value: to check.
        low: lowest allowed value.
        high: highest allowed value.
        whole: whether only whole numbers are allowed.
    """
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return low <= value <= high  # NaN is in no range


def _check_names(
    value: object, known: Mapping[str, object], what: str, needed: Iterable[str] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise HyperparameterError(f"{what} cannot be used: expected a mapping, got {shown(value)}")
    for name in value:
        if name not in known:
            hint = nearest(str(name), known)
            raise HyperparameterError(
                f"unknown name in {what}: expected one of {', '.join(known)}, got {name!r} ({hint})"
            )
    missing = [name for name in needed if name not in value]
    if missing:
        raise HyperparameterError(
            f"{what} is incomplete: expected {', '.join(missing)}, got {shown(value)}"
        )
    return value


def _number(value: object, name: str, low: float, high: float, whole: bool = False) -> None:
    if not is_number(value, low, high, whole):
        kind = "a whole number" if whole else "a number"
        raise HyperparameterError(
            f"{name} cannot be used: expected {kind} from {low:g} to {high:g}, got {shown(value)}"
        )


def _number_or_none(value: object, name: str, low: float, high: float) -> None:
    if value is not None:
        _number(value, name, low, high)


def _rate(value: object, name: str) -> None:
    """A number, or a linear schedule such as `lin_0.001` in the notation of rl_zoo3."""
    try:
        number = (
            float(value.removeprefix("lin_"))
            if isinstance(value, str) and value.startswith("lin_")
            else value
        )
    except ValueError:
        number = None
    if not is_number(number, 0.0, 1.0):
        raise HyperparameterError(
            f"{name} cannot be used: expected a number from 0 to 1, or for example lin_0.001, "
            f"got {shown(value)}"
        )


def _switch(value: object, name: str) -> None:
    if not isinstance(value, bool):
        raise HyperparameterError(
            f"{name} cannot be used: expected true or false, got {shown(value)}"
        )


def _choice(value: object, name: str, choices: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise HyperparameterError(
            f"{name} cannot be used: expected one of {', '.join(choices)}, got {shown(value)}"
        )


def _layers(value: object, name: str) -> None:
    if not (
        isinstance(value, list)
        and len(value) <= MOST_LAYERS
        and all(is_number(width, 1, MOST_UNITS, whole=True) for width in value)
    ):
        raise HyperparameterError(
            f"{name} cannot be used: expected a list of at most {MOST_LAYERS} whole numbers "
            f"from 1 to {MOST_UNITS}, got {shown(value)}"
        )


def _net_arch(value: object, name: str) -> None:
    if isinstance(value, dict):
        for part, layers in _check_names(
            value, {"pi": 0, "vf": 0}, name, needed=("pi", "vf")
        ).items():
            _layers(layers, f"{name}.{part}")
    else:
        _layers(value, name)


def _mapping(
    value: object, name: str, known: Mapping[str, Callable[[object, str], None]], *needed: str
) -> None:
    for entry, content in _check_names(value, known, name, needed).items():
        known[entry](content, entry)


def _market_fields(value: object, name: str) -> None:
    """Check the names only. `MarketConfig` checks the values."""
    _check_names(value, dict.fromkeys(FIELD_NAMES), name)


_COUNT = partial(_number, low=1, high=_FAR, whole=True)
_SHARE = partial(_number, low=0.0, high=1.0)
_WEIGHT = partial(_number, low=0.0, high=_FAR)

_NETWORK: dict[str, Callable[[object, str], None]] = {
    "net_arch": _net_arch,
    "activation_fn": partial(_choice, choices=ACTIVATIONS),
    "log_std_init": partial(_number, low=-20.0, high=3.0),
    "ortho_init": _switch,
    "lstm_hidden_size": partial(_number, low=1, high=MOST_UNITS, whole=True),
    "n_lstm_layers": partial(_number, low=1, high=MOST_LAYERS, whole=True),
}
_LEARNING: dict[str, Callable[[object, str], None]] = {
    "env_kwargs": _market_fields,
    "policy": partial(_choice, choices=tuple(POLICIES.values())),
    "n_envs": _COUNT,
    "n_timesteps": partial(_number, low=1, high=1e15, whole=True),
    "n_steps": _COUNT,
    "batch_size": _COUNT,
    "n_epochs": _COUNT,
    "learning_rate": _rate,
    "gamma": _SHARE,
    "gae_lambda": _SHARE,
    "clip_range": _rate,
    "normalize_advantage": _switch,
    "ent_coef": _WEIGHT,
    "vf_coef": _WEIGHT,
    "max_grad_norm": _WEIGHT,
    "target_kl": partial(_number_or_none, low=0.0, high=_FAR),
    "policy_kwargs": partial(_mapping, known=_NETWORK),
}
_PARTS: dict[str, Callable[[object, str], None]] = {
    ALGORITHM_PART: lambda value, name: _mapping(
        value, name, _LEARNING, "policy", "n_envs", "n_timesteps", "n_steps", "batch_size"
    ),
    "informed_ramp": _SHARE,
    "critic_warm_up": _SHARE,
    "critic_learning_rate": _rate,
    "history_features": _switch,
}


def _parsed(text: str) -> Any:
    """Parse `dict(net_arch=[64, 64], activation_fn=nn.SiLU)` into a mapping.

    Activations get their names in `ACTIVATIONS`.
    """

    def value(node: ast.expr) -> Any:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "dict"
            and not node.args
        ):
            return {str(keyword.arg): value(keyword.value) for keyword in node.keywords}
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "nn"
        ):
            return next(
                (name for name, known in ACTIVATIONS.items() if known == node.attr),
                f"nn.{node.attr}",
            )
        return ast.literal_eval(node)

    try:
        return value(ast.parse(text.strip(), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise HyperparameterError(
            "policy_kwargs cannot be read: expected for example "
            f"dict(net_arch=[64, 64], activation_fn=nn.SiLU), got {shown(text)}"
        ) from error


def shown(value: object) -> str:
    """The value as text, shortened for a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _plain(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return math.inf if text == "inf" else text
