"""How a user starts a command of this package.

In the repository the package is called `agents`, and scripts and modules are its commands. In an
installed wheel it is called `mm_gym_agents`, and the console script `mm-gym` starts its commands.
Messages and recorded command lines name the form that works.
"""

import shlex
import sys

INSTALLED = __name__.partition(".")[0] != "agents"
"""Whether the package runs under its installed name."""

_IN_REPOSITORY = {
    "train": "python train.py",
    "evaluate": "python evaluate.py",
    "tune": "python -m agents.tuning",
}


def command_name(command: str) -> str:
    """The words that start a command, such as `python train.py` or `mm-gym train`."""
    return f"mm-gym {command}" if INSTALLED else _IN_REPOSITORY[command]


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
