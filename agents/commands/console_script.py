"""The console script `mm-gym`, which runs what the repository's scripts run.

mm-gym train --regime informed --out runs/NAME
mm-gym evaluate --agents inventory_skew,trained/mixed --regimes informed
mm-gym play --regime informed
mm-gym tune --agents inventory_skew --regimes informed
mm-gym export runs/NAME
mm-gym data describe MESSAGE_FILE
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from mm_gym import __version__
from mm_gym.errors import nearest

from ..invocation import run_command

_OWN = ("mm_gym", __name__.partition(".")[0])


class Command(NamedTuple):
    """A command of `mm-gym`. The extra of the same name installs what it needs."""

    summary: str
    module: str


COMMANDS = {
    "train": Command("train a market maker by PPO", ".commands.train"),
    "evaluate": Command("evaluate market makers on paired seeds", ".commands.evaluate"),
    "play": Command("trade by hand beside the makers", ".commands.play"),
    "tune": Command("tune the parameters of rule-based makers", ".tuning.__main__"),
    "export": Command("write a trained policy as ONNX", ".tools.export"),
    "data": Command("read, describe and convert exchange data", "mm_gym.data.__main__"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Bad input ends with one sentence on stderr and exit code 2.

    Args:
        arguments: the words after `mm-gym`. Default: those of the process.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words:
        sys.exit(_refused(f"no command is named: expected one of {', '.join(COMMANDS)}, got none"))
    name, *options = words
    if name in ("-h", "--help"):
        print(_help())
    elif name == "--version":
        print(f"mm-gym {__version__}")
    elif name in COMMANDS:
        run_command(f"mm-gym {name}", lambda: _run(name, options))
    else:
        hint = nearest(name, COMMANDS)
        sys.exit(
            _refused(
                f"command {name!r} is unknown: expected one of {', '.join(COMMANDS)}, "
                f"got {name!r} ({hint})"
            )
        )


def _run(name: str, options: list[str]) -> None:
    try:
        module = importlib.import_module(COMMANDS[name].module, _OWN[1])
        _start(module, name, options)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OWN:  # a defect of this package, which its traceback shows
            raise
        raise ValueError(
            f"a package is missing: expected those of the extra {name!r}, got no {missing} "
            f"(write pip install 'mm-gym[{name}]')"
        ) from error


def _start(module: Any, name: str, options: list[str]) -> None:
    if name == "data":
        module.main(options)
        return
    import tyro

    module.main(tyro.cli(module.Arguments, prog=f"mm-gym {name}", args=options))


def _refused(sentence: str) -> int:
    print(f"mm-gym: {sentence}", file=sys.stderr)
    return 2


def _help() -> str:
    lines = ["usage: mm-gym COMMAND [OPTIONS]", "", "commands:"]
    lines += [f"  {name:10}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", "`mm-gym COMMAND --help` prints the options of a command."])
