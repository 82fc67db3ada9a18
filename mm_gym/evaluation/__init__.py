"""Evaluation: what a market maker earned, where its PnL came from, and how certain that is.

`rollout` runs agents and `sessions` holds what they did. `metrics` measures one set of sessions,
`statistics` adds confidence intervals, and `summary` puts both into one row. `plans` runs grids of
agents and markets. `experiments` are the post-mortem's, and `suite` is the benchmark suite.
`mm_gym.reporting` writes tables, pictures and files.
"""

from mm_gym.evaluation.rollout import Cell, run_cells, run_sessions
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.summary import COLUMNS, summarise

__all__ = ["COLUMNS", "Cell", "Sessions", "run_cells", "run_sessions", "summarise"]
