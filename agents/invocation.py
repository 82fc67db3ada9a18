"""How a user starts a command of this package.

In the repository the package is called `agents`, and scripts start its commands. In an installed
wheel it is called `mm_gym_agents`, and the console script `mm-gym` starts them. Messages and
recorded command lines name the form that works.
"""

import shlex
import sys

INSTALLED = __name__.partition(".")[0] != "agents"
"""Whether the package runs under its installed name."""


def command_name(command: str) -> str:
    """The words that start a command: `python train.py` or `mm-gym train`."""
    return f"mm-gym {command}" if INSTALLED else f"python {command}.py"


def command_line() -> str:
    """The command line of this process, quoted for a shell, to be recorded with results."""
    program = ["mm-gym"] if INSTALLED else ["python", sys.argv[0]]
    return shlex.join([*program, *sys.argv[1:]])
