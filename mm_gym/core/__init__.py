"""The compiled core: plain functions on one NumPy record per market.

`layout` defines the record of a market. `market` moves it from decision to decision. Each other
file holds one part of the model. The core imports NumPy, Numba, the standard library and itself.
Its functions trust their arguments: the environments check and convert them.
"""
