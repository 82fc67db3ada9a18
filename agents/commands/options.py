"""Types of options that may be left out. Their help says in words what the default is."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from ..backends import Backend


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
