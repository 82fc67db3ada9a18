"""Validation against published and exact numbers. `python -m validation` prints the tables.

There is one module per source. Its function `rows(sessions, seed)` returns rows with a reference,
the result of this package and its standard error. Tests call the same functions with fewer
sessions.
"""
