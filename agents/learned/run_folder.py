"""The run folder of a training: its files, and the record in `run.json`.

A run folder holds data and no code:

* `run.json`: what was trained, in which market. Every field is checked when it is read.
* `policy.pth`: the weights of the policy (`policy.npz` if Ray RLlib trained it). Loading them
  (`agents.learned.policy`) unpickles nothing, so that it is safe to evaluate the folder of a
  stranger.
* `checkpoint.zip`: the model of stable-baselines3. It contains pickles, which can run any program.
  Only `train.py --resume` reads it. Resume only your own runs.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_gym import OBSERVATION_NAMES, MarketConfig
from mm_gym.config import FIELD_NAMES
from mm_gym.errors import nearest

from ..base import AgentError
from ..invocation import command_name
from .history_features import HISTORY_NAMES
from .hyperparameters import ALGORITHM_PART, POLICIES, check_hyperparameters, is_number, shown

RUN_FILE = "run.json"
POLICY_FILE = "policy.pth"
CHECKPOINT_FILE = "checkpoint.zip"

ALGORITHMS = (*POLICIES, "sac")
"""Those that `train.py` trains, and stable-baselines3's SAC, which `benchmarks.learners` trains."""
ENGINES = ("sb3", "rllib")
"""The libraries that can train: stable-baselines3 and Ray RLlib."""

FORMAT = 2
"""Format of `run.json`. It changes with the scales of observations and actions, since a policy that
was trained on other scales would quote differently without an error."""

_MOST = 10**15  # the largest allowed count or figure
_LARGEST_RUN_FILE = 1_000_000  # [bytes]


@dataclass(frozen=True)
class Run:
    """The record of a training, as in `run.json`.

    Raises:
        ValueError: if a field has a wrong type or is out of range, or the hyperparameters are not
            those of the algorithm.
    """

    config: MarketConfig
    """Configuration of the markets it trains on."""
    seed: int
    n_envs: int
    """Number of markets side by side."""
    timesteps: int
    """The budget [decisions of all markets together]."""
    algorithm: str = "ppo"
    """One of `ALGORITHMS`."""
    steps_done: int = 0
    """Decisions learned from at the last checkpoint."""
    command: str = ""
    """The command line of the training."""
    observation: tuple[str, ...] = ()
    """Columns that the policy sees, in order. Default: those that the hyperparameters imply."""
    hyperparameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    """As read by `agents.learned.hyperparameters`. Empty: the defaults of the algorithm's class."""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    """Versions of Python and the packages."""
    engine: str = "sb3"
    """The library that trains: one of `ENGINES`."""
    figures: dict[str, float | None] = dataclasses.field(default_factory=dict)
    """Results of the evaluation by `agents.tools.install`. Empty before it."""
    format: int = dataclasses.field(default=FORMAT, init=False)
    """Of `run.json`: always `FORMAT`."""

    def __post_init__(self) -> None:
        _expect(
            isinstance(self.config, MarketConfig), "config", "the fields of a market", self.config
        )
        for name, lowest in (("seed", 0), ("n_envs", 1), ("timesteps", 1), ("steps_done", 0)):
            value = getattr(self, name)
            _expect(
                is_number(value, lowest, _MOST, whole=True),
                name,
                f"a whole number, at least {lowest}",
                value,
            )
        for name, choices in (("algorithm", ALGORITHMS), ("engine", ENGINES)):
            value = getattr(self, name)
            _expect(isinstance(value, str), name, f"one of {', '.join(choices)}", value)
            if value not in choices:
                raise ValueError(
                    f"{name}={value!r} is unknown: expected one of {', '.join(choices)}, "
                    f"got {value!r} ({nearest(value, choices)})"
                )
        _expect(isinstance(self.command, str), "command", "text", self.command)
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
        if self.algorithm not in POLICIES:
            raise ValueError(
                f"{self.algorithm} has its default hyperparameters: expected none, "
                f"got {shown(self.hyperparameters)} (leave them out)"
            )
        policy = self.hyperparameters[ALGORITHM_PART]["policy"]
        if policy != POLICIES[self.algorithm]:
            raise ValueError(
                f"the policy does not suit {self.algorithm}: "
                f"expected {POLICIES[self.algorithm]}, got {policy}"
            )
        if self.algorithm == "recurrent_ppo":
            for name in ("history_features", "critic_warm_up", "critic_learning_rate"):
                if self.hyperparameters.get(name):
                    raise ValueError(
                        f"{name} is for ppo only: expected recurrent_ppo without it, "
                        f"got {self.hyperparameters[name]} (leave it out)"
                    )
            return
        for name in ("lstm_hidden_size", "n_lstm_layers"):
            if name in self.policy_kwargs:
                raise ValueError(
                    f"{name} is for recurrent_ppo only: expected ppo without it, "
                    f"got {self.policy_kwargs[name]} (leave it out)"
                )

    @property
    def has_history(self) -> bool:
        """Whether the policy sees history features (`agents.learned.history_features`)."""
        return self.observation == HISTORY_NAMES

    @property
    def policy_kwargs(self) -> dict[str, Any]:
        """The arguments of the network in the hyperparameters."""
        kwargs: dict[str, Any] = self.hyperparameters.get(ALGORITHM_PART, {}).get(
            "policy_kwargs", {}
        )
        return kwargs


