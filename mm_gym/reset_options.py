"""What `reset(options=...)` may say: fields of the configuration, for one episode."""

from collections.abc import Mapping, Sequence
from typing import Any

from mm_gym.config import FIELD_NAMES, ConfigurationError, MarketConfig, configure, nearest

UNITS = ("max_offset", "reward_scale")
"""Fields that stay for the life of an environment: the units of its actions and of its rewards."""


def check_options(options: Mapping[str, Any] | None, known: Sequence[str]) -> Mapping[str, Any]:
    """The options, empty for None.

    Raises:
        ConfigurationError: for a key that is none of the known ones.
    """
    if options is None:
        return {}
    for key in options:
        if key not in known:
            raise ConfigurationError(
                f"reset option {key!r} is unknown: expected {' or '.join(map(repr, known))}"
            )
    return options


def episode_config(
    options: Mapping[str, Any], config: MarketConfig, named: Mapping[str, Any]
) -> MarketConfig | None:
    """The configuration that `options["config"]` asks for, for one episode; None if it asks for
    none.

    Args:
        options: as `check_options` gives them.
        config: of the environment.
        named: the regime and the fields with which the environment was made, or its task. Where the
            options name another regime, that regime's figures are the defaults, and these fields
            and the options override them.

    Raises:
        ConfigurationError: if the environment has a task, for an unknown field (naming the
            nearest), one of `UNITS`, or a value out of range.
    """
    overrides = options.get("config")
    if overrides is None:
        return None
    if "task" in named:
        raise ConfigurationError(
            f"task {named['task']!r} is frozen: expected no reset option 'config', got {overrides!r}"
        )
    if not isinstance(overrides, Mapping):
        raise ConfigurationError(
            f"reset option 'config' is wrong: expected a dictionary such as {{'p_informed': 0.4}}, got {overrides!r}"
        )
    for name in overrides:
        if name not in FIELD_NAMES:
            raise ConfigurationError(
                f"reset option config[{name!r}] is unknown: expected a field of MarketConfig; "
                f"{nearest(str(name), FIELD_NAMES)}"
            )
        if name in UNITS and overrides[name] != getattr(config, name):
            raise ConfigurationError(
                f"reset option config[{name!r}] cannot change from episode to episode: expected "
                f"{getattr(config, name)!r}, got {overrides[name]!r}; make another environment"
            )
    if "regime" not in overrides:
        return MarketConfig(**(config.to_dict() | dict(overrides)))
    # The units are those of the environment, whatever the other regime has.
    units = {name: getattr(config, name) for name in UNITS}
    return configure(**(dict(named) | units | dict(overrides)))
