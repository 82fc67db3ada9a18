"""How much memory is left, so that a size that cannot fit is refused before the system kills us."""

from contextlib import suppress
from pathlib import Path

from mm_gym.errors import ConfigurationError

_SYSTEM = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")  # limits of cgroup version 2
_MOST = 1e15  # [bytes] more than any machine has


def available_memory() -> float:
    """[bytes] Memory that is left for this process. 1e15 where the system does not say."""
    left = _MOST
    with suppress(OSError, ValueError):
        for line in _SYSTEM.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                left = 1024.0 * int(line.split()[1])
    with suppress(OSError, ValueError):  # "max" without a limit
        limit, used = (int((_CONTAINER / f"memory.{n}").read_text()) for n in ("max", "current"))
        left = min(left, float(limit - used))
    return left


def check_memory(needed: float, what: str) -> None:
    """Refuse what needs more memory than is left.

    Args:
        needed: [bytes]
        what: takes the memory, such as `n_envs=1000 markets`.

    Raises:
        ConfigurationError: with both sizes.
    """
    left = available_memory()
    if needed > left:
        # A whole number may be too large to become a real one.
        got = f"{needed / 1e9:,.1f} GB" if needed < _MOST else f"over {_MOST / 1e9:,.0f} GB"
        raise ConfigurationError(
            f"{what} do not fit into the memory: expected at most {left / 1e9:,.1f} GB, got {got}"
        )
