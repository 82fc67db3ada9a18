"""Public sample files of exchange data, replayed into the environment's book.

The results are exact counts. The files are not part of this repository. Without them there are no
rows.
"""

from pathlib import Path

from mm_gym.data.lobster import read
from mm_gym.data.replay import check_rows, replay
from validation.row import Row

SAMPLES = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def rows(sessions: int, seed: int) -> list[Row]:
    """For each file: rows that follow from the previous one, and executions of the oldest order."""
    table = []
    for path in sorted(SAMPLES.glob("*_message_*.csv")):
        if not path.with_name(path.name.replace("_message_", "_orderbook_")).is_file():
            continue  # without states of the book there is nothing to compare
        recording = read(path)
        checked, replayed = check_rows(recording), replay(recording)[1]
        name = "_".join(path.stem.split("_")[:1] + path.stem.split("_")[-1:])
        follow, oldest = checked.rows - len(checked.exceptions), replayed.hit_oldest
        table.append(
            Row(
                f"{name} levels: rows that follow from the previous row and the message",
                checked.rows,
                follow,
            )
        )
        known = replayed.executions - len(replayed.hit_unknown)
        note = f"{len(replayed.hit_unknown)} more hit an order from before the start of the file"
        table.append(
            Row(
                f"{name} levels: visible executions that hit the oldest order",
                known,
                oldest,
                0.0,
                note,
            )
        )
    return table
