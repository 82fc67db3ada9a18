"""Evaluation: what a market maker earned, where it came from, what happened after its fills, how
sure we are.

`rollout` lets an agent quote, `metrics` measures one set of sessions, `statistics` puts intervals
to it, `table` is the summary that people and programs read, `experiments` are the post-mortem's,
`report` and `artefacts` write it all down.
"""

from mm_gym.evaluation.rollout import Cell, Sessions, run_cells, run_sessions
from mm_gym.evaluation.summary import COLUMNS, summarise

__all__ = ["COLUMNS", "Cell", "Sessions", "run_cells", "run_sessions", "summarise"]
