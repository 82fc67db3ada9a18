"""Types of options that may be left out. Their help says in words what the default is."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..backends import Backend
from ..invocation import option_name
from ..learned.hyperparameters import parse_fields


def optional(metavar: str) -> Any:
    """The mark of such an option, for `Annotated`.

    Args:
        metavar: what stands for its value in the help.
    """
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


OptionalText = Annotated[str | None, optional("STR")]
OptionalInt = Annotated[int | None, optional("INT")]
OptionalFloat = Annotated[float | None, optional("FLOAT")]
OptionalBackend = Annotated[Backend | None, optional("{ray,dask}")]
OptionalPath = Annotated[Path | None, optional("PATH")]
OptionalFields = Annotated[
    tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, optional("NAME=VALUE ...")
]
"""The words after each `--set`. Without the append action, a second one would replace the first."""


def refuse_without_effect(arguments: Any, mode: str, modes: Mapping[str, str]) -> None:
    """Refuse options that are empty or have no effect in the chosen mode.

    Args:
        arguments: the dataclass of the options. An option that has its default is not given.
        mode: the option that chooses the mode, such as `suite`, or "" without one.
        modes: by mode, the names of the options that have an effect in it, separated by spaces.

    Raises:
        ValueError: for the first such option, or for an empty text. The message says where the
            option has an effect.
    """
    for name in vars(arguments):
        value = getattr(arguments, name)
        if value == "":
            raise ValueError(
                f"{option_name(name)} is empty: expected a value, got none (leave it out)"
            )
        if value == getattr(type(arguments), name) or name in (mode, *modes[mode].split()):
            continue
        if mode:
            raise ValueError(
                f"{option_name(name)} has no effect with {option_name(mode)}: expected none, "
                f"got {_shown(value)} (leave it out)"
            )
        needed = [option_name(other) for other in modes if name in modes[other].split()]
        raise ValueError(
            f"{option_name(name)} has no effect without {needed[0]}: expected {needed[0]} with it, "
            f"got none (write {needed[0]} too)"
        )


def _shown(value: Any) -> str:
    return " ".join(chain.from_iterable(value)) if isinstance(value, tuple) else str(value)


def fields_of(arguments: Any) -> dict[str, Any]:
    """The fields of the market in `--set` and `--p-informed`.

    Raises:
        ValueError: if a field cannot be read, or has an option of its own that is given too.
    """
    fields = parse_fields(chain.from_iterable(arguments.set))
    for name in ("regime", "p_informed", "data"):
        value = getattr(arguments, name, None)
        if value is not None and name in fields:
            raise ValueError(
                f"{option_name(name)} and --set {name}=... contradict each other: "
                f"expected one of them, got {value} and {fields[name]}"
            )
    share = {} if arguments.p_informed is None else {"p_informed": arguments.p_informed}
    return share | fields
