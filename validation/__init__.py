"""Published and exact numbers, and ours beside them, one source a file: `python -m validation`
prints the table.

Each module has a function `rows(sessions, seed)`, whose rows say what was published or is exact,
what came out here and how sure that is. Tests call the same functions with fewer sessions.
"""
