"""Checkpoints of environments, and the check of a checkpoint before it is used.

A checkpoint may come from a file or from another machine. A market with one wrong link could crash
the process or never end, because the core trusts its records. So a checkpoint has a checksum, and
the core checks every record (`core.soundness`).
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.core import book, entry_points, soundness
from mm_gym.core.kernel import FINGERPRINT
from mm_gym.core.layout import RECORDED_EVENT
from mm_gym.errors import SentenceError

FAULTS = {
    book.LEVELS_OUT_OF_ORDER: "price levels out of order",
    book.BOOK_CROSSED: "a crossed book",
    book.EMPTY_LEVEL: "a price level without orders",
    book.BROKEN_QUEUE: "a broken queue of orders",
    book.WRONG_LEVEL_SIZE: "a price level whose size is not the sum of its orders",
    book.LOST_ORDER: "orders in no queue",
    book.BROKEN_POOL: "broken slots of orders",
    book.WRONG_COUNT: "an impossible number of orders or levels",
    soundness.CLOCK: "impossible clocks",
    soundness.NUMBER: "impossible prices or features",
    soundness.QUOTE: "other orders of the agent than its quotes",
    soundness.MESSAGE: "impossible messages under way",
    soundness.FLOW: "an order flow that its configuration excludes",
    soundness.ACCOUNT: "an account that does not add up",
    soundness.OBSERVATION: "an observation out of its bounds",
    soundness.COUNT: "impossible counts",
    soundness.RECORDED: "a place in the recorded data that is not that of its clock",
}
"""What the core's checks of a record find, by code."""
_NO_EVENTS = np.empty(0, RECORDED_EVENT)


class SnapshotError(SentenceError):
    """A snapshot of other markets, or one that is damaged."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A checkpoint of an environment. It is whole and unchanged, or `restore` refuses it."""

    records: npt.NDArray[Any]
    """The records of its markets."""
    parameters: npt.NDArray[Any]
    """The parameters of its configuration in row 0, then those of single sessions."""
    recorded: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    """The recorded fills and path of each market."""
    attributes: dict[str, Any]
    """Attributes of the environment object, by name."""
    checksum: int = 0
    """Of the arrays."""
    version: str = ""
    """Digest of the compiled core's sources. With another core, markets have other futures."""


def checksum(*arrays: npt.NDArray[Any]) -> int:
    """CRC-32 of the bytes of the arrays."""
    total = 0
    for array in arrays:
        content: Any = np.ascontiguousarray(array)
        total = zlib.crc32(content, total)
    return total


def sealed(
    records: npt.NDArray[Any],
    parameters: npt.NDArray[Any],
    recorded: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    attributes: dict[str, Any],
) -> Snapshot:
    """A snapshot with its checksum and version."""
    total = checksum(records, parameters, *recorded)
    return Snapshot(records, parameters, recorded, attributes, total, FINGERPRINT)


def check_snapshot(
    snapshot: Any,
    records: npt.NDArray[Any],
    parameters: npt.NDArray[Any],
    rooms: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    kept: Mapping[str, type | tuple[type, ...]],
    events: npt.NDArray[Any] = _NO_EVENTS,
) -> None:
    """Refuse what an environment cannot go back to.

    Args:
        snapshot: to be checked.
        records: of the environment's markets.
        parameters: of the environment's configuration, shape ().
        rooms: arrays of its recorder.
        kept: types of the attributes that the environment keeps, by name.
        events: the recorded data of its market, if any.

    Raises:
        TypeError: if it is not a snapshot.
        SnapshotError: if it is a snapshot of other markets, or damaged.
    """
    if not isinstance(snapshot, Snapshot):
        raise TypeError(
            "the argument is not a snapshot: expected what snapshot() returned, "
            f"got {type(snapshot).__name__}"
        )
    if snapshot.version != FINGERPRINT:
        raise SnapshotError(
            "the snapshot is of another version of mm_gym: expected one of the core "
            f"{FINGERPRINT}, got one of {snapshot.version!r}"
        )
    arrays = (snapshot.records, snapshot.parameters, *_pair(snapshot.recorded))
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise _damaged("something else than arrays")
    if (
        [array.dtype for array in arrays]
        != [array.dtype for array in (records, parameters, *rooms)]
        or snapshot.records.shape != records.shape
        or snapshot.parameters.ndim != 1
        or snapshot.parameters[:1].tobytes() != parameters.tobytes()
        or not isinstance(snapshot.attributes, dict)
        or snapshot.attributes.keys() != kept.keys()
        or any(
            rows.ndim != 2 or len(rows) != len(room) or rows.shape[1] > room.shape[1]
            for rows, room in zip(snapshot.recorded, rooms, strict=True)
        )
    ):
        raise SnapshotError(
            "the snapshot does not fit: expected one of an environment with the same arguments "
            f"and {len(records)} market(s), "
            f"got {len(snapshot.records)} market(s) of another environment"
        )
    if checksum(*arrays) != snapshot.checksum:
        raise _damaged(f"bytes whose checksum is not {snapshot.checksum}")
    for name, kind in kept.items():
        if not _has_kind(snapshot.attributes[name], kind, len(records)):
            raise _damaged(f"another kind of {name.strip('_')}")
    rows = snapshot.records["configuration"]
    if rows.min() < 0 or rows.max() >= len(snapshot.parameters):
        raise _damaged("a market without a configuration")
    words = snapshot.records.view(np.uint64).reshape(len(rows), -1)
    market, fault = entry_points.check_many(snapshot.records, words, snapshot.parameters, events)
    if fault != book.SOUND:
        raise _damaged(f"{FAULTS[fault]} in market {market}")


def _pair(rows: Any) -> tuple[Any, Any]:
    return rows if isinstance(rows, tuple) and len(rows) == 2 else (None, None)


def _has_kind(value: Any, kind: type | tuple[type, ...], n: int) -> bool:
    """Whether it is of this kind. Arrays have a row, and lists a generator, for each market."""
    if not isinstance(value, kind):
        return False
    if isinstance(value, list):
        return len(value) in (0, n) and all(isinstance(one, np.random.Generator) for one in value)
    return not isinstance(value, np.ndarray) or value.shape[:1] == (n,)


def _damaged(what: str) -> SnapshotError:
    return SnapshotError(
        f"the snapshot is damaged: expected it as snapshot() returned it, got {what}"
    )
