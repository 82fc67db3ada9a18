"""Evaluation: what a market maker earned, where it came from, what happened after its fills, how sure we are.

`rollout` lets an agent quote, `metrics` measures one set of sessions, `statistics` puts intervals to it, and `table`
is the summary that people and programs read, `artefacts` writes it down.
"""

from mm_gym.evaluation.artefacts import ArtefactError, results_folder, write_summary
from mm_gym.evaluation.rollout import Cell, Sessions, run_cells, run_sessions
from mm_gym.evaluation.table import COLUMNS, summarise, text_table

__all__ = [
    "COLUMNS",
    "ArtefactError",
    "Cell",
    "Sessions",
    "results_folder",
    "run_cells",
    "run_sessions",
    "summarise",
    "text_table",
    "write_summary",
]
