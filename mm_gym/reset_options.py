"""The options of `reset(options=...)`: fields of the configuration for one episode."""

from collections.abc import Mapping, Sequence
from typing import Any

from mm_gym.config import FIELD_NAMES, MarketConfig, configure
from mm_gym.errors import ConfigurationError, nearest
from mm_gym.parameters import book_room

UNITS = ("max_offset", "reward_scale", "data")
"""The units of actions and rewards, and the data. An environment keeps them for all episodes."""


def check_options(options: Mapping[str, Any] | None, known: Sequence[str]) -> Mapping[str, Any]:
    """The options of `reset`, or an empty mapping for None.

    Args:
        options: the argument of `reset`.
        known: the keys that this environment offers.

    Raises:
        ConfigurationError: for an unknown key, or if the options are not a mapping.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"options are wrong: expected a dictionary or None, got {options!r}"
        )
    for key in options:
        if key not in known:
            raise ConfigurationError(
                f"reset option {key!r} is unknown: "
                f"expected {' or '.join(map(repr, known))}, got {key!r}"
            )
    return options


def episode_config(
    options: Mapping[str, Any], config: MarketConfig, named: Mapping[str, Any]
) -> MarketConfig | None:
    """The configuration of one episode, or None if the options do not change it.

    Args:
        options: the options of `reset`, as `check_options` returns them.
        config: the environment's own configuration.
        named: the arguments of the environment: `regime` and fields, or `task`. If the options name
            a regime, its values are the defaults; the environment's fields override them, and the
            options override those.

    Raises:
        ConfigurationError: if the environment has a task, or for an unknown field, a changed field
            of `UNITS`, a value out of range, or makers that need a larger book.
    """
    overrides = options.get("config")
    if overrides is None:
        return None
    if "task" in named:
        raise ConfigurationError(
            f"task {named['task']!r} is frozen: "
            f"expected no reset option 'config', got {overrides!r}"
        )
    if not isinstance(overrides, Mapping):
        raise ConfigurationError(
            f"reset option 'config' is wrong: "
            f"expected a dictionary such as {{'p_informed': 0.4}}, got {overrides!r}"
        )
    for name in overrides:
        if name not in FIELD_NAMES:
            raise ConfigurationError(
                f"reset option config[{name!r}] is unknown: "
                f"expected a field of MarketConfig, got {name!r}; {nearest(str(name), FIELD_NAMES)}"
            )
        if name in UNITS and overrides[name] != getattr(config, name):
            raise ConfigurationError(
                f"reset option config[{name!r}] cannot change from episode to episode: "
                f"expected {getattr(config, name)!r}, got {overrides[name]!r} "
                "(make another environment)"
            )
    if "regime" in overrides:
        # The environment keeps its units, whatever the values of the other regime.
        units = {name: getattr(config, name) for name in UNITS}
        changed = configure(**(dict(named) | units | dict(overrides)))
    else:
        changed = MarketConfig(**(config.to_dict() | dict(overrides)))
    room, needed = book_room(config), book_room(changed)
    if needed > room:
        raise ConfigurationError(
            "reset option 'config' needs a larger book than the environment has: expected makers "
            f"with room for {room[1]} orders, got makers that need room for {needed[1]} "
            "(make another environment)"
        )
    return changed
