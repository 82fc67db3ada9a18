"""The compiled core: plain functions on one record. NumPy, Numba, math and itself, nothing else.

`layout` says what a market is, `market` how it moves; the other files hold one part of the story
each. The faces check and convert; these functions trust their arguments.
"""
