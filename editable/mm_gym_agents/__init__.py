"""The installed name of `agents` in an editable installation.

A wheel holds the folder `agents` as `mm_gym_agents`. An editable installation has no copy of it:
this package loads the same files from the repository, so that `mm-gym` runs them as they are now.
"""

from pathlib import Path

_AGENTS = Path(__file__).parents[2] / "agents"
__path__ = [str(_AGENTS)]

exec(compile((_AGENTS / "__init__.py").read_text(), str(_AGENTS / "__init__.py"), "exec"))
