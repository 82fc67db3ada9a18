"""Hyperparameters as data: the files in `agents/training/hyperparameters`, in the form that rl_zoo3
reads.

The part `MarketMaking-v0` is what rl_zoo3 takes as `--conf-file`: arguments of the algorithm, with
the number of markets, the budget and, where the file is for one market, its fields in `env_kwargs`.
rl_zoo3 evaluates `policy_kwargs` where it is a string, such as `dict(net_arch=[64, 64],
activation_fn=nn.SiLU)`. Here such a string is parsed and never evaluated; a mapping with
`activation_fn: silu` says the same. The other parts are options, which rl_zoo3 passes over:

* `markets`: `unwinding_time`, as of `MarketMakingVecEnv`;
* `history_features: true`: statistics of the episode beside each observation
  (`agents.learned.history_features`);
* `exploration`: arguments of `agents.training.callbacks.Exploration`.
"""

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mm_gym.config import FIELD_NAMES, nearest

FOLDER = Path(__file__).parents[1] / "training" / "hyperparameters"
ALGORITHM_PART = "MarketMaking-v0"

ACTIVATIONS = {"silu": "SiLU", "tanh": "Tanh", "relu": "ReLU"}
"""Activation functions a network may have, and their names in `torch.nn`."""

POLICIES = {"ppo": "MlpPolicy", "recurrent_ppo": "MlpLstmPolicy"}
"""Algorithms, and the policy that each trains."""

MOST_LAYERS, MOST_UNITS = 8, 1024
"""Of a network: run folders come from strangers, and memory is finite."""

_FAR = 1e9


class HyperparameterError(ValueError):
    """Hyperparameters that cannot be used: the message says what is wrong, what was expected and what
    came."""


def hyperparameters_name(algorithm: str, regime: str) -> str:
    """The file for an algorithm in a regime, if there is one of its own, else the algorithm's."""
    own = f"{algorithm}-{regime}"
    return own if (FOLDER / f"{own}.yml").is_file() else algorithm


def read_hyperparameters(name: str) -> dict[str, Any]:
    """The parts of a hyperparameters file, checked; `policy_kwargs` as a mapping.

    Args:
        name: of a file in `FOLDER`, without its ending, or the path of another.

    Raises:
        HyperparameterError: if there is none, or it is not of this form.
    """
    path = FOLDER / f"{name}.yml"
    if not path.is_file():
        path = Path(name)
    try:
        hyperparameters = yaml.safe_load(path.read_text())
    except OSError as error:
        known = [file.stem for file in FOLDER.glob("*.yml")]
        raise HyperparameterError(
            f"hyperparameters {name!r} are no file in {FOLDER.name} and no path that can be read ({error.strerror}); "
            f"{nearest(name, known)}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HyperparameterError(
            f"{path} is no YAML ({error}); write it as {FOLDER.name}/ppo.yml is"
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
            f"{path}: {error}; write it as {FOLDER.name}/ppo.yml is"
        ) from error
    return dict(hyperparameters)


def check_hyperparameters(hyperparameters: object) -> None:
    """Make sure that hyperparameters are of this form: names, types and ranges.

    Raises:
        HyperparameterError: if they are not.
    """
    parts = _check_names(hyperparameters, _PARTS, "the hyperparameters", needed=(ALGORITHM_PART,))
    for name, value in parts.items():
        _PARTS[name](value, name)


def parse_fields(hyperparameters: Iterable[str]) -> dict[str, Any]:
    """`["latency=0.5", "makers=none"]` as keywords of `configure`, which checks names and values.

    Raises:
        HyperparameterError: for what is no name=value.
    """
    fields = {}
    for setting in hyperparameters:
        name, equals, value = setting.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise HyperparameterError(
                f"{setting!r} came, a field and its value were wanted; write for example latency=0.5"
            )
        fields[name.strip()] = _plain(value.strip())
    return fields


def is_number(value: object, low: float, high: float, whole: bool = False) -> bool:
    """Whether this is a number in the range, and a whole one where that is asked; True and False
    are none."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return low <= value <= high  # NaN is in no range


def _check_names(
    value: object, known: Mapping[str, object], what: str, needed: Iterable[str] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise HyperparameterError(f"{what} cannot be used: expected a mapping, got {_shown(value)}")
    for name in value:
        if name not in known:
            hint = nearest(str(name), known)
            raise HyperparameterError(
                f"unknown name in {what}: expected one of {', '.join(known)}, got {name!r}; {hint}"
            )
    missing = [name for name in needed if name not in value]
    if missing:
        raise HyperparameterError(
            f"{what} does not say enough: expected {', '.join(missing)}, got {_shown(value)}"
        )
    return value


def _number(value: object, name: str, low: float, high: float, whole: bool = False) -> None:
    if not is_number(value, low, high, whole):
        kind = "a whole number" if whole else "a number"
        raise HyperparameterError(
            f"{name} cannot be used: expected {kind} from {low:g} to {high:g}, got {_shown(value)}"
        )


def _number_or_none(value: object, name: str, low: float, high: float) -> None:
    if value is not None:
        _number(value, name, low, high)


def _rate(value: object, name: str) -> None:
    """A number, or what rl_zoo3 writes as `lin_0.001`."""
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
            f"{name} cannot be used: expected a number from 0 to 1, or for example lin_0.001, got {_shown(value)}"
        )


def _switch(value: object, name: str) -> None:
    if not isinstance(value, bool):
        raise HyperparameterError(
            f"{name} cannot be used: expected true or false, got {_shown(value)}"
        )


def _choice(value: object, name: str, choices: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise HyperparameterError(
            f"{name} cannot be used: expected one of {', '.join(choices)}, got {_shown(value)}"
        )


def _layers(value: object, name: str) -> None:
    if not (
        isinstance(value, list)
        and len(value) <= MOST_LAYERS
        and all(is_number(width, 1, MOST_UNITS, whole=True) for width in value)
    ):
        raise HyperparameterError(
            f"{name} cannot be used: expected a list of at most {MOST_LAYERS} whole numbers from 1 to {MOST_UNITS}, "
            f"got {_shown(value)}"
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
    """The fields' values are checked where a configuration is made of them."""
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
    "markets": lambda value, name: _mapping(value, name, {"unwinding_time": _WEIGHT}),
    "history_features": _switch,
    "exploration": lambda value, name: _mapping(
        value,
        name,
        {"end": _NETWORK["log_std_init"], "constant": partial(_number, low=0.0, high=0.99)},
        "end",
        "constant",
    ),
}


def _parsed(text: str) -> Any:
    """`dict(net_arch=[64, 64], activation_fn=nn.SiLU)` as a mapping in which activations go by
    their plain names."""

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
            f"policy_kwargs cannot be read: expected for example dict(net_arch=[64, 64], activation_fn=nn.SiLU), "
            f"got {_shown(text)}"
        ) from error


def _shown(value: object) -> str:
    """What came, not too long for a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _plain(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return math.inf if text == "inf" else text
