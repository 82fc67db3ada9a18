"""Tuning: the search for the best parameters of rules. The command is `python -m agents.tuning`."""
