"""Hostile values, damage to files, and what every public entry answers to them."""

import copy
import json
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

INPUTS = int(os.environ.get("MM_GYM_INPUTS", "2000"))
"""Inputs of all fuzz tests together. `make fuzz` takes 100,000."""


def inputs(thousandths: int) -> settings:
    """The settings of a fuzz test that gets so many thousandths of all inputs."""
    return settings(
        max_examples=max(1, INPUTS * thousandths // 1000),
        deadline=None,
        derandomize=INPUTS <= 2000,  # the ordinary tests are the same each time
        database=None,
        # Shrinking a failure of a long run takes longer than the run.
        phases=tuple(Phase) if INPUTS <= 2000 else (Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


EDGES = [0, 1, -1, 2, 10**9, 10**18, -(10**18), 10**400, 0.0, -0.0, 0.5, 1.5, 1e-300, 5e-324]
EDGES += [1e300, math.inf, -math.inf, math.nan]
NUMBERS = st.sampled_from(EDGES) | st.integers() | st.floats()
PLAIN = st.sampled_from([None, True, False, "", "inf", "nan", "1", "x\ny"]) | NUMBERS
NESTED = [[], {}, [1], [[[]]], {"a": 1}, [None, "x"], [math.nan], [1, 2], {"a": {"b": []}}]
VALUES = PLAIN | st.sampled_from(NESTED)
"""What JSON can hold, NaN included."""


def _arrays() -> list[Any]:
    kinds = ("f4", "f8", "i8", "u1", "O", "U3", "?", "c8", "M8[s]")
    shapes: list[tuple[int, ...]] = [(), (0,), (1,), (2,), (1, 2), (2, 2), (3, 1, 2)]
    ones = [np.ones(shape, "i8").astype(kind) for kind in kinds for shape in shapes]
    return [*ones, *(np.array([0.0, edge], object) for edge in EDGES), np.float32(math.nan)]


STRANGE = [object(), int, 1j, {1}, (1, 2), range(3), b"x", ..., np.array(["a\nb"]), _arrays]
OBJECTS = VALUES | st.sampled_from(STRANGE) | st.sampled_from(_arrays())
"""What Python can pass."""


def answer(call: Callable[[], Any], *also: type[Exception]) -> Any:
    """The result of a call, or None if it is refused in one sentence.

    Any other exception, and any warning of this project, fails the test.
    """
    try:
        return call()
    except (ValueError, OSError, *also) as error:
        sentence = str(error)
    assert "\n" not in sentence, sentence
    assert "expected" in sentence, sentence
    assert ", got " in sentence, sentence
    return None


@st.composite
def damaged_json(draw: st.DrawFn, whole: Any) -> str:
    """The text of a JSON value in which some parts are replaced, left out or added, or cut."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 2))):
        holder, key = None, None
        here = value
        while isinstance(here, (dict, list)) and here and draw(st.integers(0, 3)):
            holder = here
            key = draw(
                st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here)))
            )
            here = here[key]
        how = draw(st.sampled_from(["replace", "replace", "replace", "delete", "add"]))
        if how == "add" and isinstance(here, dict):
            here[draw(st.text(max_size=4))] = copy.deepcopy(draw(VALUES))
        elif holder is None:
            value = copy.deepcopy(draw(VALUES)) if draw(st.integers(0, 9)) == 0 else value
        elif how == "delete":
            del holder[key]
        else:
            holder[key] = copy.deepcopy(draw(VALUES))  # the next change may be inside it
    text = json.dumps(value)
    if draw(st.integers(0, 9)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    return text


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes of which some are overwritten, inserted or cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=6))
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)
