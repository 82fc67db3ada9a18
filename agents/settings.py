"""Hyperparameters as data: the files in `agents/hyperparameters`, in the form that rl_zoo3 reads.

Of the parts of a file `MarketMaking-v0` is what rl_zoo3 takes as `--conf-file`: arguments of the algorithm, with the
number of markets, the budget and, where the file is for one market, its fields in `env_kwargs`. rl_zoo3 passes over the
others: `markets`, arguments of `MarketMakingVecEnv`, `start`, how the untrained policy quotes, and, where present:

* `exploration`: arguments of `agents.callbacks.Exploration`;
* `imitation`: a head start (`agents.imitation`) of so many `decisions`, by the oracle or by `specialists`, with
  `last_epochs` passes over all lessons in the end, and then of `critic_decisions` for the critic alone;
* `memory`, whose only `kind` is `beliefs`: see `agents.memory`;
* `patiences`: [ticks] those of which the best is chosen in the end; weights are compared with the middle one.
"""

import ast
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from mm_gym.config import nearest

FOLDER = Path(__file__).parent / "hyperparameters"
ALGORITHM_PART = "MarketMaking-v0"
_PARTS = {
    ALGORITHM_PART: {"policy", "n_envs", "n_timesteps", "n_steps", "batch_size"},
    "markets": {"reward_scale"},
    "start": {"initial_offset", "lots_noticed"},
}
"""The parts of a file, and what each has to say at least."""

_HEAD_START = ("decisions", "last_epochs", "critic_decisions", "specialists")
"""What `imitation` may say."""

MEMORIES = ("beliefs",)
"""Kinds of memory that a policy may have beside its observations."""


class SettingsError(ValueError):
    """Settings that cannot be used: the message says what came, what was wanted and what to write instead."""


def settings_name(algorithm: str, regime: str) -> str:
    """The file for an algorithm in a regime, if there is one of its own, else the algorithm's."""
    own = f"{algorithm}-{regime}"
    return own if (FOLDER / f"{own}.yml").is_file() else algorithm


def read_settings(name: str) -> dict[str, Any]:
    """The parts of a settings file.

    Args:
        name: of a file in `FOLDER`, without its ending, or the path of another.

    Raises:
        SettingsError: if there is none, or it is not of this form.
    """
    path = FOLDER / f"{name}.yml"
    if not path.is_file():
        path = Path(name)
    try:
        settings = yaml.safe_load(path.read_text())
    except OSError as error:
        known = [file.stem for file in FOLDER.glob("*.yml")]
        raise SettingsError(
            f"settings {name!r} are no file in {FOLDER.name} and no path that can be read ({error.strerror}); "
            f"{nearest(name, known)}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no YAML ({error}); write it as {FOLDER.name}/ppo.yml is") from error
    for part, wanted in _PARTS.items():
        found = settings.get(part) if isinstance(settings, dict) else None
        missing = wanted - set(found if isinstance(found, dict) else {})
        if missing:
            raise SettingsError(
                f"{path} does not say {', '.join(sorted(missing))} under {part!r}; write it as {FOLDER.name}/ppo.yml is"
            )
    if "memory" in settings:
        kind = settings["memory"].get("kind") if isinstance(settings["memory"], dict) else settings["memory"]
        if kind not in MEMORIES:
            raise SettingsError(f"{path} says kind: {kind!r} under 'memory'; {nearest(str(kind), MEMORIES)}")
    if "imitation" in settings:
        _check_head_start(path, settings["imitation"])
    patiences = settings.get("patiences", [0.0])
    if not (isinstance(patiences, list) and patiences and all(_is_patience(patience) for patience in patiences)):
        raise SettingsError(f"{path} says patiences: {patiences!r}; write ticks from 0 up, for example [0.15, 0.3]")
    return dict(settings)


def _check_head_start(path: Path, head_start: object) -> None:
    if not isinstance(head_start, dict) or "decisions" not in head_start:
        raise SettingsError(
            f"{path} says imitation: {head_start!r}; write decisions: 600000 under it, or leave 'imitation' out"
        )
    for name, value in head_start.items():
        if name not in _HEAD_START:  # a misspelt one would be passed over
            raise SettingsError(f"{path} says {name} under 'imitation'; {nearest(str(name), _HEAD_START)}")
        if name == "specialists":
            if not (isinstance(value, list) and value and all(isinstance(folder, str) for folder in value)):
                raise SettingsError(
                    f"{path} says specialists: {value!r} under 'imitation'; write a list such as [trained/noise], or "
                    "leave it out to imitate the oracle"
                )
        elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SettingsError(f"{path} says {name}: {value!r} under 'imitation'; write a whole number from 1 up")


def _is_patience(number: object) -> bool:
    return isinstance(number, (int, float)) and not isinstance(number, bool) and 0.0 <= number < math.inf


def parse_fields(settings: Iterable[str]) -> dict[str, Any]:
    """`["latency=0.5", "makers=none"]` as keywords of `configure`, which checks names and values.

    Raises:
        SettingsError: for what is no name=value.
    """
    fields = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise SettingsError(f"{setting!r} came, a field and its value were wanted; write for example latency=0.5")
        fields[name.strip()] = _plain(value.strip())
    return fields


def _plain(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return float("inf") if text == "inf" else text