def _expect(good: bool, name: str, what: str, value: object) -> None:
    if not good:
        text = shown(value)
        raise ValueError(f"{name}={text} is out of range: expected {what}, got {text}")


def _all_texts(values: object, kind: type) -> bool:
    return isinstance(values, kind) and all(isinstance(value, str) for value in values)  # type: ignore[attr-defined]


def read_run(folder: Path) -> Run:
    """Read the record of a run folder.

    Raises:
        AgentError: if `run.json` is missing or cannot be used.
    """
    path = folder / RUN_FILE
    try:
        size = path.stat().st_size
        text = path.read_text() if size <= _LARGEST_RUN_FILE else ""
    except OSError as error:
        raise AgentError(
            f"{folder} is no run folder: expected {RUN_FILE} in it, got {error.strerror} "
            f"(write a folder that {command_name('train')} wrote)"
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, f"expected UTF-8, got {error}") from error
    if size > _LARGEST_RUN_FILE:
        raise _damaged(path, f"expected at most {_LARGEST_RUN_FILE:,} bytes, got {size:,}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"expected JSON, got {error}") from error
    if isinstance(content, dict):
        found = content.pop("format", None)
        if not is_number(found, FORMAT, FORMAT, whole=True):
            raise AgentError(
                f"{path} has another format: expected format {FORMAT}, got "
                f"{'none' if found is None else shown(found)} "
                "(train again, or use the version of mm_gym that wrote it)"
            )
    try:
        return _run_of(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> AgentError:
    return AgentError(
        f"{path} is damaged or of another version of mm_gym: {why} "
        "(write another run folder, or train again)"
    )


def _run_of(plain: object) -> Run:
    if not isinstance(plain, dict):
        raise ValueError(f"expected a mapping of fields, got a {type(plain).__name__}")
    fields = {field.name: field for field in dataclasses.fields(Run)}
    for name in plain:
        if name not in fields:
            raise ValueError(
                f"expected fields of a run, got an unknown field {name!r} ({nearest(name, fields)})"
            )
    for name, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in plain and not optional:
            raise ValueError(f"expected a field {name!r}, got none")
    config, observation = plain["config"], plain.get("observation")
    if not isinstance(config, dict):
        raise ValueError(f"expected the fields of a market in config, got {config!r}")
    for name in config:
        if name not in FIELD_NAMES:
            raise ValueError(
                f"expected the fields of a market in config, got an unknown field {name!r} "
                f"({nearest(name, FIELD_NAMES)})"
            )
    read = {**plain, "config": MarketConfig(**config)}
    if isinstance(observation, list):
        read["observation"] = tuple(observation)
    return Run(**read)
