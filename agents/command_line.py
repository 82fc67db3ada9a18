"""What all commands of `python -m agents...` share: how bad input is answered."""

import sys
from collections.abc import Callable


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run a command. Bad input is answered with one sentence on stderr and exit code 2.

    Args:
        name: of the command, which starts the sentence, such as `agents.tuning`.
        command: parses the command line and does the work.
    """
    try:
        command()
    except (ValueError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
