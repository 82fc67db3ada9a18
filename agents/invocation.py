"""How a user starts a command of this package. `mm_gym.command` says how the command ends.

In the repository the package is called `agents`, and scripts and modules are its commands. In an
installed wheel it is called `mm_gym_agents`, and the console script `mm-gym` starts its commands.
Messages and recorded command lines name the form that works.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from mm_gym.command import run_command as run_command

_PACKAGE = __name__.partition(".")[0]
INSTALLED = _PACKAGE != "agents"
"""Whether the package runs under its installed name."""

_IN_REPOSITORY = {
    "train": "python train.py",
    "evaluate": "python evaluate.py",
    "tune": "python -m agents.tuning",
    "play": "python -m agents.commands.play",
}


def command_name(command: str) -> str:
    """The words that start a command, such as `python train.py` or `mm-gym train`."""
    return f"mm-gym {command}" if INSTALLED else _IN_REPOSITORY[command]


def module_command(module: str) -> str:
    """The words that start a module of this package, such as `python -m agents.tools.export`.

    Args:
        module: its name inside the package, such as `tools.export`.
    """
    return f"python -m {_PACKAGE}.{module}"


def command_line(module: str | None = None) -> str:
    """The command line of this process, quoted for a shell, to be recorded with results.

    Args:
        module: the module that the command is in the repository. Default: it is a script.
    """
    if INSTALLED:
        program = ["mm-gym"]
    elif module is not None:
        program = ["python", "-m", module]
    else:
        program = ["python", sys.argv[0]]
    return shlex.join([*program, *sys.argv[1:]])


def run_module(module: str, main: Callable[..., object], arguments: Any = None) -> None:
    """Run a module of this package as a command.

    Args:
        module: its name inside the package, such as `tools.export`.
        main: does the work.
        arguments: the dataclass of its options, the only argument of `main`. Default: the
            parameters of `main` are the options.
    """
    import tyro

    def command() -> None:
        if arguments is None:
            tyro.cli(main, prog=module_command(module))
        else:
            main(tyro.cli(arguments, prog=module_command(module)))

    run_command(f"{_PACKAGE}.{module}", command)


def option_name(field: str) -> str:
    """The option of a field, such as `--p-informed`."""
    return "--" + field.replace("_", "-")


def listed(text: str) -> list[str]:
    """The entries of a comma-separated option, without the spaces around them."""
    return [name.strip() for name in text.split(",")]


def check_different(option: str, names: Sequence[object]) -> None:
    """Refuse a list that names the same thing twice.

    Raises:
        ValueError: if it does.
    """
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(
                f"{option} names {name} twice: expected different ones, got "
                f"{','.join(map(str, names))}"
            )
