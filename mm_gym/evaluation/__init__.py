"""Evaluation: what a market maker earned, where it came from, what happened after its fills, how sure we are.

`rollout` lets an agent quote, `metrics` measures one set of sessions, `statistics` puts intervals to it, and `table`
is the summary that people and programs read.
"""

from mm_gym.evaluation.rollout import Sessions, run_sessions
from mm_gym.evaluation.table import COLUMNS, summarise

__all__ = ["COLUMNS", "Sessions", "run_sessions", "summarise"]
