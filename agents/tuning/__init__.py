"""Tuning: the best parameters of the rules. `python -m agents.tuning`"""
